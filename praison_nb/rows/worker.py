"""What runs on a worker of a map: a chunk of questions, side by side, without ledger and answer file. What
happens comes back as events, which the caller's turns take as if it had happened there."""

from __future__ import annotations

import functools
import os
import pickle
import shutil
import sys
import tempfile
from concurrent.futures import wait
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from ..answer_type import Answer, AnswerType
from ..backends.base import Backend
from ..errors import ConfigError, PraisonError
from ..events import (
    Activity,
    AnswerParsed,
    ApprovalAsked,
    Event,
    RequestFinished,
    RequestStarted,
    SessionAttached,
    Spent,
    TextDelta,
    TurnFailed,
)
from ..metering.ledger import Row
from ..metering.writer import Writer
from ..runtime.options import OnWorker
from ..runtime.pacer import Pacer
from ..runtime.run import Run
from ..text import describe_exception
from ..turn import Turn
from .parcel import Parcel

SETTLING_SECONDS = 30.0
"""For what a backend still learns of its usage."""
_OF_THE_CALLER = SessionAttached | RequestStarted | Spent | Activity | AnswerParsed | ApprovalAsked


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A prompt, the `messages` before it, and the type of the answer. Each request may be answered with
    `output_limit` tokens, and all of them may cost `allowance` (USD); None is no limit."""

    prompt: str
    messages: tuple[Any, ...] = ()
    output: AnswerType | None = None
    output_limit: int | None = None
    allowance: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What happened, without a price, and what the conversation has more."""

    events: list[Event] = field(default_factory=list)
    messages: list[Any] = field(default_factory=list)


class Unparsed(AnswerType):
    """A type that the caller parses answers by: its schema goes to workers, and not the user's class."""

    def __init__(self, output: AnswerType) -> None:
        vars(self).update({name: each for name, each in vars(output).items() if name != "_adapter"})

    def parse(self, text: str) -> Answer:
        """The text."""
        return Answer(self.name, text, text)


def version() -> str:
    """The package's."""
    return str(sys.modules["praison_nb"].__version__)


def answer_chunk(of_caller: str, parcel: bytes, questions: bytes) -> bytes:
    """Ask the questions, all at once, of the agent in the parcel, and return a pickle: an Answered for each,
    or the error that is all questions'. `of_caller` is the caller's version."""
    made: list[Answered] | PraisonError
    try:
        if of_caller != version():
            raise ConfigError(
                f"The workers have praison_nb {version()}, and here is {of_caller}: install the same there."
            )
        backend, pacer = _unpacked(parcel)
        asked = [_begin(backend, pacer, each) for each in pickle.loads(questions)]
        made = [each if isinstance(each, Answered) else _answered(*each) for each in asked]
    except PraisonError as error:
        made = error
    return pickle.dumps(made)


@functools.lru_cache(maxsize=4)
def _unpacked(parcel: bytes) -> tuple[Backend, Pacer]:
    """The agent, and the gate of all that it asks from here."""
    try:
        found: Parcel = pickle.loads(parcel)
    except Exception as error:
        raise ConfigError(
            f"A worker cannot read the agent ({describe_exception(error)}): define its functions in a "
            "module that the workers can import, or install cloudpickle here and there."
        ) from None
    return found.backend(), Pacer(retries=found.retries)


Begun = tuple[Run, Backend, list[Event], int]


def _begin(backend: Backend, pacer: Pacer, question: Question) -> Begun | Answered:
    events: list[Event] = []
    agent = backend.fresh()
    agent.session.messages.extend(question.messages)

    def collect(event: Event, turn: Turn) -> None:
        events.append(event)

    try:
        run = agent.begin(
            question.prompt,
            subscribers=[collect],
            caller_waits=False,
            asker=_refuse,
            budget=question.allowance,
            output=question.output,
            pacer=pacer,
            on_worker=OnWorker(writer=_writer(os.getpid()), output_limit=question.output_limit),
        )
    except PraisonError as error:
        return Answered(events=[TurnFailed(error=error)])
    return run, agent, events, len(question.messages)


def _refuse(call: Any) -> bool:
    """On a worker there is nobody to ask."""
    return False


def _answered(run: Run, backend: Backend, events: list[Event], before: int) -> Answered:
    run.wait()
    wait([run.settled], SETTLING_SECONDS)
    made: list[Event] = []
    for event in [*events]:
        last = made[-1] if made else None
        match event:
            case TextDelta() if isinstance(last, TextDelta) and last.message_id == event.message_id:
                made[-1] = replace(last, text=last.text + event.text)
            case RequestFinished() if event.cost_source != "provider":
                # The caller has the prices.
                made.append(replace(event, cost=None, cost_source="unpriced", fees=Decimal(0)))
            case TurnFailed():
                event.error.turn = None
                made.append(event)
            case _ if not isinstance(event, _OF_THE_CALLER):
                made.append(event)
    return Answered(events=made, messages=backend.session.messages[before:])


class Unkept(Writer):
    """Who asked books what was used: here only what is to be sent is admitted."""

    def enqueue(self, *items: Row, within: float = 0.0) -> None:
        """Nothing is written."""


@functools.lru_cache(maxsize=1)
def _writer(process: int) -> Writer:
    """Of a file that nobody keeps."""
    import atexit

    folder = tempfile.mkdtemp(prefix="praison_nb-worker-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Unkept(Path(folder) / "ledger.sqlite")
