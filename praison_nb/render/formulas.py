r"""Formulas in Markdown: `$…$`, `$$…$$`, `\(…\)`, `\[…\]`. They stay TeX in the HTML, in an element that
MathJax (JupyterLab's, or that of nbconvert's pages) typesets; around it nothing is, so $5 and $6 are prices.

>>> from praison_nb.render.markdown import to_html
>>> to_html("$x^2$ costs $5 or $6").count("_process")
2
"""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ..text import strip_control_chars

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_inline import StateInline

LONG = 2000
"""Characters of one formula."""
PRICE = 10
"""A formula costs as much as so many characters of one."""
DEEP = 8
"""Levels of braces and styles in it. Some forty fractions in each other end Chromium's tab."""

_ENDS = {"$$": "$$", "\\[": "\\]", "\\(": "\\)"}
_COMMANDS = frozenset(Path(__file__).with_name("tex_commands.txt").read_text().split())
"""What a formula may say. Others can define something for the whole page, change attributes of elements, draw
outside of their place, or nest without braces."""
_COMMAND = re.compile(r"\\(?:([A-Za-z]+)|.)", re.DOTALL)
_OTHER_ENVIRONMENT = re.compile(
    r"\\(?:begin|end)(?!\s*\{(?:[pbBvV]?matrix|smallmatrix|cases|array|aligned|alignedat|gathered|split|"
    r"(?:align|gather|equation|multline|eqnarray)\*?)\})"
)
# Comments, which hide braces; lengths of three digits and more.
_HARMFUL = re.compile(r"(?<!\\)(?:\\\\)*%|\d{3,}(?:\.\d*)?\s*(?:em|ex|pt|pc|px|in|cm|mm|mu)\b")
_STYLE = re.compile(r"\\(?:(?:display|text|script)style|color)(?![A-Za-z])")
"""What holds for all that follows: one is within the other."""
_NESTING = re.compile(
    r"\\(?P<open>left|begin)(?![A-Za-z])|\\(?P<close>right|end)(?![A-Za-z])|\\.|[{}]", re.DOTALL
)
_IN_DOLLARS = re.compile(r"\$(?![\s$])((?:[^$\\]|\\.)+)(?<!\s)\$(?!\d)", re.DOTALL)


_DELIMITER = re.compile(r"\$|\\(?=[(\[]|begin)")
_MOST_DELIMITERS = 50


def escape(text: str) -> str:
    """Any text as HTML that is safe to show: markup is text, control characters are gone, and nothing is a
    formula, wherever a page copies the text to: the slides of nbconvert have a line for screen readers that
    their MathJax typesets too.

    >>> escape("a < $5")
    'a &lt; <span aria-hidden="true">$</span><span role="img" aria-label="$"></span>5'
    """
    text = strip_control_chars(text)
    if delimiters(text) > _MOST_DELIMITERS:
        return f'<span aria-hidden="true">{html.escape(text)}</span>'
    return _DELIMITER.sub(
        lambda match: _HIDDEN_DOLLAR if match[0] == "$" else "<span>\\</span>", html.escape(text)
    )


_HIDDEN_DOLLAR = '<span aria-hidden="true">$</span><span role="img" aria-label="$"></span>'


def delimiters(text: str) -> int:
    """How many signs of formulas there are in `text`, each of which costs an element or two."""
    return text.count("$") + text.count("\\(") + text.count("\\[") + text.count("\\begin")


class Budget(Protocol):
    """What an answer may still cost the page: characters of TeX, and PRICE for each formula."""

    tex: int


def to_html(tex: str, budget: Budget) -> str:
    r"""A formula, delimiters included, as HTML that is typeset where the budget pays for it; else as code.

    >>> from praison_nb.render.markdown import Budget
    >>> to_html("$a<b$", Budget())
    '<span class="mathjax_process tex2jax_process">$a&lt;b$</span>'
    >>> to_html(r"$\def\x{y}$", Budget())
    '<code><span ...>$</span>...</code>'
    """
    if len(tex) > min(LONG, budget.tex - PRICE) or not _is_harmless(tex):
        return f"<code>{escape(tex)}</code>"
    budget.tex -= len(tex) + PRICE
    return f'<span class="mathjax_process tex2jax_process">{html.escape(tex)}</span>'


def _is_harmless(tex: str) -> bool:
    return (
        all(command[1] is None or command[1] in _COMMANDS for command in _COMMAND.finditer(tex))
        and not _OTHER_ENVIRONMENT.search(tex)
        and not _HARMFUL.search(tex)
        and _depth(tex) + len(_STYLE.findall(tex)) <= DEEP
    )


def _depth(tex: str) -> int:
    depth = deepest = 0
    for match in _NESTING.finditer(tex):
        if match["open"] or match[0] == "{":
            depth += 1
            deepest = max(deepest, depth)
        elif match["close"] or match[0] == "}":
            depth -= 1
    return deepest


def add_rules(parser: MarkdownIt) -> None:
    """Have `parser` make tokens `formula` and `formula_block`, whose content has the delimiters too."""
    parser.inline.ruler.before("escape", "formula", _inline)
    may_interrupt = ["paragraph", "reference", "blockquote", "list"]
    parser.block.ruler.before("fence", "formula_block", _block, {"alt": may_interrupt})


def _inline(state: StateInline, silent: bool) -> bool:
    start = state.pos
    opened = state.src[start : start + 2]
    end = 0
    if opened in _ENDS:
        closed = state.src.find(_ENDS[opened], start + 2, state.posMax)
        end = closed + 2 if closed > start + 2 else 0
    elif opened.startswith("$") and not state.src[max(0, start - 1) : start].isalnum():
        match = _IN_DOLLARS.match(state.src, start, state.posMax)
        end = match.end() if match else 0
    if not end:
        return False
    if not silent:
        state.push("formula", "", 0).content = state.src[start:end]
    state.pos = end
    return True


def _block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """A formula by itself, whose lines would else be lists or headings."""
    if state.is_code_block(start):
        return False
    opened = _line(state, start)[:2]
    if opened not in ("$$", "\\["):
        return False
    closed = _ENDS[opened]
    # Where no end was found once there is none for what begins in between: no line is looked at twice.
    hopeless = state.env.setdefault("formula_ends", {})
    if start < hopeless.get(closed, 0):
        return False
    for line in range(start, end):
        text = _line(state, line).rstrip()
        if not text or state.sCount[line] < state.blkIndent:
            break
        if text.endswith(closed) and not (line == start and len(text) < 5):
            if line == start and text.index(closed, 2) != len(text) - 2:
                return False
            if not silent:
                token = state.push("formula_block", "", 0)
                token.content = state.getLines(start, line + 1, state.blkIndent, False).strip()
                token.map = [start, line + 1]
                state.line = line + 1
            return True
    else:
        line = end
    hopeless[closed] = line
    return False


def _line(state: StateBlock, number: int) -> str:
    return state.src[state.bMarks[number] + state.tShift[number] : state.eMarks[number]]
