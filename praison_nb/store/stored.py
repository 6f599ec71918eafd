"""A stored session, and what is written of it: never a secret."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

from ..process import is_alive
from ..redaction import redact, redact_value
from ..session import Status
from ..text import replace_surrogates


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSession:
    """A session under the name that it has in a notebook ("" where no notebook is known). `id` is the
    backend's own. `asked_for` names the backend that it was made on, "" for an object of the user's.
    `created` and `last_used` are seconds since 1970.

    `ids` is what the backend's `restore_ids` needs, `options` what its agent was made with. `turn` holds id,
    start and prompt of the turn under way, {} without one; `process` is whose turn it is. A name's current
    session is the one that goes on.
    """

    id: str
    name: str
    notebook: str = ""
    backend: str = ""
    asked_for: str = ""
    model: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    ids: dict[str, Any] = field(default_factory=dict)
    title: str = ""
    created: float = field(default_factory=time.time)
    last_used: float = field(default_factory=time.time)
    status: Status = Status.IDLE
    process: str = ""
    turn: dict[str, Any] = field(default_factory=dict)
    is_current: bool = True
    is_archived: bool = False

    @property
    def is_cut_off(self) -> bool:
        """Whether the process that ran its turn ended before the turn did."""
        return self.status is Status.RUNNING and not is_alive(self.process)


class SessionSummary(NamedTuple):
    """What a table of many sessions needs of each; see `StoredSession`."""

    id: str
    name: str
    notebook: str
    model: str
    backend: str
    state: str
    process: str
    last_used: float
    is_archived: bool

    @property
    def status(self) -> Status:
        """The status as it was stored."""
        return Status(self.state)

    @property
    def is_cut_off(self) -> bool:
        """Whether the process that ran its turn ended before the turn did."""
        return self.state == Status.RUNNING.value and not is_alive(self.process)


COLUMNS = [f.name for f in fields(StoredSession)]
_JSON = ("options", "ids", "turn")


def to_row(session: StoredSession) -> list[Any]:
    """The session as a row of the table, in the order of COLUMNS."""
    values = {name: getattr(session, name) for name in COLUMNS}
    values |= {name: json.dumps(redact_value(values[name]), default=str) for name in _JSON}
    # A server may put anything into its names.
    values |= {name: redact(values[name]) for name in ("title", "model")}
    return [replace_surrogates(value) for value in values.values()]


def from_row(row: tuple[Any, ...]) -> StoredSession:
    """The session of a row. Raises ValueError where it is none that `to_row` wrote."""
    values = dict(zip(COLUMNS, row, strict=True))
    values |= {name: json.loads(values[name]) for name in _JSON}
    if not all(isinstance(values[name], dict) for name in _JSON):
        raise ValueError(f"the row of {values['id']} is damaged")
    values |= {name: bool(values[name]) for name in ("is_current", "is_archived")}
    return StoredSession(**{**values, "status": Status(values["status"])})
