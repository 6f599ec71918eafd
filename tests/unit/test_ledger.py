"""What a turn leaves in the ledger, and what happens where it cannot be written."""

from __future__ import annotations

import getpass
import json
import logging
import math
import os
import sqlite3
import stat
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from praison_nb import LocalAgent, LocalAgentConfig, ScriptedBackend, usage
from praison_nb.errors import RateLimitError
from praison_nb.events import (
    Event,
    Notice,
    RequestFinished,
    RequestStarted,
    SessionUsage,
    TextDelta,
    TurnFinished,
)
from praison_nb.metering import schema, writer
from praison_nb.metering.ledger import Ledger, RequestRow, TurnRow
from praison_nb.metering.meter import Meter
from praison_nb.metering.session_totals import session_totals
from praison_nb.money import from_pico, to_pico
from praison_nb.notebook.widgets.sessions.rows import Row
from praison_nb.render.panel import Badge
from praison_nb.session import Status, Usage
from praison_nb.turn import Turn
from servers.openai import OpenAIServer, reply
from servers.waiting import until

SECRET = "sk-very-secret-key-0123456789"


@pytest.fixture
def path() -> Iterator[Path]:
    yield Path(os.environ["PRAISON_NB_LEDGER"])
    writer.current().close()


def rows(path: Path, table: str = "turns") -> list[dict[str, Any]]:
    """The table's rows with their labels, in the order of their time."""
    writer.current().flush()
    connection = sqlite3.connect(path)
    connection.row_factory = sqlite3.Row
    try:
        query = f"SELECT * FROM {table} t JOIN labels l ON l.n = t.label ORDER BY t.time"
        return [dict(row) for row in connection.execute(query)]
    finally:
        connection.close()


def request(number: int = 1, **more: Any) -> RequestFinished:
    usage = Usage(uncached_input_tokens=1000, cache_read_input_tokens=500, output_tokens=100)
    told = {"id": f"request-{number}", "model": "gpt-4o-mini", "provider": "openai", "usage": usage}
    return RequestFinished(**{**told, **more})


def play(*steps: Any, session: str = "main") -> Turn:
    return ScriptedBackend([*steps], model="gpt-4o-mini").begin("a prompt", session=session).wait()


def test_one_row_for_the_turn_and_one_for_each_request(path: Path) -> None:
    turn = play(
        RequestStarted(time=100.0),
        TextDelta(text="Hi", time=100.25),
        request(1, time=101.0),
        RequestStarted(time=102.0),
        request(2, time=102.5),
        session="churn",
    )
    (row,) = rows(path)
    assert turn.cost is not None
    # 2 * (1000 * 0.15 + 500 * 0.075 + 100 * 0.60) USD per million tokens
    assert turn.cost == Decimal("0.000495") == from_pico(row["cost"]) == from_pico(row["priced"])
    assert {name: row[name] for name in schema.TOKENS} == {
        "uncached_input_tokens": 2000,
        "cache_read_input_tokens": 1000,
        "cache_write_5m_input_tokens": 0,
        "cache_write_1h_input_tokens": 0,
        "output_tokens": 200,
    }
    assert row["id"] == turn.id and row["time"] == round(turn.started * 1e6)
    assert (row["requests"], row["unpriced"], row["estimated"]) == (2, 0, 0)
    assert {name: row[name] for name in schema.LABELS} == {
        "user": getpass.getuser(),
        "notebook": "",
        "cell": "",
        "session": "churn",
        "session_id": turn.session_id,
        "backend": "scripted",
        "provider": "openai",
        "model": "gpt-4o-mini",
        "cost_source": "table",
        "status": "idle",
        "stop_reason": "end_turn",
        **dict.fromkeys(("error", "service_tier", "tags", "price_source"), ""),
    }
    first, second = rows(path, "requests")
    assert (first["time"], first["duration"], first["first_text"]) == (100_000_000, 1_000_000, 250_000)
    assert (second["duration"], second["first_text"]) == (500_000, None)
    assert from_pico(first["cost"]) == Decimal("0.0002475")


