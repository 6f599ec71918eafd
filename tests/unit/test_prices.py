"""What tokens cost: by the table, by the user's own file, or not known."""

from __future__ import annotations

import json
import math
import os
import signal
import threading
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from praison_nb import ScriptedBackend, turn_json
from praison_nb.errors import ConfigError
from praison_nb.events import RequestFinished, RequestStarted, TextDelta
from praison_nb.metering import prices, user_prices, writer
from praison_nb.money import parse_usd
from praison_nb.session import Usage

AT = datetime(2025, 11, 1, tzinfo=UTC).timestamp()


@pytest.fixture(autouse=True)
def file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    path = tmp_path / "config" / "prices.json"
    monkeypatch.setenv("PRAISON_NB_PRICES", str(path))
    return path


# Each expected cost by hand, from the providers' public lists in USD per million tokens.
BY_HAND = [
    # gpt-4o-mini: 0.15 in, 0.075 cached, 0.60 out.
    ("openai", "gpt-4o-mini", Usage(uncached_input_tokens=1000, output_tokens=500), "0.00045"),
    ("openai", "gpt-4o-mini", Usage(uncached_input_tokens=1, cache_read_input_tokens=1000), "0.00007515"),
    ("openai", "gpt-4o-mini-2024-07-18", Usage(output_tokens=1), "0.0000006"),
    # claude-sonnet-4-5: 3 in, 0.30 read, 3.75 written for 5 minutes, 6 for an hour, 15 out.
    ("anthropic", "claude-sonnet-4-5", Usage(uncached_input_tokens=1000, output_tokens=100), "0.0045"),
    ("anthropic", "claude-sonnet-4-5", Usage(cache_read_input_tokens=10_000), "0.003"),
    ("anthropic", "claude-sonnet-4-5", Usage(cache_write_5m_input_tokens=10_000), "0.0375"),
    ("anthropic", "claude-sonnet-4-5", Usage(cache_write_1h_input_tokens=10_000), "0.06"),
    (
        "anthropic",
        "claude-sonnet-4-5",
        Usage(
            uncached_input_tokens=100,
            cache_read_input_tokens=1000,
            cache_write_5m_input_tokens=200,
            cache_write_1h_input_tokens=300,
            output_tokens=50,
        ),
        "0.00390",  # 0.0003 + 0.0003 + 0.00075 + 0.0018 + 0.00075
    ),
    # Its long-context tier: above 200,000 tokens of input 6 in and 22.50 out.
    ("anthropic", "claude-sonnet-4-5", Usage(uncached_input_tokens=200_001, output_tokens=10), "1.200231"),
    ("anthropic", "claude-sonnet-4-5", Usage(uncached_input_tokens=200_000, output_tokens=10), "0.60015"),
]


@pytest.mark.parametrize(("provider", "model", "usage", "cost"), BY_HAND)
def test_a_cost_computed_by_hand(provider: str, model: str, usage: Usage, cost: str) -> None:
    assert prices.price(usage, model, provider, AT) == (Decimal(cost), "table")


@pytest.mark.parametrize(
    "model",
    ["claude-sonnet-4-5", "claude-sonnet-4-6", "claude-haiku-4-5", "claude-opus-4-1", "claude-opus-4-6"],
)
def test_cache_writes_cost_what_anthropic_publishes(model: str) -> None:
    def cost(**tokens: int) -> Decimal:
        found, _ = prices.price(Usage(**tokens), model, "anthropic", AT)
        assert found is not None
        return found

    plain = cost(uncached_input_tokens=1000)
    assert cost(cache_write_5m_input_tokens=1000) == plain * Decimal("1.25")
    assert cost(cache_write_1h_input_tokens=1000) == plain * 2
    assert cost(cache_read_input_tokens=1000) == plain / 10


def test_the_price_of_the_day() -> None:
    # OpenAI cut o3 from 10/40 to 2/8 USD per million tokens on 10 June 2025.
    usage = Usage(uncached_input_tokens=1000, output_tokens=1000)
    before, after = (datetime(2025, month, 1, tzinfo=UTC).timestamp() for month in (6, 7))
    assert prices.price(usage, "o3", "openai", before) == (Decimal("0.05"), "table")
    assert prices.price(usage, "o3", "openai", after) == (Decimal("0.01"), "table")


