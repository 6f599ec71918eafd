"""The files that a hosted agent wrote, as a turn shows them. All of them are hostile: a picture is shown only
as PNG, JPEG or GIF, a table as text in cells."""

from __future__ import annotations

import csv
import html
import re
from collections.abc import Sequence

from ..content import OutputFile
from ..text import shorten, strip_control_chars
from .formulas import escape
from .visible import one_line

ROWS, COLUMNS, CELL_CHARACTERS = 20, 15, 80
"""Of a table that is shown."""
_PICTURES = ("image/png", "image/jpeg", "image/gif")
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")


def files_line(files: Sequence[OutputFile]) -> str:
    """All of them in one line, "" without any.

    >>> files_line([OutputFile(id="file_1", name="plot.png", size=12_400)])
    'wrote plot.png (12.4 kB)'
    """
    return one_line(f"wrote {', '.join(each.line for each in files)}") if files else ""


def files_html(files: Sequence[OutputFile]) -> str:
    """The pictures and tables as static HTML."""
    return "".join(_file_html(each) for each in files if each.content)


def _file_html(file: OutputFile) -> str:
    name = html.escape(one_line(file.name), quote=True)
    if file.media_type in _PICTURES and _BASE64.fullmatch(file.content):
        source = f"data:{file.media_type};base64,{file.content}"
        return f'<div><img alt="{name}" title="{name}" src="{source}" style="max-width: 100%"></div>'
    if file.media_type == "text/csv":
        return _table_html(file)
    return ""


def _table_html(file: OutputFile) -> str:
    rows = _rows(file.content)
    if not rows:
        return ""
    lines = [
        f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in row)}</tr>"
        for tag, row in zip(["th", *["td"] * ROWS], rows, strict=False)
    ]
    head, body = lines[0], "".join(lines[1:])
    more = len(rows) > ROWS + 1 or len(file.content.encode()) < file.size
    end = f"<div>{escape(f'The beginning of {one_line(file.name)}.')}</div>" if more else ""
    return f"<table><thead>{head}</thead><tbody>{body}</tbody></table>{end}"


def _rows(text: str) -> list[list[str]]:
    """The first rows, and one more where there are more; [] for what is no table."""
    try:
        reader = csv.reader(text.splitlines())
        rows = [row for row, _ in zip(reader, range(ROWS + 2), strict=False) if row]
    except csv.Error:
        return []
    shown = [[shorten(strip_control_chars(cell), CELL_CHARACTERS) for cell in row[:COLUMNS]] for row in rows]
    return [[*row, "…"] if len(rows[at]) > COLUMNS else row for at, row in enumerate(shown)]
