"""What the events of a hosted session mean: a Reader makes ours of them, without any I/O.

It is told every event that the stream or the history gives, in order and perhaps more than once, and is
the one place that knows which were read. Sessions replay what is old and repeat what is queued: an idle
means nothing until the turn's own message has been seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ...errors import SessionError
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
from .client import BUDGET_HINT
from .fields import (
    ANSWERS,
    PLAIN,
    TOOL_USES,
    asked_for,
    digest_of,
    failure,
    plain_text,
    refusal,
    said,
    started,
)
from .preview import Preview
from .usage import request_usage


class Reader:
    """One turn's reading of a session. `seen` are the ids of all events that were ever read; it is the
    session's, and grows. `end` is the turn's end once it has come."""

    def __init__(self, prompt: str, model: str, session_id: str, seen: set[str]) -> None:
        self.prompt, self.model, self.session_id, self.seen = prompt, model, session_id, seen
        self.message_id = ""
        """The id of the turn's own message, once the server has told it."""
        self.sent = False
        self.began = False
        """The session works on our own message."""
        self.busy = False
        """The session still works on something from before our message."""
        self.queued = False
        """Our message is in the session, which may still work on something else."""
        self.doubt: Any = None
        """An idle that may be ours or may be older: the history knows."""
        self.stopping = False
        self.end: TurnFinished | TurnFailed | None = None
        self.stop_reason = ""
        self.uses: dict[str, Any] = {}
        """The tool uses by id."""
        self.answered: set[str] = set()
        """The tool uses that somebody has answered, we or another client."""
        self.blocked: list[str] = []
        """The tool uses that the session waits for."""
        self.interrupted = False
        self._previews: dict[str, Preview] = {}
        self._given_up: set[str] = set()
        self._threads: set[str] = set()
        self._thinking: set[str] = set()
        self._error: Any = None

    # What is told

    def read(self, event: Any, *, history: bool = False) -> list[Event]:
        """Our events for one of the session's; none where it was read before."""
        kind, event_id = str(event.type), getattr(event, "id", None)
        if event_id is not None and event_id in self.seen and not self._is_changed(event):
            return []
        if kind == "session.status_idle" and not self._is_ours(event, history):
            return []
        # A queued event comes a second time, when it is dealt with.
        queued = kind.startswith("user.") and getattr(event, "processed_at", None) is None
        if event_id is not None and not queued:
            self.seen.add(event_id)
        if kind in PLAIN:
            return [PLAIN[kind](event)]
        return list(HANDLERS[kind](self, event)) if kind in HANDLERS else []

    def _is_changed(self, event: Any) -> bool:
        """Whether a tool use that was read before, and is not answered, comes with other arguments."""
        known = None if event.type not in TOOL_USES else self.uses.get(event.id)
        return known is not None and event.id not in self.answered and digest_of(known) != digest_of(event)

    def recall(self, events: list[Any]) -> list[Event]:
        """Take the history from before the turn as read; what it left open is shown."""
        for event in events:
            self.seen.add(event.id)
            match event.type:
                case "session.status_running" | "session.status_rescheduled":
                    self.busy, self.blocked = True, []
                case "session.status_idle":
                    self.busy, self.blocked = False, asked_for(event)
                case "session.status_terminated" | "session.deleted":
                    self._over("terminated")
                case kind if kind in TOOL_USES:
                    self.uses[event.id] = event
                case kind if kind in ANSWERS:
                    self.answered.add(getattr(event, ANSWERS[kind]))
        self.uses = {use.id: use for use in self.open_uses()}
        self.busy = self.busy or bool(self.uses)
        return [started(event) for event in self.open_uses()]

    def lose_connection(self) -> None:
        """The stream is gone; what a new one sends of a message in the making is looked at anew."""
        for preview in self._previews.values():
            preview.lose()

    def begin(self) -> None:
        """From here on the session works on our message; what was wrong before is not ours."""
        if not self.began:
            self.began, self._error = True, None

    def open_uses(self) -> list[Any]:
        """The tool uses that the session waits for and nobody has answered."""
        known = [self.uses[key] for key in self.blocked if key in self.uses]
        return [event for event in known if event.id not in self.answered]

    def _is_ours(self, event: Any, history: bool) -> bool:
        """Whether an idle is about our turn; one that is not may be asked about in the history."""
        if self.began or asked_for(event):
            return True
        if self.sent and not history:
            self.doubt = event
            return False
        self.busy = False
        self.seen.add(event.id)
        return False

    # What events mean

    def _message_from_user(self, event: Any) -> Iterator[Event]:
        own = event.id == self.message_id if self.message_id else plain_text(event.content) == self.prompt
        if self.sent and own:
            self.queued = True
            if getattr(event, "processed_at", None) is not None:
                self.begin()
        yield from ()

    def _interrupt(self, event: Any) -> Iterator[Event]:
        self.interrupted = self.began
        yield from ()

    def _start(self, event: Any) -> Iterator[Event]:
        previewed = event.event
        if previewed.id in self.seen:
            return
        if previewed.type == "agent.message":
            yield from self._drop_given_up(but=previewed.id)
            self._previews.setdefault(previewed.id, Preview()).begin()
        elif previewed.type == "agent.thinking" and previewed.id not in self._thinking:
            self._thinking.add(previewed.id)
            yield Thinking()

    def _delta(self, event: Any) -> Iterator[Event]:
        preview, piece = self._previews.get(event.event_id), event.delta.content
        if preview is None or getattr(piece, "type", "") != "text":
            return
        if text := preview.add(event.delta.index or 0, piece.text):
            yield TextDelta(text=text, message_id=event.event_id)

    def _message(self, event: Any) -> Iterator[Event]:
        yield from self._drop_given_up(but=event.id)
        text = plain_text(event.content)
        if self._previews.pop(event.id, None) or text:
            yield TextFinal(text=text, message_id=event.id)

    def _thought(self, event: Any) -> Iterator[Event]:
        if event.id not in self._thinking:
            yield Thinking()

    def _tool_use(self, event: Any) -> Iterator[Event]:
        self.uses[event.id] = event
        yield started(event)

    def _tool_result(self, event: Any) -> Iterator[Event]:
        use = getattr(event, ANSWERS[event.type])
        if event.type.startswith("user.") and use in self.answered:
            return  # our own answer, as the session repeats it
        self.answered.add(use)
        is_error = bool(getattr(event, "is_error", None))
        yield ToolFinished(call_id=use, result=plain_text(event.content), is_error=is_error)

    def _confirmation(self, event: Any) -> Iterator[Event]:
        if event.tool_use_id not in self.answered:
            self.answered.add(event.tool_use_id)
            yield ApprovalAnswered(call_id=event.tool_use_id, allowed=event.result == "allow")

    def _request_start(self, event: Any) -> Iterator[Event]:
        yield RequestStarted(id=event.id, input_tokens=estimate_tokens(len(self.prompt)))

    def _request_end(self, event: Any) -> Iterator[Event]:
        # What it began to say and did not finish is said anew by a later request, or it is all there is.
        self._given_up |= self._previews.keys()
        usage = request_usage(getattr(event, "model_usage", None))
        yield RequestFinished(id=event.id, model=self.model, provider="anthropic", usage=usage)

    def _drop_given_up(self, but: str) -> Iterator[Event]:
        for message_id in self._given_up - {but}:
            self._previews.pop(message_id, None)
            yield TextFinal(text="", message_id=message_id)
        self._given_up.clear()

    def _updated(self, event: Any) -> Iterator[Event]:
        if title := getattr(event, "title", None):
            yield SessionAttached(session_id=self.session_id, title=title)

    def _thread(self, event: Any) -> Iterator[Event]:
        self._threads.add(event.session_thread_id)
        yield Activity(text=f"sub-agent {event.agent_name}: created")

    def _thread_status(self, event: Any) -> Iterator[Event]:
        # The session's own thread tells its status too, and the session's status says the same.
        if event.session_thread_id in self._threads:
            yield Activity(text=f"sub-agent {event.agent_name}: {event.type.split('_')[-1]}")

    def _thread_message(self, event: Any) -> Iterator[Event]:
        if name := getattr(event, "to_agent_name", None):
            yield Activity(text=f"asking the sub-agent {name}")
        elif name := getattr(event, "from_agent_name", None):
            yield Activity(text=f"the sub-agent {name} answers")

    def _running(self, event: Any) -> Iterator[Event]:
        self.blocked = []
        if self.queued:
            self.begin()
        yield Activity(text="")

    def _session_error(self, event: Any) -> Iterator[Event]:
        status = getattr(getattr(event.error, "retry_status", None), "type", "")
        if status == "retrying":
            yield Activity(text="retrying")
        elif status in ("exhausted", "terminal"):
            self._error = event.error
        else:
            yield Notice(text=said(event.error))

    def _idle(self, event: Any) -> Iterator[Event]:
        reason = str(getattr(event.stop_reason, "type", "") or "end_turn")
        self.stop_reason = reason
        if reason == "requires_action":
            self.blocked = asked_for(event)
        elif reason == "retries_exhausted" or self._error is not None:
            self.end = TurnFailed(error=failure(self._error))
        elif reason == "budget_reached":
            self.end = TurnFinished(stop_reason=reason, detail=BUDGET_HINT)
        elif reason == "refusal":
            self.end = TurnFinished(stop_reason=reason, detail=refusal(getattr(event, "stop_details", None)))
        elif reason == "end_turn" and self.interrupted and not self.stopping:
            self.end = TurnFinished(stop_reason="interrupted", detail="interrupted by another client")
        else:
            self.end = TurnFinished(stop_reason=reason)
        yield from ()

    def _terminated(self, event: Any) -> Iterator[Event]:
        self._over(event.type.removeprefix("session.").removeprefix("status_"))
        yield from ()

    def _over(self, how: str) -> None:
        self.stop_reason = how
        why = f" {said(self._error)}" if self._error is not None else ""
        line = f"The session {self.session_id} was {how}.{why} reset_session() begins a new one."
        self.end = TurnFailed(error=SessionError(line))


