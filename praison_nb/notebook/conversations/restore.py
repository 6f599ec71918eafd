"""A conversation of an earlier kernel, made again from the store."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ... import backends, store
from ...errors import ConfigError
from ...history import from_row
from ...session import Status
from ...store import SessionSummary, StoredSession, StoreError
from .conversation import Conversation, make_backend, update


def restore_conversation(stored: StoredSession, backend: Any = None, **options: Any) -> Conversation:
    """The conversation of an earlier kernel, on `backend` or what it ran on. Raises ConfigError where
    that was an object of the user's."""
    if backend is None and not stored.asked_for:
        raise ConfigError(
            f"Session {stored.name!r} ran on a {stored.backend} backend of the notebook's own: name the "
            "variable with -b to go on, or start over with --new."
        )
    is_named = backend is None or isinstance(backend, str)
    known = stored.options if is_named else {}
    options = backends.with_model_of(backend, options, known.get("model", ""))
    # What an agent on a server was made with can be changed there only.
    given = {} if is_named and is_on_server(stored) else options
    requested = stored.asked_for if backend is None else backend
    made = make_backend(requested, {**known, **given})
    conversation = Conversation(stored.name, requested, made)
    tools = [] if "tools" in options else known.get("tools", [])
    _restore_session(conversation, stored, tools)
    if made.keeps_sessions_on_server:
        update(conversation, options)
    return conversation


def _restore_session(conversation: Conversation, stored: StoredSession, tools: list[str]) -> None:
    """Have the conversation go on with the stored session, or begin anew where its messages were not kept.
    The notes say which, and name the `tools` that come back with it."""
    made = conversation.backend
    messages: list[Any] = []
    reason = "what was said before was not kept"
    if stored.status is Status.RUNNING and not stored.is_cut_off:
        reason = "a turn of it is under way in another kernel, and nothing else was kept"
    if not made.keeps_sessions_on_server:
        try:
            messages = store.current().history(stored.id)
        except StoreError as error:
            reason = str(error)
        if not messages:
            conversation.notes.append(f"begins anew: {reason}")
            return
    made.restore_ids({**stored.ids, "session_id": stored.id})
    made.session.messages[:] = [from_row(row) for row in messages]
    made.session.title = stored.title
    with_tools = f", with {', '.join(tools)}" if tools else ""
    conversation.notes.append(
        f"goes on with the conversation of {last_used(stored)}{with_tools}; --new starts over"
    )
    if stored.is_cut_off and stored.turn:
        if made.keeps_sessions_on_server:
            conversation.unfinished_turn = stored
        else:
            conversation.notes.append("its last turn ended with the kernel and is not part of it")


def offer(stored: StoredSession, newest: StoredSession | None) -> str:
    """The line that offers to go on with a session, where a conversation of its name begins anew. The
    `newest` is the one that `resume` alone means."""
    which = "" if newest is not None and newest.id == stored.id else f" {stored.id}"
    is_unfinished = stored.is_cut_off and stored.turn and is_on_server(stored)
    more = ", whose last turn ran on when its kernel ended" if is_unfinished else ""
    return f"begins anew; `%agent resume{which}` goes on with the conversation of {last_used(stored)}{more}"


def last_used(stored: StoredSession) -> str:
    """When a session was used last, for people."""
    return datetime.fromtimestamp(stored.last_used).strftime("%Y-%m-%d %H:%M")


def is_on_server(stored: StoredSession | SessionSummary) -> bool:
    """Whether the session is a server's; see `Backend.keeps_sessions_on_server`."""
    return backends.backend_class(stored.backend).keeps_sessions_on_server


def status_of(stored: StoredSession | SessionSummary) -> Status:
    """The status of a stored session as it must be now: a turn that ran here ended with its kernel, and what
    became of one on a server only the server knows."""
    if not stored.is_cut_off:
        return stored.status
    return Status.UNKNOWN if is_on_server(stored) else Status.IDLE
