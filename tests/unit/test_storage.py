"""The file layer under the ledger and the store of sessions: whatever ends a step of it leaves no transaction
open, no lock held and no row lost."""

from __future__ import annotations

import asyncio
import contextlib
import dis
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

from praison_nb import storage
from praison_nb.metering import schema, writer
from praison_nb.metering.ledger import Ledger, TurnRow
from praison_nb.metering.writer import Writer
from praison_nb.session import Usage
from praison_nb.store import Store, StoredSession, StoreError, append_messages
from praison_nb.write_queue import WriteQueue


def row(number: int, **more: Any) -> TurnRow:
    values: dict[str, Any] = {
        "id": f"turn-{number}",
        "labels": ("me", *("" for _ in schema.LABELS[1:])),
        "time": number,
        "duration": 1.0,
        "first_text": None,
        "requests": 1,
        "unpriced": 0,
        "usage": Usage(output_tokens=5),
        "cost": Decimal("1.23"),
        "priced": Decimal("1.23"),
    }
    return TurnRow(**{**values, **more})


def saying(number: int) -> Callable[[sqlite3.Connection], object]:
    return append_messages("s", f"turn-{number}", [f"turn-{number}"])


class OfLedger:
    """A ledger with its queue, and what a test asks of both kinds of file."""

    item = staticmethod(row)

    def __init__(self, path: Path) -> None:
        self.path = path
        self.queue = Writer(path)

    def written(self) -> list[str]:
        return [name for (name,) in self.queue.ledger.read("SELECT id FROM turns ORDER BY n")]


class OfStore:
    item = staticmethod(saying)

    def __init__(self, path: Path) -> None:
        self.path = path
        self.queue = Store(path)

    def written(self) -> list[str]:
        return self.queue.history("s")


@pytest.fixture(params=[OfLedger, OfStore])
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def file(kind: Any, tmp_path: Path) -> Iterator[Any]:
    made = kind(tmp_path / "data" / "file.sqlite")
    yield made
    made.queue.close()


