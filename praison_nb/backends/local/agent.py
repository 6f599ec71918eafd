"""LocalAgent: the agent's loop runs here, the model behind any OpenAI-compatible server, offline too.

from praison_nb import Agent, LocalAgent, LocalAgentConfig
agent = Agent(name="helper", backend=LocalAgent(config=LocalAgentConfig(model="ollama/llama3.2")))
agent.start("What is a confusion matrix?")
"""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from ...errors import ConfigError
from ...events import Event, SessionAttached, TurnFinished, new_id
from ...history import from_json, from_row
from ...runtime.options import Subscriber
from ...runtime.run import Run
from ...turn import Turn
from ..arguments import check_methods, checked_arguments
from ..base import Backend
from ..config_base import Secret
from ..session import Session
from .compact import NOTHING_TO_SUMMARISE, PROMPT, CompactTurn, has_more
from .config import LocalAgentConfig
from .providers import PROVIDERS, Server, embedded_server, maker, resolve
from .turn import LocalTurn


@check_methods
class LocalAgent(Backend):
    """A backend whose loop runs here. Conversation goes on from turn to turn until `reset_session()`.
    `config` is a LocalAgentConfig, or None for the defaults; `api_key`, `api_base` and `timeout` are fields
    of it, and `instructions` its `system`, where it has none. Raises ConfigError.

    `on_tool_confirmation(call)` decides about tools that ask: True allows. `on_custom_tool(name, arguments)`
    answers custom tools that were declared as dicts. Both may be async.

    >>> from praison_nb import Agent, LocalAgent, LocalAgentConfig
    >>> config = LocalAgentConfig(model="llama3.2", base_url=openai_url, system="Be brief.")
    >>> agent = Agent("helper", LocalAgent(config))
    >>> agent.start("Say hello.")  # the server of the tests says what it hears
    'Say hello.'
    >>> agent.backend.retrieve_session()["status"], agent.turn.usage.input_tokens > 0
    ('idle', True)
    """

    takes_attachments = takes_output = True
    agent_id = agent_version = environment_id = None
    """A local agent is nothing on a server."""

    @checked_arguments(LocalAgentConfig)
    def __init__(
        self,
        config: LocalAgentConfig | None = None,
        *,
        api_key: str | None = None,
        api_base: str | None = None,
        timeout: float | None = None,
        instructions: str | None = None,
        on_tool_confirmation: Callable[..., Any] | None = None,
        on_custom_tool: Callable[..., Any] | None = None,
    ) -> None:
        super().__init__()
        given = {"api_key": api_key, "api_base": api_base, "timeout": timeout}
        self.config = LocalAgentConfig.with_arguments(config, instructions=instructions, **given)
        self.on_tool_confirmation = on_tool_confirmation
        self.on_custom_tool = on_custom_tool

    @property
    def provider(self) -> str:
        """Whose server is asked, by its name in a model's prefix; "embedded"; "local" for another address."""
        config, (prefix, slash, _) = self.config, self.model.partition("/")
        if config.runs_embedded or config.address:
            return config.provider or ("embedded" if config.runs_embedded else "local")
        return config.provider or (prefix if slash and prefix in PROVIDERS else maker(self.model) or "openai")

    @property
    def api_key(self) -> str | None:
        """The key of the config, which no repr shows."""
        return Secret.of(self.config.api_key)

    @property
    def session_id(self) -> str | None:
        """The session's id, None before there is one."""
        return self.session.id or None

    managed_session_id = session_id
    """`session_id`, by another name."""

    @property
    def model(self) -> str:
        """The model's name as it was given."""
        return self.config.model

    @property
    def name(self) -> str:  # type: ignore[override]
        """ "embedded" for an embedded model, else "local"."""
        return "embedded" if self.config.runs_embedded else "local"

    @property
    def waits_for_place(self) -> bool:  # type: ignore[override]
        """Not with tools, of which no more than that are to run at once."""
        return not self.config.tools

    def update_agent(self, **changes: Any) -> None:
        """Change fields of the config from the next turn on; the conversation stays. Raises ConfigError."""
        self.config = replace(self.config, **changes)

    def fresh(self) -> LocalAgent:
        """Another one with the same config and functions, and a session of its own."""
        return LocalAgent(
            self.config,
            on_tool_confirmation=self.on_tool_confirmation,
            on_custom_tool=self.on_custom_tool,
        )

    def turn(self, prompt: str, session: Session, run: Run) -> LocalTurn:
        """A turn of which nothing is sent yet; not of the embedded model, whose server is not known before it
        runs. Raises ConfigError."""
        return self._turn(LocalTurn, session, self.server(), prompt, run)

    @property
    def address(self) -> str:
        """The server's, "" for an embedded model, whose is another one each time. Raises ConfigError."""
        return "" if self.config.runs_embedded else self.server(needs_key=False).base_url

    def server(self, *, needs_key: bool = True) -> Server:
        """Where requests go; not those of the embedded model. Raises ConfigError, for want of a key only
        where it `needs_key`."""
        config = self.config
        return resolve(
            config.model,
            base_url=config.address,
            api_key=config.api_key,
            provider=config.provider,
            wire=config.wire,
            needs_key=needs_key,
        )

    def _turn(
        self, kind: type[LocalTurn], session: Session, server: Server, prompt: str, run: Run
    ) -> LocalTurn:
        return kind(session, self.config, server, prompt, run, self.policy_notices, self.on_custom_tool)

    def restore_ids(self, ids: Mapping[str, Any]) -> None:
        """Go on with a session under its id. Its messages belong into `session.messages`."""
        self.reset_session()
        self.session.id = ids.get("session_id") or ""

    def resume_session(self, session_id: str) -> None:
        """Go on with an earlier session of this object, or with one that a notebook kept. Raises ConfigError
        where nothing of it is there, and StoreError."""
        from ...store.sessions import current

        if earlier := next((each for each in self._sessions if each.id == session_id), None):
            self._sessions.remove(earlier)
            self._put_session(earlier)
            return
        if session_id == self.session.id and session_id:
            return
        kept = current()
        kept.flush()
        messages = kept.history(session_id) if isinstance(session_id, str) else []
        if not messages:
            raise ConfigError(
                f"No local session {session_id!r:.80} is kept here: `%agent sessions` lists those of "
                "notebooks, and one of a script ends with its process."
            )
        self.restore_ids({"session_id": session_id})
        self.session.messages[:] = [from_row(message) for message in messages]

    def compact(
        self,
        *,
        session: str = "main",
        subscribers: Iterable[Subscriber] = (),
        notices: Iterable[str] = (),
        **options: Any,
    ) -> Run:
        """Start a turn that asks the model to sum up the conversation: one request, counted as any other.
        From then on requests begin with the summary; what was said before it is kept, and not sent any more.
        Where the summary does not come whole nothing changes. Arguments are those of `begin`. Raises
        ConfigError where nothing was said."""
        history = [item for message in self.session.messages for item in from_json(message)]
        if not self.session.under_way and not has_more(history):
            raise ConfigError(NOTHING_TO_SUMMARISE)
        turn = Turn(
            prompt=PROMPT,
            session=session,
            session_id=self.session.id,
            backend=self.name,
            model=self.model,
            notices=(*notices, *self.policy_notices()),
        )
        return self._run(turn, functools.partial(self._events, CompactTurn, PROMPT), subscribers, **options)

    def _run(self, turn: Turn, source: Any, subscribers: Iterable[Subscriber], **options: Any) -> Run:
        if self.on_tool_confirmation is not None:
            options["asker"] = self.on_tool_confirmation
        return super()._run(turn, source, subscribers, **options)

    def events(self, prompt: str, session: Session, run: Run) -> AsyncIterator[Event]:
        """One turn: ask the model, run the tools that it calls, and ask again until it has no more."""
        return self._events(LocalTurn, prompt, session, run)

    async def _events(
        self, kind: type[LocalTurn], prompt: str, session: Session, run: Run
    ) -> AsyncGenerator[Event, None]:
        config = self.config
        if config.runs_embedded:
            from ..embedded import process

            # On the other wires its server heeds neither.
            lacking = "tools" if config.tools else "types of answers" if run.output is not None else ""
            if lacking and config.wire not in ("", "chat"):
                raise ConfigError(
                    f"The embedded model takes {lacking} on chat completions: leave wire={config.wire!r} out."
                )
            async with aclosing(process.start(config.model_file)) as steps:
                async for step in steps:
                    if isinstance(step, process.Endpoint):
                        server = embedded_server(
                            step.base_url, step.model, step.api_key, config.wire, step.context
                        )
                    else:
                        yield step
        else:
            server = self.server()
        session.id = session.id or f"local-{new_id()[:12]}"
        yield SessionAttached(session_id=session.id, model=server.model)
        turn = self._turn(kind, session, server, prompt, run)
        try:
            async for event in turn.events():
                if isinstance(event, TurnFinished):
                    # Subscribers find the turn in the history when it ends.
                    turn.save_to_history()
                yield event
        finally:
            turn.save_to_history()
