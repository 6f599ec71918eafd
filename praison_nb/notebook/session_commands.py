"""What `%agent` does with sessions that outlive their kernel."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .. import backends, store
from ..errors import ConfigError
from ..store import Stored, StoreError
from ..usage.place import here
from .conversations import Conversation, Conversations


def resume(conversations: Conversations, key: str) -> Conversation:
    """Have a stored session, or a hosted one by its id, go on in this kernel under its name. Raises
    ConfigError, StoreError."""
    _need(key, "resume")
    stored = _find(key, conversations, or_hosted=True)
    if live := conversations.of(stored.id):
        return live
    if stored.is_archived and stored.backend == "hosted":
        raise ConfigError(f"Session {stored.name!r} is archived on its server and takes no more prompts.")
    before = next((each for each in conversations if each.name == stored.name), None)
    if before is not None:
        if before.run is not None and before.run.turn.ended is None:
            raise ConfigError(
                f"Session {before.name!r} has a turn under way: wait for it, or `%agent stop {before.name}`."
            )
        before.backend.reset_session()
    conversation = conversations.restore(stored)
    store.current().put(replace(stored, notebook=here().notebook, is_current=True, is_archived=False))
    return conversation


def archive(conversations: Conversations, key: str) -> Stored:
    """Keep the session and have it take no more prompts; a hosted one is archived on its server. Raises
    PraisonError."""
    _need(key, "archive")
    stored = _find(key, conversations, with_archived=False, or_hosted=True)
    if stored.backend == "hosted":
        _hosted(conversations, stored).archive_session(stored.id)
    _let_go(conversations, stored)
    store.current().archive(stored.id)
    return stored


def delete(conversations: Conversations, key: str) -> Stored:
    """Delete the session, on its server too, and what was said in it. Raises PraisonError."""
    _need(key, "delete")
    stored = _find(key, conversations, or_hosted=True)
    if stored.backend == "hosted":
        _hosted(conversations, stored).delete_session(stored.id)
    _let_go(conversations, stored)
    store.current().forget(stored.id)
    return stored


def forget(conversations: Conversations, key: str) -> Stored:
    """Delete what the store has of a session; a hosted one stays on its server. Raises ConfigError,
    StoreError."""
    stored = _find(key or "main", conversations)
    _let_go(conversations, stored)
    store.current().forget(stored.id)
    return stored


def rename(conversations: Conversations, line: str) -> tuple[Stored, str]:
    """`OLD NEW`: give a session another name. Raises ConfigError, StoreError."""
    old, _, new = line.partition(" ")
    new = new.strip()
    if not new or len(new.split()) > 1:
        raise ConfigError("Say `%agent rename OLD NEW`; a name is one word.")
    stored = _find(old, conversations)
    taken = store.current().current(stored.notebook, new)
    if any(each.name == new for each in conversations) or (taken and taken.id != stored.id):
        raise ConfigError(f"There is a session {new!r} already: take another name.")
    store.current().rename(stored, new)
    if live := conversations.of(stored.id):
        live.name = new
        conversations.put(live)
    return stored, new


def names(conversations: Conversations) -> list[str]:
    """What a session can be called: the names of this kernel, then those of the store."""
    try:
        stored = [each.name for each in store.current().all() if not each.is_archived]
    except StoreError:
        stored = []
    return list(dict.fromkeys([*(each.name for each in conversations), *stored]))


def _need(key: str, command: str) -> None:
    if not key:
        raise ConfigError(
            f"Say which: `%agent {command} SESSION`, by its name or id. `%agent sessions` lists them."
        )


def _find(
    key: str, conversations: Conversations, *, with_archived: bool = True, or_hosted: bool = False
) -> Stored:
    """The session of that id or name: in this kernel, in this notebook, then elsewhere, where one is meant
    for certain. Raises ConfigError, StoreError."""
    opened = store.current()
    opened.flush()
    known = [each for each in opened.all() if with_archived or not each.is_archived]
    notebook = here().notebook
    live = next((each.backend.session.id for each in conversations if each.name == key), "")
    choices = (
        [each for each in known if each.id == (live or key)],
        [each for each in known if each.name == key and each.notebook == notebook and each.is_current],
        [each for each in known if each.name == key and each.is_current],
        [each for each in known if each.name == key],
    )
    found = next((choice for choice in choices if choice), [])
    if len({each.id for each in found}) > 1:
        ids = ", ".join(each.id for each in found)
        raise ConfigError(f"Several sessions are called {key!r}: give the id of one of {ids}.")
    if found:
        return next((each for each in found if each.notebook == notebook), found[0])
    if or_hosted and key.startswith("sesn_"):
        return Stored(id=key, name=key, notebook=notebook, backend="hosted", asked_for="hosted")
    raise ConfigError(f"No session {key!r}. `%agent sessions` lists them.")


def _hosted(conversations: Conversations, stored: Stored) -> Any:
    """A HostedAgent that can speak of the session."""
    if live := conversations.of(stored.id):
        return live.backend
    made = backends.create("hosted")
    made.restore_ids({**stored.ids, "session_id": None})
    return made


def _let_go(conversations: Conversations, stored: Stored) -> None:
    """Have no conversation of this kernel write about the session any more."""
    if live := conversations.of(stored.id):
        live.record.end()
        conversations.forget(live.name)
