"""The sessions of a backend: the one that its next turn runs in, and those before it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from ..errors import ConfigError
from ..history import Item
from ..runtime.observable import Observable
from ..session import SessionInfo, Status
from .arguments import check_methods
from .session import Session


@check_methods
class SessionKeeper(Observable):
    """What a backend has to do with its sessions."""

    status_without_session = Status.NONE
    """The status while there is no session."""

    def __init__(self) -> None:
        super().__init__()
        self.session = Session()
        self._sessions: list[Session] = []

    @property
    def model(self) -> str:
        """The model's name, "" where it is not known."""
        return ""

    @property
    def session(self) -> Session:
        """The session that the next turn runs in. Observers are notified when it is replaced or changes."""
        return self._session

    @session.setter
    def session(self, session: Session) -> None:
        self._session = session
        session.on_change(self.notify)
        self.notify()

    @property
    def total_input_tokens(self) -> int:
        """Input, cached or not, of all turns of all sessions that this object had since `reset_all()`."""
        return sum(each.usage.input_tokens for each in (*self._sessions, self.session))

    @property
    def total_output_tokens(self) -> int:
        """Output, counted as `total_input_tokens` is."""
        return sum(each.usage.output_tokens for each in (*self._sessions, self.session))

    def rename(self, title: str, session_id: str | None = None) -> None:
        """Give the session a title. A backend whose server has sessions tells it, of another one by its id
        too."""
        self.session.title = title
        self.session.notify()

    def interrupt(self) -> None:
        """Stop the turn that is under way, and those that wait for it; nothing happens when there is none."""
        self.session.stop()

    def reset_session(self) -> None:
        """Forget the conversation: the next prompt begins a new one. A turn under way is stopped."""
        self._put_session(Session())

    def _put_session(self, session: Session) -> None:
        """Go on with `session`; a turn under way in the old one is stopped."""
        self.session.stop()
        if self.session.id:
            self._sessions.append(self.session)
        self.session = session

    def reset_all(self) -> None:
        """Forget all sessions."""
        self.reset_session()
        self._sessions.clear()

    def save_ids(self) -> dict[str, Any]:
        """What `restore_ids` needs in another process."""
        return {"session_id": self.session.id or None}

    def restore_ids(self, ids: Mapping[str, Any]) -> None:
        """Go on with the session of another process. Raises ConfigError: a backend that can, does its own."""
        raise ConfigError(f"{self.model} cannot go on with a session of another process.")

    @classmethod
    def restores_sessions(cls) -> bool:
        """Whether it goes on with sessions of another process, by a `restore_ids` of its own."""
        return cls.restore_ids is not SessionKeeper.restore_ids

    def limit_budget(self, limit: Decimal | None) -> None:
        """Have the server of the sessions end them at `limit` (USD) too; nothing where there is no server."""

    async def read_messages(self, session: Session) -> list[Item]:
        """What was said in a session whose messages are kept elsewhere and not in `session.messages`, oldest
        first; texts and calls have the `id` that a Turn knows them by. On the background loop. Raises
        PraisonError. Here there are none."""
        return []

    def retrieve_session(self) -> dict[str, Any]:
        """The session as it is: `{"id": str, "status": str, "title": str, "usage": {"input_tokens": int,
        "output_tokens": int, …}}`. Never raises, never lacks a key."""
        return self._info(self.session).to_dict()

    def list_sessions(self, **options: Any) -> list[dict[str, Any]]:
        """All sessions of this object, oldest first, each as `retrieve_session()` has it. `options` are for
        backends that ask a server, which have their own; here they change nothing."""
        sessions = [*self._sessions, *([self.session] if self.session.id else [])]
        return [self._info(session).to_dict() for session in sessions]

    def _info(self, session: Session) -> SessionInfo:
        status = session.status(self.status_without_session)
        return SessionInfo(session.id, status, session.title, session.usage.to_dict())