def test_a_turn_has_the_service_tier_of_its_requests(path: Path) -> None:
    play(request(1, service_tier="flex"), request(2, service_tier="flex"))
    play(request(3, service_tier="flex"), request(4))
    play(request(5))
    assert [row["service_tier"] for row in rows(path)] == ["flex", "mixed", ""]
    assert {*usage().agent.by("service_tier").index} == {"flex", "mixed", ""}


def test_a_total_has_the_marks_of_its_parts(path: Path) -> None:
    play(request(1), request(2, usage=Usage(uncached_input_tokens=1000, estimated=True)), session="guessed")
    play(
        request(3), request(4, is_lower_bound=True, cost=Decimal(1), cost_source="provider"), session="least"
    )
    play(request(5), session="exact")
    found = session_totals(writer.current())
    marks = {name: (each["estimated"], each["is_lower_bound"]) for name, each in found.items()}
    (guessed, least, exact) = (row["session_id"] for row in rows(path))
    assert marks == {guessed: (True, False), least: (False, True), exact: (False, False)}
    assert session_totals(writer.current(), [exact, "another"]) == {exact: found[exact]}
    cells = [
        Row(name="n", id=id, badge=Badge(Status.IDLE), model="m", backend="b", **found[id]).cells()[6]
        for id in (guessed, least, exact)
    ]
    assert cells == ["~$0.00040", "≥ $1.0002", "$0.00025"]
    for totals in (usage.by("session"), usage.by("session", since="1d"), usage().agent.by("session")):
        told = {name: (row["estimated"] > 0, row["is_lower_bound"]) for name, row in totals.iterrows()}
        assert told == {"guessed": (True, False), "least": (False, True), "exact": (False, False)}


def test_an_event_that_is_told_twice_counts_once(path: Path) -> None:
    turn = play(RequestStarted(), request(1), request(1))
    assert len(rows(path, "requests")) == 1
    again = play(RequestStarted(), request(1))
    assert [row["id"] for row in rows(path, "requests")] == ["request-1"]
    assert {row["id"] for row in rows(path)} == {turn.id, again.id}


def test_a_failed_turn_and_an_unknown_price(path: Path) -> None:
    play(RequestStarted(), request(1), request(2, model="nobody"), RateLimitError("Too many."))
    (row,) = rows(path)
    assert (row["status"], row["stop_reason"], row["error"]) == ("error", "error", "RateLimitError")
    assert row["cost"] is None and from_pico(row["priced"]) == Decimal("0.0002475") and row["unpriced"] == 1
    assert row["cost_source"] == "unpriced"
    assert [row["cost"] for row in rows(path, "requests")] == [to_pico(Decimal("0.0002475")), None]


def test_a_stopped_turn_is_settled_when_the_provider_has_counted(
    path: Path, openai_server: OpenAIServer
) -> None:
    gate = openai_server.gate()
    steps = reply("one two three", usage=(50, 9))
    openai_server.script([*steps[:2], gate, *steps[2:]])
    agent = LocalAgent(
        config=LocalAgentConfig(model="gpt-4o-mini", base_url=openai_server.base_url, api_key=SECRET)
    )
    run = agent.begin("Hi")
    until(run, lambda turn: turn.text)
    run.stop()
    turn = run.wait()
    (row,) = rows(path)
    assert (row["status"], row["stop_reason"], row["estimated"]) == ("idle", "interrupted", 1)
    assert row["output_tokens"] == turn.usage.output_tokens > 0
    assert len(rows(path, "requests")) == 1


def test_usage_that_comes_after_the_end_changes_the_row(path: Path) -> None:
    steps = [RequestStarted(input_tokens=7), TurnFinished(), request(1), Notice(text="and so on")]
    run = ScriptedBackend(steps, model="gpt-4o-mini").begin("a prompt")
    assert run.wait().ended is not None
    # Whoever waited for the turn has gone on when this comes.
    until(run, lambda turn: turn.notices)
    (row,) = rows(path)
    assert row["uncached_input_tokens"] == 1000 and from_pico(row["cost"]) == Decimal("0.0002475")


