"""What sessions used so far: each in all, and one without the turn that is under way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ..errors import LedgerError
from ..money import from_pico
from ..process import is_alive
from .ledger import MICRO, numbers
from .schema import LABELS
from .statements import SESSION_TOTALS, TURN_COLUMNS, TURNS_OF_SESSION
from .totals import Read, Waiting
from .writer import Writer


@dataclass(frozen=True, slots=True)
class OtherTurns:
    """What the ledger has of a session's other turns, whichever kernel ran them: how many `turns`, their
    `cost` and `fees` in USD and their tokens, of which `one_hour` were written to the cache for an hour, and
    after how many `active` seconds of the session they ended, None where nobody said; whether one
    `is_running`. `elsewhere` is what the session cost in no row (USD), None where no row knows."""

    turns: int = 0
    cost: Decimal = Decimal(0)
    active: float | None = None
    one_hour: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    fees: Decimal = Decimal(0)
    is_running: bool = False
    elsewhere: Decimal | None = None


def other_turns(read: Read, waiting: Waiting, session_id: str, turn_id: str) -> OtherTurns:
    """Of all turns of the session but this one; rows that wait count in place of their own. Raises
    LedgerError."""
    rows = {row[0]: row[1:] for row in read(TURNS_OF_SESSION, (session_id,))}
    at = LABELS.index("session_id")
    for each in waiting.turns.values():
        if each.labels[at] == session_id:
            named = dict(zip(TURN_COLUMNS, numbers(each), strict=True))
            counted = each.usage
            rows[each.id] = (
                named["priced"],
                named["active"],
                counted.cache_write_1h_input_tokens,
                counted.input_tokens,
                counted.output_tokens,
                named["fees"],
                each.process,
                named["elsewhere"],
            )
    elsewhere = [row[-1] for row in rows.values() if row[-1] is not None]
    others = [row for key, row in rows.items() if key != turn_id]
    active = [row[1] for row in others if row[1] is not None]
    return OtherTurns(
        turns=len(others),
        cost=from_pico(sum(row[0] for row in others)),
        active=max(active) / MICRO if active else None,
        one_hour=sum(row[2] for row in others),
        tokens_in=sum(row[3] for row in others),
        tokens_out=sum(row[4] for row in others),
        fees=from_pico(sum(row[5] for row in others)),
        is_running=any(row[6] and is_alive(row[6]) for row in others),
        elsewhere=from_pico(max(elsewhere)) if elsewhere else None,
    )


def session_totals(writer: Writer, ids: Sequence[str] | None = None) -> dict[str, dict[str, Any]]:
    """By session id, of the sessions `ids` or of all, the numbers of `turns`, `tokens_in` and `tokens_out`,
    the `cost` in USD of the turns that have a price, how many are `unpriced`, whether a part of it is
    `estimated`, and whether it `is_lower_bound`; {} where the ledger cannot be read."""
    if not writer.ledger.path.exists():
        return {}
    try:
        if ids is None:
            rows = writer.read(SESSION_TOTALS.format(""))
        else:
            among = f" AND session_id IN ({', '.join('?' * len(ids))})"
            rows = writer.read(SESSION_TOTALS.format(among), ids)
    except LedgerError:
        return {}
    names = ("turns", "tokens_in", "tokens_out", "cost", "unpriced", "estimated", "is_lower_bound")
    return {
        session_id: dict(
            zip(names, (*counts, from_pico(priced), unpriced, bool(estimated), bool(bound)), strict=True)
        )
        for session_id, *counts, priced, unpriced, estimated, bound in rows
    }
