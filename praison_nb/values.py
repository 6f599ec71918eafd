"""How a Python value is described to a model: short, bounded, and a table as a table."""

from __future__ import annotations

import datetime
import itertools
import json
import reprlib
import sys
from collections import deque
from collections.abc import Callable, Mapping, Set, ValuesView
from typing import Any

from .redaction import redact
from .tables import table_text

VALUE_CHARACTERS = 20_000
"""Characters of one value at most; a model's context is not the place for a whole data set."""
MOST_TABLES = 10
"""Tables of one list or dict at most."""
MOST_NUMBERS = 1000
"""Of an array within a list or dict; larger ones are as numpy prints them."""


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


def value_text(value: Any, as_table: Callable[[Any], str | None] = table_text) -> str:
    """`value` as text. A table (pandas, polars, Arrow) is its shape, dtypes and first rows, or what
    `as_table` makes of it; several in a list or dict are one after the other. Dicts and lists are JSON where
    they can be.

    >>> value_text({"a": [1, 2]}), value_text("as it is")
    ('{"a": [1, 2]}', 'as it is')
    """
    if isinstance(value, str):
        return value
    if (table := as_table(value)) is not None:
        return table
    if isinstance(value, dict | list | tuple):
        named = value.items() if isinstance(value, dict) else enumerate(value)
        tables = [(name, as_table(each)) for name, each in itertools.islice(named, MOST_TABLES)]
        if tables and all(table is not None for _, table in tables):
            more = f"[… {len(value) - MOST_TABLES:,} more]" if len(value) > MOST_TABLES else ""
            return "\n".join([*(f"[{name!r}] {table}" for name, table in tables), more]).rstrip()
        try:
            return _json(value)
        except (TypeError, ValueError):
            return repr(value)
        except RecursionError:
            return reprlib.repr(value)
    return str(value)


def _json(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, default=_jsonable)
    except TypeError:
        # A key that JSON has not.
        return json.dumps(_with_text_keys(value), ensure_ascii=False, default=_jsonable)


def _with_text_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key if isinstance(key, str) else str(_jsonable(key)): _with_text_keys(each)
            for key, each in value.items()
        }
    return [_with_text_keys(each) for each in value] if isinstance(value, list | tuple) else value


def _jsonable(value: Any) -> Any:
    """What stands in JSON for a value that it has not."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if (table := table_text(value)) is not None:
        return table
    numpy, pandas = sys.modules.get("numpy"), sys.modules.get("pandas")
    if pandas is not None and (value is pandas.NA or value is pandas.NaT):
        return None
    if numpy is not None and isinstance(value, numpy.generic | numpy.ndarray):
        if value.size > MOST_NUMBERS:
            return str(value)
        return (value.astype(str) if value.dtype.kind in "mM" else value).tolist()
    if _is_column(value):
        return value.to_pylist() if hasattr(value, "to_pylist") else value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Set | ValuesView | deque):
        return list(value)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return str(value)


def _is_column(value: Any) -> bool:
    """Whether it is an array of pandas or Arrow, and not too long."""
    pandas, pyarrow = sys.modules.get("pandas"), sys.modules.get("pyarrow")
    kinds = (pandas.Index, pandas.api.extensions.ExtensionArray) if pandas is not None else ()
    kinds += (pyarrow.Array, pyarrow.ChunkedArray) if pyarrow is not None else ()
    return isinstance(value, kinds) and len(value) <= MOST_NUMBERS
