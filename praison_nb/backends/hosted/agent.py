"""HostedAgent: the whole agent loop runs on Anthropic's managed runtime, or on a server with the same API.

from praison_nb import Agent, HostedAgent, HostedAgentConfig

agent = Agent(name="helper", backend=HostedAgent(config=HostedAgentConfig(model="claude-sonnet-4-6")))
agent.start("Which columns of /workspace/churn.csv explain churn best?")
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from ...errors import ConfigError
from ...events import Event
from ...runtime.approvals import Asker
from ...runtime.run import Run, Subscriber
from ...turn import Turn
from ..sdk_errors import unchained
from ..session import Session
from .agent_life import AgentLife
from .client import explain
from .config import HostedAgentConfig, names_of
from .session import HostedSession
from .turn import HostedTurn


class HostedAgent(AgentLife):
    """A backend whose agent loop runs on the provider's runtime. Agent, environment and session are created
    there when the first prompt is sent, and used again from then on.

    `on_tool_confirmation(call)` decides about tools that ask: `call` has `name` and `arguments` (JSON text);
    True allows, False or a text (the reason, for the model) denies. Without it the run's `approve` and
    `deny` do, and the turn waits. `on_custom_tool(name, arguments)` answers custom tools that were declared
    as dicts. Both may be async.
    """

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
        if config is not None and not isinstance(config, HostedAgentConfig):
            raise ConfigError(f"config must be a HostedAgentConfig, not {type(config).__name__}.")
        super().__init__(config or HostedAgentConfig())
        self.on_tool_confirmation = on_tool_confirmation
        self.on_custom_tool = on_custom_tool
        self._creating = asyncio.Lock()

    def events(self, prompt: str, session: Session, run: Run) -> AsyncIterator[Event]:
        """One turn in the session, from the prompt until the session is idle again."""
        assert isinstance(session, HostedSession)
        return HostedTurn(self, session, prompt, run).events()

    def attach(
        self,
        turn: Turn,
        *,
        subscribers: tuple[Subscriber, ...] = (),
        asker: Asker | None = None,
        view: Callable[[Run], Subscriber] | None = None,
    ) -> Run:
        """Take up `turn`, the last one of the session, which a process that ended had begun: everything from
        its message on is told, and nothing sent. Its id being the same, nothing is counted twice."""
        joining = functools.partial(HostedTurn, self, self.session, turn.prompt, joins=True)
        return self._run(
            turn,
            lambda session, run: joining(run).events(),
            subscribers,
            lend=False,
            asker=asker,
            view=view,
            is_sent=True,
        )

    async def ensure(self, session: HostedSession) -> None:
        """Create what the session needs and has not yet, each once; or learn what a resumed one is.
        Who stops waiting does not stop it, so that nothing created is ever forgotten."""
        task = asyncio.ensure_future(self._ensure(session))
        task.add_done_callback(lambda done: None if done.cancelled() else done.exception())
        await asyncio.shield(task)

    async def _ensure(self, session: HostedSession) -> None:
        async with self._creating:
            if session.model:
                return
            client = self.client()
            what = f"the session {session.id}" if session.id else ""
            try:
                if session.id:
                    self._learn(session, await client.beta.sessions.retrieve(session.id))
                    return
                if self.agent_id is None:
                    agent = await client.beta.agents.create(**self.config.agent_params())
                    self.agent_id, self.agent_version = agent.id, agent.version
                if self.environment_id is None:
                    environment = await client.beta.environments.create(**self.config.environment_params())
                    self.environment_id = environment.id
                what = "this agent or environment any more; reset_all() lets both be created anew"
                reference: Any = {"type": "agent", "id": self.agent_id}
                if self.agent_version is not None:
                    reference["version"] = self.agent_version
                told = await client.beta.sessions.create(
                    agent=reference, environment_id=self.environment_id, **self.config.session_params()
                )
                session.id = told.id
                self._learn(session, told)
                return
            except Exception as error:
                problem = explain(error, self.config, what)
            raise unchained(problem)

    def _learn(self, session: HostedSession, told: Any) -> None:
        session.learn(told)
        self.agent_id = self.agent_id or told.agent.id
        self.agent_version = self.agent_version or told.agent.version
        self.environment_id = self.environment_id or told.environment_id

    def reset_session(self) -> None:
        """Forget the conversation: the next prompt begins a new session, with the same agent and
        environment. A turn under way is stopped. The old session stays on the server."""
        self._put_session(HostedSession())

    def reset_all(self) -> None:
        """Forget the session, the agent and the environment; all stay on the server."""
        self.reset_session()
        self._sessions.clear()
        self.agent_id = self.agent_version = self.environment_id = None
        self._tools_there = frozenset()

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
            "tools": sorted(self._tools_there | names_of(self.config.local_tools)) or None,
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
        self._tools_there = frozenset(ids.get("tools") or ())
