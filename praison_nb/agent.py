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

from collections.abc import Iterable
from typing import Any, Literal, overload

from .backends import as_backend, choose
from .backends.answer import answer_of, value_of
from .backends.answer_stream import AnswerStream
from .backends.arguments import checked_arguments
from .backends.base import Backend
from .errors import ConfigError
from .history import Item, Text, User, from_json
from .runtime.approvals import ask_by_input
from .runtime.deadlock import refuse_deadlock
from .runtime.run import Run
from .turn import Turn


class Agent:
    """An agent. `name` is the conversation's in panels and in the ledger. `backend` is a HostedAgent, a
    LocalAgent, or any object with the five methods of ManagedBackendProtocol; without one, what this
    machine's keys and servers offer is chosen. `instructions` are its system prompt from now on, in place of
    the config's. Raises ConfigError for what is no backend.

    >>> from praison_nb import Agent, ScriptedBackend
    >>> from praison_nb.events import TextDelta
    >>> agent = Agent("helper", ScriptedBackend([TextDelta(text="Hello")]))
    >>> agent.start("Hi"), agent.turn.stop_reason
    ('Hello', 'end_turn')
    """

    @checked_arguments()
    def __init__(self, name: str = "agent", backend: Any = None, instructions: str | None = None) -> None:
        self.name = name
        if backend is None:
            self.backend: Backend = choose(system=instructions)
        else:
            self.backend = as_backend(backend)
            if instructions is not None:
                self.backend.update_agent(system=instructions)
        self._runs: list[Run] = []

    @property
    def turn(self) -> Turn | None:
        """The last turn as it is now, with text, usage, cost and tool calls; None before the first."""
        return self._runs[-1].turn if self._runs else None

    @property
    def chat_history(self) -> list[dict[str, str]]:
        """What was said in the backend's session, oldest first: `{"role": "user" or "assistant", "content":
        text}`. Of a session whose messages are kept elsewhere it has what this Agent asked."""
        session = self.backend.session
        items: list[Item] = [item for message in session.messages for item in from_json(message)]
        if not items:
            turns = [run.turn for run in self._runs if run.turn.session_id == session.id]
            items = [item for turn in turns for item in (User(text=turn.prompt), Text(text=turn.text))]
        return [
            {"role": "user" if isinstance(item, User) else "assistant", "content": item.text}
            for item in items
            if isinstance(item, User | Text) and item.text
        ]

    @overload
    def start(
        self, prompt: str, *, stream: Literal[False] = False, attachments: Iterable[Any] = ()
    ) -> str: ...
    @overload
    def start(
        self, prompt: str, *, stream: Literal[False] = False, attachments: Iterable[Any] = (), output: Any
    ) -> Any: ...
    @overload
    def start(
        self, prompt: str, *, stream: Literal[True], attachments: Iterable[Any] = ()
    ) -> AnswerStream: ...
    @checked_arguments()
    def start(
        self, prompt: str, *, stream: bool = False, attachments: Iterable[Any] = (), output: Any = None
    ) -> Any:
        """Send `prompt` and return the answer, or with `stream` at once one that is under way: iterate it for
        the pieces. Where nobody does, they are printed as they come; `str()` of it is the whole answer.
        `attachments` are pictures and documents, as `Backend.begin` has them. With `output`, a type as
        `Backend.begin` has it, or with that of the backend's config, the answer is returned as a value of
        this type.

        Works in scripts, notebooks and threads. Ctrl-C stops the turn and is raised again; `turn` keeps
        what there was. A tool that asks is asked about by `input()`, and not run where nobody can answer.
        Raises the errors of `praison_nb.errors`, each with `.turn`.
        """
        if stream and (output is not None or self.backend.output_type is not None):
            raise ConfigError("A typed answer comes whole: leave stream or output out.")
        if stream:
            return AnswerStream(self._begin(prompt, blocks=True, attachments=attachments, stream=True))
        run = self._begin(prompt, blocks=True, attachments=attachments, output=output)
        turn = run.wait()
        return answer_of(turn) if run.output is None else value_of(turn)

    @overload
    async def astart(self, prompt: str, *, attachments: Iterable[Any] = ()) -> str: ...
    @overload
    async def astart(self, prompt: str, *, attachments: Iterable[Any] = (), output: Any) -> Any: ...
    async def astart(self, prompt: str, *, attachments: Iterable[Any] = (), output: Any = None) -> Any:
        """`start` for code that awaits: the whole answer. Raises as `start` does."""
        run = self._begin(prompt, blocks=False, attachments=attachments, output=output)
        turn = await run
        return answer_of(turn) if run.output is None else value_of(turn)

    def _begin(self, prompt: str, *, blocks: bool, **options: Any) -> Run:
        run = self.backend.begin(prompt, session=self.name, asker=ask_by_input, **options)
        # One that is refused never was the last turn.
        refuse_deadlock(run, blocks=blocks)
        self._runs.append(run)
        return run

    def stop(self) -> None:
        """Stop the turn under way, from any thread."""
        if self._runs:
            self._runs[-1].stop()

    def retrieve_session(self) -> dict[str, Any]:
        """The backend's session: id, status, title, usage."""
        return self.backend.retrieve_session()
