"""The turns of a hosted session cost in all what the server's books say, whatever happens to the kernels."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal

import pytest

import praison_nb
from praison_nb import HostedAgent, Turn
from servers.hosted import HostedServer, Manners, Tokens, request, text
from servers.hosted_agent import hosted
from servers.waiting import until

MODEL = "claude-sonnet-4-6"
HALF_CENT = 0.0051


@pytest.fixture
def server() -> Iterator[HostedServer]:
    with HostedServer() as server:
        yield server


def cents(tokens: Tokens, seconds: float) -> Decimal:
    """What the server bills: list prices, dearer where it is fast or in one place, searches and time."""
    factor = (6 if tokens.speed == "fast" else 1) * Decimal("1.1" if tokens.geo == "us" else "1")
    usd = factor * (tokens.input * 3 + tokens.output * 15) / 1_000_000
    return 100 * (usd + tokens.searches / Decimal(100) + Decimal("0.08") * Decimal(seconds) / 3600)


def other_kernel(server: HostedServer, agent: HostedAgent) -> HostedAgent:
    """An agent that knows of the session what a new kernel would."""
    other = hosted(server, model=MODEL)
    other.restore_ids(agent.save_ids())
    return other


@pytest.mark.parametrize("seed", range(8))
def test_turns_cost_in_all_what_the_books_say(server: HostedServer, seed: int) -> None:
    chance = random.Random(seed)
    server.manners = Manners(usage_event=chance.random() < 0.7)
    agents = [hosted(server, model=MODEL)]
    exact, billed, last = Decimal(0), 0, None
    for number in range(5):
        steps = []
        for _ in range(chance.randint(1, 3)):
            tokens = Tokens(
                input=chance.randrange(10_000, 200_000),
                output=chance.randrange(3000),
                speed=chance.choice(["", "standard", "fast"]),
                geo=chance.choice(["", "", "us"]),
                searches=chance.choice([0, 0, 3]),
            )
            seconds = float(chance.choice([1, 30, 900]))
            exact += cents(tokens, seconds)
            more, billed = round(exact) - billed, round(exact)
            steps.append(request(text("Hello"), usage=tokens, cents=more, seconds=seconds))
        server.script(steps)
        server.replay = chance.choice([0, 0, 50])
        for session in server.sessions.values():
            session.spent.lag = chance.choice([0, 1, 2])
        agent = chance.choice(agents)
        run = agent.begin(f"go {number}")
        last = run.wait()
        if chance.random() < 0.6:
            agents.append(other_kernel(server, agent))
    session = next(iter(server.sessions.values()))
    # What only the provider knows, nobody can see to be missing: by now its books are whole.
    session.spent.lag = session.spent._looks = 0
    run = agent.begin("the last one")
    run.wait()
    books = (session.spent.cents or 0) / 100
    until(run, lambda turn: turn.session_usage and float(turn.session_usage.list_cost or 0) == books)
    frame = praison_nb.usage()
    # A turn that ended before the books were there, and has no price, costs "—": the next one has the rest.
    assert last is not None and abs(float(frame["known_cost"].sum()) - books) < HALF_CENT
    assert (frame["known_cost"] >= 0).all() and len(frame) == 6
    assert frame["input_tokens"].sum() == sum(each.input for each in session.spent.requests)


def test_a_turn_that_is_taken_up_costs_once(server: HostedServer) -> None:
    for _ in range(4):
        server.script([request(text("Hello"), usage=Tokens(100_000, 1000), cents=32)])
    first = hosted(server, model=MODEL)
    old = first.begin("1").wait()
    second = other_kernel(server, first)
    second.attach(
        Turn(id=old.id, prompt="1", session_id=old.session_id, backend="hosted", model=old.model)
    ).wait()
    runs = [second.begin(str(number)) for number in range(3)]
    turns = [run.wait() for run in runs]
    until(runs[-1], lambda turn: turn.session_usage and turn.session_usage.list_cost == Decimal("1.28"))
    frame = praison_nb.usage()
    assert all(turn.cost is not None and turn.cost > Decimal("0.3") for turn in turns)
    assert len(frame) == 4 and abs(frame["cost"].sum() - 1.28) < HALF_CENT


def test_requests_of_others_that_are_replayed_are_not_counted(server: HostedServer) -> None:
    first = hosted(server, model=MODEL)
    first.begin("1").wait()
    other_kernel(server, first).begin("2").wait()
    server.replay = 100
    turn = first.begin("3").wait()
    assert len(turn.requests) == 1
    assert praison_nb.usage(by="request").shape[0] == 3


def test_a_server_that_tells_no_usage_is_estimated(server: HostedServer) -> None:
    server.manners = Manners(usage_event=False)

    async def say(session: object) -> None:
        session.emit({"type": "agent.message", "content": [{"type": "text", "text": "word " * 400}]})  # type: ignore[attr-defined]

    server.script([say])
    turn = hosted(server, model=MODEL).begin("Hello " * 400).wait()
    assert turn.usage.estimated and turn.usage.output_tokens >= 400 and turn.usage.input_tokens >= 400
    assert turn.cost and turn.estimated_cost == turn.cost and len(turn.requests) == 1


def test_a_process_ends_while_the_books_are_behind(server: HostedServer) -> None:
    """They are looked at once more, and no coroutine is left, of which the interpreter would crash."""
    code = """
import sys
from praison_nb import HostedAgent, HostedAgentConfig
config = HostedAgentConfig(model="claude-sonnet-4-6", base_url=sys.argv[1], api_key=sys.argv[2])
print(HostedAgent(config).begin("Hi").wait().text)
"""
    server.script([request(text("Hello"))])
    command = [sys.executable, "-c", code, server.url, server.api_key]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "Hello\n", "")
