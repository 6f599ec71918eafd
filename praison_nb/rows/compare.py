"""`praison_nb.compare`: one prompt to several agents at once."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from typing import Any

from ..agent import Agent
from ..answer_type import AnswerType
from ..backends import as_backend
from ..backends.answer import validate_prompt
from ..backends.base import Backend
from ..content import attach_all
from ..errors import BackendError, ConfigError, PraisonError
from ..events import Event, TurnFailed, TurnFinished, new_id
from ..fold import fold
from ..metering.shared_budget import SharedBudget
from ..money import parse_usd
from ..runtime import loop
from ..runtime.approvals import Asker, ask_by_input
from ..runtime.mailbox import Mailbox
from ..runtime.observable import Observers
from ..runtime.options import Subscriber
from ..runtime.run import Run
from ..text import describe_exception
from ..turn import Turn
from . import view
from .api import backend_of
from .async_code import is_async
from .turns import Turns

NAME = "compare"
"""The session's name of the turns, where they have no other."""
WAITING = "waiting for what others may need of the budget"


def compare(
    prompt: str,
    agents: Iterable[Any],
    *,
    output: Any = None,
    budget: Decimal | float | str | None = None,
    attachments: Iterable[Any] = (),
    tags: Mapping[str, str] | None = None,
) -> Any:
    """Ask all `agents` the same `prompt` at once, each in a session of its own, and return their Turns: a
    list with a `frame`, in the order of the agents. Each is a model's name, a backend or an Agent. Where one
    fails, its Turn has the error, and the others go on.

    `output` is the type of the answers, `attachments` and `tags` are as `Backend.begin` has them. `budget` in
    USD is of all together, and never passed. An interrupt stops them all and is raised again.
    In code that awaits it returns a coroutine, as `map` does. Raises ConfigError.

    >>> import praison_nb
    >>> from praison_nb import ScriptedBackend
    >>> from praison_nb.events import TextDelta
    >>> one, two = (ScriptedBackend([TextDelta(text=text)], model=text.lower()) for text in ("Yes", "No"))
    >>> turns = praison_nb.compare("Is it?", [one, two])
    >>> turns.frame[["model", "text", "status"]].values.tolist()
    [['yes', 'Yes', 'done'], ['no', 'No', 'done']]
    """
    if isinstance(agents, str) or not isinstance(agents, Iterable):
        raise ConfigError(f'agents must be a list, such as ["gpt-5.6-luna", agent], not {agents!r:.60}.')
    agents = list(agents)
    awaited = is_async(sys._getframe(1))
    asker, show = (ask_by_input, None) if view.of_comparison is None else view.of_comparison(awaited)
    run = Comparison(
        prompt,
        [fresh_backend(each) for each in agents],
        names=[each if isinstance(each, str) else _name(each) for each in agents],
        output=output,
        budget=budget,
        attachments=attachments,
        tags=tags,
        asker=asker,
    )
    return _awaited(run, show) if awaited else run.begin(show).wait()


async def _awaited(run: Comparison, show: Callable[[Comparison], Subscriber] | None) -> Turns:
    return await run.begin(show)


def fresh_backend(agent: Any) -> Backend:
    """A backend with a session of its own, that works as `agent` does, or runs the model of this name. One of
    the user's own objects goes on in its session. Raises ConfigError."""
    if isinstance(agent, str):
        return backend_of(agent)
    backend = as_backend(agent)
    with suppress(ConfigError):
        return backend.fresh()
    return backend


def _name(agent: Any) -> str:
    """What an object is called: an Agent's name, or its model."""
    return agent.name if isinstance(agent, Agent) else as_backend(agent).model


