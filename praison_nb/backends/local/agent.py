"""LocalAgent: the agent's loop runs here, the model behind any OpenAI-compatible server, offline too.

from praison_nb import Agent, LocalAgent, LocalAgentConfig
agent = Agent(name="helper", backend=LocalAgent(config=LocalAgentConfig(model="ollama/llama3.2")))
agent.start("What is a confusion matrix?")
"""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from ...errors import ConfigError
from ...events import Event, SessionAttached, TurnFinished, new_id
from ...history import from_json
from ...runtime.options import Subscriber
from ...runtime.run import Run
from ...turn import Turn
from ..base import Backend
from ..session import Session
from .compact import NOTHING_TO_SUMMARISE, PROMPT, CompactTurn, has_more
from .config import LocalAgentConfig
from .providers import embedded_server, resolve
from .turn import LocalTurn


class LocalAgent(Backend):
    """A backend whose loop runs here. Conversation goes on from turn to turn until `reset_session()`.
    `config` is a LocalAgentConfig, or None for the defaults. Raises ConfigError.

    >>> from praison_nb import Agent, LocalAgent, LocalAgentConfig
    >>> config = LocalAgentConfig(model="llama3.2", base_url=openai_url, system="Be brief.")
    >>> agent = Agent("helper", LocalAgent(config))
    >>> agent.start("Say hello.")  # the server of the tests says what it hears
    'Say hello.'
    >>> agent.backend.retrieve_session()["status"], agent.turn.usage.input_tokens > 0
    ('idle', True)
    """

    takes_attachments = True

    def __init__(self, config: LocalAgentConfig | None = None) -> None:
        super().__init__()
        self.config = LocalAgentConfig.of(config)

    @property
    def model(self) -> str:
        """The model's name as it was given."""
        return self.config.model

    @property
    def name(self) -> str:  # type: ignore[override]
        """ "embedded" for an embedded model, else "local"."""
        return "embedded" if self.config.runs_embedded else "local"

    def update_agent(self, **changes: Any) -> None:
        """Change fields of the config from the next turn on; the conversation stays. Raises ConfigError."""
        self.config = replace(self.config, **changes)

    def restore_ids(self, ids: Mapping[str, Any]) -> None:
        """Go on with a session under its id. Its messages belong into `session.messages`."""
        self.reset_session()
        self.session.id = ids.get("session_id") or ""

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

    async def events(self, prompt: str, session: Session, run: Run) -> AsyncIterator[Event]:
        """One turn: ask the model, run the tools that it calls, and ask again until it has no more."""
        async with aclosing(self._events(LocalTurn, prompt, session, run)) as events:
            async for event in events:
                yield event

    async def _events(
        self, kind: type[LocalTurn], prompt: str, session: Session, run: Run
    ) -> AsyncGenerator[Event, None]:
        config = self.config
        if config.runs_embedded:
            from ..embedded import process

            if config.tools and config.wire not in ("", "chat"):
                raise ConfigError(
                    f"The embedded model takes tools on chat completions: leave wire={config.wire!r} out."
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
            server = resolve(
                config.model,
                base_url=config.address,
                api_key=config.api_key,
                provider=config.provider,
                wire=config.wire,
            )
        session.id = session.id or f"local-{new_id()[:12]}"
        yield SessionAttached(session_id=session.id, model=server.model)
        turn = kind(session, config, server, prompt, run, self.policy_notices)
        try:
            async for event in turn.events():
                if isinstance(event, TurnFinished):
                    # Subscribers find the turn in the history when it ends.
                    turn.save_to_history()
                yield event
        finally:
            turn.save_to_history()
