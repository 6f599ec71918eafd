"""A Turn as text and as still HTML: what stays in a saved notebook, without style sheet, script or widget.

Everything that a model or a tool wrote is escaped here, or rendered from Markdown with HTML turned off.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from html import escape
from typing import TYPE_CHECKING, NamedTuple

from .session import Status, Usage
from .text import whole

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

    from .turn import ToolCall, Turn

# JupyterLab's theme variables, with what other pages show instead.
COLOURS = {
    Status.IDLE: "var(--jp-success-color1, #2e7d32)",
    Status.RUNNING: "var(--jp-brand-color1, #1976d2)",
    Status.ERROR: "var(--jp-error-color1, #d32f2f)",
    Status.UNKNOWN: "var(--jp-ui-font-color2, #757575)",
    Status.NONE: "var(--jp-ui-font-color2, #757575)",
}
SHOWN_CHARACTERS = 200_000
"""So much of one text is shown; far more would make the page and the saved file unusable."""
WAITING = "var(--jp-warn-color1, #e65100)"
TEXT = "var(--jp-ui-font-color1, #212121)"
RESULTS = "the Turn's tools"
MUTED = "var(--jp-ui-font-color2, #757575)"


def dollars(cost: Decimal | None) -> str:
    """A cost in USD with four digits, "—" when it is not known.

    >>> dollars(Decimal("0.03124")), dollars(None), dollars(Decimal("0.00001"))
    ('$0.0312', '—', '<$0.0001')
    """
    if cost is None:
        return "—"
    return "<$0.0001" if 0 < cost < Decimal("0.00005") else f"${cost:,.4f}"


def tokens(usage: Usage) -> tuple[str, str]:
    """Tokens in and out as shown: "~" marks an estimate, and how much of the input came from a cache.

    >>> tokens(Usage(uncached_input_tokens=1000, cache_read_input_tokens=3000, output_tokens=20))
    ('4,000 (75% cached)', '20')
    """
    about = "~" if usage.estimated else ""
    cached = usage.cache_read_input_tokens
    share = f" ({cached / usage.input_tokens:.0%} cached)" if cached else ""
    return f"{about}{usage.input_tokens:,}{share}", f"{about}{usage.output_tokens:,}"


def badge(status: Status, waiting: bool = False, activity: str = "") -> str:
    """The badge's words.

    >>> badge(Status.RUNNING, waiting=True)
    'running · waiting for you'
    """
    return " · ".join(filter(None, [status.value, "waiting for you" if waiting else activity]))


class Fact(NamedTuple):
    """One thing that the panel says: "in ", "12,480", " (74% cached)". The middle is shown strong."""

    before: str
    strong: str = ""
    after: str = ""
    title: str = ""

    def __str__(self) -> str:
        return self.before + self.strong + self.after


CLOCK = 1
"""Which of `facts` is the time: a live view counts it on by itself."""


def facts(turn: Turn) -> list[Fact]:
    """What the panel says beside the badge, in its order."""
    tokens_in, tokens_out = tokens(turn.usage)
    count, _, cached = tokens_in.partition(" ")
    title = "no list price for this model" if turn.cost is None else ""
    said = [
        Fact("", turn.session, "".join(f" · {word}" for word in (turn.model, turn.backend) if word)),
        Fact(stopped(turn) or f"{turn.seconds:.1f} s{tool_count(turn)}"),
        Fact("in ", count, f" {cached}" if cached else ""),
        Fact("out ", tokens_out),
        Fact("cost " if title else "", dollars(turn.cost), "", title),
    ]
    return said + session_cost(turn)


def session_cost(turn: Turn) -> list[Fact]:
    """What the whole session cost, once it has more turns than this one; nothing where no price is known."""
    said = []
    for told in turn.spent:
        if told.per == "session" and told.turns > 1 and (told.usd or not told.unpriced):
            at_least, title = ("≥ ", "a part of it has no list price") if told.unpriced else ("", "")
            said.append(Fact("session ", at_least + dollars(told.usd), "", title))
    return said


def budget(turn: Turn) -> tuple[float, str] | None:
    """How much of its budget is spent, 1 for all of it, and in words; of several budgets the one that is
    nearest to its end, None without any.

    >>> from .events import Spent
    >>> from .turn import Turn
    >>> budget(Turn(spent=(Spent(per="turn", usd=Decimal("0.031"), limit=Decimal("0.10")),)))
    (0.31, '31% of $0.1000 (turn)')
    """
    shares = [(float(told.usd / told.limit), told) for told in turn.spent if told.limit]
    if not shares:
        return None
    share, told = max(shares, key=lambda pair: pair[0])
    return share, f"{share:.0%} of {dollars(told.limit)} ({told.per})"


def tool_count(turn: Turn) -> str:
    """How many tools were called, after a dot; nothing when none was."""
    return f" · {len(turn.tools)} tool{'s' if len(turn.tools) > 1 else ''}" if turn.tools else ""


def stopped(turn: Turn) -> str:
    """Why and when the turn ended, where it did not end by itself; "" where it did."""
    if turn.stop_reason == "interrupted":
        return f"stopped by you after {turn.seconds:.1f} s, the text so far is kept"
    return f"{turn.detail or turn.stop_reason} after {turn.seconds:.1f} s" if _cut_short(turn) else ""


def _cut_short(turn: Turn) -> bool:
    return turn.stop_reason not in ("", "end_turn", "error")


def panel_text(turn: Turn) -> str:
    """The panel as one line: badge, session, model, seconds, tokens, cost."""
    words = badge(turn.status, bool(turn.waiting), turn.activity)
    return clean(f"[{words}] " + "  ".join(map(str, facts(turn))))


def below_text(turn: Turn) -> str:
    """All that stands under the answer as text: tool calls, notices, the panel."""
    lines = [tool_line(call) for call in turn.tools]
    lines += [f"note: {notice}" for notice in turn.notices]
    return "\n".join([clean(line) for line in lines] + [panel_text(turn)])


def text(turn: Turn) -> str:
    """The whole turn as plain text."""
    return "\n\n".join(filter(None, [shown(clean(turn.text)), error_text(turn), below_text(turn)]))


def error_text(turn: Turn) -> str:
    """The error's one line, "" when there was none."""
    return f"{type(turn.error).__name__}: {turn.error}" if turn.error else ""


