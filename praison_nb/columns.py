"""What is said of a table's column: its dtype, what is missing, and its range or most frequent values."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .redaction import redact
from .text import shorten

if TYPE_CHECKING:
    import pandas

SOME_ROWS = 10_000
"""So many are looked at where all would take too long."""
TOP_VALUES = 3
VALUE_CHARACTERS = 32
"""A time with microseconds and a zone has so many."""
MOST_CHARACTERS = 10_000
"""Of one value; what is behind them is not looked at."""
_CUT_IN_HIDDEN = re.compile(r"(?<=[\s:=,(\[{])[\"']\[?k?e?y?\]?…$")
"""A quote that opens what is hidden, and its end is cut off: all that follows would be the secret."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table, or a level of its index; `is_asked` where the prompt names it."""

    name: str
    dtype: str
    values: pandas.Series[Any]
    is_asked: bool = False


def described(column: Column, is_sample: bool) -> str:
    """The column in one line; of a sample what is missing is a share."""
    return ", ".join([f"{column.name}: {column.dtype}", *_about(column.values, is_sample)])


def _about(values: pandas.Series[Any], is_sample: bool) -> list[str]:
    """What is missing in a column, and what is there: range and mean, or the values that are there most."""
    from pandas.api import types

    if not len(values):
        return []
    present = values.dropna()
    missing = len(values) - len(present)
    if not len(present):
        return ["all missing"]
    parts = []
    if missing:
        parts.append(f"{missing / len(values):.2g} of it missing" if is_sample else f"{missing:,} missing")
    inferred = types.infer_dtype(present.head(SOME_ROWS), skipna=True)
    try:
        if types.is_bool_dtype(present) or inferred == "boolean":
            return [*parts, f"True {present.astype(bool).mean():.0%}"]
        if types.is_numeric_dtype(present) and present.dtype.kind != "c":
            return [*parts, _range(present), f"mean {_number(present.mean())}"]
        if inferred.startswith(("date", "time", "period", "decimal")):
            return [*parts, _range(present)]
        return [*parts, _top(present)]
    except Exception:
        # Lists, say, or objects of the user's that cannot be counted.
        kinds = Counter(type(each).__name__ for each in present.head(SOME_ROWS))
        return [*parts, "values are " + ", ".join(name for name, _ in kinds.most_common(TOP_VALUES))]


def _range(present: pandas.Series[Any]) -> str:
    return f"{_number(present.min())} to {_number(present.max())}"


def _top(present: pandas.Series[Any]) -> str:
    counts = value_counts(present)
    if len(counts) == len(present):
        return "all different"
    top = [f"{cell_text(each)} {count / len(present):.0%}" for each, count in counts.head(TOP_VALUES).items()]
    return f"{len(counts):,} different: {', '.join(top)}"


def value_counts(present: pandas.Series[Any]) -> pandas.Series[int]:
    """How often each value is there. Raises TypeError where one has no hash: pandas would compare each with
    all others, which takes minutes."""
    if present.dtype == object:
        for each in present:
            hash(each)
    counts = present.value_counts()
    return counts[counts > 0]


def _number(value: Any, digits: int = 4) -> str:
    """A number with so many digits, whole ones as they are; a time without a midnight.

    >>> _number(1234567.0), _number(0.123456), _number(24999.5), _number(float("inf"))
    ('1234567', '0.1235', '25000', 'inf')
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        return re.sub(r" 00:00:00$", "", str(value))
    is_long = 10**digits <= abs(number) < 1e15
    return (
        f"{number:.0f}" if is_long or (number.is_integer() and abs(number) < 1e15) else f"{number:.{digits}g}"
    )


def cell_text(value: Any) -> str:
    """A value as it stands in a prompt: short, and without secrets."""
    if isinstance(value, float) and value != value:
        return "NaN"
    text = str(value) if isinstance(value, str | bool) else _number(value, 6)
    # Hidden before it is cut, which would leave half of a secret.
    short = shorten(redact(text[:MOST_CHARACTERS]), VALUE_CHARACTERS)
    return _CUT_IN_HIDDEN.sub("…", short)
