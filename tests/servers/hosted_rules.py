"""Which events a session of the hosted test server takes, and why it refuses the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from . import hosted_outcomes
from .content_rules import block_refusal

if TYPE_CHECKING:
    from .hosted_session import Session

Event = dict[str, Any]
TAKEN_OVER_BUDGET = (
    "user.tool_confirmation",
    "user.tool_result",
    "user.custom_tool_result",
    "user.interrupt",
)
"""What a session at its budget still takes."""
BEFORE_SYSTEM = ("user.message", "user.tool_result", "user.custom_tool_result")
"""What a system.message may follow."""
ANSWERS = {
    "user.tool_confirmation": ("tool_use_id", ("agent.tool_use", "agent.mcp_tool_use")),
    "user.custom_tool_result": ("custom_tool_use_id", ("agent.custom_tool_use",)),
    "user.tool_result": ("tool_use_id", ("agent.tool_use",)),
}
"""An answer's field that names the tool use, and the tool uses that it answers."""


def check_events(session: Session, events: list[Event]) -> None:
    """Answer 400 where the session would not take all of these events."""
    if session.status == "terminated":
        raise web.HTTPBadRequest(text=f"session {session.id} is terminated; it takes no more events")
    if not events:
        raise web.HTTPBadRequest(text="events: at least one")
    kinds = {event["type"] for event in events}
    if "user.interrupt" in kinds and len(kinds) > 1 and (status := session.server.manners.mixed_status):
        kind = web.HTTPInternalServerError if status == 500 else web.HTTPBadRequest
        raise kind(text="events: an interrupt must be sent alone")
    pending = dict(session.pending)
    for place, event in enumerate(events):
        follows = events[place - 1]["type"] if place else ""
        text = _refusal(session, event, pending, follows=follows, others=events)
        if event["type"] == "system.message" and place < len(events) - 1:
            text = "a system.message must be the last event"
        if text:
            raise web.HTTPBadRequest(text=f"events.{place}: {text}")


def _refusal(
    session: Session, event: Event, pending: dict[str, Event], *, follows: str, others: list[Event]
) -> str | None:
    """Why the session does not take this event, or None; an answer takes its tool use out of `pending`."""
    kind = event["type"]
    if session.is_over_budget() and kind not in TAKEN_OVER_BUDGET:
        return f"the session is at its budget; it takes {', '.join(TAKEN_OVER_BUDGET)} only"
    if kind in ("user.message", "system.message") and not event["content"]:
        return "content: at least one block"
    for place, block in enumerate(event.get("content") or ()):
        if text := block_refusal(block):
            return f"content.{place}.source: {text}"
    if kind == "system.message" and follows not in BEFORE_SYSTEM:
        return "a system.message must follow a user.message or a tool's result"
    if kind == "user.tool_result" and session.environment_type() != "self_hosted":
        return "user.tool_result is for self_hosted environments only"
    if kind == "user.tool_confirmation" and event.get("deny_message") and event["result"] != "deny":
        return "deny_message is allowed with result deny only"
    if kind == "user.define_outcome":
        return hosted_outcomes.refusal(session, event, others)
    if kind in ANSWERS:
        name, answered = ANSWERS[kind]
        use = pending.get(event[name])
        if use is None or use["type"] not in answered:
            return f"{name}: {event[name]} does not wait for a {kind}"
        del pending[event[name]]
    return None


def check_budget(budget: Event | None) -> None:
    """Answer 400 where a budget's amount is no positive whole number of cents."""
    amount = budget["max_list_cost"]["amount"] if budget else "1"
    if not amount.isascii() or not amount.isdigit() or amount.startswith("0"):
        text = "budget.max_list_cost.amount: a whole number of cents above 0, without leading zeros"
        raise web.HTTPBadRequest(text=text)


def check_budget_update(session: Session, budget: Event | None) -> None:
    """Answer 400 where a session's budget cannot become this one."""
    check_budget(budget)
    if session.status == "terminated":
        raise web.HTTPBadRequest(text="the session is terminated")
    if session.fields["budget"] is None and budget is not None:
        raise web.HTTPBadRequest(text="budget: a budget can be set at creation only (budget_create_only)")
    if budget is not None and int(budget["max_list_cost"]["amount"]) <= (session.spent.cents or 0):
        text = (
            "budget.max_list_cost must be greater than the session's consumed list cost (budget_not_raised)"
        )
        raise web.HTTPBadRequest(text=text)
