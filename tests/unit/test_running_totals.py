"""The sums of the ledger's rows: looked up however many rows there are, and always those of the rows."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest

from praison_nb import Turn
from praison_nb.metering import budget, periods, reprice, schema, statements, user_prices
from praison_nb.metering.ledger import Ledger, RequestRow, TurnRow
from praison_nb.metering.origin import Origin
from praison_nb.metering.schema import DONE, LABELS, MIGRATIONS, RUNNING, TOKENS, UNKNOWN
from praison_nb.metering.totals import Total, Waiting, total
from praison_nb.session import Usage

USERS, NOTEBOOKS, SESSIONS = ("ann", "bob"), ("", "a.ipynb", "b.ipynb"), ("", "one", "two")
ZONES = ("UTC", "Asia/Kathmandu", "America/St_Johns", "Pacific/Chatham")
NOW = 1_780_000_000.0
TABLES = ("totals", "session_totals")
TURN = f"label, time, duration, requests, unpriced, {', '.join(TOKENS)}, estimated, priced"
REQUEST = f"label, time, turn, {', '.join(TOKENS)}, estimated, cost"
COUNTS = ", ".join("0" for _ in TOKENS)
TURN_VALUES, REQUEST_VALUES = f"1, 1, 0, {COUNTS}, 0, 100", f"{COUNTS}, 0, 100"
"""Behind label and time; of a request behind its turn."""


@pytest.fixture
def path() -> Path:
    return Path(os.environ["PRAISON_NB_LEDGER"])


def labels(**named: str) -> tuple[str, ...]:
    return tuple(named.get(name, "") for name in LABELS)


def some_labels(chance: Random) -> tuple[str, ...]:
    return labels(
        user=chance.choice(USERS),
        notebook=chance.choice(NOTEBOOKS),
        session_id=chance.choice(SESSIONS),
        model=chance.choice(("known", "late")),
    )


def usd(chance: Random, low: int = 0) -> Decimal:
    return Decimal(chance.randrange(low, 9000)) / 1000


def turn_row(chance: Random) -> TurnRow:
    return TurnRow(
        id=f"turn-{chance.randrange(30)}",
        labels=some_labels(chance),
        time=NOW - chance.randrange(40 * 86_400) - chance.random(),
        duration=1.0,
        first_text=None,
        requests=1,
        unpriced=chance.randrange(3),
        usage=Usage(uncached_input_tokens=chance.randrange(99), output_tokens=chance.randrange(9)),
        cost=chance.choice((None, usd(chance))),
        priced=usd(chance),
        extra_cost=usd(chance, -900),
        estimated_cost=chance.choice((Decimal(0), usd(chance))),
        is_lower_bound=chance.random() < 0.2,
        reserved=usd(chance),
        process=chance.choice(("", "gone-1")),
    )


def request_row(chance: Random) -> RequestRow:
    state = chance.choice((DONE, RUNNING, UNKNOWN))
    number = chance.randrange(60)
    return RequestRow(
        id=f"request-{number}" if state == DONE else f"start-{number}",
        started_id=f"start-{number}" if state == DONE else "",
        labels=some_labels(chance),
        turn=f"turn-{chance.randrange(30)}",
        time=NOW - chance.randrange(40 * 86_400) - chance.random(),
        duration=None,
        first_text=None,
        usage=Usage(uncached_input_tokens=chance.randrange(99), output_tokens=chance.randrange(9)),
        cost=chance.choice((None, usd(chance))),
        state=state,
        reserved=usd(chance),
    )


def change(chance: Random, ledger: Ledger) -> None:
    """What kernels do, and what users do by hand."""
    turn, request = turn_row(chance), request_row(chance)
    ids = (chance.randrange(60),)
    match chance.randrange(11):
        case 0:
            ledger.transact(ledger.mark_killed)
        case 1:
            reprice.apply(ledger, reprice.planned(ledger))
        case 2:
            ledger.change("DELETE FROM requests WHERE n = ?", ids)
        case 3:
            name = chance.choice(("user", "notebook", "session_id"))
            ledger.change(f"UPDATE OR IGNORE labels SET {name} = 'renamed' WHERE n = ?", ids)
        case 4:
            # Its rows are nobody's; they may be taken away afterwards.
            ledger.change("DELETE FROM labels WHERE n = ?", (chance.randrange(200),))
            ledger.close()
        case 5:
            ledger.change("PRAGMA recursive_triggers = ON", ())
            for table in ("turns", "requests"):
                ledger.change(f"REPLACE INTO {table} SELECT * FROM {table} WHERE n % 3 = 0", ())
            ledger.change("VACUUM", ())
        case _:
            ledger.write([turn, replace(request, turn=turn.id)])


def plain(ledger: Ledger, waiting: Waiting, named: dict[str, str], since: int, turn_id: str) -> Total:
    """Row by row."""
    sums = [0, 0, 0, 0]
    replaced = {*waiting.requests, *waiting._replaced, *waiting.turns}
    matches = "".join(f" AND l.{name} = ?" for name in named)
    rest = f"r JOIN labels l ON l.n = r.label WHERE r.time >= ?{matches}"
    values = (since, *named.values())
    for key, state, cost, reserved in ledger.read(
        f"SELECT id, state, cost, reserved FROM requests {rest}", values
    ):
        if key not in replaced:
            sums[state != DONE] += (cost or 0) if state == DONE else reserved
    for key, cost, reserved, process, unpriced in ledger.read(
        f"SELECT id, extra_cost, reserved, process, unpriced FROM turns {rest}", values
    ):
        if key not in replaced:
            sums[0] += cost
            sums[1] += reserved * (process != "" and key != turn_id)
            sums[2] += 1
            sums[3] += unpriced > 0
    late = waiting.total(named, since, turn_id)
    return Total(*(a + b for a, b in zip(sums, late, strict=True)))


def dump(ledger: Ledger) -> list[Any]:
    """The totals of all that is there."""
    return [
        [row for row in ledger.read(f"SELECT * FROM {table}") if any(map(bool, row[-4:]))] for table in TABLES
    ]


# The last one gives a price to a turn whose labels were taken away.
@pytest.mark.parametrize(
    "seed", [*range(3), 107, *(pytest.param(n, marks=pytest.mark.slow) for n in range(3, 20))]
)
def test_they_are_the_sums_of_the_rows(path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever kernels in any time zone write, and whatever waits to be written."""
    chance = Random(seed)
    price = user_prices.Price(Decimal(1), Decimal(2))
    user_prices.save("late", price)
    with closing(Ledger(path)) as one, closing(Ledger(path)) as two:
        for _ in range(20):
            for _ in range(8):
                change(chance, chance.choice((one, two)))
            monkeypatch.setenv("PRAISON_NB_TIMEZONE", chance.choice(ZONES))
            kinds = chance.choices((turn_row, request_row), k=chance.randrange(4))
            waiting = Waiting([make(chance) for make in kinds])
            turn_id = f"turn-{chance.randrange(30)}"
            origin = Origin(user=chance.choice(USERS), notebook=chance.choice(NOTEBOOKS))
            for scope in budget.SCOPES:
                named = budget.labels_of(scope, chance.choice(SESSIONS[1:]), origin)
                since = periods.began(scope, NOW - chance.randrange(9 * 86_400))
                which = waiting, named, since, turn_id
                assert total(one.read, *which) == plain(two, *which)
        assert one.read("SELECT count(*) FROM requests WHERE state = 0 AND cost IS NOT NULL")[0][0] > 5
        before = dump(one)
        # The ledger as an older version had left it.
        for kind, name in one.read("SELECT type, name FROM sqlite_master WHERE type = 'trigger'"):
            one.change(f"DROP {kind} {name}", ())
        for table in (*TABLES, "changes_of_old_turns"):
            one.change(f"DROP TABLE {table}", ())
        one.change("PRAGMA user_version = 3", ())
    with closing(Ledger(path)) as again:
        assert dump(again) == before


