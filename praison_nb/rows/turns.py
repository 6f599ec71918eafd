"""The turns of one prompt to several agents, side by side."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ..render.columns import columns_html, columns_text
from ..session import Usage
from ..turn import Turn
from .outcome import Outcome

if TYPE_CHECKING:
    import pandas


class Turns(list[Turn]):
    """A list of Turns, in the order of the agents that were asked, shown in columns. `names` are what
    the agents were called, by default their models; `is_typed` says that a type was asked for.

    >>> turns = Turns([Turn(started=1.0, ended=2.0), Turn(started=1.0, ended=3.5)], ["a", "b"])
    >>> turns.total.model, turns.total.seconds
    ('a, b', 2.5)
    """

    def __init__(self, turns: Iterable[Turn], names: Iterable[str] = (), *, is_typed: bool = False) -> None:
        super().__init__(turns)
        self.is_typed = is_typed
        self.names = [*names] or [each.model or each.backend for each in self]

    @property
    def total(self) -> Turn:
        """One Turn that stands for all: when the first began and the last ended, and what they used together.
        It has an error where all have. The ids of its tool calls have the turn's place before them."""
        ended = [each.ended for each in self if each.ended is not None]
        known = sum((each.known_cost for each in self), Decimal(0))
        lacks_price = any(each.cost is None for each in self)
        reasons = [each.stop_reason for each in self]
        stopped = next((each for each in ("interrupted", "budget_reached") if each in reasons), "end_turn")
        is_over, has_failed = len(ended) == len(self), all(each.error for each in self)
        calls = (
            replace(call, id=f"{place}:{call.id}") for place, each in enumerate(self) for call in each.tools
        )
        return Turn(
            id=f"of-{self[0].id}",
            prompt=self[0].prompt,
            session=self[0].session,
            model=", ".join(self.names),
            started=min(each.started for each in self),
            first_text=min((each.first_text for each in self if each.first_text), default=None),
            ended=max(ended) if is_over else None,
            items=tuple(calls),
            stop_reason="" if not is_over else "error" if has_failed else stopped,
            detail=next((each.detail for each in self if each.stop_reason == stopped), ""),
            error=self[0].error if has_failed else None,
            counted=sum((each.usage for each in self), Usage()),
            priced=known,
            unpriced_requests=int(lacks_price and not known),
            estimated_cost=sum((each.estimated_cost for each in self), Decimal(0)),
            fees=sum((each.fees for each in self), Decimal(0)),
            is_lower_bound=lacks_price or any(each.is_lower_bound for each in self),
            cost_sources=tuple(dict.fromkeys(source for each in self for source in each.cost_sources)),
            spent=tuple(_latest(self)),
        )

    @property
    def frame(self) -> pandas.DataFrame:
        """A row for each turn: `model`, as it was named, the answer as `text`, or as `value` where a type was
        asked for, `seconds` in all and `first_text` to the first text, `input_tokens`, `output_tokens`,
        `cost` (USD, None where it is not known), `status` ("done", "failed", "stopped", "budget"),
        `error`."""
        import pandas as pd

        return pd.DataFrame([_row(*each, self.is_typed) for each in zip(self.names, self, strict=True)])

    def __repr__(self) -> str:
        return columns_text(self.names, self, self.total) if self else "[]"

    def _repr_html_(self) -> str:
        return columns_html(self.names, self, self.total) if self else ""

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))


def _row(name: str, turn: Turn, is_typed: bool) -> dict[str, Any]:
    outcome = Outcome.of(turn, is_typed=is_typed)
    return {
        "model": name,
        **({"value": turn.value} if is_typed else {"text": turn.text}),
        "seconds": turn.seconds,
        "first_text": None if turn.first_text is None else max(0.0, turn.first_text - turn.started),
        "input_tokens": outcome.input_tokens,
        "output_tokens": outcome.output_tokens,
        "cost": None if outcome.cost is None else float(outcome.cost),
        "status": outcome.status,
        "error": outcome.error,
    }


def _latest(turns: Iterable[Turn]) -> Iterable[Any]:
    """What the scopes that all share have spent, by whoever was last to hear of it."""
    latest: dict[str, Any] = {}
    for each in (spent for turn in turns for spent in turn.spent if spent.per != "session"):
        if each.per not in latest or each.usd >= latest[each.per].usd:
            latest[each.per] = each
    return latest.values()
