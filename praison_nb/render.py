"""A Turn as text and as still HTML: what stays in a saved notebook, without style sheet, script or widget.

Everything that a model or a tool wrote is escaped here, or rendered from Markdown with HTML turned off.
"""

from __future__ import annotations

import json
from decimal import Decimal
from html import escape
from typing import TYPE_CHECKING

from .session import Status, Usage

if TYPE_CHECKING:
    from .turn import ToolCall, Turn

# JupyterLab's theme variables, with what other pages show instead.
COLOURS = {
    Status.IDLE: "var(--jp-success-color1, #2e7d32)",
    Status.RUNNING: "var(--jp-brand-color1, #1976d2)",
    Status.ERROR: "var(--jp-error-color1, #d32f2f)",
    Status.UNKNOWN: "var(--jp-ui-font-color2, #757575)",
    Status.NONE: "var(--jp-ui-font-color2, #757575)",
}
WAITING = "var(--jp-warn-color1, #e65100)"
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


def facts(turn: Turn) -> list[str]:
    """What the panel says beside the badge, in its order."""
    tokens_in, tokens_out = tokens(turn.usage)
    time_and_tools = f"{turn.seconds:.1f} s"
    if turn.tools:
        time_and_tools += f" · {len(turn.tools)} tool{'s' if len(turn.tools) > 1 else ''}"
    return [
        " · ".join(filter(None, [turn.session, turn.model, turn.backend])),
        stopped(turn) or time_and_tools,
        f"in {tokens_in}",
        f"out {tokens_out}",
        f"cost {dollars(turn.cost)}",
    ]


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
    return clean(f"[{words}] " + "  ".join(facts(turn)))


def below_text(turn: Turn) -> str:
    """All that stands under the answer as text: tool calls, notices, the panel."""
    lines = [tool_line(call) for call in turn.tools]
    lines += [f"note: {notice}" for notice in turn.notices]
    return "\n".join([clean(line) for line in lines] + [panel_text(turn)])


def text(turn: Turn) -> str:
    """The whole turn as plain text."""
    return "\n\n".join(filter(None, [clean(turn.text), error_text(turn), below_text(turn)]))


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


def short(text: str, width: int) -> str:
    """One line of at most `width` characters."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"


def clean(text: str) -> str:
    """`text` without what could drive a terminal or turn its reading direction."""
    return "".join(c for c in text if c in "\n\t" or not _dangerous(ord(c)))


def _dangerous(code: int) -> bool:
    control = code < 0x20 or 0x7F <= code < 0xA0
    return control or 0x202A <= code <= 0x202E or 0x2066 <= code <= 0x2069 or code in (0x200E, 0x200F, 0x061C)


def html(turn: Turn) -> str:
    """The whole turn as still HTML."""
    return markdown(turn.text) + below_html(turn, error=True)


def markdown(source: str) -> str:
    """Markdown as HTML: no raw HTML, no `javascript:` links, and pictures only as links, since merely
    showing a picture would tell its server what the address says."""
    from markdown_it import MarkdownIt

    renderer = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    return str(renderer.render(clean(source)))


def below_html(turn: Turn, *, error: bool = False) -> str:
    """Tool calls, notices and the panel as still HTML; with `error`, the error's line too."""
    parts = [_tool_html(call) for call in turn.tools]
    parts += [f'<div style="color: {MUTED}">{_safe(notice)}</div>' for notice in turn.notices]
    if error and turn.error:
        border = f"border-left: 3px solid {COLOURS[Status.ERROR]}; padding: 4px 10px; margin: 6px 0"
        parts.append(f'<div style="{border}">{_safe(error_text(turn))}</div>')
    return "".join(parts) + panel_html(turn)


def badge_html(status: Status, waiting: bool = False, activity: str = "") -> str:
    """The badge: its state in words, its colour from the theme."""
    colour = WAITING if waiting else COLOURS[status]
    dot = "○" if status is Status.NONE else "●"
    style = f"color: {colour}; border: 1px solid {colour}; border-radius: 10px; padding: 0 8px"
    return f'<b style="{style}">{dot} {_safe(badge(status, waiting, activity))}</b>'


def panel_html(turn: Turn) -> str:
    """The panel as still HTML."""
    style = (
        "border-top: 1px solid var(--jp-border-color2, #e0e0e0); margin-top: 8px; padding: 6px 0 3px; "
        f"font-size: 12px; color: {MUTED}; font-variant-numeric: tabular-nums"
    )
    title = ' title="no list price for this model"'
    spans = [f"<span{title if fact == 'cost —' else ''}>{_safe(fact)}</span>" for fact in facts(turn) if fact]
    gap = " &nbsp; "
    return (
        f'<div style="{style}">{badge_html(turn.status, bool(turn.waiting), turn.activity)}'
        f"{gap}{gap.join(spans)}</div>"
    )


def _tool_html(call: ToolCall) -> str:
    box = "margin: 2px 0 6px 16px; max-height: 20em; overflow: auto; white-space: pre-wrap"
    result = f'<pre style="{box}">{_safe(call.result)}</pre>' if call.result else ""
    summary = f'<summary style="font-size: 12px; color: {MUTED}">{_safe(tool_line(call)[2:])}</summary>'
    return f'<details>{summary}<pre style="{box}">{_safe(call.arguments)}</pre>{result}</details>'


def _safe(text: str) -> str:
    return escape(clean(text))
