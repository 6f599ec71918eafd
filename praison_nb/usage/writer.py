"""Writes to the ledger: off the event loop, in order, and never at the cost of an answer. What cannot be
written waits in memory until it can."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from pathlib import Path

from .ledger import Ledger, Row
from .schema import LedgerError, default_path, network_of

log = logging.getLogger(__name__)

SETTLE_SECONDS = 1.0
"""A turn waits at most so long for its request to be on the disk, and not again while the disk is slow."""


class Writer:
    """The queue before one ledger. `put` and `settled` belong to the loop's thread, the rest to any."""

    def __init__(self, path: Path) -> None:
        self.ledger = Ledger(path)
        self.lock = threading.Lock()
        """Held by whoever uses `ledger`."""
        self.waiting: deque[Row] = deque()
        self.problem = ""
        """Why the last write failed, "" when it did not."""
        self._remarks: deque[str] = deque()
        self._told: set[str] = set()
        self._task: asyncio.Future[None] | None = None
        self.slow = False
        """Whether the disk took too long the last time."""
        if network := network_of(path):
            self.remark(
                f"The ledger {path} is on a network file system ({network}), where it must use a slower "
                "journal. PRAISON_NB_LEDGER=… moves it to a local disk."
            )

    def put(self, *rows: Row) -> None:
        """Write the rows soon, on a thread of the pool."""
        self.waiting.extend(rows)
        self._start()

    async def settled(self) -> None:
        """Wait until everything is on the disk, or cannot be, or takes too long."""
        if self.slow:
            return
        try:
            async with asyncio.timeout(SETTLE_SECONDS):
                while self._task is not None:
                    await asyncio.wait({self._task})
        except TimeoutError:
            self.slow = True

    def flush(self) -> None:
        """Write what waits, here and now."""
        with self.lock:
            self._write()

    def remarks(self) -> list[str]:
        """Lines that the user should read; each is said once."""
        lines = []
        while self._remarks:
            lines.append(self._remarks.popleft())
        return lines

    def close(self) -> None:
        """Write what waits, and close the file."""
        with self.lock:
            self._write()
            self.ledger.close()

    def _start(self) -> None:
        if self._task is not None:
            return
        try:
            self._task = asyncio.get_running_loop().run_in_executor(None, self.flush)
        except RuntimeError:
            # No more threads: the process ends, and `flush` at its end writes the rest.
            return
        self._task.add_done_callback(self._done)

    def _done(self, task: asyncio.Future[None]) -> None:
        self._task = None
        if not task.cancelled() and task.exception() is None and self.waiting and not self.problem:
            self._start()

    def _write(self) -> None:
        while self.waiting:
            rows = [self.waiting.popleft() for _ in range(len(self.waiting))]
            try:
                self._put(rows)
            except LedgerError as error:
                self.waiting.extendleft(reversed(rows))
                self.problem = str(error)
                self.fail(error)
                return
            self.problem, self.slow = "", False
            self._told = {line for line in self._told if line.endswith("local disk.")}

    def _put(self, rows: list[Row]) -> None:
        """Write the rows. One that no ledger takes is left out; it must not cost the others. Raises
        LedgerError."""
        try:
            self.ledger.write(rows)
        except LedgerError:
            raise
        except Exception:
            if len(rows) > 1:
                for row in rows:
                    self._put([row])
            else:
                log.exception("a row could not be written to the ledger")

    def fail(self, error: LedgerError) -> None:
        """Have the user read why the ledger does not work."""
        self.remark(f"{error} Until then usage is kept in memory.")

    def remark(self, line: str) -> None:
        """Have the user read the line, once."""
        if line not in self._told:
            self._told.add(line)
            self._remarks.append(line)


_lock = threading.Lock()
_current: Writer | None = None


def current() -> Writer:
    """The writer of the ledger that counts now."""
    global _current
    path = default_path()
    with _lock:
        if _current is None or _current.ledger.path != path:
            before, _current = _current, Writer(path)
            if before is not None:
                before.close()
        return _current


async def flush() -> None:
    """Write what waits, when the process ends."""
    if _current is not None:
        _current.flush()
