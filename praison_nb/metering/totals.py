"""What was spent, added up: the ledger's rows, and those that wait to be written in place of their own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ..money import to_pico
from . import statements
from .ledger import RequestRow, Row, TurnRow
from .schema import DONE, LABELS

Read = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]
"""A query and its values; its rows."""


class Total(NamedTuple):
    """In picodollars: what requests that are done cost, and at most those that are not and those that turns
    may make by themselves. How many turns there were, and how many of them lack a price."""

    spent: int
    reserved: int
    turns: int
    unpriced: int


class Waiting:
    """The last state of each row that is not in the ledger yet."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self.requests: dict[str, RequestRow] = {}
        self.turns: dict[str, TurnRow] = {}
        self._replaced: set[str] = set()
        for row in rows:
            if isinstance(row, TurnRow):
                self.turns[row.id] = row
            elif row.id not in self.requests or self.requests[row.id].state != DONE:
                self.requests.pop(row.started_id, None)
                self.requests[row.id] = row
                self._replaced.add(row.started_id)

    @property
    def request_ids(self) -> str:
        """The ids in the ledger that these rows stand for, as a JSON list."""
        return json.dumps([*self.requests, *self._replaced])

    @property
    def turn_ids(self) -> str:
        """As `request_ids`."""
        return json.dumps([*self.turns])

    def total(self, labels: Mapping[str, str], since: int, turn_id: str = "") -> Total:
        """As `total`, of these rows alone."""
        requests = [row for row in self.requests.values() if _counts(row, labels, since)]
        turns = [row for row in self.turns.values() if _counts(row, labels, since)]
        return Total(
            sum(to_pico(row.cost) for row in requests if row.state == DONE and row.cost)
            + sum(to_pico(row.extra_cost) for row in turns),
            sum(to_pico(row.reserved) for row in requests if row.state != DONE)
            + sum(to_pico(row.reserved) for row in turns if row.process and row.id != turn_id),
            len(turns),
            sum(row.unpriced > 0 for row in turns),
        )


def total(read: Read, waiting: Waiting, labels: Mapping[str, str], since: int, turn_id: str = "") -> Total:
    """Of all rows with these labels that began at `since` (microseconds) or later. What the turn `turn_id`
    may cost still is left out: it is for that turn's own requests."""
    user = labels.get("user", "")
    name = labels.get("session_id") or labels.get("notebook", "")
    values = (user, name, since, waiting.request_ids, waiting.turn_ids, turn_id)
    [sums] = read(statements.spent((*labels,), by_time=since > 0), values)
    late = waiting.total(labels, since, turn_id)
    return Total(*(a + b for a, b in zip(sums, late, strict=True)))


def _counts(row: Row, labels: Mapping[str, str], since: int) -> bool:
    of_row = dict(zip(LABELS, row.labels, strict=True))
    return row.time * 1_000_000 >= since and labels.items() <= of_row.items()
