"""The texts in a ledger's rows."""

from __future__ import annotations

from collections.abc import Collection

from ..events import SessionUsage
from ..redaction import redact
from ..text import replace_surrogates

LONGEST = 300
"""Characters; a server may give its model a name of any length."""


def label(text: str) -> str:
    """The text as a row has it."""
    # A key that is cut in two would not be known for one.
    return replace_surrogates(redact(text[: LONGEST + 4000])[:LONGEST])


def source_of(sources: Collection[str], session: SessionUsage | None) -> str:
    """Where the cost of a turn comes from, by those of its requests."""
    if session and session.is_provider_cost:
        return "provider"
    if len(sources) < 2:
        return next(iter(sources), "")
    return "unpriced" if "unpriced" in sources else "mixed"