class Comparison:
    """Turns of one prompt under way, one on each of `backends`. It lives on the background loop; its methods
    may be called from any thread, and are those that a Run has. `wait()` or `await` it for the Turns. `turn`
    stands for all of them. Raises ConfigError."""

    def __init__(
        self,
        prompt: str,
        backends: list[Backend],
        *,
        names: Iterable[str] = (),
        session: str = NAME,
        output: Any = None,
        budget: Decimal | float | str | None = None,
        attachments: Iterable[Any] = (),
        asker: Asker | None = None,
        stream: bool = False,
        tags: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        loop.refuse_at_end()
        if not backends:
            raise ConfigError("There is no agent to ask.")
        prompt, attached = attach_all(prompt if isinstance(prompt, str) else "", attachments)
        self._prompt, self._backends, self._stream = validate_prompt(prompt), backends, stream
        self._mailbox = Mailbox()
        limit = None if budget is None else SharedBudget(parse_usd(budget, "budget"), "comparison")
        self.output = None if output is None else AnswerType.of(output)
        self._options = {
            "session": session,
            "output": self.output,
            "budget": limit,
            "attachments": attached,
            "asker": asker,
            "mailbox": self._mailbox,
            # What belongs together in the ledger.
            "tags": {"comparison": new_id()[:8], **(tags or {})},
            **options,
        }
        self._first = [
            Turn(prompt=self._prompt, session=session, backend=each.name, model=each.model)
            for each in backends
        ]
        is_typed = any(each is not None for each in (self.output, *(each.output_type for each in backends)))
        self.turns = Turns(self._first, names, is_typed=is_typed)
        self._runs: dict[int, Run] = {}
        self._running = set(range(len(backends)))
        """Places of those that have not settled."""
        self._held: set[int] = set()
        """Places of those that begin again when another one has settled."""
        self._stopping = False
        self._observers: Observers[Event, Turn] = Observers()
        self.settled: Future[None] = Future()

    def begin(self, show: Callable[[Comparison], Subscriber] | None = None) -> Comparison:
        """Start, in the caller's context, so that the ledger knows the cell. `show(self)` makes what shows
        it."""
        if show is not None:
            self._observers.add(show(self))
        loop.get().call_soon_threadsafe(self._begin)
        return self

    @property
    def turn(self) -> Turn:
        """All turns as one, as they are now."""
        return replace(self.turns.total, id=f"of-{self._first[0].id}")

    def stop(self) -> None:
        """End them all now; text and usage so far stay."""
        loop.get().call_soon_threadsafe(self._stop)

    def approve(self, call_id: str, digest: str | None = None, *, for_session: bool = False) -> None:
        """Let the tool call go on, as `Run.approve` has it; the id is as `turn` has it."""
        if found := self._find(call_id):
            found[0].approve(found[1], digest, for_session=for_session)

    def deny(self, call_id: str) -> None:
        """Refuse the tool call."""
        if found := self._find(call_id):
            found[0].deny(found[1])

    def _find(self, call_id: str) -> tuple[Run, str] | None:
        place, _, call_id = call_id.partition(":")
        run = self._runs.get(int(place)) if place.isdecimal() else None
        return None if run is None else (run, call_id)

    def wait(self) -> Turns:
        """Block until all are over. An interrupt stops them and is raised again."""
        for _ in self.text():
            pass
        return self.turns

    def text(self) -> Iterator[str]:
        """Nothing while they run, since they run at once; with the option `stream` all of it at the end."""
        loop.refuse_to_wait()
        return self._mailbox.read(self.stop)

    def __await__(self) -> Generator[Any, None, Turns]:
        return self._join().__await__()

    async def _join(self) -> Turns:
        async for _ in self._mailbox.aread(self.stop):
            pass
        return self.turns

    def __repr__(self) -> str:
        return repr(self.turns)

    # On the loop's thread

    def _begin(self) -> None:
        for place in range(len(self._backends)):
            self._start(place)

    def _start(self, place: int) -> None:
        observe = functools.partial(self._observe, place)
        self._running.add(place)
        try:
            run = self._backends[place].begin(self._prompt, subscribers=[observe], **self._options)
        except Exception as error:
            known = error if isinstance(error, PraisonError) else BackendError(describe_exception(error))
            failed = TurnFailed(error=known.with_traceback(None))
            self._observe(place, failed, fold(self._first[place], failed))
            self._settle(place)
        else:
            self._runs[place] = run
            run.settled.add_done_callback(lambda _: self._settle(place, run))

    def _observe(self, place: int, event: Event, turn: Turn) -> None:
        if place in self._runs and self._runs[place].turn.id != turn.id:
            return  # of one that was begun again
        is_refused = turn.stop_reason == "budget_reached" and not turn.requests
        if is_refused and self._running - self._held - {place} and not self._stopping:
            # What others have reserved comes free when they end.
            self._held.add(place)
            turn = replace(self._first[place], activity=WAITING)
        turns = [*self.turns[:place], turn, *self.turns[place + 1 :]]
        self.turns = Turns(turns, self.turns.names, is_typed=self.turns.is_typed)
        self._observers.notify(event, self.turn)
        self._close_when_over()

    def _settle(self, place: int, run: Run | None = None) -> None:
        if self._runs.get(place) is not run:
            return
        self._running.discard(place)
        if place not in self._held:
            again, self._held = self._held, set()
            for each in sorted(again):
                del self._runs[each]
                self._backends[each] = fresh_backend(self._backends[each])
                self._start(each)
        self._close_when_over()

    def _stop(self) -> None:
        self._stopping = True
        for run in self._runs.values():
            run.stop()
        held, self._held = self._held, set()
        for place in held:
            del self._runs[place]
            self._running.discard(place)
            event = TurnFinished(stop_reason="interrupted")
            self._observe(place, event, fold(self._first[place], event))

    def _close_when_over(self) -> None:
        if self._held or any(each.ended is None for each in self.turns):
            return
        if not self._running and not self.settled.done():
            self.settled.set_result(None)
        if not self._running or self._stopping:
            if self._stream:
                self._stream = False
                self._mailbox.put(repr(self.turns))
            self._mailbox.close()
