"""How a Python value is described to a model: short, bounded, and a table as a table."""

from __future__ import annotations

import json
import sys
from typing import Any

from .redaction import redact

VALUE_CHARACTERS = 20_000
"""Characters of one value at most; a model's context is not the place for a whole data set."""
ROWS = 10
COLUMNS = 30


def truncate_middle(text: str, limit: int = VALUE_CHARACTERS) -> str:
    """`text`, its middle cut out where it is longer than `limit`, saying how much is missing.

    >>> truncate_middle("x" * 100, 20)
    'xxxxxxxxxx\\n[… 80 characters left out …]\\nxxxxxxxxxx'
    """
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half:,} characters left out …]\n{text[-half:]}"


def redact_and_truncate(text: str, limit: int = VALUE_CHARACTERS) -> str:
    """`truncate_middle` of `text` without its secrets, of which no half is left where it is cut. What lies
    far from the cuts is not looked at."""
    far = 4 * limit
    if len(text) <= 2 * far:
        return truncate_middle(redact(text), limit)
    half = limit // 2
    head, tail = redact(text[:far])[:half], redact(text[-far:])[-half:]
    return f"{head}\n[… {len(text) - 2 * half:,} characters left out …]\n{tail}"


def value_text(value: Any) -> str:
    """`value` as text. A DataFrame or Series is its shape, its dtypes and its first rows; dicts and lists are
    JSON where they can be.

    >>> value_text({"a": [1, 2]}), value_text("as it is")
    ('{"a": [1, 2]}', 'as it is')
    """
    if isinstance(value, str):
        return value
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(value, pandas.DataFrame):
        return _table(value)
    if pandas is not None and isinstance(value, pandas.Series):
        return _table(value.to_frame())
    if isinstance(value, dict | list | tuple):
        try:
            return json.dumps(value, ensure_ascii=False)
        except (TypeError, ValueError):
            return repr(value)
    return str(value)


def _table(frame: Any) -> str:
    shown = frame.iloc[:ROWS, :COLUMNS]
    dtypes = ", ".join(f"{column}: {dtype}" for column, dtype in shown.dtypes.items())
    head = f"DataFrame, {frame.shape[0]:,} rows × {frame.shape[1]:,} columns ({dtypes})"
    if frame.shape[1] > COLUMNS:
        head += f", the first {COLUMNS} columns shown"
    if len(frame) > ROWS:
        head += f", the first {ROWS} rows"
    return f"{head}\n{shown.to_csv(index=type(frame.index).__name__ != 'RangeIndex')}"
