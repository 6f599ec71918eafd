"""What all backends share. A backend is one method, `events`, that yields what happens in a turn; running
it, its session and `retrieve_session()` are here.

>>> from praison_nb.events import TextDelta
>>> class Shout(Backend):
...     name = "shout"
...     async def events(self, prompt, session, run):
...         yield TextDelta(text=prompt.upper())
>>> Shout().begin("hello").wait().text
'HELLO'
"""

from __future__ import annotations

import copy
import functools
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import aclosing
from decimal import Decimal
from pathlib import Path
from typing import Any

from ..answer_type import AnswerType
from ..content import OutputFile, attach_all
from ..errors import ConfigError
from ..events import Event
from ..metering.shared_budget import SharedBudget
from ..metering.tags import of_turn
from ..runtime.approvals import Asker, ask_by_input
from ..runtime.mailbox import Mailbox
from ..runtime.options import OnWorker, Subscriber, TurnOptions, notices_of, subscribers_of
from ..runtime.output import write_output
from ..runtime.pacer import Pacer
from ..runtime.run import Run
from ..tools.builtin.registry import POLICIES
from ..tools.policy import policy_notices
from ..turn import Turn
from .answer import answer_of, validate_prompt
from .arguments import check_methods, checked_arguments
from .session import Session
from .session_keeper import SessionKeeper
from .typed import in_words, typed_events