def test_an_unknown_price_is_none_and_no_tokens_are_free() -> None:
    used = Usage(uncached_input_tokens=1)
    assert prices.price(used, "nobody-knows-me", "openai", AT) == (None, "unpriced")
    assert prices.price(used, "gpt-4o-mini", "no-such-company", AT) == (None, "unpriced")
    assert prices.price(used, "smollm2", "", AT) == (None, "unpriced")
    assert prices.price(Usage(), "nobody-knows-me", "openai", AT) == (Decimal(0), "table")


def test_the_providers_own_cost_wins() -> None:
    user_prices.save("gpt-4o-mini", user_prices.FREE)
    told = RequestFinished(
        model="gpt-4o-mini",
        provider="openai",
        usage=Usage(output_tokens=9),
        cost=Decimal("0.5"),
        cost_source="provider",
    )
    assert prices.with_cost(told, AT) is told


# USD per million tokens in and out, as published in November 2026.
TIERS = [
    ("openai", "gpt-5-mini", "priority", "0.45", "3.6"),
    ("openai", "gpt-5-mini", "flex", "0.125", "1"),
    ("openai", "gpt-5-mini", " Flex", "0.125", "1"),
    *(("openai", "gpt-5-mini", usual, "0.25", "2") for usual in ("", "default", "auto", "standard")),
    ("groq", "llama-3.1-8b-instant", "on_demand", "0.05", "0.08"),
    ("anthropic", "claude-opus-4-8", "fast", "10", "50"),
]


@pytest.mark.parametrize(("provider", "model", "tier", "price_in", "price_out"), TIERS)
def test_a_service_tier_has_its_own_price(
    provider: str, model: str, tier: str, price_in: str, price_out: str
) -> None:
    used = Usage(uncached_input_tokens=1000, output_tokens=1000)
    at = datetime(2026, 11, 1, tzinfo=UTC).timestamp()
    cost, source = prices.price(used, model, provider, at, tier)
    assert cost is not None and (cost * 1000, source) == (Decimal(price_in) + Decimal(price_out), "table")


@pytest.mark.parametrize(
    ("provider", "model", "tier"),
    [
        ("openai", "gpt-5-mini", "scale"),
        ("openai", "gpt-4o-mini", "nobody-knows-it"),
        ("anthropic", "claude-opus-4-6", "priority"),
        ("azure", "gpt-5-mini", "priority"),  # whose models are OpenAI's, at prices of its own
    ],
)
def test_a_tier_without_a_price_is_unpriced(provider: str, model: str, tier: str) -> None:
    finished = RequestFinished(
        model=model, provider=provider, usage=Usage(output_tokens=9), service_tier=tier
    )
    priced = prices.with_cost(finished, finished.time)
    assert (priced.cost, priced.cost_source) == (None, "unpriced")
    turn = ScriptedBackend([RequestStarted(), TextDelta(text="Hi"), finished]).begin("Hi").wait()
    again = turn_json.from_json(json.loads(json.dumps(turn_json.to_json(turn))))
    assert turn.cost is again.cost is None and turn.unpriced_requests == again.unpriced_requests == 1
    user_prices.save(model, user_prices.Price(Decimal(3), Decimal(15)))
    assert prices.with_cost(finished, finished.time).cost_source == "user"
    told = replace(finished, cost=Decimal("0.5"), cost_source="provider")
    assert prices.with_cost(told, AT) is told


