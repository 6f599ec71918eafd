"""All sessions in a table, to open, archive and delete: `praison_nb.sessions()`. Plain ipywidgets."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from html import escape
from typing import Any

import ipywidgets

from .. import loop, render, store
from ..errors import ConfigError, PraisonError
from ..session import Status
from ..usage import writer
from ..usage.ledger import usd
from ..usage.schema import LedgerError
from . import session_commands
from .conversations import Conversation, Conversations, status_of
from .pace import Pace

INTERVAL_SECONDS = 1.0
"""The table is whole each time: so often at most, but for a badge that changes."""
SHOWN_ROWS = 200
"""More would make the page slow: the filter finds the others."""
HEADS = ["session", "status", "model", "backend", "turns", "in", "out", "cost", "last used", "notebook", "id"]
NUMBERS = {"turns", "in", "out", "cost"}
SORTS: dict[str, Callable[[Row], Any]] = {
    "last used": lambda row: -row.last_used,
    "session": lambda row: row.name.casefold(),
    "status": lambda row: [Status.RUNNING, Status.ERROR].count(row.status) * -1,
    "model": lambda row: row.model.casefold(),
    "turns": lambda row: -row.turns,
    "tokens": lambda row: -(row.tokens_in + row.tokens_out),
    "cost": lambda row: -row.cost,
}
_TOTALS = (
    "SELECT l.session_id, count(*), sum(t.uncached_input_tokens + t.cache_read_input_tokens + "
    "t.cache_write_5m_input_tokens + t.cache_write_1h_input_tokens), sum(t.output_tokens), sum(t.priced), "
    "sum(t.cost IS NULL) FROM turns t JOIN labels l ON l.n = t.label WHERE l.session_id != '' "
    "GROUP BY l.session_id"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A session as the table shows it. `cost` in USD is of the turns that have a price, `unpriced` counts the
    others; `last_used` is in seconds since 1970, 0 before the first turn."""

    name: str
    id: str
    status: Status
    model: str
    backend: str
    waiting: bool = False
    activity: str = ""
    turns: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: Decimal = Decimal(0)
    unpriced: int = 0
    last_used: float = 0
    notebook: str = ""
    is_archived: bool = False

    def cells(self) -> list[str]:
        """The words of the table, in the order of HEADS."""
        known = render.dollars(self.cost)
        is_known = self.turns and not self.unpriced
        cost = known if is_known else "—" if not self.cost else f"{known} + —"
        when = f"{datetime.fromtimestamp(self.last_used):%Y-%m-%d %H:%M}" if self.last_used else ""
        words = render.badge(self.status, self.waiting, self.activity)
        name = f"{self.name} (archived)" if self.is_archived else self.name
        counts = [f"{count:,}" for count in (self.turns, self.tokens_in, self.tokens_out)]
        cells = [name, words, self.model, self.backend, *counts, cost, when, self.notebook, self.id]
        return [render.clean(cell) for cell in cells]


def rows(conversations: Conversations, *, archived: bool = False) -> list[Row]:
    """All sessions: those of this kernel, and those of the store. Raises StoreError."""
    opened = store.current()
    opened.flush()
    totals = _totals()
    found: dict[str, Row] = {}
    for each in opened.all():
        if each.id in found or (each.is_archived and not archived):
            continue
        live = conversations.of(each.id)
        found[each.id] = Row(
            name=each.name,
            id=each.id,
            **(_live(live) if live else {"status": status_of(each)}),
            model=each.model,
            backend=each.backend,
            **totals.get(each.id, {}),
            last_used=each.last_used,
            notebook=each.notebook.replace("\\", "/").rpartition("/")[2],
            is_archived=each.is_archived,
        )
    for conversation in conversations:
        backend = conversation.backend
        if backend.session.id in found:
            continue
        key = backend.session.id or f"name {conversation.name}"
        found[key] = Row(
            name=conversation.name,
            id=backend.session.id,
            **_live(conversation),
            model=backend.model,
            backend=backend.name,
            **totals.get(backend.session.id, {}),
        )
    return list(found.values())


def _live(conversation: Conversation) -> dict[str, Any]:
    backend = conversation.backend
    run = backend.session.run
    return {
        "status": backend.session.status(backend.without_session),
        "waiting": bool(run and run.turn.waiting),
        "activity": run.turn.activity if run else "",
    }


