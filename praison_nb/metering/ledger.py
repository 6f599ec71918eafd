"""The ledger: one row for each turn and one for each request to a model, in SQLite. It knows tokens, money,
times and names; never a prompt, an answer, a tool's argument or a key.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from ..money import PICO
from ..process import is_alive
from ..session import Usage
from ..storage import transact
from . import statements
from .schema import DONE, LABELS, LEDGER, TOKENS, connect, connect_to_read
from .statements import REQUEST_COLUMNS, TURN_COLUMNS

T = TypeVar("T")
MAX_NUMBER = 2**53
"""The largest number of a row; in picodollars it is 9,007 USD. A server may say what it wants; a column holds
64 bits, and so does the sum of a thousand rows."""
MICRO = 1_000_000
MOST_LABELS = 4096
"""So many are remembered with their numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnRow:
    """A turn as it is now. Times in seconds, money in USD, `labels` in the order of schema.LABELS.
    `cost` is None where a part has no price; `priced` is what the rest costs, of which `extra_cost` is beyond
    its requests, `estimated_cost` for estimated tokens, and `fees` for what is no token. `elsewhere` is what
    its session had cost before in no row of this ledger, None where that is not known. `reserved` is what it
    may cost at most beyond its requests so far, while it runs. `process` runs it, "" once it is over."""

    id: str
    labels: tuple[str, ...]
    time: float
    duration: float
    first_text: float | None
    requests: int
    unpriced: int
    usage: Usage
    cost: Decimal | None
    priced: Decimal
    list_cost: Decimal | None = None
    active: float | None = None
    fees: Decimal = Decimal(0)
    is_lower_bound: bool = False
    estimated_cost: Decimal = Decimal(0)
    extra_cost: Decimal = Decimal(0)
    elsewhere: Decimal | None = None
    reserved: Decimal = Decimal(0)
    process: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRow:
    """A request. `id` is its event's: that of RequestStarted until it is done, then that of RequestFinished,
    and `started_id` is the earlier one. Done once, it stays as it is. Until then `cost` is that of its
    estimated input, and `reserved` the most that it may cost."""

    id: str
    labels: tuple[str, ...]
    turn: str
    time: float
    duration: float | None
    first_text: float | None
    usage: Usage
    cost: Decimal | None
    state: int = DONE
    reserved: Decimal = Decimal(0)
    fees: Decimal = Decimal(0)
    is_lower_bound: bool = False
    started_id: str = ""


Row = TurnRow | RequestRow

_COUNTED = (*TOKENS, "reasoning_output_tokens")
_MONEY = ("cost", "priced", "list_cost", "fees", "estimated_cost", "extra_cost", "elsewhere", "reserved")
_UNITS = {
    **dict.fromkeys(("time", "duration", "first_text", "active"), MICRO),
    **dict.fromkeys(_MONEY, PICO),
    **dict.fromkeys(_COUNTED, 1),
}
"""So many of the file's units are a second, a dollar or a token."""
_COLUMNS = {
    kind: [(name, name in _COUNTED, name == "estimated", _UNITS.get(name)) for name in names]
    for kind, names in ((TurnRow, TURN_COLUMNS), (RequestRow, REQUEST_COLUMNS))
}


def numbers(row: Row) -> list[int | None]:
    """The row's numbers as the file keeps them, in the order of TURN_COLUMNS or REQUEST_COLUMNS."""
    values: list[Any] = []
    for name, is_count, is_of_usage, unit in _COLUMNS[type(row)]:
        value = getattr(row.usage if is_count or is_of_usage else row, name)
        if value == 0 or (is_count and value != value):
            # What a server gives as NaN is no count.
            value = 0
        elif value is not None and unit:
            # In this order, so that what is no number stays an error.
            value = round(min(max(value * unit, -MAX_NUMBER), MAX_NUMBER))
        values.append(value)
    return values


