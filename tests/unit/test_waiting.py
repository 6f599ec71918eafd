"""A ledger that cannot be written: what waits goes to a second place, counts in budgets, and is taken in. And
what an administrator sets."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import praison_nb
from praison_nb import ScriptedBackend, Turn, administration
from praison_nb.errors import ConfigError, LedgerError
from praison_nb.events import Activity, Event, RequestFinished, RequestStarted
from praison_nb.metering import budget, schema, user_prices, writer
from praison_nb.metering.ledger import Ledger, RequestRow
from praison_nb.metering.origin import current_origin
from praison_nb.runtime import admissions
from praison_nb.session import Usage
from praison_nb.storage import connect_to_read
from praison_nb.tools.policy import clear_policies, set_policy
from praison_nb.tools.tool import Tool, policy_of


@pytest.fixture(autouse=True)
def prices() -> Iterator[None]:
    user_prices.save("scripted-1", user_prices.Price(Decimal(10), Decimal(10)))
    yield
    writer.current().close()


@pytest.fixture
def path() -> Path:
    return Path(os.environ["PRAISON_NB_LEDGER"])


def cent() -> list[Event]:
    return [RequestStarted(), RequestFinished(model="scripted-1", usage=Usage(output_tokens=1000))]


def play() -> Turn:
    return ScriptedBackend(cent()).begin("x").wait()


def limit(text: str) -> None:
    usd, scope = budget.parse(text)
    budget.set_limit(writer.current(), usd, scope, current_origin())


def files() -> list[Path]:
    return [*Path(os.environ["XDG_STATE_HOME"]).glob("praison_nb/waiting/*.jsonl")]


@pytest.fixture
def busy(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[sqlite3.Connection]:
    """The ledger while another process writes."""
    monkeypatch.setattr(schema, "TIMEOUT_SECONDS", 0.01)
    monkeypatch.setattr(budget, "LOCK_SECONDS", 0.01)
    limit("0.05/day")
    writer.current().close()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield other


def states() -> list[int]:
    """The states of the requests in the second place."""
    rows = [json.loads(line) for file in files() for line in file.read_text().splitlines()[1:]]
    return [row["state"] for row in rows if row["kind"] == "request"]


def test_a_request_is_in_the_second_place_before_it_is_sent(busy: sqlite3.Connection) -> None:
    found: list[list[int]] = []

    def look(event: Event, turn: Turn) -> None:
        if isinstance(event, RequestStarted):
            found.append(states())

    ScriptedBackend(cent()).begin("x", subscribers=[look]).wait()
    assert found == [[schema.RUNNING]] and states()[-1] == schema.DONE


def test_while_the_disk_is_slow_what_was_used_is_in_the_second_place() -> None:
    book = writer.current()
    book.slow = True
    with book.lock:
        play()
        assert states() == [schema.RUNNING, schema.DONE]
    book.flush()
    assert not files()


def test_what_comes_while_the_ledger_is_written_is_not_lost(busy: sqlite3.Connection) -> None:
    play()
    book = writer.current()
    before = len(book.waiting)
    late = [
        replace(row, id=f"later-{row.id}") if isinstance(row, RequestRow) else row for row in book.waiting
    ]
    book.waiting.extend(late)
    for _ in range(before):
        book.waiting.popleft()
    book.succeed()
    assert "later-" in files()[0].read_text() and states() == [schema.RUNNING, schema.DONE]


def test_the_second_place_is_at_no_time_without_what_waits(
    busy: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    play()
    book = writer.current()
    late = [replace(row, id=f"later-{row.id}") for row in book.waiting if isinstance(row, RequestRow)]
    with book.lock:
        # All that is there is written, and as much comes meanwhile.
        book.waiting.clear()
        book.waiting.extend(late)
        seen: list[list[int]] = []
        unlink = Path.unlink
        monkeypatch.setattr(
            Path, "unlink", lambda path, **options: (unlink(path, **options), seen.append(states()))[0]
        )
        book.succeed()
    assert seen and all(each[-len(late) :] == [row.state for row in late] for each in [*seen, states()])


def test_what_waits_counts_in_the_budget_and_every_panel_says_how_much(busy: sqlite3.Connection) -> None:
    turns = [play() for _ in range(7)]
    assert [turn.stop_reason for turn in turns] == ["end_turn"] * 5 + ["budget_reached"] * 2
    for number, turn in enumerate(turns[:5], 1):
        (line,) = (line for line in turn.notices if "waits in" in line)
        assert f"the usage of {number} request{'s' * (number > 1)} waits in {files()[0]}." in line
    busy.execute("ROLLBACK")
    writer.current().flush()
    assert float(praison_nb.usage()["cost"].sum()) == pytest.approx(0.05) and files() == []
    assert play().notices == ()


SPILL = """
import sys, time
from decimal import Decimal
from praison_nb import ScriptedBackend
from praison_nb.events import RequestFinished, RequestStarted
from praison_nb.metering import budget, schema
from praison_nb.runtime import admissions
from praison_nb.session import Usage
schema.TIMEOUT_SECONDS = budget.LOCK_SECONDS = 0.01
steps = [RequestStarted(), RequestFinished(model="scripted-1", usage=Usage(output_tokens=1000), id="r")]
turn = ScriptedBackend(steps).begin("a prompt that is nobody's").wait()
print(turn.notices, flush=True)
if sys.argv[1:]:
    input()
