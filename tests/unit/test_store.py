"""The store of sessions: its file, its rows, and what happens when it cannot be used."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from praison_nb import process, store
from praison_nb.session import Status
from praison_nb.store import Store, StoredSession, StoreError, append_messages, file, sessions, upsert_session
from praison_nb.store.file import MIGRATIONS
from stored import stored_bytes


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "data" / "sessions.sqlite")
    yield made
    made.close()


def test_a_session_comes_back_as_it_was(kept: Store) -> None:
    session = StoredSession(
        id="local-1",
        name="research",
        notebook="/home/a/or_like_a_key ä.ipynb",
        backend="local",
        asked_for="local",
        model="gpt-4o-mini",
        options={"model": "gpt-4o-mini", "max_turns": 3},
        ids={"session_id": "local-1"},
        title="On churn",
        status=Status.ERROR,
        process="p",
        turn={"id": "t", "started": 1.5},
    )
    kept.put(session)
    assert kept.all() == [session] and kept.current("/home/a/or_like_a_key ä.ipynb", "research") == session
    assert kept.current("", "research") is None


def test_the_newest_session_of_a_name_is_the_current_one(kept: Store) -> None:
    kept.put(StoredSession(id="1", name="main", created=1, last_used=1))
    kept.put(StoredSession(id="2", name="main", created=2, last_used=2))
    kept.put(StoredSession(id="3", name="main", notebook="other.ipynb"))
    # The end of a turn that was left behind comes late.
    kept.put(StoredSession(id="1", name="main", created=9, last_used=9, is_current=False))
    current = kept.current("", "main")
    assert current and current.id == "2"
    assert {each.id: each.created for each in kept.all() if each.notebook == ""} == {"1": 1, "2": 2}
    kept.leave("", "main")
    assert kept.current("", "main") is None and kept.current("other.ipynb", "main") is not None


def test_rename_archive_forget(kept: Store) -> None:
    session = StoredSession(id="1", name="old")
    kept.put(session)
    kept.put(StoredSession(id="1", name="same elsewhere", notebook="b.ipynb"))
    kept.change(append_messages("1", "t1", [{"role": "user", "content": "Hi"}]))
    kept.rename(session, "new")
    assert kept.current("", "old") is None
    renamed = kept.current("", "new")
    assert renamed and renamed.id == "1"
    kept.archive("1")
    assert kept.current("", "new") is None and all(each.is_archived for each in kept.all())
    kept.forget("1")
    assert kept.all() == [] and kept.history("1") == []


def test_history_has_each_turn_once_and_in_order(kept: Store) -> None:
    first, second = [{"role": "user", "content": "one"}], [{"role": "user", "content": "\ud800 two"}]
    for turn, messages in (("t1", first), ("t2", second), ("t1", first)):
        kept.change(append_messages("1", turn, messages))
    assert kept.history("1") == first + second and kept.history("2") == []


def test_keys_stay_out_and_calls_stay_json(kept: Store) -> None:
    key = "sk-abcdefgh12345678"
    call = {"function": {"name": "get", "arguments": f'{{"header": "Bearer {key}"}}'}}
    kept.change(
        append_messages("1", "t", [{"role": "user", "content": f"use {key}"}, {"tool_calls": [call]}])
    )
    kept.put(StoredSession(id="1", name="n", turn={"prompt": f"use {key}"}, options={"system": key}))
    assert key.encode() not in stored_bytes(kept.path)
    said, called = kept.history("1")
    assert said["content"] == "use [key]"
    assert called["tool_calls"][0]["function"]["arguments"] == '{"header": "Bearer [key]"}'


def test_what_is_forgotten_is_gone_from_the_file(kept: Store) -> None:
    kept.change(append_messages("1", "t", [{"role": "user", "content": "unforgettable " * 2000}]))
    assert b"unforgettable" in stored_bytes(kept.path)
    kept.forget("1")
    assert b"unforgettable" not in stored_bytes(kept.path)
    kept.close()
    assert [path.name for path in kept.path.parent.iterdir()] == ["sessions.sqlite"]


def test_what_is_forgotten_while_another_reads_is_gone_with_the_next_change(
    kept: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "PATIENCE_SECONDS", 0.01)
    kept.put(StoredSession(id="1", name="n"))
    kept.change(append_messages("1", "t", [{"role": "user", "content": "unforgettable " * 2000}]))
    with closing(sqlite3.connect(kept.path, isolation_level=None)) as other:
        other.execute("BEGIN")
        other.execute("SELECT * FROM history").fetchall()
        kept.forget("1")
        assert kept.all() == [] and b"unforgettable" in stored_bytes(kept.path)
    kept.put(StoredSession(id="2", name="n"))
    assert b"unforgettable" not in stored_bytes(kept.path)


def test_a_file_that_was_moved_away_is_whole_and_another_is_begun(kept: Store) -> None:
    kept.put(StoredSession(id="1", name="n"))
    moved = kept.path.with_name("moved.sqlite")
    kept.path.rename(moved)
    kept.put(StoredSession(id="2", name="n"))
    assert [each.id for each in kept.all()] == ["2"]
    assert [each.id for each in Store(moved).all()] == ["1"]
    kept.path.unlink()
    kept.put(StoredSession(id="3", name="n"))
    assert [each.id for each in kept.all()] == ["3"]


@pytest.mark.parametrize(("network", "journal"), [("", "wal"), ("nfs4", "delete")])
def test_how_it_is_written(kept: Store, monkeypatch: pytest.MonkeyPatch, network: str, journal: str) -> None:
    # No test can mount one: what the system tells of its mounts is the only thing that is made here.
    monkeypatch.setattr(file, "network_of", lambda path: network)
    found: list[tuple[Any, ...]] = []

    def look(connection: sqlite3.Connection) -> None:
        names = ("journal_mode", "synchronous", "secure_delete")
        found.append(
            (id(connection), *(connection.execute(f"PRAGMA {each}").fetchone()[0] for each in names))
        )

    for _ in range(2):
        kept.change(look)
    # Each change is on the disk when it is made, through the same connection.
    assert found == [(found[0][0], journal, 2, 1)] * 2


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_only_its_user_reads_it(kept: Store) -> None:
    kept.put(StoredSession(id="1", name="n"))
    assert stat.S_IMODE(kept.path.stat().st_mode) == 0o600


def test_a_damaged_file_is_one_line_and_left_as_it_is(kept: Store) -> None:
    kept.path.parent.mkdir()
    kept.path.write_bytes(b"no database " * 100)
    for use in (kept.all, lambda: kept.put(StoredSession(id="1", name="n")), lambda: kept.history("1")):
        with pytest.raises(StoreError, match="is damaged, or no store: move it away") as caught:
            use()
        assert "\n" not in str(caught.value)
    assert kept.path.read_bytes() == b"no database " * 100


def test_a_damaged_row_is_one_line(kept: Store) -> None:
    kept.put(StoredSession(id="1", name="n"))
    kept.change(lambda connection: connection.execute("UPDATE sessions SET ids='{'"))
    with pytest.raises(StoreError, match="is damaged"):
        kept.all()


def test_a_newer_file_is_left_as_it_is(kept: Store) -> None:
    kept.put(StoredSession(id="1", name="n"))
    connection = sqlite3.connect(kept.path)
    connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(StoreError, match="written by a newer praison_nb"):
        kept.all()


def test_what_cannot_be_written_waits_and_is_told_once(kept: Store) -> None:
    kept.path.parent.write_text("a file where the folder should be")
    kept.waiting.append(upsert_session(StoredSession(id="1", name="n")))
    kept.flush()
    line = kept.check()
    assert "cannot be used (" in line and "PRAISON_NB_SESSIONS" in line
    assert kept.check() == ""
    kept.path.parent.unlink()
    assert kept.check() == ""
    assert [each.id for each in kept.all()] == ["1"]
    # It is told again when it happens again.
    kept.path.unlink()
    kept.path.mkdir()
    assert kept.check() != ""


WRITER = """
import sys
from pathlib import Path
from praison_nb.store import Store, StoredSession, append_messages
kept = Store(Path(sys.argv[1]))
for number in range(40):
    kept.change(append_messages("shared", f"{sys.argv[2]}-{number}", [f"{sys.argv[2]}-{number}"]))
    kept.put(StoredSession(id="shared", name="n"))
