"""All sessions as the rows of a table: `%agent sessions` and `praison_nb.sessions()` show them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from .... import store
from ....metering import writer
from ....metering.session_totals import session_totals
from ....money import mark_usd
from ....render.panel import Badge
from ....session import Status
from ....store import SessionSummary
from ....text import strip_control_chars
from ...conversations.conversation import Conversation
from ...conversations.registry import Conversations
from ...conversations.restore import status_of
from ...views.tables import Row as Cells, as_html, as_text

HEADERS = ["session", "status", "model", "turns", "in", "out", "cost", "last used", "notebook", "id"]
NUMBERS = ("turns", "in", "out", "cost")
SHOWN_ROWS = 25
"""More would make a page slow and its file long: a text finds the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A session as the table shows it. `cost` in USD is of the turns that have a price, `unpriced` counts the
    others; `last_used` is in seconds since 1970, 0 before the first turn."""

    name: str
    id: str
    badge: Badge
    model: str
    backend: str
    turns: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: Decimal = Decimal(0)
    unpriced: int = 0
    estimated: bool = False
    is_lower_bound: bool = False
    last_used: float = 0
    notebook: str = ""
    is_archived: bool = False

    def cells(self) -> Cells:
        """The cells of the table, in the order of HEADERS."""
        known = mark_usd(self.cost, estimated=self.estimated, is_lower_bound=self.is_lower_bound)
        is_known = self.turns and not self.unpriced
        cost = known if is_known else "—" if not self.cost else f"{known} + —"
        when = f"{datetime.fromtimestamp(self.last_used):%Y-%m-%d %H:%M}" if self.last_used else ""
        name = f"{self.name} (archived)" if self.is_archived else self.name
        counts = [f"{count:,}" for count in (self.turns, self.tokens_in, self.tokens_out)]
        model = f"{self.model} · {self.backend}"
        return [name, self.badge, model, *counts, cost, when, self.notebook, self.id]


@dataclass(frozen=True, slots=True)
class Listing:
    """The sessions of a table: the first `rows` of those that match, and how many `more` match. `is_empty`
    where there are none at all."""

    rows: list[Row]
    more: int
    is_empty: bool


_Totals = Mapping[str, Mapping[str, Any]]
NEWEST_FIRST = "last used"
"""As the store has them."""
ORDERS: dict[str, Callable[[SessionSummary, _Totals], Any]] = {
    NEWEST_FIRST: lambda each, totals: 0,
    "session": lambda each, totals: each.name.casefold(),
    "status": lambda each, totals: -[Status.RUNNING, Status.ERROR].count(_status(each)),
    "model": lambda each, totals: each.model.casefold(),
    "turns": lambda each, totals: -_total(each, totals, "turns"),
    "tokens": lambda each, totals: -_total(each, totals, "tokens_in") - _total(each, totals, "tokens_out"),
    "cost": lambda each, totals: -_total(each, totals, "cost"),
}
_BY_TOTALS = ("turns", "tokens", "cost")


def listing(
    conversations: Conversations, *, archived: bool = False, text: str = "", order: str = NEWEST_FIRST
) -> Listing:
    """All sessions, those of the store and what this kernel has beside them, in one of ORDERS. Each word of
    `text` is in its name, state, model, backend, time, notebook or id. Raises StoreError."""
    opened = store.current()
    opened.flush()
    terms = text.casefold().split()
    # To read thousands takes long, and happens at each change: only where they decide which ones are shown.
    is_all = bool(terms) or order != NEWEST_FIRST
    found = opened.summaries(archived=archived, most=None if is_all else SHOWN_ROWS)
    unread = 0 if is_all or len(found) < SHOWN_ROWS else opened.count(archived=archived) - len(found)
    live = {each.backend.session.id or f"name {each.name}": each for each in conversations}
    stored = opened.known(live, archived=archived)
    found += [_unstored(each) for key, each in live.items() if key not in stored]
    matching = found
    if terms:
        matching = [each for each in found if (words := _text(each)) and all(term in words for term in terms)]
    # Of the whole ledger only where that decides which ones are shown.
    totals = session_totals(writer.current()) if order in _BY_TOTALS else {}
    if order != NEWEST_FIRST:
        matching.sort(key=lambda each: ORDERS[order](each, totals))
    shown = matching[:SHOWN_ROWS]
    totals = totals or session_totals(writer.current(), [each.id for each in shown])
    rows = [_row(each, live.get(each.id or f"name {each.name}"), totals) for each in shown]
    return Listing(rows, len(matching) + unread - len(shown), not found)


def _unstored(conversation: Conversation) -> SessionSummary:
    backend = conversation.backend
    return SessionSummary(
        id=backend.session.id,
        name=conversation.name,
        notebook="",
        model=backend.model,
        backend=backend.name,
        state=badge_of(conversation).status.value,
        process=store.this_process(),
        last_used=0,
        is_archived=False,
    )


def _row(each: SessionSummary, live: Conversation | None, totals: _Totals) -> Row:
    # Another kernel may have it too, and have used it last.
    is_here = live is not None and each.process == store.this_process()
    return Row(
        name=each.name,
        id=each.id,
        badge=badge_of(live) if live is not None and is_here else Badge(status_of(each)),
        model=each.model,
        backend=each.backend,
        **totals.get(each.id, {}),
        last_used=each.last_used,
        notebook=each.notebook.replace("\\", "/").rpartition("/")[2],
        is_archived=each.is_archived,
    )


def _text(each: SessionSummary) -> str:
    when = f"{datetime.fromtimestamp(each.last_used):%Y-%m-%d %H:%M}" if each.last_used else ""
    archived = "(archived)" if each.is_archived else ""
    texts = (
        each.name,
        archived,
        _status(each).value,
        each.model,
        "·",
        each.backend,
        when,
        each.notebook,
        each.id,
    )
    return strip_control_chars(" ".join(texts)).casefold()


def _status(each: SessionSummary) -> Status:
    return status_of(each) if each.state == Status.RUNNING.value else each.status


def _total(each: SessionSummary, totals: _Totals, name: str) -> Any:
    return totals.get(each.id, {}).get(name, 0)


def badge_of(conversation: Conversation) -> Badge:
    """The badge of a conversation of this kernel."""
    backend, run = conversation.backend, conversation.backend.session.run
    return Badge.of(backend.session.status(backend.status_without_session), run.turn if run else None)


def table_html(rows: Sequence[Row]) -> str:
    """The rows as static HTML."""
    # As wide as what is in it, so that no cell is in two lines.
    style = (
        "border-collapse: collapse; width: max-content; font-size: 12px; font-variant-numeric: tabular-nums"
    )
    table = as_html(HEADERS, [row.cells() for row in rows], NUMBERS, style=style)
    return f'<div style="overflow: auto; max-height: 40vh">{table}</div>'


def table_text(rows: Sequence[Row]) -> str:
    """The rows as text, in columns."""
    return as_text(HEADERS, [row.cells() for row in rows], NUMBERS)
