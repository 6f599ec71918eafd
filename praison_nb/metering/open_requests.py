"""What is running and what it may cost: the requests of all kernels that are not done."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from ..money import from_pico
from . import statements
from .ledger import MICRO
from .schema import STATES
from .writer import Writer, readable_ledger


@dataclass(frozen=True, slots=True)
class OpenRequest:
    """A request that is "running", or "unknown" where its kernel was killed or nobody counted it. `time` is
    when it began (seconds since 1970), `input_tokens` an estimate. `cost` is that of its input, None where
    there is no price, and it costs `at_most` so much; both in USD."""

    state: str
    time: float
    notebook: str
    session: str
    model: str
    input_tokens: int
    cost: Decimal | None
    at_most: Decimal


def open_requests(writer: Writer, user: str) -> list[OpenRequest]:
    """Those of the user's, what runs first, the newest first. Raises LedgerError."""
    readable_ledger(None)
    return [
        OpenRequest(
            STATES[state],
            time / MICRO,
            notebook,
            session,
            model,
            tokens,
            None if cost is None else from_pico(cost),
            from_pico(reserved),
        )
        for state, time, notebook, session, model, tokens, cost, reserved in writer.read(
            statements.NOT_DONE, (user,)
        )
    ]
