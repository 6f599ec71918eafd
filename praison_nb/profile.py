"""What a prompt says of a table: its shape, and of each column what it holds, in some 300 tokens. The rows
alone would say less, at many times the price."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .columns import SOME_ROWS, TOP_VALUES, Column, cell_text, described, value_counts
from .tables import ROWS, csv_text, is_table, table_text
from .text import shorten

if TYPE_CHECKING:
    import pandas

SAMPLE_CELLS = 1_000_000
"""Of a larger table so many cells are looked at, of rows taken at random, so that it takes no longer."""
FEWEST_SAMPLED = 1_000
MOST_COLUMNS = 100
"""Columns that are looked at; of more there are names and dtypes."""
WHOLE_CHARACTERS = 500
"""A table that takes no more is there as it is."""
COLUMNS_CHARACTERS, NAMES_CHARACTERS, ROWS_CHARACTERS = 1_000, 200, 700
FEWEST_ROWS = 3
NAME_CHARACTERS = 40
MOST_CATEGORIES = 20
MOST_RELATED, MOST_ASKED = 8, 2
WEAKEST = 0.05
"""A weaker correlation is none."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A table for a model; `note` says which part of its rows is there, such as "10 of 50,000 rows"."""

    text: str
    note: str = ""


def profile(value: Any, prompt: str = "") -> Profile | None:
    """The profile of a DataFrame or Series of pandas or polars, or of a table of Arrow's; None for another
    value. A small one is there whole. Where the `prompt` names a column, so are the strongest correlations
    of others with it.

    >>> import pandas
    >>> frame = pandas.DataFrame({"age": range(20, 80), "churn": [0, 1] * 30})
    >>> print(profile(frame, "What explains churn?").text.partition("the first")[0])
    DataFrame, 60 rows × 2 columns
    age: int64, 20 to 79, mean 49.5
    churn: int64, 0 to 1, mean 0.5
    no column correlates with churn
    <BLANKLINE>
    """
    if not is_table(value):
        return None
    import numpy

    with numpy.errstate(all="ignore"):
        return _profile(value, prompt)


