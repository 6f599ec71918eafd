"""Sums are shown as what they are."""

from __future__ import annotations

from decimal import Decimal

import pytest

from praison_nb import ScriptedBackend, Turn, Usage, usage as ledger
from praison_nb.errors import BackendError, ConfigError
from praison_nb.events import RequestFinished, RequestStarted, Spent, TurnFailed
from praison_nb.metering import writer
from praison_nb.money import format_cents, format_usd, mark_usd
from praison_nb.render.panel import budget_share, cost_facts


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("0", "$0.0000"),
        ("1234.5", "$1,234.5000"),
        ("0.0123456", "$0.0123"),
        ("0.00095", "$0.0010"),
        ("0.000949", "$0.00095"),
        ("0.0000415", "$0.000042"),
        ("1.5E-7", "$0.00000015"),
        ("1E-12", "$0.000000000001"),
        ("0.000099999", "$0.000100"),
    ],
)
def test_small_sums_have_two_digits_of_their_own(amount: str, shown: str) -> None:
    assert format_usd(Decimal(amount)) == shown


@pytest.mark.parametrize(
    ("amount", "cents", "exact"),
    [
        ("3", "$3.00", "$3.00"),
        ("0.105", "$0.10", "$0.1050"),
        ("0.0031", "$0.0031", "$0.0031"),
        ("0.00005", "$0.000050", "$0.000050"),
        ("0", "$0.00", "$0.00"),
    ],
)
def test_less_than_a_cent_is_not_nothing(amount: str, cents: str, exact: str) -> None:
    assert format_cents(Decimal(amount)) == cents == format_cents(float(amount))
    assert format_cents(Decimal(amount), exact=True) == exact


def test_marks() -> None:
    cost = Decimal("0.5")
    assert mark_usd(None, estimated=True) == "—" and mark_usd(cost) == "$0.5000"
    assert mark_usd(cost, estimated=True, is_lower_bound=True) == "≥ ~$0.5000"
    turn = Turn(priced=cost, is_lower_bound=True, estimated_cost=cost, cost_sources=("table",))
    assert cost_facts(turn)[0].strong == "≥ ~$0.5000"
    # A price of one's own for what runs here is one.
    assert cost_facts(Turn(cost_sources=("local",)))[0].strong == "free, local"
    assert cost_facts(Turn(priced=cost, cost_sources=("local", "user")))[0].strong == "$0.5000"
    spent = Spent(per="day", usd=Decimal("0.0000058"), limit=Decimal("0.00001"))
    share = budget_share(Turn(spent=(spent,)))
    assert share is not None and share["title"] == "58% of $0.000010 (day)"


def test_a_turn_that_never_left_is_no_failed_one() -> None:
    used = Usage(uncached_input_tokens=1)
    ScriptedBackend([TurnFailed(error=ConfigError("no key"))]).begin("Hi").wait()
    ScriptedBackend([RequestStarted(), TurnFailed(error=BackendError("broke"))]).begin("Hi").wait()
    steps = [RequestStarted(), RequestFinished(usage=used), TurnFailed(error=ConfigError("no such tool"))]
    ScriptedBackend(steps).begin("Hi").wait()
    totals = ledger.by("backend")
    assert (totals["turns"].sum(), totals["failures"].sum()) == (3, 2)
    assert ledger().agent.by("backend")["failures"].sum() == 2
    writer.current().close()
