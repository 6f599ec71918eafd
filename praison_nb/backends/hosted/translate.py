"""What the events of a hosted session mean: a Reader translates them to those of a turn, without any I/O.

It gets every event that the stream or the history has, in order and perhaps more than once, and is the one
place that knows which were read. Sessions replay what is old and repeat what is queued: an idle means
nothing until the turn's own message has been seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...events import (
    Activity,
    ApprovalAnswered,
    Event,
    Notice,
    SessionAttached,
    ToolFinished,
    TurnFailed,
    TurnFinished,
)
from ...turn import estimate_tokens
from . import threads, workflows
from .awaited import AwaitedCalls
from .fields import (
    ANSWERS,
    NAMED,
    TOOL_USES,
    awaited_calls,
    denial,
    end_of_turn,
    error_sentence,
    key_of,
    plain_text,
    session_ended,
    stop_reason,
    tool_started,
    waits_for,
)
from .outcomes import end_of_outcome, evaluation_line
from .own_message import OWN, OwnMessage, is_of_agent
from .preview import Messages
from .requests import Requests
from .session import HostedSession
from .usage import request_finished, session_usage


class Reader:
    """One turn's reading of `session`, whose `seen` and `title` it keeps. `end` is the turn's, once known."""

    def __init__(self, prompt: str, session: HostedSession, attached_tokens: int = 0) -> None:
        self.prompt, self.session = prompt, session
        self.own = OwnMessage(prompt, session)
        self.requests = Requests(self.own, session, estimate_tokens(prompt) + attached_tokens)
        self.busy = False
        """The session still works on something from before our message."""
        self.ambiguous_idle: Any = None
        """An idle that may be of our message or older: the history decides."""
        self.doubtful_idle: Any = None
        """One that may be of a session that sets itself up: the history decides, a little later."""
        self.stopping = self.is_taking_up = False
        self.end: TurnFinished | TurnFailed | None = None
        self.stop_reason = self.verdict = ""
        self.calls = AwaitedCalls()
        self._interrupted = False
        self._messages = Messages(self.own)
        self._error: Any = None

    def read(self, event: Any, *, from_history: bool = False) -> list[Event]:
        """The turn's events for one of the session's; none where it was read before."""
        kind, key, seen = str(event.type), key_of(event), self.session.seen
        was_taken = self.own.is_taken
        self.own.note(event)
        if self.own.is_taken and not was_taken:
            # An error from before is not the message's own.
            self._error, self.verdict = None, ""
        if key in seen and not self.calls.is_changed(event):
            return []
        if kind in NAMED and not getattr(event, NAMED[kind], None):
            return []  # a server that leaves it out
        if kind == "session.status_idle" and not self._is_own_idle(event, from_history):
            return []
        # A queued event comes a second time, when it is dealt with.
        queued = kind.startswith("user.") and getattr(event, "processed_at", None) is None
        if key and not queued:
            seen.add(key)
        self.requests.has_output |= kind.startswith("agent.") and self.own.is_taken
        events = list(self._translate(event))
        if self.is_taking_up and kind in ANSWERS and kind.startswith("user."):
            events += self.requests.read_answer()
        if self.own.is_taken and is_of_agent(event):
            if self.own.owns(event):
                events[:0] = self.requests.read_early(by_time=self.own.is_dated)
            events += self._messages.drop_early()
        if (idle := self.own.pop_early_idle()) is not None:
            events += self._translate(idle)
        return events

    def resolve_idle(self, history: list[Any]) -> list[Event]:
        """The turn's events for an ambiguous idle, now that the whole history is known."""
        idle, self.ambiguous_idle = self.ambiguous_idle, None
        is_own = self.own.owns_by_history(idle, history)
        self.session.seen.add(key_of(idle))
        if not is_own:
            return []
        self.requests.forget_idle(key_of(idle))
        # On this stream our message was never seen: what came is of it, but where times say otherwise.
        is_dated = any(self.own.is_dated and is_of_agent(each) and self.own.owns(each) for each in history)
        events = list(self.requests.read_early(by_time=is_dated))
        events += self._messages.drop_early() if is_dated else ()
        return [*events, *self._translate(idle)]

    def resolve_doubt(self, history: list[Any]) -> list[Event]:
        """The turn's events for a doubtful idle, now that the history has had its time."""
        idle, self.doubtful_idle = self.doubtful_idle, None
        self.session.seen.add(key_of(idle))
        return [*self._translate(idle)] if self.own.owns_after_all(idle, history) else []

    def read_earlier(self, history: list[Any]) -> list[Event]:
        """Take the history from before the turn as read; what it left open is shown."""
        for event in history:
            self.own.note(event)
            self.session.tells_requests |= event.type.startswith("span.model_request")
            self.session.seen.add(key_of(event))
            self.session.threads.note_earlier(event)
            match event.type:
                case "session.status_running" | "session.status_rescheduled":
                    self.busy = True
                    self.calls.note_status(event)
                case "user.message" if event.processed_at is None:
                    # Sent by somebody and not taken yet; where no server says so, an idle follows.
                    self.busy = True
                case "session.status_idle":
                    self.busy = False
                    self.calls.note_status(event)
                case "session.thread_status_idle" | "session.thread_status_running":
                    self.calls.note_status(event, event.session_thread_id)
                case "session.status_terminated" | "session.deleted":
                    self._end_session("terminated")
                case kind if kind in TOOL_USES:
                    self.calls.add(event)
                case kind if kind in ANSWERS:
                    self.calls.answer(getattr(event, ANSWERS[kind]))
        self.calls.keep_open()
        self.busy = self.busy or bool(self.calls.uses)
        return [*self.calls.started()]

    def reattach(self, history: list[Any]) -> list[Any]:
        """Take the session's last message for the turn's own, and return what is to be read of the history.
        Where that message is of a turn that has ended, this turn's was never sent."""
        messages = [n for n, event in enumerate(history) if event.type in OWN]
        if not messages or history[messages[-1]].id == self.session.message_id:
            detail = "the prompt had not been sent when the kernel ended: ask again"
            self.end = TurnFinished(stop_reason="not_sent", detail=detail)
            return []
        before, turn = history[: messages[-1]], history[messages[-1] :]
        for event in before:
            self.session.seen.add(key_of(event))
            self.session.threads.note_earlier(event)
        self.own.id, self.own.is_sent = turn[0].id, True
        return turn

    def mark_lost(self) -> None:
        """The stream is gone; what a new one sends of a message in the making is looked at anew."""
        self._messages.mark_lost()

    def _translate(self, event: Any) -> Iterator[Event]:
        """What an event means. These are all types that the SDK has; others mean nothing."""
        match event.type:
            case "user.message" | "user.define_outcome" | "system.message":
                pass  # read by OwnMessage, or of other clients
            case "user.interrupt":
                is_applied = getattr(event, "processed_at", None) is not None
                self._interrupted |= is_applied and self.own.owns(event)
            case "user.tool_confirmation":
                if event.tool_use_id not in self.calls.answered:
                    self.calls.answer(event.tool_use_id)
                    yield ApprovalAnswered(call_id=event.tool_use_id, allowed=event.result == "allow")
            case "event_start":
                begun = getattr(event.event, "id", None)
                if begun and begun not in self.session.seen:
                    yield from self._messages.begin(event.event)
            case "event_delta":
                yield from self._messages.add(event)
            case "agent.message":
                yield from self._messages.end(event)
            case "agent.thinking":
                yield from self._messages.think(event.id)
            case "agent.tool_use" | "agent.mcp_tool_use" | "agent.custom_tool_use":
                is_new = event.id not in self.calls.uses
                self.calls.add(event)
                yield tool_started(event)
                if is_new and (line := denial(event)):
                    yield Notice(text=line)
            case (
                "agent.tool_result" | "agent.mcp_tool_result" | "user.tool_result" | "user.custom_tool_result"
            ):
                call_id = getattr(event, ANSWERS[event.type])
                # The session repeats our own answer.
                if call_id not in self.calls.answered or not event.type.startswith("user."):
                    self.calls.answer(call_id)
                    is_error = bool(getattr(event, "is_error", None))
                    yield ToolFinished(call_id=call_id, result=plain_text(event.content), is_error=is_error)
            case "agent.thread_context_compacted":
                yield Notice(text="The conversation was summarised to fit the model's context.")
            case "agent.thread_message_sent" | "agent.thread_message_received":
                yield from threads.activity(event)
            case "span.model_request_start" | "span.model_request_end":
                if event.type.endswith("end") and not self.session.threads.owns(event):
                    self._messages.abandon()
                yield from self.requests.read(event)
            case "span.outcome_evaluation_start" | "span.outcome_evaluation_ongoing":
                yield Activity(text="evaluating the outcome")
            case "span.outcome_evaluation_end":
                self.verdict = str(event.result)
                yield Notice(text=evaluation_line(event))
                # Nobody says which model the grader is.
                yield request_finished(event.id, "", getattr(event, "usage", None))
            case "session.updated":
                if title := getattr(event, "title", None):
                    self.session.title = title
                    yield SessionAttached(session_id=self.session.id, title=title)
            case "session.usage":
                self.requests.last_usage = session_usage(event.usage, event.id)
                yield self.requests.last_usage
            case (
                "session.thread_created"
                | "session.thread_status_running"
                | "session.thread_status_idle"
                | "session.thread_status_rescheduled"
                | "session.thread_status_terminated"
            ):
                self.calls.note_status(event, event.session_thread_id)
                yield from self.session.threads.read(event)
                if self.session.threads.owns(event):
                    yield from self.requests.read(event)
            case "session.error":
                status = getattr(getattr(event.error, "retry_status", None), "type", "")
                if status == "retrying":
                    yield Activity(text="retrying")
                elif status in ("exhausted", "terminal"):
                    self._error = event.error
                else:
                    yield Notice(text=error_sentence(event.error))
            case "session.status_rescheduled":
                yield Activity(text="retrying")
            case "session.status_running":
                self.calls.note_status(event)
                yield Activity(text="")
            case "session.status_idle":
                self.stop_reason = stop_reason(event)
                self.calls.note_status(event)
                if self.stop_reason != "requires_action":
                    yield from self.requests.end(key_of(event))
                    yield from self._messages.drop_others(key_of(event))
                    end = end_of_turn(event, self._error, self._interrupted and not self.stopping)
                    self.end = end_of_outcome(end, self.verdict)
                    return
                self.requests.note_waiting()
                if not awaited_calls(event):
                    yield Notice(text=waits_for("something that it does not name"))
            case "session.status_terminated" | "session.deleted":
                yield from self.requests.end()
                self._end_session(event.type.removeprefix("session.").removeprefix("status_"))
            case (
                "workflow_run.created"
                | "workflow_run.status_running"
                | "workflow_run.status_idle"
                | "workflow_run.status_ended"
                | "workflow_run.phase_started"
                | "workflow_run.phase_ended"
                | "workflow_run.error"
            ):
                yield from workflows.read(event)

    def _is_own_idle(self, event: Any, from_history: bool) -> bool:
        """Whether an idle is about our turn; one that is not may be looked up in the history."""
        reason = stop_reason(event)
        if self.own.owns(event) or reason == "requires_action":
            if reason != "end_turn" or self._error or self.stopping or not self.own.is_doubtful:
                return True
            self.doubtful_idle = event
            return False
        self.requests.note_idle(event)
        self._messages.note_idle(event)
        if self.own.is_sent and not self.own.is_taken and not from_history:
            self.ambiguous_idle = event
        else:
            self.busy = False
            self.session.seen.add(key_of(event))
        return False

    def _end_session(self, how: str) -> None:
        self.stop_reason, error = how, session_ended(self.session.id, how, self._error)
        self.end = TurnFailed(error=error)