_Handler = Callable[[Reader, Any], Iterator[Event]]
HANDLERS: dict[str, _Handler] = {
    "user.message": Reader._message_from_user,
    "user.interrupt": Reader._interrupt,
    "user.tool_confirmation": Reader._confirmation,
    "user.custom_tool_result": Reader._tool_result,
    "user.tool_result": Reader._tool_result,
    "event_start": Reader._start,
    "event_delta": Reader._delta,
    "agent.message": Reader._message,
    "agent.thinking": Reader._thought,
    "agent.tool_use": Reader._tool_use,
    "agent.mcp_tool_use": Reader._tool_use,
    "agent.custom_tool_use": Reader._tool_use,
    "agent.tool_result": Reader._tool_result,
    "agent.mcp_tool_result": Reader._tool_result,
    "agent.thread_message_sent": Reader._thread_message,
    "agent.thread_message_received": Reader._thread_message,
    "session.thread_created": Reader._thread,
    "session.thread_status_running": Reader._thread_status,
    "session.thread_status_idle": Reader._thread_status,
    "session.thread_status_rescheduled": Reader._thread_status,
    "session.thread_status_terminated": Reader._thread_status,
    "session.error": Reader._session_error,
    "session.status_running": Reader._running,
    "session.status_idle": Reader._idle,
    "session.status_terminated": Reader._terminated,
    "session.deleted": Reader._terminated,
    "session.updated": Reader._updated,
    "span.model_request_start": Reader._request_start,
    "span.model_request_end": Reader._request_end,
}
"""What an event means for the turn. With PLAIN and PASSED_OVER these are all types that the SDK has."""
