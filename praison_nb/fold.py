"""How the events of a turn make the Turn.

>>> turn = Turn(prompt="Hi")
>>> for event in [TextDelta(text="Hel"), TextDelta(text="lo"), TurnFinished()]:
...     turn = fold(turn, event)
>>> turn.text, turn.status.value, turn.stop_reason
('Hello', 'idle', 'end_turn')
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any, TypeVar, assert_never

from .events import (
    Activity,
    AnswerParsed,
    ApprovalAnswered,
    ApprovalAsked,
    Event,
    FilesWritten,
    Notice,
    RequestFinished,
    RequestStarted,
    SessionAttached,
    SessionUsage,
    Spent,
    TextDelta,
    TextFinal,
    Thinking,
    ThreadChanged,
    ToolFinished,
    ToolStarted,
    TurnFailed,
    TurnFinished,
)
from .session import Usage
from .turn import Message, Thread, ToolCall, Turn, byte_length

Items = tuple[Message | ToolCall, ...]
T = TypeVar("T", Message, ToolCall)


def fold(turn: Turn, event: Event) -> Turn:
    """`turn` after `event`. Pure. A turn ends once; what comes after its end, such as its usage, still
    counts."""
    match event:
        case TextDelta():
            return _add_text(turn, event)
        case TextFinal():
            return _final_text(turn, event)
        case RequestStarted():
            return _changed(turn, _open_request=event, _open_bytes=0, activity="")
        case RequestFinished():
            return _count(turn, event)
        case ThreadChanged():
            return _update_thread(turn, event.thread, agent=event.agent, status=event.status)
        case ToolStarted():
            call = ToolCall(event.call_id, event.name, event.arguments, event.runs, event.time)
            items = _put(turn.items, _find(turn.items, ToolCall, call.id)[0])
            more = byte_length(event.name) + byte_length(event.arguments)
            return _changed(turn, items=(*items, call), _open_bytes=turn._open_bytes + more)
        case ToolFinished():
            ended = {"ended": event.time, "result": event.result, "is_error": event.is_error}
            return _update_call(turn, event.call_id, **ended)
        case ApprovalAsked():
            # A question that nobody has answered by the turn's end is a no.
            return _update_call(turn, event.call_id, approval="denied" if turn.ended else "asked")
        case ApprovalAnswered():
            return _update_call(turn, event.call_id, approval="allowed" if event.allowed else "denied")
        case Thinking():
            return _changed(turn, activity="thinking", _open_bytes=turn._open_bytes + byte_length(event.text))
        case Activity():
            return _changed(turn, activity=event.text)
        case SessionAttached():
            model = event.model or turn.model
            return _changed(turn, session_id=event.session_id, session_url=event.url, model=model)
        case SessionUsage():
            return _changed(turn, session_usage=event)
        case Spent():
            others = tuple(each for each in turn.spent if each.per != event.per)
            return _changed(turn, spent=(*others, event))
        case Notice():
            return _changed(turn, notices=(*turn.notices, event.text))
        case FilesWritten():
            return _changed(turn, files=(*turn.files, *event.files))
        case AnswerParsed():
            return _changed(turn, answer=event.answer)
        case TurnFinished() | TurnFailed() if turn.ended is not None:
            return turn
        case TurnFinished():
            return _end(turn, event.time, event.stop_reason, detail=event.detail)
        case TurnFailed():
            return _end(turn, event.time, "error", error=event.error)
        case _:
            assert_never(event)


def _changed(turn: Turn, **changes: Any) -> Turn:
    # As replace() does it, but an order of magnitude faster: this is made for each event. A dict that is
    # filled where it is takes twice the room of this one, which a Turn has as long as it is kept.
    made = object.__new__(Turn)
    object.__setattr__(made, "__dict__", {**turn.__dict__, **changes})
    return made


def _end(turn: Turn, time: float, stop_reason: str, **changes: Any) -> Turn:
    items = tuple(
        replace(i, approval="denied") if isinstance(i, ToolCall) and i.approval == "asked" else i
        for i in turn.items
    )
    return _changed(turn, items=items, ended=time, stop_reason=stop_reason, activity="", **changes)


def _add_text(turn: Turn, event: TextDelta) -> Turn:
    items, message_id = turn.items, event.message_id
    last = items[-1] if items else None
    if isinstance(last, Message) and last.id == message_id:
        items = (*items[:-1], last.add(event.text))
    else:
        place, message = _find(items, Message, message_id or None)
        items = _put(items, place, (message or Message(message_id)).add(event.text))
    return _changed(
        turn,
        items=items,
        first_text=turn.first_text or event.time,
        _open_bytes=turn._open_bytes + byte_length(event.text),
        activity="",
    )


def _final_text(turn: Turn, event: TextFinal) -> Turn:
    place, before = _find(turn.items, Message, event.message_id or None)
    more = byte_length(event.text) - (byte_length(before.text) if before else 0)
    return _changed(
        turn,
        items=_put(turn.items, place, Message(event.message_id, (event.text,))),
        first_text=turn.first_text or event.time,
        _open_bytes=turn._open_bytes + more,
        activity="",
    )


def _update_call(turn: Turn, call_id: str, **changes: Any) -> Turn:
    place, call = _find(turn.items, ToolCall, call_id)
    return turn if call is None else _changed(turn, items=_put(turn.items, place, replace(call, **changes)))


def _find(items: Items, kind: type[T], item_id: str | None) -> tuple[int, T | None]:
    """Where the item of this kind and id is, and the item; behind all where there is none."""
    # Mostly it is one of the last, and a turn may have hundreds.
    for place in range(len(items) - 1, -1, -1):
        item = items[place]
        if item.id == item_id and isinstance(item, kind):
            return place, item
    return len(items), None


def _put(items: Items, place: int, *new: Message | ToolCall) -> Items:
    """`items` with what is `new` in place of the item there."""
    return (*items[:place], *new, *items[place + 1 :])


def _count(turn: Turn, event: RequestFinished) -> Turn:
    if event.id in turn.requests:
        return turn
    usage = turn.pending if event.usage is None else event.usage
    cost, is_unpriced = event.cost or Decimal(0), event.cost is None
    is_estimate = usage.estimated and event.cost_source != "provider"
    if event.thread:
        turn = _count_in_thread(turn, event.thread, usage, cost, is_unpriced)
    else:
        # A sub-agent works beside the agent, with a model of its own.
        turn = _changed(turn, _open_request=None, _open_bytes=0, model=event.model or turn.model)
    return _changed(
        turn,
        counted=turn.counted + usage,
        requests=(*turn.requests, event.id),
        priced=turn.priced + cost,
        unpriced_requests=turn.unpriced_requests + is_unpriced,
        estimated_cost=turn.estimated_cost + cost if is_estimate and cost else turn.estimated_cost,
        fees=turn.fees + event.fees if event.fees else turn.fees,
        is_lower_bound=turn.is_lower_bound or event.is_lower_bound,
        cost_sources=tuple(dict.fromkeys((*turn.cost_sources, event.cost_source))),
    )


def _count_in_thread(turn: Turn, thread_id: str, usage: Usage, cost: Decimal, is_unpriced: bool) -> Turn:
    before = next((each for each in turn.threads if each.id == thread_id), Thread(thread_id))
    unpriced = before.unpriced_requests + is_unpriced
    used = {"usage": before.usage + usage, "priced": before.priced + cost, "unpriced_requests": unpriced}
    return _update_thread(turn, thread_id, **used)


def _update_thread(turn: Turn, thread_id: str, **changes: Any) -> Turn:
    threads = {each.id: each for each in turn.threads}
    threads[thread_id] = replace(threads.get(thread_id, Thread(thread_id)), **changes)
    return _changed(turn, threads=tuple(threads.values()))
