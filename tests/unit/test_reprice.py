"""Prices for what had none: what would change is shown first, and what has a price keeps it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from praison_nb import ScriptedBackend, Turn, Usage, usage as ledger
from praison_nb.events import RequestFinished, RequestStarted, TextDelta
from praison_nb.metering import reprice, user_prices, writer
from praison_nb.metering.reprice import Change


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("PRAISON_NB_PRICES", str(tmp_path / "prices.json"))
    yield
    writer.current().close()


def play(*models: str, **more: Any) -> Turn:
    """A turn of one request to each model."""
    steps: list[Any] = [TextDelta(text="Hi")]
    for model in models:
        used = Usage(uncached_input_tokens=1000, output_tokens=100, **more)
        steps += [RequestStarted(), RequestFinished(model=model, provider="openai", usage=used)]
    return ScriptedBackend(steps).begin("Hi").wait()


def planned() -> list[Change]:
    book = writer.current()
    book.flush()
    return reprice.planned(book.ledger)


def test_what_had_no_price_gets_one_and_the_rest_keeps_its_own() -> None:
    play("new-1")
    play("gpt-4o-mini", "new-1")
    play("new-1", "new-2")
    assert planned() == []
    user_prices.save("openai/new-1", user_prices.Price(Decimal(3), Decimal(15), since="2026-11-20"))
    changes = planned()
    cost = Decimal("0.0045")
    assert [change.cost.usd for change in changes] == [cost] * 3 and reprice.total(changes) == 3 * cost
    before = ledger()
    assert [*before["cost"].isna()] == [True, True, True]
    reprice.apply(writer.current().ledger, changes)
    turns, requests = ledger(), ledger(by="request")
    assert [*turns["cost"].isna()] == [False, False, True]
    assert [*turns["cost"][:2]] == pytest.approx([0.0045, 0.00471], abs=1e-12)
    assert [*turns["known_cost"]] == pytest.approx([0.0045, 0.00471, 0.0045], abs=1e-12)
    assert [*turns["unpriced_requests"]] == [0, 0, 1]
    assert [*turns["cost_source"]] == ["user", "mixed", "unpriced"]
    assert [*requests["cost_source"]] == ["user", "table", "user", "user", "unpriced"]
    assert requests["price_source"].iloc[0] == "since 2026-11-20"
    assert planned() == []
    # Once more changes nothing.
    reprice.apply(writer.current().ledger, changes)
    assert [*ledger()["known_cost"]] == [*turns["known_cost"]]


def test_an_estimate_stays_one() -> None:
    play("new-1", estimated=True)
    user_prices.save("openai/new-1", user_prices.Price(Decimal(3), Decimal(15)))
    reprice.apply(writer.current().ledger, planned())
    totals = ledger.by("model")
    assert [*totals["estimated"]] == [1.0]
    assert [*ledger().agent.by("model")["estimated"]] == [1.0]
    play("new-1")
    assert [*ledger.by("model")["estimated"]] == [0.5] == [*ledger(by="request").agent.by()["estimated"]]
