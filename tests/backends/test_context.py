"""Conversations that outgrow their model, and their summaries."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from praison_nb import LocalAgent, LocalAgentConfig, Turn, errors as e
from praison_nb.backends.local.compact import PROMPT
from praison_nb.backends.local.fitting import tokens_in
from praison_nb.backends.scripted import ScriptedBackend
from praison_nb.history import Result, Summary, Text, User, from_json, to_json
from praison_nb.session import Status
from servers.openai import OpenAIServer, Step, reply, tokens_of

# As different servers say it; some name no number.
TOO_LONG = {
    "openai": "This model's maximum context length is {limit} tokens. However, your messages resulted in "
    "{tokens} tokens. Please reduce the length of the messages.",
    "vllm": "This model's maximum context length is {limit} tokens. However, you requested {tokens} tokens "
    "({tokens} in the messages, 0 in the completion). Please reduce the length of the messages.",
    "anthropic": "prompt is too long: {tokens} tokens > {limit} maximum",
    "gemini": "The input token count ({tokens}) exceeds the maximum number of tokens allowed ({limit}).",
    "mistral": "Prompt contains {tokens} tokens and 0 draft tokens, too large for model with {limit} maximum "
    "context length",
    "llama.cpp": "request ({tokens} tokens) exceeds the available context size ({limit} tokens), try it",
    "xai": "This model's maximum prompt length is {limit} but the request contains {tokens} tokens.",
    "responses": "Your input exceeds the context window of this model. Please adjust your input.",
}


def read_log(name: str) -> str:
    """Read a log."""
    return f"begin of {name}\n" + "line of a log\n" * 700 + f"end of {name}"


def made(server: OpenAIServer, **fields: Any) -> LocalAgent:
    options = {"model": "m", "base_url": server.base_url, "api_key": "test-key-123", "tools": [read_log]}
    return LocalAgent(LocalAgentConfig(**{**options, **fields}))


def rounds(number: int) -> list[list[Step]]:
    call = ("read_log", json.dumps({"name": f"log-{number}"}))
    return [reply("I look.", calls=[call]), reply(f"Log {number} is fine.")]


def prefixes_kept(server: OpenAIServer) -> list[bool]:
    """Of each request that was taken, whether it goes on where the last one ended."""
    bodies = [body["messages"] for body in server.bodies if tokens_of(body) <= server.context]
    texts = [json.dumps(messages)[:-1] for messages in bodies]
    return [after.startswith(before) for before, after in itertools.pairwise(texts)]


@pytest.mark.parametrize("words", TOO_LONG)
def test_what_a_server_says_of_its_limit(words: str) -> None:
    said = TOO_LONG[words].format(limit=131072, tokens=150000)
    line = f"The conversation no longer fits the context of gpt-4-32768. A server said: {said}"
    assert tokens_in(line) == ((None, None) if words == "responses" else (131072, 150000))


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000", 200000),
        ("`inputs` must have less than 1024 tokens. Given: 1500", 1024),
        ("Range of input length should be [1, 30720]", 30720),
        ("total number of tokens in the prompt cannot exceed 4081 - received 5000", 4081),
        ("Request too large on tokens per minute: Limit 6,000, Requested 7,500", 6000),
        ("Please reduce the length of the messages or completion.", None),
    ],
)
def test_limits_in_other_words(said: str, expected: int | None) -> None:
    assert tokens_in(f"It said: {said}")[0] == expected


@pytest.mark.parametrize("words", ["openai", pytest.param("responses", marks=pytest.mark.slow)])
def test_sixty_turns_with_long_results_and_none_fails(words: str) -> None:
    with OpenAIServer("openai", context=40_000, too_long=TOO_LONG[words]) as server:
        agent = made(server)
        turns: list[Turn] = []
        for number in range(60):
            server.script(*rounds(number))
            turns.append(agent.begin(f"What is in log {number}?").wait())
            assert turns[-1].status is Status.IDLE, turns[-1]
            assert turns[-1].text.endswith(f"Log {number} is fine.")
        # Found out once, by what the server said, and then known.
        assert 1 <= len(server.refused) <= 2
        kept = prefixes_kept(server)
        cuts = [turn for turn in turns if any("no longer fits" in line for line in turn.notices)]
        assert kept.count(False) == len(cuts) and 2 <= len(cuts) <= 15
        assert "%agent compact" in cuts[-1].notices[-1]
        results = [m["content"] for m in server.bodies[-1]["messages"] if m["role"] == "tool"]
        # The newest one is whole.
        assert results[-1] == read_log("log-59")
        items = agent.session.messages
        assert [item.text for item in items if isinstance(item, Result)] == [
            read_log(f"log-{number}") for number in range(60)
        ]


def test_what_is_left_out_goes_with_its_calls_and_the_last_turns_stay() -> None:
    with OpenAIServer("openai", context=8000) as server:
        agent = made(server)
        for number in range(12):
            server.script(*rounds(number))
            agent.begin(f"What is in log {number}?").wait()
        messages = server.bodies[-1]["messages"]
        prompts = [m["content"] for m in messages if m["role"] == "user"]
        assert prompts[-2:] == ["What is in log 10?", "What is in log 11?"] and len(prompts) < 12
        shortened = next(m["content"] for m in messages if m["role"] == "tool")
        assert shortened.startswith("begin of log-") and "characters left out" in shortened
        assert "end of log-" in shortened
        assert not any("did not have response" in each["message"] for each in server.refused)


def test_one_turn_that_reads_more_than_fits() -> None:
    with OpenAIServer("openai", context=12_000) as server:
        agent = made(server)
        server.script(*(rounds(number)[0] for number in range(10)), reply("All are fine."))
        turn = agent.begin("Read all logs.").wait()
        assert turn.text.endswith("All are fine.") and turn.status is Status.IDLE
        messages = server.bodies[-1]["messages"]
        assert messages[0]["content"] == "Read all logs."
        assert messages[-1]["content"] == read_log("log-9")


@pytest.mark.parametrize("words", TOO_LONG)
def test_a_prompt_that_is_too_long_alone(words: str) -> None:
    with OpenAIServer("openai", context=2000, too_long=TOO_LONG[words]) as server:
        agent = made(server)
        agent.begin("Hello").wait()
        turn = agent.begin("word " * 5000).wait()
        assert isinstance(turn.error, e.ContextTooLongError)
        # It leaves no trace, and nothing was lost for it.
        server.script(reply("Hello again"))
        assert agent.begin("And now?").wait().text == "Hello again"
        prompts = [m["content"] for m in server.bodies[-1]["messages"] if m["role"] == "user"]
        assert prompts == ["Hello", "And now?"]


def test_a_limit_of_the_price_table_is_kept_without_asking() -> None:
    with OpenAIServer("openai", context=8192) as server:
        agent = made(server, model="gpt-4", provider="openai", wire="chat", tools=[])
        for number in range(12):
            turn = agent.begin(f"{number} " + "some words " * 400).wait()
            assert turn.status is Status.IDLE
        assert not server.refused
        assert len(server.bodies[-1]["messages"]) < 23


def test_a_summary_is_one_counted_request_and_all_goes_on_from_it() -> None:
    with OpenAIServer("openai", context=20_000) as server:
        agent = made(server)
        for number in range(2):
            server.script(*rounds(number))
            agent.begin(f"What is in log {number}?").wait()
        before = list(agent.session.messages)
        server.script(reply("Both logs are fine.", usage=(9, 4)))
        turn = agent.compact().wait()
        assert turn.text == "Both logs are fine." and len(turn.requests) == 1 and turn.usage.input_tokens > 0
        # The conversation, as it was sent before: the cache has it.
        assert prefixes_kept(server)[-1]
        assert agent.session.messages[: len(before)] == before
        assert [type(item) for item in agent.session.messages[len(before) :]] == [User, Summary]
        agent.begin("Which ones?").wait()
        sent = [(m["role"], m["content"]) for m in server.bodies[-1]["messages"]]
        assert sent == [("user", PROMPT), ("assistant", "Both logs are fine."), ("user", "Which ones?")]
        # In another process, and a summary of a summary.
        rows = json.loads(json.dumps([to_json(item) for item in agent.session.messages]))
        again = made(server)
        again.session.messages[:] = [item for row in rows for item in from_json(row)]
        again.begin("Still?").wait()
        assert [m["content"] for m in server.bodies[-1]["messages"]][:2] == [PROMPT, "Both logs are fine."]
        server.script(reply("Fine, still."))
        again.compact().wait()
        again.begin("So?").wait()
        assert [m["content"] for m in server.bodies[-1]["messages"]] == [PROMPT, "Fine, still.", "So?"]


def test_a_summary_of_what_no_longer_fits_has_every_turn() -> None:
    with OpenAIServer("openai", context=6000) as server:
        agent = made(server)
        for number in range(12):
            server.script(*rounds(number))
            agent.begin(f"What is in log {number}?").wait()
        server.script(reply("All logs are fine."))
        turn = agent.compact().wait()
        assert turn.text == "All logs are fine." and turn.status is Status.IDLE
        prompts = [m["content"] for m in server.bodies[-1]["messages"] if m["role"] == "user"]
        assert prompts == [*(f"What is in log {number}?" for number in range(12)), PROMPT]


@pytest.mark.parametrize(
    "answer",
    [
        reply("The first half of", finish="length"),
        reply("", calls=[("read_log", '{"name": "x"}')]),
        reply(""),
        reply("I will not.", finish="content_filter"),
    ],
)
def test_without_a_whole_summary_nothing_changes(answer: list[Step]) -> None:
    with OpenAIServer("openai") as server:
        agent = made(server)
        agent.begin("Hello").wait()
        before = list(agent.session.messages)
        server.script(answer)
        turn = agent.compact().wait()
        assert "stays as it was" in turn.detail and not turn.tools
        assert agent.session.messages == before == [User(text="Hello"), before[1]]
        assert isinstance(before[1], Text)


def test_a_summary_that_fails_or_is_stopped_changes_nothing() -> None:
    with OpenAIServer("openai") as server:
        agent = made(server)
        agent.begin("Hello").wait()
        before = list(agent.session.messages)
        server.refuse(status=401)
        assert isinstance(agent.compact().wait().error, e.AuthenticationError)
        gate = server.gate()
        answer = reply("The first half of it")
        server.script([*answer[:3], gate, *answer[3:]])
        run = agent.compact()
        server.wait_for(lambda: gate.reached)
        run.stop()
        assert run.wait().stop_reason == "interrupted"
        gate.open()
        assert agent.session.messages == before


def test_what_cannot_be_summarised_says_so() -> None:
    with OpenAIServer("openai") as server:
        agent = made(server)
        with pytest.raises(e.ConfigError, match="nothing to summarise"):
            agent.compact()
        agent.begin("Hello").wait()
        server.script(reply("We said hello."))
        agent.compact().wait()
        with pytest.raises(e.ConfigError, match="nothing to summarise"):
            agent.compact()
    with pytest.raises(e.ConfigError, match="Only conversations of local models"):
        ScriptedBackend([]).compact()
