"""What the panel says of a turn or a session, for every way of showing it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..money import format_usd, mark_usd
from ..session import Status, Usage
from ..text import shorten, strip_control_chars
from ..turn import Turn
from .visible import one_line


class Badge(NamedTuple):
    """A status as users see it: the word, and what the turn waits for or does.

    >>> str(Badge(Status.RUNNING, waiting=True))
    'running · waiting for you'
    """

    status: Status
    waiting: bool = False
    activity: str = ""

    @classmethod
    def of(cls, status: Status, turn: Turn | None) -> Badge:
        """The badge of a session with this status, whose last turn is `turn`."""
        return cls(status, bool(turn and turn.waiting), turn.activity if turn else "")

    def __str__(self) -> str:
        parts = [self.status.value, "waiting for you" if self.waiting else self.activity]
        return strip_control_chars(" · ".join(filter(None, parts)))


class Fact(NamedTuple):
    """One thing that the panel says: "in ", "12,480", " (74% cached)". The middle is shown strong, and leads
    to the address `link` where there is one."""

    before: str
    strong: str = ""
    after: str = ""
    title: str = ""
    link: str = ""


MOST_THREADS = 25
"""Of a turn's sub-agents so many have a line."""


def turn_panel(turn: Turn, hint: str = "") -> dict[str, Any]:
    """The panel of a turn, as the page builds it: `label` is the badge's text, and `facts` stand beside it,
    each as `Fact` has it. The page counts the seconds in fact number `clock` on from `elapsed`. A
    `hint` stands in the place of Stop.

    >>> from praison_nb.turn import Turn
    >>> panel = turn_panel(Turn(model="gpt-4o", ended=0.0))
    >>> panel["label"], panel["facts"][0][:3]
    ('idle', ['', 'main', ' · gpt-4o'])
    """
    facts = [
        heading(turn.session, turn.model, turn.backend),
        Fact(stop_text(turn) or f"{turn.seconds:.1f} s{_tool_count(turn)}"),
        *token_facts(turn.usage),
        *cost_facts(turn),
    ]
    return {
        **_panel(turn.status, turn, facts),
        "clock": 1,
        "elapsed": round(turn.seconds, 3),
        "tools": _tool_count(turn),
        "stoppable": True,
        "hint": hint if turn.status is Status.RUNNING else "",
        "notices": [one_line(notice) for notice in turn.notices],
        "threads": thread_lines(turn),
    }


def thread_lines(turn: Turn) -> list[str]:
    """A line for each sub-agent's thread: its name, status, tokens and cost; of very many the first.

    >>> from decimal import Decimal
    >>> from praison_nb.turn import Thread, Turn
    >>> scout = Thread("sthr_1", "scout", "idle", Usage(output_tokens=300), priced=Decimal("0.0045"))
    >>> thread_lines(Turn(threads=(scout,)))
    ['sub-agent scout · idle · in 0 · out 300 · $0.0045']
    """
    lines = []
    for thread in turn.threads[:MOST_THREADS]:
        tokens = ["".join(fact) for fact in token_facts(thread.usage)]
        used = [*tokens, format_usd(thread.cost)] if thread.usage != Usage() else []
        words = [one_line(shorten(word, 60)) for word in (f"sub-agent {thread.agent}", thread.status)]
        lines.append(" · ".join([*filter(None, words), *used]))
    more = len(turn.threads) - len(lines)
    return [*lines, f"{more:,} more sub-agents"] if more else lines


def session_panel(status: Status, usage: Usage, turn: Turn | None, *head: str) -> dict[str, Any]:
    """The panel of a session, as `turn_panel` has it: `usage` is of all its turns, the last one is `turn`."""
    facts = [*([heading(*head)] if head else []), *token_facts(usage)]
    return _panel(status, turn, facts)


def _panel(status: Status, turn: Turn | None, facts: Sequence[Fact]) -> dict[str, Any]:
    budget = budget_share(turn) if turn else None
    return {**panel(Badge.of(status, turn), [*facts, *_of_session(turn)]), "budget": budget}


def panel(badge: Badge, facts: Sequence[Fact]) -> dict[str, Any]:
    """A panel of badge and facts, as `turn_panel` has it."""
    return {
        "status": badge.status.value,
        "waiting": badge.waiting,
        "label": str(badge),
        "facts": [[strip_control_chars(part) for part in fact] for fact in facts],
        "clock": -1,
        "elapsed": 0,
        "tools": "",
        "running": badge.status is Status.RUNNING,
        "stoppable": False,
        "hint": "",
        "notices": [],
        "threads": [],
        "budget": None,
    }


