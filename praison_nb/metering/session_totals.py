"""What each session used so far, all its turns added up."""

from __future__ import annotations

from typing import Any

from ..errors import LedgerError
from ..money import from_pico
from .writer import Writer

_TOTALS = (
    "SELECT l.session_id, count(*), sum(t.uncached_input_tokens + t.cache_read_input_tokens + "
    "t.cache_write_5m_input_tokens + t.cache_write_1h_input_tokens), sum(t.output_tokens), sum(t.priced), "
    "sum(t.cost IS NULL) FROM turns t JOIN labels l ON l.n = t.label WHERE l.session_id != '' "
    "GROUP BY l.session_id"
)


def session_totals(writer: Writer) -> dict[str, dict[str, Any]]:
    """By session id the numbers of `turns`, `tokens_in` and `tokens_out`, the `cost` in USD of the turns that
    have a price, and how many are `unpriced`; {} where the ledger cannot be read."""
    if not writer.ledger.path.exists():
        return {}
    try:
        with writer.lock:
            rows = writer.ledger.read(_TOTALS)
    except LedgerError:
        return {}
    names = ("turns", "tokens_in", "tokens_out", "cost", "unpriced")
    return {
        session_id: dict(zip(names, (*counts, from_pico(priced), unpriced), strict=True))
        for session_id, *counts, priced, unpriced in rows
    }
