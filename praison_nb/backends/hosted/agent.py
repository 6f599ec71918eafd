"""HostedAgent: the whole agent loop runs on Anthropic's managed runtime, or on a server with the same API."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from ...answer_type import AnswerType
from ...errors import ConfigError, PraisonError
from ...events import Event
from ...runtime.approvals import Asker
from ...runtime.options import Subscriber, notices_of
from ...runtime.run import Run
from ...session import Status
from ...turn import Turn
from ..answer import validate_prompt
from ..arguments import check_options, checked_arguments
from ..session import Session
from ..typed import in_words
from . import api
from .agents import AgentMethods
from .answer_tool import with_request
from .client import address_of, ask
from .config import HostedAgentConfig, names_of
from .context import HostedContext
from .ensure import ensure
from .environments import EnvironmentMethods
from .files import FileMethods
from .inventory import InventoryMethods
from .outcomes import Outcome
from .protocol import RuntimeProtocol
from .session import HostedSession
from .sessions import SessionMethods
from .turn import HostedTurn
from .vaults import VaultMethods

log = logging.getLogger(__name__)


class HostedAgent(
    AgentMethods,
    EnvironmentMethods,
    FileMethods,
    InventoryMethods,
    SessionMethods,
    VaultMethods,
    RuntimeProtocol,
):
    """A backend whose agent loop runs on the provider's runtime. Agent, environment and session are created
    there when the first prompt is sent, and used again from then on. `config` is a HostedAgentConfig, or
    None for the defaults; `api_key` and `timeout` are fields of it, and `instructions` its `system`, where
    it has none. `provider` can be "anthropic" only.

    `on_tool_confirmation(call)` decides about tools that ask: `call` has `name` and `arguments` (JSON text);
    True allows, False or a text (the reason, for the model) denies. Without it the run's `approve` and
    `deny` do, and the turn waits. `on_custom_tool(name, arguments)` answers custom tools that were declared
    as dicts. Both may be async.

    The methods that ask the server wait for its answer and raise PraisonError; on the background loop, where
    waiting would stop every turn, they raise ConfigError instead.

    >>> from praison_nb import Agent, HostedAgent, HostedAgentConfig
    >>> config = HostedAgentConfig(api_key="test-key", base_url=hosted_url, packages={"pip": ["pandas"]})
    >>> agent = Agent("helper", HostedAgent(config))
    >>> agent.start("Say hello.")  # the server of the tests says what it hears
    'Say hello.'
    >>> agent.backend.retrieve_session()["status"], agent.turn.usage.output_tokens > 0
    ('idle', True)
    """

    name = "hosted"
    status_without_session = Status.UNKNOWN
    keeps_sessions_on_server = True
    takes_attachments = takes_output = True
    backoff_seconds: tuple[float, float] = (0.5, 10.0)
    """The first pause before a lost connection is made anew, and the longest."""

    @checked_arguments(HostedAgentConfig)
    def __init__(
        self,
        config: HostedAgentConfig | None = None,
        *,
        provider: str = "anthropic",
        api_key: str | None = None,
        timeout: float | None = None,
        instructions: str | None = None,
        on_tool_confirmation: Callable[..., Any] | None = None,
        on_custom_tool: Callable[..., Any] | None = None,
    ) -> None:
        if provider != "anthropic":
            raise ConfigError(
                f"provider={provider!r}: only 'anthropic' hosts agents. For a loop that runs here use "
                "LocalAgent(config=LocalAgentConfig(model=…))."
            )
        given = {"api_key": api_key, "timeout": timeout}
        super().__init__(HostedAgentConfig.with_arguments(config, instructions=instructions, **given))
        self.on_tool_confirmation = on_tool_confirmation
        self.on_custom_tool = on_custom_tool
        self._creating = asyncio.Lock()

    @property
    def address(self) -> str:
        """The server's, "" for Anthropic's own."""
        return address_of(self.config)

    @property
    def model(self) -> str:
        """The model's name: the session's own where that is known."""
        return self.session.model or self.config.model_name

    @property
    def session_id(self) -> str | None:
        """The session's id, None before there is one."""
        return self.session.id or None

    managed_session_id = session_id
    """`session_id`, by another name."""

    def attach(
        self,
        turn: Turn,
        *,
        stream: bool = False,
        budget: Decimal | float | str | None = None,
        asker: Asker | None = None,
        view: Callable[[Run], Subscriber] | None = None,
        subscribers: Iterable[Subscriber] = (),
        tags: Mapping[str, str] | None = None,
    ) -> Run:
        """Follow `turn`, the last one of the session, which a process that ended had begun, and return it
        under way: everything from its message on happens again, and nothing is sent. Its id being the same,
        nothing is counted twice. The options are as `begin` has them."""
        source = functools.partial(self.events, turn.prompt, is_attached=True)
        how = {"stream": stream, "budget": budget, "asker": asker, "view": view}
        return self._run(turn, source, subscribers, tags=tags, caller_waits=False, is_sent=True, **how)

    def define_outcome(
        self,
        description: str,
        *,
        rubric: str | Path | Mapping[str, Any],
        max_iterations: int = 3,
        session: str = "main",
        subscribers: Iterable[Subscriber] = (),
        notices: Iterable[str] = (),
        **options: Any,
    ) -> Run:
        """Start a turn that works until a grader on the server finds the `description` fulfilled by the
        `rubric`, and return it under way; it takes `max_iterations` attempts at most, 20 being the most.
        `rubric` is text, a Path to it, or the id of a file on the server. The other arguments are those of
        `begin`. A note says what the grader found in each attempt, and `stop_reason` how it ended:
        "satisfied", "max_iterations_reached", "failed" or "interrupted". Raises ConfigError.

        >>> from praison_nb import HostedAgentConfig
        >>> agent = HostedAgent(HostedAgentConfig(api_key="test-key", base_url=hosted_url))
        >>> run = agent.define_outcome("A list of primes below 20", rubric="Each number is prime.")
        >>> run.wait().stop_reason, run.turn.notices[-1]
        ('satisfied', 'Attempt 1: satisfied. It is as it should be.')
        """
        check_options("define_outcome", options, self.begin)
        outcome = Outcome(validate_prompt(description), rubric, max_iterations)
        if options.get("attachments"):
            raise ConfigError("An outcome has no attachments: give them as resources of the config.")
        turn = Turn(
            prompt=outcome.description,
            session=session,
            session_id=self.session.id,
            backend=self.name,
            model=self.model,
            notices=(*notices_of(notices), *self.policy_notices()),
        )
        source = functools.partial(self.events, turn.prompt, outcome=outcome)
        return self._run(turn, source, subscribers, **options)

    def events(
        self,
        prompt: str,
        session: Session,
        run: Run,
        *,
        is_attached: bool = False,
        outcome: Outcome | None = None,
    ) -> AsyncIterator[Event]:
        """One turn in the session, from the prompt, or the outcome in its place, until the session is idle
        again."""
        assert isinstance(session, HostedSession)
        context = HostedContext(
            config=self.config,
            ensure=functools.partial(self.ensure, output=run.output),
            takes_answers=self.config.has_room_for_answers,
            backoff_seconds=self.backoff_seconds,
            on_tool_confirmation=self.on_tool_confirmation,
            on_custom_tool=self.on_custom_tool,
            policy_notices=self.policy_notices,
        )
        return HostedTurn(context, session, prompt, run, is_attached=is_attached, outcome=outcome).events()

    def _typed_prompt(self, prompt: str, output: AnswerType, session: Session) -> str:
        assert isinstance(session, HostedSession)
        is_declared = session.output is not None or session.can_declare(self.config)
        return with_request(prompt) if is_declared else in_words(prompt, output)

    def fresh(self) -> HostedAgent:
        """Another one with the same config, functions, agent and environment, and sessions of its own."""
        made = HostedAgent(
            self.config,
            on_tool_confirmation=self.on_tool_confirmation,
            on_custom_tool=self.on_custom_tool,
        )
        made.agent_id, made.agent_version = self.agent_id, self.agent_version
        made.environment_id, made.backoff_seconds = self.environment_id, self.backoff_seconds
        return made

    async def discard_session(self) -> None:
        """Archive the session, where there is one; the next prompt begins a new one."""
        session, self.session = self.session, HostedSession()
        if session.id:
            try:
                await ask(self.config, lambda client: api.archive_session(client, session), session.label)
            except PraisonError as error:
                log.warning("%s was not archived: %s", session.label, error)

    async def ensure(self, session: HostedSession, output: AnswerType | None = None) -> None:
        """Find or create what the session needs and has not yet; or learn what a resumed one is.
        Who stops waiting does not stop it, so that nothing created is ever forgotten."""

        async def ensured() -> None:
            async with self._creating:
                await ensure(self.config, self, session, output)

        task = asyncio.ensure_future(ensured())
        task.add_done_callback(lambda done: None if done.cancelled() else done.exception())
        await asyncio.shield(task)

    def reset_session(self) -> None:
        """Forget the conversation: the next prompt begins a new session, with the same agent and
        environment. A turn under way is stopped. The old session stays on the server."""
        self._put_session(HostedSession())

    def reset_all(self) -> None:
        """Forget the session, the agent and the environment; all stay on the server, where the next prompt
        finds agent and environment again."""
        self.restore_ids({})
        self._sessions.clear()

    def resume_session(self, session_id: str) -> None:
        """Go on with a session of the server; the next prompt is sent to it. Asks no server yet."""
        if not isinstance(session_id, str) or not session_id.strip():
            raise ConfigError("resume_session needs a session's id, such as 'sesn_…'.")
        self._put_session(HostedSession(session_id.strip()))

    def save_ids(self) -> dict[str, Any]:
        """What `restore_ids` needs in another process: the ids of agent, environment and session, and the
        names of the tools that run here."""
        return {
            "agent_id": self.agent_id,
            "agent_version": self.agent_version,
            "environment_id": self.environment_id,
            "session_id": self.session_id,
            "tools": sorted(self._restored_tools | names_of(self.config.local_tools)) or None,
        }

    def restore_ids(self, ids: Mapping[str, Any]) -> None:
        """Use what `save_ids` of another process returned; for `attach`, `message_id` beside it is that of
        the last message whose turn has ended. Asks no server yet. Raises ConfigError."""
        if not _are_ids(ids):
            raise ConfigError("restore_ids takes the dict that save_ids() returned.")
        self._put_session(HostedSession(ids.get("session_id") or ""))
        self.session.message_id = ids.get("message_id") or ""
        self.agent_id = ids.get("agent_id") or None
        self.agent_version = ids.get("agent_version")
        self.environment_id = ids.get("environment_id") or None
        self._restored_tools = frozenset(ids.get("tools") or ())


def _are_ids(ids: Any) -> bool:
    """Whether it is what `save_ids` returns."""
    if not isinstance(ids, Mapping):
        return False
    texts = [ids.get(f"{kind}_id") or "" for kind in ("agent", "environment", "session", "message")]
    tools = ids.get("tools") or ()
    is_listed = isinstance(tools, list | tuple | set | frozenset)
    return (
        is_listed
        and isinstance(ids.get("agent_version"), int | None)
        and all(isinstance(each, str) for each in (*texts, *tools))
    )
