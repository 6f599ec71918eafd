"""A conversation of an earlier kernel, taken up from the store."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ... import backends, store
from ...errors import ConfigError
from ...session import Status
from ...store import Stored, StoreError
from .conversation import Conversation, make, naming, update


def restored(stored: Stored, backend: Any = None, **options: Any) -> Conversation:
    """The conversation of an earlier kernel, on `backend` or what it ran on. Raises ConfigError where
    that was an object of the user's."""
    name = stored.name
    if backend is None and not stored.asked_for:
        raise ConfigError(
            f"Session {name!r} ran on a {stored.backend} backend of the notebook's own: name the "
            "variable with -b to go on, or start over with --new."
        )
    known: dict[str, Any] = {}
    if backend is None or isinstance(backend, str):
        known = {k: v for k, v in stored.options.items() if stored.backend != "hosted" or k != "max_turns"}
        options = naming(backend, options, known.get("model", ""))
        # What a hosted agent was made with can be changed on its server only.
        given = {} if stored.backend == "hosted" else options
        made = backends.create(backend or stored.asked_for, **{**known, **given})
    else:
        made = make(backend, options)
    asked_for = stored.asked_for if backend is None else backend
    conversation = Conversation(name, asked_for, made)
    messages, lost = [], "what was said before was not kept"
    if stored.status is Status.RUNNING and not stored.is_cut_off:
        lost = "a turn of it is under way in another kernel, and nothing else was kept"
    try:
        messages = [] if made.name == "hosted" else store.current().history(stored.id)
    except StoreError as error:
        lost = str(error)
    if made.name == "hosted" or messages:
        made.restore_ids({**stored.ids, "session_id": stored.id})
        made.session.messages[:] = messages
        made.session.title = stored.title
        tools = known.get("tools", []) if "tools" not in options else []
        words = f", with {', '.join(tools)}" if tools else ""
        conversation.notes.append(
            f"goes on with the conversation of {moment(stored)}{words}; --new starts over"
        )
    else:
        conversation.notes.append(f"begins anew: {lost}")
    if stored.is_cut_off and stored.turn:
        if made.name == "hosted":
            conversation.missed = stored
        elif messages:
            conversation.notes.append("its last turn ended with the kernel and is not part of it")
    if made.name == "hosted":
        update(conversation, options)
    return conversation


def moment(stored: Stored) -> str:
    """When a session was used last, for people."""
    return datetime.fromtimestamp(stored.last_used).strftime("%Y-%m-%d %H:%M")


def status_of(stored: Stored) -> Status:
    """The status of a stored session as it must be now: a local turn ends with its kernel, and what became of
    a hosted one only the server knows."""
    if not stored.is_cut_off:
        return stored.status
    return Status.UNKNOWN if stored.backend == "hosted" else Status.IDLE