def test_nothing_that_was_said_is_in_the_file(path: Path, openai_server: OpenAIServer) -> None:
    def look_up(word: str) -> str:
        """Look up."""
        return "the-tools-result"

    openai_server.script(reply(calls=[("look_up", json.dumps({"word": "an-argument"}))]), reply("the-answer"))
    config = LocalAgentConfig(
        model="gpt-4o-mini",
        base_url=openai_server.base_url,
        api_key=SECRET,
        tools=[look_up],
        system="the-system-prompt",
    )
    LocalAgent(config=config).begin("the-prompt").wait()
    play(request(1, model=f"a model named {SECRET}"))
    assert len(rows(path)) == 2
    writer.current().close()
    data = b"".join(file.read_bytes() for file in path.parent.glob(path.name + "*"))
    assert b"scripted-1" in data
    for said in ["the-prompt", "the-answer", "an-argument", "the-tools-result", "the-system-prompt", SECRET]:
        assert said.encode() not in data


def test_what_a_hostile_server_tells_fits(path: Path) -> None:
    play(request(1, model="x" * 10_000 + "\ud800", usage=Usage(output_tokens=10**40), provider=""))
    (row,) = rows(path)
    assert row["model"] == "x" * 300 and row["output_tokens"] == 2**53


@pytest.mark.parametrize("cost", ["100000000", "-100000000", "1e300"])
def test_a_hostile_price_costs_no_other_row(path: Path, cost: str) -> None:
    before = play(RequestStarted(), request(1))
    absurd = request(2, cost=Decimal(cost), cost_source="provider")
    turn = play(RequestStarted(), absurd, RequestStarted(), request(3))
    assert {row["id"]: row["output_tokens"] for row in rows(path)} == {before.id: 100, turn.id: 200}
    # It counts by its tokens.
    assert [row["cost"] for row in rows(path, "requests")] == [247_500_000] * 3
    assert turn.cost == Decimal("0.000495")


@pytest.mark.parametrize("broken", [{"priced": Decimal("NaN")}, {"active": math.nan}])
def test_only_the_row_that_no_ledger_takes_is_lost(
    path: Path, caplog: pytest.LogCaptureFixture, broken: dict[str, Any]
) -> None:
    book = writer.current()
    turn, asked = _rows(1)
    with caplog.at_level(logging.ERROR, logger="praison_nb"):
        book.enqueue(*_rows(0), turn, replace(turn, id="broken", **broken), asked, *_rows(2))
        book.flush()
    assert [row["id"] for row in rows(path)] == ["turn-0", "turn-1", "turn-2"]
    assert [row["id"] for row in rows(path, "requests")] == ["request-0", "request-1", "request-2"]
    assert [record.message for record in caplog.records] == ["a row could not be written to the ledger"]
    assert not book.waiting and not book.problem


def test_a_key_across_the_end_of_a_label_leaves_no_part(path: Path) -> None:
    play(request(1, model=f"{'x' * 280} {SECRET}"))
    (row,) = rows(path)
    assert row["model"] == f"{'x' * 280} [key]"


def test_only_the_user_may_read_it_and_nothing_is_lost_on_a_power_cut(path: Path) -> None:
    play(request(1))
    writer.current().flush()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    connection = writer.current().ledger.connection
    pragmas = {
        name: connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "busy_timeout", "user_version")
    }
    assert pragmas == {
        "journal_mode": "wal",
        "synchronous": 2,
        "busy_timeout": 30_000,
        "user_version": len(schema.MIGRATIONS),
    }


# Where it cannot be written


def blocked(path: Path) -> None:
    path.mkdir()


def damaged(path: Path) -> None:
    path.write_bytes(b"this is no database, and it is precious to somebody" * 100)


