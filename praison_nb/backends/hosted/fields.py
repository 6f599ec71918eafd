"""What single fields of a hosted session's events say."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Literal

from ...errors import PraisonError, RateLimitError, ServerError, SessionError
from ...events import Activity, Event, Notice, ToolStarted
from ...render import review
from .usage import session_usage

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


def plain_text(content: Any) -> str:
    """The text of content blocks; what is no text is named in brackets."""
    return "".join(_block(block) for block in content or ())


def _block(block: Any) -> str:
    match getattr(block, "type", ""):
        case "text":
            return str(getattr(block, "text", "") or "")
        case "redacted":
            return "[withheld by the provider]"
        case "search_result":
            inner = "".join(str(getattr(part, "text", "")) for part in getattr(block, "content", None) or ())
            return f"{getattr(block, 'title', '')} ({getattr(block, 'source', '')})\n{inner}\n"
        case "document":
            return f"[document {getattr(block, 'title', None) or ''}]".replace(" ]", "]")
        case kind:
            return f"[{kind}]"


def started(event: Any) -> ToolStarted:
    """A tool use."""
    return ToolStarted(
        id=event.id,
        call_id=event.id,
        name=str(event.name),
        arguments=json.dumps(getattr(event, "input", None) or {}, ensure_ascii=False),
        runs=TOOL_USES[event.type],
    )


def digest_of(event: Any) -> str:
    """What tells a tool use from every other one, to the byte."""
    use = started(event)
    return review.digest(use.name, use.arguments)


def asked_for(idle: Any) -> list[str]:
    """The tool uses that an idle session waits for."""
    return list(getattr(idle.stop_reason, "event_ids", None) or ())


def needs_approval(event: Any) -> bool:
    """Whether a tool use that the session waits for is for the user to allow. A word that is not known is
    asked about too: it must never mean yes. An allowed one waits for whoever runs it."""
    permission = getattr(event, "evaluated_permission", None)
    return event.type != "agent.custom_tool_use" and permission not in (None, "allow", "deny")


def said(error: Any) -> str:
    """A session's error as one sentence."""
    message, kind = str(getattr(error, "message", "") or ""), str(getattr(error, "type", "") or "")
    return f"{message.rstrip('.') or kind} ({kind})." if kind else f"{message or 'no reason given'}."


_KINDS: dict[str, type[PraisonError]] = {
    "model_overloaded_error": ServerError,
    "model_request_failed_error": ServerError,
    "model_rate_limited_error": RateLimitError,
}


def failure(error: Any) -> PraisonError:
    """What ended a turn whose session can go on."""
    kind = _KINDS.get(str(getattr(error, "type", "")), SessionError)
    why = said(error) if error is not None else "The runtime's retries are used up."
    return kind(f"The turn was given up after repeated errors. {why} The session is still there: ask again.")


def refusal(details: Any) -> str:
    """Why the model refused, as far as it is told."""
    category, explanation = getattr(details, "category", None), getattr(details, "explanation", None)
    line = "the model refused" + (f" ({category})" if category else "")
    return f"{line}: {' '.join(str(explanation).split())}" if explanation else line


PLAIN: dict[str, Callable[[Any], Event]] = {
    "agent.thread_context_compacted": lambda event: Notice(
        text="The conversation was summarised to fit the model's context."
    ),
    "session.status_rescheduled": lambda event: Activity(text="retrying"),
    "session.usage": lambda event: session_usage(event.usage, event.id),
    "span.outcome_evaluation_start": lambda event: Activity(text="evaluating the outcome"),
    "span.outcome_evaluation_ongoing": lambda event: Activity(text="evaluating the outcome"),
    "span.outcome_evaluation_end": lambda event: Notice(text=f"Outcome: {event.result}. {event.explanation}"),
    "workflow_run.created": lambda event: Activity(text=f"workflow {event.name}: created"),
    "workflow_run.status_running": lambda event: Activity(text="workflow: running"),
    "workflow_run.status_idle": lambda event: Activity(text="workflow: idle"),
    "workflow_run.status_ended": lambda event: Activity(text="workflow: ended"),
    "workflow_run.phase_started": lambda event: Activity(text="workflow: a phase began"),
    "workflow_run.phase_ended": lambda event: Activity(text="workflow: a phase ended"),
    "workflow_run.error": lambda event: Notice(text=f"A workflow failed: {said(event.error)}"),
}
"""Events that mean one thing, whatever came before."""

PASSED_OVER = frozenset(("user.define_outcome", "system.message"))
"""Events that other clients sent and a turn does not show."""
