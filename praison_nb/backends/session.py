"""One conversation of a backend."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import Any

from ..events import Event, SessionUsage
from ..runtime.observable import Observable
from ..runtime.run import Run
from ..session import NO_USAGE, Status, Usage
from ..turn import Turn


class Session(Observable):
    """One conversation of a backend: its id, its messages, and what its turns used. `observe` is the
    subscriber that keeps it current."""

    settles_late = False
    """Whether its turns ask what they used behind their end, as long as nobody waits."""

    def __init__(self) -> None:
        super().__init__()
        self.id = ""
        self.title = ""
        self.messages: list[Any] = []
        self._process = os.getpid()
        self._lock = asyncio.Lock()
        self._runs: list[Run] = []
        self.allowed_tools: set[str] = set()
        """Tools that the user allowed for the whole session."""
        self.is_resumed = False
        """Whether it was begun elsewhere."""
        self.provider_usage: SessionUsage | None = None
        """The provider's last count of what the whole session used."""
        self.requests: dict[Any, Any] = {}
        """What a backend has to know of its last requests to make the next one."""
        self._turns: dict[str, Usage] = {}
        self._total = NO_USAGE
        """Of all in `_turns`."""

    def _begin_anew_after_fork(self) -> None:
        """A forked process has a loop of its own: nobody holds the lock there, and what runs is the parent's
        to stop and to count."""
        if self._process != os.getpid():
            self._process, self._lock, self._runs = os.getpid(), asyncio.Lock(), []

    @property
    def lock(self) -> asyncio.Lock:
        """Held by the turn under way."""
        self._begin_anew_after_fork()
        return self._lock

    @property
    def under_way(self) -> list[Run]:
        """The turns that have not ended, in their order."""
        self._begin_anew_after_fork()
        return [run for run in self._runs if run.turn.ended is None]

    @property
    def run(self) -> Run | None:
        """The turn under way, else the last one; None before the first."""
        return next(iter([*self.under_way, *self._runs[-1:]]), None)

    def add(self, run: Run) -> None:
        """A turn begins, behind those that have not ended."""
        self._runs = [*self.under_way, run]

    def stop(self, but: Sequence[Run] = ()) -> bool:
        """Stop all turns that have not ended, `but` these, and return whether there were any."""
        stopped = [run for run in self.under_way if run not in but]
        # The last one first: otherwise it would begin where the one before it ends.
        for run in reversed(stopped):
            run.stop()
        return bool(stopped)

    def observe(self, event: Event, turn: Turn) -> None:
        """Note the turn's usage. The usage of a stopped turn comes late, so each turn has its own entry."""
        self.id = turn.session_id or self.id
        if turn.ended is None:
            # Of a turn under way it is computed when somebody asks.
            self._turns.setdefault(turn.id, NO_USAGE)
        else:
            self._note_end(turn)
        self.provider_usage = turn.session_usage or self.provider_usage
        self.notify()

    def _note_end(self, turn: Turn) -> None:
        known, used = self._turns.get(turn.id, NO_USAGE), turn.usage
        self._turns[turn.id] = used
        if known == NO_USAGE:
            self._total += used
        elif known != used:
            self._total = sum(self._turns.values(), NO_USAGE)

    def before(self) -> SessionUsage | None:
        """The provider's count of the session before a turn that begins now; None for a session that was
        begun elsewhere and of which there is no count yet."""
        if self.provider_usage is None and (self.is_resumed or len(self._turns) > 1):
            return None
        return self.provider_usage or SessionUsage(usage=NO_USAGE)

    @property
    def usage(self) -> Usage:
        """Tokens of all turns, the one under way included."""
        under_way = (run.turn.usage for run in self.under_way)
        return sum(under_way, self._total)

    def status(self, without: Status) -> Status:
        """The status by the turn under way or the last one; `without` where there is no session yet."""
        run = self.run
        if run is not None and run.turn.status is not Status.IDLE:
            return run.turn.status
        return Status.IDLE if self.id else without