def test_the_users_price_goes_before_the_table(file: Path) -> None:
    used = Usage(
        uncached_input_tokens=1000,
        cache_read_input_tokens=1000,
        cache_write_5m_input_tokens=1000,
        cache_write_1h_input_tokens=1000,
        output_tokens=1000,
    )
    user_prices.save("gpt-4o-mini", user_prices.Price(Decimal(3), Decimal(15), Decimal("0.3")))
    # 3 + 0.3 + 3 + 3 + 15, a thousandth of a million each.
    assert prices.price(used, "gpt-4o-mini", "openai", AT) == (Decimal("0.0243"), "user")
    assert json.loads(file.read_text()) == {"gpt-4o-mini": {"input": 3, "output": 15, "cache_read": 0.3}}
    user_prices.save("gpt-4o-mini", None)
    assert prices.price(Usage(output_tokens=10), "gpt-4o-mini", "openai", AT) == (
        Decimal("0.000006"),
        "table",
    )


@pytest.mark.parametrize("key", ["llama3.2", "ollama/llama3.2"])
@pytest.mark.parametrize("told", ["llama3.2", "llama3.2:latest", "llama3.2-2024-09-25", "llama3.2-20240925"])
def test_a_local_model_is_free_by_any_of_its_names(key: str, told: str) -> None:
    user_prices.save(key, user_prices.FREE)
    assert prices.price(Usage(output_tokens=10), told, "", AT) == (Decimal(0), "user")
    assert prices.price(Usage(output_tokens=10), "llama3.1", "", AT) == (None, "unpriced")


@pytest.mark.parametrize(
    ("key", "counts", "not_for"),
    [
        ("ollama/mistral-small", [""], ["mistral", "openrouter"]),
        ("mistral/mistral-small", ["mistral"], ["", "openrouter"]),
        ("gemini/gemini-3.5-flash", ["google"], ["", "openrouter"]),
        ("xai/grok-4.5", ["x-ai"], [""]),
        # What is free at a server of one's own is not so at a company's.
        ("mistral-small", ["", "ollama"], ["mistral", "openrouter"]),
    ],
)
def test_a_prefix_says_at_whose_server_a_price_counts(
    key: str, counts: list[str], not_for: list[str]
) -> None:
    model, used = key.rpartition("/")[2], Usage(output_tokens=10)
    before = {provider: prices.price(used, model, provider, AT) for provider in not_for}
    user_prices.save(key, user_prices.FREE)
    for provider in counts:
        assert prices.price(used, model, provider, AT) == (Decimal(0), "user")
    assert {provider: prices.price(used, model, provider, AT) for provider in not_for} == before


def test_a_file_written_by_hand_counts_as_soon_as_it_changes(file: Path) -> None:
    file.parent.mkdir()
    file.write_text('{"m": {"input": "0.1", "output": 0.2}}')
    assert prices.price(Usage(uncached_input_tokens=10**6), "m", "", AT) == (Decimal("0.1"), "user")
    file.write_text('{"m": {"input": 0.1, "output": 0.20001}}')
    assert prices.price(Usage(output_tokens=10**6), "m", "", AT) == (Decimal("0.20001"), "user")


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"m": {"input": 3}}',
        '{"m": {"input": 3, "output": "x"}}',
        '{"m": {"input": -1, "output": 1}}',
    ],
)
def test_a_file_that_cannot_be_understood_is_said_and_left_alone(file: Path, text: str) -> None:
    file.parent.mkdir()
    file.write_text(text)
    assert prices.price(Usage(output_tokens=1), "m", "", AT) == (None, "unpriced")
    assert user_prices.problem and "\n" not in user_prices.problem
    with pytest.raises(ConfigError):
        user_prices.save("other", user_prices.FREE)
    assert file.read_text() == text
    file.unlink()
    assert user_prices.find("m") is None and not user_prices.problem


@pytest.mark.parametrize("text", ["x", "", "-1", "nan", "inf", True])
def test_no_amount(text: object) -> None:
    with pytest.raises(ConfigError, match="--input must be a number of USD from 0"):
        parse_usd(text, "--input")


def test_run_time_of_a_hosted_session() -> None:
    assert prices.running_cost(3600) == Decimal("0.08")
    assert prices.running_cost(0.5) == Decimal("0.04") / 3600


COUNTS = [-1, math.nan, math.inf, True, 1.5, Decimal("-0.5")]


