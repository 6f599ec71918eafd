"""How far a map is, as a view shows it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A question that has no answer: the first row that asks it, the status, and the reason in a line."""

    row: str
    status: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a map is. Of `rows`, `done` were answered in this call, `kept` have an answer that was there
    already or that another row asked for, `failed` have none, and `running` are asked now.

    `asked` of `questions`, which are the different ones that had no answer yet. Times are in seconds:
    `seconds` since it began, `held_seconds` of a server's pause that are to come, `seconds_left` by how it
    went so far (None: not known yet). Money is in USD: `spent`, `expected` for the whole by what answers cost
    so far (None: not known yet), `budget`. `unpriced` questions have no price. `tokens` of input and output.
    `lines` are what the user should read, `latest` the last answers with their rows, `failures` the last
    questions that failed. `ended` is "" while it runs, then "done", "stopped", "budget", or "failed"."""

    rows: int = 0
    done: int = 0
    kept: int = 0
    failed: int = 0
    running: int = 0
    questions: int = 0
    asked: int = 0
    seconds: float = 0.0
    seconds_left: float | None = None
    held_seconds: float = 0.0
    spent: Decimal = Decimal(0)
    expected: Decimal | None = None
    budget: Decimal | None = None
    unpriced: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    lines: tuple[str, ...] = ()
    latest: tuple[tuple[str, str], ...] = ()
    failures: tuple[Failure, ...] = ()
    ended: str = ""

    @property
    def rows_per_second(self) -> float:
        """Rows that were answered in a second so far, those that were kept left aside."""
        return self.done / self.seconds if self.seconds else 0.0

    def after(self, seconds: float, **changes: Any) -> Progress:
        """The progress so many seconds after the beginning, with these changes.

        >>> Progress(questions=4).after(2.0, asked=2, held_seconds=30.0).seconds_left
        32.0
        """
        asked = changes.get("asked", self.asked)
        spent, unpriced = changes.get("spent", self.spent), changes.get("unpriced", self.unpriced)
        left = changes.get("questions", self.questions) - asked
        held = changes.get("held_seconds", self.held_seconds)
        return replace(
            self,
            seconds=seconds,
            seconds_left=held + seconds / asked * left if asked else None,
            expected=spent + spent / (asked - unpriced) * left if asked > unpriced else None,
            **changes,
        )
