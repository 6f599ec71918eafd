"""How one turn is run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ..events import Event
from ..money import parse_usd
from ..turn import Turn
from .approvals import Asker

Subscriber = Callable[[Event, Turn], object]
"""Called on the loop's thread after each event; see `Run.subscribe`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnOptions:
    """How one turn is run. `session` is the conversation's name for people, `notices` are lines that are
    shown with the turn, and `subscribers` get its events from the first on.

    With `caller_waits` somebody is going to wait for the turn, and the user's functions run on their thread;
    without, on one of a pool. With `stream` the text can be had from `Run.text()` while it comes. `budget` in
    USD, a number or text, is the turn's own: it ends before the request that would come after it is spent.
    `asker` asks the user about tool calls, where nobody else does. `view(run)` makes the subscriber that
    shows the turn, before it starts. A turn that `is_sent` was begun by a process that ended. Raises
    ConfigError.
    """

    session: str = "main"
    notices: tuple[str, ...] = ()
    subscribers: tuple[Subscriber, ...] = ()
    caller_waits: bool = True
    stream: bool = False
    budget: Decimal | None = None
    asker: Asker | None = None
    view: Callable[[Any], Subscriber] | None = None
    is_sent: bool = False

    def __post_init__(self) -> None:
        if self.budget is not None:
            object.__setattr__(self, "budget", parse_usd(self.budget, "budget"))
