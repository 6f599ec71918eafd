"""The user's yes or no to tool calls that ask. Whoever has the Run gives it (`run.approve`, `run.deny`: a
page's buttons, `%agent allow`); where nobody has, the user is asked by `input()`, or it is a no.

A yes is for the call that was shown, to the byte: it carries the call's digest, and where another call stands
under the same id by then it counts for nothing."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Awaitable, Callable

from ..events import ApprovalAsked
from ..render import review
from ..text import shorten
from ..turn import ToolCall, Turn
from . import loop
from .function_call import ToolInterrupted

NO = "The user said no."
NOBODY = "Nobody can be asked here."
CHANGED = "The call was changed while the user was asked about it: call the tool again."

Asker = Callable[[ToolCall], bool]
"""Asks the user about a call, on the thread that waits for the turn. Raises NobodyToAskError."""


class NobodyToAskError(Exception):
    """There is no user who could be asked."""


class Approvals:
    """The answers of one turn, which `turn()` is; on the loop's thread, but for what says otherwise.
    `ask(call)` asks the user, where that is left to us, and `show(line)` shows a line to the user. `allowed`
    are the tools that may run without a question in this session."""

    def __init__(
        self,
        turn: Callable[[], Turn],
        allowed: set[str],
        ask: Callable[[ToolCall], Awaitable[bool]] | None,
        show: Callable[[str], object],
    ) -> None:
        self._turn, self._allowed, self._ask, self._show = turn, allowed, ask, show
        self._answers: dict[tuple[str, str], asyncio.Future[str | None]] = {}
        """By the call's id and digest."""
        self._asked: dict[str, ToolCall] = {}
        self._asking: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._changed: set[str] = set()
        """Calls that took the place of another one which the user had been asked about."""
        self._shown: set[tuple[str, str]] = set()
        """Calls of which the user was shown all, by id and digest."""

    # From any thread

    def has_changed(self, call_id: str) -> bool:
        """Whether the user was asked about another call under this id before. True once: who asks this shows
        the one that stands."""
        is_new = call_id in self._changed
        self._changed.discard(call_id)
        return is_new

    def note_shown(self, call: ToolCall) -> None:
        """The whole question about `call` stands where the user says yes by a line."""
        self._shown.add((call.id, digest_of(call)))

    def was_shown(self, call: ToolCall) -> bool:
        """Whether `note_shown` was said of this very call."""
        return (call.id, digest_of(call)) in self._shown

    # On the loop's thread

    def verdict(self, call_id: str, digest: str = "") -> asyncio.Future[str | None]:
        """The answer to come: None for yes, else the message of the no. Without a digest it is about the call
        as the turn has it now."""
        answer = self._answer(call_id, digest or self._digest(call_id))
        self._begin(call_id)
        return answer

    def asked(self, call: ToolCall) -> None:
        """The user has been shown the question."""
        self._asked[call.id] = call
        self._begin(call.id)

    def called(self, call_id: str) -> None:
        """There is a call of this id from now on. What was said about another one is no answer to it."""
        digest = self._digest(call_id)
        if self._asked.pop(call_id, None) is not None:
            self._changed.add(call_id)
        for key in [key for key in self._answers if key[0] == call_id]:
            if self._answers[key].done():
                del self._answers[key]
            elif key[1] != digest:
                self._settle(*key, CHANGED)

    def settles(self, event: ApprovalAsked) -> bool:
        """Whether nobody has to be asked about the call, or nobody can be: then the answer is given here."""
        call = self._call(event.call_id)
        if call is None:
            return False
        digest = digest_of(call)
        if event.digest and event.digest != digest:
            self._settle(call.id, event.digest, CHANGED)
        elif call.name in self._allowed:
            self._settle(call.id, digest, None)
        elif not review.can_be_shown(call.name, call.arguments):
            self._show(f"{shorten(call.name, 60)} was not run: its arguments are too long to be shown.")
            self._settle(call.id, digest, review.TOO_LONG)
        else:
            return False
        return True

    def approve(self, call_id: str, digest: str, for_session: bool = False) -> None:
        """Give a yes. It counts for nothing where the user was shown another call, or none."""
        call = self._asked.get(call_id)
        if call is None or digest_of(call) != digest:
            return
        self._settle(call_id, digest, None)
        if for_session:
            self._allowed.add(call.name)
            for other in self._turn().waiting:
                if other.name == call.name:
                    self.approve(other.id, digest_of(other))

    def deny(self, call_id: str, message: str) -> None:
        """Give a no to the call as the turn has it now."""
        self._settle(call_id, self._digest(call_id), message)

    def _settle(self, call_id: str, digest: str, message: str | None) -> None:
        """Give the answer; a second one counts for nothing."""
        answer = self._answer(call_id, digest)
        if not answer.done():
            answer.set_result(message)

    def _call(self, call_id: str) -> ToolCall | None:
        return next((call for call in self._turn().tools if call.id == call_id), None)

    def _digest(self, call_id: str) -> str:
        call = self._call(call_id)
        return digest_of(call) if call else ""

    def _answer(self, call_id: str, digest: str) -> asyncio.Future[str | None]:
        key = call_id, digest
        if key not in self._answers or self._answers[key].cancelled():
            self._answers[key] = loop.get().create_future()
        return self._answers[key]

    def _begin(self, call_id: str) -> None:
        call = self._asked.get(call_id)
        # Who decides by a callback shows the question too, and waits for no answer of ours.
        if self._ask is None or call is None:
            return
        key = call_id, digest_of(call)
        answer, task = self._answers.get(key), self._asking.get(key)
        if answer is None or answer.done() or (task is not None and not task.done()):
            return
        self._asking[key] = loop.get().create_task(self._decide(call, self._ask))

    async def _decide(self, call: ToolCall, ask: Callable[[ToolCall], Awaitable[bool]]) -> None:
        digest, name = digest_of(call), shorten(call.name, 60)
        try:
            if await ask(call):
                self.approve(call.id, digest)
                return
            message = NO
        except NobodyToAskError:
            self._show(f"{name} was not run: nobody can be asked here. Allow it by its policy.")
            message = NOBODY
        except ToolInterrupted:
            message = NO
        except Exception as error:
            self._show(f"{name} was not run: asking failed ({type(error).__name__}).")
            message = NOBODY
        self._settle(call.id, digest, message)


def digest_of(call: ToolCall) -> str:
    """What an answer to the question about `call` carries."""
    return review.digest(call.name, call.arguments)


def ask_by_input(call: ToolCall) -> bool:
    """Ask with `input()`: in a terminal, and in a notebook whose front end can answer a running cell. Raises
    NobodyToAskError."""
    ipython = sys.modules.get("IPython")
    in_kernel = ipython is not None and hasattr(ipython.get_ipython(), "kernel")
    in_terminal = sys.stdin is not None and not sys.stdin.closed and sys.stdin.isatty()
    if threading.current_thread() is not threading.main_thread() or not (in_kernel or in_terminal):
        raise NobodyToAskError
    counts = review.arguments(call.arguments).counts
    try:
        # The counts once more: of a long question only the end is in view.
        answer = input(f"{review.question(call.name, call.arguments)}\n{counts}. Allow it? [y/N] ")
    except (EOFError, NotImplementedError, OSError):
        raise NobodyToAskError from None
    return answer.strip().lower() in ("y", "yes")
