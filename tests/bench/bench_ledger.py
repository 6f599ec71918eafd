"""What the meter costs: one append beside a bare SQLite insert with the same pragmas, in turns, on the same
disk; and the metering of an answer of 5,000 chunks beside the turn's whole CPU time.

    python tests/bench/bench_ledger.py
"""

from __future__ import annotations

import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from big_ledger import make

from praison_nb.metering import budget
from praison_nb.metering.ledger import Ledger, RequestRow, TurnRow, numbers
from praison_nb.metering.origin import Origin
from praison_nb.metering.schema import LABELS
from praison_nb.metering.statements import REQUEST_COLUMNS
from praison_nb.metering.writer import Writer
from praison_nb.session import Usage
from praison_nb.turn import Turn
from servers.kernel import Kernel
from servers.openai import OpenAIServer, reply

ROUNDS = 2000
CHUNKS = 5000


def appends(folder: Path) -> None:
    ledger = Ledger(folder / "ours.sqlite")
    bare = sqlite3.connect(folder / "bare.sqlite", isolation_level=None)
    bare.execute("PRAGMA journal_mode=WAL").fetchone()
    bare.execute("PRAGMA synchronous=FULL")
    columns = ("id", "turn", *LABELS, *REQUEST_COLUMNS)
    bare.execute(f"CREATE TABLE rows ({', '.join(columns)}, UNIQUE (id))")
    insert = f"INSERT INTO rows VALUES ({', '.join('?' * len(columns))})"
    labels = (
        "ann",
        "/nb/churn.ipynb",
        "cell",
        "main",
        "local-1",
        "local",
        "openai",
        "m",
        "table",
        *[""] * (len(LABELS) - 9),
    )

    def plain(number: int) -> None:
        row = _request(number, labels)
        bare.execute("BEGIN IMMEDIATE")
        bare.execute(insert, (row.id, row.turn, *labels, *numbers(row)))
        bare.execute("COMMIT")

    def ours(number: int) -> None:
        ledger.write([_turn(number, labels), _request(number, labels)])

    times = _in_turns({"bare": plain, "ours": ours})
    ledger.close()
    bare.close()
    p50 = {name: statistics.median(each) * 1e3 for name, each in times.items()}
    print(
        f"append, p50: bare insert of one row {p50['bare']:.3f} ms, ours (a turn and its request) "
        f"{p50['ours']:.3f} ms, ratio {p50['ours'] / p50['bare']:.2f}"
    )


def _in_turns(works: dict[str, Callable[[int], None]]) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in works}
    for number in range(ROUNDS + 50):
        for name, work in works.items():
            start = time.perf_counter()
            work(number)
            if number >= 50:  # the first ones warm up
                times[name].append(time.perf_counter() - start)
    return times


def _turn(number: int, labels: tuple[str, ...]) -> TurnRow:
    return TurnRow(
        id=f"turn-{number // 3}",
        labels=labels,
        time=1.7e9 + number,
        duration=1.0,
        first_text=0.2,
        requests=1,
        unpriced=0,
        usage=Usage(uncached_input_tokens=1000, output_tokens=100),
        cost=Decimal("0.0123"),
        priced=Decimal("0.0123"),
    )


def _request(number: int, labels: tuple[str, ...]) -> RequestRow:
    return RequestRow(
        id=f"request-{number}",
        labels=labels,
        turn=f"turn-{number // 3}",
        time=1.7e9 + number,
        duration=1.0,
        first_text=0.2,
        usage=Usage(uncached_input_tokens=1000, output_tokens=100),
        cost=Decimal("0.0123"),
    )


def budget_check(path: Path, rows: int) -> float:
    """Milliseconds of CPU to say what was spent by all scopes, each with a budget, of a user with so many
    turns, each with a request. `path` is a new ledger."""
    make(path, rows, requests=True)
    writer = Writer(path)
    origin = Origin(user="user0", notebook="/nb/4.ipynb")
    for scope in budget.SCOPES:
        budget.set_limit(writer, Decimal(1_000_000), scope, origin)
    turn = Turn(id="turn", session_id="session-4")
    start = time.process_time()
    for _ in range(100):
        budget.spent_by_scope(writer, turn, origin, time.time())
    seconds = time.process_time() - start
    writer.close()
    return seconds / 100 * 1e3


CELL = """
import time
from praison_nb.events import RequestFinished, RequestStarted, TextDelta, TurnFinished
from praison_nb.metering.meter import Meter
turn = None
"""
MEASURED = "start = time.process_time()"
TURN = "%%agent --new -o turn\nHi"
READ = f"""
cpu = time.process_time() - start
usage = turn.usage
events = [RequestStarted(), *(TextDelta(text="abcd") for _ in range({CHUNKS}))]
events += [RequestFinished(model="gpt-4o-mini", provider="openai", usage=usage), TurnFinished()]
begun = time.process_time()
meter = Meter()
for event in events:
    meter.record(meter.with_cost(event, turn), turn)
meter.writer.flush()
print('RESULT', cpu, time.process_time() - begun)
"""


def metering() -> None:
    shares, whole = [], []
    with OpenAIServer() as server:
        environment = {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": "test-key"}
        with Kernel(env=environment, start=True) as kernel:
            assert kernel.run(CELL).ok
            for round_ in range(6):
                server.script(reply("abcd" * CHUNKS, size=4))
                for code in (MEASURED, TURN):
                    assert kernel.run(code).ok
                cpu, meter = map(float, kernel.run(READ).text.split("RESULT")[1].split())
                if round_:
                    shares.append(meter / cpu)
                    whole.append(cpu)
    print(
        f"metering a turn of {CHUNKS:,} chunks: {statistics.median(shares):.2%} of its "
        f"{statistics.median(whole):.2f} s of CPU"
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        appends(Path(folder))
        for rows in (1_000, 100_000):
            took = budget_check(Path(folder) / f"{rows}.sqlite", rows)
            print(f"budget check, all scopes, {rows:,} turns: {took:.2f} ms of CPU")
        os.environ["PRAISON_NB_LEDGER"] = f"{folder}/metering.sqlite"
        metering()
