"""Widgets to put anywhere: a session's status, and what it used.

>>> from praison_nb.backends.scripted import ScriptedBackend
>>> from praison_nb.notebook.widgets.badges import StatusBadge
>>> StatusBadge(ScriptedBackend([])).words
'none'
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...backends.base import Backend
from ...backends.session import Session
from ...errors import ConfigError
from ...render.panel import Fact, badge_text, budget_share, format_tokens, session_cost_facts
from ...runtime import loop
from ...session import Status
from ...text import strip_control_chars
from ..views.live_view import StateWidget
from ..views.pace import Pace
from ..views.painter import Painter


class FollowingWidget(StateWidget):
    """Shows a session's panel, or its badge alone, and follows its turns until it is closed."""

    kind = "panel"

    def __init__(self, session_or_backend: Any) -> None:
        # An Agent is shown by its backend.
        source = getattr(session_or_backend, "backend", session_or_backend)
        if not isinstance(source, Backend | Session):
            kind = type(self).__name__
            raise ConfigError(f"{kind} needs a backend, an agent or a session, not {source!r}.")
        self._backend = source if isinstance(source, Backend) else None
        self._source: Backend | Session = source
        self._number = 0
        self._painter = Painter(self._show)
        self._pace = Pace(self._painter.ask)
        self._end: Callable[[], None] = source.listen(self._changed)
        super().__init__(self._state)

    @property
    def words(self) -> str:
        """What the badge says."""
        return str(self._panel()["words"])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.words!r})"

    def close(self) -> None:
        """Take it away, and follow no more."""
        # The base class closes itself when it is deleted, also one that was never whole.
        if hasattr(self, "_end"):
            self._end()
        super().close()

    def _changed(self) -> None:
        """On the loop's thread after each event, or on the caller's when a session starts over."""
        loop.get().call_soon_threadsafe(self._ask)

    def _ask(self) -> None:
        words, self._words = getattr(self, "_words", ""), self.words
        self._pace.ask(urgent=words != self._words)

    def _show(self) -> None:
        if self.comm is not None:
            self._number += 1
            self.send({"number": self._number, "panel": self._panel()})

    def _state(self) -> dict[str, Any]:
        return {"kind": self.kind, "number": self._number, "items": [], "panel": self._panel()}

    def _panel(self) -> dict[str, Any]:
        backend = self._backend
        session = self._source.session if isinstance(self._source, Backend) else self._source
        status = session.status(backend.without_session if backend else Status.NONE)
        turn = session.run.turn if session.run else None
        waiting = bool(turn and turn.waiting)
        tokens_in, tokens_out = format_tokens(session.usage)
        count, _, cached = tokens_in.partition(" ")
        facts = [
            Fact("in ", count, f" {cached}" if cached else ""),
            Fact("out ", tokens_out),
        ]
        if backend:
            facts.insert(0, Fact("", backend.model, f" · {backend.name}"))
        facts += session_cost_facts(turn) if turn else []
        spent = budget_share(turn) if turn else None
        return {
            "status": status.value,
            "waiting": waiting,
            "words": strip_control_chars(badge_text(status, waiting, turn.activity if turn else "")),
            "facts": [[strip_control_chars(part) for part in fact] for fact in facts],
            "clock": -1,
            "elapsed": 0,
            "tools": "",
            "running": status is Status.RUNNING,
            "stoppable": False,
            "hint": "",
            "notices": [],
            "budget": {"spent": spent[0], "title": spent[1]} if spent else None,
        }


class UsagePanel(FollowingWidget):
    """Status, tokens and cost of a backend's (or an agent's) current session, or of one Session."""


class StatusBadge(FollowingWidget):
    """The status of a backend's (or an agent's) current session, or of one Session, in words."""

    kind = "badge"