def _totals() -> dict[str, dict[str, Any]]:
    book = writer.current()
    if not book.ledger.path.exists():
        return {}
    try:
        with book.lock:
            read = book.ledger.read(_TOTALS)
    except LedgerError:
        return {}
    names = ("turns", "tokens_in", "tokens_out")
    return {
        key: {
            **dict(zip(names, counts, strict=True)),
            "cost": usd(priced) or Decimal(0),
            "unpriced": unpriced,
        }
        for key, *counts, priced, unpriced in read
    }


def table_html(shown: list[Row]) -> str:
    """The rows as still HTML."""
    align = {name: "right" if name in NUMBERS else "left" for name in HEADS}

    def cell(tag: str, name: str, inner: str) -> str:
        style = f"text-align: {align[name]}; padding: 2px 8px; white-space: nowrap"
        return f'<{tag} style="{style}">{inner}</{tag}>'

    def line(row: Row) -> str:
        cells = [escape(text) for text in row.cells()]
        cells[1] = render.badge_html(row.status, row.waiting, row.activity)
        return "".join(cell("td", name, inner) for name, inner in zip(HEADS, cells, strict=True))

    head = "".join(cell("th", name, name) for name in HEADS)
    body = "".join(f"<tr>{line(row)}</tr>" for row in shown)
    style = "border-collapse: collapse; font-size: 12px; font-variant-numeric: tabular-nums"
    return (
        f'<div style="overflow: auto; max-height: 40vh"><table style="{style}">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


class SessionBrowser(ipywidgets.VBox):  # type: ignore[misc]
    """The sessions of this kernel and of the store, with what to do about them. Made by `sessions`."""

    def __init__(self, extension: Any) -> None:
        self._extension = extension
        self._conversations: Conversations = extension.conversations
        self._rows: list[Row] = []
        self._followed: dict[int, Callable[[], None]] = {}
        self._context = contextvars.copy_context()
        self._pace = Pace(self._look, INTERVAL_SECONDS)
        self._told: list[str] = []
        self._tasks: set[asyncio.Task[None]] = set()
        wide = ipywidgets.Layout(width="auto")
        self.filter = ipywidgets.Text(placeholder="Filter", description="Filter", layout=wide)
        self.sort = ipywidgets.Dropdown(options=list(SORTS), description="Sort by", layout=wide)
        self.archived = ipywidgets.Checkbox(description="Archived too", indent=False, layout=wide)
        self.refresh = ipywidgets.Button(description="Refresh", layout=wide)
        self.table = ipywidgets.HTML()
        self.chosen = ipywidgets.Dropdown(description="Session", layout=ipywidgets.Layout(width="24em"))
        self.go = ipywidgets.Button(description="Open", layout=wide)
        self.archive = ipywidgets.Button(description="Archive", layout=wide)
        self.delete = ipywidgets.Button(description="Delete …", layout=wide)
        self.said = ipywidgets.Label()
        self.question = ipywidgets.HBox()
        self.place = ipywidgets.VBox()
        super().__init__(
            [
                ipywidgets.HBox([self.filter, self.sort, self.archived, self.refresh]),
                self.table,
                ipywidgets.HBox([self.chosen, self.go, self.archive, self.delete]),
                self.question,
                self.said,
                self.place,
            ]
        )
        for control in (self.filter, self.sort, self.archived):
            control.observe(lambda _: self.update(), "value")
        self.refresh.on_click(lambda _: self.update())
        self.go.on_click(lambda _: self._try(self._open))
        self.archive.on_click(lambda _: self._try(self._archive))
        self.delete.on_click(lambda _: self._try(self._ask))
        self.update()

    def update(self) -> None:
        """Read the sessions anew and show them."""
        try:
            found = rows(self._conversations, archived=self.archived.value)
        except PraisonError as error:
            self.said.value = render.clean(str(error))
            return
        self._show(found)

    def close(self) -> None:
        """Take it away, and follow no more."""
        for end in getattr(self, "_followed", {}).values():
            end()
        super().close()

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """A table stays where no widget lives."""
        data = super()._repr_mimebundle_(**options) or {}
        text = "\n".join("  ".join(row.cells()) for row in self._rows)
        return {**data, "text/plain": text or "No sessions yet.", "text/html": table_html(self._rows)}

    def _show(self, found: list[Row]) -> None:
        words = self.filter.value.casefold().split()
        kept = [row for row in found if all(word in " ".join(row.cells()).casefold() for word in words)]
        kept.sort(key=SORTS[self.sort.value])
        self._rows, more = kept[:SHOWN_ROWS], len(kept) - SHOWN_ROWS
        html = table_html(self._rows)
        if not kept:
            html = "No sessions match." if found else "No sessions yet: ask something with %%agent."
        if more > 0:
            html += f"<p>{more:,} more: narrow the filter.</p>"
        if self.table.value != html:
            self.table.value = html
        options = [
            (render.clean(f"{row.name} · {row.id or 'new'}"), (row.name, row.id)) for row in self._rows
        ]
        if list(self.chosen.options) != options:
            before = self.chosen.value
            self.chosen.options = options
            # None is shown as chosen unless the user chose it.
            self.chosen.value = before if before in [value for _, value in options] else None
        for button in (self.go, self.archive, self.delete):
            button.disabled = not options
        self._follow()

    def _follow(self) -> None:
        """Hear of the changes of this kernel's sessions."""
        backends = {id(each.backend): each.backend for each in self._conversations}
        for key in set(self._followed) - set(backends):
            self._followed.pop(key)()
        for key, backend in backends.items():
            if key not in self._followed:
                self._followed[key] = backend.listen(self._changed)

    def _changed(self) -> None:
        loop.get().call_soon_threadsafe(self._context.run, self._hear)

    def _hear(self) -> None:
        told = [f"{each.name} {_live(each)}" for each in self._conversations]
        urgent, self._told = told != self._told, told
        self._pace.ask(urgent=urgent)

    def _look(self) -> None:
        task = asyncio.get_running_loop().create_task(asyncio.to_thread(self.update))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _try(self, action: Callable[[], str]) -> None:
        self.question.children = ()
        self.said.value = ""
        try:
            words = action()
        except PraisonError as error:
            words = str(error)
        self.update()
        self.said.value = render.clean(words)

    def _chosen(self) -> tuple[str, str]:
        if self.chosen.value is None:
            raise ConfigError("Choose a session first.")
        name, session_id = self.chosen.value
        return name, session_id

    def _open(self) -> str:
        """Show the session's chat below; one of an earlier kernel goes on here."""
        from .chat import SessionWidget

        name, session_id = self._chosen()
        conversation = self._conversations.of(session_id) if session_id else self._conversations.find(name)
        if conversation is None:
            conversation = session_commands.resume(self._conversations, session_id)
        self._conversations.attach(conversation)
        for old in self.place.children:
            old.close()
        self.place.children = (SessionWidget(conversation, self._extension),)
        return ""

    def _archive(self) -> str:
        name, session_id = self._chosen()
        done = session_commands.archive(self._conversations, session_id or name)
        return f"Session {done.name!r} ({done.id}) is archived; it takes no more prompts."

    def _ask(self) -> str:
        name, session_id = self._chosen()
        words = f"Delete session {name!r} ({session_id}), on its server too, with all that was said in it?"
        yes = ipywidgets.Button(description="Delete", button_style="danger")
        no = ipywidgets.Button(description="Keep")
        yes.on_click(lambda _: self._try(lambda: self._delete(session_id or name)))
        no.on_click(lambda _: self._try(lambda: ""))
        self.question.children = (ipywidgets.Label(render.clean(words)), yes, no)
        return ""

    def _delete(self, key: str) -> str:
        done = session_commands.delete(self._conversations, key)
        return f"Session {done.name!r} ({done.id}) is deleted."


def sessions() -> SessionBrowser:
    """All sessions of this kernel and of earlier ones: filter, sort, open, archive, delete. Loads the
    extension where it is not. Raises ConfigError outside a notebook.

    praison_nb.sessions()
    """
    from IPython import get_ipython

    from . import _loaded, load

    shell = get_ipython()
    if not hasattr(shell, "kernel"):
        raise ConfigError("sessions() needs a notebook. In IPython `%agent sessions` lists them.")
    load(shell)
    return SessionBrowser(_loaded[id(shell)])
