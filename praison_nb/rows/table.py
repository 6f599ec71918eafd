"""What a map goes over: a frame of pandas or polars, a table of Arrow's, a Series, or any iterable."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..answer_type import frame_of
from ..errors import ConfigError

if TYPE_CHECKING:
    import pandas

ONE_COLUMN = "value"
"""The name of the column of values that have none."""
SUFFIX = "_answer"
NUMBERS = {"_cost": "float64", "_tokens": "int64"}
"""Columns that are numbers also where none is known, with their dtypes."""


class Table:
    """The rows. Raises ConfigError for what has none.

    >>> table = Table(["Good.", "Bad."])
    >>> table.columns, list(table.rows())[1]
    (['value'], {'value': 'Bad.'})
    """

    def __init__(self, given: Any) -> None:
        self._given = given
        self.frame = _as_pandas(given)
        if not self.frame.columns.is_unique:
            twice = self.frame.columns[self.frame.columns.duplicated()][0]
            raise ConfigError(f"Two columns are named {twice!r:.60}: rename one.")

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def columns(self) -> list[Any]:
        """The names."""
        return list(self.frame.columns)

    def rows(self) -> Iterator[Mapping[Any, Any]]:
        """The rows, in their order."""
        names = self.columns
        columns = [self.frame[name].tolist() for name in names]
        return (dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True))

    def label(self, place: int) -> str:
        """How the row is called in the index."""
        return str(self.frame.index[place % len(self.frame)])

    def with_columns(
        self,
        records: Sequence[Mapping[str, Any]],
        dtypes: Mapping[str, str],
        more: Mapping[str, Sequence[Any]],
        times: int = 1,
    ) -> Any:
        """The table, so many times below itself, with the records' columns and `more` behind them; names that
        it has already get a suffix. Of polars' it is a frame of polars, else one of pandas."""
        import pandas as pd

        frame = self.frame if times == 1 else pd.concat([self.frame] * times)
        answers = frame_of(records, dtypes, index=frame.index)
        taken = {_top(name) for name in frame.columns}
        answers.columns = pd.Index([_free(name, taken) for name in answers.columns])
        for name, values in more.items():
            own: Any = pd.Series(list(values), index=answers.index, dtype=object)
            answers[_free(name, taken)] = own.astype(NUMBERS.get(name, "object"))
        polars = sys.modules.get("polars")
        if polars is not None and isinstance(self._given, polars.DataFrame | polars.Series):
            given = self._given
            if isinstance(given, polars.Series):
                given = given.to_frame(given.name or ONE_COLUMN)
            given = given if times == 1 else polars.concat([given] * times)
            return given.with_columns(_polars_series(polars, answers))
        behind = answers
        if frame.columns.nlevels > 1:
            behind.columns = pd.MultiIndex.from_tuples(
                [(name, *[""] * (frame.columns.nlevels - 1)) for name in behind.columns]
            )
        # By position: labels of an index may come twice.
        made = pd.concat([frame.reset_index(drop=True), behind.reset_index(drop=True)], axis=1)
        made.index = frame.index
        return made


def _top(name: Any) -> str:
    """The name that a new column of one level would share with the column `name`."""
    return str(name[0]) if isinstance(name, tuple) and not any(name[1:]) else str(name)


def _free(name: str, taken: set[str]) -> str:
    """The name, with as many suffixes as it takes to be no other column's."""
    while name in taken:
        name += SUFFIX
    taken.add(name)
    return name


def _polars_series(polars: Any, frame: pandas.DataFrame) -> list[Any]:
    """The columns of pandas as those of polars. Of one without a value, pandas says what it would hold."""
    names = {"int64": "Int64", "float64": "Float64", "boolean": "Boolean"}
    made = []
    for name in frame.columns:
        values = _plain(frame[name].astype(object).tolist())
        kind = str(frame[name].dtype).lower()
        is_known = kind in NUMBERS.values() or not any(each is not None for each in values)
        dtype = getattr(polars, names.get(kind, "String")) if is_known else None
        made.append(polars.Series(str(name), values, dtype=dtype, strict=False))
    return made


def _plain(values: Iterable[Any]) -> list[Any]:
    return [None if type(each).__name__ in ("NAType", "NaTType") else each for each in values]


def _foreign_columns(given: Any) -> Mapping[str, list[Any]]:
    """The columns of what is polars' or Arrow's, none of anything else."""
    match type(given).__module__.partition(".")[0], type(given).__name__:
        case "polars", "Series":
            return {given.name or ONE_COLUMN: given.to_list()}
        case "polars", "DataFrame":
            columns: Mapping[str, list[Any]] = given.to_dict(as_series=False)
            return columns
        case "pyarrow", _ if hasattr(given, "to_pydict"):
            return dict(given.to_pydict())
        case "pyarrow", _ if hasattr(given, "to_pylist"):
            return {ONE_COLUMN: given.to_pylist()}
    return {}


def _as_pandas(given: Any) -> pandas.DataFrame:
    import pandas as pd

    if isinstance(given, pd.DataFrame):
        return given
    if isinstance(given, pd.Series):
        return given.to_frame(ONE_COLUMN if given.name in (None, "") else given.name)
    if columns := _foreign_columns(given):
        return pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in columns.items()})
    if (
        isinstance(given, str | bytes | Mapping)
        or hasattr(given, "collect")
        or not isinstance(given, Iterable)
    ):
        raise ConfigError(
            f"A map goes over the rows of a DataFrame, a Series or a list, not over {type(given).__name__}."
        )
    values = list(given)
    if values and all(isinstance(each, Mapping) for each in values):
        frame, exact = pd.DataFrame(values), pd.DataFrame(values, dtype=object)
        for name in frame.select_dtypes("float"):
            # What a row lacks makes no floats of the others' whole numbers.
            known = exact[name].dropna()
            if len(known) and all(type(each) is int and abs(each) < 2**63 for each in known):
                frame[name] = exact[name].astype("Int64")
        return frame
    return pd.DataFrame({ONE_COLUMN: pd.Series(values, dtype=object)})