@pytest.mark.parametrize("count", COUNTS, ids=repr)
def test_a_count_that_has_no_price_fails_no_turn(count: Any) -> None:
    usage = Usage(uncached_input_tokens=100_000, output_tokens=count)
    finished = RequestFinished(model="gpt-4o-mini", provider="openai", usage=usage)
    turn = ScriptedBackend([RequestStarted(), TextDelta(text="The answer."), finished]).begin("Hi").wait()
    assert (turn.text, turn.error, turn.stop_reason) == ("The answer.", None, "end_turn")
    book = writer.current()
    book.flush()
    assert book.ledger.read("SELECT count(*) FROM requests") == [(1,)]
    if count in (-1, math.inf) or count != count:
        assert turn.cost is None and turn.unpriced_requests == 1
    book.close()


@pytest.mark.parametrize("error", [ValueError, RuntimeError, ImportError, OverflowError, SystemExit])
def test_a_price_table_that_fails_fails_no_turn(
    error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The table's own data never fail: what reads it is replaced by what does.
    def fail(*arguments: Any, **options: Any) -> Any:
        raise error("no")

    monkeypatch.setattr("praison_nb.metering.price_table.snapshot", fail)
    finished = RequestFinished(model="gpt-4o-mini", provider="openai", usage=Usage(output_tokens=7))
    turn = ScriptedBackend([RequestStarted(), TextDelta(text="The answer."), finished]).begin("Hi").wait()
    assert (turn.text, turn.error, turn.cost, turn.unpriced_requests) == ("The answer.", None, None, 1)
    book = writer.current()
    book.flush()
    assert book.ledger.read("SELECT output_tokens, cost FROM requests") == [(7, None)]
    book.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only where there are forks")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_child_has_prices_though_its_parent_was_reading_them(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user_prices.save("m", user_prices.FREE)
    slow = tmp_path / "slow.json"
    os.mkfifo(slow)
    monkeypatch.setenv("PRAISON_NB_PRICES", str(slow))
    reader = threading.Thread(target=user_prices.find, args=("m",))
    reader.start()
    # Who can open it to write knows that the thread is about to read it.
    with slow.open("w", encoding="utf-8") as writing:
        child = os.fork()
        if not child:
            try:
                signal.alarm(20)
                os.environ["PRAISON_NB_PRICES"] = str(file)
                os._exit(0 if user_prices.find("m") == ("m", user_prices.FREE) else 1)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        writing.write("{}")
    reader.join()


@pytest.mark.parametrize("usd", [Decimal("1e5"), Decimal(-1), Decimal("NaN"), "many", [1]])
def test_a_cost_that_cannot_be_is_not_known(usd: Any) -> None:
    used = Usage(uncached_input_tokens=1_000_000)
    told = RequestFinished(model="gpt-4o", provider="openai", usage=used, cost=usd, cost_source="provider")
    found = prices.with_cost(told, AT)
    assert (found.cost, found.cost_source) == (Decimal("2.5"), "table")
    dear = replace(told, usage=Usage(output_tokens=10**9), cost=None)
    assert prices.with_cost(dear, AT).cost is None
    assert prices.with_cost(replace(told, cost=0.25), AT).cost == Decimal("0.25")  # type: ignore[arg-type]


def test_a_batch_costs_what_the_table_says_or_half() -> None:
    used = Usage(uncached_input_tokens=1_000_000, output_tokens=1_000_000)
    now = datetime(2026, 11, 1, tzinfo=UTC).timestamp()
    listed = prices.cost(used, "gpt-4o-mini", "openai", now, "batch")
    assert listed.usd == Decimal("0.375") and "half" not in listed.price_source
    for model in ("claude-3-haiku-20240307", "gpt-4o-mini-search-preview"):
        provider = "anthropic" if model.startswith("claude") else "openai"
        plain, half = (prices.cost(used, model, provider, AT, tier) for tier in ("", "batch"))
        assert plain.usd and half.usd == plain.usd / 2 and half.price_source.endswith("half in a batch")
    assert prices.cost(used, "grok-3", "x-ai", AT, "batch").usd is None
