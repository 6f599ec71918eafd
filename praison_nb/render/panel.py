"""What the panel says of a turn, for every way of showing it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..money import format_usd
from ..session import Status, Usage
from .visible import one_line

if TYPE_CHECKING:
    from ..turn import Turn


def format_tokens(usage: Usage) -> tuple[str, str]:
    """Tokens in and out as shown: "~" marks an estimate, and how much of the input came from a cache.

    >>> format_tokens(Usage(uncached_input_tokens=1000, cache_read_input_tokens=3000, output_tokens=20))
    ('4,000 (75% cached)', '20')
    """
    about = "~" if usage.estimated else ""
    cached = usage.cache_read_input_tokens
    share = f" ({cached / usage.input_tokens:.0%} cached)" if cached else ""
    return f"{about}{usage.input_tokens:,}{share}", f"{about}{usage.output_tokens:,}"


def badge_text(status: Status, waiting: bool = False, activity: str = "") -> str:
    """The badge's words.

    >>> badge_text(Status.RUNNING, waiting=True)
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


def panel_facts(turn: Turn) -> list[Fact]:
    """What the panel says beside the badge, in its order."""
    tokens_in, tokens_out = format_tokens(turn.usage)
    count, _, cached = tokens_in.partition(" ")
    title = "no list price for this model" if turn.cost is None else ""
    said = [
        Fact(
            "",
            one_line(turn.session),
            "".join(f" · {word}" for word in (turn.model, turn.backend) if word),
        ),
        Fact(stop_text(turn) or f"{turn.seconds:.1f} s{tool_count(turn)}"),
        Fact("in ", count, f" {cached}" if cached else ""),
        Fact("out ", tokens_out),
        Fact("cost " if title else "", format_usd(turn.cost), "", title),
    ]
    return said + session_cost_facts(turn)


def session_cost_facts(turn: Turn) -> list[Fact]:
    """What the whole session cost, once it has more turns than this one; nothing where no price is known."""
    said = []
    for told in turn.spent:
        if told.per == "session" and told.turns > 1 and (told.usd or not told.unpriced):
            at_least, title = ("≥ ", "a part of it has no list price") if told.unpriced else ("", "")
            said.append(Fact("session ", at_least + format_usd(told.usd), "", title))
    return said


def budget_share(turn: Turn) -> tuple[float, str] | None:
    """How much of its budget is spent, 1 for all of it, and in words; of several budgets the one that is
    nearest to its end, None without any.

    >>> from decimal import Decimal
    >>> from praison_nb.events import Spent
    >>> from praison_nb.turn import Turn
    >>> budget_share(Turn(spent=(Spent(per="turn", usd=Decimal("0.031"), limit=Decimal("0.10")),)))
    (0.31, '31% of $0.1000 (turn)')
    """
    shares = [(float(told.usd / told.limit), told) for told in turn.spent if told.limit]
    if not shares:
        return None
    share, told = max(shares, key=lambda pair: pair[0])
    return share, f"{share:.0%} of {format_usd(told.limit)} ({told.per})"


def tool_count(turn: Turn) -> str:
    """How many tools were called, after a dot; nothing when none was."""
    return f" · {len(turn.tools)} tool{'s' if len(turn.tools) > 1 else ''}" if turn.tools else ""


def stop_text(turn: Turn) -> str:
    """Why and when the turn ended, where it did not end by itself; "" where it did."""
    if turn.stop_reason == "interrupted":
        return f"stopped by you after {turn.seconds:.1f} s, the text so far is kept"
    return f"{turn.detail or turn.stop_reason} after {turn.seconds:.1f} s" if _cut_short(turn) else ""


def _cut_short(turn: Turn) -> bool:
    return turn.stop_reason not in ("", "end_turn", "error")
