"""What is reserved for requests under way: budgets hold for all that run at once, and a killed kernel leaves
what is known."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from praison_nb import LocalAgent, LocalAgentConfig, Turn
from praison_nb.backends.local.bounds import RequestBounds
from praison_nb.backends.local.providers import resolve
from praison_nb.backends.local.wires import wire
from praison_nb.errors import ConfigError
from praison_nb.events import Event, RequestStarted, Spent, TurnFinished
from praison_nb.metering import budget, periods, price_table, user_prices, writer
from praison_nb.metering.admission import LEAST_OUTPUT, MOST_OUTPUT, USUAL_OUTPUT, Bound, decide
from praison_nb.metering.open_requests import open_requests
from praison_nb.metering.origin import current_origin, user
from praison_nb.metering.prices import _known as prices_of
from servers import forked
from servers.base import Gate
from servers.openai import OpenAIServer, reply

DOLLAR = Bound(Decimal("0.10"), Decimal("0.00001"), Decimal("0.08"))
"""A request whose input costs ten cents at most, and 100,000 tokens of its output a dollar."""


@pytest.fixture(autouse=True)
def prices() -> Iterator[None]:
    # A cent for a thousand tokens of output, and for ten thousand of input.
    user_prices.save("scripted-1", user_prices.Price(Decimal(1), Decimal(10)))
    yield
    writer.current().close()


def agent(server: OpenAIServer, **more: Any) -> LocalAgent:
    options = {"model": "scripted-1", "base_url": server.base_url, "api_key": "test-key-123", **more}
    return LocalAgent(config=LocalAgentConfig(**options))


def limit(text: str) -> None:
    usd, scope = budget.parse(text)
    budget.set_limit(writer.current(), usd, scope, current_origin())


def again() -> str:
    """Ask again."""
    return "go on"


def test_the_price_table_is_not_loaded_while_others_wait_for_the_ledger(
    openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[str] = []
    real = price_table.snapshot

    def snapshot() -> Any:
        other = sqlite3.connect(writer.current().path, timeout=0)
        try:
            other.execute("BEGIN IMMEDIATE")
            found.append("free")
        except sqlite3.OperationalError as error:
            found.append(str(error))
        finally:
            other.close()
        return real()

    asking = agent(openai_server, model="gpt-4o-mini", provider="openai")
    asking.begin("Hi").wait()
    writer.current().flush()
    prices_of.cache_clear()
    monkeypatch.setattr(price_table, "snapshot", snapshot)
    assert asking.begin("Hi again").wait().text
    assert found[0] == "free"


# What may be sent


def event(**more: Any) -> RequestStarted:
    return RequestStarted(**{"model": "m", "takes_limit": True, "input_tokens": 9, **more})


def day(left: str, **more: Any) -> list[Spent]:
    return [Spent(per="day", usd=Decimal(1), limit=Decimal(1) + Decimal(left), **more)]


@pytest.mark.parametrize(
    ("left", "asked", "sent", "reserved"),
    [
        ("5", None, None, DOLLAR.cost(MOST_OUTPUT)),
        ("1.40", None, USUAL_OUTPUT, DOLLAR.cost(USUAL_OUTPUT)),
        ("0.20", None, 10_000, Decimal("0.20")),
        ("0.20", 8_000, None, Decimal("0.18")),
        ("0.20", 20_000, 10_000, Decimal("0.20")),
        ("0.1010", 100, None, Decimal("0.1010")),
        ("0.10256", None, LEAST_OUTPUT, Decimal("0.10256")),
    ],
)
def test_the_limit_of_output_is_what_is_left(
    left: str, asked: int | None, sent: int | None, reserved: Decimal
) -> None:
    admission = decide(event(max_output_tokens=asked), DOLLAR, day(left))
    assert not admission.refusal
    assert (admission.output_limit, admission.reserved) == (sent, reserved)
    assert reserved <= Decimal(left)


@pytest.mark.parametrize("left", ["0.10255", "0.05", "0.0000001"])
def test_what_could_answer_with_too_little_is_not_sent(left: str) -> None:
    refusal = decide(event(), DOLLAR, day(left)).refusal
    assert "and the next request may cost $0.1026 even with a short answer" in refusal


def test_what_others_have_reserved_counts_and_is_not_called_spent() -> None:
    admission = decide(event(), DOLLAR, day("0.30", reserved=Decimal("0.10")))
    assert admission.output_limit == 10_000
    refusal = decide(event(), DOLLAR, day("0.30", reserved=Decimal("0.30"))).refusal
    assert "has nothing left ($1.00 spent, at most $0.30 more by requests that are under way" in refusal


def test_without_a_price_a_budget_cannot_be_kept_and_without_a_budget_nothing_is_asked() -> None:
    refusal = decide(event(), None, day("5")).refusal
    assert "cannot be kept, since m has no known price: `%agent price m --input USD" in refusal
    admission = decide(event(), None, ())
    assert (admission.refusal, admission.output_limit, admission.estimate) == ("", None, None)


def test_free_models_need_no_limit() -> None:
    free = Bound(Decimal(0), Decimal(0), Decimal(0))
    admission = decide(event(), free, day("0.0000001"))
    assert (admission.refusal, admission.output_limit, admission.reserved) == ("", None, 0)


# Requests at once


def test_turns_at_once_spend_no_more_than_the_budget(openai_server: OpenAIServer) -> None:
    """A reservation is there before anything is sent, and falls back to what it cost."""
    limit("0.10/day")
    gate = Gate(openai_server)
    openai_server.script([gate, *reply("Hi", usage=(1000, 5000))])
    ended = threading.Semaphore(0)

    def count(event: Event, turn: Turn) -> None:
        if isinstance(event, TurnFinished):
            ended.release()

    runs = [agent(openai_server).begin("hi", subscribers=[count]) for _ in range(8)]
    assert all(ended.acquire(timeout=60) for _ in runs[1:])
    gate.open()
    turns = [run.wait() for run in runs]
    (answered,) = (turn for turn in turns if turn.text)
    assert answered.cost == Decimal("0.051") and len(openai_server.bodies) == 1
    for turn in turns:
        assert turn is answered or "($0.00 spent, at most $0.1000 more by requests" in turn.detail
    # What it did not cost is free again: as much output as the input leaves.
    openai_server.script(reply("Hi", usage=(15, 4000)))
    assert agent(openai_server).begin("hi").wait().text == "Hi"
    assert 4750 < openai_server.bodies[-1]["max_tokens"] < 4850


def test_a_request_whose_input_alone_is_over_is_not_sent(openai_server: OpenAIServer) -> None:
    turn = agent(openai_server).begin("word " * 40_000, budget=Decimal("0.01")).wait()
    assert (turn.stop_reason, turn.cost, openai_server.bodies) == ("budget_reached", 0, [])
    assert "$0.01 leaves $0.01 ($0.00 spent), and the next request may cost" in turn.detail


def test_an_exact_count_bounds_the_next_request(openai_server: OpenAIServer) -> None:
    """A server may put much before what it is sent."""
    openai_server.script(
        reply(calls=[("again", "{}")], usage=(90_000, 10)), reply("Done", usage=(90_020, 10))
    )
    turn = agent(openai_server, tools=[again]).begin("hi", budget=Decimal("0.15")).wait()
    assert (turn.stop_reason, turn.cost) == ("budget_reached", Decimal("0.0901"))
    other = agent(openai_server).begin("hi", budget=Decimal("0.05")).wait()
    assert other.stop_reason == "budget_reached" and len(openai_server.bodies) == 1


def test_a_limit_that_the_server_does_not_take_is_lowered(openai_server: OpenAIServer) -> None:
    server = resolve("m", base_url=openai_server.base_url, api_key="k", provider="", wire="")
    known = RequestBounds(server, wire("chat"))
    from praison_nb.errors import ProviderError

    words = "m refused it, it said: max_tokens is too large: 32768. This model supports at most 16384 tokens."
    refused = ProviderError(words, status_code=400)
    assert known.is_too_long(refused, 32768) and known.longest == 16384
    assert known.started({"messages": []}, 0).max_output_tokens == 16384
    assert not known.is_too_long(refused, None)
    assert not known.is_too_long(ProviderError("it said: no such tool", status_code=400), 32768)


# Midnight


def test_days_begin_in_the_zone_that_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    noon = 1_772_366_400.0  # Sunday, 2026-03-01 12:00 UTC
    assert periods.began("day", noon) == 1_772_323_200_000_000
    assert periods.began("week", noon) == 1_771_804_800_000_000
    assert periods.began("month", noon) == 1_772_323_200_000_000
    monkeypatch.setenv("PRAISON_NB_TIMEZONE", "Asia/Tokyo")
    assert periods.began("day", noon) == (1_772_323_200 - 9 * 3600) * 1_000_000
    spent = Spent(per="day", usd=Decimal(1), limit=Decimal(1))
    assert budget.reached(spent).endswith("A new day begins at 00:00 Asia/Tokyo.")
    monkeypatch.setenv("PRAISON_NB_TIMEZONE", "Europe/Nowhere")
    with pytest.raises(ConfigError, match="There is no time zone 'Europe/Nowhere'"):
        periods.began("day", noon)


def test_a_request_belongs_to_the_day_in_which_it_began() -> None:
    book, place, now = writer.current(), current_origin(), 1_772_366_400.0
    limit("5/day")
    midnight = periods.began("day", now) / 1e6
    turn, done = _row(midnight - 60, 3)
    book.enqueue(turn, done, replace(done, id="after", time=midnight + 60, cost=Decimal(2)))
    book.flush()
    for at, usd in ((midnight - 1, 5), (midnight + 1, 2)):
        # What began later than "now" is there after a clock was set back: rather counted than not.
        (told,) = budget.spent_by_scope(book, Turn(), place, at)
        assert told.usd == usd


def _row(time: float, usd: int) -> Any:
    from praison_nb.metering.ledger import RequestRow, TurnRow
    from praison_nb.metering.schema import LABELS
    from praison_nb.session import Usage

    labels = tuple(user() if name == "user" else "" for name in LABELS)
    common = {"labels": labels, "time": time, "duration": 1.0, "first_text": None, "usage": Usage()}
    turn = TurnRow(id="t", requests=2, unpriced=0, cost=Decimal(5), priced=Decimal(5), **common)
    return turn, RequestRow(id="r", turn="t", cost=Decimal(usd), **common)


# Kernels that are killed

LOOP = """
import sys
import threading
import time
from praison_nb import LocalAgent, LocalAgentConfig
def again() -> str:
    "Ask again."
    print("tool", flush=True)
    return sys.stdin.readline()
