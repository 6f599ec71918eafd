"""Whole conversations of a LocalAgent with each provider on the chat wire, by its rules."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from praison_nb import LocalAgent, LocalAgentConfig, Turn
from praison_nb.session import Status
from servers.openai import DONE, OpenAIServer, Step, call, chunk, reply, usage

# Whose server it is, and which rules that keeps.
PROVIDERS = {
    "": "nobody",
    "openai": "openai-reasoning",
    "azure": "openai-reasoning",
    "mistral": "mistral",
    "gemini": "gemini",
    "deepseek": "deepseek",
    "moonshot": "deepseek",
    "ollama": "openai",
    "lmstudio": "template",
    "openrouter": "nobody",
    "groq": "openai",
    "xai": "openai",
    "together": "openai",
    "anthropic": "openai",
}


def add(a: int, b: int = 1) -> int:
    """Add."""
    return a + b


def asked(number: int, name: str = "add") -> list[Step]:
    """A call as a thinking and signing model has it."""
    signature = {"google": {"thought_signature": f"c2ln{number}"}}
    arguments = f'{{"a": {number}}}' if name == "add" else "{}"
    return [
        chunk({"role": "assistant", "reasoning_content": "I should add."}),
        *call(name, arguments, f"call_of_this_model_{number}", extra_content=signature),
        chunk({}, finish_reason="tool_calls"),
        usage(9, 4),
        DONE,
    ]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_conversation_goes_on_whatever_happens_in_it(provider: str) -> None:
    started = threading.Event()

    async def forever() -> None:
        """Wait."""
        started.set()
        await asyncio.Event().wait()

    def fields(server: OpenAIServer, whose: str) -> dict[str, Any]:
        return {"provider": whose, "base_url": server.base_url, "api_key": "test-key-123", "wire": "chat"}

    with OpenAIServer(PROVIDERS[provider]) as here, OpenAIServer("nobody") as there:
        config = LocalAgentConfig(
            model="gpt-5.6-terra",
            tools=[add, forever],
            max_turns=5,
            system="Be brief.",
            **fields(here, provider),
        )
        agent = LocalAgent(config)

        def answer(prompt: str, server: OpenAIServer, *replies: list[Step]) -> Turn:
            server.script(*replies)
            turn = agent.begin(prompt).wait()
            assert turn.status is Status.IDLE, (turn.error, server.bodies[-1]["messages"])
            return turn

        answer("Three rounds", here, asked(1), asked(2), asked(3), reply("Done"))

        here.script(asked(4, "forever"))
        run = agent.begin("Stop in a tool")
        # The user's functions run here while it waits.
        threading.Thread(target=lambda: (started.wait(), run.stop())).start()
        assert run.wait().stop_reason == "interrupted"
        answer("On we go", here, asked(5), reply("Yes"))

        agent.update_agent(max_turns=1)
        assert answer("Too many", here, asked(6)).stop_reason == "max_turns"
        agent.update_agent(max_turns=5)
        answer("On we go again", here, reply("Yes"))

        agent.update_agent(**fields(there, ""))
        answer("Another provider", there, asked(7), reply("There"))
        agent.update_agent(**fields(here, provider))
        answer("And back", here, asked(8), reply("Back"))
        agent.update_agent(tools=[])
        answer("Without tools", here, reply("Bye"))
        assert not here.refused and not there.refused
