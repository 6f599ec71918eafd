"""What a hosted turn costs beyond its requests, and when the provider's own figure counts."""

from __future__ import annotations

from decimal import Decimal

import pytest

from praison_nb.events import SessionUsage
from praison_nb.fold import fold
from praison_nb.metering.session_cost import SessionBaseline, with_extra_cost
from praison_nb.session import Usage
from praison_nb.turn import Turn

COUNTED = Usage(uncached_input_tokens=1000, output_tokens=100)
BEFORE = SessionBaseline(
    SessionUsage(usage=COUNTED, list_cost=Decimal("0.10"), active_seconds=10.0), Decimal("0.104")
)


def after(list_cost: str | None, *, usage: Usage = COUNTED + COUNTED, unpriced: int = 0) -> Turn:
    """A turn of 0.05 USD that ends with this figure for the whole session, which ran for no more time."""
    turn = Turn(
        counted=COUNTED, priced=Decimal("0.05"), unpriced_requests=unpriced, model="claude-sonnet-4-5"
    )
    cost = None if list_cost is None else Decimal(list_cost)
    event = SessionUsage(usage=usage, list_cost=cost, active_seconds=10.0)
    return fold(turn, with_extra_cost(event, turn, BEFORE, "anthropic"))


@pytest.mark.parametrize(
    ("list_cost", "cost", "by_provider"),
    [
        ("0.15", "0.05", False),  # recorded are 0.154: it agrees to the cent
        ("0.16", "0.05", False),
        ("0.17", "0.066", True),
        ("0.14", "0.036", True),
        (None, "0.05", False),
    ],
)
def test_the_providers_figure_counts_from_a_cent_on(
    list_cost: str | None, cost: str, by_provider: bool
) -> None:
    turn = after(list_cost)
    assert turn.cost == Decimal(cost)
    assert turn.session_usage is not None and turn.session_usage.is_provider_cost is by_provider


def test_books_that_are_behind_are_not_believed() -> None:
    assert after("0.10", usage=COUNTED).cost == Decimal("0.05")


def test_a_turn_without_a_price_costs_what_the_provider_says() -> None:
    assert after("0.15", unpriced=1).cost == Decimal("0.046")
    assert after(None, unpriced=1).cost is None
