"""Runs the functions and built-in tools of a turn, whichever backend's agent calls them: asks the user where
the policy says so, and reports to model and user."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..events import ApprovalAnswered, ApprovalAsked, Event, Notice
from ..redaction import collecting, notice, redact
from ..render import review
from ..runtime.approvals import NO
from ..runtime.function_call import ToolInterrupted
from ..runtime.run import Run
from ..text import describe_exception, replace_surrogates, shorten
from ..values import redact_and_truncate, value_text
from .builtin.registry import resolve
from .results import collected, listed, needs_loop
from .tool import Tool, ToolError, policy_of

STOPPED = "The user stopped the turn."
Emit = Callable[[Event], None]
"""Takes an event of the turn."""


@dataclass(frozen=True, slots=True)
class _Result:
    """What a call comes to: `text` for the model, and of an error the line for the user, "" where the user
    knows."""

    text: str
    is_error: bool = False
    line: str = ""


class ToolDispatcher:
    """The tools of one turn. `decision(call_id, digest)` is the answer to a call that asks: None for yes,
    else the reason for the no."""

    def __init__(
        self,
        run: Run,
        tools: Collection[Callable[..., object] | str | Tool],
        policies: Mapping[str, str],
        working_dir: str,
        decision: Callable[[str, str], Awaitable[str | None]] | None = None,
        policy_notices: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self._policy_notices = policy_notices
        self._run, self._policies = run, policies
        self._decision = decision or run.approvals.decision
        self._hidden: dict[str, None] = {}
        """What was hidden from the model in this turn, by name."""
        self._reported = 0
        self.tools: dict[str, Tool] = resolve(tools, working_dir, self.run_there)
        self._asking: set[str] = set()

    def is_asking(self, call_id: str) -> bool:
        """Whether the call waits for the user's answer."""
        return call_id in self._asking

    async def call(self, call_id: str, name: str, arguments: str, emit: Emit) -> tuple[str, bool]:
        """The result for the model, and whether it is an error. The user gets a line about an error, and
        about secrets that were hidden. What a tool raises never ends the turn."""
        with collecting(self._hidden):
            # As the user is shown them.
            result = await self._call(call_id, name, replace_surrogates(arguments), emit)
            if result.line:
                emit(Notice(text=redact(f"{shorten(name, 60)} failed: {shorten(result.line, 200)}")))
        self.report(emit)
        return result.text, result.is_error

    def report(self, emit: Emit) -> None:
        """Notify the user of what was hidden since the last report, each once."""
        if names := list(self._hidden)[self._reported :]:
            self._reported += len(names)
            emit(Notice(text=notice(names)))

    async def run_there(self, function: Callable[[], Any], is_async: bool) -> Any:
        """`run.call`, which collects what is hidden there too."""

        async def later() -> Any:
            with collecting(self._hidden):
                return await function()

        def now() -> Any:
            with collecting(self._hidden):
                return function()

        return await self._run.call(later if is_async else now, is_async)

    async def text_of_result(self, function: Callable[[], Any], is_async: bool) -> str:
        """What the user's function returns, as text for the model. Making text of a value is the
        user's code too: it runs where the function does."""

        def text(value: Any) -> str:
            # Hidden before it is cut, which would leave half of a secret.
            return redact_and_truncate(value_text(value))

        async def later(value: Any = None) -> str:
            if value is None:
                value = await function()
            return text(await collected(value))

        def now() -> Any:
            value = function()
            return value if needs_loop(value) else text(listed(value))

        result = await self.run_there(later if is_async else now, is_async)
        if not isinstance(result, str):
            result = await self.run_there(functools.partial(later, result), True)
        return str(result)

    async def _call(self, call_id: str, name: str, arguments: str, emit: Emit) -> _Result:
        tool = self.tools.get(name)
        if tool is None:
            known = ", ".join(self.tools) or "none"
            return _Result(f"There is no tool {name!r}. There are: {known}.", True, "there is no such tool")
        try:
            function = tool.bind(arguments)
            if refusal := await self._refusal(call_id, tool, arguments, emit):
                return _Result(refusal, True)
            if tool.on_loop:
                # Built-in tools say themselves what they leave out of a long result.
                return _Result(redact(await function()))
            return _Result(await self.text_of_result(function, tool.is_async))
        except ToolInterrupted as error:
            return _Result(str(error), True)
        except ToolError as error:
            return _Result(redact_and_truncate(str(error)), True, redact_and_truncate(error.line))
        except Exception as error:
            text = redact_and_truncate(describe_exception(error))
            return _Result(text, True, text)

    async def _refusal(self, call_id: str, tool: Tool, arguments: str, emit: Emit) -> str:
        """Why the call may not run, "" where it may. Where the policy says so, the user is asked."""
        never = f"The user does not allow {tool.name}."
        # What an earlier call of the turn has changed.
        for line in self._policy_notices():
            emit(Notice(text=line))
        match policy_of(tool, self._policies):
            case "allow":
                return ""
            case "ask":
                digest = review.digest(tool.name, arguments)
                # A long text takes a while to look at, and is remembered then.
                await asyncio.to_thread(review.can_be_shown, tool.name, arguments)
                emit(ApprovalAsked(call_id=call_id, digest=digest))
                self._asking.add(call_id)
                message = await self._decision(call_id, digest)
                self._asking.discard(call_id)
                if message is None and policy_of(tool, self._policies) == "deny":
                    # The policy was set while the user was asked.
                    message = never
                emit(ApprovalAnswered(call_id=call_id, allowed=message is None))
                return "" if message is None else message or NO
            case _:
                return never
