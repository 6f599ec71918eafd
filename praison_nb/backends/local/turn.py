"""One turn of a LocalAgent: the model is asked, the tools that it calls are run, and it is asked again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack
from typing import Any

from ...errors import EmbeddedModelError, PraisonError, UnreachableError
from ...events import Event, RequestFinished, RequestStarted, TextDelta, TurnFinished
from ...runtime.run import Run
from ...session import Usage
from ...text import replace_surrogates
from ...tools.dispatch import ToolDispatcher
from ...tools.tool import Tool
from ...turn import estimate_tokens
from ..sdk_errors import error_in_answer, is_retryable, retry_after, translate, unchained
from ..session import Session
from .chat import Reply, choice_schema, chosen_call, without_tools
from .client import TIMEOUT
from .config import LocalAgentConfig
from .providers import Server
from .tool_calls import ToolCalls
from .transport import Deadline, Stream, open_stream


class LocalTurn:
    """One turn under way. What it says enters the session's history at its end, and only whole: each
    tool call with its result, a stopped answer with the text so far."""

    def __init__(
        self,
        session: Session,
        config: LocalAgentConfig,
        server: Server,
        prompt: str,
        run: Run,
        policy_notices: Callable[[], Iterable[str]],
    ) -> None:
        self.session, self.config, self.server = session, config, server
        self.new: list[dict[str, Any]] = [{"role": "user", "content": prompt}]
        dispatcher = ToolDispatcher(
            run, config.tools, config.policies, config.working_dir, policy_notices=policy_notices
        )
        self.tools, self.calls = dispatcher.tools, ToolCalls(dispatcher)
        self.emulate = config.runs_embedded

    def save_to_history(self) -> None:
        """Put the turn into the history, once; a turn without any answer leaves no trace."""
        if len(self.new) > 1:
            self.session.messages.extend(self.new)
            self.new = []
            self.session.notify()

    async def events(self) -> AsyncIterator[Event]:
        """What happens, until the model calls no more tools."""
        for number in range(self.config.max_turns):
            reply = Reply()
            async for event in self._request(reply, first=number == 0):
                yield event
            self.calls.rename(reply.calls)
            if reply.has_content:
                self.new.append(reply.message())
            if not reply.calls:
                yield _end(reply)
                return
            async for event in self.calls.events(reply.calls, self.new):
                yield event
        limit = self.config.max_turns
        yield TurnFinished(
            stop_reason="max_turns",
            detail=f"stopped at max_turns={limit}: ask it to go on, or allow more requests",
        )

    async def _request(self, reply: Reply, *, first: bool) -> AsyncIterator[Event]:
        """One request to the model. Its RequestFinished comes in any case, so that no token is lost."""
        request = self._request_body(first)
        choosing = "response_format" in request and self.emulate and bool(self.tools)
        yield RequestStarted(input_tokens=estimate_tokens(len(json.dumps(request["messages"]))))
        opened, problem = False, None
        try:
            deadline = Deadline(self.config.timeout or TIMEOUT)
            async with AsyncExitStack() as stack:
                stream = await _opened(stack, self.server, request, deadline)
                from openai.types.chat import ChatCompletionChunk

                opened = True
                async for chunk in stream:
                    if said := chunk.get("error"):
                        raise error_in_answer(said, self.server.where)
                    for event in reply.take(ChatCompletionChunk.construct(**chunk)):
                        deadline.extend()
                        if not (choosing and isinstance(event, TextDelta)):
                            yield event
        except asyncio.CancelledError:
            # Stopped before the answer began: the prompt was on its way, and is paid.
            yield self._counted(reply, opened=True)
            self._keep_partial(reply, choosing)
            yield TurnFinished(stop_reason="interrupted")
            raise
        except Exception as error:
            problem = translate(error, self.server.where)
        yield self._counted(reply, opened)
        if problem is not None:
            self._keep_partial(reply, choosing)
            if self.emulate and isinstance(problem, UnreachableError):
                problem = await _ended(self.server.base_url) or problem
            raise unchained(problem)
        if not reply.finish_reason:
            self._keep_partial(reply, choosing)
            raise UnreachableError(
                f"{self.server.name} ended the stream before the answer was complete; the text so far is "
                "kept. Ask again."
            )
        if choosing:
            text = reply.message()["content"]
            if call := chosen_call(text):
                reply.choose(call)
            else:
                yield TextDelta(text=text, message_id=reply.message_id)

    def _keep_partial(self, reply: Reply, choosing: bool) -> None:
        """Keep the text of an answer that was cut off; half a tool call must not enter a history."""
        reply.calls.clear()
        if reply.has_content and not choosing:
            self.new.append(reply.message())

    def _request_body(self, first: bool) -> dict[str, Any]:
        config = self.config
        system = [{"role": "system", "content": config.system}] if config.system else []
        body: dict[str, Any] = {
            "model": self.server.model,
            "messages": replace_surrogates([*system, *self.session.messages, *self.new]),
            "stream_options": {"include_usage": True},
            **config.request_options,
        }
        if not self.tools:
            return body
        tools = [_declared(tool) for tool in self.tools.values()]
        choice = config.tool_choice if first else "auto"
        named = choice if choice in self.tools else ""
        if self.emulate:
            body["messages"] = without_tools(body["messages"])
            if choice == "required" or named:
                body["response_format"] = choice_schema(tools, named)
            return body
        body["tools"] = tools
        if choice != "auto":
            body["tool_choice"] = {"type": "function", "function": {"name": named}} if named else choice
        return body

    def _counted(self, reply: Reply, opened: bool) -> RequestFinished:
        # A request that the server refused outright used nothing; one that was cut gets the estimate.
        return RequestFinished(
            model=reply.model or self.server.model,
            provider=self.server.prices,
            usage=reply.usage if opened else Usage(),
            cost=reply.cost,
            cost_source="provider" if reply.cost is not None else "unpriced",
        )


async def _opened(
    stack: AsyncExitStack, server: Server, request: dict[str, Any], deadline: Deadline
) -> Stream:
    for retries in range(3):
        try:
            return await stack.enter_async_context(
                open_stream(server, "/chat/completions", request, deadline)
            )
        except PraisonError as problem:
            if retries == 2 or not is_retryable(problem):
                raise
            await asyncio.sleep(retry_after(problem) or 0.5 * 2**retries)
    raise AssertionError


def _end(reply: Reply) -> TurnFinished:
    match reply.finish_reason:
        case "length":
            return TurnFinished(stop_reason="max_tokens", detail="cut off: the model's limit of tokens")
        case "content_filter":
            return TurnFinished(stop_reason="refusal", detail="ended by the provider's content filter")
    return TurnFinished()


def _declared(tool: Tool) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.schema}
    return {"type": "function", "function": function}


async def _ended(base_url: str) -> EmbeddedModelError | None:
    """The error that says that the embedded model's process ended, where that is why the stream broke."""
    from ..embedded import process

    reason = await process.exit_reason(base_url)
    if reason is None:
        return None
    return EmbeddedModelError(
        f"The embedded model's process ended ({reason}). Ask again: it is started anew."
    )
