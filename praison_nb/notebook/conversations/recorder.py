"""Keeps the store up to date on one conversation, as a subscriber of each of its turns."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from ...events import Event, SessionAttached, SessionUsage, TurnFailed, TurnFinished
from ...history import Item, to_json
from ...metering.origin import current_origin
from ...runtime import loop
from ...store.process import this_process
from ...store.sessions import Change, append_messages, current, upsert_session
from ...store.stored import StoredSession
from ...store.turns import SOON_SECONDS, Snapshots
from ...turn import Turn

if TYPE_CHECKING:
    from ...backends.base import Backend
    from ...backends.session import Session


class RecordedConversation(Protocol):
    """A conversation: its name, its backend, and the turn that an earlier kernel did not see the end of;
    `effective_backend` is the backend's name, or an object of the user's."""

    name: str
    backend: Backend
    unfinished_turn: StoredSession | None

    @property
    def effective_backend(self) -> Any: ...


class Recorder:
    """Keeps the store up to date on one conversation."""

    def __init__(self, conversation: RecordedConversation) -> None:
        self._conversation = conversation
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._ended_sessions: set[Session] = set()
        self._unsubscribe: Callable[[], None] = lambda: None
        self._turn_id = ""
        self._stored_count = 0
        self.keeps_history = True

    def subscriber(self) -> Callable[[Event, Turn], None]:
        """A subscriber for a turn that is about to begin; called where it begins."""
        session, notebook = self._conversation.backend.session, current_origin().notebook
        enqueue = functools.partial(self._enqueue, session)
        snapshots = Snapshots(notebook, enqueue) if self.keeps_history else None

        def observe(event: Event, turn: Turn) -> None:
            change = self._change_for(session, notebook, event, turn)
            if snapshots is not None:
                snapshots.observe(event, turn, change)
            elif change is not None:
                enqueue(change)

        return observe

    def end_session(self) -> None:
        """Write nothing more about the session that the conversation has now."""
        with self._lock:
            self._ended_sessions.add(self._conversation.backend.session)

    def _change_for(self, session: Session, notebook: str, event: Event, turn: Turn) -> Change | None:
        """The change of the stored session that the event makes, None without one."""
        match event:
            case SessionAttached():
                self._watch_messages(session, turn.id)
                unfinished = self._conversation.unfinished_turn
                if unfinished and unfinished.turn.get("id") == turn.id:
                    self._conversation.unfinished_turn = None
            case TurnFinished() | TurnFailed() | SessionUsage() if self._is_past(session, turn):
                return None
            case TurnFinished() | TurnFailed():
                self._store_new_messages()
            case SessionUsage() if turn.ended is not None:
                pass
            case _:
                return None
        # A session without an id cannot be resumed.
        return upsert_session(self._stored_session(session, notebook, turn)) if turn.session_id else None

    def _is_past(self, session: Session, turn: Turn) -> bool:
        """Whether the session has gone on: a turn's last count may come when the next one has begun, whose
        status is the session's."""
        return session is self._session and turn.id != self._turn_id

    def _watch_messages(self, session: Session, turn_id: str) -> None:
        """Turns of a session come one after the other: what it has more from now on is this turn's."""
        self._turn_id, self._stored_count = turn_id, len(session.messages)
        if session is not self._session:
            self._unsubscribe()
            self._session, self._unsubscribe = session, session.on_change(self._store_soon)

    def _store_soon(self) -> None:
        # With the turn's end, which mostly comes next: the disk is waited for once.
        if self._session is not None and len(self._session.messages) != self._stored_count:
            on = loop.get()
            on.call_soon_threadsafe(on.call_later, SOON_SECONDS, self._store_new_messages)

    def _store_new_messages(self) -> None:
        session = self._session
        if session is None or len(session.messages) == self._stored_count:
            return
        messages, self._stored_count = session.messages[self._stored_count :], len(session.messages)
        if self.keeps_history:
            # A backend of the user's own may keep what it likes.
            rows = [to_json(each) if isinstance(each, Item) else each for each in messages]
            self._enqueue(session, append_messages(session.id, self._turn_id, rows))

    def _enqueue(self, session: Session, change: Change) -> None:
        with self._lock:
            if session not in self._ended_sessions:
                current().enqueue(change)

    def _stored_session(self, session: Session, notebook: str, turn: Turn) -> StoredSession:
        conversation, backend = self._conversation, self._conversation.backend
        is_current = session is backend.session
        prompt = {"prompt": turn.prompt} if self.keeps_history else {}
        running = turn.ended is None
        message = {"message_id": sent} if (sent := getattr(session, "message_id", "")) else {}
        config = getattr(backend, "config", None)
        options = {key: getattr(config, key, None) for key in ("model", "system", "max_turns", "effort")}
        options = {key: value for key, value in options.items() if isinstance(value, str | int)}
        if not options.get("effort"):
            options.pop("effort", None)
        # The notebook's functions end with it; the built-in tools are known by their names.
        if names := [tool for tool in getattr(config, "tools", None) or () if isinstance(tool, str)]:
            options["tools"] = names
        return StoredSession(
            id=turn.session_id,
            name=conversation.name,
            notebook=notebook,
            backend=backend.name,
            asked_for=conversation.effective_backend
            if isinstance(conversation.effective_backend, str)
            else "",
            model=turn.model or backend.model,
            options=options,
            ids={**(backend.save_ids() if is_current else {}), **message},
            title=session.title,
            status=turn.status,
            process=this_process(),
            turn={"id": turn.id, "started": turn.started, **prompt} if running else {},
            is_current=is_current,
        )
