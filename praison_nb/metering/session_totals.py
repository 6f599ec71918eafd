"""What each session used so far, all its turns added up."""

from __future__ import annotations

from typing import Any

from ..errors import LedgerError
from ..money import from_pico
from .statements import SESSION_TOTALS
from .writer import Writer


def session_totals(writer: Writer) -> dict[str, dict[str, Any]]:
    """By session id the numbers of `turns`, `tokens_in` and `tokens_out`, the `cost` in USD of the turns that
    have a price, how many are `unpriced`, whether a part of it is `estimated`, and whether it
    `is_lower_bound`; {} where the ledger cannot be read."""
    if not writer.ledger.path.exists():
        return {}
    try:
        rows = writer.read(SESSION_TOTALS)
    except LedgerError:
        return {}
    names = ("turns", "tokens_in", "tokens_out", "cost", "unpriced", "estimated", "is_lower_bound")
    return {
        session_id: dict(
            zip(names, (*counts, from_pico(priced), unpriced, bool(estimated), bool(bound)), strict=True)
        )
        for session_id, *counts, priced, unpriced, estimated, bound in rows
    }