def without_clock(panel: dict[str, Any]) -> dict[str, Any]:
    """The panel without what the page counts on by itself."""
    facts = [fact for index, fact in enumerate(panel["facts"]) if index != panel["clock"]]
    return {**panel, "facts": facts, "elapsed": 0}


def heading(name: str, *details: str) -> Fact:
    """What a panel is of, and details such as the model."""
    return Fact("", one_line(name), "".join(f" · {one_line(detail)}" for detail in details if detail))


def token_facts(usage: Usage) -> list[Fact]:
    """Tokens in and out: "~" marks an estimate, and how much of the input came from a cache.

    >>> usage = Usage(uncached_input_tokens=1000, cache_read_input_tokens=3000, output_tokens=20)
    >>> ["".join(fact) for fact in token_facts(usage)]
    ['in 4,000 (75% cached)', 'out 20']
    """
    about = "~" if usage.estimated else ""
    cached = usage.cache_read_input_tokens
    share = f" ({cached / usage.input_tokens:.0%} cached)" if cached else ""
    return [
        Fact("in ", f"{about}{usage.input_tokens:,}", share),
        Fact("out ", f"{about}{usage.output_tokens:,}"),
    ]


def cost_facts(turn: Turn) -> list[Fact]:
    """What the turn cost: "~" marks an estimate, "≥" that a part has no price, and what was paid beside
    tokens is said by itself.

    >>> from decimal import Decimal
    >>> from praison_nb.turn import Turn
    >>> turn = Turn(priced=Decimal("0.031"), fees=Decimal("0.01"), is_lower_bound=True)
    >>> ["".join(fact[:3]) for fact in cost_facts(turn)]
    ['≥ $0.0310', 'of it fees $0.0100']
    """
    if turn.cost is None:
        return [Fact("cost ", format_usd(None), title="no list price for this model")]
    if turn.cost_sources == ("local",) and not turn.cost:
        return [Fact("", "free, local", title="it runs on a machine of your own")]
    marks = {"estimated": bool(turn.estimated_cost), "is_lower_bound": turn.is_lower_bound}
    facts = [
        Fact(
            "", mark_usd(turn.cost, **marks), title="a part of it has no price" if turn.is_lower_bound else ""
        )
    ]
    if turn.fees:
        facts.append(Fact("of it fees ", format_usd(turn.fees), title="for searches and the like"))
    return facts


def _of_session(turn: Turn | None) -> list[Fact]:
    """What the whole session cost, once it has more turns than this one; nothing where no price is known.
    And its id, where that leads somewhere."""
    facts = []
    for spent in turn.spent if turn else ():
        if spent.per == "session" and spent.turns > 1 and (spent.usd or not spent.unpriced):
            at_least, title = ("≥ ", "a part of it has no list price") if spent.unpriced else ("", "")
            facts.append(Fact("session ", at_least + format_usd(spent.usd), "", title))
    if turn and turn.session_url.startswith(("https://", "http://")):
        title = "where its provider shows the session"
        facts.append(Fact("", one_line(turn.session_id), "", title, turn.session_url))
    return facts


def budget_share(turn: Turn) -> dict[str, Any] | None:
    """How much of its budget is spent, 1 for all of it, and a title that says so; of several budgets the one
    that is nearest to its end, None without any.

    >>> from decimal import Decimal
    >>> from praison_nb.events import Spent
    >>> from praison_nb.turn import Turn
    >>> budget_share(Turn(spent=(Spent(per="turn", usd=Decimal("0.031"), limit=Decimal("0.10")),)))
    {'spent': 0.31, 'title': '31% of $0.1000 (turn)'}
    """
    shares = [(float(spent.usd / spent.limit), spent) for spent in turn.spent if spent.limit]
    if not shares:
        return None
    share, spent = max(shares, key=lambda pair: pair[0])
    return {"spent": share, "title": f"{share:.0%} of {format_usd(spent.limit)} ({spent.per})"}


def _tool_count(turn: Turn) -> str:
    return f" · {len(turn.tools)} tool{'s' if len(turn.tools) > 1 else ''}" if turn.tools else ""


def stop_text(turn: Turn) -> str:
    """Why and when the turn ended, where it did not end by itself; "" where it did."""
    match turn.stop_reason:
        case "" | "end_turn" | "error":
            return ""
        case "interrupted":
            return f"stopped by you after {turn.seconds:.1f} s, the text so far is kept"
        case reason:
            return f"{turn.detail or reason} after {turn.seconds:.1f} s"
