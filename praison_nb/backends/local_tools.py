"""The tool calls of a local turn: asked for, run, and told to model and user."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from .. import toolbox
from ..events import (
    ApprovalAnswered,
    ApprovalAsked,
    Event,
    Notice,
    ToolFinished,
    ToolStarted,
    new_id,
)
from ..lend import ToolInterrupted
from ..render import SHOWN_CHARACTERS, short
from ..run import Run
from ..tools import Tool, ToolError, policy_of
from ..values import describe
from .chat import CallParts
from .local_config import LocalAgentConfig

STOPPED = "The user stopped the turn."
Tell = Callable[[Event], None]


class ToolCalls:
    """The tools of one turn, and their calls."""

    def __init__(self, run: Run, config: LocalAgentConfig) -> None:
        self._run, self._policies = run, config.policies
        self.tools: dict[str, Tool] = toolbox.resolve(config.tools, config.working_dir, run.call)
        self._ids: set[str] = set()
        self._asking: set[str] = set()

    def rename(self, calls: list[CallParts]) -> None:
        """Give calls new ids where theirs were used in this turn: a yes to one is no yes to another."""
        for call in calls:
            if call.id in self._ids:
                call.id = f"call_{new_id()[:24]}"
            self._ids.add(call.id)

    async def events(self, calls: list[CallParts], history: list[dict[str, Any]]) -> AsyncIterator[Event]:
        """Run the calls of one reply, side by side where they are async, and put their results into the
        history in the calls' order."""
        for call in calls:
            yield ToolStarted(call_id=call.id, name=call.name, arguments=call.arguments or "{}")
        results = {call.id: STOPPED for call in calls}
        told: asyncio.Queue[Event] = asyncio.Queue()

        async def work(call: CallParts) -> None:
            result, problem = await self._call(call, told.put_nowait)
            results[call.id] = result
            if problem:
                told.put_nowait(Notice(text=f"{short(call.name, 60)} failed: {short(problem, 200)}"))
            told.put_nowait(ToolFinished(call_id=call.id, result=result, is_error=problem is not None))

        tasks = [asyncio.ensure_future(work(call)) for call in calls]
        try:
            left = len(calls)
            while left:
                event = await told.get()
                left -= isinstance(event, ToolFinished)
                yield event
        except asyncio.CancelledError:
            for call_id in self._asking:
                yield ApprovalAnswered(call_id=call_id, allowed=False)
            raise
        finally:
            for task in tasks:
                task.cancel()
            history += [
                {"role": "tool", "tool_call_id": call.id, "content": results[call.id]} for call in calls
            ]

    async def _call(self, call: CallParts, tell: Tell) -> tuple[str, str | None]:
        """The result for the model; for the user the line that says what went wrong, "" where the user knows,
        None where nothing did. What a tool raises never ends the turn."""
        tool = self.tools.get(call.name)
        if tool is None:
            known = ", ".join(self.tools) or "none"
            return f"There is no tool {call.name!r}. There are: {known}.", "there is no such tool"
        try:
            function = tool.bind(call.arguments)
            if refusal := await self._refusal(call, tool, tell):
                return refusal, ""
            if tool.on_loop:
                return toolbox.hide(describe(await function())), None
            return describe(await self._run.call(function, tool.is_async)), None
        except ToolInterrupted as error:
            return str(error), ""
        except ToolError as error:
            text, line = (toolbox.hide(part) for part in (str(error), error.line))
            return text, line
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            return text, text

    async def _refusal(self, call: CallParts, tool: Tool, tell: Tell) -> str:
        """Why the call may not run, "" where it may. Where the policy says so, the user is asked."""
        match policy_of(tool, self._policies):
            case "allow":
                return ""
            case "ask":
                if len(call.arguments) > SHOWN_CHARACTERS:
                    return "The arguments are too long to be shown to the user, who would have to allow them."
                tell(ApprovalAsked(call_id=call.id))
                self._asking.add(call.id)
                message = await self._run.verdict(call.id)
                self._asking.discard(call.id)
                tell(ApprovalAnswered(call_id=call.id, allowed=message is None))
                return "" if message is None else message or "The user said no."
            case _:
                return f"The user does not allow {tool.name}."
