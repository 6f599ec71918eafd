"""One turn of a LocalAgent: the model is asked, the tools that it calls are run, and it is asked again. The
same for all wires."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, cast

from ...errors import ConfigError, EmbeddedModelError, PraisonError, UnreachableError
from ...events import Event, Notice, RequestStarted, TurnFailed, TurnFinished
from ...history import Item, User, from_json, with_attachments
from ...runtime.run import Run
from ...text import replace_surrogates
from ...tools.dispatch import ToolDispatcher
from ..request_body import Encoder
from ..sdk_errors import error_in_answer, unchained
from ..session import Session
from .attempts import Attempt
from .bounds import RequestBounds, bounds, with_limit
from .client import load
from .config import LocalAgentConfig
from .declared import declared
from .fitting import fitting
from .generation import stopped_cost
from .output import Output
from .providers import Server
from .tool_calls import ToolCalls
from .wires import Effort, ModelRequest, Wire, wire
from .wires.reply import Reply

ONLY_THOUGHTS = "The model thought and gave no answer: ask again."
EMPTY = "The model's answer is empty: ask again."
UNREADABLE = "The server no longer takes what the model thought before: the conversation goes on without it."


@dataclass(frozen=True, slots=True)
class FirstRequest:
    """The request that a turn begins with, of `size` bytes, as `server` would get it. `started` has the
    bounds of its tokens, by what the session knows in `bounds`."""

    server: Server
    wire: Wire
    asked: ModelRequest
    body: Mapping[str, Any]
    size: int
    started: RequestStarted
    bounds: RequestBounds


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
        on_custom_tool: Callable[..., Any] | None = None,
    ) -> None:
        self.session, self.config, self.server, self.run = session, config, server, run
        self.wire = wire(server.wire)
        self.history = [item for message in session.messages for item in from_json(message)]
        self.new: list[Item] = [User(text=prompt, attachments=run.attachments)]
        self.takes = self.wire.attachments & server.rules.attachments
        self.fitting = fitting(session, server)
        self.bounds = bounds(session, server, self.wire)
        self.reply = Reply()
        """The last answer of the model."""
        tools = declared(config.tools, on_custom_tool)
        dispatcher = ToolDispatcher(
            run, tools, config.policies, config.working_dir, policy_notices=policy_notices
        )
        self.tools, self.calls = dispatcher.tools, ToolCalls(dispatcher)
        self.output = None if run.output is None else Output(run.output, server, dispatcher.tools, config)

    def save_to_history(self) -> None:
        """Put the turn into the history, once; a turn without any answer leaves no trace."""
        if len(self.new) > 1:
            self.session.messages.extend(self.new)
            self.new = []
            self.session.notify()

    def first_request(self) -> FirstRequest:
        """What the turn begins with. Nothing is sent, and nothing in it is of this session alone. Raises
        ConfigError."""
        asked = replace(self._asked(first=True), session_id="")
        body = self.wire.request(asked)
        size = asked.size(body)
        started = self.bounds.started(body, size)
        return FirstRequest(self.server, self.wire, asked, body, size, started, self.bounds)

    def answered(self, first: FirstRequest, answer: Mapping[str, Any]) -> tuple[Reply, list[Event]]:
        """What a whole answer to the first request, as JSON, comes to: its text, and the turn's end."""
        reader = self.wire.reader(first.asked)
        events = [*reader.read(answer), *reader.end()]
        reply = reader.reply
        if reply.stop_reason == "refusal":
            reply.drop_calls()
        if self.output is not None:
            events += self.output.answer_by_tool(reply)
        if reply.text:
            self.new += reply.items
        self.save_to_history()
        if reply.error is not None:
            return reply, [*events, TurnFailed(error=error_in_answer(reply.error, self.server.where))]
        return reply, [*events, end_of(reply)]

    async def events(self) -> AsyncIterator[Event]:
        """What happens, until the model calls no more tools."""
        for each in self.run.attachments:
            if each.kind not in self.takes:
                raise ConfigError(
                    f"{self.server.name} takes no {each.kind}s on its {self.server.wire} wire: {each.label} "
                    "was not sent, and neither was the prompt."
                )
        for number in range(self.config.max_turns):
            async for event in self._answer(first=number == 0):
                yield event
            reply = self.reply
            if reply.stop_reason == "refusal":
                reply.drop_calls()
            if self.output is not None:
                for event in self.output.answer_by_tool(reply):
                    yield event
            self.calls.rename(reply.calls)
            # A pause without anything to go on from would be the same request again.
            is_paused = reply.stop_reason == "pause_turn" and bool(reply.parts)
            if reply.text or reply.calls or is_paused:
                self.new += reply.items
            if calls := [call.call for call in reply.calls]:
                async for event in self.calls.events(calls, self.new):
                    yield event
            elif not is_paused:
                if not reply.text and (reply.thought or reply.stop_reason == "end_turn"):
                    yield Notice(text=ONLY_THOUGHTS if reply.thought else EMPTY)
                yield end_of(reply)
                return
        limit = self.config.max_turns
        yield TurnFinished(
            stop_reason="max_turns",
            detail=f"stopped at max_turns={limit}: ask it to go on, or allow more requests",
        )

    async def _answer(self, *, first: bool) -> AsyncIterator[Event]:
        """Ask the model for `self.reply`. Each attempt is a request, whose RequestFinished comes in any case,
        so that no token is lost."""
        whole = self._asked(first)
        asked = await self.fitting.fit(whole)
        retries = 0
        while True:
            body = self.wire.request(asked)
            reader = self.wire.reader(asked)
            self.reply = reader.reply
            encoder = Encoder()
            size = asked.size(body, encoder.json)
            started = self.bounds.started(body, size)
            attempt = Attempt(
                self.server,
                self.wire,
                reader,
                body,
                started.input_tokens,
                self.config.timeout,
                self.run.report,
                encoder,
            )
            place: AbstractAsyncContextManager[None] = nullcontext()
            if self.run.pacer is not None:
                # What loading takes is no pause between two requests.
                await load(self.server)
                place = self.run.pacer.place(await self.run.pacer.wait(started.input_tokens))
            yield started
            # The budgets have been asked by now.
            limit = self.run.output_limit
            attempt.body = with_limit(self.server, self.wire, body, limit)
            try:
                if self.run.stopping:
                    # A stop that came while it was admitted arrives here, before anything is sent.
                    await asyncio.sleep(0)
                async with place:
                    async for event in attempt.events():
                        yield event
            except asyncio.CancelledError:
                for event in reader.end():
                    yield event
                if self.config.asks_stopped_cost:
                    await stopped_cost(self.server, reader.reply)
                yield attempt.finished(is_stopped=True)
                self._keep_partial()
                yield TurnFinished(stop_reason="interrupted")
                raise
            yield attempt.finished()
            self.bounds.counted(size, reader.reply.usage)
            if attempt.problem is None:
                if self.run.pacer is not None:
                    self.run.pacer.answered(attempt.sent_at)
                if reader.reply.stop_reason == "max_tokens" and limit is not None:
                    reader.reply.detail = f"cut off: a budget pays for {limit:,} tokens of answer"
                if line := self.fitting.accepted(whole, asked, attempt.reader.reply.usage):
                    yield Notice(text=line)
                break
            if self.bounds.is_too_long(attempt.problem, limit):
                continue
            if smaller := self.fitting.refit(whole, asked, attempt.problem):
                asked = smaller
                continue
            if self.output is not None and self.output.is_refused(attempt.problem):
                whole = self._asked(first)
                asked = await self.fitting.fit(whole)
                continue
            if smaller := self.fitting.without_opaque(whole, asked, attempt.problem):
                yield Notice(text=UNREADABLE)
                asked = smaller
                continue
            attempt.problem = await self._explained(attempt.problem)
            pause = attempt.pause(retries, self.run.pacer)
            if pause is None:
                self._keep_partial()
                raise unchained(attempt.problem)
            retries += 1
            yield attempt.waiting(pause)
            await asyncio.sleep(pause)

    def _keep_partial(self) -> None:
        """Keep the text of an answer that was cut off; half a tool call must not enter a history."""
        self.reply.drop_calls()
        if self.reply.text:
            self.new += self.reply.items

    def _asked(self, first: bool) -> ModelRequest:
        config = self.config
        asked = ModelRequest(
            model=self.server.model,
            origin=self.server.origin,
            history=with_attachments([*self.history, *self.new], self.takes),
            system=replace_surrogates(config.system),
            tools=list(self.tools.values()),
            tool_choice=config.tool_choice if first else "auto",
            effort=cast(Effort, config.effort),
            session_id=self.session.id,
            options=config.request_options,
            rules=self.server.rules,
        )
        return asked if self.output is None else self.output.applied(asked)

    async def _explained(self, problem: PraisonError) -> PraisonError:
        """`problem`, or that the embedded model's process ended, where that is why the stream broke."""
        if not self.config.runs_embedded or not isinstance(problem, UnreachableError):
            return problem
        from ..embedded import process

        reason = await process.exit_reason(self.server.base_url)
        if reason is None:
            return problem
        return EmbeddedModelError(
            f"The embedded model's process ended ({reason}). Ask again: it is started anew."
        )


def end_of(reply: Reply) -> TurnFinished:
    match reply.stop_reason:
        case "end_turn" | "tool_use":
            return TurnFinished(detail=reply.detail)
        case "max_tokens":
            detail = reply.detail or "cut off: the model's limit of tokens"
        case "refusal":
            detail = reply.detail or "ended by the provider's content filter"
        case _:
            detail = reply.detail
    return TurnFinished(stop_reason=reply.stop_reason, detail=detail)
