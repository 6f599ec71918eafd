"""The price table: whose addresses it knows, which names, and a newer one, fetched when it is asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from praison_nb.backends.local.providers import resolve
from praison_nb.errors import ConfigError
from praison_nb.metering import price_table, prices, user_prices
from praison_nb.session import Usage
from servers.base import LoopbackServer

AT = datetime(2026, 11, 20, tzinfo=UTC).timestamp()
THOUSAND = Usage(uncached_input_tokens=1000, output_tokens=1000)


class Mirror(LoopbackServer):
    """Has a price table."""

    body = ""

    def routes(self, router: web.UrlDispatcher) -> None:
        router.add_get("/data.json", self._table)

    async def _table(self, request: web.Request) -> web.Response:
        return web.Response(text=self.body)

    def has(self, since: str, usd: float) -> str:
        """A table of one model with this price, and its address."""
        price = {"input_mtok": usd, "output_mtok": usd}
        dated = {"constraint": {"start_date": since}, "prices": price}
        model = {"id": "gpt-new", "match": {"equals": "gpt-new"}, "prices": [{"prices": price}, dated]}
        provider = {"id": "openai", "name": "OpenAI", "api_pattern": r"https://api\.openai\.com"}
        self.body = json.dumps([{**provider, "models": [model]}])
        return f"{self.url}/data.json"


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Mirror]:
    monkeypatch.setenv("PRAISON_NB_PRICE_TABLE", str(tmp_path / "data" / "table.json"))
    with Mirror() as running:
        yield running


def test_a_newer_table_counts_from_then_on(mirror: Mirror) -> None:
    assert prices.price(THOUSAND, "gpt-new", "openai", AT) == (None, "unpriced")
    before = price_table.source()
    assert before.startswith("genai-prices 0.") and "(2026-" in before
    said = price_table.update(mirror.has("2026-11-19", 2.0))
    assert said.startswith("genai-prices, fetched 20") and price_table.source() == said
    found = prices.cost(THOUSAND, "gpt-new", "openai", AT)
    assert (found.usd, found.source, found.price_source) == (Decimal("0.004"), "table", said)


def test_an_older_one_does_not_count(mirror: Mirror) -> None:
    before = price_table.source()
    assert price_table.update(mirror.has("2020-01-01", 2.0)) == before
    assert prices.price(THOUSAND, "gpt-4o-mini", "openai", AT) == (Decimal("0.00075"), "table")


@pytest.mark.parametrize("body", ["", "<html>", "{}", "[]", '[{"id": 1}]', "[" * 10_000])
def test_what_is_no_table_takes_none_away(mirror: Mirror, body: str) -> None:
    mirror.body = body
    with pytest.raises(ConfigError, match=r"^No newer price table: .* goes on to count\.$"):
        price_table.update(f"{mirror.url}/data.json")
    assert not price_table.path().exists()
    price_table.path().parent.mkdir()
    price_table.path().write_text(body)
    assert prices.price(THOUSAND, "gpt-4o-mini", "openai", AT) == (Decimal("0.00075"), "table")


def test_without_a_network_the_table_stays(mirror: Mirror) -> None:
    with pytest.raises(ConfigError, match="No newer price table: ConnectError"):
        price_table.update("http://127.0.0.1:9/data.json")


@pytest.mark.parametrize(
    ("address", "provider"),
    [
        ("https://api.openai.com/v1", "openai"),
        ("https://api.openai.com.example.net/v1", ""),
        ("http://api.openai.com/v1", ""),
        ("https://api.moonshot.cn/v1", "moonshotai"),
        ("https://mine.openai.azure.com/openai/v1", "azure"),
        ("https://bedrock-runtime.us-east-1.amazonaws.com/openai/v1", "aws"),
        ("https://router.huggingface.co/groq/openai/v1", "huggingface_groq"),
        ("http://127.0.0.1:8000/v1", ""),
        ("https://vllm.example.org/v1", ""),
    ],
)
def test_whose_address_it_is(address: str, provider: str) -> None:
    assert resolve("gpt-4o", base_url=address, api_key="k").payee == provider


@pytest.mark.parametrize(
    ("model", "address", "payee"),
    [
        ("llama3.2", None, "ollama"),
        ("llama3.2", "http://10.1.2.3:11434/v1", "ollama"),
        ("llama3.2", "https://ollama.com/v1", ""),
        ("gpt-oss:120b-cloud", None, "ollama-cloud"),
        ("glm-5:cloud", None, "ollama-cloud"),
    ],
)
def test_what_runs_here_is_free(
    model: str, address: str | None, payee: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OLLAMA_HOST", raising=False)
    server = resolve(model, provider="ollama", base_url=address)
    assert server.payee == payee
    free = (Decimal(0), "local") if payee == "ollama" else (None, "unpriced")
    assert prices.price(THOUSAND, model, server.payee, AT) == free


NAMES = [
    ("openai", "openai/gpt-4o", "0.0125"),
    ("openai", "gpt-5-mini-2031-01-01", "0.00225"),
    ("openai", "ft:gpt-4o-2024-08-06:a::b", "0.01875"),
    ("openai", "ft:gpt-9:a::b", None),
    ("openrouter", "x/y:free", "0"),
    ("openrouter", "openai/gpt-4o:online", "0.0125"),
    ("openrouter", "openai/gpt-4o:floor", None),
    ("anthropic", "anthropic/claude-sonnet-4-5", "0.018"),
    ("anthropic", "claude-3-5-sonnet-latest", "0.018"),
    ("google", "models/gemini-2.5-flash", "0.0028"),
    ("google", "projects/p/locations/l/publishers/google/models/gemini-2.5-flash", "0.0028"),
    ("google", "claude-sonnet-4-5@20250929", "0.018"),
    ("aws", "eu.anthropic.claude-sonnet-4-5-20250929-v1:0", "0.0198"),
    (
        "aws",
        "arn:aws:bedrock:us-east-1::inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "0.0198",
    ),
    ("fireworks", "accounts/fireworks/models/deepseek-v3p2", "0.00224"),
    ("x-ai", "xai/grok-4-0709", "0.018"),
    ("anthropic", "openai/gpt-4o", None),
]


@pytest.mark.parametrize(("provider", "model", "usd"), NAMES, ids=[model for _, model, _ in NAMES])
def test_names_that_servers_have(provider: str, model: str, usd: str | None) -> None:
    found = prices.cost(THOUSAND, model, provider, AT)
    assert found.usd == (None if usd is None else Decimal(usd))
    assert found.is_lower_bound == model.endswith(":online")


def test_a_price_counts_from_when_it_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PRAISON_NB_PRICES", str(tmp_path / "prices.json"))

    def save(since: Any) -> None:
        one = {"input": 1, "output": 1, "since": since}
        (tmp_path / "prices.json").write_text(json.dumps({"m": one}))

    save("2026-11-01")
    found = prices.cost(THOUSAND, "m", "", AT)
    assert (found.usd, found.price_source) == (Decimal("0.002"), "since 2026-11-01")
    save("2999-01-01T00:00:00+02:00")
    assert prices.price(THOUSAND, "m", "", AT) == (None, "unpriced")
    for wrong in ("soon", 5, None):
        save(wrong)
        assert prices.price(THOUSAND, "m", "", AT) == (None, "unpriced")
        assert "since must be a date" in user_prices.problem
