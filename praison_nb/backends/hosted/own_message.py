"""The turn's own message in its session: when the session has taken it, and whether an idle comes after that.

A message waits in the session until it is taken. Only then its second copy has a `processed_at`, and an idle
from before is of something else, whatever the session's status says. Some servers never send that time: there
a message is taken once the session works behind it. So is an outcome, whose time says when it was accepted.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from .fields import key_of, said_text
from .mounts import without_mounts
from .session import HostedSession

OWN = ("user.message", "user.define_outcome")
"""What begins a turn."""


class OwnMessage:
    """The message, or outcome, with the text `prompt` in `session`. `note` gets every event in order, even
    again."""

    def __init__(self, prompt: str, session: HostedSession) -> None:
        self.prompt, self.session = prompt, session
        self.id = ""
        """Known once it is sent, or found."""
        self.is_sent = False
        self.is_taken = False
        """The session works on it."""
        self._passed_at: datetime | None = None
        """When the session took a later message, of others."""
        self._is_queued = self._is_outcome = False
        self._is_worked_on = False
        """The agent has worked since the message is taken."""
        self._has_worked = False
        """The agent has worked since the message was sent, on whatever."""
        self._accepted_at: datetime | None = None
        self._taken_at: datetime | None = None
        self._early_idle: Any = None

    def note(self, event: Any) -> None:
        """Learn what an event says about the message."""
        time = processed_at(event)
        if event.type not in OWN:
            is_new = self.is_sent and key_of(event) not in self.session.seen
            self._has_worked |= is_new and is_of_agent(event)
            is_work = event.type == "session.status_running" or is_of_agent(event)
            self._is_worked_on |= self.is_taken and is_new and is_of_agent(event)
            is_behind = time is None or self._accepted_at is None or time >= self._accepted_at
            if self._is_queued and is_work and is_behind and self._is_taken_by_work:
                self.is_taken = True
                self._is_worked_on = is_new and is_of_agent(event)
            return
        is_outcome = event.type == "user.define_outcome"
        if not is_outcome:
            self.session.dates_messages |= time is not None
        if self.is_sent and self._is_own(event):
            self._is_queued, self._is_outcome = True, is_outcome
            if is_outcome:
                self._accepted_at = time
            elif time is not None:
                self.is_taken, self._taken_at = True, time
        elif self.is_taken and time is not None and (self._taken_at is None or time > self._taken_at):
            self._passed_at = min(time, self._passed_at or time)

    def _is_own(self, message: Any) -> bool:
        if self.id:
            return bool(message.id == self.id)
        # A prompt may be the same as an earlier one, which a stream repeats.
        return message.id not in self.session.seen and prompt_of(message) == self.prompt

    @property
    def _is_taken_by_work(self) -> bool:
        return self._is_outcome or not self.session.dates_messages

    @property
    def is_dated(self) -> bool:
        """Whether it is known when the session took the message."""
        return self._taken_at is not None

    @property
    def is_doubtful(self) -> bool:
        """Whether nothing but its running says that the session has taken the message: it may be set up."""
        return self.is_taken and not (self.is_dated or self._is_worked_on or self._is_outcome)

    def owns(self, event: Any) -> bool:
        """Whether an event that comes now is from after the session took the message."""
        at = processed_at(event)
        return self.is_taken and (at is None or self._taken_at is None or at >= self._taken_at)

    def owns_request(self, span: Any) -> bool:
        """Whether a request is from after the session took the message, and before it took one of others."""
        at = processed_at(span)
        return self.owns(span) and (at is None or self._passed_at is None or at < self._passed_at)

    def owns_by_history(self, idle: Any, history: list[Any]) -> bool:
        """Whether an idle that came before anything of this message is of it, by the whole history. One that
        is not may turn out to be when the message gets its time: see `pop_early_idle`."""
        self.session.dates_messages |= any(
            event.type == "user.message" and processed_at(event) is not None for event in history
        )
        if self._has_worked and not any(event.type == "user.message" for event in history):
            # This server tells of no messages: what the session does since ours was sent is for it.
            self.is_taken = True
            return self.owns(idle)
        end = next((n for n, event in enumerate(history) if event.id == idle.id), len(history))
        self._is_queued = False
        self._note_all(history[:end])
        if not (is_own := self.owns(idle)):
            self._early_idle = idle
        self._note_all(history[end:])
        return is_own

    def is_decided(self, idle: Any, history: list[Any]) -> bool:
        """Whether the history says if a doubtful idle is of this message: it has been taken at a time that is
        known, or the agent works behind the idle."""
        self._note_all(history)
        return self.is_dated or _is_followed_by_work(idle, history)

    def owns_after_all(self, idle: Any, history: list[Any]) -> bool:
        """Whether a doubtful idle is of this message, by what is known now."""
        return self.owns(idle) and not _is_followed_by_work(idle, history)

    def _note_all(self, events: Iterable[Any]) -> None:
        for event in events:
            self.note(event)

    def pop_early_idle(self) -> Any:
        """The idle that came before this message and is its own by the times of both, or None. Once."""
        idle, at = self._early_idle, processed_at(self._early_idle)
        if at is None or self._taken_at is None or at <= self._taken_at:
            return None
        self._early_idle = None
        return idle


class Early:
    """What came before the session took the message `own`: of another turn, or of a server that is late to
    say so. The idles among it tell, as far as their times do not."""

    def __init__(self, own: OwnMessage) -> None:
        self._own = own
        self._events: list[Any] = []
        self._idles: dict[str, tuple[Any, int]] = {}
        """And how many events came before each."""

    def add(self, event: Any) -> None:
        self._events.append(event)

    def note_idle(self, idle: Any) -> None:
        """What came before this idle is of others, unless it is the turn's own end."""
        self._idles[key_of(idle)] = idle, len(self._events)

    def forget_idle(self, idle_id: str) -> None:
        """It is."""
        self._idles.pop(idle_id, None)

    def take(self) -> tuple[list[Any], list[Any]]:
        """What is of others by their idles, and the rest, once. An idle from after the session took the
        message is not of others, and what it did after theirs is not either."""
        others = [
            each for each in self._idles.values() if not (self._own.is_dated and self._own.owns(each[0]))
        ]
        count = max((count for _, count in others), default=0)
        times = [processed_at(idle) for idle, _ in others]
        until = None if None in times else max(filter(None, times), default=None)
        parts: tuple[list[Any], list[Any]] = [], []
        for number, event in enumerate(self._events):
            at = processed_at(event)
            is_later = at is not None and until is not None and at > until
            parts[number >= count or is_later].append(event)
        self._events, self._idles = [], {}
        return parts


def _is_followed_by_work(idle: Any, history: list[Any]) -> bool:
    place = next((n for n, event in enumerate(history) if event.id == idle.id), len(history))
    return any(map(is_of_agent, history[place:]))


def is_of_agent(event: Any) -> bool:
    """Whether it is the agent's work, or a model's request for it."""
    return str(event.type).startswith(("span.", "agent."))


def prompt_of(event: Any) -> str:
    """The text of what begins a turn."""
    if event.type == "user.define_outcome":
        return without_mounts(str(event.description))
    return said_text(event.content)


def processed_at(event: Any) -> datetime | None:
    """When the session dealt with an event; None for what waits, and where the server does not say."""
    time = getattr(event, "processed_at", None)
    if not isinstance(time, datetime):
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def in_order(events: Iterable[Any]) -> list[Any]:
    """A history in the order in which the session dealt with it: some servers list a message where it was
    sent. What has no time stays behind what it follows."""
    latest = datetime.min.replace(tzinfo=UTC)
    keyed = [(latest := processed_at(event) or latest, event) for event in events]
    return [event for _, event in sorted(keyed, key=lambda pair: pair[0])]