class Ledger:
    """A ledger's file. Any thread may use it, one at a time; each process opens its own connection."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None
        self._is_read_only = False
        self._opened_by = 0
        self._known: dict[tuple[str, ...], int] = {}
        self._inherited: list[Any] = []

    @property
    def connection(self) -> sqlite3.Connection:
        """Open it to write. Raises LedgerError."""
        self._leave_to_parent()
        if self._is_read_only:
            self.close()
        if self._connection is None:
            self._connection, self._opened_by = connect(self.path), os.getpid()
        return self._connection

    def write(self, rows: Iterable[Row], seconds: float | None = None, *, is_durable: bool = True) -> None:
        """Put all rows in, or none; then they are on the disk where it `is_durable`, else as `transact` has
        it. A turn replaces its earlier row; a request that is done stays. `seconds` as for `transact`. Raises
        LedgerError, and what else is raised for a row that no ledger takes."""
        rows = tuple(rows)
        self.transact(lambda connection: self.put(connection, rows), seconds, is_durable=is_durable)

    def transact(
        self,
        work: Callable[[sqlite3.Connection], T],
        seconds: float | None = None,
        *,
        is_durable: bool = False,
    ) -> T:
        """`work(connection)` as one transaction, for which others are waited so many `seconds` (as many as
        usual with None). It outlives this process; a power cut only where it `is_durable`, or once a `write`
        has followed. Raises LedgerError, and what `work` does."""
        try:
            connection = self.connection
            [(usual,)] = connection.execute("PRAGMA busy_timeout").fetchall()
            if seconds is not None:
                connection.execute(f"PRAGMA busy_timeout={round(seconds * 1000)}")
            if not is_durable:
                connection.execute("PRAGMA synchronous=NORMAL")
            result = transact(connection, work)
            connection.execute(f"PRAGMA busy_timeout={usual}")
            connection.execute(f"PRAGMA {LEDGER.pragma}")
        except BaseException as error:
            self.close()
            LEDGER.reraise(error, self.path)
        return result

    def sync(self) -> None:
        """Wait until what was written is on the disk. Raises LedgerError."""
        try:
            self.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.Error as error:
            raise LEDGER.explain(error, self.path) from error

    def put(self, connection: sqlite3.Connection, rows: Iterable[Row]) -> None:
        """Put the rows in, in a transaction of the caller's."""
        # Of a turn the last row alone, and before its requests.
        requests, turns = list[RequestRow](), dict[str, TurnRow]()
        for row in rows:
            if isinstance(row, TurnRow):
                turns[row.id] = row
            else:
                requests.append(row)
        for turn in turns.values():
            label = self.label(connection, turn.labels)
            connection.execute(statements.PUT_TURN, (turn.id, label, turn.process, *numbers(turn)))
        for row in requests:
            label = self.label(connection, row.labels)
            if row.started_id:
                # Settled in its place; where it was settled before, the same event came again.
                connection.execute(statements.SETTLE, (row.id, row.started_id, row.id))
                connection.execute(statements.DROP, (row.started_id,))
            connection.execute(statements.PUT_REQUEST, (row.id, label, row.turn, *numbers(row)))

    def mark_killed(self, connection: sqlite3.Connection) -> bool:
        """Mark as unknown what processes had under way that are no longer there, in a transaction of the
        caller's, and return whether there were any."""
        known = [process for (process,) in connection.execute(statements.PROCESSES)]
        killed = [process for process in known if not is_alive(process)]
        for process in killed:
            connection.execute(statements.MARK_UNKNOWN, (process,))
            for n, *texts in connection.execute(statements.TURNS_OF_PROCESS, (process,)).fetchall():
                named = dict(zip(LABELS, texts, strict=True)) | {"status": "unknown", "stop_reason": "killed"}
                connection.execute(statements.END_TURN, (self.label(connection, tuple(named.values())), n))
        return bool(killed)

    def label(self, connection: sqlite3.Connection, labels: tuple[str, ...]) -> int:
        """The number of these labels, which get one here if they have none."""
        known = self._known.get(labels)
        if known is None:
            if len(self._known) >= MOST_LABELS:
                # Each session has its own.
                self._known.clear()
            added = connection.execute(statements.ADD_LABEL, labels)
            if added.rowcount == 1 and added.lastrowid:
                known = added.lastrowid
            else:
                known = connection.execute(statements.GET_LABEL, labels).fetchone()[0]
            self._known[labels] = known
        return known

    def read(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query, of a file too that may only be read. Raises LedgerError."""
        try:
            return self._to_read().execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise LEDGER.explain(error, self.path) from error

    def _to_read(self) -> sqlite3.Connection:
        self._leave_to_parent()
        if self._connection is None:
            self._connection, self._is_read_only = connect_to_read(self.path)
            self._opened_by = os.getpid()
        return self._connection

    def change(self, statement: str, values: Sequence[Any]) -> None:
        """One statement that writes. Raises LedgerError."""
        try:
            self.connection.execute(statement, values)
        except sqlite3.Error as error:
            raise LEDGER.explain(error, self.path) from error

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        self._leave_to_parent()
        connection, self._connection, self._is_read_only = self._connection, None, False
        self._known.clear()
        if connection is not None:
            connection.close()

    def _leave_to_parent(self) -> None:
        """After a fork, the parent's connection: it may not even be closed here."""
        if self._connection is not None and self._opened_by != os.getpid():
            self._inherited.append(self._connection)
            self._connection, self._is_read_only = None, False
            self._known.clear()
