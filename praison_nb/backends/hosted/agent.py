"""HostedAgent: the whole agent loop runs on Anthropic's managed runtime, or on a server with the same API."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

from ...errors import ConfigError, PraisonError
from ...events import Event
from ...history import Item
from ...runtime import loop
from ...runtime.approvals import Asker
from ...runtime.options import Subscriber
from ...runtime.run import Run
from ...session import Status
from ...turn import Turn
from ..base import Backend
from ..session import Session
from . import api
from .budget import BudgetLimit, budget_dict
from .client import ask, client_of
from .config import HostedAgentConfig, changed_config, names_of, update_params
from .context import HostedContext
from .session import HostedSession
from .turn import HostedTurn

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

T = TypeVar("T")
log = logging.getLogger(__name__)


class HostedAgent(Backend):
    """A backend whose agent loop runs on the provider's runtime. Agent, environment and session are created
    there when the first prompt is sent, and used again from then on. `config` is a HostedAgentConfig, or
    None for the defaults. `provider` can be "anthropic" only.

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
    backoff_seconds: tuple[float, float] = (0.5, 10.0)
    """The first pause before a lost connection is made anew, and the longest."""

    def __init__(
        self,
        config: HostedAgentConfig | None = None,
        *,
        provider: str = "anthropic",
        on_tool_confirmation: Callable[..., Any] | None = None,
        on_custom_tool: Callable[..., Any] | None = None,
    ) -> None:
        if provider != "anthropic":
            raise ConfigError(
                f"provider={provider!r}: only 'anthropic' hosts agents. For a loop that runs here use "
                "LocalAgent(config=LocalAgentConfig(model=…))."
            )
        super().__init__()
        self.config = HostedAgentConfig.of(config)
        self.session: HostedSession = HostedSession()
        self.agent_id: str | None = None
        self.agent_version: int | None = None
        self.environment_id: str | None = None
        """Its id on the server, as `agent_id` and its version are: None before there is one."""
        self.on_tool_confirmation = on_tool_confirmation
        self.on_custom_tool = on_custom_tool
        self._restored_tools: frozenset[str] = frozenset()
        """The names of the tools that ran in the process that the agent was restored from."""
        self._creating = asyncio.Lock()
        self._limit = BudgetLimit()

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

    def client(self) -> AsyncAnthropic:
        """The SDK's async client, for use on the background loop. Raises MissingKeyError."""
        return client_of(self.config)

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
        return self._run(turn, source, subscribers, tags, caller_waits=False, is_sent=True, **how)

    def events(
        self, prompt: str, session: Session, run: Run, *, is_attached: bool = False
    ) -> AsyncIterator[Event]:
        """One turn in the session, from the prompt until the session is idle again."""
        assert isinstance(session, HostedSession)
        context = HostedContext(
            config=self.config,
            ensure=self.ensure,
            backoff_seconds=self.backoff_seconds,
            on_tool_confirmation=self.on_tool_confirmation,
            on_custom_tool=self.on_custom_tool,
            policy_notices=self.policy_notices,
        )
        return HostedTurn(context, session, prompt, run, is_attached=is_attached).events()

    async def ensure(self, session: HostedSession) -> None:
        """Create what the session needs and has not yet, each once; or learn what a resumed one is.
        Who stops waiting does not stop it, so that nothing created is ever forgotten."""

        async def ensure() -> None:
            async with self._creating:
                await api.ensure(self.config, self, session)

        task = asyncio.ensure_future(ensure())
        task.add_done_callback(lambda done: None if done.cancelled() else done.exception())
        await asyncio.shield(task)

    def retrieve_agent(self) -> dict[str, Any]:
        """The agent as the server has it, as a dict; {} before there is one. Its version becomes the one
        that `update_agent` changes."""
        if (agent_id := self.agent_id) is None:
            return {}
        agent = self._ask(lambda client: api.retrieve_agent(client, agent_id), f"the agent {agent_id}")
        self.agent_version = agent.get("version", self.agent_version)
        return agent

    def list_agents(self, limit: int | None = None, **options: Any) -> list[dict[str, Any]]:
        """The agents on the server, as dicts; all of them, or `limit`."""
        return self._ask(lambda client: api.list_agents(client, limit, options))

    def update_agent(self, **changes: Any) -> None:
        """Change fields of the config. Where the agent exists it is changed on the server, unless somebody
        else changed it meanwhile (RequestRejectedError), and the next prompt begins a new session with it;
        the old one keeps what it was made with. A new environment is made for new packages or networking.

        What the server has already is no change: a function that was defined anew, or one of those that the
        agent had in the process that it was restored from."""
        version = changes.pop("version", self.agent_version)
        before = self.config
        after, changed = changed_config(before, changes, self._restored_tools)
        if (agent_id := self.agent_id) is not None and changed:
            params = update_params(before, after, changed)
            self.agent_version = self._ask(
                lambda client: api.update_agent(client, agent_id, version, params), f"the agent {agent_id}"
            )
        if "tools" in changed:
            self._restored_tools = frozenset()
        self.config = after
        if is_moved := before.environment_params() != after.environment_params():
            self.environment_id = None
        if self.session.id and (changed or is_moved):
            self.reset_session()

    def retrieve_session(self) -> dict[str, Any]:
        """The session as the server knows it: `{"id", "status", "title", "usage"}`. Never raises: what
        cannot be had is "unknown", with what was known last. Without a session it asks nobody."""
        session = self.session
        if not session.id or loop.on_loop_thread():
            return session.cached_info().to_dict()
        try:
            return self._ask(lambda client: api.retrieve_session(client, session), session.label).to_dict()
        except PraisonError as error:
            log.warning("retrieve_session: %s", error)
            return session.cached_info(is_reachable=False).to_dict()

    async def read_messages(self, session: Session) -> list[Item]:
        """The messages of `session` on the server. Asks nobody while it has no id."""
        messages = functools.partial(api.read_messages, session_id=session.id)
        return await ask(self.config, messages, f"the session {session.id}") if session.id else []

    def list_sessions(self, limit: int | None = None, **options: Any) -> list[dict[str, Any]]:
        """The agent's sessions on the server, newest first, each as `retrieve_session()` has it; all of
        them, or `limit`. `options` are the API's filters (agent_id, statuses, include_archived, …). Without
        an agent and without options there are none."""
        if self.agent_id is not None:
            options.setdefault("agent_id", self.agent_id)
        if not options:
            return []
        sessions = self._ask(lambda client: api.list_sessions(client, self.session, limit, options))
        return [session.to_dict() for session in sessions]

    def interrupt(self) -> None:
        """Stop the turn under way, or what a resumed session does on its server; else nothing happens."""
        session = self.session
        if not session.stop() and session.id and not session.over:
            self._ask(lambda client: api.interrupt(client, session.id), session.label)

    def archive_session(self, session_id: str | None = None) -> None:
        """Archive the session, or another one by its id: it takes no more prompts, and stays on the server
        to be read. One that runs is interrupted first."""
        self._end(session_id, api.archive_session)

    def delete_session(self, session_id: str | None = None) -> None:
        """Delete the session, or another one by its id. One that runs is interrupted first."""
        self._end(session_id, api.delete_session)

    def _end(self, session_id: str | None, end: Callable[..., Awaitable[None]]) -> None:
        session = self.session if session_id in (None, "", self.session.id) else HostedSession(session_id)
        if not session.id:
            raise ConfigError("There is no session yet: nothing to archive or delete.")
        self._ask(lambda client: end(client, session), session.label)
        if self.session is session:
            self.reset_session()

    def set_budget(self, budget: float | Decimal | None) -> None:
        """Raise the session's budget, in USD at list price, or lift it with None. A session that was made
        without a budget cannot get one. Later sessions have it from the start."""
        config, session, limit = replace(self.config, budget=budget), self.session, budget_dict(budget)
        if session.id:
            self._ask(lambda client: api.set_budget(client, session.id, limit), session.label)
        self.config = config

    def limit_budget(self, limit: Decimal | None) -> None:
        """Have the server end the session at `limit` (USD) where that is less than the config's own budget;
        None lifts the limit. A session that was made without a budget stays without."""
        current = self.config.budget
        if self.session.id and current is None:
            return
        if (budget := self._limit.apply(current, limit)) != current:
            self.set_budget(budget)

    def reset_session(self) -> None:
        """Forget the conversation: the next prompt begins a new session, with the same agent and
        environment. A turn under way is stopped. The old session stays on the server."""
        self._put_session(HostedSession())

    def reset_all(self) -> None:
        """Forget the session, the agent and the environment; all stay on the server."""
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
        the last message whose turn has ended. Asks no server yet."""
        version = ids.get("agent_version")
        self._put_session(HostedSession(ids.get("session_id") or ""))
        self.session.message_id = ids.get("message_id") or ""
        self.agent_id = ids.get("agent_id") or None
        self.agent_version = int(version) if version is not None else None
        self.environment_id = ids.get("environment_id") or None
        self._restored_tools = frozenset(ids.get("tools") or ())

    def _ask(self, request: Callable[[AsyncAnthropic], Awaitable[T]], what: str = "") -> T:
        """What `request(client)` returns, which runs on the background loop while this thread waits."""
        return loop.run_sync(lambda: ask(self.config, request, what))
