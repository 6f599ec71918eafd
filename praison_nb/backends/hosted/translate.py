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
    RequestFinished,
    RequestStarted,
    SessionAttached,
    TextDelta,
    TextFinal,
    Thinking,
    ToolFinished,
    TurnFailed,
    TurnFinished,
)
from ...turn import estimate_tokens
from .fields import (
    ANSWERS,
    TOOL_USES,
    awaited_calls,
    digest_of,
    end_of_turn,
    error_sentence,
    plain_text,
    session_ended,
    stop_reason,
    tool_started,
)
from .preview import Preview
from .session import HostedSession
from .usage import request_usage, session_usage


class Reader:
    """One turn's reading of `session`, whose `seen` and `title` it keeps. `end` is the turn's end once it has
    come."""

    def __init__(self, prompt: str, session: HostedSession) -> None:
        self.prompt, self.session = prompt, session
        self.message_id = ""
        """The id of the turn's own message, once it is known."""
        self.sent = False
        self.began = False
        """The session works on our own message."""
        self.busy = False
        """The session still works on something from before our message."""
        self.queued = False
        """Our message is in the session, which may still work on something else."""
        self.ambiguous_idle: Any = None
        """An idle that may be of our message or older: the history decides."""
        self.stopping = False
        self.end: TurnFinished | TurnFailed | None = None
        self.stop_reason = ""
        self.uses: dict[str, Any] = {}
        """The tool uses by id."""
        self.answered: set[str] = set()
        """The tool uses that somebody has answered, we or another client."""
        self.blocked: list[str] = []
        """The tool uses that the session waits for."""
        self._interrupted = False
        self._previews: dict[str, Preview] = {}
        self._abandoned: set[str] = set()
        """The previews whose request ended before the message did."""
        self._threads: set[str] = set()
        self._thinking: set[str] = set()
        self._error: Any = None

    def read(self, event: Any, *, from_history: bool = False) -> list[Event]:
        """The turn's events for one of the session's; none where it was read before."""
        kind, event_id = str(event.type), getattr(event, "id", None)
        seen = self.session.seen
        if event_id is not None and event_id in seen and not self._is_changed(event):
            return []
        if kind == "session.status_idle" and not self._is_own_idle(event, from_history):
            return []
        # A queued event comes a second time, when it is dealt with.
        queued = kind.startswith("user.") and getattr(event, "processed_at", None) is None
        if event_id is not None and not queued:
            seen.add(event_id)
        return list(self._translate(event))

    def accept_idle(self, idle: Any) -> None:
        """An ambiguous idle is about our message after all, and is to be read again."""
        self._begin()
        self.session.seen.discard(idle.id)

    def read_earlier(self, history: list[Any]) -> list[Event]:
        """Take the history from before the turn as read; what it left open is shown."""
        for event in history:
            self.session.seen.add(event.id)
            match event.type:
                case "session.status_running" | "session.status_rescheduled":
                    self.busy, self.blocked = True, []
                case "session.status_idle":
                    self.busy, self.blocked = False, awaited_calls(event)
                case "session.status_terminated" | "session.deleted":
                    self._end_session("terminated")
                case kind if kind in TOOL_USES:
                    self.uses[event.id] = event
                case kind if kind in ANSWERS:
                    self.answered.add(getattr(event, ANSWERS[kind]))
        self.uses = {use.id: use for use in self.open_uses()}
        self.busy = self.busy or bool(self.uses)
        return [tool_started(event) for event in self.open_uses()]

    def reattach(self, history: list[Any]) -> list[Any]:
        """Take the session's last message for the turn's own, and return what is to be read of the history.
        Where that message is of a turn that has ended, this turn's was never sent."""
        messages = [n for n, event in enumerate(history) if event.type == "user.message"]
        if not messages or history[messages[-1]].id == self.session.message_id:
            detail = "the prompt had not been sent when the kernel ended: ask again"
            self.end = TurnFinished(stop_reason="not_sent", detail=detail)
            return []
        before, turn = history[: messages[-1]], history[messages[-1] :]
        self.session.seen.update(event.id for event in before)
        self.message_id, self.sent = turn[0].id, True
        return turn

    def mark_lost(self) -> None:
        """The stream is gone; what a new one sends of a message in the making is looked at anew."""
        for preview in self._previews.values():
            preview.mark_lost()

    def open_uses(self) -> list[Any]:
        """The tool uses that the session waits for and nobody has answered."""
        known = [self.uses[key] for key in self.blocked if key in self.uses]
        return [event for event in known if event.id not in self.answered]

    def _translate(self, event: Any) -> Iterator[Event]:
        """What an event means. These are all types that the SDK has; others mean nothing."""
        match event.type:
            case "user.message":
                known = self.message_id
                is_own = event.id == known if known else plain_text(event.content) == self.prompt
                if self.sent and is_own:
                    self.queued = True
                    if getattr(event, "processed_at", None) is not None:
                        self._begin()
            case "user.interrupt":
                self._interrupted = self.began
            case "user.tool_confirmation":
                if event.tool_use_id not in self.answered:
                    self.answered.add(event.tool_use_id)
                    yield ApprovalAnswered(call_id=event.tool_use_id, allowed=event.result == "allow")
            case "user.define_outcome" | "system.message":
                pass  # of other clients
            case "event_start":
                yield from self._begin_preview(event.event)
            case "event_delta":
                piece = event.delta.content
                preview = self._previews.get(event.event_id) if getattr(piece, "type", "") == "text" else None
                if preview and (text := preview.add(event.delta.index or 0, piece.text)):
                    yield TextDelta(text=text, message_id=event.event_id)
            case "agent.message":
                yield from self._drop_abandoned(but=event.id)
                text = plain_text(event.content)
                if self._previews.pop(event.id, None) or text:
                    yield TextFinal(text=text, message_id=event.id)
            case "agent.thinking":
                if event.id not in self._thinking:
                    yield Thinking()
            case "agent.tool_use" | "agent.mcp_tool_use" | "agent.custom_tool_use":
                self.uses[event.id] = event
                yield tool_started(event)
            case (
                "agent.tool_result" | "agent.mcp_tool_result" | "user.tool_result" | "user.custom_tool_result"
            ):
                call_id = getattr(event, ANSWERS[event.type])
                # The session repeats our own answer.
                if call_id not in self.answered or not event.type.startswith("user."):
                    self.answered.add(call_id)
                    is_error = bool(getattr(event, "is_error", None))
                    yield ToolFinished(call_id=call_id, result=plain_text(event.content), is_error=is_error)
            case "agent.thread_context_compacted":
                yield Notice(text="The conversation was summarised to fit the model's context.")
            case "agent.thread_message_sent" | "agent.thread_message_received":
                if name := getattr(event, "to_agent_name", None):
                    yield Activity(text=f"asking the sub-agent {name}")
                elif name := getattr(event, "from_agent_name", None):
                    yield Activity(text=f"the sub-agent {name} answers")
            case "span.model_request_start":
                yield RequestStarted(id=event.id, input_tokens=estimate_tokens(self.prompt))
            case "span.model_request_end":
                # A message that it began and did not end comes anew in a later request, or is all there is.
                self._abandoned |= self._previews.keys()
                usage = request_usage(getattr(event, "model_usage", None))
                model = self.session.model
                yield RequestFinished(id=event.id, model=model, provider="anthropic", usage=usage)
            case "span.outcome_evaluation_start" | "span.outcome_evaluation_ongoing":
                yield Activity(text="evaluating the outcome")
            case "span.outcome_evaluation_end":
                yield Notice(text=f"Outcome: {event.result}. {event.explanation}")
            case "session.updated":
                if title := getattr(event, "title", None):
                    self.session.title = title
                    yield SessionAttached(session_id=self.session.id, title=title)
            case "session.usage":
                yield session_usage(event.usage, event.id)
            case "session.thread_created":
                self._threads.add(event.session_thread_id)
                yield Activity(text=f"sub-agent {event.agent_name}: created")
            case (
                "session.thread_status_running"
                | "session.thread_status_idle"
                | "session.thread_status_rescheduled"
                | "session.thread_status_terminated"
            ):
                # The session's own thread has a status too, and the session's status says the same.
                if event.session_thread_id in self._threads:
                    yield Activity(text=f"sub-agent {event.agent_name}: {event.type.split('_')[-1]}")
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
                self.blocked = []
                if self.queued:
                    self._begin()
                yield Activity(text="")
            case "session.status_idle":
                self.stop_reason = stop_reason(event)
                if self.stop_reason == "requires_action":
                    self.blocked = awaited_calls(event)
                else:
                    self.end = end_of_turn(event, self._error, self._interrupted and not self.stopping)
            case "session.status_terminated" | "session.deleted":
                self._end_session(event.type.removeprefix("session.").removeprefix("status_"))
            case "workflow_run.created":
                yield Activity(text=f"workflow {event.name}: created")
            case "workflow_run.status_running" | "workflow_run.status_idle" | "workflow_run.status_ended":
                yield Activity(text=f"workflow: {event.type.split('_')[-1]}")
            case "workflow_run.phase_started" | "workflow_run.phase_ended":
                what = "began" if event.type.endswith("started") else "ended"
                yield Activity(text=f"workflow: a phase {what}")
            case "workflow_run.error":
                yield Notice(text=f"A workflow failed: {error_sentence(event.error)}")

    def _is_changed(self, event: Any) -> bool:
        """Whether a tool use that was read before, and is not answered, comes with other arguments."""
        known = None if event.type not in TOOL_USES else self.uses.get(event.id)
        return known is not None and event.id not in self.answered and digest_of(known) != digest_of(event)

    def _is_own_idle(self, event: Any, from_history: bool) -> bool:
        """Whether an idle is about our turn; one that is not may be looked up in the history."""
        if self.began or awaited_calls(event):
            return True
        if self.sent and not from_history:
            self.ambiguous_idle = event
        else:
            self.busy = False
            self.session.seen.add(event.id)
        return False

    def _begin(self) -> None:
        """From here on the session works on our message; an error from before is not its own."""
        if not self.began:
            self.began, self._error = True, None

    def _begin_preview(self, previewed: Any) -> Iterator[Event]:
        if previewed.id in self.session.seen:
            return
        if previewed.type == "agent.message":
            yield from self._drop_abandoned(but=previewed.id)
            self._previews.setdefault(previewed.id, Preview()).begin()
        elif previewed.type == "agent.thinking" and previewed.id not in self._thinking:
            self._thinking.add(previewed.id)
            yield Thinking()

    def _drop_abandoned(self, but: str) -> Iterator[Event]:
        for message_id in self._abandoned - {but}:
            self._previews.pop(message_id, None)
            yield TextFinal(text="", message_id=message_id)
        self._abandoned.clear()

    def _end_session(self, how: str) -> None:
        self.stop_reason = how
        self.end = TurnFailed(error=session_ended(self.session.id, how, self._error))
