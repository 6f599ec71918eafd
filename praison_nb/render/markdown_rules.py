"""How our Markdown differs from CommonMark: what is a link, where a table ends, what becomes HTML."""

from __future__ import annotations

import functools
import html
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from . import formulas
from .formulas import escape

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_core import StateCore
    from markdown_it.token import Token

_BARE_ADDRESS = re.compile(r"\bhttps?://[^\s<>\"'`*]*[^\s<>\"'`*.,;:!?)\]]")
_SMALL_TABLE = 4
"""Columns from which on a row that lacks half of them is no row."""


def is_safe_address(address: str) -> bool:
    """Whether a click on it can only open a page or a mail, and the address is what it seems.

    >>> is_safe_address("https://example.org/a"), is_safe_address("mailto:a@example.org")
    (True, True)
    >>> is_safe_address("javascript:alert(1)"), is_safe_address("https://example.org@evil.example/")
    (False, False)
    """
    if any(character <= " " or character in '<>"`\\' for character in address):
        return False
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    if parts.scheme == "mailto":
        return bool(parts.path)
    return parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc


LONG_PARAGRAPH = 20_000
"""Characters of one paragraph or cell; a longer one is text and nothing else."""
MOST_LINK_STEPS = 1_000_000
"""The parser looks from each bracket on to the paragraph's end: brackets times characters."""


def add_rules(parser: MarkdownIt) -> None:
    """Change `parser`."""
    parser.validateLink = is_safe_address  # type: ignore[method-assign, assignment]
    from markdown_it.rules_block.table import table

    def bounded(state: StateBlock, start: int, end: int, silent: bool) -> bool:
        if silent or not table(state, start, end, True):
            return silent and table(state, start, end, True)
        return table(state, start, _end_of_rows(state, start, end), False)

    parser.block.ruler.at("table", bounded, {"alt": ["paragraph", "reference"]})

    def keep_long_as_text(state: StateCore) -> None:
        for token in state.tokens:
            length = len(token.content)
            if token.type == "inline" and (
                length > LONG_PARAGRAPH or length * token.content.count("[") > MOST_LINK_STEPS
            ):
                token.type = "long"

    parser.core.ruler.before("inline", "long", keep_long_as_text)


def _end_of_rows(state: StateBlock, start: int, end: int) -> int:
    """The line of the first row that lacks more than half of the head's columns: padding would cost far more
    than its text."""

    def pipes(line: int) -> int:
        return state.src.count("|", state.bMarks[line], state.eMarks[line])

    columns = pipes(start)
    line = start + 2
    while line < end and not state.isEmpty(line) and (columns < _SMALL_TABLE or 2 * pipes(line) >= columns):
        line += 1
    return line


@functools.cache
def page() -> Any:
    """The renderer's class. It counts what a page has to do against the budget in `env`."""
    from markdown_it.renderer import RendererHTML

    class Page(RendererHTML):
        """Each method renders the tokens of one type; the others are rendered by their tags."""

        def formula(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
            return formulas.to_html(tokens[index].content, env["budget"])

        def formula_block(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
            return f"<p>{formulas.to_html(tokens[index].content, env['budget'])}</p>\n"

        def fence(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
            # Its language is no class: some pages draw diagrams of what has one.
            return f'<pre style="margin: 1em 2em"><code>{escape(tokens[index].content)}</code></pre>\n'

        def code_block(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
            return self.fence(tokens, index, options, env)

        def td_open(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
            # JupyterLab has cells of tables stand to the right.
            tokens[index].attrs.setdefault("style", "text-align:left")
            return self.renderToken(tokens, index, options, env)

        th_open = td_open

        def long(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
            return escape(tokens[index].content)

        def code_inline(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
            return f"<code>{escape(tokens[index].content)}</code>"

        def text(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
            content = tokens[index].content
            if "://" not in content or env.get("in_link"):
                return escape(content)
            parts, end = [], 0
            for match in _BARE_ADDRESS.finditer(content):
                if is_safe_address(match[0]):
                    text = escape(match[0])
                    parts += [escape(content[end : match.start()]), _link(match[0]), text, "</a>"]
                    end = match.end()
            return "".join([*parts, escape(content[end:])])

        def link_open(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
            env["in_link"] = True
            return _link(str(tokens[index].attrGet("href")))

        def link_close(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
            env["in_link"] = False
            return "</a>"

        def image(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
            address = str(tokens[index].attrGet("src"))
            label = escape(f"🖼 {tokens[index].content or address}")
            return label if env.get("in_link") else f"{_link(address, 'pnb-picture')}{label}</a>"

    return Page


def _link(address: str, kind: str = "") -> str:
    if not address:
        return "<a>"
    classed = f' class="{kind}"' if kind else ""
    return f'<a href="{html.escape(address)}"{classed} target="_blank" rel="noopener noreferrer">'