config = LocalAgentConfig(model="scripted-1", base_url=sys.argv[1], api_key="test-key-123", tools=[again])
turn = LocalAgent(config=config).begin("word " * 1000).wait()
print(turn.stop_reason, flush=True)
"""


def known_requests() -> tuple[list[Any], list[Any]]:
    path = writer.default_path()
    connection = sqlite3.connect(path)
    try:
        requests = connection.execute("SELECT state, cost FROM requests ORDER BY n").fetchall()
        turns = connection.execute("SELECT requests, priced, is_lower_bound FROM turns").fetchall()
    finally:
        connection.close()
    return requests, turns


@pytest.mark.parametrize(
    "point", ["streams", "tool", *(pytest.param(each, marks=pytest.mark.slow) for each in ("sent", "second"))]
)
def test_a_killed_kernel_leaves_every_request_that_was_sent(openai_server: OpenAIServer, point: str) -> None:
    gate = Gate(openai_server)
    first = reply(calls=[("again", "{}")], usage=(1000, 100))
    before = {"sent": 0, "streams": 1}.get(point)
    openai_server.script(
        first if before is None else [*first[:before], gate, *first[before:]], [gate, *reply("x")]
    )
    sent = 2 if point == "second" else 1
    with forked.script(LOOP, openai_server.base_url) as kernel:
        if before is None:
            assert kernel.stdout.readline() == "tool\n"
        if point == "second":
            kernel.stdin.write("\n")
            kernel.stdin.flush()
        openai_server.wait_for(lambda: len(openai_server.bodies) == sent)
    gate.open()
    requests, [(count, priced, is_lower_bound)] = known_requests()
    assert count == len(requests) == sent
    assert priced == sum(cost for _, cost in requests) and priced > 0
    done = [state for state, _ in requests if not state]
    assert len(done) == (before is None) and is_lower_bound == (len(done) < sent)
    # Whoever asks next reads of it, and its most counts in the budgets.
    unknown = open_requests(writer.current(), user())
    assert [each.state for each in unknown] == ["unknown"] * (sent - len(done))
    assert all(each.cost and each.at_most > each.cost and each.input_tokens > 1000 for each in unknown)
    import praison_nb

    (row,) = praison_nb.usage().to_dict("records")
    assert row["status"] == ("unknown") and row["stop_reason"] == "killed"
    limit("5/day")
    (told,) = budget.spent_by_scope(writer.current(), Turn(), current_origin(), time.time())
    assert told.reserved == sum(each.at_most for each in unknown)


@pytest.mark.slow
@pytest.mark.parametrize("request_", range(8))
@pytest.mark.parametrize("step", range(5))
def test_no_request_of_a_tool_loop_is_unknown_to_the_ledger(
    openai_server: OpenAIServer, request_: int, step: int
) -> None:
    gate = Gate(openai_server)
    loop = [reply(calls=[("again", "{}")], usage=(1000, 100)) for _ in range(8)]
    loop[request_].insert(min(step, len(loop[request_]) - 1), gate)
    openai_server.script(*loop)
    with forked.script(LOOP, openai_server.base_url) as kernel:
        kernel.stdin.write("\n" * 8)
        kernel.stdin.flush()
        openai_server.wait_for(lambda: gate.reached)
    gate.open()
    requests, [(count, priced, _)] = known_requests()
    assert count == len(requests) == len(openai_server.bodies) == request_ + 1
    assert priced == sum(cost for _, cost in requests)


def test_what_runs_can_be_asked_for(openai_server: OpenAIServer) -> None:
    gate = Gate(openai_server)
    openai_server.script([gate, *reply("Hi", usage=(10, 5))])
    run = agent(openai_server, options={"max_tokens": 1000}).begin("hi")
    openai_server.wait_for(lambda: gate.reached)
    (request,) = open_requests(writer.current(), user())
    assert (request.state, request.model) == ("running", "scripted-1")
    assert Decimal("0.01") < request.at_most < Decimal("0.0101")
    gate.open()
    assert run.wait().cost == Decimal("0.00006") and open_requests(writer.current(), user()) == []
