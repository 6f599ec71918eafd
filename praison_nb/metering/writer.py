"""Writes to the ledger: off the event loop, in order, and never at the cost of an answer. What cannot be
written waits in memory until it can."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from pathlib import Path

from ..errors import ConfigError, LedgerError
from ..storage import CurrentQueue, WriteQueue
from .ledger import Ledger, Row
from .schema import LEDGER, default_path, network_of

WRITE_SECONDS = 1.0
"""A turn waits at most so long for its request to be on the disk, and not again while the disk is slow."""


class Writer(WriteQueue[Row]):
    """The queue before one ledger. `enqueue` and `wait_until_written` are for the loop's thread, the rest
    for any."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, LEDGER, self.flush)
        self.ledger = Ledger(path)
        self._notices: deque[str] = deque()
        self._noticed: set[str] = set()
        self.slow = False
        """Whether the disk took too long the last time."""
        if network := network_of(path):
            self.add_notice(
                f"The ledger {path} is on a network file system ({network}), where it must use a slower "
                "journal. PRAISON_NB_LEDGER=… moves it to a local disk."
            )

    async def wait_until_written(self) -> None:
        """Wait until everything is on the disk, or cannot be, or takes too long."""
        if self.slow:
            return
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                while self.task is not None:
                    await asyncio.wait({self.task})
        except TimeoutError:
            self.slow = True

    def flush(self) -> None:
        """Write what waits, here and now. What cannot be written goes on waiting, and the user reads why."""
        with self.lock:
            if not self.waiting:
                return
            try:
                self.drain(self.ledger.write)
            except LedgerError as error:
                self.problem = str(error)
                self.fail(error)
            else:
                self.problem, self.slow = "", False
                self._noticed = {line for line in self._noticed if line.endswith("local disk.")}

    def pop_notices(self) -> list[str]:
        """Lines that the user should read; each is shown once."""
        return [self._notices.popleft() for _ in range(len(self._notices))]

    def close(self) -> None:
        """Write what waits, and close the file."""
        with self.lock:
            self.flush()
            self.ledger.close()

    def fail(self, error: LedgerError) -> None:
        """Have the user read why the ledger does not work."""
        self.add_notice(f"{error} Until then usage is kept in memory.")

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
    if not path.exists():
        raise LedgerError(f"There is no ledger {path} yet: it begins with the first turn.")
    return path


current = CurrentQueue(Writer, default_path)
"""The writer of the ledger that counts now."""
flush = current.flush
