"""A SQLite file of the package: how it is opened, brought up to date, written and explained. The ledger and
the store of sessions stand on it. And any other file, written as a whole.

Whatever ends a step of it, an interrupt too, leaves no transaction open and no lock held.
"""

from __future__ import annotations

import errno
import functools
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NoReturn, TypeVar

from .errors import PraisonError

log = logging.getLogger(__name__)
R = TypeVar("R")

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
        if not os.path.isfile(target):
            why = os.strerror(errno.EISDIR) if os.path.isdir(target) else "it is no regular file"
            raise OSError(errno.EISDIR, why) from None
        if not os.access(target, os.R_OK | os.W_OK):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES)) from None


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def _migrate(migrations: Sequence[str], connection: sqlite3.Connection) -> None:
    """Run the numbered scripts that the file lacks. Its user_version counts them."""
    # Another process may have been faster, and newer.
    if (version := _version(connection)) < len(migrations):
        for script in migrations[version:]:
            statement = ""
            for part in script.split(";"):
                # A trigger has statements of its own.
                if sqlite3.complete_statement(statement := f"{statement}{part};"):
                    connection.execute(statement)
                    statement = ""
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


class KeptConnection:
    """One connection to the file at `path` for all uses, one at a time, by any thread. `open` opens it at the
    first use, again in the child of a fork, and again where the path leads to another file by now."""

    def __init__(self, path: Path, open: Callable[[], sqlite3.Connection]) -> None:
        self._path = path
        self._open = open
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._opened_by = 0
        self._inherited: list[sqlite3.Connection] = []

    def get(self) -> sqlite3.Connection:
        """The connection. Raises what `open` does."""
        self._leave_to_parent()
        if self._connection is not None and self._file != _identity(self._path):
            with suppress(sqlite3.Error):
                # What is in the journal only belongs to the file that was moved away.
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            self.close()
        if self._connection is None:
            self._connection, self._opened_by = self._open(), os.getpid()
            self._file = _identity(self._path)
        return self._connection

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        self._leave_to_parent()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _leave_to_parent(self) -> None:
        # After a fork it may not even be closed here.
        if self._connection is not None and self._opened_by != os.getpid():
            self._inherited.append(self._connection)
            self._connection = None


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def data_folder() -> Path:
    """The package's folder in the user's data directory."""
    return _data_folder(os.environ.get("XDG_DATA_HOME"), os.environ.get("HOME"))


@functools.lru_cache(maxsize=1)
def _data_folder(*environment: str | None) -> Path:
    # Several times in each turn: the system is asked once for what its environment says.
    from platformdirs import user_data_dir

    return Path(user_data_dir("praison_nb", appauthor=False))


@functools.cache
def absolute(path: Path) -> Path:
    """Where the path led when it was seen first: the notebook may change its working directory."""
    return path.absolute()


@contextmanager
def replacing(path: Path, mode: int = 0o666) -> Iterator[BinaryIO]:
    """A file to be written beside `path`, whose place it takes at the end: whoever reads finds all of the old
    one or all of the new one. Missing folders are made. After an error the old one stays. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with open(part, "wb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            yield file
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