"""


@pytest.mark.parametrize("is_killed", [True, False])
def test_the_next_start_takes_in_what_another_kernel_left(busy: sqlite3.Connection, is_killed: bool) -> None:
    command = [sys.executable, "-c", SPILL, *(["wait"] if is_killed else [])]
    kernel = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert kernel.stdout and kernel.stderr
    with kernel:
        assert "the usage of 1 request waits in" in kernel.stdout.readline()
        if is_killed:
            kernel.send_signal(signal.SIGKILL)
        else:
            # At its end it says so once more.
            assert "the usage of 1 request waits in" in kernel.stderr.read()
    (left,) = files()
    assert "prompt" not in left.read_text() and left.stat().st_mode & 0o777 == 0o600
    with left.open("a") as file:
        file.write('{"kind": "turn", "id": "half a li')
    busy.execute("ROLLBACK")
    play()
    frame = praison_nb.usage(by="request")
    assert len(frame) == 2 and float(frame["cost"].sum()) == pytest.approx(0.02) and files() == []


def test_a_ledger_that_may_only_be_read_can_be_read(path: Path) -> None:
    play()
    writer.current().close()
    with closing(connect_to_read(path, schema.LEDGER, schema.MIGRATIONS, 1.0)) as connection:
        assert connection.execute("SELECT count(*) FROM requests").fetchall() == [(1,)]
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute("DELETE FROM requests")


def test_an_older_one_that_may_only_be_read_is_read_as_it_would_be_today(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(f"{schema.MIGRATIONS[0]}; PRAGMA user_version = 1;")
    before = path.read_bytes()
    with closing(connect_to_read(path, schema.LEDGER, schema.MIGRATIONS, 1.0)) as connection:
        assert connection.execute("SELECT count(reserved) FROM requests").fetchall() == [(0,)]
    assert path.read_bytes() == before


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everything")
def test_a_ledger_of_another_users(path: Path) -> None:
    play()
    writer.current().close()
    path.chmod(0o400)
    turn = play()
    assert "make it writable" in turn.notices[-1] and "the usage of 1 request waits in" in turn.notices[-1]
    assert len(praison_nb.usage()) == 1


def test_where_the_budgets_cannot_be_read_the_last_sums_count(
    busy: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert play().stop_reason == "end_turn"

    def unreadable(self: Ledger, *query: Any) -> Any:
        locked = sqlite3.OperationalError("database is locked")
        locked.sqlite_errorcode = sqlite3.SQLITE_BUSY
        raise LedgerError("The ledger is locked.") from locked

    monkeypatch.setattr(Ledger, "read", unreadable)
    reasons = [play().stop_reason for _ in range(6)]
    assert reasons[0] == "end_turn" and reasons[-1] == "budget_reached"
    # Whoever never knew them stops, and reads why.
    writer.current().last_spent.clear()
    stopped = play()
    assert stopped.stop_reason == "budget_reached" and "the budgets cannot be known" in stopped.detail


# What an administrator sets


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "etc"
    folder.mkdir()
    monkeypatch.setattr(administration, "folders", lambda: [folder])
    return folder / "ipython_config.py"


def test_a_users_off_does_not_lift_what_the_administrator_set(system: Path) -> None:
    system.write_text("c = get_config()\nc.AgentLimits.budgets = {'day': 0.02, 'user': 100}\n")
    limit("5/day")
    assert budget.limits(writer.current(), current_origin()) == {"day": Decimal("0.02"), "user": Decimal(100)}
    limit("off")
    reasons = [play().stop_reason for _ in range(3)]
    assert reasons == ["end_turn", "end_turn", "budget_reached"]
    assert "$0.02 is used up ($0.02 spent): the administrator of this machine has set it." in play().detail
    # The user's own counts where it is less.
    limit("0.01/day")
    assert budget.limits(writer.current(), current_origin())["day"] == Decimal("0.01")


def test_only_allowed_models_are_asked(system: Path) -> None:
    system.write_text("c = get_config()\nc.AgentLimits.allowed_models = ['gpt-5*', 'ollama/*']\n")
    turn = ScriptedBackend(cent(), model="gpt-4o").begin("x").wait()
    assert isinstance(turn.error, ConfigError) and "allows gpt-5*, ollama/*; not gpt-4o" in str(turn.error)
    assert ScriptedBackend(cent(), model="gpt-5-mini").begin("x").wait().error is None


def test_a_policy_is_at_least_the_administrators(system: Path) -> None:
    def run_command() -> str:
        """Run it."""
        return ""

    tool = Tool.of(run_command)
    system.write_text("c = get_config()\nc.AgentLimits.policies = {'run_command': 'ask'}\n")
    try:
        policies = []
        for own in ("allow", "ask", "deny"):
            set_policy("run_command", own)  # type: ignore[arg-type]
            policies.append(policy_of(tool, {}))
        assert policies == ["ask", "ask", "deny"]
    finally:
        clear_policies()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("c.AgentLimits.budgets = {'year': 5}", "is by day, week"),
        ("c.AgentLimits.budgets = {'day': 'much'}", "must be a number of USD"),
        ("c.AgentLimits.policies = {'a': 'perhaps'}", "allow, ask or deny"),
        ("this is no Python", "cannot be read"),
    ],
)
def test_what_cannot_be_understood_allows_nothing(system: Path, text: str, says: str) -> None:
    system.write_text(f"c = get_config()\n{text}\n")
    turn = play()
    assert isinstance(turn.error, ConfigError) and says in str(turn.error) and turn.cost == 0


def test_a_turn_that_waits_for_the_ledger_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """To bring a big one of an older version up to date takes a while."""
    monkeypatch.setattr(admissions, "PATIENCE_SECONDS", 0.01)
    said, is_said = list[str](), threading.Event()

    def note(event: Event, turn: Turn) -> None:
        if isinstance(event, Activity):
            said.append(event.text)
            is_said.set()

    with writer.current()._reading:
        run = ScriptedBackend([]).begin("Hi", subscribers=[note])
        assert is_said.wait(10)
    assert run.wait().error is None and said == ["waiting for the ledger", ""]
