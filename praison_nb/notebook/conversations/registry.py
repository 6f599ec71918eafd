"""The kernel's conversations by name, and the backend that each one runs on. The store knows them too, so
that they go on in the next kernel."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from ... import backends, store
from ...backends.catalog import backend_for_model, runs
from ...errors import ConfigError
from ...metering.origin import current_origin
from ...runtime import loop
from ...runtime.observable import Observable
from ...runtime.run import Run
from ...store import StoredSession, StoreError
from ...turn import Turn
from .conversation import Conversation, make_backend, update
from .new_session import limit_new_session
from .restore import last_used, offer, restore_conversation

WRITE_SECONDS = 1.0
"""How long a cell waits at most until its turn is on the disk."""


class Conversations(Observable):
    """All conversations of a kernel. `keeps_history` says whether messages may be stored. Observers are
    notified when there is another one, or one less."""

    def __init__(self, keeps_history: Callable[[], bool] = lambda: True) -> None:
        super().__init__()
        self._by_name: dict[str, Conversation] = {}
        self._keeps_history = keeps_history

    def __iter__(self) -> Iterator[Conversation]:
        return iter(list(self._by_name.values()))

    def find(self, name: str) -> Conversation:
        """The conversation `name`. Raises ConfigError that lists those there are."""
        if name not in self._by_name:
            known = ", ".join(self._by_name) or "none yet"
            raise ConfigError(f"No session {name!r}. There are: {known}.")
        return self._by_name[name]

    def named(self, name: str) -> Conversation | None:
        """The conversation `name`, None without one."""
        return self._by_name.get(name)

    def of(self, session_id: str) -> Conversation | None:
        """The conversation that has the session now."""
        return next((each for each in self if each.backend.session.id == session_id), None)

    def newest(self) -> StoredSession | None:
        """The session of this notebook that was used last, of those that are not had here and can be gone on
        with by their id alone; None without one. Raises StoreError."""
        notebook = current_origin().notebook
        return max(
            (
                each
                for each in store.current().all()
                if each.notebook == notebook
                and each.asked_for
                and not each.is_archived
                and not self.of(each.id)
            ),
            key=lambda each: each.last_used,
            default=None,
        )

    def get(
        self, name: str, backend: Any, *, new: bool = False, is_named: bool = True, **options: Any
    ) -> Conversation:
        """The conversation `name`, made on `backend` (a name, an object, or None for what this machine
        offers) when it is new. `options` (model, system, tools, max_turns, effort; None where not given)
        change the agent of one that exists. Raises ConfigError.

        One of an earlier kernel goes on by a name that the user gave (`is_named`). Any other begins anew, so
        that a notebook that is run again sends the same, and a note offers to go on."""
        if len(name.split()) != 1:
            raise ConfigError(f"A session's name is one word, without blanks: not {name!r}.")
        options = {key: value for key, value in options.items() if value is not None}
        model = options.get("model", "") if backend is None else ""
        if backend is None:
            backend = backend_for_model(model)
        existing = self._by_name.get(name)
        if existing is not None and not new and _has_begun(existing) and _keeps(existing.backend.name, model):
            backend = None
        if existing is not None and (backend is None or _is_same(existing.effective_backend, backend)):
            return _go_on(existing, backend, options, new=new)
        if existing is not None and not new and _has_begun(existing):
            raise ConfigError(
                f"Session {name!r} runs on {existing.backend.name}. Start it over there with --new, or give "
                "another name with -s."
            )
        notes: list[str] = []
        if not new and (stored := self._stored(name, backend, is_named, notes)) is not None:
            if backend is None or _fits(stored, backend) or _keeps(stored.backend, model):
                backend = None if _keeps(stored.backend, model) else backend
                return self._go_on_with(stored, name, backend, options)
            if backends.backend_class(stored.backend).restores_sessions():
                notes.append(
                    f"begins anew; the conversation of {last_used(stored)} on {stored.backend} is kept: "
                    f"`%agent resume {stored.id}`"
                )
        made = make_backend(backend, options)
        if existing is not None:
            existing.backend.reset_session()
        return self.put(Conversation(name, backend, made, notes=notes))

    def _go_on_with(
        self, stored: StoredSession, name: str, backend: Any, options: dict[str, Any]
    ) -> Conversation:
        """Go on with a stored session under the name; another kernel may have given it that one."""
        live = self.of(stored.id)
        if live is None:
            return self.restore(stored, backend, **options)
        live.name = name
        self.put(live)
        return _go_on(live, backend, options)

    def begin(
        self,
        conversation: Conversation,
        prompt: str,
        *,
        notices: tuple[str, ...] = (),
        rubric: str | None = None,
        **options: Any,
    ) -> Run:
        """Start a turn that the store records; `options` are those of `Backend.begin`. With a `rubric` the
        prompt is an outcome's description."""
        backend = conversation.backend
        begin = functools.partial(backend.begin, prompt)
        if rubric is not None:
            begin = functools.partial(backend.define_outcome, prompt, rubric=rubric)
        return self._begin(conversation, begin, notices, options)

    def compact(self, conversation: Conversation, **options: Any) -> Run:
        """Start a turn that sums up the conversation; `options` are those of `Backend.begin`. Raises
        ConfigError."""
        return self._begin(conversation, conversation.backend.compact, (), options)

    def _begin(
        self,
        conversation: Conversation,
        begin: Callable[..., Run],
        notices: tuple[str, ...],
        options: dict[str, Any],
    ) -> Run:
        limited = limit_new_session(conversation.backend)
        recorder = conversation.recorder
        recorder.keeps_history = self._keeps_history()
        problem = [line] if (line := store.current().check(conversation.backend.session.id)) else []
        notes = (*conversation.notes, *problem, *limited, *notices)
        run = begin(session=conversation.name, notices=notes, subscribers=(recorder.subscriber(),), **options)
        conversation.notes.clear()
        conversation.runs.append(run)
        return run

    def attach(self, conversation: Conversation, **options: Any) -> Run | None:
        """Follow again the turn that the last kernel did not see the end of; None where there is none, or
        it is followed already. `options` are those of `HostedAgent.attach`."""
        stored = conversation.unfinished_turn
        if stored is None or any(
            run.turn.id == stored.turn["id"] and run.turn.ended is None for run in conversation.runs
        ):
            return None
        conversation.recorder.keeps_history = self._keeps_history()
        turn = Turn(
            id=stored.turn["id"],
            prompt=stored.turn.get("prompt", ""),
            started=stored.turn["started"],
            session=conversation.name,
            backend=conversation.backend.name,
            model=stored.model,
            notices=(f"taken up again: this turn of {last_used(stored)} ran on when its kernel ended",),
        )
        run: Run = conversation.backend.attach(  # type: ignore[attr-defined]
            turn, subscribers=(conversation.recorder.subscriber(),), **options
        )
        conversation.runs.append(run)
        return run

    def restore(self, stored: StoredSession, backend: Any = None, **options: Any) -> Conversation:
        """Have the conversation of an earlier kernel under its name here; see `restore_conversation`."""
        return self.put(restore_conversation(stored, backend, **options))

    def put(self, conversation: Conversation) -> Conversation:
        """Have a conversation, new, resumed or renamed, under its name here."""
        self._by_name = {name: each for name, each in self._by_name.items() if each is not conversation}
        self._by_name[conversation.name] = conversation
        self.notify()
        return conversation

    def start_over(self, conversation: Conversation) -> None:
        """Have the conversation begin a new session with the next prompt, under its name here. The store
        keeps the old one, and nothing goes on in the next kernel."""
        conversation.backend.reset_session()
        self.put(conversation)
        store.current().leave(current_origin().notebook, conversation.name)

    def leave(self, name: str) -> None:
        """Leave the conversation `name` in this kernel; a turn under way is stopped. The store keeps it, and
        nothing goes on in the next kernel."""
        if name in self._by_name:
            self.drop(self._by_name[name])
        store.current().leave(current_origin().notebook, name)

    def drop(self, conversation: Conversation) -> None:
        """Have the conversation no more in this kernel; a turn under way is stopped."""
        self._by_name.pop(conversation.name, None)
        self.notify()
        conversation.backend.reset_session()

    def stop(self) -> None:
        """Stop all turns of this kernel; what others do in a server's session goes on."""
        for conversation in self:
            conversation.backend.session.stop()

    async def wait_until_stored(self) -> None:
        """Wait until all turns are on the disk, or cannot be, or it takes too long."""
        if store.current().problem:
            # The turn's begin waited for it already.
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(WRITE_SECONDS):
                await asyncio.to_thread(store.current().flush, WRITE_SECONDS)

    def _stored(self, name: str, backend: Any, is_named: bool, notes: list[str]) -> StoredSession | None:
        """The session of an earlier kernel that goes on, which is one that the user named. An error of the
        store becomes a note, and so does the offer of another."""
        notebook = current_origin().notebook
        is_object = backend is not None and not isinstance(backend, str)
        if not is_named and (is_object or not notebook):
            return None
        try:
            stored = store.current().current(notebook, name)
            if is_named:
                return stored
            if stored is not None and stored.asked_for:
                notes.append(offer(stored, self.newest()))
        except StoreError as error:
            notes += [line] if (line := store.current().unless_shown(str(error))) else []
        return None