def tool_line(call: ToolCall) -> str:
    """A tool call in one line."""
    mark = "…" if call.ended is None else "✗" if call.is_error or call.approval == "denied" else "✓"
    seconds = "" if call.seconds is None else f" {call.seconds:.1f} s"
    return f"▸ {call.name} {short(arguments(call), 80)} {mark}{seconds}"


def arguments(call: ToolCall) -> str:
    """The arguments for reading: the bare value when there is just one, else JSON."""
    try:
        values = json.loads(call.arguments)
    except ValueError:
        return call.arguments
    if isinstance(values, dict) and [type(value) for value in values.values()] == [str]:
        return str(*values.values())
    return "" if values == {} else json.dumps(values, ensure_ascii=False)


def readable(call: ToolCall) -> str:
    """The arguments in full: the bare text when that is all there is, else JSON in lines."""
    try:
        values = json.loads(call.arguments)
    except ValueError:
        return call.arguments
    if isinstance(values, dict) and [type(value) for value in values.values()] == [str]:
        return str(*values.values())
    return json.dumps(values, ensure_ascii=False, indent=2)


def short(text: str, width: int) -> str:
    """One line of at most `width` characters."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"


# Control characters but tab and newline, and what turns the reading direction.
_DANGEROUS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def clean(text: str) -> str:
    """`text` as every page takes it, without what could drive a terminal or turn its reading direction."""
    return _DANGEROUS.sub("", whole(text))


def exact(text: str) -> str:
    """`text` for somebody who decides about it: what `clean` leaves out is written as an escape.

    >>> exact("# only look\\rimport os")
    '# only look\\\\rimport os'
    """
    return _DANGEROUS.sub(lambda match: repr(match[0])[1:-1], whole(text))


def shown(text: str, where: str = "the Turn's text") -> str:
    """`text`, or its first SHOWN_CHARACTERS and a line that says where the rest is.

    >>> shown("short")
    'short'
    """
    if len(text) <= SHOWN_CHARACTERS:
        return text
    return f"{text[:SHOWN_CHARACTERS]}\n\n… {len(text) - SHOWN_CHARACTERS:,} more characters are in {where}."


def html(turn: Turn) -> str:
    """The whole turn as still HTML."""
    return markdown(shown(turn.text)) + below_html(turn, error=True)


def markdown(source: str) -> str:
    """Markdown as HTML: no raw HTML, no `javascript:` links, and pictures only as links, since merely
    showing a picture would tell its server what the address says."""
    return str(_parser().disable("image").render(clean(source)))


def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False}).enable("table")


def safe_markdown(source: str) -> str:
    """Markdown for a page's own renderer, which would load pictures and take HTML: here pictures are links
    and HTML is text. Code stays as it is.

    >>> safe_markdown("![x](http://a.example/?secret) <img src=y> `<b>`")
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
    return "\n".join(
        line if number in code else _safe_line(line, less_than) for number, line in enumerate(lines)
    )


