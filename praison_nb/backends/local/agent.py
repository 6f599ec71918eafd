"""LocalAgent: the agent's loop runs here, the model behind any OpenAI-compatible server, offline too.

from praison_nb import Agent, LocalAgent, LocalAgentConfig
agent = Agent(name="helper", backend=LocalAgent(config=LocalAgentConfig(model="ollama/llama3.2")))
agent.start("What is a confusion matrix?")
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from ...errors import ConfigError
from ...events import Event, SessionAttached, TurnFinished, new_id
from ...runtime.run import Run
from ..base import Backend
from ..session import Session
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

    async def events(self, prompt: str, session: Session, run: Run) -> AsyncIterator[Event]:
        """One turn: ask the model, run the tools that it calls, and ask again until it has no more."""
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
                        server = embedded_server(step.base_url, step.model, step.api_key, config.wire)
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
        turn = LocalTurn(session, config, server, prompt, run, self.policy_notices)
        try:
            async for event in turn.events():
                if isinstance(event, TurnFinished):
                    # Subscribers find the turn in the history when it ends.
                    turn.save_to_history()
                yield event
        finally:
            turn.save_to_history()
