"""Markdown that a model wrote, made harmless: as HTML of our own, or for a page's renderer."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from .plain import clean

if TYPE_CHECKING:
    from markdown_it import MarkdownIt


def to_html(source: str) -> str:
    """Markdown as HTML: no raw HTML, no `javascript:` links, and pictures only as links, since merely
    showing a picture would tell its server what the address says."""
    return str(_parser().disable("image").render(clean(source)))


def _parser(*, html: bool = False) -> MarkdownIt:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": html}).enable("table")


def safe(source: str) -> str:
    """Markdown for a page's own renderer, which would load pictures and take HTML: here pictures are links
    and HTML is text. Code stays as it is.

    >>> safe("![x](http://a.example/?secret) <img src=y> `<b>`")
    '&#33;[x](http://a.example/?secret) &lt;img src=y> `<b>`'
    """
    source = clean(source)
    # JupyterLab draws Mermaid's diagrams, and loads the pictures in their labels: they are shown as code.
    source = _DIAGRAM.sub(r"\1text \2", source)
    if "![" not in source and "<" not in source:
        return source
    # Within a formula an entity would be an error, a space is none.
    less_than = "< " if re.search(r"\$|\\\(|\\\[", source) else "&lt;"
    code: set[int] = set()
    for token in _parser().parse(source):
        if token.type in ("fence", "code_block") and token.map:
            code.update(range(*token.map))
    lines = source.split("\n")

    def rewritten(safe_line: Callable[[str, str], str]) -> str:
        return "\n".join(
            line if number in code else safe_line(line, less_than) for number, line in enumerate(lines)
        )

    made = rewritten(_safe_line)
    # Code may begin in one line and end in another, so that what looked like code is none.
    return made if _is_harmless(made) else rewritten(_bare_line)


def _is_harmless(source: str) -> bool:
    tokens = _parser(html=True).parse(source)
    harm = {"image", "html_inline", "html_block"}
    return not any(each.type in harm for token in tokens for each in (token, *(token.children or ())))


_DIAGRAM = re.compile(r"(`{3,}|~{3,})[ \t]*(mermaid)", re.IGNORECASE)
# An escaped character; code (no further than a table's cell goes); a picture; an address, or else HTML;
# backticks that close nothing.
_MARKUP = re.compile(
    r"\\[!-/:-@\[-`{-~]|(?P<ticks>(?<!`)`+)(?!`)[^|]+?(?<!`)(?P=ticks)(?!`)"
    r"|(?P<picture>!\[)|<https?://[^\s<>]*>|(?P<tag><(?=[A-Za-z/!?]))|`+"
)
_LONG_LINE = 20_000
"""A line so long is no prose: looking for code in it could take long."""


def _safe_line(line: str, less_than: str) -> str:
    if len(line) > _LONG_LINE:
        return _bare_line(line, less_than)

    def escaped(match: re.Match[str]) -> str:
        if match["picture"]:
            return "&#33;["
        return less_than if match["tag"] else match[0]

    return _MARKUP.sub(escaped, line)


def _bare_line(line: str, less_than: str) -> str:
    return line.replace("![", "&#33;[").replace("<", less_than)