def newer(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version=999")
    connection.close()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [(blocked, "cannot be written"), (damaged, "is damaged, or no ledger"), (newer, "newer praison_nb")],
)
def test_a_ledger_that_cannot_be_written_never_costs_the_answer(path: Path, spoil: Any, says: str) -> None:
    spoil(path)
    before = path.read_bytes() if path.is_file() else None
    turn = play(TextDelta(text="The answer."), RequestStarted(), request(1))
    assert turn.text == "The answer." and turn.error is None and turn.cost == Decimal("0.0002475")
    (line,) = turn.notices
    assert says in line and str(path) in line and "\n" not in line
    assert " Until then the usage of 1 request waits in " in line
    # Every panel says how much it is, and nothing is overwritten.
    (line,) = play(request(2)).notices
    assert says in line and "of 2 requests waits in" in line
    assert before == (path.read_bytes() if path.is_file() else None)
    # Out of the way: what waited in memory is written too.
    path.rename(path.with_name("moved-away"))
    play(request(3))
    assert [row["id"] for row in rows(path, "requests")] == ["request-1", "request-2", "request-3"]
    assert len(rows(path)) == 3


def test_a_full_disk(path: Path) -> None:
    play(request(1))
    writer.current().flush()
    connection = writer.current().ledger.connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count={pages}")
    ledger = writer.current().ledger
    row = TurnRow(
        id="t",
        labels=tuple("x" * 5000 for _ in schema.LABELS),
        time=0,
        duration=0,
        first_text=None,
        requests=0,
        unpriced=0,
        usage=Usage(),
        cost=None,
        priced=Decimal(0),
    )
    with pytest.raises(schema.LedgerError, match="cannot grow, the disk is full: make room"):
        ledger.write([row])
    ledger.write([row])
    assert len(rows(path)) == 2


