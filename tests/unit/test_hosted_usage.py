"""What the hosted API's usage is read as, whatever stands in it."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from praison_nb.backends.hosted.usage import request_usage, session_usage


@pytest.mark.parametrize(
    ("value", "count"),
    [(12, 12), ("12", 12), (12.0, 12), (True, 0), (-1, 0), (1e300, 0), ("many", 0), ([1], 0), (10**400, 0)],
)
def test_a_senseless_count_is_none(value: Any, count: int) -> None:
    assert request_usage({"output_tokens": value}).output_tokens == count
    read = session_usage(SimpleNamespace(output_tokens=value, active_seconds=value))
    assert read.usage.output_tokens == count and (read.active_seconds or 0) == count


@pytest.mark.parametrize(
    ("amount", "usd"), [("250", Decimal("2.5")), ("-1", None), ("NaN", None), ("1e30", None), (None, None)]
)
def test_a_list_cost_that_cannot_be_is_not_known(amount: Any, usd: Decimal | None) -> None:
    told = SimpleNamespace(list_cost=SimpleNamespace(amount=amount, currency="USD"))
    assert session_usage(told).list_cost == usd