@pytest.fixture
def in_memory() -> Iterator[Path]:
    """A folder for hundreds of files, whose disk nobody waits for where the system has such a one."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        yield Path(folder)


def can_be_written(path: Path) -> bool:
    with contextlib.closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other:
        try:
            other.execute("BEGIN IMMEDIATE")
            other.execute("ROLLBACK")
        except sqlite3.OperationalError:
            return False
        return True


def is_free(queue: WriteQueue[Any]) -> bool:
    def acquire() -> bool:
        acquired = queue.lock.acquire(blocking=False)
        if acquired:
            queue.lock.release()
        return acquired

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(acquire).result()


# Interrupts

LOOKS = ("CALL", "RESUME", "JUMP_BACKWARD", "POP_JUMP_BACKWARD")
"""The instructions after which the interpreter looks whether a signal has come."""
WHERE = (
    storage.__file__,
    str(Path(schema.__file__).parent),
    str(Path(append_messages.__code__.co_filename).parent),
    contextlib.__file__,
)
"""Whose points are tried. Those of what they call and that holds nothing are thousands, and between these."""


def interrupt(work: Callable[[], object], at: int) -> BaseException | None:
    """`work()`, interrupted at the point `at` of all at which that can happen; None where it has fewer."""
    names: dict[CodeType, list[str]] = {}
    before: dict[FrameType, str] = {}
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        if not frame.f_code.co_filename.startswith(WHERE):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode":
            code = frame.f_code
            if code not in names:
                names[code] = [dis.opname[byte] for byte in code.co_code]
            count += before.get(frame, "").startswith(LOOKS)
            before[frame] = names[code][frame.f_lasti]
            if count == at:
                sys.settrace(None)
                raise KeyboardInterrupt
        return trace

    usual = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    except KeyboardInterrupt as error:
        # Whoever keeps it, as a notebook does, keeps all frames that it came through.
        return error
    finally:
        sys.settrace(usual)
    return None


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.parametrize("is_new", [True, False], ids=["a new file", "a file that is there"])
@pytest.mark.parametrize("step", [9, pytest.param(1, marks=pytest.mark.slow)])
def test_an_interrupt_at_any_point_loses_nothing_and_holds_nothing(
    kind: Any, in_memory: Path, is_new: bool, step: int
) -> None:
    at, error = 0, None
    while at == 0 or error is not None:
        at += step
        file = kind(in_memory / f"{at if is_new else 0}.sqlite")
        first = 2 if is_new else 2 * at
        file.queue.waiting.extend([file.item(first), file.item(first + 1)])
        error = interrupt(file.queue.flush, at)
        if file.path.exists():
            assert can_be_written(file.path), f"locked after an interrupt at {at}"
        assert is_free(file.queue), f"the queue is locked after an interrupt at {at}"
        file.queue.flush()
        assert not file.queue.problem
        assert file.written()[-2:] == [f"turn-{first}", f"turn-{first + 1}"] and not file.queue.waiting
        file.queue.close()
    assert at > 30


@pytest.mark.skipif(os.name == "nt", reason="Windows interrupts otherwise")
def test_an_interrupt_while_another_process_writes(file: Any) -> None:
    file.queue.waiting.append(file.item(1))
    file.queue.flush()
    file.queue.close()
    file.queue.waiting.append(file.item(2))
    other = sqlite3.connect(file.path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    main, is_over = threading.get_ident(), threading.Event()

    def press_stop() -> None:
        # Once it waits for the file, inside SQLite.
        while sys._current_frames()[main].f_code is not storage.transact.__code__ and not is_over.wait(0.001):
            pass
        os.kill(os.getpid(), signal.SIGINT)
        other.execute("ROLLBACK")

    thread = threading.Thread(target=press_stop)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            file.queue.flush()
    finally:
        is_over.set()
        thread.join()
    other.close()
    assert len(file.queue.waiting) == 1 and can_be_written(file.path) and is_free(file.queue)
    file.queue.flush()
    assert file.written() == ["turn-1", "turn-2"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, MemoryError, GeneratorExit])
def test_whatever_ends_a_change_is_raised_and_undoes_it(tmp_path: Path, error: type[BaseException]) -> None:
    kept, is_broken = Store(tmp_path / "s.sqlite"), True

    def change(connection: sqlite3.Connection) -> None:
        saying(2)(connection)
        if is_broken:
            raise error

    kept.waiting.extend([saying(1), change, saying(3)])
    raised = StoreError if error is MemoryError else error
    with pytest.raises(raised):
        kept.change(lambda connection: None)
    assert kept.history("s") == [] and len(kept.waiting) == 3 and can_be_written(kept.path)
    is_broken = False
    assert kept.flush() and kept.history("s") == ["turn-1", "turn-2", "turn-3"]


# Rows


@pytest.mark.parametrize(
    "broken",
    [
        {"id": "\ud800"},
        {"id": object()},
        {"id": None},
        {"requests": 2**80},
        {"duration": None},
        {"labels": ("too few",)},
    ],
    ids=["half a character", "an object", "nothing", "a huge number", "no duration", "too few labels"],
)
def test_a_row_that_sqlite_refuses_costs_no_other(tmp_path: Path, broken: dict[str, Any]) -> None:
    file = OfLedger(tmp_path / "l.sqlite")
    rows = [row(number) for number in range(20)]
    file.queue.waiting.extend([*rows[:7], row(99, **broken), *rows[7:]])
    file.queue.flush()
    assert file.written() == [f"turn-{number}" for number in range(20)]
    assert not file.queue.waiting and not file.queue.problem
    file.queue.close()


@pytest.mark.parametrize(
    "statement",
    [
        ("INSERT INTO deleted VALUES (?)", ("\ud800",)),
        ("INSERT INTO deleted VALUES (?)", (2**80,)),
        ("INSERT INTO deleted VALUES (?)", (object(),)),
        ("INSERT INTO deleted VALUES (?)", ()),
        ("INSERT INTO history VALUES (1, 's', NULL, NULL)", ()),
    ],
    ids=["half a character", "a huge number", "an object", "too few values", "nothing"],
)
def test_a_change_that_sqlite_refuses_costs_no_other(tmp_path: Path, statement: Any) -> None:
    kept = Store(tmp_path / "s.sqlite")
    kept.waiting.extend([saying(1), lambda connection: connection.execute(*statement), saying(2)])
    assert kept.flush() and kept.history("s") == ["turn-1", "turn-2"]
    # Who makes it here and now is told.
    with pytest.raises(StoreError) as caught:
        kept.change(lambda connection: connection.execute(*statement))
    assert "\n" not in str(caught.value) and kept.check() == ""


def test_a_table_that_is_not_there_is_the_files_fault(tmp_path: Path) -> None:
    """And no reason to leave rows out."""
    file = OfLedger(tmp_path / "l.sqlite")
    file.queue.ledger.change("ALTER TABLE turns RENAME TO elsewhere", ())
    file.queue.waiting.extend([row(1), row(2)])
    file.queue.flush()
    assert "no such table" in file.queue.problem and len(file.queue.waiting) == 2
    file.queue.ledger.change("ALTER TABLE elsewhere RENAME TO turns", ())
    file.queue.flush()
    assert file.written() == ["turn-1", "turn-2"] and not file.queue.problem
    file.queue.close()


def test_a_full_disk_keeps_what_waits(tmp_path: Path) -> None:
    kept = Store(tmp_path / "s.sqlite")
    kept.put(StoredSession(id="1", name="n"))

    def fill(connection: sqlite3.Connection) -> None:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        if is_full:
            connection.execute(f"PRAGMA max_page_count={pages}")

    is_full = True
    kept.waiting.extend([saying(1), fill, append_messages("s", "long", ["long " * 10_000]), saying(2)])
    assert not kept.flush() and "the disk is full: make room" in kept.problem
    assert len(kept.waiting) == 4 and kept.history("s") == [] and can_be_written(kept.path)
    is_full = False
    assert kept.flush() and kept.problem == "" and len(kept.history("s")) == 3


# The file


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root writes everything")
def test_a_file_that_may_not_be_written_keeps_what_waits(file: Any) -> None:
    file.queue.waiting.append(file.item(1))
    file.queue.flush()
    file.queue.close()
    file.path.chmod(0o400)
    file.queue.waiting.append(file.item(2))
    file.queue.flush()
    assert "Permission denied): make it writable" in file.queue.problem and len(file.queue.waiting) == 1
    file.path.chmod(0o600)
    file.queue.flush()
    assert file.written() == ["turn-1", "turn-2"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_a_file_behind_a_link_is_its_users_too(kind: Any, tmp_path: Path) -> None:
    (tmp_path / "file.sqlite").symlink_to(tmp_path / "elsewhere.sqlite")
    file = kind(tmp_path / "file.sqlite")
    file.queue.waiting.append(file.item(1))
    file.queue.flush()
    assert file.written() == ["turn-1"]
    assert stat.S_IMODE((tmp_path / "elsewhere.sqlite").stat().st_mode) == 0o600
    file.queue.close()


def test_to_open_it_ends_no_other_threads_transaction(tmp_path: Path) -> None:
    kept = Store(tmp_path / "s.sqlite")
    kept.put(StoredSession(id="1", name="n"))
    code = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')"
    tried: list[str] = []

    def change(connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE sessions SET title='ours'")
        with ThreadPoolExecutor(1) as pool:
            assert [each.title for each in pool.submit(kept.all).result()] == [""]
        command = [sys.executable, "-c", code, str(kept.path)]
        tried.append(subprocess.run(command, capture_output=True, text=True).stderr)

    kept.change(change)
    assert "database is locked" in tried[0] and kept.all()[0].title == "ours"


def test_a_newer_process_that_is_faster_is_not_set_back(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    connection = schema.connect(path)
    connection.execute(f"PRAGMA user_version={len(schema.MIGRATIONS) + 1}")
    # It was read before that.
    storage.transact(connection, lambda connection: storage._migrate(schema.MIGRATIONS, connection))
    assert connection.execute("PRAGMA user_version").fetchone() == (len(schema.MIGRATIONS) + 1,)
    connection.close()


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    Ledger(path).write([row(1)])
    more = [*schema.MIGRATIONS, "CREATE TABLE half (n INTEGER); CREATE TABLE turns (n INTEGER);"]
    with pytest.raises(schema.LedgerError, match="table turns already exists"):
        storage.connect(path, schema.LEDGER, more, 1.0)
    ledger = Ledger(path)
    assert ledger.read("PRAGMA user_version") == [(len(schema.MIGRATIONS),)]
    assert ledger.read("SELECT name FROM sqlite_master WHERE name='half'") == []
    ledger.close()


# The queue


async def test_a_thread_that_dies_is_not_the_last(caplog: pytest.LogCaptureFixture) -> None:
    ends: list[BaseException] = [SystemExit(), RuntimeError("no"), MemoryError()]
    written: list[int] = []

    def flush() -> None:
        if ends:
            raise ends.pop()
        queue.drain(written.extend)

    queue = WriteQueue[int](Path("f"), schema.LEDGER, flush)
    for number in range(4):
        queue.enqueue(number)
        while queue.task is not None:
            await asyncio.wait({queue.task})
    assert written == [0, 1, 2, 3] and not queue.waiting
    assert [record.message for record in caplog.records] == ["the ledger could not be written"] * 3


def test_what_could_not_be_written_goes_to_the_file_that_is_named_instead(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.sqlite"
    broken.mkdir()
    monkeypatch.setenv("PRAISON_NB_LEDGER", str(broken))
    writer.current().waiting.append(row(1))
    writer.current().flush()
    assert "set PRAISON_NB_LEDGER to another file" in writer.current().problem
    monkeypatch.setenv("PRAISON_NB_LEDGER", str(tmp_path / "good.sqlite"))
    writer.current().flush()
    assert writer.current().ledger.read("SELECT id FROM turns") == [("turn-1",)]
    writer.current().close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only where there are forks")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_child_neither_waits_for_its_parents_threads_nor_writes_their_rows() -> None:
    book = writer.current()
    book.waiting.append(row(1))
    book.flush()
    book.waiting.append(row(2))
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with book.lock:
            held.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    child = os.fork()
    if not child:
        try:
            signal.alarm(20)
            own = writer.current()
            own.waiting.append(row(3))
            own.flush()
            own.close()
            os._exit(0 if own is not book and own.ledger.read("SELECT count(*) FROM turns") == [(2,)] else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    done.set()
    thread.join()
    book.flush()
    assert book.ledger.read("SELECT id FROM turns ORDER BY n") == [("turn-1",), ("turn-3",), ("turn-2",)]
    book.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only where there are forks")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_fork_waits_while_the_ledger_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("praison_nb.write_queue.FORK_SECONDS", 60.0)
    book = writer.current()
    write, is_writing = book.ledger.write, threading.Lock()
    begun, go_on = threading.Event(), threading.Event()

    def slow_write(*args: Any, **kwargs: Any) -> None:
        with is_writing:
            begun.set()
            go_on.wait()
            write(*args, **kwargs)

    monkeypatch.setattr(book.ledger, "write", slow_write)
    book.waiting.append(row(1))
    thread = threading.Thread(target=book.flush)
    thread.start()
    begun.wait()
    threading.Timer(0.3, go_on.set).start()
    child = os.fork()
    if not child:
        os._exit(is_writing.locked())
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    thread.join()
    with ThreadPoolExecutor() as pool:
        pool.submit(book.with_lock, 60, lambda: None, StoreError("it is not let go of")).result()
    assert book.ledger.read("SELECT id FROM turns") == [("turn-1",)]
    book.close()


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.json"
    with storage.replacing(path, 0o600) as new:
        new.write(b"one")
        assert not path.exists()
    assert path.read_bytes() == b"one" and stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(KeyboardInterrupt), storage.replacing(path) as new:
        new.write(b"tw")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"one" and list(path.parent.iterdir()) == [path]
