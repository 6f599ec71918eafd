"""What a map may cost, by a sample of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ..backends.local.bounds import BYTES_PER_TOKEN
from ..events import Event, RequestStarted
from ..metering.admission import MOST_OUTPUT, bound
from ..money import format_cents
from ..turn import Turn
from .mapping import MapRun
from .outcome import DONE, KEPT

SAMPLE = 20
"""Questions of a plan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a map may cost. `rows` ask so many different `questions`, of which `kept` have an answer; a sample
    among them was `asked` now for `spent` USD. Those that are `left` are `expected` to cost so much by the
    sample's mean, and `at_most` by the limit of output, where each takes one request. Both are None where
    that is not known.

    >>> import praison_nb
    >>> from praison_nb import Plan, ScriptedBackend
    >>> from praison_nb.events import TextDelta
    >>> agent = ScriptedBackend([TextDelta(text="Fine.")])
    >>> plan = praison_nb.map(["plan a", "plan b"], "Is {value} good?", agent=agent, plan=True)
    >>> isinstance(plan, Plan), plan.questions, plan.left
    (True, 2, 0)
    """

    rows: int
    questions: int
    kept: int
    asked: int
    spent: Decimal
    left: int
    expected: Decimal | None
    at_most: Decimal | None
    failures: tuple[str, ...] = ()

    def __repr__(self) -> str:
        first = f"{self.rows:,} rows, {self.questions:,} different questions: {self.kept:,} have an answer"
        if self.asked:
            first += f", of {self.asked:,} asked now for {format_cents(self.spent, exact=True)}"
        if not self.left:
            return f"{first}. Nothing is left to ask."
        expected, most = (
            "—" if usd is None else format_cents(usd, exact=True) for usd in (self.expected, self.at_most)
        )
        lines = [
            f"{first}; {self.left:,} are left.",
            f"They may cost {expected} by those, at most {most} with one request each.",
            *self.failures,
        ]
        return "\n".join(lines)


class Sample:
    """Observes a sample's turns, for the most that the others may cost."""

    def __init__(self) -> None:
        self._fixed = self._per_token = Decimal(0)
        self._is_known = True

    def __call__(self, event: Event, turn: Turn) -> None:
        if not isinstance(event, RequestStarted):
            return
        if (most := bound(event)) is None:
            self._is_known = False
            return
        tokens = max(event.input_tokens, event.max_input_tokens)
        per_token = most.input / tokens if tokens else Decimal(0)
        output = MOST_OUTPUT if event.max_output_tokens is None else event.max_output_tokens
        fixed = most.cost(output) - per_token * _tokens(turn.prompt)
        self._fixed, self._per_token = max(self._fixed, fixed), max(self._per_token, per_token)

    def at_most(self, prompts: Sequence[str]) -> Decimal | None:
        """USD that requests for these prompts cost at most, None where there was no price, or no request."""
        if not self._is_known or not self._fixed:
            return None
        return sum((self._fixed + self._per_token * _tokens(each) for each in prompts), Decimal(0))


def plan_of(run: MapRun, sample: Sample) -> Plan:
    """The plan by a map that has asked a sample."""
    questions, now = run.questions, run.progress
    assert questions is not None
    answered = {key for key, outcome in run.outcomes.items() if outcome.status in (DONE, KEPT)}
    left = [prompt for key, prompt in questions.prompts.items() if key not in answered]
    mean = now.spent / (now.asked - now.unpriced) if now.asked > now.unpriced else None
    if mean is None and run.kept_before is not None:
        mean = run.kept_before.mean_cost
    return Plan(
        rows=now.rows,
        questions=len(questions.rows),
        kept=len(answered),
        asked=now.asked,
        spent=now.spent,
        left=len(left),
        expected=None if mean is None else mean * len(left),
        at_most=sample.at_most(left) if left else Decimal(0),
        failures=tuple(f"{each.row}: {each.error}" for each in now.failures),
    )


class PlanRun(MapRun):
    """A map of a sample, whose result is a Plan."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._sample = Sample()
        super().__init__(*arguments, most_questions=SAMPLE, subscribers=[self._sample], **options)

    def result(self) -> Plan:
        """The plan. Raises what made the sample fail."""
        super().result()
        return plan_of(self, self._sample)


def _tokens(prompt: str) -> int:
    return -(-len(json.dumps(prompt)) // BYTES_PER_TOKEN)
