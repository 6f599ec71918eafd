"""Sessions that outlive their kernel: to go on with, archive, delete, forget and rename."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ... import backends, store
from ...backends.catalog import backend_for_session
from ...errors import ConfigError, PraisonError
from ...metering.origin import current_origin
from ...store import StoredSession, StoreError
from .conversation import Conversation
from .registry import Conversations
from .restore import is_on_server


def resume(conversations: Conversations, key: str) -> Conversation:
    """Have a stored session, or a server's by its id, go on in this kernel under its name; one of another
    notebook under the next free name, main-2 say, where this notebook has that name. Without a `key` the one
    of this notebook that was used last and is not had here. Raises ConfigError, StoreError."""
    stored = _find(key, conversations, elsewhere=True, or_on_server=True) if key else _newest(conversations)
    if live := conversations.of(stored.id):
        return live
    if stored.is_archived and is_on_server(stored):
        raise ConfigError(f"Session {stored.name!r} is archived on its server and takes no more prompts.")
    notebook = current_origin().notebook
    if stored.notebook != notebook:
        name = first_free(stored.name, functools.partial(_is_taken, conversations, notebook))
        stored = replace(stored, notebook=notebook, name=name)
    before = conversations.named(stored.name)
    if before is not None and before.run is not None and before.run.turn.ended is None:
        raise ConfigError(
            f"Session {before.name!r} has a turn under way: wait for it, or `%agent stop {before.name}`."
        )
    conversation = conversations.restore(stored)
    if before is not None:
        before.backend.reset_session()
    store.current().resume(replace(stored, is_current=True, is_archived=False))
    return conversation


def archive(conversations: Conversations, key: str) -> StoredSession:
    """Keep the session and have it take no more prompts; one on a server is archived there. Raises
    PraisonError."""
    stored = _find(key, conversations, or_on_server=True)
    if stored.is_archived:
        raise ConfigError(f"Session {stored.name!r} ({stored.id}) is archived already.")
    if is_on_server(stored):
        _server_backend(conversations, stored).archive_session(stored.id)
    if live := conversations.of(stored.id):
        conversations.drop(live)
    store.current().archive(stored.id)
    return stored


def delete(conversations: Conversations, key: str) -> StoredSession:
    """Delete the session with its messages, on its server too. Raises PraisonError."""
    stored = _failed(key, conversations) or _find(key, conversations, or_on_server=True)
    if is_on_server(stored):
        _server_backend(conversations, stored).delete_session(stored.id)
    _forget(conversations, stored)
    return stored


def forget(conversations: Conversations, key: str) -> StoredSession:
    """Delete what the store has of a session; one on a server stays there. Raises ConfigError, StoreError."""
    stored = _failed(key, conversations) or _find(key, conversations)
    _forget(conversations, stored)
    return stored


def rename(conversations: Conversations, old: str, new: str) -> tuple[StoredSession, str]:
    """Give a session another name, on its server too, and return it with why its server has the old title,
    "" where it has not. Raises ConfigError, StoreError."""
    stored = _find(old, conversations)
    if _is_taken(conversations, stored.notebook, new):
        raise ConfigError(f"There is a session {new!r} already: take another name.")
    store.current().rename(stored, new)
    if live := conversations.of(stored.id):
        live.name = new
        conversations.put(live)
    problem = ""
    if is_on_server(stored):
        try:
            _server_backend(conversations, stored).rename(new, stored.id)
        except PraisonError as error:
            problem = str(error)
    return stored, problem


def first_free(name: str, is_taken: Callable[[str], object]) -> str:
    """The name, or the first of name-2, name-3, … that is not taken."""
    names = (f"{name}-{n}" if n > 1 else name for n in itertools.count(1))
    return next(each for each in names if not is_taken(each))


def names(conversations: Conversations) -> list[str]:
    """What a session can be called: the names of this kernel, then those of the store."""
    try:
        stored = [each.name for each in store.current().summaries()]
    except StoreError:
        stored = []
    return list(dict.fromkeys([*(each.name for each in conversations), *stored]))


def _find(
    key: str, conversations: Conversations, *, elsewhere: bool = False, or_on_server: bool = False
) -> StoredSession:
    """The session of that id, or the one that has the name in this notebook; with `elsewhere` another
    notebook's too, where one is meant for certain. With `or_on_server` it may be one that only its server
    knows. Raises ConfigError, StoreError."""
    known, notebook = _flushed_store().all(), current_origin().notebook
    live = conversations.named(key)
    named = [each for each in known if each.name == key]
    in_notebook = [each for each in named if each.notebook == notebook]
    choices = [
        [each for each in known if each.id == key],
        [each for each in known if live and each.id == live.backend.session.id],
    ]
    if live is None or elsewhere:
        # Otherwise it is the live one that is meant, of which there may be nothing yet.
        choices += [each for each in in_notebook if each.is_current], in_notebook
    if elsewhere:
        choices += [each for each in named if each.is_current], named
    matches = next((choice for choice in choices if choice), [])
    ids = list(dict.fromkeys(each.id for each in matches))
    if len(ids) > 1:
        raise ConfigError(f"Several sessions are called {key!r}: give the id of one of {', '.join(ids)}.")
    if matches:
        return next((each for each in known if each.id == ids[0] and each.notebook == notebook), matches[0])
    if live is not None:
        raise ConfigError(f"Nothing is stored of session {key!r} yet.")
    problem = ""
    if or_on_server and not named:
        try:
            backend = backend_for_session(key)
        except PraisonError as error:
            backend, problem = None, f" Its server could not be asked: {error}"
        if backend:
            return StoredSession(id=key, name=key, notebook=notebook, backend=backend, asked_for=backend)
    if named:
        raise ConfigError(
            f"This notebook has no session {key!r}. One of another notebook is taken by its id, which "
            "`%agent sessions` shows."
        )
    raise ConfigError(f"No session {key!r}. `%agent sessions` lists them.{problem}")


def _newest(conversations: Conversations) -> StoredSession:
    """The session that is meant where none is named. Raises ConfigError, StoreError."""
    _flushed_store()
    newest = conversations.newest()
    if newest is None:
        raise ConfigError(
            "This notebook has no earlier conversation to go on with. `%agent sessions` lists those of "
            "others: `%agent resume ID`."
        )
    return newest


def _failed(key: str, conversations: Conversations) -> StoredSession | None:
    """What has the name in this notebook and no session, where turns of it are kept: all of them failed.
    Raises StoreError."""
    opened, notebook = _flushed_store(), current_origin().notebook
    live = conversations.named(key)
    if (live and live.backend.session.id) or opened.current(notebook, key):
        return None
    kept = store.list_turns(opened.path, "", notebook, key)
    return StoredSession(id="", name=key, notebook=notebook) if kept else None


def _flushed_store() -> store.Store:
    """The store with all that is known so far. Raises StoreError."""
    opened = store.current()
    if not opened.flush():
        raise StoreError(opened.problem)
    return opened


def _is_taken(conversations: Conversations, notebook: str, name: str) -> object:
    """Whether something goes on under the name, in this kernel or in the notebook."""
    return conversations.named(name) or store.current().current(notebook, name)


def _server_backend(conversations: Conversations, stored: StoredSession) -> Any:
    """A backend that can speak of a session on its server."""
    if live := conversations.of(stored.id):
        return live.backend
    made = backends.create(stored.backend)
    made.restore_ids({**stored.ids, "session_id": None})
    return made


def _forget(conversations: Conversations, stored: StoredSession) -> None:
    """Delete what the store has of the session, and have no conversation here write about it any more."""
    live = conversations.of(stored.id) if stored.id else conversations.named(stored.name)
    if live:
        live.recorder.end_session()
        conversations.drop(live)
    if stored.id:
        store.current().forget(stored.id)
    store.current().change(store.delete_orphan_turns(stored.notebook, stored.name))
