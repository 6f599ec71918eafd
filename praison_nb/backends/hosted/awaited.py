"""The tool uses of a session in one turn: which it waits for, and which somebody has answered."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from ...events import Event, Notice, ToolStarted
from .fields import ANSWERS, TOOL_USES, awaited_calls, digest_of, stop_reason, tool_started, waits_for

CUSTOM = "agent.custom_tool_use"
MAIN = ""
"""Stands for the session where a thread has an id."""


class AwaitedCalls:
    """`uses` are the tool uses by id, `answered` the ids of those that we or another client answered, and
    `unanswered` the others of custom tools: not every server tells of the results of its own."""

    def __init__(self) -> None:
        self.uses: dict[str, Any] = {}
        self.answered: set[str] = set()
        self.unanswered: dict[str, Any] = {}
        self._named: dict[str, list[str]] = {}
        """The ids that the session waits for, and those that the thread of a sub-agent does."""
        self._looked_up: set[str] = set()

    def add(self, use: Any) -> None:
        """There is a tool use, or it has changed."""
        self.uses[use.id] = use
        if use.type == CUSTOM and use.id not in self.answered:
            self.unanswered[use.id] = use

    def answer(self, call_id: str) -> None:
        """Somebody has answered the tool use with this id."""
        self.answered.add(call_id)
        self.unanswered.pop(call_id, None)

    def keep_open(self) -> None:
        """Forget the tool uses that nothing waits for."""
        self.uses = {use.id: use for use in self.open()}
        self.unanswered = {key: use for key, use in self.uses.items() if use.type == CUSTOM}

    def note_status(self, event: Any, thread: str = MAIN) -> None:
        """Take what an idle session or thread waits for; any other status waits for nothing."""
        waits = event.type.endswith("_idle") and stop_reason(event) == "requires_action"
        self._named[thread] = awaited_calls(event) if waits else []

    @property
    def blocking(self) -> list[str]:
        """The ids of what is waited for and nobody has answered."""
        ids = dict.fromkeys(each for named in self._named.values() for each in named)
        return [each for each in ids if each not in self.answered]

    def started(self) -> list[ToolStarted]:
        """All tool uses that are known."""
        return [tool_started(use) for use in self.uses.values()]

    def open(self) -> list[Any]:
        """The tool uses that are waited for and nobody has answered."""
        return [self.uses[each] for each in self.blocking if each in self.uses]

    def is_changed(self, event: Any) -> bool:
        """Whether a tool use that is known, and is not answered, comes with other arguments."""
        known = None if event.type not in TOOL_USES else self.uses.get(event.id)
        return known is not None and event.id not in self.answered and digest_of(known) != digest_of(event)

    def missing(self) -> list[str]:
        """The ids that are waited for and of which no event is known, where nobody has looked yet."""
        return [each for each in self.blocking if each not in self.uses and each not in self._looked_up]

    def add_found(self, missing: Collection[str], events: Iterable[Any]) -> list[Event]:
        """Take what was found about those that were `missing`; what they show."""
        self._looked_up.update(missing)
        kinds: dict[str, str] = {}
        for event in events:
            if event.type in ANSWERS:
                self.answer(getattr(event, ANSWERS[event.type]))
            elif event.type in TOOL_USES:
                self.add(event)
            else:
                kinds[event.id] = event.type
        shown: list[Event] = [tool_started(self.uses[each]) for each in missing if each in self.uses]
        waiting = [each for each in missing if each in self.blocking and each not in self.uses]
        return shown + [Notice(text=waits_for(kinds.get(each, "an event"), each)) for each in waiting]
