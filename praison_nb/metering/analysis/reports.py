"""Reads the reports of usage and cost that providers and gateways export: files, parsed JSON, pages of it."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from ...errors import ConfigError
from .report_formats import Line, UnreadableNumberError, entries_of

Source = str | os.PathLike[str] | Mapping[str, Any] | Iterable[Any]
KNOWN = "usage or cost report of OpenAI, Anthropic, OpenRouter or LiteLLM"
_DELIMITERS = ",;\t"


@dataclass
class Report:
    """All that was reported by one `provider`. Of its `days` some may have no line: nothing was used."""

    provider: str = ""
    lines: list[Line] = field(default_factory=list)
    days: set[date] = field(default_factory=set)


def read(source: Source) -> Report:
    """The report in a file, in parsed JSON, or in a list of those. Raises ConfigError."""
    report, ends, kinds, providers = Report(), 0, set[bool](), set[str]()
    for part in _parts(source):
        try:
            provider, entries = entries_of(part)
            found = list(entries)
        except UnreadableNumberError as error:
            raise ConfigError(f"The report is not read: {error}") from None
        except (KeyError, TypeError, ValueError, AttributeError, InvalidOperation, OverflowError) as error:
            raise ConfigError(f"The report is not as its provider writes it ({error!r:.200}).") from error
        if not provider:
            raise ConfigError(f"This is no {KNOWN}.")
        if found:
            providers.add(provider)
        report.days |= {entry.day for entry in found}
        lines = [entry.line for entry in found if entry.line is not None]
        kinds |= {line.cost is None for line in lines}
        report.lines += lines
        ends += not _has_more(part)
    if not ends or ends < len(kinds):
        raise ConfigError("The report has more pages: give all of them, as a list.")
    if not report.days:
        raise ConfigError("The report speaks of no usage.")
    if len(providers) != 1:
        raise ConfigError("Compare one provider's reports at a time.")
    report.provider = providers.pop()
    return report


def _has_more(part: Any) -> bool:
    if not isinstance(part, Mapping):
        return False
    about = {**(part.get("metadata") or {}), **part}
    return bool(about.get("has_more")) or int(about.get("page") or 0) < int(about.get("total_pages") or 0)


def _parts(source: Source) -> Iterator[Any]:
    """Pages, and tables as lists of rows."""
    if isinstance(source, Mapping):
        yield source
    elif isinstance(source, str | os.PathLike):
        yield from _parts_of_json(_file(Path(source).expanduser()))
    else:
        items = list(source)
        if any(isinstance(item, str | os.PathLike) for item in items):
            for item in items:
                yield from _parts(item)
        else:
            yield from _parts_of_json(items)


def _parts_of_json(found: Any) -> Iterator[Any]:
    """Pages in a list are one each, a list of rows is a table."""
    if isinstance(found, list) and any(_is_page(item) for item in found):
        for item in found:
            yield from _parts_of_json(item)
    else:
        yield found


def _is_page(item: Any) -> bool:
    if not isinstance(item, Mapping):
        return isinstance(item, list)
    return isinstance(item.get("data"), list) or ("metadata" in item and "results" in item)


def _file(path: Path) -> Any:
    try:
        data = path.read_bytes()
        if data.startswith(b"\x1f\x8b"):
            data = gzip.decompress(data)
        encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
        text = data.decode(encoding)
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise ConfigError(f"The report {path} cannot be read: {error}.") from error
    if not text.lstrip().startswith(("{", "[")):
        return _table(text, path)
    try:
        return json.loads(text, parse_float=Decimal)
    except ValueError as error:
        try:
            # One page, or one row, a line.
            return [json.loads(line, parse_float=Decimal) for line in text.splitlines() if line.strip()]
        except ValueError:
            raise ConfigError(f"The report {path} is no JSON: {error}.") from error


def _table(text: str, path: Path) -> list[dict[str, str]]:
    header = text.lstrip().partition("\n")[0]
    delimiter = max(_DELIMITERS, key=header.count)
    try:
        rows = list(csv.DictReader(io.StringIO(text.lstrip(), newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise ConfigError(f"The report {path} is no CSV: {error}.") from error
    cut = next((number for number, row in enumerate(rows, 2) if None in row or None in row.values()), 0)
    if cut:
        raise ConfigError(
            f"Line {cut} of the report {path} has not as many columns as the first: export it again, with a "
            "decimal point and quotes around text."
        )
    return [{name.strip(): value for name, value in row.items()} for row in rows]
