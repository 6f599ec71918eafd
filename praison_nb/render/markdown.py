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
from typing import TYPE_CHECKING, NamedTuple

from ..text import strip_control_chars
from . import formulas
from .formulas import escape

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

MOST_ELEMENTS = 2000
"""Elements of one answer; from the block on that needs more it is text. JupyterLab lays out ten in a ms."""
CODE_ELEMENTS = 4
"""A piece of code costs the page as much as so many other elements."""
MOST_TEX = 1500
"""What of one answer is typeset: characters of TeX, and ten for each formula. The rest is shown as code.
MathJax takes some 40 µs for one."""
DEEP = 16
"""Levels of quotes and lists."""
LONG_BLOCK = 50_000
"""Characters of one paragraph, list, table or piece of code."""
WINDOW = 200
"""Lines that are parsed together."""
LONG_TAIL = 800
"""A block that is still being written and has more parts than this is formatted anew only when it has grown
by an eighth, so that all of it together costs a multiple of its length."""

# Only marked formulas are typeset, and what overflows (stacked accents, say) stays within the answer.
NO_FORMULAS = "mathjax_ignore tex2jax_ignore"
"""Classes of an element in which a page typesets nothing but what is marked."""
OPEN_ANSWER = f'<div class="pnb-answer {NO_FORMULAS}" style="overflow-x: auto; overflow-y: hidden">'


def to_html(*sources: str) -> str:
    """The Markdown of an answer's messages as HTML, "" of nothing. Each message stands for itself."""
    budget, html = Budget(), ""
    for source in sources:
        stream = MarkdownStream(budget)
        done, tail, rest = stream.render(source)
        html += done + tail + (_as_text(rest) if rest else "")
        budget = stream.budget
    return f"{OPEN_ANSWER}{html}</div>" if html else ""


def _as_text(source: str) -> str:
    text = escape(source.strip("\n"))
    return f'<p style="white-space: pre-wrap">{text}</p>\n'


@dataclass
class Budget:
    """What an answer may still cost the page."""

    elements: int = MOST_ELEMENTS
    tex: int = MOST_TEX


class Rendered(NamedTuple):
    """Growing Markdown: HTML of the blocks that more text cannot change, HTML of the block that is being
    written, and text of that which is not formatted yet."""

    done: str = ""
    tail: str = ""
    rest: str = ""