def _profile(value: Any, prompt: str) -> Profile:
    import numpy

    value = value if len(value.shape) == 2 else value.to_frame()
    rows, columns = value.shape
    if rows <= ROWS and (whole := table_text(value)) is not None and len(whole) <= WHOLE_CHARACTERS:
        return Profile(whole)
    names, dtypes = _schema(value)
    asked = _asked(names, prompt)
    chosen = sorted({*range(min(columns, MOST_COLUMNS)), *asked})
    sampled = max(SAMPLE_CELLS // max(len(chosen), 1), FEWEST_SAMPLED)
    head = f"{_kind(value)}, {rows:,} rows × {columns:,} columns"
    places = None
    if rows > sampled:
        # One of each stretch. The same ones each time, so that a prompt is the same each time.
        within = numpy.random.default_rng(0).random(sampled)
        places = ((numpy.arange(sampled) + within) * (rows / sampled)).astype(int)
        head += f"; what is said of columns is by {sampled:,} rows taken at random"
    index, data = _read(value, chosen, places)
    told = [
        *(
            Column(name if name == "index" else f"{name} (index)", str(each.dtype), each)
            for name, each in index
        ),
        *(
            Column(names[place], dtypes[place], each, place in asked)
            for place, each in zip(chosen, data, strict=True)
        ),
    ]
    lines, shown = _described(told, places is not None)
    rest = [f"{name}: {dtype}" for name, dtype in zip(names, dtypes, strict=True)][shown - len(index) :]
    lines += [_listed(rest, NAMES_CHARACTERS)] if rest else []
    if rows and len(told) > 1:
        lines += [_related(each, told) for each in told if each.is_asked]
    if not rows:
        return Profile("\n".join([head, *lines]))
    some, first = _read(value, chosen[: shown - len(index)], numpy.arange(min(rows, ROWS)))
    table, count = _rows([name for name, _ in some] + names, [*(each for _, each in some), *first])
    note = f"{count:,} of {rows:,} rows" if count < rows else ""
    if rest:
        note += f"{', ' * bool(note)}{len(first):,} of {columns:,} columns"
    return Profile("\n".join([head, *lines, f"the first {note}:" if note else "all rows:", table]), note)


# Libraries


def _kind(value: Any) -> str:
    library, name = type(value).__module__.partition(".")[0], type(value).__name__
    return {"polars": "polars ", "pyarrow": "Arrow "}.get(library, "") + name


def _schema(value: Any) -> tuple[list[str], list[str]]:
    """Names and dtypes of all columns, as text."""
    if hasattr(value, "schema") and hasattr(value.schema, "types"):
        names, dtypes = value.schema.names, value.schema.types
    else:
        names, dtypes = value.columns, value.dtypes
    return [_name(each) for each in names], [shorten(str(each), NAME_CHARACTERS) for each in dtypes]


def _name(name: Any) -> str:
    text = " / ".join(map(str, name)) if isinstance(name, tuple) else str(name)
    return shorten(text, NAME_CHARACTERS)


def _read(
    value: Any, columns: list[int], places: Any
) -> tuple[list[tuple[str, pandas.Series[Any]]], list[pandas.Series[Any]]]:
    """The index, where it says more than a number, by the names of its levels, and these columns, of the
    rows at these places, None for all."""
    import pandas

    if isinstance(value, pandas.DataFrame):
        part = value.iloc[:, columns] if places is None else value.iloc[places, columns]
        levels: list[tuple[str, pandas.Series[Any]]] = []
        if not isinstance(value.index, pandas.RangeIndex):
            for number, name in enumerate(part.index.names):
                values = part.index.get_level_values(number)
                unnamed = f"level {number}" if part.index.nlevels > 1 else "index"
                levels.append((_name(unnamed if name is None else name), pandas.Series(values)))
        return levels, [part.iloc[:, number] for number in range(len(columns))]
    if hasattr(value, "to_series"):
        part = value if places is None else value[places.tolist()]
        return [], [pandas.Series(part.to_series(number).to_list()) for number in columns]
    part = value if places is None else value.take(places)
    return [], [part.column(number).to_pandas() for number in columns]


# Columns


def _described(columns: list[Column], is_sample: bool) -> tuple[list[str], int]:
    """A line a column, as many as there is room for, and how many of the first columns have one."""
    lines: list[str] = []
    room = COLUMNS_CHARACTERS
    for number, column in enumerate(columns):
        line = described(column, is_sample)
        room -= len(line) + 1
        if room < 0:
            asked = (each for each in columns[number:] if each.is_asked)
            return [*lines, *(described(each, is_sample) for each in asked)], number
        lines.append(line)
    return lines, len(columns)


# What goes with a column that the prompt names


def _asked(names: list[str], prompt: str) -> list[int]:
    """The columns that the prompt names."""
    if not prompt:
        return []
    prompt = prompt.casefold()
    words = set(re.findall(r"\w+", prompt))
    named = (
        place
        for place, name in enumerate(map(str.casefold, names))
        if name in words or (not name.isidentifier() and len(name) > 2 and name in prompt)
    )
    return list(itertools.islice(named, MOST_ASKED))


def _related(target: Column, columns: list[Column]) -> str:
    """Which columns correlate with the target, the strongest first. A value of a column of texts counts as 1
    and all others as 0."""
    [(label, wanted), *_] = [*_numbers(target), (target.name, None)]
    found: list[tuple[float, str]] = []
    for column in columns if wanted is not None else ():
        if column is not target:
            by = [(float(wanted.corr(each)), name) for name, each in _numbers(column)]
            found += sorted((each for each in by if abs(each[0]) >= WEAKEST), key=_strength)[:1]
    if not found:
        return f"no column correlates with {label}"
    strongest = sorted(found, key=_strength)[:MOST_RELATED]
    return f"correlation with {label}: " + ", ".join(f"{name} {number:+.2f}" for number, name in strongest)


def _strength(found: tuple[float, str]) -> float:
    return -abs(found[0])


def _numbers(column: Column) -> list[tuple[str, pandas.Series[Any]]]:
    """The column as numbers; of a few values the most frequent ones each as 1 beside 0."""
    from pandas.api import types

    values = column.values.head(SOME_ROWS).reset_index(drop=True)
    try:
        if types.is_datetime64_any_dtype(values):
            return [(column.name, values.astype("int64").where(values.notna()).astype(float))]
        if types.is_numeric_dtype(values) and values.dtype.kind != "c":
            return [(column.name, values.astype(float))]
        counts = value_counts(values.dropna())
        if not 2 <= len(counts) <= MOST_CATEGORIES:
            return []
        # Of two the second one: "yes" is mostly the rarer.
        top = counts.index[1:2] if len(counts) == 2 else counts.index[:TOP_VALUES]
        present = values.notna()
        return [
            (f"{column.name}={cell_text(each)}", (values == each).where(present).astype(float))
            for each in top
        ]
    except Exception:
        return []


# Rows


def _rows(names: list[str], columns: list[pandas.Series[Any]]) -> tuple[str, int]:
    """The rows as CSV, as many as there is room for, and how many that is."""
    cells = list(zip(*([_shown(each) for each in column.tolist()] for column in columns), strict=True))
    lines = [csv_text(names[: len(columns)], [])]
    room = ROWS_CHARACTERS - len(lines[0])
    for number, row in enumerate(cells):
        line = csv_text(row, [])
        room -= len(line)
        if room < 0 and number >= FEWEST_ROWS:
            break
        lines.append(line)
    return "".join(lines).rstrip("\n"), len(lines) - 1


def _shown(value: Any) -> str:
    import pandas

    if value is None or value is pandas.NaT or value is pandas.NA:
        return "NaN"
    return cell_text(value)


def _listed(texts: Iterable[str], room: int) -> str:
    """The texts in one line, and how many more there are."""
    texts, shown = list(texts), list[str]()
    for text in texts:
        room -= len(text) + 2
        if room < 0:
            break
        shown.append(text)
    more = len(texts) - len(shown)
    return ", ".join([*shown, *([f"… {more:,} more columns"] if more else [])])
