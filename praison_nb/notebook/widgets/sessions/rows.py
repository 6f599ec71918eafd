"""All sessions as the rows of a table: `%agent sessions` and `praison_nb.sessions()` show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from .... import store
from ....metering import writer
from ....metering.session_totals import session_totals
from ....money import mark_usd
from ....render.panel import Badge
from ...conversations.conversation import Conversation
from ...conversations.registry import Conversations
from ...conversations.restore import status_of
from ...views.tables import Row as Cells, as_html, as_text

HEADERS = ["session", "status", "model", "turns", "in", "out", "cost", "last used", "notebook", "id"]
NUMBERS = ("turns", "in", "out", "cost")


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


def rows(conversations: Conversations, *, archived: bool = False) -> list[Row]:
    """All sessions, those of the store and what this kernel has beside them; the one used last first.
    Raises StoreError."""
    opened = store.current()
    opened.flush()
    totals = session_totals(writer.current())
    found: dict[str, Row] = {}
    for each in opened.all():
        if each.id in found or (each.is_archived and not archived):
            continue
        # Another kernel may have it too, and have used it last.
        live = conversations.of(each.id) if each.process == store.this_process() else None
        found[each.id] = Row(
            name=each.name,
            id=each.id,
            badge=badge_of(live) if live else Badge(status_of(each)),
            model=each.model,
            backend=each.backend,
            **totals.get(each.id, {}),
            last_used=each.last_used,
            notebook=each.notebook.replace("\\", "/").rpartition("/")[2],
            is_archived=each.is_archived,
        )
    for conversation in conversations:
        backend = conversation.backend
        key = backend.session.id or f"name {conversation.name}"
        if key not in found:
            found[key] = Row(
                name=conversation.name,
                id=backend.session.id,
                badge=badge_of(conversation),
                model=backend.model,
                backend=backend.name,
                **totals.get(backend.session.id, {}),
            )
    return list(found.values())


def badge_of(conversation: Conversation) -> Badge:
    """The badge of a conversation of this kernel."""
    backend, run = conversation.backend, conversation.backend.session.run
    return Badge.of(backend.session.status(backend.status_without_session), run.turn if run else None)


def table_html(rows: Sequence[Row]) -> str:
    """The rows as static HTML."""
    style = "border-collapse: collapse; font-size: 12px; font-variant-numeric: tabular-nums"
    cell_style = "; padding: 2px 6px; white-space: nowrap"
    table = as_html(HEADERS, [row.cells() for row in rows], NUMBERS, style=style, cell_style=cell_style)
    return f'<div style="overflow: auto; max-height: 40vh">{table}</div>'


def table_text(rows: Sequence[Row]) -> str:
    """The rows as text, in columns."""
    return as_text(HEADERS, [row.cells() for row in rows], NUMBERS)