def test_only_so_many_labels_are_remembered(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("praison_nb.metering.ledger.MOST_LABELS", 3)
    ledger = Ledger(path)
    names = [f"session {number % 5}" for number in range(10)]
    for number, name in enumerate(names):
        turn = replace(_rows(number)[0], id=f"t{number}")
        place = schema.LABELS.index("session")
        ledger.write([replace(turn, labels=(*turn.labels[:place], name, *turn.labels[place + 1 :]))])
    assert len(ledger._known) <= 3
    assert [row["session"] for row in rows(path)] == names
    ledger.close()


def test_a_damaged_page_is_said_and_not_mended(path: Path) -> None:
    for number in range(200):
        writer.current().enqueue(*_rows(number))
    writer.current().close()
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(data)
    with pytest.raises(schema.LedgerError, match="is damaged"):
        Ledger(path).write(_rows(1000))
    assert path.read_bytes() == bytes(data)


def _rows(number: int) -> list[TurnRow | RequestRow]:
    labels = ("me", *("" for _ in schema.LABELS[1:]))
    usage = Usage(uncached_input_tokens=number)
    turn = TurnRow(
        id=f"turn-{number}",
        labels=labels,
        time=number,
        duration=1,
        first_text=None,
        requests=1,
        unpriced=0,
        usage=usage,
        cost=Decimal(number),
        priced=Decimal(number),
    )
    asked = RequestRow(
        id=f"request-{number}",
        labels=labels,
        turn=turn.id,
        time=number,
        duration=1,
        first_text=None,
        usage=usage,
        cost=Decimal(number),
    )
    return [turn, asked]


# Journal


MOUNTS = """/dev/vda / ext4 rw 0 0
hub:/homes /home nfs4 rw,vers=4.2 0 0
tmpfs /home/local\\040disk tmpfs rw 0 0
user@host: /mnt/ssh fuse.sshfs rw 0 0
overlay /var/overlay fuse.fuse-overlayfs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/data/ledger.sqlite", ""),
        ("/home/ann/ledger.sqlite", "nfs4"),
        ("/homes/ledger.sqlite", ""),
        ("/home/local disk/ledger.sqlite", ""),
        ("/mnt/ssh/ledger.sqlite", "fuse.sshfs"),
        ("/var/overlay/ledger.sqlite", ""),
    ],
)
def test_which_file_systems_belong_to_another_machine(path: str, kind: str) -> None:
    assert schema.network_of(Path(path), MOUNTS) == kind


def test_on_a_network_file_system_it_says_so_and_uses_a_safe_journal(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No test can mount one: what the system tells of its mounts is the only thing that is made here.
    for module in (schema, writer):
        monkeypatch.setattr(module, "network_of", lambda file: "nfs4")
    monkeypatch.setenv("PRAISON_NB_LEDGER", str(path.with_name("on-nfs.sqlite")))
    turn = play(request(1))
    (line,) = turn.notices
    assert "network file system (nfs4)" in line and "PRAISON_NB_LEDGER=… moves it" in line
    assert play(request(2)).notices == ()
    with writer.current().lock:
        (row,) = writer.current().ledger.read("PRAGMA journal_mode")
    assert row == ("delete",)
    assert len(rows(path.with_name("on-nfs.sqlite"))) == 2


# Processes


def test_after_a_fork_the_child_has_a_connection_of_its_own(path: Path) -> None:
    ledger = Ledger(path)
    ledger.write(_rows(1))
    child = os.fork()
    if not child:
        try:
            ledger.write(_rows(2))
        finally:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    ledger.write(_rows(3))
    assert len(rows(path, "requests")) == 3
    ledger.close()


def test_a_migration_runs_once_and_only_what_is_missing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Ledger(path).write(_rows(1))
    more = [*schema.MIGRATIONS, "ALTER TABLE turns ADD COLUMN extra INTEGER; CREATE TABLE later (n INTEGER);"]
    monkeypatch.setattr(schema, "MIGRATIONS", more)
    for number in (2, 3):
        ledger = Ledger(path)
        ledger.write(_rows(number))
        assert ledger.read("SELECT count(extra), count(*) FROM turns") == [(0, number)]
        assert ledger.read("PRAGMA user_version") == [(len(more),)]
        ledger.close()


def test_money_is_exact() -> None:
    for text in ["0", "0.000000000001", "123456.789", "0.075"]:
        assert from_pico(to_pico(Decimal(text))) == Decimal(text)


def test_all_events_are_metered_and_none_fails(path: Path) -> None:
    """Whatever comes, the meter keeps on: a subscriber that raises would be dropped."""
    events: list[Event] = [request(number) for number in range(30)]
    turn = play(*events)
    assert len(rows(path, "requests")) == 30 == rows(path)[0]["requests"] == len(turn.requests)


@pytest.mark.parametrize("failures", [1, 2, 1000])
def test_a_meter_that_fails_is_asked_again(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, failures: int
) -> None:
    """What it failed at once is recorded; at what it fails twice the user reads of, and the next request and
    the turn are recorded all the same."""
    left = [failures]
    real = Meter.request_row

    def fail(self: Meter, event: RequestFinished, turn: Turn) -> RequestRow:
        if left[0] and event.id == "request-1":
            left[0] -= 1
            raise ValueError("no row")
        return real(self, event, turn)

    monkeypatch.setattr(Meter, "request_row", fail)
    turn = play(request(1), request(2))
    assert len(rows(path, "requests")) == (2 if failures == 1 else 1)
    assert rows(path)[0]["requests"] == 2 and "the meter failed" in caplog.text
    lines = [line for line in turn.notices if "lacks a part of what a turn used: ValueError: no row" in line]
    assert len(lines) == (failures > 1)


@pytest.mark.parametrize("failures", [1, 2])
def test_the_end_of_a_turn_is_recorded_though_the_meter_fails(
    path: Path, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    left = [failures]
    real = Meter.turn_row

    def fail(self: Meter, turn: Turn) -> TurnRow:
        if left[0] and turn.ended is not None:
            left[0] -= 1
            raise ValueError("no row")
        return real(self, turn)

    monkeypatch.setattr(Meter, "turn_row", fail)
    play(request(1))
    assert rows(path)[0]["stop_reason"] == ("end_turn" if failures == 1 else "")
    assert len([line for line in play().notices if "ValueError: no row" in line]) == failures - 1


def test_a_relative_path_stays_where_it_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "else").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PRAISON_NB_LEDGER", "relative-ledger.sqlite")
    first = schema.default_path()
    monkeypatch.chdir(tmp_path / "else")
    assert schema.default_path() == first == tmp_path / "relative-ledger.sqlite"


@pytest.mark.parametrize("version", range(1, len(schema.MIGRATIONS)))
def test_an_older_ledger_is_brought_up_to_date(path: Path, version: int) -> None:
    """Its rows stay, and what a turn had cost beyond its requests is known from then on."""
    counts = ", ".join("0" for _ in schema.TOKENS)
    connection = sqlite3.connect(path)
    connection.executescript(schema.MIGRATIONS[0])
    connection.executescript(f"""
        INSERT INTO labels (n, user, model) VALUES (7, 'ann', 'm');
        INSERT INTO turns (n, id, label, time, duration, requests, unpriced, {", ".join(schema.TOKENS)},
            estimated, cost, priced) VALUES (3, 't', 7, 5, 1, 2, 0, {counts}, 0, 100, 100);
        INSERT INTO requests (id, label, turn, time, {", ".join(schema.TOKENS)}, estimated, cost)
            VALUES ('a', 7, 3, 5, {counts}, 0, 60), ('b', 7, 3, 6, {counts}, 0, NULL);
    """)
    connection.executescript(f"{';'.join(schema.MIGRATIONS[1:version])}; PRAGMA user_version = {version};")
    connection.close()
    turn, request_row = _rows(1)
    assert isinstance(turn, TurnRow)
    Ledger(path).write([replace(turn, elsewhere=Decimal(2)), request_row])
    first, second = rows(path)
    assert (first["elsewhere"], second["elsewhere"]) == (None, 2 * 10**12)
    assert (first["user"], first["label"], first["extra_cost"], first["process"]) == ("ann", 7, 40, "")
    assert second["extra_cost"] == 0 and second["label"] == 8
    assert [row["state"] for row in rows(path, "requests")] == [schema.DONE] * 3
    play(request(2, service_tier="flex"), request(3, service_tier="priority"))
    assert {row["service_tier"] for row in rows(path, "requests")} == {"", "flex", "priority"}


def test_a_request_is_settled_in_its_place(path: Path) -> None:
    """Its row is there from its start on; the end that comes twice, and a start that comes late, change
    nothing."""
    turn, done = _rows(1)
    assert isinstance(done, RequestRow)
    running = replace(done, id="start", state=schema.RUNNING, reserved=Decimal(5), cost=Decimal(0))
    end = replace(done, id="end", started_id="start")
    ledger = Ledger(path)

    def known() -> list[tuple[Any, ...]]:
        return ledger.read("SELECT id, n, state, reserved, cost FROM requests")

    ledger.write([turn, running])
    assert known() == [("start", 1, schema.RUNNING, 5 * 10**12, 0)]
    ledger.write([end])
    settled = [("end", 1, schema.DONE, 0, 10**12)]
    assert known() == settled
    for rows_again in ([end], [running, end], [running, replace(end, cost=Decimal(9))]):
        ledger.write(rows_again)
        assert known() == settled
    ledger.close()


def test_a_turn_under_way_has_what_its_requests_rows_have(path: Path) -> None:
    """So that one whose kernel is killed is the sum of its requests."""
    seen: list[int] = []

    def look(event: Any, turn: Turn) -> None:
        if isinstance(event, SessionUsage):
            seen.extend(row["output_tokens"] for table in ("turns", "requests") for row in rows(path, table))

    steps = [RequestStarted(input_tokens=3), TextDelta(text="x" * 400), SessionUsage(usage=Usage())]
    turn = ScriptedBackend(steps, model="gpt-4o-mini").begin("Hi", subscribers=[look]).wait()
    assert seen == [0, 0] and turn.usage.output_tokens == 100
