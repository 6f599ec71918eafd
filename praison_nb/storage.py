"""A SQLite file of the package, and the queue before it: how it is opened, brought up to date, written and
explained. The ledger and the store of sessions stand on it.

Whatever ends a step of it, an interrupt too, leaves no transaction open and no lock held, and what was to be
written in the queue.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import logging
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NoReturn, TypeVar

from .errors import PraisonError

log = logging.getLogger(__name__)
T = TypeVar("T")
R = TypeVar("R")
Q = TypeVar("Q", bound="WriteQueue[Any]")

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
# What SQLite raises where the file is in order and a row is not.
_REFUSED = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.ProgrammingError, sqlite3.InterfaceError)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseSpec:
    """A database file, and the words of its error messages: its `name`, the environment `variable` that names
    another file, the `error` that is raised, what it `cannot_be` ("written"), the reason `when_busy`, and the
    `consequence` for the user. `pragma` is set at each connection."""

    name: str
    variable: str
    error: type[PraisonError]
    pragma: str
    cannot_be: str
    when_busy: str
    consequence: str = ""

    def explain(self, error: BaseException, path: Path) -> PraisonError:
        """What went wrong with the file in one line that says what to do."""
        if isinstance(error, self.error):
            return error
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _DAMAGED or isinstance(error, ValueError):
            why = f"is damaged, or no {self.name.split()[0]}: move it away and a new one is begun"
        elif code == sqlite3.SQLITE_FULL:
            why = "cannot grow, the disk is full: make room"
        elif code in BUSY:
            why = self.when_busy
        else:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            another = f"make it writable, or set {self.variable} to another file"
            why = f"cannot be {self.cannot_be} ({reason}): {another}"
        return self.failure(path, why)

    def failure(self, path: Path, why: str) -> PraisonError:
        """The error of a file of which `why` is true."""
        return self.error(f"The {self.name} {path} {why}.{self.consequence}")

    def reraise(self, error: BaseException, path: Path) -> NoReturn:
        """Raise `error`, explained where the file is at fault and not what was to be written."""
        if isinstance(error, OSError | MemoryError | sqlite3.Error) and not isinstance(error, _REFUSED):
            raise self.explain(error, path) from error
        raise error


def connect(
    path: Path, spec: DatabaseSpec, migrations: Sequence[str], timeout: float, journal: str = ""
) -> sqlite3.Connection:
    """The file at `path`, made where there is none, brought up to date where it is older. Another process may
    hold it for `timeout` seconds. `journal` is the mode of its journal, "" for SQLite's own. Whoever gets the
    connection may use it from any thread, one at a time. Raises `spec.error`."""
    connection: sqlite3.Connection | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _create(path)
        connection = sqlite3.connect(path, timeout=timeout, isolation_level=None, check_same_thread=False)
        connection.execute(f"PRAGMA {spec.pragma}").fetchone()
        if (version := _version(connection)) > len(migrations):
            raise newer(path, spec)
        if journal:
            _set_journal(connection, journal, timeout)
        if version < len(migrations):
            transact(connection, functools.partial(_migrate, migrations))
    except BaseException as error:
        if connection is not None:
            connection.close()
        spec.reraise(error, path)
    return connection


def _create(path: Path) -> None:
    """Make the file for its user's eyes only; SQLite's side files take the same mode."""
    target = os.path.realpath(path)
    try:
        os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        # It is not opened to see whether that can be done: to close it again would end all locks that this
        # process has on it (POSIX), in the middle of another thread's transaction.
        code = errno.EISDIR if os.path.isdir(target) else errno.EACCES
        if code == errno.EISDIR or not os.access(target, os.R_OK | os.W_OK):
            raise OSError(code, os.strerror(code)) from None


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def _migrate(migrations: Sequence[str], connection: sqlite3.Connection) -> None:
    """Run the numbered scripts that the file lacks. Its user_version counts them."""
    # Another process may have been faster, and newer.
    if (version := _version(connection)) < len(migrations):
        for script in migrations[version:]:
            for statement in filter(str.strip, script.split(";")):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version={len(migrations)}")


def _set_journal(connection: sqlite3.Connection, mode: str, timeout: float) -> None:
    """Change the journal's mode where it is another; while others use the file SQLite refuses at once
    instead of waiting, so the waiting is done here."""
    until = time.monotonic() + timeout
    while True:
        try:
            if connection.execute("PRAGMA journal_mode").fetchone()[0] != mode:
                connection.execute(f"PRAGMA journal_mode={mode}").fetchone()
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in BUSY or time.monotonic() > until:
                raise
            time.sleep(0.01)


def connect_to_read(
    path: Path, spec: DatabaseSpec, migrations: Sequence[str], timeout: float
) -> sqlite3.Connection:
    """The file at `path`, which may only be read; of an older one a copy in memory, brought up to date.
    Raises `spec.error`."""
    connection: sqlite3.Connection | None = None
    try:
        for how in ("mode=ro", "immutable=1"):
            # Without its side files it can be read only where nobody writes it.
            uri = f"{path.absolute().as_uri()}?{how}"
            try:
                connection = sqlite3.connect(
                    uri, uri=True, timeout=timeout, isolation_level=None, check_same_thread=False
                )
                version = _version(connection)
                break
            except sqlite3.OperationalError:
                if connection is not None:
                    connection.close()
                if how == "immutable=1" or os.path.exists(f"{path}-wal"):
                    raise
        assert connection is not None
        if version > len(migrations):
            raise newer(path, spec)
        if version < len(migrations):
            copy = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
            connection.backup(copy)
            connection.close()
            connection = copy
            transact(connection, functools.partial(_migrate, migrations))
    except BaseException as error:
        if connection is not None:
            connection.close()
        spec.reraise(error, path)
    return connection


def newer(path: Path, spec: DatabaseSpec) -> PraisonError:
    """The error of a file that a newer version wrote."""
    return spec.error(
        f"The {spec.name} {path} was written by a newer praison_nb: update this one, or set "
        f"{spec.variable} to another file. It is left as it is."
    )


def transact(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], R]) -> R:
    """`work(connection)` as one transaction: all of it, or nothing."""
    # In one frame, and no context manager: an interrupt between two frames would find nobody who rolls back.
    try:
        connection.execute("BEGIN IMMEDIATE")
        result = work(connection)
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise
    return result


class WriteQueue(Generic[T]):
    """What is to be written to a file, in order. An item leaves the queue when it is written: to write it
    twice, after an interruption, must do no harm."""

    def __init__(self, path: Path, spec: DatabaseSpec, flush: Callable[[], object]) -> None:
        """`flush` writes what is queued; it is called on a thread of the pool."""
        self.path = path
        self.spec = spec
        self._flush = flush
        self.waiting: deque[T] = deque()
        self.lock = threading.RLock()
        """Held by whoever uses the file, or takes from `waiting`."""
        self.problem = ""
        """Why the last write failed, "" when it did not."""
        self.task: asyncio.Future[object] | None = None
        """What writes now, on a thread of the pool. Belongs to the event loop's thread."""

    def enqueue(self, *items: T) -> None:
        """Have the items written soon, on a thread of the pool. Belongs to the event loop's thread."""
        self.waiting.extend(items)
        self._start_flush()

    def close(self) -> None:
        """Write what waits, and let go of the file."""
        if self.waiting:
            self._flush()

    def with_lock(self, seconds: float, work: Callable[[], R], busy: PraisonError) -> R:
        """`work()` under `lock`. Raises `busy` where another thread holds it for so many seconds."""
        try:
            if not self.lock.acquire(timeout=seconds):
                raise busy
            result = work()
            return result  # noqa: RET504  (it is still guarded where an interrupt comes now)
        finally:
            # The lock itself knows whether it was acquired: an interrupt may come when it has just been. And
            # nothing is called before the release, or an interrupt could come there.
            try:
                self.lock.release()
            except RuntimeError:
                pass

    def drain(self, write: Callable[[Sequence[T]], object]) -> None:
        """Have `write` put all that waits into the file as one: the disk is waited for once. What no file
        takes is left out; it must not stop the rest. Needs `lock`. Raises `spec.error`."""
        size = len(self.waiting)
        while batch := tuple(self.waiting)[:size]:
            try:
                write(batch)
            except self.spec.error:
                raise
            except Exception:
                # The half of it, until it is the one that is at fault.
                if size := len(batch) // 2:
                    continue
                log.exception("a row could not be written to the %s", self.spec.name)
            for _ in batch:
                self.waiting.popleft()
            size = len(self.waiting)

    def _start_flush(self) -> None:
        # One thread for all that comes meanwhile: others would queue up where the file is locked.
        if self.task is None:
            try:
                self.task = asyncio.get_running_loop().run_in_executor(None, self._flush)
            except RuntimeError:
                # No more threads: the process ends, and what is done at its end writes the rest.
                return
            self.task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Future[object]) -> None:
        self.task = None
        if not task.cancelled() and (error := task.exception()):
            log.error("the %s could not be written", self.spec.name, exc_info=error)
        elif self.waiting and not self.problem:
            self._start_flush()


class CurrentQueue(Generic[Q]):
    """The queue before the file that counts now, `made` at the first call. A child of a fork makes one of its
    own: its parent's may be locked by a thread that the child has not."""

    def __init__(self, make: Callable[[Path], Q], path: Callable[[], Path]) -> None:
        self._make = make
        self._path = path
        self._inherited: list[Q] = []
        self._lock = threading.Lock()
        self.made: Q | None = None
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)

    def __call__(self) -> Q:
        path = self._path()
        with self._lock:
            before = self.made
            if before is not None and before.path == path:
                return before
            made = self._make(path)
            if before is not None:
                before.close()
                # The user was asked to name another file where the one before cannot be written.
                made.waiting.extend(before.waiting)
            self.made = made
            return made

    async def flush(self) -> None:
        """Write what waits, when the process ends."""
        if self.made is not None:
            self.made.close()

    def _forget(self) -> None:
        if self.made is not None:
            # It is kept: what its parent has open may not even be closed here.
            self._inherited.append(self.made)
        self.made, self._lock = None, threading.Lock()


@functools.cache
def absolute(path: Path) -> Path:
    """Where the path led when it was seen first: the notebook may change its working directory."""
    return path.absolute()
