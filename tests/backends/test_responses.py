"""LocalAgent on OpenAI's Responses, against a server that refuses what the real one refuses."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from praison_nb import LocalAgent, LocalAgentConfig, Turn, errors as e
from praison_nb.backends.embedded.process import Endpoint, start, stop_all
from praison_nb.events import Thinking
from praison_nb.history import Call, Result, Text, User, from_json, to_json
from praison_nb.runtime import loop
from praison_nb.session import Usage
from servers.openai import CutHere, OpenAIServer, reply as chat_reply
from servers.responses import MODEL, ResponsesServer, call, message, reasoning, reply, response, steps, usage


@pytest.fixture
def server() -> Iterator[ResponsesServer]:
    with ResponsesServer() as server:
        yield server


def local(server: ResponsesServer, **fields: Any) -> LocalAgent:
    base = {"provider": "openai", "wire": "responses", "model": MODEL, "base_url": server.base_url}
    return LocalAgent(config=LocalAgentConfig(**{**base, "api_key": "test-key-123", **fields}))


def ask(agent: LocalAgent, prompt: str = "Hi") -> Turn:
    return agent.begin(prompt).wait()


def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


def inputs(server: ResponsesServer, number: int = -1) -> list[dict[str, Any]]:
    """The input of a request."""
    found: list[dict[str, Any]] = server.bodies[number]["input"]
    return found


# The server speaks as the real one does


OUTPUTS = [
    [message("Hello there.")],
    [message("I cannot help.", refusal=True)],
    [reasoning("sealed", ["Hm.", "Yes."]), message("I add: ", phase="commentary"), call("add", '{"a": 1}')],
]


@pytest.mark.parametrize("output", OUTPUTS)
def test_the_sdk_reads_what_the_server_sends(server: ResponsesServer, output: list[dict[str, Any]]) -> None:
    with openai.OpenAI(base_url=server.base_url, api_key="k", max_retries=0) as client:
        made = steps(*output, usage=usage(20, 9, 5, 4))
        server.script(made, made, made)
        with client.responses.create(model=MODEL, input="Hi", stream=True) as events:
            got = list(events)
        assert [event.type for event in got] == [each["type"] for each in made]  # type: ignore[index,call-overload]
        assert got[-1].type == "response.completed"
        assert [item.to_dict() for item in got[-1].response.output] == output
        with client.responses.stream(model=MODEL, input="Hi") as stream:
            final = stream.get_final_response()
        assert final.output_text == got[-1].response.output_text
        assert final.usage is not None and final.usage.output_tokens_details.reasoning_tokens == 4
        assert client.responses.create(model=MODEL, input="Hi").output_text == final.output_text


# Turns


def test_an_answer(server: ResponsesServer) -> None:
    server.script(reply("Hello, world", usage=(9, 3, 4)))
    turn = ask(local(server, system="Be brief."))
    assert (turn.text, turn.stop_reason, turn.model) == ("Hello, world", "end_turn", MODEL)
    assert turn.usage == Usage(uncached_input_tokens=5, cache_read_input_tokens=4, output_tokens=3)
    (body,) = server.bodies
    assert (body["instructions"], body["store"], body["stream"]) == ("Be brief.", False, True)
    assert body["prompt_cache_key"].startswith("local-")


def test_thinking_is_seen_and_counted(server: ResponsesServer) -> None:
    server.script(steps(reasoning("sealed", ["Let me see."]), message("3"), usage=usage(9, 30, 0, 20)))
    thoughts: list[str] = []
    run = local(server).begin("Hi")
    run.subscribe(lambda event, turn: thoughts.append(event.text) if isinstance(event, Thinking) else None)
    turn = run.wait()
    assert (turn.text, turn.usage.output_tokens, turn.usage.reasoning_output_tokens) == ("3", 30, 20)
    assert "".join(thoughts) == "Let me see."


def test_three_rounds_of_tools(server: ResponsesServer) -> None:
    rounds = [
        reply(thinking=f"sealed {number}", calls=[("add", f'{{"a": {number}}}'), ("add", '{"a": 7}')])
        for number in range(3)
    ]
    server.script(*rounds, reply("Done.", thinking="sealed 3"), reply("Yes."))
    agent = local(server, tools=[add])
    turn = ask(agent)
    assert (turn.text, len(turn.tools)) == ("Done.", 6)
    assert ask(agent, "Sure?").text == "Yes."
    kinds = [item["type"] for item in inputs(server)]
    one = ["reasoning", "function_call", "function_call", "function_call_output", "function_call_output"]
    assert kinds == ["message", *one, *one, *one, "reasoning", "message", "message"]
    written = [item for made in rounds for item in made[-1]["response"]["output"]]  # type: ignore[index,call-overload]
    sealed = [item for item in written if item["type"] == "reasoning"]
    assert [item for item in inputs(server) if item["type"] == "reasoning"][:3] == sealed
    assert len({body["prompt_cache_key"] for body in server.bodies}) == 1


def test_a_stop_in_a_tool(server: ResponsesServer) -> None:
    started = threading.Event()

    async def wait_long() -> None:
        """Wait."""
        started.set()
        await asyncio.sleep(3600)

    server.script(reply("Wait.", thinking="sealed", calls=[("wait_long", "{}"), ("add", '{"a": 1}')]))
    agent = local(server, tools=[wait_long, add])
    run = agent.begin("Wait")
    threading.Thread(target=lambda: (started.wait(), run.stop())).start()
    assert run.wait().stop_reason == "interrupted"
    assert ask(agent, "Go on").text == "Go on"
    kinds = [item["type"] for item in inputs(server)]
    calls = ["function_call", "function_call", "function_call_output", "function_call_output"]
    assert kinds == ["message", "reasoning", "message", *calls, "message"]


def test_stopped_while_it_thinks(server: ResponsesServer) -> None:
    gate = server.gate()
    begun: Any = steps(reasoning("sealed", ["Hm."]), message("Never."))
    server.script([*begun[:5], gate, *begun[5:]])
    agent = local(server)
    run = agent.begin("Think")
    server.wait_for(lambda: gate.reached)
    run.stop()
    run.wait()
    gate.open()
    assert ask(agent, "Go on").text == "Go on"
    assert all(item["type"] == "message" for item in inputs(server))


def test_max_turns_and_on(server: ResponsesServer) -> None:
    server.script(reply(thinking="sealed", calls=[("add", '{"a": 1}')]))
    agent = local(server, tools=[add], max_turns=1)
    assert ask(agent).stop_reason == "max_turns"
    assert ask(agent, "Go on").text == "Go on"
    assert [item["type"] for item in inputs(server)][1:4] == [
        "reasoning",
        "function_call",
        "function_call_output",
    ]


def test_another_provider_and_back(server: ResponsesServer, openai_server: OpenAIServer) -> None:
    server.script(reply("First.", thinking="sealed", calls=[("add", '{"a": 1}')]), reply("Two."))
    agent = local(server, tools=[add])
    here = {"provider": "openai", "model": MODEL, "base_url": server.base_url, "wire": "responses"}
    ask(agent)
    openai_server.script(chat_reply(calls=[("add", '{"a": 2}')]), chat_reply("Three."))
    agent.update_agent(provider="mistral", model="m", base_url=openai_server.base_url, wire="chat")
    assert ask(agent, "And there?").text == "Three."
    assert "sealed" not in json.dumps(openai_server.bodies)
    agent.update_agent(**here)
    assert ask(agent, "And here?").text == "And here?"
    assert [item["type"] for item in inputs(server)].count("reasoning") == 1
    agent.update_agent(model="gpt-5.7")
    assert ask(agent, "And now?").text == "And now?"
    assert all(item["type"] != "reasoning" and "id" not in item for item in inputs(server))


def test_a_restart_in_between(server: ResponsesServer) -> None:
    server.script(
        reply("First.", thinking="sealed", calls=[("add", '{"a": 1}')]), reply("Two.", thinking="more")
    )
    agent = local(server, tools=[add])
    ask(agent)
    stored = json.dumps([to_json(item) for item in agent.session.messages])
    again = local(server, tools=[add])
    again.restore_ids({"session_id": agent.session.id})
    again.session.messages = [item for row in json.loads(stored) for item in from_json(row)]
    assert ask(again, "Go on").text == "Go on"
    before = [*inputs(server)[:-1]]
    assert [item["type"] for item in before].count("reasoning") == 2
    assert server.bodies[-1]["prompt_cache_key"] == server.bodies[0]["prompt_cache_key"]


def test_ids_that_are_used_again(server: ResponsesServer) -> None:
    server.is_strict = False
    for _ in range(3):
        server.script(steps(call("add", '{"a": 1}', id="fc_1", call_id="call_1")))
    server.script(steps(message("Done.", id="msg_1")), steps(message("Again.", id="msg_1")))
    agent = local(server, tools=[add])
    turn = ask(agent)
    assert [each.result for each in turn.tools] == ["2", "2", "2"]
    assert ask(agent, "Go on").text == "Again."
    calls = [item["call_id"] for item in inputs(server) if item["type"] == "function_call"]
    assert len(set(calls)) == 3


def test_parallel_calls_run_once_each(server: ResponsesServer) -> None:
    ran: list[int] = []

    def note(a: int) -> None:
        """Note."""
        ran.append(a)

    server.script(reply(calls=[("note", '{"a": 1}'), ("note", '{"a": 2}')]), reply("Done."))
    assert ask(local(server, tools=[note])).text == "Done."
    assert ran == [1, 2]


def test_one_json_body_for_a_stream(server: ResponsesServer) -> None:
    server.script([response([message("Whole.")], usage=usage(9, 3))])
    turn = ask(local(server))
    assert (turn.text, turn.usage.input_tokens, turn.stop_reason) == ("Whole.", 9, "end_turn")


@pytest.mark.parametrize("reset", [False, True])
def test_cut_in_mid_answer(server: ResponsesServer, reset: bool) -> None:
    begun: Any = steps(reasoning("sealed"), message("Only the beginning"))
    hold = server.gate()
    server.script([*begun[:7], hold, CutHere(reset)])
    agent = local(server)
    run = agent.begin("Hi")
    # A reset may overtake what was sent before: it waits until that has arrived.
    run.subscribe(lambda event, turn: hold.open() if turn.text else None)
    turn = run.wait()
    assert isinstance(turn.error, e.UnreachableError)
    assert turn.text == "Only" and turn.usage.estimated
    assert ask(agent, "Go on").text == "Go on"
    assert [item["content"] for item in inputs(server)] == ["Hi", "Only", "Go on"]


def test_half_a_call_is_never_run(server: ResponsesServer) -> None:
    details = {"reason": "max_output_tokens"}
    half = call("add", '{"a":', status="incomplete")
    server.script(steps(message("I"), half, status="incomplete", incomplete_details=details))
    agent = local(server, tools=[add])
    turn = ask(agent)
    assert (turn.stop_reason, list(turn.tools)) == ("max_tokens", [])
    assert ask(agent, "Go on").text == "Go on"


def test_a_refusal_is_shown(server: ResponsesServer) -> None:
    server.script(steps(message("I cannot help with that.", refusal=True)))
    turn = ask(local(server))
    assert (turn.text, turn.stop_reason) == ("I cannot help with that.", "refusal")


# What it refuses reaches the user


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"options": {"reasoning_effort": "minimal"}}, "'minimal' is not supported"),
        ({"options": {"temperature": 0}}, "'temperature' is not supported with this model"),
        ({"options": {"max_tokens": 5}}, "Expected a value >= 16, but got 5"),
        ({"options": {"seed": 1}}, "Unknown parameter: 'seed'"),
        ({"model": "gpt-4o", "effort": "low"}, "'reasoning.effort' is not supported with this model"),
    ],
)
def test_refusals(server: ResponsesServer, fields: dict[str, Any], told: str) -> None:
    turn = ask(local(server, **fields))
    assert isinstance(turn.error, e.RequestRejectedError)
    assert told in str(turn.error)


def test_a_failure_inside_the_stream(server: ResponsesServer) -> None:
    error = {"code": "rate_limit_exceeded", "message": "Slow down, please."}
    begun: Any = steps(message("So far"), status="failed", error=error)
    server.script(begun)
    turn = ask(local(server))
    assert isinstance(turn.error, e.ProviderError)
    assert "Slow down, please." in str(turn.error) and turn.text == "So far"


def test_a_model_that_does_not_reason(server: ResponsesServer) -> None:
    server.script(reply("Hello"))
    assert ask(local(server, model="gpt-4o-mini")).text == "Hello"


# The model that is here


@pytest.fixture(scope="module")
def embedded() -> Iterator[Endpoint]:
    async def ready() -> Endpoint:
        async for step in start("embedded"):
            end = step
        assert isinstance(end, Endpoint)
        return end

    yield asyncio.run_coroutine_threadsafe(ready(), loop.get()).result(120)
    asyncio.run_coroutine_threadsafe(stop_all(), loop.get()).result(60)


def conversation(end: Endpoint, wire: str) -> list[Turn]:
    """Two turns of a conversation, the second one cut off by its limit."""
    config = LocalAgentConfig(
        model=end.model, base_url=end.base_url, api_key=end.api_key, wire=wire, system="Be brief."
    )
    agent, turns = LocalAgent(config=config), []
    for prompt, limit in (("What is the capital of France?", 40), ("Tell me about Paris.", 4)):
        # What is left of the other wire's prompt in its cache is no part of the count.
        agent.update_agent(options={"temperature": 0, "cache_prompt": False, "max_tokens": limit})
        turns.append(ask(agent, prompt))
    return turns


@pytest.mark.slow(reason="test_embedded_model.py has one prompt on all wires")
def test_the_embedded_model_answers_alike_on_both_wires(embedded: Endpoint) -> None:
    chat, responses = (conversation(embedded, wire) for wire in ("chat", "responses"))
    for one, other in zip(chat, responses, strict=True):
        assert one.error is None and other.error is None
        assert one.text and other.text == one.text
        assert (other.usage, other.stop_reason, other.model) == (one.usage, one.stop_reason, one.model)
    assert [turn.stop_reason for turn in responses] == ["end_turn", "max_tokens"]


def test_the_embedded_model_reads_calls_and_results(embedded: Endpoint) -> None:
    config = LocalAgentConfig(
        model=embedded.model,
        base_url=embedded.base_url,
        api_key=embedded.api_key,
        wire="responses",
        tools=[add],
        options={"temperature": 0, "max_tokens": 40},
    )
    agent = LocalAgent(config=config)
    agent.session.messages = [
        User(text="What is 20 + 3?"),
        Call(id="call_1", name="add", arguments='{"a": 20, "b": 3}'),
        Result(call_id="call_1", text="23"),
        Text(text="It is 23."),
    ]
    turn = ask(agent, "Thank you. Say it again.")
    assert turn.error is None and turn.text
