"""LocalAgent on the embedded model: real text from a real model, and its process dying."""

from __future__ import annotations

from typing import Literal

import psutil
import pytest

from praison_nb import Agent, LocalAgent, LocalAgentConfig, errors as e
from praison_nb.backends.local.config import SMALL_MODELS_TOKENS
from praison_nb.session import Status
from servers.waiting import until


def agent(**fields: object) -> LocalAgent:
    options = {"temperature": 0, "max_tokens": 40}
    return LocalAgent(config=LocalAgentConfig(**{"model": "embedded", "options": options, **fields}))  # type: ignore[arg-type]


def test_real_text_with_real_counts() -> None:
    backend = agent(system="Answer with one word.")
    assert backend.retrieve_session()["status"] == "none" and backend.name == "embedded"
    turn = backend.begin("What is the capital of France?").wait()
    assert "Paris" in turn.text
    assert turn.usage.input_tokens > 10 and turn.usage.output_tokens > 0 and not turn.usage.estimated
    assert turn.cost == 0 and turn.model == "smollm2"
    assert backend.retrieve_session()["status"] == "idle"
    again = backend.begin("And of Italy?").wait()
    assert "Rome" in again.text and again.usage.input_tokens > turn.usage.input_tokens


def test_a_forced_tool_choice_is_the_models_own() -> None:
    asked: list[str] = []

    def column_mean(column: Literal["age", "tenure"]) -> float:
        """The mean of a column."""
        asked.append(column)
        return 44.0

    turn = (
        agent(tools=[column_mean], tool_choice="required", options={"temperature": 0})
        .begin("What is the mean age?")
        .wait()
    )
    assert asked == ["age"]
    assert turn.tools[0].arguments == '{"column": "age"}' and turn.tools[0].result == "44.0"
    assert turn.text and "column_mean" not in turn.text and len(turn.requests) == 2


def test_when_its_process_dies_the_turn_fails_and_the_next_works() -> None:
    backend = agent(options={"temperature": 0, "max_tokens": 300})
    run = backend.begin("Tell a very long story about a lighthouse.")
    until(run, lambda turn: turn.text)
    for child in psutil.Process().children():
        if any(word.endswith("embedded/server.py") for word in child.cmdline()):
            child.kill()
    turn = run.wait()
    assert isinstance(turn.error, e.EmbeddedModelError) and "Ask again" in str(turn.error)
    assert turn.text and turn.status is Status.ERROR
    backend.reset_session()
    assert backend.begin("Say hello.").wait().text


def test_a_conversation_that_no_longer_fits() -> None:
    turn = agent().begin("word " * 20000).wait()
    assert isinstance(turn.error, e.ContextTooLongError) and "--new" in str(turn.error)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_conversation_that_outgrows_it_goes_on() -> None:
    backend = agent(options={"temperature": 0, "max_tokens": 4})
    prompts = ["The light stood on the rock. " * 360 + f"\n\nWhat is {number} + 1?" for number in range(4)]
    turns = [backend.begin(prompt).wait() for prompt in prompts]
    assert [turn.status for turn in turns] == [Status.IDLE] * 4 and len(backend.session.messages) == 8
    assert any("the first" in line and "left out" in line for turn in turns for line in turn.notices)
    assert all(turn.usage.input_tokens < 8192 for turn in turns)


def test_stopped_in_mid_sentence() -> None:
    backend = agent(options={"max_tokens": 1500})
    run = backend.begin("Tell a very long story about a lighthouse.")
    until(run, lambda turn: turn.text)
    run.stop()
    turn = run.wait()
    assert turn.stop_reason == "interrupted" and turn.text and turn.usage.estimated


@pytest.mark.parametrize(
    ("model", "told"), [("gguf:/nowhere/model.gguf", "nowhere"), ("embedded/other", "smollm2")]
)
def test_a_model_that_is_not_there(model: str, told: str) -> None:
    with pytest.raises(e.EmbeddedModelError, match=told):
        Agent(name="a", backend=agent(model=model)).start("Hi")


def test_a_small_model_does_not_repeat_itself_for_minutes() -> None:
    assert LocalAgentConfig(model="embedded").request_options == {"max_tokens": SMALL_MODELS_TOKENS}
    assert LocalAgentConfig(model="smollm2", options={"max_tokens": 9}).request_options == {"max_tokens": 9}
    # Whoever brings a model knows it.
    assert LocalAgentConfig(model="gguf:mine.gguf").request_options == {}
    assert LocalAgentConfig(model="embedded", base_url="http://127.0.0.1:1/v1").request_options == {}
