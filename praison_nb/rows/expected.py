"""What can be said of a map before it asks anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from ..events import Event, RequestStarted
from ..metering.admission import MOST_OUTPUT, bound
from ..money import format_cents
from ..text import shorten
from ..turn import Turn, estimate_tokens
from .answer_file import KeptMap
from .questions import Questions


def first_lines(
    questions: Questions, left: Sequence[str], before: KeptMap, prompt: str, backends: Sequence[Any]
) -> tuple[str, ...]:
    """What the user should read when a map begins, of which the questions with the keys `left` are to be
    asked."""
    answered = len(questions.rows) - len(left)
    line = f"{len(questions.keys):,} rows, {len(questions.rows):,} different questions, "
    line += f"{answered:,} with an answer: {len(left):,} to ask."
    if not left:
        return (line,)
    if before.mean_cost is not None:
        cost = format_cents(before.mean_cost * len(left), exact=True)
        line += f" By earlier answers to this prompt that costs about {cost}."
    elif (usd := _input_cost(backends, [questions.prompts[key] for key in left])) is not None:
        line += f" The prompts alone cost about {format_cents(usd, exact=True)}."
    lines = [line]
    if not before.answers and before.before:
        what = "agent or the type" if before.before == prompt else "prompt"
        lines.append(
            f"The {what} has changed, so they are asked again: the {before.answers_before:,} answers to "
            f"{shorten(before.before, 60)!r} are of the one before."
        )
    return tuple(lines)


def _input_cost(backends: Sequence[Any], prompts: Sequence[str]) -> Decimal | None:
    backend = backends[0]
    tokens = sum(map(estimate_tokens, prompts))
    provider = getattr(backend, "provider", "")
    event = RequestStarted(model=backend.model, provider=provider, input_tokens=tokens)
    most = bound(event) if provider and len(backends) == 1 else None
    return most.estimate if most else None


class Reservations:
    """Observes the turns of a map under a `budget` in USD: `say` gets a line, once, where it is too small for
    `concurrency` of them at once, since each reserves what it may cost at most."""

    def __init__(self, budget: Decimal, concurrency: int, say: Callable[[str], object]) -> None:
        self._budget, self._concurrency, self._say = budget, concurrency, say
        self._is_known = False

    def __call__(self, event: Event, turn: Turn) -> None:
        if self._is_known or not isinstance(event, RequestStarted):
            return
        self._is_known = True
        output = MOST_OUTPUT if event.max_output_tokens is None else event.max_output_tokens
        cost = most.cost(output) if (most := bound(event)) else Decimal(0)
        if cost and (at_once := max(1, int(self._budget / cost))) < self._concurrency:
            self._say(
                f"Each request reserves {format_cents(cost, exact=True)} of the budget, for {output:,} "
                f"tokens of output: there is room for about {at_once:,} at once. Fewer tokens, by "
                'options={"max_tokens": …} in the config, let more.'
            )