def test_sums_beyond_64_bits_do_no_harm(path: Path) -> None:
    """A server may say what it wants of its costs."""
    chance = Random(0)
    most = replace(request_row(chance), labels=labels(user="ann"), state=DONE, cost=Decimal(10**9), turn="")
    turn = replace(turn_row(chance), labels=labels(user="ann"), id="", extra_cost=Decimal(0))
    with closing(sqlite3.connect(path, isolation_level=None)) as old:
        for script in MIGRATIONS[:3]:
            old.executescript(script)
        old.execute("PRAGMA user_version = 3")
    with closing(Ledger(path)) as ledger:
        ledger.write([turn, *(replace(most, id=f"{n}", started_id="") for n in range(1500))])
        assert ledger.read("SELECT spent FROM totals WHERE scope = 'user'")[0][0] >= 2**63


def test_a_kernel_of_an_older_version_that_has_the_file_open_is_counted(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as old, closing(Ledger(path)) as new:
        old.execute("PRAGMA journal_mode=WAL").fetchone()
        old.executescript(f"{';'.join(MIGRATIONS[:3])}; PRAGMA user_version = 3;")
        old.execute("INSERT INTO labels (n, user) VALUES (1, 'ann')")
        old.execute(f"INSERT INTO turns (id, {TURN}) VALUES ('t', 1, 5, {TURN_VALUES})")
        insert = f"INSERT INTO requests (id, {REQUEST}) VALUES (?, 1, 5, 1, {REQUEST_VALUES})"
        old.execute(insert, ("a",))
        assert total(new.read, Waiting(()), {"user": "ann"}, 0) == Total(100, 0, 1, 0)
        old.execute(insert, ("b",))
        old.execute("UPDATE turns SET unpriced = 1")
        assert total(new.read, Waiting(()), {"user": "ann"}, 0) == Total(200, 0, 1, 1)


def test_a_budget_is_checked_in_as_many_steps_however_many_rows_there_are(tmp_path: Path) -> None:
    steps = {count: _steps(tmp_path / f"{count}.sqlite", count) for count in (1_000, 100_000)}
    assert steps[100_000] <= steps[1_000] * 1.1


def _steps(path: Path, count: int) -> int:
    """What SQLite does to say what was spent in all scopes, in a ledger of so many turns of 40 days."""
    numbers = f"WITH RECURSIVE k(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM k WHERE n < {count})"
    begin, gap = round((NOW - 40 * 86_400) * 1e6), 40 * schema.DAY // count
    with closing(sqlite3.connect(path, isolation_level=None)) as old:
        old.executescript(f"""
            {";".join(MIGRATIONS[:3])};
            INSERT INTO labels (n, user, notebook, session_id) VALUES (1, 'ann', 'a.ipynb', 'one');
            {numbers} INSERT INTO turns (id, {TURN}) SELECT n, 1, {begin} + n * {gap}, {TURN_VALUES} FROM k;
            {numbers} INSERT INTO requests (id, {REQUEST})
                SELECT n, 1, {begin} + n * {gap}, n, {REQUEST_VALUES} FROM k;
            PRAGMA user_version = 3;
        """)
    origin = Origin(user="ann", notebook="a.ipynb")
    with closing(Ledger(path)) as ledger:
        for scope in budget.SCOPES:
            key = "a.ipynb" if scope in ("session", "notebook") else "ann"
            ledger.change(statements.PUT_LIMIT, (scope, key, 10**12))
        seen = 0

        def step() -> int:
            nonlocal seen
            seen += 1
            return 0

        ledger.connection.set_progress_handler(step, 1)
        spent = budget.read_spent(ledger.read, Waiting(()), Turn(session_id="one", id="t"), origin, NOW)
    assert [each.per for each in spent] == [*budget.SCOPES]
    assert spent[-1].usd == Decimal(count * 100) / 10**12
    return seen
