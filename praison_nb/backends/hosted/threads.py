"""The threads of a session's sub-agents: how each stands, and what of its usage is counted in turns.

A session's stream has the requests of its own thread. What a sub-agent used, its thread alone tells for
certain, cumulative and after the fact: each part of it is counted once, when the thread rests or the turn has
ended. A server that has no threads to ask may still post their spans.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from ...events import Activity, Event, RequestFinished, ThreadChanged
from ...metering.session_threads import difference, part_id
from ...session import Usage
from ...text import shorten
from .fields import stop_reason
from .usage import request_usage, session_usage

CREATED = "session.thread_created"
STATUSES = {
    "session.thread_status_running": "running",
    "session.thread_status_idle": "idle",
    "session.thread_status_rescheduled": "retrying",
    "session.thread_status_terminated": "terminated",
}
_REASONS = {"requires_action": "waiting", "retries_exhausted": "failed", "refusal": "refused"}
"""Why a thread is idle, where that is worth a word."""
LONGEST_NAME = 200


@dataclass
class _Thread:
    agent: str
    counted: Usage | None = field(default_factory=Usage)
    """What turns have counted; None where an earlier process may have counted some."""
    sum: Usage = field(default_factory=Usage)
    """What was posted in all."""
    posted: Usage = field(default_factory=Usage)
    """By spans that were posted to the session's stream, not counted yet."""
    work: Literal["", "own", "others"] = ""
    """Whose turn made it work last, as far as that was seen and is not counted."""
    status: str = ""
    is_active: bool = False
    """It did something in this turn."""


class Threads:
    """The sub-agents' threads that are known of a session."""

    def __init__(self) -> None:
        self._known: dict[str, _Thread] = {}
        self._own: set[str] = set()
        """The session's own thread, and what no list has."""

    def __bool__(self) -> bool:
        return bool(self._known)

    @property
    def are_counted(self) -> bool:
        """Whether it is known of each what has been counted."""
        return all(each.counted is not None for each in self._known.values())

    def begin_turn(self) -> None:
        """Nothing has been shown of them yet."""
        for thread in self._known.values():
            thread.is_active = False

    def note_earlier(self, event: Any) -> None:
        """Learn of a thread from the history before the turn."""
        if event.type == CREATED:
            self._known.setdefault(event.session_thread_id, _Thread(_name(event.agent_name), None))

    def missing(self, event: Any) -> str:
        """The id of an event's thread whose creation was never seen, "" where it is known."""
        key = getattr(event, "session_thread_id", None) or ""
        is_known = event.type == CREATED or key in self._known or key in self._own
        return "" if is_known else str(key)

    def learn(self, key: str, listed: Iterable[Any]) -> None:
        """Learn by the server's list what a thread is: one that another client's turn made, or the session's
        own. Of what it used the ledger knows what was counted."""
        for each in listed:
            if each.id == key and each.parent_thread_id:
                self._known[key] = _Thread(_name(each.agent.name))
        if key not in self._known:
            self._own.add(key)

    def read(self, event: Any) -> Iterator[Event]:
        """What the creation of a thread or its status shows. The session's own thread has a status too, which
        the session's says already."""
        key = event.session_thread_id
        if event.type == CREATED:
            thread = self._known.setdefault(key, _Thread(_name(event.agent_name)))
            status = "running"
        else:
            if (found := self._known.get(key)) is None:
                return
            thread, status = found, STATUSES[event.type]
            if status == "idle":
                status = _REASONS.get(stop_reason(event), status)
        yield self._changed(key, thread, status)

    def owns(self, event: Any) -> bool:
        """Whether an event is of a sub-agent's thread."""
        return (getattr(event, "session_thread_id", None) or "") in self._known

    def note_own(self, event: Any) -> None:
        """A thread's event is of the turn. What it says was used is kept for `count`."""
        thread = self._known[event.session_thread_id]
        thread.work = "own"
        thread.posted += request_usage(getattr(event, "model_usage", None))

    def note_others(self, event: Any) -> None:
        """It is of another client's turn, which counts what it used."""
        if self.owns(event) and (thread := self._known[event.session_thread_id]).work != "own":
            thread.work = "others"

    def set_baseline(self, listed: Iterable[Any]) -> None:
        """Take what the server lists as counted, where nobody knows what was."""
        for _, thread, details in self._matching(listed):
            if thread.counted is None:
                thread.counted = session_usage(details.usage).usage

    def count(self, listed: Iterable[Any], turn_id: str, *, is_over: bool = False) -> Iterator[Event]:
        """What the turn's sub-agents used by the server's list, and where the turn `is_over` how they stand.
        Of a thread that it does not list the posted spans count."""
        there = {key: details for key, _, details in self._matching(listed)}
        for key, thread in self._known.items():
            details = there.get(key)
            usage: Usage | None = thread.posted
            thread.sum += thread.posted
            part, model = f"{key}@{turn_id}-{thread.sum.input_tokens + thread.sum.output_tokens}", ""
            if details is not None and details.usage is not None:
                total = session_usage(details.usage).usage
                if thread.work == "others":
                    thread.counted = total
                usage = None if thread.counted is None else difference(total, thread.counted)
                part = part_id(key, total)
                model = str(getattr(getattr(details.agent, "model", None), "id", "") or "")
                # Two lists may come in the other order.
                thread.counted = total if thread.counted is None or usage is None else thread.counted + usage
            thread.posted = Usage()
            if is_over:
                thread.work = ""
            if usage != Usage():
                yield RequestFinished(id=part, model=model, provider="anthropic", usage=usage, thread=key)
            status = thread.status
            if is_over and details is not None and status in ("", "running", "retrying"):
                status = str(details.status)
            if (thread.is_active and status != thread.status) or (
                usage and usage != Usage() and not thread.is_active
            ):
                yield self._changed(key, thread, status)

    def _changed(self, key: str, thread: _Thread, status: str) -> ThreadChanged:
        thread.status, thread.is_active = status, True
        return ThreadChanged(thread=key, agent=thread.agent, status=thread.status)

    def _matching(self, listed: Iterable[Any]) -> list[tuple[str, _Thread, Any]]:
        return [(each.id, self._known[each.id], each) for each in listed if each.id in self._known]


def activity(event: Any) -> Iterator[Event]:
    """What a message from one agent to another shows."""
    if name := getattr(event, "to_agent_name", None):
        yield Activity(text=f"asking the sub-agent {shorten(str(name), 60)}")
    elif name := getattr(event, "from_agent_name", None):
        yield Activity(text=f"the sub-agent {shorten(str(name), 60)} answers")


def _name(agent: Any) -> str:
    return shorten(str(agent or ""), LONGEST_NAME)
