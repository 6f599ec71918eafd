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
        taken = {str(name) for name in frame.columns}
        answers.columns = pd.Index([f"{name}{SUFFIX}" if name in taken else name for name in answers.columns])
        own = {name: list(values) for name, values in more.items()}
        named = {name: f"{name}{SUFFIX}" if name in taken else name for name in own}
        polars = sys.modules.get("polars")
        if polars is not None and isinstance(self._given, polars.DataFrame | polars.Series):
            given = self._given.to_frame() if isinstance(self._given, polars.Series) else self._given
            given = given if times == 1 else polars.concat([given] * times)
            added = {name: answers[name].astype(object).tolist() for name in answers.columns}
            series = [
                polars.Series(str(name), _plain(values), strict=False) for name, values in added.items()
            ]
            kinds = {"float64": polars.Float64, "int64": polars.Int64}
            for name, values in own.items():
                series.append(polars.Series(named[name], values, dtype=kinds.get(NUMBERS.get(name, ""))))
            return given.with_columns(series)
        numbers: dict[str, Any] = {
            name: pd.Series(own[name], index=answers.index, dtype=object) for name in NUMBERS if name in own
        }
        numbers = {name: values.astype(NUMBERS[name]) for name, values in numbers.items()}
        behind = answers.assign(**{named[name]: values for name, values in (own | numbers).items()})
        if frame.columns.nlevels > 1:
            behind.columns = pd.MultiIndex.from_tuples(
                [(name, *[""] * (frame.columns.nlevels - 1)) for name in behind.columns]
            )
        # By position: labels of an index may come twice.
        made = pd.concat([frame.reset_index(drop=True), behind.reset_index(drop=True)], axis=1)
        made.index = frame.index
        return made


def _plain(values: Iterable[Any]) -> list[Any]:
    return [None if type(each).__name__ in ("NAType", "NaTType") else each for each in values]


def _as_pandas(given: Any) -> pandas.DataFrame:
    import pandas as pd

    if isinstance(given, pd.DataFrame):
        return given
    if isinstance(given, pd.Series):
        return given.to_frame(ONE_COLUMN if given.name is None else given.name)
    for module in ("polars", "pyarrow"):
        if type(given).__module__.partition(".")[0] == module:
            whole = given.to_frame() if hasattr(given, "to_frame") else given
            columns = whole.to_dict(as_series=False) if module == "polars" else whole.to_pydict()
            return pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in columns.items()})
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        raise ConfigError(
            f"A map goes over the rows of a DataFrame, a Series or a list, not over {type(given).__name__}."
        )
    values = list(given)
    if values and all(isinstance(each, Mapping) for each in values):
        return pd.DataFrame(values)
    return pd.DataFrame({ONE_COLUMN: pd.Series(values, dtype=object)})
