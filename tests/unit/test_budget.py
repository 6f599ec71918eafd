"""Budgets: they warn, they stop before the next request, and kernels share them."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from praison_nb import LocalAgent, LocalAgentConfig, ScriptedBackend, Turn
from praison_nb.backends.base import Backend
from praison_nb.backends.session import Session
from praison_nb.errors import ConfigError
from praison_nb.events import Event, RequestFinished, RequestStarted, SessionAttached, Spent, TextDelta
from praison_nb.metering import budget, budget_notices, rows, schema, user_prices, writer
from praison_nb.metering.ledger import TurnRow
from praison_nb.metering.origin import Origin, current_origin
from praison_nb.runtime.run import Run
from praison_nb.session import Usage
from servers.openai import OpenAIServer, reply

CENT = Usage(output_tokens=1000)
"""What costs a cent at ten dollars a million."""


@pytest.fixture(autouse=True)
def prices(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("PRAISON_NB_PRICES", str(tmp_path / "prices.json"))
    monkeypatch.setattr(budget_notices, "_shown", set())
    user_prices.save("scripted-1", user_prices.Price(Decimal(10), Decimal(10)))
    yield
    writer.current().close()


def again() -> str:
    """Ask again."""
    return "go on"


def looping(server: OpenAIServer, requests: int) -> LocalAgent:
    """An agent whose every request costs a cent and calls a tool, but for the last one."""
    loop = [reply(calls=[("again", "{}")], usage=(0, 1000)) for _ in range(requests - 1)]
    server.script(*loop, reply("Done.", usage=(0, 1000)))
    config = LocalAgentConfig(
        model="scripted-1", base_url=server.base_url, api_key="test-key-123", tools=[again]
    )
    return LocalAgent(config=config)


def cent() -> list[Event]:
    """A request that costs one."""
    return [RequestStarted(), RequestFinished(model="scripted-1", usage=CENT)]


def spend(cents: int) -> Turn:
    turns = [ScriptedBackend(cent()).begin("x").wait() for _ in range(cents)]
    writer.current().flush()
    return turns[-1]


def limit(text: str, place: Origin | None = None) -> None:
    usd, scope = budget.parse(text)
    budget.set_limit(writer.current(), usd, scope, place or current_origin())


def test_a_turn_ends_before_the_request_that_would_come_after(openai_server: OpenAIServer) -> None:
    agent = looping(openai_server, 5)
    turn = agent.begin("Hi", budget=Decimal("0.03")).wait()
    assert turn.stop_reason == "budget_reached" and turn.error is None
    assert turn.cost == Decimal("0.03") and len(openai_server.bodies) == 3
    assert turn.detail == (
        "the turn's budget of $0.03 is used up ($0.03 spent): --budget 0.06 raises it, then ask it to go on."
    )
    # The history is whole: the conversation goes on where it stood.
    turn = agent.begin("Go on", budget=Decimal("0.06")).wait()
    assert turn.stop_reason == "end_turn" and turn.text == "Done." and len(openai_server.bodies) == 5
    roles = [message["role"] for message in openai_server.bodies[-1]["messages"]]
    assert roles == ["user", *["assistant", "tool"] * 3, "assistant", "user", "assistant", "tool"]


def test_it_warns_once_at_80_percent(openai_server: OpenAIServer) -> None:
    turn = looping(openai_server, 10).begin("Hi", budget=Decimal("0.105")).wait()
    assert turn.stop_reason == "end_turn" and turn.cost == Decimal("0.10")
    assert turn.notices == ("85% of the turn's budget is used: $0.09 of $0.1050.",)
    (told,) = (told for told in turn.spent if told.per == "turn")
    assert (told.usd, told.limit) == (turn.cost, Decimal("0.105"))


def test_the_days_budget_holds_for_all_sessions(openai_server: OpenAIServer) -> None:
    limit("0.02/day")
    assert spend(2).stop_reason == "end_turn"
    turn = looping(openai_server, 1).begin("Hi").wait()
    assert turn.stop_reason == "budget_reached" and openai_server.bodies == []
    assert turn.cost == 0 and turn.usage == Usage()
    assert turn.detail.endswith(
        "`%agent budget 0.04/day` raises it, then ask it to go on. A new day begins at 00:00 UTC."
    )
    limit("off/day")
    assert looping(openai_server, 1).begin("Hi").wait().text == "Done."


def test_yesterday_does_not_count() -> None:
    limit("0.02/day")
    spend(2)
    book = writer.current()
    for table in ("turns", "requests"):
        book.ledger.change(f"UPDATE {table} SET time = time - ?", (86_400_000_000,))
    assert spend(1).stop_reason == "end_turn"


def test_kernels_share_the_days_budget() -> None:
    limit("0.02/day")
    other = """
