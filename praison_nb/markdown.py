"""Markdown that a model wrote, as HTML of our own: what stays in the notebook, and what the live view shows.

It is never handed on as Markdown: two parsers never agree on every text, and where they differ a script gets
through. Here raw HTML is text, an address is http, https or mailto, and a picture is a link, since merely
showing it would tell its server what the address says. Nothing costs more than its length: what would (deep
nesting, tables that are mostly padding, thousands of elements or formulas) is shown as the text that it is.

>>> "<p><strong>bold</strong> &lt;b&gt;text&lt;/b&gt;</p>" in to_html("**bold** <b>text</b>")
True
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING, NamedTuple

from .plain import clean

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

MOST_ELEMENTS = 4000
"""Elements of one answer; a block that would need more is shown as text. A page lays out some 50 in a ms."""
MOST_TEX = 4000
"""What of one answer is typeset: characters of TeX, and ten for each formula. The rest is shown as code.
MathJax takes some 40 µs for one."""
DEEP = 16
"""Levels of quotes and lists."""
LONG_TAIL = 800
"""A block that is still being written and has more parts than this is formatted anew only when it has grown
by an eighth, so that all of it together costs a multiple of its length."""

# Only marked formulas are typeset, and what overflows (stacked accents, say) stays within the answer.
NO_FORMULAS = "mathjax_ignore tex2jax_ignore"
"""Classes of an element in which a page typesets nothing but what is marked."""
_OPEN = f'<div class="pnb-answer {NO_FORMULAS}" style="overflow-x: auto; overflow-y: hidden">'
_AS_TEXT = '<p style="white-space: pre-wrap">{}</p>\n'


def to_html(source: str) -> str:
    """The Markdown `source` as HTML, "" of nothing."""
    lines, budget = _lines(clean(source)), Budget()
    made = "".join(_block_html(block, lines, budget) for block in _blocks(lines))
    return f"{_OPEN}{made}</div>" if made else ""


@dataclass
class Budget:
    """What an answer may still cost the page."""

    elements: int = MOST_ELEMENTS
    tex: int = MOST_TEX


class Shown(NamedTuple):
    """Growing Markdown: HTML of the blocks that more text cannot change, HTML of the block that is being
    written, and text of that which is not formatted yet."""

    done: str = ""
    tail: str = ""
    rest: str = ""


class Growing:
    r"""Renders Markdown that grows: each block once it is whole, and the last one as it comes. `budget` is
    what the answer's messages before this one left.

    >>> growing = Growing()
    >>> growing.show("# A\n\nHello\n")
    Shown(done='<h1>A</h1>\n', tail='<p>Hello</p>\n', rest='')
    >>> growing.show("# A\n\nHello\n*you*").tail
    '<p>Hello\n<em>you</em></p>\n'
    """

    def __init__(self, budget: Budget | None = None) -> None:
        self._first_budget = replace(budget or Budget())
        self._begin("")

    def _begin(self, text: str) -> None:
        self._text = text
        self._source = clean(text)
        self._budget = replace(self._first_budget)
        self.budget = replace(self._first_budget)
        """What is left after the text shown last."""
        self._done = ""
        self._end = 0
        """Where in the source the blocks end that are done."""
        self._formatted = 0
        """How much after that is in the tail."""
        self._tail = ""
        self._parts = 0
        """How much work the tail is."""

    def show(self, text: str) -> Shown:
        """The text so far, all of it. One that is no continuation of the last begins anew."""
        if not text.startswith(self._text):
            self._begin(text)
        elif len(text) > len(self._text):
            self._source += clean(text[len(self._text) :])
            self._text = text
        unfinished = len(self._source) - self._end
        if unfinished - self._formatted > (self._formatted // 8 if self._parts > LONG_TAIL else 0):
            self._format()
        return Shown(self._done, self._tail, self._source[self._end + self._formatted :])

    def _format(self) -> None:
        # A line that has only begun may turn out to belong to the block before it.
        lines = _lines(self._source[self._end : self._source.rfind("\n") + 1])
        *whole, last = _blocks(lines) or [_Block(0, 0, [])]
        self._done += "".join(_block_html(block, lines, self._budget) for block in whole)
        self._end += len("".join(lines[: last.first_line]))
        tail = _lines(self._source[self._end :])
        blocks = _blocks(tail)
        self.budget = replace(self._budget)
        self._tail = "".join(_block_html(block, tail, self.budget) for block in blocks)
        self._formatted = len(self._source) - self._end
        self._parts = sum(len(block.tokens) for block in blocks) + self._formatted // 10


class _Block(NamedTuple):
    """One block of the answer's top level."""

    first_line: int
    end_line: int
    tokens: Sequence[Token]


def _lines(text: str) -> list[str]:
    """The lines with their ends, as Markdown has them: other characters that end a line for Python do not."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _blocks(lines: list[str]) -> list[_Block]:
    blocks: list[_Block] = []
    tokens: list[Token] = []
    for token in _parser().parse("".join(lines)):
        tokens.append(token)
        if token.level == 0 and token.nesting <= 0:
            first, end = tokens[0].map or (0, 0)
            blocks.append(_Block(first, end, tokens))
            tokens = []
    return blocks


def _block_html(block: _Block, lines: list[str], budget: Budget) -> str:
    elements = sum(
        1 for token in _flat(block.tokens) if token.nesting >= 0 and token.type not in _NO_ELEMENTS
    )
    if elements > budget.elements or any(token.level >= DEEP for token in _flat(block.tokens)):
        return _AS_TEXT.format(escape("".join(lines[block.first_line : block.end_line]).rstrip()))
    budget.elements -= elements
    parser = _parser()
    return str(parser.renderer.render(block.tokens, parser.options, {"budget": budget}))


_NO_ELEMENTS = ("text", "inline", "softbreak")


def _flat(tokens: Sequence[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from token.children or ()


@functools.cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    from . import formulas, markdown_rules

    parser = MarkdownIt(
        "commonmark", {"html": False, "maxNesting": DEEP + 4}, renderer_cls=markdown_rules.page()
    )
    # Without definitions of links elsewhere in the text each block stands for itself.
    parser.enable(["table", "strikethrough"]).disable("reference")
    formulas.add_rules(parser)
    markdown_rules.add_rules(parser)
    return parser
