"""A widget that follows a session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...backends.base import Backend
from ...backends.session import Session
from ...errors import ConfigError
from ...render.panel import Badge, session_panel
from ...runtime import loop
from ...session import Status
from ..views.pace import Pace
from ..views.painter import Painter
from ..views.state import State
from ..views.state_widget import StateWidget


class SessionFollower(StateWidget):
    """Shows the panel of a backend's (or an agent's) current session, or of one Session, and follows its
    turns until it is closed. Raises ConfigError where it is given anything else."""

    kind = "panel"
    _unsubscribe: Callable[[], None] = staticmethod(lambda: None)

    def __init__(self, session_or_backend: Any) -> None:
        # An Agent is shown by its backend.
        source = getattr(session_or_backend, "backend", session_or_backend)
        if not isinstance(source, Backend | Session):
            kind = type(self).__name__
            raise ConfigError(f"{kind} needs a backend, an agent or a session, not {source!r}.")
        self._source = source
        self._badge: Badge | None = None
        self._is_asked = False
        self._painter = Painter(self._paint)
        self._pace = Pace(self._painter.ask)
        super().__init__(State(self._items(), self._panel()))
        self.on_msg(lambda _, content, buffers: self._on_message(content))
        self._follow(source)

    @property
    def label(self) -> str:
        """The text of the badge."""
        return str(self._badge_now())

    def _badge_now(self) -> Badge:
        """Only what changes the badge is looked at: it is asked for at each event."""
        source = self._source
        session = source if isinstance(source, Session) else source.session
        without = Status.NONE if isinstance(source, Session) else source.status_without_session
        run = session.run
        return Badge.of(session.status(without), run.turn if run else None)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.label!r})"

    def close(self) -> None:
        """Take it away, and follow no more."""
        self._unsubscribe()
        super().close()

    def _follow(self, source: Backend | Session) -> None:
        self._unsubscribe()
        self._source = source
        self._unsubscribe = source.on_change(self._on_change)
        self._on_change()

    def _on_message(self, message: Any) -> None:
        """A message of a page, on whichever thread."""
        if isinstance(message, dict):
            loop.get().call_soon_threadsafe(self._handle, message)

    def _handle(self, message: dict[str, Any]) -> None:
        if message.get("kind") == "ready":
            self.is_behind = True
            self._painter.ask()

    def _on_change(self) -> None:
        """On the loop's thread after each event, or on the caller's when a session starts over."""
        if not self._is_asked:
            self._is_asked = True
            loop.get().call_soon_threadsafe(self._schedule_paint)

    def _schedule_paint(self) -> None:
        self._is_asked = False
        before, self._badge = self._badge, self._badge_now()
        self._pace.ask(urgent=before != self._badge)

    def _paint(self) -> None:
        if self.comm is not None:
            self.show(self._items(), self._panel())

    def _items(self) -> list[dict[str, Any]]:
        return []

    def _panel(self) -> dict[str, Any]:
        source = self._source
        if isinstance(source, Session):
            return panel_of(source, Status.NONE)
        return panel_of(source.session, source.status_without_session, source.model, source.name)


def panel_of(session: Session, without: Status, *heading: str) -> dict[str, Any]:
    """The panel of a session; `without` is its status before it exists."""
    turn = session.run.turn if session.run else None
    return session_panel(session.status(without), session.usage, turn, *heading)
