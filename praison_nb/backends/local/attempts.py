"""One request may take several attempts, each of which the user sees and may have to pay. They are made only
before anything of an answer came: what came cannot be taken back."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import chain
from typing import Any

from ...errors import (
    MalformedStreamError,
    PraisonError,
    ProviderError,
    RateLimitError,
    TurnTimeoutError,
    UnreachableError,
)
from ...events import Activity, Event, RequestFinished
from ...history import Opaque
from ...runtime.pacer import Pacer
from ...session import Usage
from ...turn import estimate_tokens
from ..coalesce import coalesce_events
from ..network_errors import causes
from ..request_body import Encoder
from ..sdk_errors import error_in_answer, is_retryable, translate
from ..silence import ReportedSilence
from .estimates import silent_thinking, thinks
from .providers import Server
from .transport import TIMEOUT, Deadline, open_stream
from .wires import Reader, Wire
from .wires.costs import SEARCHES, cost_in_headers

RETRIES = 2
"""Attempts after the first one."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 8.0
"""Seconds between two attempts, twice as long each time, where the server does not say."""
PATIENCE = 60.0
"""Whoever wants to be asked again later than that, in seconds, is not asked again."""


@dataclass(eq=False)
class Attempt:
    """One attempt at a request of about `estimate` tokens. Its `problem`, None where it went well, is known
    after `events`. `report` takes what the user reads while there are no events, and `encoder` has written
    some of the body."""

    server: Server
    wire: Wire
    reader: Reader
    body: Mapping[str, Any]
    estimate: int
    timeout: float | None
    report: Callable[[Event], None]
    encoder: Encoder = field(default_factory=Encoder)
    problem: PraisonError | None = None
    _is_open: bool = field(default=False, init=False)
    _cost_in_headers: Decimal | None = field(default=None, init=False)
    sent_at: float = field(default=0.0, init=False)
    """By `time.monotonic()`, 0 before that."""
    _silent_seconds: float | None = field(default=None, init=False)

    async def events(self) -> AsyncIterator[Event]:
        """The answer as it comes."""
        reader, reply = self.reader, self.reader.reply
        self.sent_at = time.monotonic()
        deadline = Deadline(self.timeout or TIMEOUT)
        progress, form = reply.progress, ""
        try:
            with ReportedSilence(lambda: reply.progress, self.report):
                async with open_stream(
                    self.server, self.wire.path, self.body, deadline, self.encoder
                ) as stream:
                    self._is_open = True
                    self._cost_in_headers = cost_in_headers(stream.headers)
                    while messages := await stream.batch():
                        if not reply.progress:
                            form = form or _other_form(messages, self.wire.name)
                        for event in coalesce_events(chain.from_iterable(map(reader.read, messages))):
                            yield event
                        if reply.progress:
                            form = ""
                        if reply.received and self._silent_seconds is None:
                            self._silent_seconds = time.monotonic() - self.sent_at
                        if reply.progress != progress:
                            progress = reply.progress
                            deadline.extend()
        except Exception as error:
            self.problem = translate(error, self.server.where)
            if reply.stop_reason and isinstance(self.problem, UnreachableError | TurnTimeoutError):
                # What breaks behind the end of an answer takes nothing from it.
                self.problem = None
        is_told = self.problem is None and (bool(reply.stop_reason) or stream.end == "done")
        # Of an answer that was cut too: its last words may wait for what follows them.
        for event in reader.end():
            yield event
        if self.problem is None and reply.error is not None:
            self.problem = error_in_answer(reply.error, self.server.where)
        elif self.problem is None and form and not reply.progress:
            self.problem = MalformedStreamError(
                f"{self.server.name} was asked on the wire {self.wire.name!r} and answers in the form of "
                f"{form!r}: set wire={form!r}."
            )
        elif self.problem is None and not (reply.stop_reason and (is_told or reply.is_whole)):
            self.problem = UnreachableError(
                f"{self.server.name} ended the stream before the answer was complete; the text so far is "
                f"kept. Ask again.{stream.last_words}",
                is_retryable=True,
            )

    def finished(self, *, is_stopped: bool = False) -> RequestFinished:
        """What it used. A request that was refused, or never sent, used nothing; one that was cut off has the
        server's count so far, or the estimate: its prompt was on its way, and is paid."""
        reply = self.reader.reply
        cost = self._cost_in_headers if reply.cost is None else reply.cost
        was_stopped = is_stopped and self.sent_at > 0
        is_sent = self._is_open or was_stopped or (self.problem is not None and _was_sent(self.problem))
        return RequestFinished(
            model=self._model(),
            provider=self.server.payee,
            usage=self._usage(is_cut=is_stopped or self.problem is not None) if is_sent else Usage(),
            cost=cost,
            cost_source="provider" if cost is not None else "unpriced",
            fees=reply.fees or Decimal(0),
            billed_calls=self._billed_calls() if is_sent else {},
            # One that was cut before the server said it has the tier that was asked for.
            service_tier=reply.service_tier or str(self.body.get("service_tier") or ""),
        )

    def _model(self) -> str:
        """The server's name for the model; of OpenRouter's variants (`:free`) it tells the beginning."""
        named, asked = self.reader.reply.model, self.server.model
        return asked if not named or asked.startswith(f"{named}:") else named

    def _usage(self, *, is_cut: bool) -> Usage:
        """The server's count; what it left out, or never came to count, is estimated."""
        reply = self.reader.reply
        used = reply.usage
        if used is not None and not used.estimated:
            # The server may have gone on behind what arrived.
            return replace(used, estimated=is_cut and reply.may_count_more)
        silent = 0
        if reply.thought or thinks(self.body):
            seconds = self._silent_seconds
            silent = silent_thinking(time.monotonic() - self.sent_at if seconds is None else seconds)
        if used is None:
            output = estimate_tokens(reply.received)
            used = Usage(uncached_input_tokens=self.estimate, output_tokens=output, estimated=True)
        elif used.reasoning_output_tokens:
            return used
        return replace(
            used,
            output_tokens=used.output_tokens + silent,
            reasoning_output_tokens=used.reasoning_output_tokens + silent,
        )

    def _billed_calls(self) -> dict[str, int]:
        """Of searches that no usage counts it is known that there was one."""
        calls = self.reader.reply.billed_calls
        searches = bool(self.body.get("web_search_options")) or "-search-" in self.server.model
        return calls if calls or not searches else {SEARCHES: 1}

    def pause(self, retries: int, pacer: Pacer | None = None) -> float | None:
        """For how many seconds to wait before the next attempt, None where there should be none. `retries` is
        how many there were. What a server refuses for now, a `pacer` has all turns wait for."""
        reply = self.reader.reply
        most, patience = (pacer.retries, pacer.patience) if pacer else (RETRIES, PATIENCE)
        if self.problem is None or retries >= most or not is_retryable(self.problem):
            return None
        if reply.progress or any(isinstance(part, Opaque) for part in reply.parts):
            return None
        after = self.problem.retry_after if isinstance(self.problem, ProviderError) else None
        if after is not None:
            pause = max(0.0, after) if after <= patience else None
        else:
            # Not all at once who were refused at once.
            pause = min(FIRST_PAUSE * 2.0**retries, LONGEST_PAUSE) * random.uniform(0.75, 1)
        if pacer and pause and isinstance(self.problem, RateLimitError):
            pacer.hold(pause, self.sent_at)
        return pause

    def waiting(self, seconds: float) -> Activity:
        """What the user reads meanwhile."""
        status = self.problem.status_code if isinstance(self.problem, ProviderError) else None
        match self.problem:
            case RateLimitError():
                reason = "has too many requests"
            case TurnTimeoutError():
                reason = "did not answer in time"
            case UnreachableError():
                reason = "cannot be reached"
            case _:
                reason = "failed"
        code = f" ({status})" if status else ""
        return Activity(text=f"{self.server.name} {reason}, trying again in {seconds:.0f} s{code}")


def _other_form(events: Iterable[Mapping[str, Any]], wire: str) -> str:
    """The wire of which the first of the events is that is not of `wire`, "" where there is none."""
    return next(filter(None, (_form(event, wire) for event in events)), "")


def _form(event: Mapping[str, Any], wire: str) -> str:
    kind = str(event.get("type"))
    if "choices" in event:
        form = "chat"
    elif kind.startswith("response."):
        form = "responses"
    else:
        form = "messages" if kind.startswith(("message_", "content_block_")) else wire
    return "" if form == wire else form


def _was_sent(problem: PraisonError) -> bool:
    """Whether the request had reached the server when there was no answer to it."""
    if isinstance(problem, ProviderError) and problem.status_code is not None:
        return False
    names = {
        kind.__name__ for cause in causes(problem) if cause is not problem for kind in type(cause).__mro__
    }
    # Those of the SDKs' HTTP clients.
    return bool(names) and not names & {"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError"}
