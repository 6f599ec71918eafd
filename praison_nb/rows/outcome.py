"""What became of one question."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ..errors import (
    AuthenticationError,
    ConfigError,
    EmbeddedModelError,
    ModelNotFoundError,
    PraisonError,
    ProviderError,
    RateLimitError,
)
from ..render.text import error_text
from ..runtime.pacer import PATIENCE
from ..turn import Turn
from .answer_file import KeptAnswer

DONE, KEPT, FAILED, STOPPED, BUDGET = "done", "kept", "failed", "stopped", "budget"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """`status` is "done", "kept", "failed", "stopped" or "budget". `answer` is a text or the JSON `given`
    as a typed answer, None without one. `cost` is in USD, None where it is not known."""

    status: str
    answer: Any = None
    error: str = ""
    cost: Decimal | None = Decimal(0)
    input_tokens: int = 0
    output_tokens: int = 0
    model: str = ""
    problem: PraisonError | None = None
    was_asked: bool = False
    """Whether a request was sent for it."""

    @classmethod
    def of(cls, turn: Turn, *, is_typed: bool) -> Outcome:
        """The outcome of a turn that is over."""
        used: dict[str, Any] = {
            "cost": turn.cost,
            "input_tokens": turn.usage.input_tokens,
            "output_tokens": turn.usage.output_tokens,
            "model": turn.model,
            "was_asked": bool(turn.requests),
        }
        if turn.error is not None:
            return cls(status=FAILED, error=error_text(turn), problem=turn.error, **used)
        if turn.stop_reason in ("interrupted", "budget_reached"):
            status = STOPPED if turn.stop_reason == "interrupted" else BUDGET
            return cls(status=status, error=turn.detail or turn.stop_reason, **used)
        answer = turn.text if not is_typed else turn.answer and turn.answer.given
        has_answer = turn.answer is not None if is_typed else bool(turn.text)
        if turn.stop_reason != "end_turn" or not has_answer:
            why = turn.detail or next(iter(turn.notices), "") or f"no answer ({turn.stop_reason})"
            return cls(status=FAILED, error=why, **used)
        return cls(status=DONE, answer=answer, **used)

    def kept(self, key: str, map_id: str) -> KeptAnswer:
        """What the file of answers keeps of it."""
        return KeptAnswer(
            key=key,
            answer=self.answer,
            cost=self.cost,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            model=self.model,
            map=map_id,
        )


def holds_for_all(problem: PraisonError | None) -> bool:
    """Whether all other questions would fail alike: then they are not asked."""
    if isinstance(problem, RateLimitError):
        # A quota that is used up, or who is to come back much later; what is only for now was waited for.
        return not problem.is_retryable or (problem.retry_after or 0.0) > PATIENCE
    fatal = AuthenticationError | ModelNotFoundError | ConfigError | EmbeddedModelError
    return isinstance(problem, fatal) or (isinstance(problem, ProviderError) and problem.status_code == 402)
