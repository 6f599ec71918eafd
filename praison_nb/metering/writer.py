"""Writes to the ledger: off the event loop, in order, and never at the cost of an answer. What cannot be
written waits until it can: in memory, and in a file of its own (`spill`), should this process end."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import ConfigError, LedgerError
from ..events import Spent
from ..process import this_process
from ..write_queue import CurrentQueue, WriteQueue
from .ledger import Ledger, RequestRow, Row, TurnRow
from .schema import LEDGER, default_path, network_of
from .spill import Spill, left_behind

log = logging.getLogger(__name__)

WRITE_SECONDS = 1.0
"""A turn waits at most so long for its request to be on the disk, and not again while the disk is slow."""
SYNC_SECONDS = 1.0
"""What a turn used so far is safe from a power cut so soon, where neither its next request nor its end comes
before."""
CLOSE_SECONDS = 1.0
"""The end of the process waits no longer for another that holds the ledger."""


class Writer(WriteQueue[Row]):
    """The queue before one ledger. `enqueue` and `wait_until_written` are for the loop's thread, the rest
    for any."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, LEDGER, self.flush)
        self.ledger = Ledger(path)
        self._reader = Ledger(path)
        self._reading = threading.Lock()
        self.deciding = threading.Lock()
        """Held where a request is admitted by what waits here."""
        self.last_spent: dict[tuple[str, str], tuple[float, str, list[Spent]]] = {}
        """The last sums, by user and notebook: when, of which session, and how much."""
        self._spill = Spill(path)
        self._spilling = threading.Lock()
        self._is_prepared = False
        self._notices: deque[str] = deque()
        self._noticed: set[str] = set()
        self.is_synced = True
        """Whether what was written outlives a power cut: what a turn under way has used is synced with its
        next request, or with its end. Needs `lock`."""
        self._sync_timer: asyncio.TimerHandle | None = None
        self.slow = False
        """Whether the disk took too long the last time."""
        if network := network_of(path):
            self.add_notice(
                f"The ledger {path} is on a network file system ({network}), where it must use a slower "
                "journal. PRAISON_NB_LEDGER=… moves it to a local disk."
            )

    @functools.cached_property
    def process(self) -> str:
        """The name under which this process runs turns."""
        return this_process(self.path.parent / "running")

    async def wait_until_written(self) -> None:
        """Wait until everything is on the disk, or cannot be, or takes too long; then it is in the second
        place."""
        if self.slow:
            with contextlib.suppress(RuntimeError):
                await asyncio.to_thread(self._put_aside)
            return
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                while task := self.hurry():
                    await asyncio.wait({task})
        except TimeoutError:
            self.slow = True
            with contextlib.suppress(RuntimeError):
                await asyncio.to_thread(self.fail, LedgerError(f"The ledger {self.path} is busy."))

    def read(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query, by a connection that waits for no thread that writes. Raises LedgerError."""
        with self._reading:
            return self._reader.read(query, values)

    def flush(self, seconds: float | None = None) -> None:
        """Write what waits, here and now; another process may hold the ledger for `seconds`. What cannot be
        written goes on waiting, and the user reads why."""
        with self.lock:
            if not self.waiting:
                return
            try:
                self.prepare(seconds)
                self.drain(functools.partial(self._write, seconds))
            except LedgerError as error:
                self.fail(error)
            else:
                self.succeed()

    def _write(self, seconds: float | None, rows: Sequence[Row]) -> None:
        is_durable = any(isinstance(row, TurnRow) and not row.process for row in rows)
        self.ledger.write(rows, seconds, is_durable=is_durable)
        self.is_synced = is_durable

    def _on_done(self, task: asyncio.Future[object]) -> None:
        super()._on_done(task)
        if not self.is_synced and self._sync_timer is None:
            own = asyncio.get_running_loop()
            self._sync_timer = own.call_later(SYNC_SECONDS, self._start_sync)

    def _start_sync(self) -> None:
        self._sync_timer = None
        if not self.is_synced:
            with contextlib.suppress(RuntimeError):
                asyncio.get_running_loop().run_in_executor(None, self.sync)

    def sync(self) -> None:
        """Wait until what was written is on the disk."""
        with self.lock, contextlib.suppress(LedgerError):
            if not self.is_synced:
                self.ledger.sync()
                self.is_synced = True

    def prepare(self, seconds: float | None = None, *, again: bool = False) -> None:
        """Once for this process, or `again`: mark as unknown what killed kernels had under way, and take in
        what others could not write. Needs `lock`. Raises LedgerError."""
        if self._is_prepared and not again:
            return
        files = list(left_behind(self.path))

        def work(connection: Any) -> bool:
            for _, rows in files:
                self.ledger.put(connection, rows)
            return self.ledger.mark_killed(connection)

        try:
            self.ledger.transact(work, seconds)
            for path, _ in files:
                path.unlink(missing_ok=True)
        except LedgerError:
            raise
        except Exception:
            log.exception("what waited for the ledger could not be taken in")
        self._is_prepared = True

    def succeed(self) -> None:
        """The ledger works (again), and nothing waits but what came meanwhile."""
        self.problem, self.slow = "", False
        if self._spill.path is not None:
            self._put_aside()
        self._noticed = {line for line in self._noticed if line.endswith("local disk.")}

    def fail(self, error: LedgerError) -> None:
        """The ledger does not work, or not in time: put what waits into the second place."""
        self.problem = str(error)
        self._put_aside()

    def _put_aside(self) -> None:
        with self._spilling:
            try:
                if rows := tuple(self.waiting):
                    self._spill.put(rows, self.process)
                else:
                    self._spill.remove()
            except OSError:
                log.debug("no place for what waits", exc_info=True)

    @property
    def waiting_line(self) -> str:
        """How much waits, where, and why; "" where nothing does."""
        if not self.problem or not self.waiting:
            return ""
        count = len({row.started_id or row.id for row in tuple(self.waiting) if isinstance(row, RequestRow)})
        where = "in memory only" if self._spill.path is None else f"in {self._spill.path}"
        return f"{self.problem} Until then the usage of {count} request{'s' * (count != 1)} waits {where}."

    def pop_notices(self) -> list[str]:
        """Lines that the user should read; each is shown once."""
        return [self._notices.popleft() for _ in range(len(self._notices))]

    def close(self) -> None:
        """Write what waits, and close the file. What still waits is said once more."""
        try:
            busy = LedgerError(f"The ledger {self.path} is busy.")
            self.with_lock(CLOSE_SECONDS, self._close, busy)
        except LedgerError as error:
            self.fail(error)
        if line := self.waiting_line:
            log.warning("%s", line)

    def _close(self) -> None:
        self.flush(CLOSE_SECONDS)
        self.ledger.close()
        with self._reading:
            self._reader.close()

    def add_notice(self, line: str) -> None:
        """Have the user read the line, once."""
        if line not in self._noticed:
            self._noticed.add(line)
            self._notices.append(line)


def readable_ledger(ledger: str | os.PathLike[str] | None) -> Path:
    """The file `ledger`, or with None the one that counts now, with all that waits written into it. Raises
    ConfigError for what is no path, LedgerError where there is none."""
    if ledger is not None and not isinstance(ledger, str | os.PathLike):
        raise ConfigError(f"ledger must be a file's path, not {ledger!r:.40}.")
    path = default_path() if ledger is None else Path(ledger).expanduser()
    if path == default_path():
        writer = current()
        writer.flush()
        if not path.exists() and not writer.problem:
            with writer.lock:
                writer.ledger.write([])
        if writer.problem and not path.is_file():
            raise LedgerError(writer.problem)
        with writer.lock, contextlib.suppress(LedgerError):
            writer.prepare(0.0, again=True)
    if not path.exists():
        raise LedgerError(f"There is no ledger {path} yet: it begins with the first turn.")
    return path


current = CurrentQueue(Writer, default_path)
"""The writer of the ledger that counts now."""
flush = current.flush
"""Write what waits, when the process ends."""
