"""Decisions that are made from the ledger's rows and written there in the same transaction, so that two
kernels do not count the same thing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ..errors import LedgerError, PraisonError
from . import budget
from .ledger import Row
from .totals import Read, Waiting
from .writer import Writer

log = logging.getLogger(__name__)
T = TypeVar("T")
Find = Callable[[Read, Waiting], T]


async def settle(
    writer: Writer,
    find: Find[T],
    rows: Callable[[T], Sequence[Row]],
    otherwise: Callable[[], T],
    *,
    is_durable: bool,
) -> T | None:
    """What `find` makes of the ledger, whose `rows` are noted; `otherwise` where that cannot be read, and
    None where something fails. Raises nothing."""

    def work() -> T:
        return _settle(writer, find, rows, otherwise, is_durable)

    try:
        found = await asyncio.to_thread(work)
    except RuntimeError:
        # No more threads: the process ends.
        found = work()
    except Exception:
        log.exception("the meter failed")
        return None
    if writer.waiting:
        writer.enqueue()
    return found


def _settle(
    writer: Writer,
    find: Find[T],
    rows: Callable[[T], Sequence[Row]],
    otherwise: Callable[[], T],
    is_durable: bool,
) -> T:
    busy = LedgerError(f"The ledger {writer.path} is busy.")

    def in_ledger() -> T:
        writer.prepare(budget.LOCK_SECONDS)
        late = tuple(writer.waiting)

        def step(connection: Any) -> T:
            writer.ledger.put(connection, late)
            found = find(lambda query, values: connection.execute(query, values).fetchall(), Waiting(()))
            writer.ledger.put(connection, rows(found))
            return found

        durable = bool(late) or is_durable
        found = writer.ledger.transact(step, budget.LOCK_SECONDS, is_durable=durable)
        writer.is_synced = durable
        for _ in late:
            writer.waiting.popleft()
        writer.succeed()
        return found

    try:
        return writer.with_lock(0.0 if writer.slow else budget.LOCK_SECONDS, in_ledger, busy)
    except PraisonError as error:
        if isinstance(error, LedgerError) and error is not busy:
            writer.fail(error)
    with writer.deciding:
        try:
            found = find(writer.read, Waiting(tuple(writer.waiting)))
        except LedgerError:
            found = otherwise()
        writer.waiting.extend(rows(found))
    return found
