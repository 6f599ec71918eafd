"""A user's own backend under our roof: any object with the five methods of ManagedBackendProtocol, sync or
async, becomes a Backend that yields events."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any

from ..errors import ConfigError
from ..events import Event, RequestFinished, RequestStarted, SessionAttached, TextDelta, new_id
from ..runtime import loop, user_loop
from ..runtime.function_call import run_in_pool
from ..runtime.run import Run
from ..session import SessionInfo, Status, Usage
from ..turn import estimate_tokens
from .base import Backend
from .session import Session

log = logging.getLogger(__name__)
_END = object()


class CustomBackend(Backend):
    """Runs `user`, an object with the five methods. Its plain functions run on a thread of the pool and its
    coroutines on the user's loop, so that the stream and Stop stay alive."""

    name = "custom"

    def __init__(self, user: Any) -> None:
        super().__init__()
        self.user = user
        self._known = SessionInfo(status=Status.NONE)

    def __repr__(self) -> str:
        return f"CustomBackend({self.user!r})"

    @property
    def model(self) -> str:
        """The object's own `model`, or its class's name."""
        model = getattr(self.user, "model", "")
        return model if isinstance(model, str) and model else type(self.user).__name__

    async def events(self, prompt: str, session: Session, run: Run) -> AsyncIterator[Event]:
        """One turn of the user's backend. Tokens are what its session says that the turn used; where it
        counts none, they are estimated."""
        before = await self._ask()
        session.id = before.id or session.id or f"custom-{new_id()[:12]}"
        yield SessionAttached(session_id=session.id)
        yield RequestStarted(input_tokens=estimate_tokens(prompt))
        try:
            async with aclosing(self._pieces(prompt)) as pieces:
                async for text in pieces:
                    if text:
                        yield TextDelta(text=text, message_id="answer")
        except asyncio.CancelledError:
            if hasattr(self.user, "interrupt"):
                await _awaited(await run_in_pool(self.user.interrupt, False))
            yield RequestFinished(model=self.model, usage=None)
            raise
        after = await self._ask()
        if after.id and after.id != session.id:
            yield SessionAttached(session_id=after.id)
        yield RequestFinished(model=self.model, usage=_difference(before, after))

    async def _pieces(self, prompt: str) -> AsyncGenerator[str, None]:
        """The answer in pieces: `stream`, or `execute` where the object does not really stream."""
        try:
            pieces = await _awaited(await _called(self.user.stream, prompt))
        except NotImplementedError:
            pieces = None
        if pieces is None:
            pieces = await _awaited(await _called(self.user.execute, prompt))
        if isinstance(pieces, str):
            yield pieces
        elif hasattr(pieces, "__aiter__"):
            async with aclosing(user_loop.iterate(pieces)) as arriving:
                async for piece in arriving:
                    yield _text(piece)
        else:
            iterator: Iterator[Any] = iter(pieces)
            while (piece := await run_in_pool(lambda: next(iterator, _END), False)) is not _END:
                yield _text(piece)

    async def _ask(self) -> SessionInfo:
        """The user's own `retrieve_session`, or what was last known where it raises."""
        try:
            self._known = _normal(await _awaited(await run_in_pool(self.user.retrieve_session, False)))
        except Exception:
            log.warning("%s.retrieve_session() failed", type(self.user).__name__, exc_info=True)
        return self._known

    def fresh(self) -> CustomBackend:
        """Another one, by the object's own `fresh()`. Raises ConfigError where it has none."""
        if not hasattr(self.user, "fresh"):
            super().fresh()
        return CustomBackend(self._call_user("fresh"))

    def apart(self) -> Backend:
        """As all backends have it. Raises ConfigError where the object is in a conversation: it has no second
        one."""
        if self.session.id:
            raise ConfigError(
                f"{self.model} is in a conversation, which this would end: call its reset_session() first, "
                "or give its class a method fresh() that returns another one."
            )
        return super().apart()

    def reset_session(self) -> None:
        """Forget the conversation, here and in the user's object."""
        super().reset_session()
        self._call_user("reset_session")

    def reset_all(self) -> None:
        """Forget everything, here and in the user's object."""
        self.interrupt()
        self.session = Session()
        self._sessions.clear()
        self._call_user("reset_all")

    def update_agent(self, **changes: Any) -> None:
        """The user's own `update_agent`. Raises ConfigError where it has none."""
        if not hasattr(self.user, "update_agent"):
            super().update_agent(**changes)
        self._call_user("update_agent", **changes)

    def list_sessions(self, **options: Any) -> list[dict[str, Any]]:
        """The user's own `list_sessions` where it has one, normalised."""
        if not hasattr(self.user, "list_sessions"):
            return super().list_sessions()
        return [_normal(info).to_dict() for info in self._call_user("list_sessions", **options) or []]

    def retrieve_session(self) -> dict[str, Any]:
        """What the user's object says, completed by what we know: the status while and after our turns,
        tokens where it counts none."""
        if not loop.on_loop_thread() and not loop.is_ending():
            loop.run_sync(self._ask)
        return self._info(self.session).to_dict()

    def _info(self, session: Session) -> SessionInfo:
        known = self._known if session is self.session else SessionInfo(status=Status.NONE)
        own = session.status(Status(known.status))
        status = own if own in (Status.RUNNING, Status.ERROR) else known.status
        if status in (Status.NONE, Status.UNKNOWN) and session.id:
            status = own
        usage = known.usage if known.usage["input_tokens"] or known.usage["output_tokens"] else {}
        return SessionInfo(known.id or session.id, status, known.title, usage or session.usage.to_dict())

    def _call_user(self, method: str, **options: Any) -> Any:
        result = getattr(self.user, method)(**options)
        if not inspect.isawaitable(result):
            return result
        return loop.run_sync(lambda: _awaited(result))


async def _called(function: Any, prompt: str) -> Any:
    """`function(prompt)`: at once where that only makes a coroutine or a generator, else on a thread."""
    makes_at_once = (
        inspect.iscoroutinefunction(function)
        or inspect.isasyncgenfunction(function)
        or inspect.isgeneratorfunction(function)
    )
    return function(prompt) if makes_at_once else await run_in_pool(lambda: function(prompt), False)


async def _awaited(value: Any) -> Any:
    """The value; one that is awaitable is the user's code, and has its place."""
    return await user_loop.run(lambda: value) if inspect.isawaitable(value) else value


def _text(piece: Any) -> str:
    return piece if isinstance(piece, str) else "" if piece is None else str(piece)


def _normal(info: Any) -> SessionInfo:
    """Whatever a user's `retrieve_session` returned as a SessionInfo with nothing missing."""
    info = info.to_dict() if hasattr(info, "to_dict") else info
    info = info if isinstance(info, dict) else {}
    known = {key: info[key] for key in ("id", "title", "usage") if info.get(key)}
    return SessionInfo(status=info.get("status") or Status.NONE, **known)


def _difference(before: SessionInfo, after: SessionInfo) -> Usage | None:
    """What the turn used by the object's own cumulative count; None where it did not count."""
    tokens_in = after.usage["input_tokens"] - before.usage["input_tokens"]
    tokens_out = after.usage["output_tokens"] - before.usage["output_tokens"]
    if tokens_in < 0 or tokens_out < 0 or not tokens_in + tokens_out:
        return None
    return Usage(uncached_input_tokens=tokens_in, output_tokens=tokens_out)
