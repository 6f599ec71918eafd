"""Turn, panel, session, ledger and DataFrame agree to the last token and to 1e-9 USD, and with a cost that
was computed by hand from the providers' public prices.

USD per million tokens: gpt-4o-mini 0.15 in, 0.075 cached, 0.60 out; claude-sonnet-4-5 3 in, 0.30 read, 3.75
written for five minutes, 6 for an hour, 15 out. A hosted session costs 0.08 an hour that it runs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from praison_nb import HostedAgent, HostedAgentConfig, LocalAgent, LocalAgentConfig, Turn, usage as ledger
from praison_nb.backends.base import Backend
from praison_nb.backends.local.wires.base import request_bytes
from praison_nb.metering import writer
from praison_nb.money import format_usd
from praison_nb.render.text import panel_text
from praison_nb.session import Usage
from praison_nb.turn import estimate_tokens
from servers import openai
from servers.hosted import HostedServer, Tokens, builtin_tool, hold, request, text
from servers.openai import CutHere, OpenAIServer, reply
from servers.waiting import until

MINI, SONNET = "gpt-4o-mini", "claude-sonnet-4-5"
TOKENS = (
    "uncached_input_tokens",
    "cache_read_input_tokens",
    "cache_write_5m_input_tokens",
    "cache_write_1h_input_tokens",
    "output_tokens",
)


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("PRAISON_NB_PRICES", str(tmp_path / "prices.json"))
    yield
    writer.current().close()


def usd(*parts: tuple[float, str]) -> Decimal:
    """The cost by hand: tokens times USD per million."""
    return sum((Decimal(str(tokens)) * Decimal(price) for tokens, price in parts), Decimal(0)) / 10**6


def agree(backend: Backend, turns: Sequence[Turn], costs: Sequence[Decimal | None]) -> None:
    """Everything that shows numbers shows the same ones: these."""
    frame = ledger()
    assert len(frame) == len(turns) == len(costs)
    for turn, cost, (_, row) in zip(turns, costs, frame.iterrows(), strict=True):
        assert turn.cost == cost
        panel = panel_text(turn)
        assert format_usd(cost) in panel
        about = "~" if turn.usage.estimated else ""
        assert f"in {about}{turn.usage.input_tokens:,}" in panel
        assert f"out {about}{turn.usage.output_tokens:,}" in panel
        assert {name: row[name] for name in TOKENS} == {name: getattr(turn.usage, name) for name in TOKENS}
        assert row["input_tokens"] == turn.usage.input_tokens and row["estimated"] == turn.usage.estimated
        if cost is None:
            assert repr(row["cost"]) == "<NA>"
        else:
            assert abs(Decimal(repr(float(row["cost"]))) - cost) < Decimal("1e-9")
        assert abs(Decimal(repr(float(row["known_cost"]))) - turn.known_cost) < Decimal("1e-9")
    session = backend.retrieve_session()["usage"]
    total = sum((turn.usage for turn in turns), Usage())
    assert (session["input_tokens"], session["output_tokens"]) == (total.input_tokens, total.output_tokens)
    for table in (ledger.by("session_id"), frame.agent.by("session_id")):
        (sums,) = (row for _, row in table.iterrows())
        assert (sums["turns"], sums["input_tokens"]) == (len(turns), total.input_tokens)
        assert sums["output_tokens"] == total.output_tokens
        assert sums["without_price"] == sum(cost is None for cost in costs)
        if None not in costs:
            assert abs(Decimal(repr(float(sums["cost"]))) - sum(costs, Decimal(0))) < Decimal("1e-9")  # type: ignore[arg-type]


# A loop of our own, over an OpenAI-compatible server


def local(server: OpenAIServer, model: str = MINI, **fields: Any) -> LocalAgent:
    fields = {"provider": "openai", "wire": "chat", "api_key": "test-key-123", **fields}
    return LocalAgent(config=LocalAgentConfig(model=model, base_url=server.base_url, **fields))


def by(model: str, steps: list[Any]) -> list[Any]:
    """The reply as that model gives it."""
    return [{**step, "model": model} if isinstance(step, dict) else step for step in steps]


def counted(prompt: int, completion: int, **details: int) -> list[Any]:
    """The steps that end a reply, with these details of the input."""
    more = {"prompt_tokens_details": {"cached_tokens": 0, **details}}
    return [openai.usage(prompt, completion, **more), openai.DONE]


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def test_uncached_and_cached(openai_server: OpenAIServer) -> None:
    openai_server.script(
        by(MINI, reply("one", usage=(1200, 30))), by(MINI, reply("two", usage=(1300, 40, 1024)))
    )
    agent = local(openai_server)
    turns = [agent.begin("Hi").wait(), agent.begin("Hi").wait()]
    first = usd((1200, "0.15"), (30, "0.6"))
    second = usd((1300 - 1024, "0.15"), (1024, "0.075"), (40, "0.6"))
    assert (first, second) == (Decimal("0.000198"), Decimal("0.0001422"))
    agree(agent, turns, [first, second])


def test_cache_writes(openai_server: OpenAIServer) -> None:
    steps = reply("one", usage=None)[:-1] + counted(5000, 100, cached_tokens=1000, cache_write_tokens=3000)
    openai_server.script(by(SONNET, steps))
    agent = local(openai_server, SONNET, provider="anthropic")
    turn = agent.begin("Hi").wait()
    agree(agent, [turn], [usd((1000, "3"), (1000, "0.3"), (3000, "3.75"), (100, "15"))])


def test_a_loop_of_parallel_tools(openai_server: OpenAIServer) -> None:
    call = ("add", json.dumps({"a": 1, "b": 2}))
    openai_server.script(
        by(MINI, reply(calls=[call, call, call], usage=(100, 60))),
        by(MINI, reply(calls=[call], usage=(300, 20, 100))),
        by(MINI, reply("3", usage=(400, 2, 300))),
    )
    agent = local(openai_server, tools=[add])
    turn = agent.begin("Hi").wait()
    assert len(turn.requests) == 3
    cost = usd((100 + 200 + 100, "0.15"), (100 + 300, "0.075"), (82, "0.6"))
    agree(agent, [turn], [cost])
    assert [*ledger(by="request")["output_tokens"]] == [60, 20, 2]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_request_that_is_tried_again_counts_once(openai_server: OpenAIServer, status: int) -> None:
    openai_server.refuse(1, status=status, headers={"retry-after-ms": "1"})
    openai_server.script(by(MINI, reply("one", usage=(100, 10))))
    agent = local(openai_server)
    turn = agent.begin("Hi").wait()
    assert turn.text == "one" and len(openai_server.bodies) == 2
    agree(agent, [turn], [usd((100, "0.15"), (10, "0.6"))])


def test_a_request_that_is_refused_costs_nothing(openai_server: OpenAIServer) -> None:
    openai_server.refuse(9, status=400)
    agent = local(openai_server)
    turn = agent.begin("Hi").wait()
    assert turn.error is not None
    agree(agent, [turn], [Decimal(0)])


def estimated(server: OpenAIServer, answer: str) -> Decimal:
    """The cost of a cut answer: what was sent and what came, a token for each four bytes."""
    sent = estimate_tokens(request_bytes(server.bodies[-1]))
    return usd((sent, "0.15"), (estimate_tokens(len(answer)), "0.6"))


def test_a_stream_that_is_cut_costs_what_came(openai_server: OpenAIServer) -> None:
    steps = by(MINI, reply("a text that is cut", usage=(100, 10)))
    openai_server.script([*steps[:3], CutHere()])
    agent = local(openai_server)
    turn = agent.begin("Hi").wait()
    assert turn.text == "a text t" and turn.error is not None and turn.usage.estimated
    agree(agent, [turn], [estimated(openai_server, turn.text)])


def test_a_server_that_does_not_count(openai_server: OpenAIServer) -> None:
    openai_server.script(by(MINI, reply("one two three", usage=None)))
    agent = local(openai_server)
    turn = agent.begin("Hi").wait()
    agree(agent, [turn], [estimated(openai_server, "one two three")])


STEPS = len(reply("abcdefgh", calls=[("add", '{"a": 1, "b": 2}')]))


@pytest.mark.parametrize("at", range(1, STEPS))
def test_a_stop_at_every_event(openai_server: OpenAIServer, at: int) -> None:
    steps = by(MINI, reply("abcdefgh", calls=[("add", '{"a": 1, "b": 2}')], usage=(100, 10)))
    gate = openai_server.gate()
    openai_server.script(by(MINI, reply("before", usage=(50, 5))), [*steps[:at], gate, *steps[at:]])
    agent = local(openai_server, tools=[add])
    before = agent.begin("Hi").wait()
    run = agent.begin("Hi")
    openai_server.wait_for(lambda: gate.reached)
    if at > 1:
        until(run, lambda turn: turn.text == "abcdefgh"[: 4 * min(at - 1, 2)])
    run.stop()
    run.wait()
    turn = until(run, lambda turn: not turn.pending.estimated)
    assert turn.stop_reason == "interrupted" and turn.cost is not None
    if turn.usage.estimated:
        # From the exact count of the request before it.
        first, second = (request_bytes(body) for body in openai_server.bodies[-2:])
        sent = 50 + estimate_tokens(second - first)
        assert turn.usage.uncached_input_tokens == sent
        assert turn.cost == usd((sent, "0.15"), (turn.usage.output_tokens, "0.6"))
    else:
        assert turn.cost == usd((100, "0.15"), (10, "0.6"))
    agree(agent, [before, turn], [usd((50, "0.15"), (5, "0.6")), turn.cost])


def test_two_models_in_one_session(openai_server: OpenAIServer) -> None:
    openai_server.script(
        by("gpt-4o", reply("one", usage=(1000, 100))), by(MINI, reply("two", usage=(2000, 200)))
    )
    agent = local(openai_server, "gpt-4o")
    first = agent.begin("Hi").wait()
    agent.update_agent(model=MINI)
    second = agent.begin("Hi").wait()
    costs = [usd((1000, "2.5"), (100, "10")), usd((2000, "0.15"), (200, "0.6"))]
    agree(agent, [first, second], costs)
    table = ledger.by("model")
    assert [*table.index] == ["gpt-4o", MINI] and [*table["turns"]] == [1, 1]


def test_a_model_without_a_price(openai_server: OpenAIServer) -> None:
    openai_server.script(
        by("nobody-1", reply("one", usage=(1000, 100))), by(MINI, reply("two", usage=(10, 1)))
    )
    agent = local(openai_server)
    turns = [agent.begin("Hi").wait(), agent.begin("Hi").wait()]
    agree(agent, turns, [None, usd((10, "0.15"), (1, "0.6"))])


@pytest.mark.parametrize(
    ("told", "cost"),
    [
        ({"cost": 0.00042}, "0.00042"),
        ({"cost": "0.00042"}, "0.00042"),
        ({"cost": 0}, "0"),
        ({"cost": 0.01, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.2}}, "0.21"),
        ({"cost": "free"}, "0.000021"),
        ({"cost": float("nan")}, "0.000021"),
        ({"cost": -1}, "0.000021"),
        ({"cost": True}, "0.000021"),
        ({"cost": 0.01, "is_byok": True}, "0.000021"),
    ],
)
def test_the_servers_own_cost_wins_where_it_is_one(
    openai_server: OpenAIServer, told: dict[str, Any], cost: str
) -> None:
    steps = [*reply("one", usage=None)[:-1], openai.usage(100, 10, **told), openai.DONE]
    openai_server.script(by(MINI, steps))
    agent = local(openai_server)
    turn = agent.begin("Hi").wait()
    agree(agent, [turn], [Decimal(cost)])
    (source,) = ledger()["cost_source"]
    assert source == ("table" if cost == "0.000021" else "provider")


def test_usage_that_comes_with_every_chunk_is_not_added_up(openai_server: OpenAIServer) -> None:
    steps = []
    for number, step in enumerate(reply("one two three", usage=(100, 10))):
        steps.append(step)
        if isinstance(step, dict) and step["choices"]:
            steps.append(openai.usage(100, min(number, 9)))
    openai_server.script(by(MINI, steps))
    agent = local(openai_server)
    agree(agent, [agent.begin("Hi").wait()], [usd((100, "0.15"), (10, "0.6"))])


# The provider's loop


def hosted(server: HostedServer, model: str = SONNET) -> HostedAgent:
    agent = HostedAgent(HostedAgentConfig(api_key=server.api_key, base_url=server.url, model=model))
    agent.backoff_seconds = (0.0, 0.01)
    return agent


def ran(seconds: float) -> Decimal:
    return Decimal(str(seconds)) * Decimal("0.08") / 3600


MANY = Tokens(input=1000, output=500, cache_read=20_000, cache_write_5m=4000)
MANY_COST = usd((1000, "3"), (20_000, "0.3"), (4000, "3.75"), (500, "15"))  # 0.0315


def test_hosted_requests_and_the_time_that_the_session_ran(server: HostedServer) -> None:
    server.script([request(builtin_tool("bash"), usage=MANY, seconds=45), request(text("one"), usage=MANY)])
    agent = hosted(server)
    turn = agent.begin("Hi").wait()
    agree(agent, [turn], [2 * MANY_COST + ran(46)])


def test_hosted_a_list_cost_that_agrees_changes_nothing(server: HostedServer) -> None:
    server.script(
        [request(text("one"), usage=MANY, cents=3, seconds=9)],
        [request(text("two"), usage=MANY, cents=3, seconds=9)],
        [request(text("three"), usage=MANY, cents=4, seconds=9)],
    )
    agent = hosted(server)
    turns = [agent.begin("Hi").wait() for _ in range(3)]
    # 0.0317 a turn: 0.0951 in all, where the provider says 0.10.
    agree(agent, turns, [MANY_COST + ran(9)] * 3)
    assert [*ledger()["list_cost"]] == [0.03, 0.06, 0.10]
    assert {*ledger()["cost_source"]} == {"table"}


def test_hosted_a_list_cost_that_differs_wins_for_the_session(server: HostedServer) -> None:
    server.script(
        [request(text("one"), usage=MANY, cents=25, seconds=9)],  # it searched the web, say
        [request(text("two"), usage=MANY, cents=3, seconds=9)],
    )
    agent = hosted(server)
    turns = [agent.begin("Hi").wait() for _ in range(2)]
    agree(agent, turns, [Decimal("0.25"), MANY_COST + ran(9)])
    assert [*ledger()["cost_source"]] == ["provider", "table"]


def test_hosted_a_model_without_a_price_costs_what_the_provider_says(server: HostedServer) -> None:
    server.script(
        [request(text("one"), usage=MANY, cents=7)],
        [request(text("two"), usage=MANY, cents=5)],
        [request(text("three"), usage=MANY, cents=None)],
    )
    agent = hosted(server, "claude-of-next-year")
    turns = [agent.begin("Hi").wait() for _ in range(2)]
    agree(agent, turns, [Decimal("0.07"), Decimal("0.05")])


def test_hosted_without_a_price_and_without_a_list_cost(server: HostedServer) -> None:
    server.script([request(text("one"), usage=MANY)])
    agent = hosted(server, "claude-of-next-year")
    agree(agent, [agent.begin("Hi").wait()], [None])


def test_hosted_cache_writes_for_an_hour(server: HostedServer) -> None:
    # A request does not tell for how long it wrote; only the session's own count does.
    both = Tokens(input=100, output=10, cache_write_5m=2000, cache_write_1h=3000)
    server.script(
        [request(text("one"), usage=both, seconds=0)], [request(text("two"), usage=MANY, seconds=0)]
    )
    agent = hosted(server)
    turns = [agent.begin("Hi").wait() for _ in range(2)]
    first = usd((100, "3"), (10, "15"), (2000, "3.75"), (3000, "6"))
    assert turns[0].usage.cache_write_1h_input_tokens == 3000
    agree(agent, turns, [first, MANY_COST])


def _cuttable() -> list[Any]:
    return [
        request(builtin_tool("bash"), usage=MANY, seconds=1),
        request(text("done", deltas=3), usage=MANY, seconds=1),
    ]


@pytest.fixture
def stream_bytes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> int:
    """How long the whole stream of such a turn is, played with a ledger of its own."""
    with monkeypatch.context() as other, HostedServer() as server:
        other.setenv("PRAISON_NB_LEDGER", str(tmp_path / "rehearsal.sqlite"))
        server.script(_cuttable())
        hosted(server).begin("Hi").wait()
        return len(server.streams[0].body)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.4, 0.6, 0.8, 0.97])
def test_hosted_a_stream_that_is_cut_and_resumed_counts_once(
    server: HostedServer, stream_bytes: int, share: float
) -> None:
    server.cut(int(share * stream_bytes))
    server.script(_cuttable())
    agent = hosted(server)
    turn = agent.begin("Hi").wait()
    assert turn.text == "done" and len(server.streams) >= 2
    agree(agent, [turn], [2 * MANY_COST + ran(2)])


def test_hosted_a_stop_is_settled_with_the_providers_count(server: HostedServer) -> None:
    gate = server.gate()
    server.script([request(text("one"), usage=MANY), request(text("two"), hold(gate), usage=MANY)])
    agent = hosted(server)
    run = agent.begin("Hi")
    server.wait_for(lambda: gate.reached)
    run.stop()
    run.wait()
    turn = until(run, lambda turn: turn.session_usage is not None)
    assert turn.stop_reason == "interrupted" and len(turn.requests) == 2
    agree(agent, [turn], [2 * MANY_COST + ran(2)])


def test_hosted_a_budget_stops_the_provider_and_counts_what_it_still_used(server: HostedServer) -> None:
    gate = server.gate()
    server.script(
        [
            request(builtin_tool("bash"), usage=MANY),
            request(builtin_tool("bash"), usage=MANY),
            request(text("never"), hold(gate), usage=MANY),
        ]
    )
    agent = hosted(server)
    run = agent.begin("Hi", budget=2 * MANY_COST)
    run.wait()
    turn = until(run, lambda turn: turn.session_usage is not None)
    assert turn.stop_reason == "budget_reached" and "--budget" in turn.detail
    sent = [event["type"] for seen in server.seen("POST", "/events") for event in seen.json["events"]]
    assert sent == ["user.message", "user.interrupt"]
    agree(agent, [turn], [3 * MANY_COST + ran(3)])


def test_hosted_a_session_that_is_resumed_costs_only_its_new_turns(server: HostedServer) -> None:
    server.script(
        [request(text("one"), usage=MANY, cents=25, seconds=3600)],
        [request(text("two"), usage=MANY, cents=3, seconds=36)],
    )
    first = hosted(server)
    first.begin("Hi").wait()
    second = hosted(server)
    second.resume_session(first.session.id)
    turn = second.begin("Hi").wait()
    assert turn.cost == MANY_COST + ran(36)


def test_hosted_looking_at_the_session_in_mid_turn_changes_no_cost(server: HostedServer) -> None:
    gate = server.gate()
    server.script(
        [request(builtin_tool("bash"), usage=MANY, seconds=60), request(text("x"), hold(gate), usage=MANY)]
    )
    agent = hosted(server)
    run = agent.begin("Hi")
    server.wait_for(lambda: gate.reached)
    assert agent.retrieve_session()["status"] == "running"
    gate.open()
    agree(agent, [run.wait()], [2 * MANY_COST + ran(61)])
