"""What `%agent` does with sessions that outlive their kernel."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

from ... import backends, store
from ...errors import ConfigError
from ...metering.origin import current_origin
from ...store import Stored, StoreError
from ..conversations.conversation import Conversation
from ..conversations.registry import Conversations


def resume(conversations: Conversations, key: str) -> Conversation:
    """Have a stored session, or a hosted one by its id, go on in this kernel under its name; one of another
    notebook under the next free name, main-2 say, where this notebook has that name. Raises ConfigError,
    StoreError."""
    _need(key, "resume")
    stored = _find(key, conversations, elsewhere=True, or_hosted=True)
    if live := conversations.of(stored.id):
        return live
    if stored.is_archived and stored.backend == "hosted":
        raise ConfigError(f"Session {stored.name!r} is archived on its server and takes no more prompts.")
    notebook = current_origin().notebook
    if stored.notebook != notebook:
        stored = replace(stored, notebook=notebook, name=_free(conversations, notebook, stored.name))
    before = next((each for each in conversations if each.name == stored.name), None)
    if before is not None and before.run is not None and before.run.turn.ended is None:
        raise ConfigError(
            f"Session {before.name!r} has a turn under way: wait for it, or `%agent stop {before.name}`."
        )
    conversation = conversations.restore(stored)
    if before is not None:
        before.backend.reset_session()
    store.current().resume(replace(stored, is_current=True, is_archived=False))
    return conversation


def archive(conversations: Conversations, key: str) -> Stored:
    """Keep the session and have it take no more prompts; a hosted one is archived on its server. Raises
    PraisonError."""
    _need(key, "archive")
    stored = _find(key, conversations, or_hosted=True)
    if stored.is_archived:
        raise ConfigError(f"Session {stored.name!r} ({stored.id}) is archived already.")
    if stored.backend == "hosted":
        _hosted(conversations, stored).archive_session(stored.id)
    if live := conversations.of(stored.id):
        conversations.drop(live)
    store.current().archive(stored.id)
    return stored


def delete(conversations: Conversations, key: str) -> Stored:
    """Delete the session, on its server too, and what was said in it. Raises PraisonError."""
    _need(key, "delete")
    stored = _failed(key, conversations) or _find(key, conversations, or_hosted=True)
    if stored.backend == "hosted":
        _hosted(conversations, stored).delete_session(stored.id)
    _forget(conversations, stored)
    return stored


def forget(conversations: Conversations, key: str) -> Stored:
    """Delete what the store has of a session; a hosted one stays on its server. Raises ConfigError,
    StoreError."""
    key = key or "main"
    stored = _failed(key, conversations) or _find(key, conversations)
    _forget(conversations, stored)
    return stored


def rename(conversations: Conversations, line: str) -> tuple[Stored, str]:
    """`OLD NEW`: give a session another name. Raises ConfigError, StoreError."""
    old, _, new = line.partition(" ")
    new = new.strip()
    if not new or len(new.split()) > 1:
        raise ConfigError("Say `%agent rename OLD NEW`; a name is one word.")
    stored = _find(old, conversations)
    if _is_taken(conversations, stored.notebook, new):
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
    key: str, conversations: Conversations, *, elsewhere: bool = False, or_hosted: bool = False
) -> Stored:
    """The session of that id, or the one that has the name in this notebook; with `elsewhere` another
    notebook's too, where one is meant for certain. Raises ConfigError, StoreError."""
    opened, notebook = store.current(), current_origin().notebook
    if not opened.flush():
        raise StoreError(opened.problem)
    known = opened.all()
    live = next((each for each in conversations if each.name == key), None)
    named = [each for each in known if each.name == key]
    ours = [each for each in named if each.notebook == notebook]
    choices = [
        [each for each in known if each.id == key],
        [each for each in known if live and each.id == live.backend.session.id],
    ]
    if live is None or elsewhere:
        # Otherwise it is the live one that is meant, of which there may be nothing yet.
        choices += [each for each in ours if each.is_current], ours
    if elsewhere:
        choices += [each for each in named if each.is_current], named
    found = next((choice for choice in choices if choice), [])
    ids = list(dict.fromkeys(each.id for each in found))
    if len(ids) > 1:
        raise ConfigError(f"Several sessions are called {key!r}: give the id of one of {', '.join(ids)}.")
    if found:
        return next((each for each in known if each.id == ids[0] and each.notebook == notebook), found[0])
    if live is not None:
        raise ConfigError(f"Nothing is stored of session {key!r} yet.")
    if or_hosted and key.startswith("sesn_"):
        return Stored(id=key, name=key, notebook=notebook, backend="hosted", asked_for="hosted")
    if named:
        raise ConfigError(
            f"This notebook has no session {key!r}. One of another notebook is taken by its id, which "
            "`%agent sessions` shows."
        )
    raise ConfigError(f"No session {key!r}. `%agent sessions` lists them.")


def _failed(key: str, conversations: Conversations) -> Stored | None:
    """What has the name in this notebook and no session, where turns of it are kept: all of them failed.
    Raises StoreError."""
    opened, notebook = store.current(), current_origin().notebook
    if not opened.flush():
        raise StoreError(opened.problem)
    live = next((each for each in conversations if each.name == key), None)
    if (live and live.backend.session.id) or opened.current(notebook, key):
        return None
    kept = store.kept_turns(opened.path, "", notebook, key)
    return Stored(id="", name=key, notebook=notebook) if kept else None


def _is_taken(conversations: Conversations, notebook: str, name: str) -> bool:
    """Whether something goes on under the name, in this kernel or in the notebook."""
    is_live = any(each.name == name for each in conversations)
    return is_live or store.current().current(notebook, name) is not None


def _free(conversations: Conversations, notebook: str, name: str) -> str:
    """The name, or the first of name-2, name-3, … that is not taken."""
    names = (f"{name}-{n}" if n > 1 else name for n in itertools.count(1))
    return next(each for each in names if not _is_taken(conversations, notebook, each))


def _hosted(conversations: Conversations, stored: Stored) -> Any:
    """A HostedAgent that can speak of the session."""
    if live := conversations.of(stored.id):
        return live.backend
    made = backends.create("hosted")
    made.restore_ids({**stored.ids, "session_id": None})
    return made


def _forget(conversations: Conversations, stored: Stored) -> None:
    """Delete what the store has of the session, and have no conversation here write about it any more."""
    if stored.id:
        live = conversations.of(stored.id)
    else:
        live = next((each for each in conversations if each.name == stored.name), None)
    if live:
        live.record.end()
        conversations.drop(live)
    if stored.id:
        store.current().forget(stored.id)
    store.current().change(store.dropping(stored.notebook, stored.name))