_DIAGRAM = re.compile(r"(`{3,}|~{3,})[ \t]*(mermaid)", re.IGNORECASE)
# An escaped character; code (no further than a table's cell goes); a picture; HTML, but no <https://…>;
# backticks that close nothing.
_MARKUP = re.compile(
    r"\\[!-/:-@\[-`{-~]|(?P<ticks>(?<!`)`+)(?!`)[^|]+?(?<!`)(?P=ticks)(?!`)"
    r"|(?P<picture>!\[)|(?P<tag><(?!https?://[^\s<>]*>)(?=[A-Za-z/!?]))|`+"
)
_LONG_LINE = 20_000
"""A line so long is no prose: looking for code in it could take long."""


def _safe_line(line: str, less_than: str) -> str:
    if len(line) > _LONG_LINE:
        return line.replace("![", "&#33;[").replace("<", less_than)

    def safe(match: re.Match[str]) -> str:
        if match["picture"]:
            return "&#33;["
        return less_than if match["tag"] else match[0]

    return _MARKUP.sub(safe, line)


def below_html(turn: Turn, *, error: bool = False) -> str:
    """Tool calls, notices and the panel as still HTML; with `error`, the error's line too."""
    parts = [_tool_html(call) for call in turn.tools]
    parts += [
        f'<div style="font-size: 12px; color: {MUTED}">{_safe(notice)}</div>' for notice in turn.notices
    ]
    if error and turn.error:
        border = f"border-left: 3px solid {COLOURS[Status.ERROR]}; padding: 4px 10px; margin: 6px 0"
        parts.append(f'<div style="{border}">{_safe(error_text(turn))}</div>')
    return "".join(parts) + panel_html(turn)


def badge_html(status: Status, waiting: bool = False, activity: str = "") -> str:
    """The badge: its state in words, its colour from the theme."""
    colour = WAITING if waiting else COLOURS[status]
    dot = "○" if status is Status.NONE else "●"
    style = (
        f"display: inline-block; color: {colour}; border: 1px solid {colour}; border-radius: 10px; "
        "padding: 0 9px 0 7px; font-size: 11.5px; line-height: 18px"
    )
    return f'<b style="{style}">{dot} {_safe(badge(status, waiting, activity))}</b>'


def panel_html(turn: Turn) -> str:
    """The panel as still HTML. Without its styles, as GitHub shows it, it reads as one line."""
    style = (
        "border-top: 1px solid var(--jp-border-color2, #e0e0e0); margin-top: 8px; padding: 6px 0 3px; "
        f"font-size: 12px; color: {MUTED}; font-variant-numeric: tabular-nums"
    )
    badge = badge_html(turn.status, bool(turn.waiting), turn.activity)
    said = [badge, *map(_fact_html, facts(turn))]
    return f'<div style="{style}">{" &nbsp;".join(said)}</div>'


def _fact_html(fact: Fact) -> str:
    title = f' title="{_safe(fact.title)}"' if fact.title else ""
    strong = f'<b style="color: {TEXT}; font-weight: 600">{_safe(fact.strong)}</b>' if fact.strong else ""
    style = "white-space: nowrap; margin-left: 8px"
    return f'<span style="{style}"{title}>{_safe(fact.before)}{strong}{_safe(fact.after)}</span>'


def _tool_html(call: ToolCall) -> str:
    box = "margin: 2px 0 6px 16px; max-height: 20em; overflow: auto; white-space: pre-wrap"
    parts = [call.arguments, call.result]
    boxes = [f'<pre style="{box}">{_safe(shown(part, RESULTS))}</pre>' for part in parts if part]
    summary = f'<summary style="font-size: 12px; color: {MUTED}">{_safe(tool_line(call)[2:])}</summary>'
    return f"<details>{summary}{''.join(boxes)}</details>"


def _safe(text: str) -> str:
    return escape(clean(text))
