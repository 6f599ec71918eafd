"""A Turn as text and as still HTML: what stays in a saved notebook, without style sheet, script or widget.

Everything that a model or a tool wrote is escaped here, or rendered from Markdown with HTML turned off.
"""

from __future__ import annotations

import json
from decimal import Decimal
from html import escape
from typing import TYPE_CHECKING, NamedTuple

from .. import text as plain
from ..session import Status, Usage
from . import formulas, markdown, review

if TYPE_CHECKING:
    from ..turn import ToolCall, Turn

# JupyterLab's theme variables, with what other pages show instead.
COLOURS = {
    Status.IDLE: "var(--jp-success-color1, #2e7d32)",
    Status.RUNNING: "var(--jp-brand-color1, #1976d2)",
    Status.ERROR: "var(--jp-error-color1, #d32f2f)",
    Status.UNKNOWN: "var(--jp-ui-font-color2, #757575)",
    Status.NONE: "var(--jp-ui-font-color2, #757575)",
}
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
        Fact(
            "",
            review.one_line(turn.session),
            "".join(f" · {word}" for word in (turn.model, turn.backend) if word),
        ),
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
    return plain.clean(f"[{words}] " + "  ".join(map(str, facts(turn))))


def below_text(turn: Turn) -> str:
    """All that stands under the answer as text: tool calls, notices, the panel."""
    lines = [tool_line(call) for call in turn.tools]
    lines += [f"note: {review.one_line(notice)}" for notice in turn.notices]
    return "\n".join([plain.clean(line) for line in lines] + [panel_text(turn)])


def text(turn: Turn) -> str:
    """The whole turn as plain text."""
    return "\n\n".join(
        filter(None, [plain.shown(plain.clean(turn.text)), error_text(turn), below_text(turn)])
    )


def error_text(turn: Turn) -> str:
    """The error's one line, "" when there was none."""
    return f"{type(turn.error).__name__}: {turn.error}" if turn.error else ""


def tool_line(call: ToolCall) -> str:
    """A tool call in one line."""
    mark = "…" if call.ended is None else "✗" if call.is_error or call.approval == "denied" else "✓"
    seconds = "" if call.seconds is None else f" {call.seconds:.1f} s"
    name = review.one_line(call.name, 60)
    return f"▸ {name} {review.one_line(plain.short(arguments(call), 80))} {mark}{seconds}"


def arguments(call: ToolCall) -> str:
    """The arguments in short: the text when that is all, else JSON."""
    try:
        values = json.loads(call.arguments)
    except (ValueError, RecursionError):
        return call.arguments
    if isinstance(values, dict) and [type(value) for value in values.values()] == [str]:
        [text] = values.values()
        return str(text)
    return "" if values == {} else json.dumps(values, ensure_ascii=False)


def html(turn: Turn) -> str:
    """The whole turn as still HTML."""
    return answer_html(turn) + below_html(turn, error=True)


def answer_html(turn: Turn) -> str:
    """The answer as still HTML, "" where there is none; of a very long one its beginning."""
    from ..turn import Message

    texts, room = [], plain.SHOWN_CHARACTERS
    for item in turn.items:
        if isinstance(item, Message) and item.text:
            texts.append(item.text[: max(0, room)])
            room -= len(item.text)
    if room < 0:
        texts.append(f"… {-room:,} more characters are in the Turn's text.")
    return markdown.to_html(*texts)


def below_html(turn: Turn, *, error: bool = False) -> str:
    """Tool calls, notices and the panel as still HTML; with `error`, the error's line too."""
    parts = [folded(tool_line(call)[2:], call.arguments, call.result) for call in turn.tools]
    parts += [
        f'<div style="font-size: 12px; color: {MUTED}">{_safe(review.one_line(notice))}</div>'
        for notice in turn.notices
    ]
    if error and turn.error:
        border = f"border-left: 3px solid {COLOURS[Status.ERROR]}; padding: 4px 10px; margin: 6px 0"
        parts.append(f'<div style="{border}">{_safe(error_text(turn))}</div>')
    # A sum of dollars is no formula.
    return f'<div class="{markdown.NO_FORMULAS}">{"".join(parts)}{panel_html(turn)}</div>'


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
    title = f' title="{escape(plain.clean(fact.title))}"' if fact.title else ""
    strong = f'<b style="color: {TEXT}; font-weight: 600">{_safe(fact.strong)}</b>' if fact.strong else ""
    style = "white-space: nowrap; margin-left: 8px"
    return f'<span style="{style}"{title}>{_safe(fact.before)}{strong}{_safe(fact.after)}</span>'


def folded(line: str, *boxes: str) -> str:
    """A tool call as still HTML: its line, and behind a click what it got and gave."""
    style = "margin: 2px 0 6px 16px; max-height: 20em; overflow: auto; white-space: pre-wrap"
    inner = [f'<pre style="{style}">{_safe(plain.shown(box, RESULTS))}</pre>' for box in boxes if box]
    summary = f'<summary style="font-size: 12px; color: {MUTED}">{_safe(line)}</summary>'
    return f"<details>{summary}{''.join(inner)}</details>"


def _safe(text: str) -> str:
    return formulas.escape(plain.clean(text))