@check_methods
class Backend(SessionKeeper, ABC):
    """A backend that yields typed events."""

    name = "custom"
    """The word that panels and the ledger show for it."""
    keeps_sessions_on_server = False
    """Whether a server has the sessions: it keeps their messages, goes on with a turn whose process ended,
    which `attach` follows again, and is asked by `archive_session`, `delete_session`, `rename` and
    `limit_budget`."""
    takes_attachments = False
    """Whether `events` sends `run.attachments` with the prompt."""
    takes_output = False
    """Whether `events` has the model answer with the type `run.output`; else the prompt asks for it."""

    waits_for_place = False
    """Whether each request waits for a place of `run.pacer`, and nothing else of a turn needs one: then more
    turns may be begun than there are places."""

    def __init__(self) -> None:
        super().__init__()
        self._policies: dict[str, str] | None = None
        """The config's at the last turn."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.model!r}, session={self.session.id!r})"

    @property
    def address(self) -> str:
        """Where its requests go, which the environment may say; "" where that decides nothing."""
        return ""

    @abstractmethod
    def events(self, prompt: str, session: Session, run: Run) -> AsyncIterator[Event]:
        """Run one turn in `session`, which it was begun in, on the background loop. When the turn is stopped,
        the generator gets CancelledError and may still yield its last usage."""

    @checked_arguments()
    def begin(
        self,
        prompt: str,
        *,
        session: str = "main",
        caller_waits: bool = True,
        stream: bool = False,
        budget: Decimal | float | str | SharedBudget | None = None,
        asker: Asker | None = None,
        view: Callable[[Run], Subscriber] | None = None,
        subscribers: Iterable[Subscriber] = (),
        tags: Mapping[str, str] | None = None,
        notices: Iterable[str] = (),
        attachments: Iterable[Any] = (),
        output: Any = None,
        pacer: Pacer | None = None,
        mailbox: Mailbox | None = None,
        on_worker: OnWorker | None = None,
    ) -> Run:
        """Start a turn and return it under way: `wait()` or `await` the Run for the Turn. Turns of one
        session run one after the other.

        `session` is the conversation's name for people. With `caller_waits` the user's functions run on the
        thread that waits for the Run; whoever does not wait gives False, and they run on one of a pool. With
        `stream` the text can be read from `Run.text()` while it comes.

        `budget` in USD, a number or text, is the turn's own: it ends before the request that would come after
        it is spent; None is no limit. `asker(call)`, called where a tool asks, returns True for yes; without
        it the turn waits for the Run's `approve` or `deny`.

        `subscribers` are called as `Run.subscribe` has it, from the first event on; `view(run)` makes one
        that shows the turn. `notices` are lines that are shown with the turn. `tags` say what it is for, such
        as {"study": "churn"}: the ledger notes them beside those of the notebook and of the agent's metadata.

        `attachments` are pictures and documents that go with the prompt: matplotlib figures, PIL pictures,
        Paths to png, jpg, gif, webp, pdf and txt files. What stands for each in `Turn.prompt` is a label.

        `output` is the type that the answer is to have: a pydantic model, dataclass, TypedDict, Literal,
        Enum, int, bool, … or a list of one. `Turn.value` is the answer as such a value. One that does not fit
        is asked for once more; then the turn ends with InvalidAnswerError. Without it the config's `output`
        counts, where there is one. A SharedBudget, a `pacer` and a `mailbox` are of several turns, such as a
        map's; `on_worker` is of one that another process books.

        Raises ConfigError for an empty prompt, a session that is no text, a budget that is none, tags that
        cannot be, and for attachments, subscribers, notices, an asker, a view or an output that cannot be.

        >>> from praison_nb import ScriptedBackend
        >>> from praison_nb.events import TextDelta
        >>> run = ScriptedBackend([TextDelta(text="Hello")]).begin("Hi", session="greeting", stream=True)
        >>> list(run.text()), run.turn.session
        (['Hello'], 'greeting')
        """
        if not isinstance(session, str):
            raise ConfigError(f"session must be a conversation's name, not {session!r:.40}.")
        if attachments:
            prompt, attachments = attach_all(prompt if isinstance(prompt, str) else "", attachments)
            if attachments and not self.takes_attachments:
                raise ConfigError(f"No pictures and documents go to {self.name} backends: leave them out.")
        turn = Turn(
            prompt=validate_prompt(prompt),
            session=session,
            session_id=self.session.id,
            backend=self.name,
            model=self.model,
            notices=(*notices_of(notices), *self.policy_notices()),
        )
        output = self.output_type if output is None else AnswerType.of(output)
        source = functools.partial(self.events, turn.prompt)
        if output is not None:
            source = functools.partial(
                typed_events, turn.prompt, events=self.events, typed_prompt=self._typed_prompt
            )
        how = {"caller_waits": caller_waits, "stream": stream, "budget": budget, "asker": asker, "view": view}
        sent = {"attachments": tuple(attachments or ()), "output": output}
        of_map = {"pacer": pacer, "mailbox": mailbox, "on_worker": on_worker}
        return self._run(turn, source, subscribers, tags=tags, **sent, **of_map, **how)

    @property
    def output_type(self) -> AnswerType | None:
        """The type of the answers of turns that have none of their own: the config's `output`."""
        return getattr(getattr(self, "config", None), "output", None)

    def _typed_prompt(self, prompt: str, output: AnswerType, session: Session) -> str:
        """The prompt that is sent first where the answer is to have the type `output`."""
        return prompt if self.takes_output else in_words(prompt, output)

    def policy_notices(self) -> tuple[str, ...]:
        """What code has changed in the policies since this was last asked: by each turn, and by each call."""
        configured = getattr(getattr(self, "config", None), "policies", {})
        before = getattr(configured, "given", configured) if self._policies is None else self._policies
        self._policies = dict(configured)
        return policy_notices(configured, before, POLICIES)

    def _run(
        self,
        turn: Turn,
        source: Callable[[Session, Run], AsyncIterator[Event]],
        subscribers: Iterable[Subscriber],
        **options: Any,
    ) -> Run:
        """Begin the turn; `options` are those of TurnOptions."""
        session, metadata = self.session, getattr(getattr(self, "config", None), "metadata", None)
        options["tags"] = of_turn(metadata, options.get("tags"))
        session.is_resumed = session.is_resumed or (bool(session.id) and session.run is None)
        run = Run(
            turn,
            functools.partial(source, session),
            chosen := TurnOptions(subscribers=(session.observe, *subscribers_of(subscribers)), **options),
            lock=session.lock,
            before=None if chosen.is_sent else session.before,
            allowed=session.allowed_tools,
        )
        if chosen.view is not None:
            run.subscribe(chosen.view(run))
        session.add(run)
        return run.begin()

    def compact(self, **options: Any) -> Run:
        """Start a turn that sums up the conversation, from which it then goes on. Raises ConfigError: a
        backend that can, does its own."""
        raise ConfigError(f"Only conversations of local models can be compacted: this one is on {self.name}.")

    def define_outcome(self, description: str, *, rubric: Any, **options: Any) -> Run:
        """Start a turn that works until a grader is content. Raises ConfigError: a backend that has one, does
        its own."""
        raise ConfigError(f"Only hosted agents work towards an outcome: this one is on {self.name}.")

    async def execute(self, prompt: str, *, attachments: Iterable[Any] = (), **kwargs: Any) -> str:
        """Send `prompt` with its `attachments`, as `begin` has them, and return the whole answer. `kwargs`
        are of the protocol, and nothing is made of them: `begin` has the options. Raises the turn's error
        (see praison_nb.errors)."""
        return answer_of(await self.begin(prompt, asker=ask_by_input, attachments=attachments))

    async def stream(
        self, prompt: str, *, attachments: Iterable[Any] = (), **kwargs: Any
    ) -> AsyncIterator[str]:
        """Send `prompt` and yield the answer in pieces; the arguments are those of `execute`. Leaving early
        stops the turn. Raises its error."""
        run = self.begin(prompt, stream=True, asker=ask_by_input, attachments=attachments)
        async with aclosing(run.atext()) as pieces:
            async for text in pieces:
                yield text
        answer_of(run.turn)

    def _execute_sync(self, prompt: str, stream_live: bool = False) -> str:
        """`execute` for a caller that waits; with `stream_live` the answer is printed as it comes.
        PraisonAI's own Agent looks for this name where it streams."""
        run = self.begin(prompt, stream=stream_live, asker=ask_by_input)
        for text in run.text():
            write_output(text)
        if stream_live:
            write_output("\n")
        return answer_of(run.turn)

    def update_agent(self, **changes: Any) -> None:
        """Change the agent from the next turn on. Raises ConfigError: a backend that can, does its own."""
        raise ConfigError(f"{', '.join(changes)} cannot be changed: {self.model} has no update_agent().")

    def fresh(self) -> Backend:
        """Another one that works as this one does, with a session of its own, so that both can have turns at
        once. Raises ConfigError: a backend that can, does its own."""
        raise ConfigError(f"{self.model} answers one prompt at a time.")

    async def discard_session(self) -> None:
        """Forget the conversation for good, on the server too: the next prompt begins a new one. On the
        background loop. Raises nothing."""
        self.session = Session()

    def apart(self) -> Backend:
        """The same agent with sessions of its own, for where there is no `fresh` one: only one of both may
        have a turn at once. Raises ConfigError where the conversation would be lost by it."""
        made = copy.copy(self)
        Backend.__init__(made)
        made.reset_session()
        return made

    def files(self) -> list[OutputFile]:
        """What the agent wrote in its container. Raises ConfigError: a backend that has one, does its own."""
        raise ConfigError(f"Only hosted agents write files on a server: this one is on {self.name}.")

    def download(self, file: OutputFile | str, to: str | Path = ".") -> Path:
        """Save such a file here. Raises ConfigError."""
        raise ConfigError(f"Only hosted agents write files on a server: this one is on {self.name}.")
