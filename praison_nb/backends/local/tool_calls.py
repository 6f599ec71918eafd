"""The tool calls of a local turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from ...events import Event, ToolFinished, ToolStarted, new_id
from ...history import Call, Item, Result
from ...tools.dispatch import STOPPED, ToolDispatcher
from ...tools.mending import tool_name
from .wires.reply import CallParts


class ToolCalls:
    """The calls of one turn."""

    def __init__(self, dispatcher: ToolDispatcher) -> None:
        self._dispatcher = dispatcher
        self._ids: set[str] = set()

    def rename(self, calls: list[CallParts]) -> None:
        """Give calls the names of the tools that they mean, before anybody is asked about them, and new ids
        where theirs were used in this turn: a yes to one is no yes to another."""
        for call in calls:
            call.name = tool_name(call.name, self._dispatcher.tools)
            if call.id in self._ids:
                call.id = f"call_{new_id()[:24]}"
            self._ids.add(call.id)

    async def events(self, calls: list[Call], history: list[Item]) -> AsyncIterator[Event]:
        """Run the calls of one reply, side by side where they are async, and put their results into the
        history in the calls' order."""
        for call in calls:
            yield ToolStarted(call_id=call.id, name=call.name, arguments=call.arguments or "{}")
        results = {call.id: Result(call_id=call.id, text=STOPPED, is_error=True) for call in calls}
        queue: asyncio.Queue[Event] = asyncio.Queue()

        async def work(call: Call) -> None:
            text, is_error = await self._dispatcher.call(call.id, call.name, call.arguments, queue.put_nowait)
            results[call.id] = Result(call_id=call.id, text=text, is_error=is_error)
            queue.put_nowait(ToolFinished(call_id=call.id, result=text, is_error=is_error))

        tasks = [asyncio.ensure_future(work(call)) for call in calls]
        try:
            left = len(calls)
            while left:
                event = await queue.get()
                left -= isinstance(event, ToolFinished)
                yield event
        except asyncio.CancelledError:
            while not queue.empty():
                yield queue.get_nowait()
            raise
        finally:
            for task in tasks:
                task.cancel()
            history += results.values()
