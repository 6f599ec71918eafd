"""What the threads of a hosted session's sub-agents used. A thread's count is cumulative, and whoever
looks at it sees what other kernels' turns have counted too: the ids of the parts say up to where that is."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from ..events import RequestFinished
from ..money import from_pico
from ..session import Usage
from ..turn import Turn
from .ledger import numbers
from .schema import TOKENS
from .statements import PARTS_OF_THREAD, REQUEST_COLUMNS
from .totals import Read, Waiting


def part_id(thread: str, total: Usage) -> str:
    """The id of the part of a thread's usage that ends at this count.

    >>> part_id("sthr_1", Usage(uncached_input_tokens=7, output_tokens=9))
    'sthr_1@7-0-0-0-9'
    """
    return f"{thread}@{'-'.join(str(getattr(total, name)) for name in TOKENS)}"


def difference(total: Usage, before: Usage) -> Usage:
    """What was used between two counts; none of it is less than 0."""
    return _by_count(lambda a, b: max(0, a - b), total, before)


def parts(event: RequestFinished, turn: Turn, read: Read, waiting: Waiting) -> list[RequestFinished]:
    """What is to be counted for the turn in place of `event`, whose `usage` is None where nobody here knows
    what was counted before: what an earlier process has counted for the same turn, and what nobody has.
    Raises LedgerError."""
    if (total := _end_of(event.id)) is None:
        return [event]
    known = {row[0]: row[1:] for row in read(PARTS_OF_THREAD, (f"{event.thread}@", f"{event.thread}A"))}
    for row in waiting.requests.values():
        if row.id.startswith(f"{event.thread}@"):
            named = dict(zip(REQUEST_COLUMNS, numbers(row), strict=True))
            known[row.id] = (row.turn, *(named[name] for name in TOKENS), named["cost"])
    found = [
        replace(
            event,
            id=key,
            usage=_usage(tokens),
            cost=None if cost is None else from_pico(cost),
            cost_source="unpriced" if cost is None else "table",
        )
        for key, (turn_id, *tokens, cost) in known.items()
        if turn_id == turn.id and key not in turn.requests
    ]
    rest = difference(total, _latest(known))
    if event.usage is not None:
        rest = _by_count(min, event.usage, rest)
    elif not known:
        return []
    if rest != Usage():
        found.append(replace(event, usage=rest))
    return found


def _latest(ids: Iterable[str]) -> Usage:
    return functools.reduce(functools.partial(_by_count, max), filter(None, map(_end_of, ids)), Usage())


def _by_count(choose: Callable[[int, int], int], a: Usage, b: Usage) -> Usage:
    return _usage(choose(getattr(a, name), getattr(b, name)) for name in TOKENS)


def _usage(tokens: Iterable[int]) -> Usage:
    counts: dict[str, Any] = dict(zip(TOKENS, tokens, strict=True))
    return Usage(**counts)


def _end_of(part: str) -> Usage | None:
    counts = part.rpartition("@")[2].split("-")
    if len(counts) != len(TOKENS) or not all(each.isdecimal() for each in counts):
        return None
    return _usage(map(int, counts))