class MarkdownStream:
    r"""Renders Markdown that grows: each block once it is whole, and the last one as it comes. `budget` is
    what the answer's messages before this one left.

    >>> stream = MarkdownStream()
    >>> stream.render("# A\n\nHello\n")
    Rendered(done='<h1>A</h1>\n', tail='<p>Hello</p>\n', rest='')
    >>> stream.render("# A\n\nHello\n*you*").tail
    '<p>Hello\n<em>you</em></p>\n'
    """

    def __init__(self, budget: Budget | None = None) -> None:
        self._first_budget = replace(budget or Budget())
        self._begin("")

    def _begin(self, text: str) -> None:
        self._text = text
        self._source = strip_control_chars(text)
        self._budget = replace(self._first_budget)
        self.budget = replace(self._first_budget)
        """What is left after the text shown last."""
        self._done = ""
        self._end = 0
        """Where in the source the blocks end that are done."""
        self._is_text = False
        """Whether what follows is too much for blocks, and stays text."""
        self._tail = ""
        self._formatted = 0
        """How much of the source after the end is in the tail."""
        self._work = 0
        """How much work the tail is."""

    def render(self, text: str) -> Rendered:
        """The text so far, all of it. One that is no continuation of the last begins anew."""
        if not text.startswith(self._text):
            self._begin(text)
        elif len(text) > len(self._text):
            self._source += strip_control_chars(text[len(self._text) :])
            self._text = text
        more = len(self._source) - self._end - self._formatted
        if not self._is_text and more > (self._formatted // 8 if self._work > LONG_TAIL else 0):
            self._finish_blocks()
            self._format_tail()
        return Rendered(self._done, self._tail, self._source[self._end + self._formatted :])

    def _finish_blocks(self) -> None:
        """Render the blocks that are whole, some lines at a time: what is too much is known before all of it
        is parsed. A line that has only begun may turn out to belong to the block before it."""
        lines = _lines(self._source[self._end : self._source.rfind("\n") + 1])
        first, count = 0, WINDOW
        while first < len(lines) and not self._is_text:
            window = lines[first : first + count]
            is_last = first + count >= len(lines)
            blocks = _blocks(window)
            held = _open_formula(window)
            whole = [block for block in blocks[:-1] if block.end_line <= held]
            if not whole and not is_last:
                # A block that is longer than the window, or nothing but empty lines.
                self._is_text = bool(blocks) and not self._fits(blocks[0], "".join(window))
                count *= 2
                continue
            for block in whole:
                if not self._fits(block, "".join(window[block.first_line : block.end_line])):
                    self._is_text = True
                    break
                self._done += _block_html(block, window, self._budget)
                first_left = block.end_line
            if not whole:
                break
            first_left = whole[-1].end_line if not self._is_text else block.first_line
            self._end += len("".join(window[:first_left]))
            first, count = first + first_left, WINDOW

    def _format_tail(self) -> None:
        tail = self._source[self._end :]
        lines = _lines(tail)
        blocks = [] if self._is_text else _blocks(lines)
        self._is_text = self._is_text or not all(self._fits(block, tail) for block in blocks)
        self.budget = replace(self._budget)
        if self._is_text:
            self.budget.elements = 0
            blocks = []
        self._tail = "".join(_block_html(block, lines, self.budget) for block in blocks)
        self._formatted = 0 if self._is_text else len(tail)
        self._work = sum(len(block.tokens) for block in blocks) + len(lines) + len(tail) // 10

    def _fits(self, block: _Block, text: str) -> bool:
        return len(text) <= LONG_BLOCK and _elements(block) <= self._budget.elements


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
    budget.elements -= _elements(block)
    if any(token.level >= DEEP for token in _flat(block.tokens)):
        return _as_text("".join(lines[block.first_line : block.end_line]))
    parser = _parser()
    return str(parser.renderer.render(block.tokens, parser.options, {"budget": budget}))


def _elements(block: _Block) -> int:
    count = 0
    for token in _flat(block.tokens):
        is_code = token.type in ("fence", "code_block")
        count += CODE_ELEMENTS if is_code else token.nesting >= 0 and token.type not in _NO_ELEMENTS
        if token.type not in _FORMULAS_AND_THEIR_TEXT:
            count += min(formulas.delimiters(token.content), 50) * 2
    return count


def _open_formula(lines: list[str]) -> int:
    """The line with which a formula begins that may end in a later line; how many lines there are without
    one."""
    begin, closed = len(lines), ""
    for number, line in enumerate(lines):
        text = line.rstrip()
        if begin < len(lines):
            if not text or text.endswith(closed):
                begin = len(lines)
        elif match := _FORMULA_BEGINS.match(text):
            closed = "$$" if match[1] == "$$" else "\\]"
            if not match[2].endswith(closed):
                begin = number
    return begin


_FORMULA_BEGINS = re.compile(r"[\s>]*(?:[-*+]|\d{1,9}[.)])?\s*(\$\$|\\\[)(.*)", re.DOTALL)
_NO_ELEMENTS = ("text", "inline", "softbreak")
_FORMULAS_AND_THEIR_TEXT = ("formula", "formula_block", "inline")


def _flat(tokens: Sequence[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from token.children or ()


@functools.cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    from . import markdown_rules

    parser = MarkdownIt(
        "commonmark", {"html": False, "maxNesting": DEEP + 4}, renderer_cls=markdown_rules.page()
    )
    # Without definitions of links elsewhere in the text each block stands for itself.
    parser.enable(["table", "strikethrough"]).disable("reference")
    formulas.add_rules(parser)
    markdown_rules.add_rules(parser)
    return parser
