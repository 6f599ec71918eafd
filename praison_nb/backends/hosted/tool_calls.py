"""What a hosted session asks of us in a turn: a yes or no to a tool, or the result of a Python function."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from ...errors import PraisonError
from ...events import ApprovalAnswered, ApprovalAsked, Event, Notice, ToolFinished
from ...render import review
from ...runtime.approvals import NO
from ...runtime.function_call import ToolInterrupted
from ...runtime.run import Run
from ...text import describe_exception, shorten
from ...tools.dispatch import STOPPED, ToolDispatcher
from ...turn import ToolCall
from ...values import redact_and_truncate
from .answer_tool import ANSWER_TOOL, TAKEN
from .context import HostedContext
from .fields import auto_reason, digest_of, needs_approval, tool_started
from .translate import Reader

log = logging.getLogger(__name__)


class ToolCalls:
    """Answers each tool use that `reader` knows once; what is not for us stays open, for whoever it is for.
    `put` shows an event, `spawn` runs a coroutine beside the turn, and `send` puts answers into the
    session."""

    def __init__(
        self,
        context: HostedContext,
        reader: Reader,
        run: Run,
        *,
        put: Callable[[Event], None],
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        send: Callable[[list[dict[str, Any]]], Awaitable[object]],
    ) -> None:
        self._context, self._reader, self._run = context, reader, run
        self._put, self._spawn, self._send = put, spawn, send
        config = context.config
        self._functions = ToolDispatcher(
            run,
            config.local_tools,
            config.policies,
            config.working_dir,
            self._decision,
            context.policy_notices,
        )
        self._pending: dict[str, tuple[Any, asyncio.Task[None]]] = {}
        """The tool uses whose answer is not known yet, and who works on it."""
        self._notified: set[str] = set()
        self.answer = ""
        """The typed answer's JSON, once it was given."""

    @property
    def are_pending(self) -> bool:
        """Whether the session waits for an answer of ours."""
        return bool(self._pending)

    def process_pending(self) -> None:
        """See to every tool use that is open and new, and leave those that somebody else answered."""
        reader = self._reader
        for key in [key for key in self._pending if key in reader.calls.answered]:
            self._pending.pop(key)[1].cancel()
        # A function runs as soon as it is called; everything else when the session says that it waits.
        for use in (reader.calls.unanswered | {use.id: use for use in reader.calls.open()}).values():
            if use.id in reader.calls.answered or not self._is_new(use):
                continue
            if not self._is_answerable(use):
                self._notify_once(use)
            elif reader.stopping:
                reader.calls.answer(use.id)
                self._spawn(self._answer(self._refusal(use)))
            else:
                answer = self._approve(use) if needs_approval(use) else self._run_function(use)
                self._pending[use.id] = use, self._spawn(answer)

    def _is_new(self, use: Any) -> bool:
        """Whether nothing answers the tool use yet. One that was changed while the user was asked is one that
        is asked about again; what runs already runs as it was called."""
        if use.id not in self._pending:
            return True
        before, task = self._pending[use.id]
        is_asked = needs_approval(before) or self._functions.is_asking(use.id)
        if not is_asked or digest_of(before) == digest_of(use):
            return False
        task.cancel()
        del self._pending[use.id]
        return True

    def _is_answerable(self, use: Any) -> bool:
        """Whether an answer to the tool use is up to this process."""
        if use.type != "agent.custom_tool_use":
            return needs_approval(use)
        return (
            self._gives_answer(use)
            or use.name in self._functions.tools
            or self._context.on_custom_tool is not None
        )

    def _gives_answer(self, use: Any) -> bool:
        return use.name == ANSWER_TOOL and self._context.takes_answers

    def _notify_once(self, use: Any) -> None:
        if use.id in self._reader.calls.blocking and use.id not in self._notified:
            self._notified.add(use.id)
            line = f"The agent waits for the tool {shorten(str(use.name), 60)}, which does not run here."
            hint = "Answer from where it runs; or stop the turn, and name it with -t."
            self._put(Notice(text=f"{line} {hint}"))

    def cancel_pending(self) -> list[dict[str, Any]]:
        """End what is waited for, since the turn was stopped: the answers that say so."""
        refusals = []
        for use, task in self._pending.values():
            task.cancel()
            self._reader.calls.answer(use.id)
            refusals.append(self._refusal(use))
        self._pending.clear()
        return refusals

    def _refusal(self, use: Any) -> dict[str, Any]:
        if needs_approval(use):
            self._put(ApprovalAnswered(call_id=use.id, allowed=False))
            return _confirmation(use, STOPPED)
        self._put(ToolFinished(call_id=use.id, result=STOPPED, is_error=True))
        return _result(use, STOPPED, True)

    async def _approve(self, use: Any) -> None:
        digest, call = digest_of(use), tool_started(use)
        # A long text takes a while to look at, and is remembered then.
        await asyncio.to_thread(review.can_be_shown, call.name, call.arguments)
        if reason := auto_reason(use):
            self._put(Notice(text=f"{shorten(call.name, 60)} asks: the server did not judge it ({reason})."))
        self._put(ApprovalAsked(call_id=use.id, digest=digest))
        message = await self._decision(use.id, digest)
        self._mark_answered(use.id)
        self._put(ApprovalAnswered(call_id=use.id, allowed=message is None))
        await self._answer(_confirmation(use, message))

    async def _decision(self, call_id: str, digest: str) -> str | None:
        """None for yes, else why not. Only a plain True of the callback is a yes."""
        callback = self._context.on_tool_confirmation
        if callback is None:
            return await self._run.approvals.decision(call_id, digest)
        event = tool_started(self._reader.calls.uses[call_id])
        call = ToolCall(event.call_id, event.name, event.arguments, event.runs, event.time, approval="asked")
        try:
            answer = await self._call(callback, call)
        except Exception as error:
            log.warning("on_tool_confirmation failed, which means no: %s", type(error).__name__)
            return NO
        if answer is True:
            return None
        return answer if isinstance(answer, str) and answer else NO

    async def _run_function(self, use: Any) -> None:
        result, is_error = await self._result_of(use)
        self._mark_answered(use.id)
        self._put(ToolFinished(call_id=use.id, result=result, is_error=is_error))
        await self._answer(_result(use, result, is_error))

    async def _result_of(self, use: Any) -> tuple[str, bool]:
        """The result for the model, and whether it is an error. What a tool raises never ends the turn."""
        if self._gives_answer(use):
            self.answer = tool_started(use).arguments
            return TAKEN, False
        other = self._context.on_custom_tool
        if use.name in self._functions.tools or other is None:
            return await self._functions.call(use.id, use.name, tool_started(use).arguments, self._put)
        try:
            value = await self._call(other, use.name, dict(use.input or {}))
            return await self._functions.text_of_result(lambda: value, False), False
        except ToolInterrupted as error:
            return str(error), True
        except Exception as error:
            return redact_and_truncate(describe_exception(error)), True
        finally:
            self._functions.report(self._put)

    async def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """A callback of the user's, where the user's functions run."""
        call, is_async = self._run.call, inspect.iscoroutinefunction(function)
        value = await call(functools.partial(function, *arguments), is_async)
        return await call(lambda: value, True) if isinstance(value, Awaitable) else value

    def _mark_answered(self, call_id: str) -> None:
        self._pending.pop(call_id, None)
        self._reader.calls.answer(call_id)

    async def _answer(self, answer: dict[str, Any]) -> None:
        try:
            await self._send([answer])
        except PraisonError as error:
            # The session waits no more, or the connection is gone for good: the stream shows which.
            log.warning("an answer was not accepted: %s", error)
            self._put(Notice(text=f"An answer to a tool call was not accepted: {error}"))


def _confirmation(use: Any, message: str | None) -> dict[str, Any]:
    answer = {"type": "user.tool_confirmation", "tool_use_id": use.id, **_thread(use)}
    if message is None:
        return {**answer, "result": "allow"}
    return {**answer, "result": "deny", "deny_message": message}


def _result(use: Any, text: str, is_error: bool) -> dict[str, Any]:
    # A block of text may not be empty.
    content = [{"type": "text", "text": text or "(nothing)"}]
    answer = {"type": "user.custom_tool_result", "custom_tool_use_id": use.id, "content": content}
    return {**answer, **_thread(use), "is_error": is_error}


def _thread(use: Any) -> dict[str, str]:
    """The thread of a sub-agent's call, which its answer repeats."""
    thread = getattr(use, "session_thread_id", None)
    return {"session_thread_id": thread} if thread else {}
