"""Outcomes of the hosted test server: one at a time, and what its grader finds.

server.script([text("A draft."), evaluation("needs_revision", "Too short."), text("More."), evaluation()])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .hosted_usage import Tokens

if TYPE_CHECKING:
    from .hosted_history import Event
    from .hosted_session import Session, Step

FINAL = ("satisfied", "max_iterations_reached", "failed", "interrupted")
USED = Tokens(input=20, output=3)
MOST_RUBRIC, MOST_ITERATIONS = 262_144, 20


def refusal(session: Session, event: Event, others: list[Event]) -> str | None:
    """Why the session does not take this outcome, or None."""
    if session.outcomes and session.outcomes[-1]["result"] not in FINAL:
        return "an outcome is in progress; one at a time"
    if any(each is not event and each["type"] in ("user.message", "user.define_outcome") for each in others):
        return "an outcome starts work by itself; send no message with it"
    rubric = event["rubric"]
    if rubric["type"] == "text" and not 1 <= len(rubric["content"]) <= MOST_RUBRIC:
        return f"rubric.content: 1 to {MOST_RUBRIC} characters"
    if not 1 <= (event.get("max_iterations") or 3) <= MOST_ITERATIONS:
        return f"max_iterations: 1 to {MOST_ITERATIONS}"
    return None


def begin(session: Session, event: Event) -> None:
    """Note the outcome that was accepted."""
    session.outcomes.append(
        {
            "type": "outcome_evaluation",
            "outcome_id": event["outcome_id"],
            "description": event["description"],
            "iteration": 0,
            "result": "running",
            "explanation": None,
            "completed_at": None,
        }
    )


def end(session: Session, result: str, explanation: str | None = None) -> None:
    """Note what became of the outcome under way, if there is one."""
    if session.outcomes and session.outcomes[-1]["result"] not in FINAL:
        done = {"completed_at": session.server.now()} if result in FINAL else {}
        session.outcomes[-1] |= {"result": result, "explanation": explanation, **done}


def evaluation(
    result: str = "satisfied", explanation: str = "It is as it should be.", *, usage: Tokens = USED
) -> Step:
    """The grader looks at what there is."""

    async def play(session: Session) -> None:
        outcome: dict[str, Any] = session.outcomes[-1]
        span = {"outcome_id": outcome["outcome_id"], "iteration": outcome["iteration"]}
        start = session.emit({"type": "span.outcome_evaluation_start", **span})
        session.emit({"type": "span.outcome_evaluation_ongoing", **span})
        session.spent.add(usage, None, 1.0)
        verdict = {"result": result, "explanation": explanation, "usage": usage.to_span()}
        session.emit(
            {
                "type": "span.outcome_evaluation_end",
                "outcome_evaluation_start_id": start["id"],
                **span,
                **verdict,
            }
        )
        outcome["iteration"] += 1
        end(session, result, explanation)

    return play