from praison_nb import ScriptedBackend
from praison_nb.events import RequestFinished, RequestStarted
from praison_nb.session import Usage
for _ in range(3):
    step = RequestFinished(model="scripted-1", usage=Usage(output_tokens=1000))
    turn = ScriptedBackend([RequestStarted(), step]).begin("x").wait()
print(turn.stop_reason)
"""
    done = subprocess.run([sys.executable, "-c", other], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "budget_reached"
    assert spend(1).stop_reason == "budget_reached"


def test_a_sessions_budget_is_each_sessions_own() -> None:
    limit("0.02/session")
    backend = Cents()
    reasons = [backend.begin("x").wait().stop_reason for _ in range(3)]
    assert reasons == ["end_turn", "end_turn", "budget_reached"]
    session = next(told for told in backend.begin("x").wait().spent if told.per == "session")
    assert (session.usd, session.limit) == (Decimal("0.02"), Decimal("0.02"))


def test_a_notebooks_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="does not know its notebook"):
        limit("1/notebook")
    place = Origin(current_origin().user, "/nb/a.ipynb", "")
    monkeypatch.setattr(rows, "current_origin", lambda: place)
    limit("0.01/notebook", place)
    assert [spend(1).stop_reason, spend(1).stop_reason] == ["end_turn", "budget_reached"]
    monkeypatch.setattr(rows, "current_origin", lambda: Origin(place.user, "/nb/b.ipynb", ""))
    assert spend(1).stop_reason == "end_turn"


def test_what_has_no_price_is_said_once() -> None:
    limit("1/day")
    steps = [RequestStarted(), RequestFinished(model="nobody", usage=CENT)]
    turn = ScriptedBackend(steps).begin("x").wait()
    assert turn.notices == (
        "The day's budget cannot count 1 turn without a price: set one with `%agent price MODEL --input USD "
        "--output USD`, or `--free`.",
    )
    assert ScriptedBackend(steps).begin("x").wait().notices == ()


class Cents(Backend):
    """Each turn costs one."""

    name = "cents"

    async def events(self, prompt: str, session: Session, run: Run) -> AsyncIterator[Event]:
        session.id = "s"
        yield SessionAttached(session_id="s")
        for event in cent():
            yield event


class Remote(Backend):
    """A provider that runs on by itself: it has to be stopped, and reports its usage afterwards."""

    name = "remote"

    def __init__(self) -> None:
        super().__init__()
        self.told = False

    async def events(self, prompt: str, session: Session, run: Run) -> AsyncIterator[Event]:
        try:
            for number in range(10):
                yield RequestStarted(id=f"start-{number}")
                yield TextDelta(text=f"{number} ")
                yield RequestFinished(id=f"{id(self)}-{number}", model="scripted-1", usage=CENT)
        except asyncio.CancelledError:
            self.told = True
            yield RequestFinished(id=f"{id(self)}-late", model="scripted-1", usage=CENT)


def test_a_provider_that_runs_on_is_told_and_its_last_usage_counts() -> None:
    backend = Remote()
    run = backend.begin("x", budget=Decimal("0.02"))
    turn = run.wait()
    assert turn.stop_reason == "budget_reached" and turn.text == "0 1 "
    backend.begin("wait for the turn before", budget=Decimal(1)).wait()
    assert backend.told and run.turn.cost == Decimal("0.03")


def test_without_a_ledger_the_turns_own_budget_still_holds(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PRAISON_NB_LEDGER", str(tmp_path))  # a directory
    turn = spend(1)
    assert turn.stop_reason == "end_turn" and len(turn.notices) == 1
    turn = Remote().begin("x", budget=Decimal("0.02")).wait()
    assert turn.stop_reason == "budget_reached" and turn.text == "0 1 "


# What waits in memory


@contextmanager
def written_by_another(path: Path) -> Iterator[None]:
    """While another process writes, the ledger can be read only."""
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        other.execute("BEGIN IMMEDIATE")
        yield
    finally:
        other.close()


def row(number: int, cents: int, place: Origin, session_id: str = "s", ago: float = 0.0) -> TurnRow:
    labels = {"user": place.user, "notebook": place.notebook, "session_id": session_id}
    return TurnRow(
        id=f"turn-{number}",
        labels=tuple(labels.get(name, "") for name in schema.LABELS),
        time=time.time() - ago,
        duration=1.0,
        first_text=None,
        requests=1,
        unpriced=cents % 2,
        usage=CENT,
        cost=None,
        priced=Decimal(cents) / 100,
        extra_cost=Decimal(cents) / 100,
    )


def spent(book: writer.Writer, place: Origin) -> dict[str, Spent]:
    turn = Turn(session_id="s")
    return {each.per: each for each in budget.spent_by_scope(book, turn, place, time.time())}


def test_what_waits_counts_once_and_where_it_belongs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "TIMEOUT_SECONDS", 0.01)
    ours, beside, anothers = Origin("ann", "/a.ipynb"), Origin("ann", "/b.ipynb"), Origin("ben", "/a.ipynb")
    for scope in budget.SCOPES:
        limit(f"100/{scope}", ours)
    book = writer.current()
    book.enqueue(row(1, 1, ours), row(2, 2, ours, "another session"))
    book.flush()
    with written_by_another(book.ledger.path):
        book.enqueue(row(1, 4, ours))
        book.enqueue(row(3, 8, beside), row(4, 16, ours, ago=40 * 86_400), row(5, 33, anothers))
        book.flush()
        assert "locked by another process" in book.problem
        told = spent(book, ours)
    counted = {per: (each.usd, each.turns, each.unpriced) for per, each in told.items()}
    assert counted == {
        **dict.fromkeys(("day", "week", "month"), (Decimal("0.14"), 3, 0)),
        "user": (Decimal("0.30"), 4, 0),
        "notebook": (Decimal("0.22"), 3, 0),
        "session": (Decimal("0.61"), 4, 1),
    }
    book.flush()
    told = spent(book, ours)
    assert counted == {per: (each.usd, each.turns, each.unpriced) for per, each in told.items()}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("5/year", "for a session, notebook, day, week, month, user, not 'year'"),
        ("much/day", "must be a number of USD"),
        ("-1/day", "must be a number of USD"),
        ("0", "more than \\$0"),
        ("0.0000000000001", "more than \\$0"),
        ("10000000/day", "from 0 to 1,000,000, not '10000000'"),
        ("1e999999/day", "from 0 to 1,000,000, not '1e999999'"),
    ],
)
def test_a_budget_that_cannot_be(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        budget.parse(text)
    assert budget.parse("$5") == (Decimal(5), "day")
    limit("1000000/day")
    assert budget.limits(writer.current(), current_origin()) == {"day": Decimal(1_000_000)}


def test_a_turns_budget_is_a_number_of_usd_in_any_form() -> None:
    from praison_nb.runtime.options import TurnOptions

    for usd in (0.001, "0.001", "$0.001", Decimal("0.001")):
        assert TurnOptions(budget=usd).budget == Decimal("0.001")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="budget must be a number of USD"):
        ScriptedBackend([]).begin("x", budget="abc")


def test_a_budget_that_cannot_be_known_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(turn: Turn, limit: Decimal | None) -> list[Event]:
        raise ValueError("no sum")

    monkeypatch.setattr(budget, "spent_by_turn", fail)
    backend = ScriptedBackend([TextDelta(text="hi")])
    stopped = backend.begin("x", budget=1).wait()
    assert stopped.stop_reason == "budget_reached" and not stopped.text
    assert "cannot be known" in stopped.detail
    assert backend.begin("x").wait().text == "hi"


def test_a_budget_holds_where_its_ledger_is_damaged_after_it_was_set() -> None:
    spend(1)
    limit("0.02/day")
    writer.current().close()
    writer.default_path().write_bytes(b"no ledger " * 1000)
    ends = [ScriptedBackend(cent()).begin("x").wait().stop_reason for _ in range(3)]
    assert ends == ["end_turn", "budget_reached", "budget_reached"]
    # What waits is written, and not into the next test's ledger.
    writer.default_path().unlink()
    writer.current().flush()
