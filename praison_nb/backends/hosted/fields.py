"""What single fields of a hosted session's events say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal

from ...content import LABEL
from ...errors import PraisonError, RateLimitError, ServerError, SessionError
from ...events import ToolStarted, TurnFailed, TurnFinished
from ...render import review
from ...text import shorten
from .client import BUDGET_HINT
from .mounts import without_mounts

TOOL_USES: dict[str, Literal["function", "builtin", "mcp"]] = {
    "agent.tool_use": "builtin",
    "agent.mcp_tool_use": "mcp",
    "agent.custom_tool_use": "function",
}
ANSWERS = {
    "user.tool_confirmation": "tool_use_id",
    "user.tool_result": "tool_use_id",
    "user.custom_tool_result": "custom_tool_use_id",
    "agent.tool_result": "tool_use_id",
    "agent.mcp_tool_result": "mcp_tool_use_id",
}
"""Where an answer names the tool use that it belongs to."""
NAMED = {
    **ANSWERS,
    "session.thread_created": "session_thread_id",
    "event_start": "event",
    "event_delta": "event_id",
    **dict.fromkeys(TOOL_USES, "id"),
}
"""Without which an event says nothing."""


def key_of(event: Any) -> str:
    """What tells an event from all others: its id, or type and time where it has none, as some interrupts; ""
    for previews, which come once."""
    if event_id := getattr(event, "id", None):
        return str(event_id)
    time = getattr(event, "processed_at", None)
    return f"{event.type} {time}" if time else ""


def plain_text(content: Any) -> str:
    """The text of content blocks; what is no text is named in brackets. Some servers send the text alone."""
    if isinstance(content, str):
        return content
    return "".join(map(_block, _blocks(content)))


def said_text(content: Any) -> str:
    """The text alone of a message."""
    if isinstance(content, str):
        return without_mounts(content)
    texts = [str(block.text) for block in _blocks(content) if getattr(block, "type", "") == "text"]
    return without_mounts("".join(texts))


def prompt_text(content: Any) -> str:
    """The text of a message of the user. Pictures and documents have labels in ours, and are named in
    brackets in those of others."""
    text, others = said_text(content), sum(getattr(each, "type", "") != "text" for each in _blocks(content))
    return text if len(LABEL.findall(text)) >= others else plain_text(content)


def _blocks(content: Any) -> Sequence[Any]:
    """Content as a list: one block may stand alone."""
    return content if isinstance(content, list) else (content,) if content else ()


def _block(block: Any) -> str:
    match getattr(block, "type", None) or "":
        case "text":
            return str(getattr(block, "text", "") or "")
        case "redacted":
            return "[withheld by the provider]"
        case "search_result":
            parts = getattr(block, "content", None) or ()
            inner = "".join(str(getattr(part, "text", None) or "") for part in parts)
            title, source = (getattr(block, name, None) or "" for name in ("title", "source"))
            return f"{title} ({source})\n{inner}\n"
        case "document":
            return f"[document {getattr(block, 'title', None) or ''}]".replace(" ]", "]")
        case kind:
            return f"[{kind}]"


def tool_started(event: Any) -> ToolStarted:
    """A tool use."""
    return ToolStarted(
        id=event.id,
        call_id=event.id,
        name=str(event.name),
        arguments=json.dumps(getattr(event, "input", None) or {}, ensure_ascii=False),
        runs=TOOL_USES[event.type],
    )


def digest_of(event: Any) -> str:
    """A digest that no other tool use has, to the byte."""
    use = tool_started(event)
    return review.digest(use.name, use.arguments)


def awaited_calls(idle: Any) -> list[str]:
    """The events that an idle session waits for an answer to; [] where it does not say."""
    return list(getattr(idle.stop_reason, "event_ids", None) or ())


def waits_for(what: str, event_id: str = "") -> str:
    """The line for what nobody can answer here."""
    named = f"{shorten(what, 60)} ({shorten(event_id, 60)})" if event_id else what
    return f"The session waits for {named}, which cannot be answered here. Answer elsewhere, or stop it."


def needs_approval(event: Any) -> bool:
    """Whether a tool use that the session waits for is for the user to allow. One without a permission, or
    with a word that is not known, is asked about too: neither may mean yes. An allowed one waits for whoever
    runs it."""
    permission = getattr(event, "evaluated_permission", None)
    return event.type != "agent.custom_tool_use" and permission != "allow"


def auto_reason(event: Any) -> str:
    """Why the server's own judgement did not let a tool use run; "" where it made none, or let it."""
    judgement = getattr(getattr(event, "evaluation", None), "evaluated_permission", None)
    return shorten(str(getattr(judgement, "reason_code", "") or ""), 60)


def denial(event: Any) -> str:
    """The line for a tool use that the server's own judgement denied; "" for any other."""
    if getattr(event, "evaluated_permission", None) != "deny" or not (reason := auto_reason(event)):
        return ""
    return f"{shorten(str(event.name), 60)} was not run: the server's own judgement denied it ({reason})."


def error_sentence(error: Any) -> str:
    """A session's error as one sentence."""
    message, kind = str(getattr(error, "message", "") or ""), str(getattr(error, "type", "") or "")
    return f"{message.rstrip('.') or kind} ({kind})." if kind else f"{message or 'no reason given'}."


_KINDS: dict[str, type[PraisonError]] = {
    "model_overloaded_error": ServerError,
    "model_request_failed_error": ServerError,
    "model_rate_limited_error": RateLimitError,
}


def stop_reason(idle: Any) -> str:
    """Why a session is idle, in the server's word."""
    return str(getattr(idle.stop_reason, "type", "") or "end_turn")


def end_of_turn(idle: Any, error: Any, is_interrupted: bool) -> TurnFinished | TurnFailed:
    """How a turn ended whose session is idle. `error` is the session's last one in the turn;
    `is_interrupted` says that another client stopped it."""
    reason = stop_reason(idle)
    if reason == "retries_exhausted" or error is not None:
        kind = _KINDS.get(str(getattr(error, "type", "")), SessionError)
        why = error_sentence(error) if error is not None else "The runtime's retries are used up."
        hint = "The session is still there: ask again."
        return TurnFailed(error=kind(f"The turn was given up after repeated errors. {why} {hint}"))
    if reason == "budget_reached":
        return TurnFinished(stop_reason=reason, detail=BUDGET_HINT)
    if reason == "refusal":
        return TurnFinished(stop_reason=reason, detail=_refusal(getattr(idle, "stop_details", None)))
    if reason == "end_turn" and is_interrupted:
        return TurnFinished(stop_reason="interrupted", detail="interrupted by another client")
    return TurnFinished(stop_reason=reason)


def session_ended(session_id: str, how: str, error: Any) -> SessionError:
    """Why a session takes no more prompts. `error` is its last one in the turn."""
    why = f" {error_sentence(error)}" if error is not None else ""
    return SessionError(f"The session {session_id} was {how}.{why} reset_session() begins a new one.")


def _refusal(details: Any) -> str:
    """Why the model refused, as far as is known."""
    category, explanation = getattr(details, "category", None), getattr(details, "explanation", None)
    line = "the model refused" + (f" ({category})" if category else "")
    return f"{line}: {' '.join(str(explanation).split())}" if explanation else line
