"""`Agent`: a name and a backend, for scripts, notebooks and threads.

>>> from praison_nb import Agent
>>> class Echo:
...     def execute(self, prompt, **kwargs): return prompt
...     def stream(self, prompt, **kwargs): yield from prompt.split()
...     def reset_session(self): ...
...     def reset_all(self): ...
...     def retrieve_session(self): return {"id": "echo-1", "status": "idle"}
>>> agent = Agent(name="echo", backend=Echo())
>>> agent.start("Hello there")
'Hellothere'
>>> list(agent.start("Hello there", stream=True))
['Hello', 'there']
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal, overload

from .backends import as_backend, choose
from .backends.base import Backend, answer_of
from .runtime.approvals import ask_by_input
from .runtime.deadlock import refuse_deadlock
from .runtime.run import Run
from .turn import Turn


class Agent:
    """An agent. `name` is the conversation's in panels and in the ledger. `backend` is a HostedAgent, a
    LocalAgent, or any object with the five methods of ManagedBackendProtocol; without one, what this
    machine's keys and servers offer is chosen. Raises ConfigError for what is no backend.

    >>> from praison_nb import Agent, ScriptedBackend
    >>> from praison_nb.events import TextDelta
    >>> agent = Agent("helper", ScriptedBackend([TextDelta(text="Hello")]))
    >>> agent.start("Hi"), agent.turn.stop_reason
    ('Hello', 'end_turn')
    """

    def __init__(self, name: str = "agent", backend: Any = None) -> None:
        self.name = name
        self.backend: Backend = as_backend(backend) if backend is not None else choose()
        self._run: Run | None = None

    @property
    def turn(self) -> Turn | None:
        """The last turn as it is now, with text, usage, cost and tool calls; None before the first."""
        return self._run.turn if self._run else None

    @overload
    def start(
        self, prompt: str, *, stream: Literal[False] = False, attachments: Iterable[Any] = ()
    ) -> str: ...
    @overload
    def start(
        self, prompt: str, *, stream: Literal[True], attachments: Iterable[Any] = ()
    ) -> Iterator[str]: ...
    def start(
        self, prompt: str, *, stream: bool = False, attachments: Iterable[Any] = ()
    ) -> str | Iterator[str]:
        """Send `prompt` and return the answer, or with `stream` an iterator over its pieces. `attachments`
        are pictures and documents, as `Backend.begin` has them.

        Works in scripts, notebooks and threads. Ctrl-C stops the turn and is raised again; `turn` keeps
        what there was. A tool that asks is asked about by `input()`, and not run where nobody can answer.
        Raises the errors of `praison_nb.errors`, each with `.turn`.
        """
        if stream:
            return self._stream(prompt, attachments)
        return answer_of(self._begin(prompt, attachments, blocks=True).wait())

    def _stream(self, prompt: str, attachments: Iterable[Any]) -> Iterator[str]:
        run = self._begin(prompt, attachments, blocks=True, stream=True)
        yield from run.text()
        answer_of(run.turn)

    async def astart(self, prompt: str, *, attachments: Iterable[Any] = ()) -> str:
        """`start` for code that awaits: the whole answer. Raises as `start` does."""
        return answer_of(await self._begin(prompt, attachments, blocks=False))

    def _begin(self, prompt: str, attachments: Iterable[Any], *, blocks: bool, stream: bool = False) -> Run:
        run = self.backend.begin(
            prompt, session=self.name, stream=stream, asker=ask_by_input, attachments=attachments
        )
        # One that is refused never was the last turn.
        refuse_deadlock(run, blocks=blocks)
        self._run = run
        return run

    def stop(self) -> None:
        """Stop the turn under way, from any thread."""
        if self._run:
            self._run.stop()

    def retrieve_session(self) -> dict[str, Any]:
        """The backend's session: id, status, title, usage."""
        return self.backend.retrieve_session()
