"""What nobody counts is estimated with all that it has, and what was stopped is asked for where it can be."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from praison_nb import LocalAgent, LocalAgentConfig, usage as ledger
from praison_nb.backends.local import estimates, generation
from praison_nb.metering import user_prices, writer
from praison_nb.money import format_usd
from praison_nb.render.text import panel_text
from servers.openai import CutHere, OpenAIServer, call, chunk, reply
from servers.waiting import until

CHINESE = "请告诉我这是什么东西" * 100


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("PRAISON_NB_PRICES", str(tmp_path / "prices.json"))
    yield
    writer.current().close()


def add(a: int, b: int) -> int:
    """Add two numbers, of which each may be as big as it likes to be, and give their sum back."""
    return a + b


def agent(server: OpenAIServer, **more: Any) -> LocalAgent:
    config = {"model": "gpt-4o-mini", "provider": "openai", **more}
    return LocalAgent(LocalAgentConfig(base_url=server.base_url, api_key="test-key", wire="chat", **config))


def test_tools_and_chinese_count(openai_server: OpenAIServer) -> None:
    openai_server.script(*(reply("one", usage=None) for _ in range(3)))
    plain, with_tools, chinese = (
        agent(openai_server, **more).begin(prompt).wait().usage
        for prompt, more in (("Hi", {}), ("Hi", {"tools": [add]}), (CHINESE, {}))
    )
    assert with_tools.input_tokens > plain.input_tokens + 40
    assert 700 < chinese.input_tokens - plain.input_tokens < 1000 and chinese.estimated


def test_an_answer_that_is_cut_counts_its_arguments(openai_server: OpenAIServer) -> None:
    user_prices.save("openai/scripted-1", user_prices.Price(Decimal(3), Decimal(15)))
    arguments = '{"a": 1, "text": "' + "x" * 4000
    steps = [*call("add", arguments), CutHere()]
    openai_server.script(reply("Fine.", usage=(500, 5)), steps, reply("Fine."))
    backend = agent(openai_server, tools=[add])
    backend.begin("Hi").wait()
    turn = backend.begin("More").wait()
    used = turn.usage
    # From the exact count of the request before, and all that came of the call.
    assert 500 < used.input_tokens < 560 and 1000 <= used.output_tokens < 1050 and used.estimated
    assert turn.cost == turn.estimated_cost and f"~{format_usd(turn.cost)}" in panel_text(turn)
    shares = ledger.by("model")["estimated"]
    assert 0.5 < shares.iloc[0] < 1


def test_a_count_so_far_is_an_estimate_where_the_answer_is_cut(openai_server: OpenAIServer) -> None:
    so_far = {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11}
    steps = [chunk({"content": "One"}, usage=so_far), CutHere()]
    whole = [chunk({"content": "One"}, finish_reason="stop", usage=so_far), CutHere()]
    openai_server.script(steps, whole)
    cut, complete = (agent(openai_server).begin("Hi").wait().usage for _ in range(2))
    assert (cut.output_tokens, cut.estimated) == (1, True)
    assert (complete.output_tokens, complete.estimated) == (1, False)


def test_silent_thinking_counts(openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert estimates.silent_thinking(21.0) == 1000 and estimates.silent_thinking(0.5) == 0
    monkeypatch.setattr(estimates, "USUAL_DELAY", -10.0)
    outputs = []
    for effort in ("none", "high"):
        openai_server.script([chunk({"role": "assistant", "content": ""}), CutHere()])
        turn = agent(openai_server, effort=effort).begin("Hi").wait()
        outputs.append((turn.usage.output_tokens, turn.usage.reasoning_output_tokens))
    # Each is asked again, and answered.
    (none, _), (high, thinking) = outputs
    assert high - none == thinking >= 500


class OpenRouter(OpenAIServer):
    """Knows what a request cost, the second time that it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def routes(self, router: web.UrlDispatcher) -> None:
        super().routes(router)
        router.add_get("/v1/generation", self._generation)

    async def _generation(self, request: web.Request) -> web.Response:
        self.asked.append(request.query["id"])
        if len(self.asked) < 2:
            return web.json_response({"error": {"code": 404, "message": "not found"}}, status=404)
        counts = {"prompt": 90, "completion": 40, "cached": 30, "reasoning": 10}
        data = {f"native_tokens_{name}": count for name, count in counts.items()}
        return web.json_response({"data": {"id": "chatcmpl-1", "total_cost": 0.00123, **data}})


@pytest.mark.parametrize("asks", [True, False])
def test_a_stopped_request_is_asked_for(asks: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation, "PAUSES", (0.0, 0.01, 0.01))
    with OpenRouter() as server:
        gate = server.gate()
        steps = reply("abcdefgh")
        server.script([*steps[:2], gate, *steps[2:]])
        backend = agent(server, provider="openrouter", model="x/y", asks_stopped_cost=asks)
        run = backend.begin("Hi")
        server.wait_for(lambda: gate.reached)
        until(run, lambda turn: turn.text == "abcd")
        run.stop()
        run.wait()
        turn = until(run, lambda turn: bool(turn.requests))
        if asks:
            used = turn.usage
            assert (turn.cost, turn.cost_sources) == (Decimal("0.00123"), ("provider",))
            assert (used.input_tokens, used.cache_read_input_tokens, used.output_tokens) == (90, 30, 40)
            assert not used.estimated and server.asked == ["chatcmpl-1"] * 2
        else:
            assert turn.usage.estimated and turn.cost is None and not server.asked
        gate.open()
