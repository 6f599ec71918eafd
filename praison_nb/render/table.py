"""Tables of what others wrote, as HTML that a page's list of elements has and as text."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ..text import shorten, strip_control_chars
from .formulas import escape
from .markdown import OPEN_ANSWER

MOST_ROWS = 20
MOST_COLUMNS = 20
CELL_CHARACTERS = 200
"""Of a value among others."""
VALUE_CHARACTERS = 20_000
"""Of one that stands alone."""


def columns_of(rows: Sequence[Sequence[str]], numbers: Collection[int] = ()) -> list[str]:
    """The lines of a table as text. What would move its columns is left out before they are measured.

    >>> columns_of([["name", "rows"], ["a", "10"]], numbers={1})
    ['name  rows', 'a       10']
    """
    lines = [[strip_control_chars(cell) for cell in line] for line in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]

    def padded(index: int, cell: str) -> str:
        return cell.rjust(widths[index]) if index in numbers else cell.ljust(widths[index])

    return ["  ".join(padded(*each) for each in enumerate(line)).rstrip() for line in lines]


def table_html(headers: Sequence[str], rows: Sequence[Sequence[str]], numbers: Collection[int] = ()) -> str:
    """The table as HTML, without headers where they are none."""

    def line(tag: str, cells: Sequence[str]) -> str:
        return f"<tr>{''.join(cell(tag, *each) for each in enumerate(cells))}</tr>"

    def cell(tag: str, index: int, content: str) -> str:
        align = "right" if index in numbers else "left"
        return f'<{tag} style="text-align:{align}">{escape(content)}</{tag}>'

    head = f"<thead>{line('th', headers)}</thead>" if headers else ""
    return f"<table>{head}<tbody>{''.join(line('td', row) for row in rows)}</tbody></table>\n"


def records_table(
    records: Sequence[Mapping[str, Any]], count: int, more: str = "… {} more"
) -> tuple[str, str]:
    """The first rows of `count` as HTML and as text; `more` says how many are left out.

    >>> print(records_table([{"label": "good", "stars": 5}], 3)[1])
    label  stars
    good       5
    … 2 more
    """
    shown = records[:MOST_ROWS]
    names = list(dict.fromkeys(name for record in shown for name in record))
    left = names[MOST_COLUMNS:]
    names = names[:MOST_COLUMNS]
    rows = [
        [shorten(value_text(record.get(name, "")), CELL_CHARACTERS) for name in names] for record in shown
    ]
    numbers = {index for index, name in enumerate(names) if all(map(_is_number, _column(shown, name)))}
    headers = [shorten(name, CELL_CHARACTERS) for name in names]
    notes = [f"… and the columns {shorten(', '.join(left), CELL_CHARACTERS)}"] if left else []
    notes += [more.format(f"{count - len(shown):,}")] if count > len(shown) else []
    html = table_html(headers, rows, numbers) + "".join(f"<p>{escape(note)}</p>\n" for note in notes)
    return html, "\n".join([*columns_of([headers, *rows], numbers), *map(strip_control_chars, notes)])


def data_table(data: Any) -> tuple[str, str]:
    """What JSON holds, as HTML and as text: a list is rows, an object its fields and values, anything else
    its text.

    >>> print(data_table({"label": "good", "stars": 5})[1])
    label  good
    stars  5
    """
    if isinstance(data, list) and data:
        first = data[:MOST_ROWS]
        return records_table(
            [each if isinstance(each, dict) else {"value": each} for each in first], len(data)
        )
    if isinstance(data, dict) and data:
        pairs = [(shorten(str(name), CELL_CHARACTERS), alone(value)) for name, value in data.items()]
        shown = pairs[: MOST_ROWS * 5]
        html = "".join(
            f'<tr><th style="text-align:left">{escape(name)}</th><td style="text-align:left">'
            f'<span style="white-space: pre-wrap">{escape(value)}</span></td></tr>'
            for name, value in shown
        )
        rest = f"… {len(pairs) - len(shown):,} more" if len(pairs) > len(shown) else ""
        # A value of several lines goes on below itself.
        width = max(len(strip_control_chars(name)) for name, _ in shown) + 2
        lines = [
            f"{strip_control_chars(name).ljust(width)}"
            + strip_control_chars(value).replace("\n", "\n" + " " * width)
            for name, value in shown
        ]
        note = f"<p>{escape(rest)}</p>\n" if rest else ""
        return f"<table><tbody>{html}</tbody></table>\n{note}", "\n".join([*lines, *filter(None, [rest])])
    text = {"[]": "an empty list", "{}": "an empty object", "null": "None"}.get(json.dumps(data), alone(data))
    return f'<p style="white-space: pre-wrap">{escape(text)}</p>\n', strip_control_chars(text)


def answer_part(html: str) -> str:
    """The HTML as an answer that stays."""
    return f"{OPEN_ANSWER}{html}</div>"


def code_html(text: str) -> str:
    """A text as code."""
    return f"<pre><code>{escape(text)}</code></pre>\n"


def alone(value: Any) -> str:
    """A value that stands alone, of a very long one its beginning."""
    text = value_text(value)
    return text if len(text) <= VALUE_CHARACTERS else f"{text[:VALUE_CHARACTERS]}…"


def value_text(value: Any) -> str:
    """A value in a cell: a text as it is, lists and objects as JSON."""
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return "" if value is None else str(value)


def _column(records: Sequence[Mapping[str, Any]], name: str) -> list[Any]:
    return [record[name] for record in records if record.get(name) is not None]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