loop.at_exit(store.flush)


def _go_on(
    conversation: Conversation, backend: Any, options: dict[str, Any], *, new: bool = False
) -> Conversation:
    """Change the agent as `options` have it; with `new` in a new session."""
    update(conversation, backends.with_model_of(backend, options, conversation.backend.model))
    if new:
        # Now, when nothing can be refused any more.
        conversation.backend.reset_session()
        conversation.notes, conversation.unfinished_turn = [], None
    return conversation


def _has_begun(conversation: Conversation) -> bool:
    """Whether there is something to go on with: a session, or a turn that may have one yet."""
    run = conversation.run
    return bool(conversation.backend.session.id) or (run is not None and run.turn.ended is None)


def _keeps(backend: str, model: str) -> bool:
    """Whether a conversation on a server's sessions goes on there with `model`, though others have it too."""
    return bool(model) and backends.backend_class(backend).keeps_sessions_on_server and runs(backend, model)


def _is_same(effective_backend: Any, backend: Any) -> bool:
    if isinstance(effective_backend, str) and isinstance(backend, str):
        return backends.is_same(effective_backend, backend)
    return effective_backend is backend


def _fits(stored: StoredSession, backend: Any) -> bool:
    """Whether a stored session can go on there: an object must be of its kind, and in no session yet."""
    if isinstance(backend, str):
        return _is_same(stored.asked_for, backend)
    made = backends.as_backend(backend)
    return made.name == stored.backend and made.restores_sessions() and not made.session.id
