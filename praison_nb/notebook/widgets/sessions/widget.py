"""All sessions in a table, to open, archive and delete: `praison_nb.sessions()`. Plain ipywidgets.

The sessions are read on the loop's pool, and the table is changed on the loop's thread only. Clicks are dealt
with where they arrive, which may take a while, and then wait for the table.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable
from html import escape

import ipywidgets

from ....errors import ConfigError, PraisonError
from ....render.panel import Badge
from ....runtime import loop
from ....runtime.observable import Observable
from ....text import describe_exception, strip_control_chars
from ...conversations import stored_sessions
from ...conversations.conversation import Conversation
from ...extension import Extension
from ...views.pace import Pace
from ...views.static_copy import StaticCopy
from .rows import ORDERS, Listing, badge_of, listing, table_html, table_text
from .table import SessionTable, row_items, table_panel

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 1.0
"""All sessions are read each time: so often at most, but for a badge that changes."""
SAVE_SECONDS = 5.0
"""The copy that is saved is whole each time: so often at most."""


class SessionBrowser(ipywidgets.VBox):  # type: ignore[misc]
    """The sessions of this kernel and of the store, with what to do about them. Made by `sessions`.

    >>> from IPython.core.interactiveshell import InteractiveShell
    >>> from praison_nb.notebook import load
    >>> browser = SessionBrowser(load(InteractiveShell()))
    >>> browser.sort.value, browser.table.rows
    ('last used', [])
    >>> browser.close()
    """

    def __init__(self, extension: Extension) -> None:
        self._extension = extension
        self._conversations = extension.conversations
        self._copy = StaticCopy(extension.shell)
        self._html, self._text = "", ""
        self._subscriptions: dict[int, Callable[[], None]] = {}
        self._context = contextvars.copy_context()
        self._pace = Pace(self._start_update, INTERVAL_SECONDS)
        self._seen: list[tuple[str, Badge, int]] = []
        """Of each conversation here what the table says of it, as far as that is known without the store."""
        self._timer: asyncio.TimerHandle | None = None
        self._update_lock = asyncio.Lock()
        self._is_closed = False
        # Each layout and each style is a widget of its own, of more bytes than what it is for.
        button = ipywidgets.ButtonStyle()
        wide, wraps = ipywidgets.Layout(width="auto"), ipywidgets.Layout(flex_flow="row wrap")
        self.filter = ipywidgets.Text(placeholder="Filter", description="Filter", layout=wide)
        self.sort = ipywidgets.Dropdown(options=list(ORDERS), description="Sort by", layout=wide)
        self.archived = ipywidgets.Checkbox(description="Archived too", indent=False, layout=wide)
        self.refresh = ipywidgets.Button(description="Refresh", layout=wide, style=button)
        self.table = SessionTable()
        self.chosen = ipywidgets.Dropdown(
            description="Session", layout=ipywidgets.Layout(width="24em"), style=self.sort.style
        )
        self.open_chat = ipywidgets.Button(description="Open", layout=wide, style=button)
        self.archive = ipywidgets.Button(description="Archive", layout=wide, style=button)
        self.delete = ipywidgets.Button(description="Delete …", layout=wide, style=button)
        self.message = ipywidgets.HTML(layout=wide)
        self.question = ipywidgets.VBox(layout=wide)
        self.chat = ipywidgets.VBox(layout=wide)
        super().__init__(
            [
                ipywidgets.HBox([self.filter, self.sort, self.archived, self.refresh], layout=wraps),
                self.table,
                ipywidgets.HBox([self.chosen, self.open_chat, self.archive, self.delete], layout=wraps),
                self.question,
                self.message,
                self.chat,
            ],
            layout=wide,
        )
        for control in (self.filter, self.sort, self.archived):
            control.observe(lambda _: self.update(), "value")
        self.refresh.on_click(lambda _: self.update())
        self.open_chat.on_click(lambda _: self._run_action(self._open))
        self.archive.on_click(lambda _: self._run_action(self._archive))
        self.delete.on_click(lambda _: self._run_action(self._ask_to_delete))
        self.add_class("pnb-alive")
        self.update()

    def update(self, message: str | None = None) -> None:
        """Read the sessions anew and show them, then `message`. Waits until that is done, but on the loop's
        thread, which does it."""
        if loop.on_loop_thread():
            asyncio.run_coroutine_threadsafe(self._update(message), loop.get())
        else:
            loop.run_sync(lambda: self._update(message))

    def close(self) -> None:
        """Take it away, and follow no more."""
        # The base class closes itself when it is deleted, also one that was never whole.
        if not getattr(self, "_is_closed", True):
            self._is_closed = True
            loop.get().call_soon_threadsafe(self._unsubscribe)
        super().close()

    def _ipython_display_(self) -> None:
        """The widget, and behind it the table that stays."""
        self._copy.publish(self, self._extension.magics.live, [(self._html, self._text)])

    async def _update(self, message: str | None = None) -> None:
        """One after the other, so that what was read last is shown last. What goes wrong is shown."""
        async with self._update_lock:
            try:
                found = await asyncio.to_thread(
                    listing,
                    self._conversations,
                    archived=self.archived.value,
                    text=self.filter.value,
                    order=self.sort.value,
                )
                self._context.copy().run(self._show, found)
            except PraisonError as error:
                message = message or str(error)
            except Exception as error:
                log.debug("the sessions cannot be shown", exc_info=True)
                message = message or describe_exception(error)
            if message is not None:
                self._show_message(message)

    def _show_message(self, message: str) -> None:
        if not self._is_closed:
            self.message.value = _html(message)

    def _show(self, found: Listing) -> None:
        if self._is_closed:
            return
        shown, note = found.rows, ""
        html, text = table_html(shown), table_text(shown)
        if not shown:
            note = "No sessions yet: ask something with %%agent." if found.is_empty else "No sessions match."
            html = text = note
        if found.more:
            note = f"{found.more:,} more: narrow the filter."
            html, text = f"{html}<p>{note}</p>", f"{text}\n{note}"
        self.table.show(row_items(shown), table_panel(note))
        if self._text != text:
            self._html, self._text = html, text
            self._save_soon()
        options = [
            (strip_control_chars(f"{row.name} · {row.id or 'new'}"), (row.name, row.id)) for row in shown
        ]
        if list(self.chosen.options) != options:
            before = self.chosen.value
            self.chosen.options = options
            # None is shown as chosen unless the user chose it.
            self.chosen.value = before if before in [value for _, value in options] else None
        for button in (self.open_chat, self.archive, self.delete):
            button.disabled = not options
        self._subscribe()

    def _save_soon(self) -> None:
        if self._timer is None:
            self._timer = loop.get().call_later(SAVE_SECONDS, self._save)

    def _save(self) -> None:
        self._timer = None
        if not self._is_closed:
            self._context.copy().run(self._copy.update, [(self._html, self._text)])

    def _subscribe(self) -> None:
        """Hear of the changes of this kernel's sessions, and of new ones."""
        followed: list[Observable] = [self._conversations, *(each.backend for each in self._conversations)]
        observed = {id(each): each for each in followed}
        for key in set(self._subscriptions) - set(observed):
            self._subscriptions.pop(key)()
        for key, each in observed.items():
            if key not in self._subscriptions:
                self._subscriptions[key] = each.on_change(self._on_change)

    def _unsubscribe(self) -> None:
        self._pace.cancel()
        for end in self._subscriptions.values():
            end()
        self._subscriptions.clear()

    def _on_change(self) -> None:
        loop.get().call_soon_threadsafe(self._context.run, self._schedule_update)

    def _schedule_update(self) -> None:
        if self._is_closed:
            return
        before, self._seen = self._seen, [_seen(each) for each in self._conversations]
        if before != self._seen:
            self._pace.ask(urgent=[each[:2] for each in before] != [each[:2] for each in self._seen])

    def _start_update(self) -> None:
        loop.spawn(self._update())

    def _run_action(self, action: Callable[[], str]) -> None:
        self.question.children = ()
        loop.get().call_soon_threadsafe(self._show_message, "")
        try:
            message = action()
        except PraisonError as error:
            message = str(error)
        self.update(message)

    def _chosen(self) -> tuple[str, str]:
        if self.chosen.value is None:
            raise ConfigError("Choose a session first.")
        name, session_id = self.chosen.value
        return name, session_id

    def _stored(self) -> tuple[str, str]:
        """Name and id of the chosen session. A name alone says nothing about which one is meant."""
        name, session_id = self._chosen()
        if not session_id:
            raise ConfigError(f"Nothing is stored of session {name!r} yet.")
        return name, session_id

    def _open(self) -> str:
        """Show the session's chat below; one of an earlier kernel goes on here."""
        from ..chat.widget import SessionWidget

        name, session_id = self._chosen()
        conversation = self._conversations.of(session_id) if session_id else self._conversations.find(name)
        message = ""
        if conversation is None:
            conversation = stored_sessions.resume(self._conversations, session_id)
            message = f"Session {name!r} goes on here with %%agent -s {conversation.name}."
        self._conversations.attach(conversation)
        for old in self.chat.children:
            old.close()
        self.chat.children = (SessionWidget(conversation, self._extension),)
        return message

    def _archive(self) -> str:
        _, session_id = self._stored()
        done = stored_sessions.archive(self._conversations, session_id)
        return f"Session {done.name!r} ({done.id}) is archived; it takes no more prompts."

    def _ask_to_delete(self) -> str:
        name, session_id = self._stored()
        question = f"Delete session {name!r} ({session_id}), on its server too, with all that was said in it?"
        yes = ipywidgets.Button(description="Delete", button_style="danger")
        no = ipywidgets.Button(description="Keep")
        yes.on_click(lambda _: self._run_action(lambda: self._delete(session_id)))
        no.on_click(lambda _: self._run_action(lambda: ""))
        self.question.children = (
            ipywidgets.HTML(_html(question)),
            ipywidgets.HBox((yes, no)),
        )
        return ""

    def _delete(self, session_id: str) -> str:
        done = stored_sessions.delete(self._conversations, session_id)
        return f"Session {done.name!r} ({done.id}) is deleted."


def _seen(conversation: Conversation) -> tuple[str, Badge, int]:
    run = conversation.backend.session.run
    return conversation.name, badge_of(conversation), len(run.turn.requests) if run else 0


def _html(text: str) -> str:
    return escape(strip_control_chars(text), quote=False)
