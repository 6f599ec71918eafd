"""A table as text: shape, dtypes, first rows. It is known by the library that the user has imported."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable, Sequence
from typing import Any

ROWS = 10
COLUMNS = 40
"""Columns whose values are shown; the names and dtypes of more are."""
MOST_DTYPES = 100


def table_text(value: Any) -> str | None:
    """A DataFrame or Series of pandas or polars, or a table of Arrow's, as text; None for another value. What
    is missing is NaN or null, and an empty text is empty."""
    if _is(value, "pandas", "Series") or _is(value, "polars", "Series"):
        value = value.to_frame()
    if _is(value, "pandas", "DataFrame"):
        return _pandas(value)
    if _is(value, "polars", "DataFrame"):
        head = _head("polars DataFrame", value.shape, zip(value.columns, value.dtypes, strict=True))
        shown = value[:ROWS, :COLUMNS]
        return head + csv_text(shown.columns, shown.rows())
    if _is(value, "pyarrow", "Table") or _is(value, "pyarrow", "RecordBatch"):
        names, types = value.schema.names, value.schema.types
        head = _head(f"Arrow {type(value).__name__}", value.shape, zip(names, types, strict=True))
        columns = [column.slice(0, ROWS).to_pylist() for column in value.columns[:COLUMNS]]
        return head + csv_text(names[:COLUMNS], zip(*columns, strict=True))
    return None


def is_table(value: Any) -> bool:
    """Whether `table_text` knows such a value."""
    kinds = [("pandas", "Series"), ("pandas", "DataFrame"), ("polars", "Series"), ("polars", "DataFrame")]
    return any(_is(value, *kind) for kind in [*kinds, ("pyarrow", "Table"), ("pyarrow", "RecordBatch")])


def _is(value: Any, module: str, name: str) -> bool:
    # Half of a module is there while it is imported.
    kind = getattr(sys.modules.get(module), name, None)
    return isinstance(kind, type) and issubclass(type(value), kind)


def _pandas(frame: Any) -> str:
    head = _head("DataFrame", frame.shape, frame.dtypes.items())
    shown = frame.iloc[:ROWS, :COLUMNS]
    return head + str(shown.to_csv(index=type(frame.index).__name__ != "RangeIndex", na_rep="NaN"))


def _head(kind: str, shape: tuple[int, int], dtypes: Iterable[tuple[Any, Any]]) -> str:
    rows, columns = shape
    named = [f"{name}: {dtype}" for (name, dtype), _ in zip(dtypes, range(MOST_DTYPES), strict=False)]
    if columns > MOST_DTYPES:
        named.append(f"… {columns - MOST_DTYPES:,} more")
    head = f"{kind}, {rows:,} rows × {columns:,} columns ({', '.join(named)})"
    if columns > COLUMNS:
        head += f", the first {COLUMNS} columns shown"
    if rows > ROWS:
        head += f", the first {ROWS} rows"
    return f"{head}\n"


def csv_text(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Rows below their names, as CSV; None is null."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(["null" if cell is None else cell for cell in row] for row in rows)
    return text.getvalue()