"""


def test_processes_and_threads_at_once_lose_nothing(kept: Store) -> None:
    command = [sys.executable, "-c", WRITER, str(kept.path)]
    writers = [subprocess.Popen([*command, str(n)], stderr=subprocess.PIPE, text=True) for n in range(3)]
    threads = [
        threading.Thread(
            target=kept.change, args=(append_messages("shared", f"thread-{n}", [f"thread-{n}"]),)
        )
        for n in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [writer.communicate()[1] for writer in writers] == ["", "", ""]
    expected = {f"{writer}-{n}" for writer in range(3) for n in range(40)} | {
        f"thread-{n}" for n in range(10)
    }
    history = kept.history("shared")
    assert len(history) == len(expected) and set(history) == expected
    ours = [each for each in history if each.startswith("1-")]
    assert ours == [f"1-{n}" for n in range(40)] and len(kept.all()) == 1


def test_a_process_is_known_to_be_alive_or_not() -> None:
    code = "from praison_nb import store; print(store.this_process(), flush=True); input()"
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout and child.stdin
    name = child.stdout.readline().strip()
    assert store.is_alive(name) and Path(name).exists()
    child.kill()
    child.communicate()
    assert not store.is_alive(name) and not Path(name).exists()
    assert store.is_alive(store.this_process()) and not store.is_alive("")


def test_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert store.default_path() == tmp_path / "sessions.sqlite"
    monkeypatch.setenv("PRAISON_NB_SESSIONS", str(tmp_path / "other.sqlite"))
    assert store.current().path == tmp_path / "other.sqlite"


def test_a_session_that_learns_its_id_late_is_there_once(kept: Store) -> None:
    turn = {"id": "t", "started": 100.0}
    running = {"name": "main", "status": Status.RUNNING, "turn": turn}
    # Begun with this turn, under an id that was never the true one; and one with turns before this one.
    kept.put(StoredSession(id="for the time being", created=101.0, **running))
    kept.put(StoredSession(id="true", created=102.0, **running))
    assert [each.id for each in kept.all()] == ["true"]
    kept.put(StoredSession(id="true", name="main"))
    kept.put(StoredSession(id="true", name="main", status=Status.RUNNING, turn={"id": "u", "started": 200.0}))
    kept.put(
        StoredSession(id="another", name="main", status=Status.RUNNING, turn={"id": "u", "started": 200.0})
    )
    assert {each.id: each.status for each in kept.all()} == {"true": Status.IDLE, "another": Status.RUNNING}


# What another kernel knows nothing of


def test_what_was_deleted_stays_away(kept: Store) -> None:
    session = StoredSession(id="1", name="w")
    kept.put(session)
    kept.forget("1")
    # A turn in another kernel goes on, and ends.
    kept.put(session)
    kept.put(StoredSession(id="1", name="w", notebook="b.ipynb"))
    kept.change(append_messages("1", "t", [{"role": "user", "content": "Hi"}]))
    assert kept.all() == [] and kept.history("1") == []
    kept.resume(session)
    kept.change(append_messages("1", "t", [{"role": "user", "content": "Hi"}]))
    assert kept.all() == [session] and len(kept.history("1")) == 1


def test_what_was_archived_stays_so_until_it_is_resumed(kept: Store) -> None:
    session = StoredSession(id="1", name="w")
    kept.put(session)
    kept.archive("1")
    kept.put(StoredSession(id="2", name="w"))
    kept.put(session)
    current = kept.current("", "w")
    assert current and current.id == "2"
    assert {each.id: each.is_archived for each in kept.all()} == {"1": True, "2": False}
    kept.resume(session)
    assert kept.current("", "w") == session
    assert {each.id: each.is_current for each in kept.all()} == {"1": True, "2": False}


def test_a_name_is_changed_by_renaming_only(kept: Store) -> None:
    session = StoredSession(id="1", name="old")
    kept.put(session)
    kept.rename(session, "new")
    kept.put(StoredSession(id="2", name="old"))
    # The next turn in a kernel that has it under the old name.
    kept.put(session)
    assert {each.id: (each.name, each.is_current) for each in kept.all()} == {
        "1": ("new", True),
        "2": ("old", True),
    }


def test_a_summary_is_of_the_notebook_that_used_the_session_last(kept: Store) -> None:
    for notebook, used, archived in (("a", 3, False), ("b", 5, False), ("c", 5, False), ("d", 9, True)):
        named = StoredSession(
            id="1", name=notebook, notebook=notebook, last_used=used, is_archived=archived, is_current=False
        )
        kept.put(named)
    kept.put(StoredSession(id="2", name="n", last_used=4))
    assert [(each.id, each.name) for each in kept.summaries()] == [("1", "c"), ("2", "n")]
    assert [each.name for each in kept.summaries(archived=True)] == ["d", "n"]
    assert [each.name for each in kept.summaries(most=1)] == ["c"]
    assert kept.count() == kept.count(archived=True) == 2


def test_the_newest_of_many_sessions_are_read_without_the_others(
    kept: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    def connect(path: Path) -> sqlite3.Connection:
        connection = file.storage.connect(path, file.STORE, MIGRATIONS, 1.0)
        connection.set_progress_handler(step, 1)
        return connection

    def steps_of(count: int) -> int:
        nonlocal steps
        many = [upsert_session(StoredSession(id=f"{n}", name=f"{n}", last_used=n)) for n in range(count)]
        kept.change(lambda connection: [each(connection) for each in many])
        steps = 0
        assert len(kept.summaries(most=10)) == 10
        return steps

    monkeypatch.setattr(file, "connect", connect)
    few = steps_of(20)
    assert few > 0 and steps_of(500) == few


def test_an_older_store_is_brought_up_to_date(kept: Store) -> None:
    kept.path.parent.mkdir()
    connection = sqlite3.connect(kept.path)
    connection.executescript(f"{MIGRATIONS[0]}; PRAGMA user_version=1")
    row = "('1', 'a.ipynb', ?, 'local', 'local', 'm', '{}', '{}', 'T', 1, ?, 'idle', '', '{}', 1, 0)"
    for name, used in (("new", 3), ("old", 2)):
        connection.execute(f"INSERT INTO sessions VALUES {row}", (name, used))
    connection.execute("INSERT INTO history VALUES (1, '1', 't', '[\"said\"]')")
    connection.commit()
    connection.close()
    assert [(each.name, each.last_used, each.title) for each in kept.all()] == [("new", 3, "T")]
    assert kept.history("1") == ["said"]


# A file that is damaged, or held by others


@pytest.mark.parametrize("damage", ["{bad", "5", "null", '"text"'])
def test_damaged_history_is_one_line_and_leaves_no_lock(kept: Store, damage: str) -> None:
    for turn in ("t1", "t2", "t3"):
        kept.change(append_messages("1", turn, [{"role": "user", "content": "Hi"}]))
    kept.change(lambda connection: connection.execute("UPDATE history SET messages=? WHERE n=1", (damage,)))
    with pytest.raises(StoreError, match="What was said in 1 is damaged") as caught:
        kept.history("1")
    # The error still holds on to where it was raised.
    Store(kept.path).put(StoredSession(id="2", name="n"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("column", ["options", "ids", "turn"])
def test_a_damaged_session_stops_no_other(kept: Store, column: str) -> None:
    kept.put(StoredSession(id="1", name="n"))
    other = StoredSession(id="2", name="m", status=Status.RUNNING, turn={"id": "t", "started": 1.0})
    for damage in ("[]", "{bad"):
        change = f"UPDATE sessions SET {column}='{damage}' WHERE id='1'"
        kept.change(lambda connection, change=change: connection.execute(change))
        with pytest.raises(StoreError, match="is damaged") as caught:
            kept.current("", "n")
        Store(kept.path).put(other)
        assert kept.current("", "m") == other and "\n" not in str(caught.value)


async def test_a_locked_file_is_waited_for_once_and_by_one_thread(
    kept: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.put(StoredSession(id="1", name="n"))
    begun: list[asyncio.Future[None]] = []
    loop = asyncio.get_running_loop()
    pool = loop.run_in_executor

    def begin(*job: Any) -> asyncio.Future[None]:
        begun.append(pool(*job))
        return begun[-1]

    monkeypatch.setattr(loop, "run_in_executor", begin)
    other = sqlite3.connect(kept.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for number in range(9):
        kept.enqueue(append_messages("1", str(number), [str(number)]))
    started = time.monotonic()
    assert "is locked by another process" in kept.check() and kept.check() == ""
    kept.leave("", "n")
    assert time.monotonic() - started < 3.5
    other.execute("ROLLBACK")
    other.close()
    await asyncio.gather(*begun)
    assert len(begun) == 1 and kept.history("1") == [str(number) for number in range(9)]
    assert kept.check() == "" and kept.problem == "" and kept.current("", "n") is None


def test_a_relative_path_stays_where_it_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PRAISON_NB_SESSIONS", "relative.sqlite")
    before = store.current()
    monkeypatch.chdir("sub")
    assert store.current() is before and before.path == tmp_path / "relative.sqlite"


def test_what_no_store_takes_stops_nothing_else(kept: Store) -> None:
    def half(connection: sqlite3.Connection) -> None:
        upsert_session(StoredSession(id="half", name="n"))(connection)
        raise RuntimeError("no")

    kept.waiting.extend(
        [
            upsert_session(StoredSession(id="1", name="n")),
            half,
            upsert_session(StoredSession(id="2", name="m")),
        ]
    )
    assert kept.flush() and {each.id for each in kept.all()} == {"1", "2"} and not kept.waiting


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only where there are forks")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_child_has_a_name_though_a_thread_of_its_parents_was_finding_its_own() -> None:
    mine = store.this_process()
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with process._lock:
            held.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    child = os.fork()
    if not child:
        try:
            signal.alarm(20)
            own = store.this_process()
            os._exit(0 if own and own != mine and process.is_alive(mine) else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    done.set()
    thread.join()
