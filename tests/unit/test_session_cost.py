"""What a hosted turn costs beyond its requests, and when the provider's own figure counts."""

from __future__ import annotations

from decimal import Decimal

import pytest

from praison_nb.events import RequestStarted, SessionUsage, TurnFinished
from praison_nb.fold import fold
from praison_nb.metering.session_cost import true_up
from praison_nb.metering.session_totals import OtherTurns
from praison_nb.session import Usage
from praison_nb.turn import Turn

COUNTED = Usage(uncached_input_tokens=1000, output_tokens=100)
BEFORE = SessionUsage(usage=COUNTED, list_cost=Decimal("0.10"), active_seconds=10.0)
OTHERS = OtherTurns(1, Decimal("0.104"), 10.0, 0, 1000, 100, elsewhere=Decimal(0))
RUN = Turn(counted=COUNTED, priced=Decimal("0.05"), model="claude-sonnet-4-5")


def after(
    list_cost: str | None,
    turn: Turn = RUN,
    *,
    usage: Usage = COUNTED + COUNTED,
    searches: int = 0,
    others: OtherTurns = OTHERS,
    before: SessionUsage | None = BEFORE,
) -> Turn:
    """The turn with this figure for the whole session, which ran for no more time."""
    cost = None if list_cost is None else Decimal(list_cost)
    event = SessionUsage(usage=usage, list_cost=cost, active_seconds=10.0, searches=searches)
    return fold(turn, true_up(event, turn, before, others, cheapest=Decimal("0.05")).event)


@pytest.mark.parametrize(
    ("list_cost", "cost", "by_provider"),
    [
        ("0.15", "0.05", False),  # 0.154 by the ledger: it agrees to the cent
        ("0.16", "0.056", True),
        ("0.17", "0.066", True),
        ("0.14", "0.036", True),
        ("0.10", "0.05", False),  # a whole request is not in it yet
        ("0", "0.05", False),
        (None, "0.05", False),
    ],
)
def test_the_providers_figure_counts_where_cents_differ(
    list_cost: str | None, cost: str, by_provider: bool
) -> None:
    turn = after(list_cost)
    assert turn.cost == Decimal(cost)
    assert turn.session_usage is not None and turn.session_usage.is_provider_cost is by_provider


def test_what_the_provider_said_stays_when_another_turn_begins() -> None:
    running = OtherTurns(1, Decimal("0.104"), 10.0, 0, 1000, 100, is_running=True, elsewhere=Decimal(0))
    known = after("0.17")
    late = after("0.90", known, others=running)
    assert known.cost == late.cost == Decimal("0.066")
    assert late.session_usage is not None and late.session_usage.is_provider_cost


def test_books_that_are_behind_take_nothing_away() -> None:
    turn = after("0.10", usage=COUNTED)
    assert turn.cost == Decimal("0.05") and turn.session_usage and turn.session_usage.is_behind
    assert after("0.14", usage=COUNTED).cost == Decimal("0.05")


def test_a_turn_without_a_price_costs_what_the_provider_says() -> None:
    turn = Turn(counted=COUNTED, priced=Decimal("0.05"), unpriced_requests=1, model="claude-sonnet-4-5")
    assert after("0.16", turn).cost == Decimal("0.056")
    assert after(None, turn).cost is None and after("0.10", turn).cost is None


@pytest.mark.parametrize(("list_cost", "known"), [("0.15", "0.05"), ("0.154", "0.05"), ("0.148", "0.044")])
def test_what_whole_cents_cannot_show_stays_unknown(list_cost: str, known: str) -> None:
    turn = after(
        list_cost,
        Turn(counted=COUNTED, priced=Decimal("0.05"), unpriced_requests=1, model="claude-sonnet-4-5"),
    )
    assert turn.cost is None and turn.known_cost == Decimal(known)


def test_a_turn_that_was_cut_off_costs_what_the_provider_says() -> None:
    turn = fold(fold(RUN, RequestStarted(input_tokens=9)), TurnFinished(stop_reason="interrupted"))
    assert turn.cost is None and after("0.17", turn).cost == Decimal("0.066")


def test_the_baseline_is_the_ledgers_rows_then_the_providers() -> None:
    elsewhere = OtherTurns(1, Decimal("0.104"), 10.0, 0, 1000, 100, elsewhere=Decimal("1.00"))
    assert after("1.17", others=elsewhere).cost == Decimal("0.066")
    assert after("0.17", others=OtherTurns()).cost == Decimal("0.07")
    assert after("9.00", others=OtherTurns(), before=None).cost == Decimal("0.05")


def test_searches_that_only_the_session_counts_cost_money() -> None:
    assert after(None, searches=50).cost == Decimal("0.55")


def test_what_a_turn_in_another_kernel_costs_is_left_to_that() -> None:
    running = OtherTurns(1, Decimal("0.104"), 10.0, 0, 1000, 100, is_running=True, elsewhere=Decimal(0))
    assert after("9.00", others=running).cost == Decimal("0.05")
