"""LocalAgent over the real openai SDK, against a scripted server."""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import threading
from decimal import Decimal
from typing import Any

import pytest

from praison_nb import Agent, LocalAgent, LocalAgentConfig, Turn, errors as e
from praison_nb.backends.local.attempts import Attempt
from praison_nb.backends.local.turn import LocalTurn
from praison_nb.backends.local.wires.chat_reader import ChatReader
from praison_nb.backends.local.wires.reply import Reply
from praison_nb.metering.meter import Meter
from praison_nb.runtime import loop
from praison_nb.runtime.execution import Execution
from praison_nb.session import Status, Usage
from servers.openai import DONE, MODEL, CutHere, OpenAIServer, call, chunk, reply, usage
from servers.waiting import until


def local(server: OpenAIServer, **fields: Any) -> LocalAgent:
    fields = {"model": "gpt-4o-mini", "base_url": server.base_url, "api_key": "test-key-123", **fields}
    return LocalAgent(config=LocalAgentConfig(**fields))


def ask(agent: LocalAgent, prompt: str = "Hi") -> Turn:
    return agent.begin(prompt).wait()


def add(a: int, b: int = 1) -> int:
    """Add two numbers.

    Args:
        a: The first.
        b: The second.
    """
    return a + b


def test_an_answer_with_the_servers_own_count(openai_server: OpenAIServer) -> None:
    openai_server.script(reply("Hello, world", usage=(9, 3, 4)))
    agent = local(openai_server, system="Be brief.")
    assert agent.retrieve_session() == {
        "id": "",
        "status": "none",
        "title": "",
        "usage": {"input_tokens": 0, "output_tokens": 0},
    }
    turn = ask(agent)
    assert turn.text == "Hello, world"
    assert turn.usage == Usage(uncached_input_tokens=5, cache_read_input_tokens=4, output_tokens=3)
    assert turn.status is Status.IDLE and turn.stop_reason == "end_turn" and turn.model == MODEL
    session = agent.retrieve_session()
    assert session["id"].startswith("local-") and session["status"] == "idle" and session["title"] == ""
    assert session["usage"] == {"input_tokens": 9, "output_tokens": 3, "cache_read_input_tokens": 4}
    assert openai_server.bodies[0]["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
    ]


def test_a_turn_leaves_no_work_to_the_garbage_collector(
    openai_server: OpenAIServer, request: pytest.FixtureRequest
) -> None:
    kinds = (Attempt, ChatReader, Execution, LocalTurn, Meter, Reply)

    def alive() -> dict[int, object]:
        return {id(each): each for each in gc.get_objects() if type(each) in kinds}

    agent = local(openai_server)
    gc.disable()
    request.addfinalizer(gc.enable)
    before = alive()
    for _ in range(3):
        run = agent.begin("Hi")
        run.wait()
        run.settled.result()
    loop.run_sync(lambda: asyncio.sleep(0))
    assert not alive().keys() - before


def test_the_conversation_goes_on_until_reset(openai_server: OpenAIServer) -> None:
    agent = local(openai_server)
    ask(agent, "one")
    ask(agent, "two")
    roles = [message["role"] for message in openai_server.bodies[1]["messages"]]
    assert roles == ["user", "assistant", "user"]
    assert agent.retrieve_session()["usage"]["input_tokens"] == 20
    first = agent.retrieve_session()["id"]
    agent.reset_session()
    assert agent.retrieve_session()["status"] == "none" and agent.retrieve_session()["id"] == ""
    ask(agent, "three")
    assert len(openai_server.bodies[2]["messages"]) == 1
    assert [info["id"] for info in agent.list_sessions()] == [first, agent.retrieve_session()["id"]]
    agent.reset_all()
    assert agent.list_sessions() == []


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7])
def test_characters_split_between_network_chunks(openai_server: OpenAIServer, size: int) -> None:
    text = "naïve 🦜 — 数据"
    openai_server.chunk_size = size
    openai_server.script(reply(text, size=1))
    assert ask(local(openai_server)).text == text


def test_tool_calls_run_and_their_results_go_back(openai_server: OpenAIServer) -> None:
    openai_server.script(
        reply(calls=[("add", '{"a": 2, "b": 3}'), ("add", '{"a": 10}')], usage=(20, 9)),
        reply("5 and 11", usage=(40, 4)),
    )
    turn = ask(local(openai_server, tools=[add]))
    assert [(c.name, c.result, c.is_error) for c in turn.tools] == [("add", "5", False), ("add", "11", False)]
    assert turn.text == "5 and 11"
    assert (turn.usage.input_tokens, turn.usage.output_tokens) == (60, 13)
    assert len(turn.requests) == 2
    sent = openai_server.bodies[0]["tools"][0]["function"]
    assert sent["name"] == "add" and sent["description"] == "Add two numbers."
    assert sent["parameters"]["properties"]["a"] == {"type": "integer", "description": "The first."}
    assert sent["parameters"]["required"] == ["a"]
    assert [m["content"] for m in openai_server.bodies[1]["messages"] if m["role"] == "tool"] == ["5", "11"]


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("add", '{"a": "x"}', "do not fit: a: Input should be a valid integer"),
        ("add", '{"a": 1, "z": 2}', "z: Unexpected keyword argument"),
        ("add", '{"a": ', "not JSON"),
        ("add", "[1]", "must be a JSON object"),
        ("add", "[" * 100_000, "not JSON"),
        ("nobody", "{}", "no tool 'nobody'"),
        ("boom", "{}", "ZeroDivisionError"),
        ("leave", "{}", "SystemExit"),
    ],
)
def test_a_tool_that_fails_is_a_result_and_the_turn_goes_on(
    openai_server: OpenAIServer, name: str, arguments: str, told: str
) -> None:
    def boom() -> None:
        raise ZeroDivisionError("division by zero")

    def leave() -> None:
        raise SystemExit(3)

    openai_server.script(reply(calls=[(name, arguments)]), reply("I see"))
    turn = ask(local(openai_server, tools=[add, boom, leave]))
    assert turn.text == "I see" and turn.status is Status.IDLE
    assert turn.tools[0].is_error and told in turn.tools[0].result
    assert told in openai_server.bodies[1]["messages"][-1]["content"]


def test_async_tools_run_side_by_side(openai_server: OpenAIServer) -> None:
    both = asyncio.Barrier(2)

    async def meet(who: str) -> str:
        await both.wait()  # never returns unless the other call runs too
        return f"met as {who}"

    openai_server.script(reply(calls=[("meet", '{"who": "a"}'), ("meet", '{"who": "b"}')]), reply("done"))
    turn = ask(local(openai_server, tools=[meet]))
    assert sorted(c.result for c in turn.tools) == ["met as a", "met as b"]


def test_plain_tools_run_on_the_thread_that_waits(openai_server: OpenAIServer) -> None:
    threads: list[threading.Thread] = []

    def where() -> str:
        threads.append(threading.current_thread())
        return "here"

    openai_server.script(
        reply(calls=[("where", "{}")]), reply("ok"), reply(calls=[("where", "{}")]), reply("ok")
    )
    agent = local(openai_server, tools=[where])
    ask(agent)
    other = threading.Thread(target=ask, args=(agent,))
    other.start()
    other.join()
    assert threads == [threading.main_thread(), other]


def test_max_turns_ends_the_turn_plainly(openai_server: OpenAIServer) -> None:
    openai_server.script(*[reply(calls=[("add", '{"a": 1}')])] * 3)
    agent = local(openai_server, tools=[add], max_turns=2)
    turn = ask(agent)
    assert turn.stop_reason == "max_turns" and "max_turns=2" in turn.detail and len(turn.requests) == 2
    openai_server.script(reply("goes on"))
    assert "goes on" in ask(agent).text or len(openai_server.bodies) == 3


def test_a_server_that_counts_nothing_is_estimated(openai_server: OpenAIServer) -> None:
    openai_server.script(reply("x" * 40, usage=None))
    turn = ask(local(openai_server))
    assert turn.usage.estimated and turn.usage.output_tokens == 10 and turn.usage.input_tokens > 0
    openai_server.script(reply("x" * 40, usage=(0, 0)))
    assert ask(local(openai_server)).usage.estimated


def test_a_server_that_knows_no_stream_options_is_asked_without(openai_server: OpenAIServer) -> None:
    openai_server.refuse(1, status=422, message="extra fields not permitted: stream_options")
    assert ask(local(openai_server), "echo me").text == "echo me"
    assert ["stream_options" in body for body in openai_server.bodies] == [True, False]


def test_parallel_calls_that_all_have_index_0(openai_server: OpenAIServer) -> None:
    steps = [*call("add", '{"a": 1}', "c1", 0), *call("add", '{"a": 5}', "c2", 0)]
    openai_server.script([*steps, chunk({}, finish_reason="tool_calls"), usage(1, 1), DONE], reply("ok"))
    assert [c.result for c in ask(local(openai_server, tools=[add])).tools] == ["2", "6"]


def test_a_providers_own_cost_wins(openai_server: OpenAIServer) -> None:
    openai_server.script(
        [chunk({"content": "x"}), chunk({}, finish_reason="stop"), usage(9, 1, cost=0.0125), DONE]
    )
    assert ask(local(openai_server)).cost == Decimal("0.0125")


@pytest.mark.parametrize(
    ("finish", "reason"), [("length", "max_tokens"), ("content_filter", "refusal"), ("stop", "end_turn")]
)
def test_stop_reasons(openai_server: OpenAIServer, finish: str, reason: str) -> None:
    openai_server.script(reply("text", finish=finish))
    assert ask(local(openai_server)).stop_reason == reason


@pytest.mark.parametrize(
    ("status", "message", "kind", "told"),
    [
        (401, "Incorrect API key provided: test-key-123", e.AuthenticationError, "api_key="),
        (403, "no", e.AuthenticationError, "403"),
        (404, "The model does not exist", e.ModelNotFoundError, "gpt-4o-mini"),
        (429, "slow down", e.RateLimitError, "Try again in 7 s"),
        (400, "maximum context length is 8 tokens", e.ContextTooLongError, "--new"),
        (400, "bad", e.RequestRejectedError, "bad"),
        (500, "oops", e.ServerError, "oops"),
        (504, "slow", e.TurnTimeoutError, "in time"),
    ],
)
def test_http_errors(
    openai_server: OpenAIServer, status: int, message: str, kind: type[e.ProviderError], told: str
) -> None:
    headers = {"retry-after": "7", "x-should-retry": "false"}
    openai_server.refuse(9, status=status, message=message, headers=headers)
    agent = local(openai_server)
    turn = ask(agent)
    assert type(turn.error) is kind and told in str(turn.error)
    assert turn.error.turn is turn and "test-key-123" not in str(turn.error)
    assert turn.usage == Usage() and turn.cost == 0
    assert agent.retrieve_session()["status"] == "error"
    with pytest.raises(kind):
        Agent(name="a", backend=agent).start("again")


def test_the_turn_after_a_failed_one_works_and_does_not_repeat_it(openai_server: OpenAIServer) -> None:
    openai_server.refuse(1, status=400, message="bad")
    agent = local(openai_server)
    ask(agent, "lost")
    assert ask(agent, "again").text == "again"
    assert [m["content"] for m in openai_server.bodies[-1]["messages"]] == ["again"]


def test_a_retry_of_the_sdk_is_one_request(openai_server: OpenAIServer) -> None:
    openai_server.refuse(1, status=503, headers={"retry-after-ms": "1"})
    openai_server.script(reply("made it", usage=(7, 2)))
    turn = ask(local(openai_server))
    assert turn.text == "made it" and turn.usage == Usage(uncached_input_tokens=7, output_tokens=2)


def test_nobody_listens() -> None:
    with OpenAIServer() as server:
        pass
    turn = ask(local(server))
    assert isinstance(turn.error, e.UnreachableError) and "Is it running" in str(turn.error)


@pytest.mark.parametrize("reset", [False, True])
def test_a_cut_stream_keeps_the_text(openai_server: OpenAIServer, reset: bool) -> None:
    agent = local(openai_server)
    hold = openai_server.gate()
    openai_server.script([chunk({"content": "the text so far"}), hold, CutHere(reset)])
    run = agent.begin("Hi")
    # A reset may overtake what was sent before: it waits until that has arrived.
    run.subscribe(lambda event, turn: hold.open() if turn.text else None)
    turn = run.wait()
    assert turn.text == "the text so far" and isinstance(turn.error, e.UnreachableError)
    assert turn.usage.estimated and turn.usage.output_tokens == 4
    # The kept text is part of the conversation.
    ask(agent, "go on")
    assert openai_server.bodies[-1]["messages"][1]["content"] == "the text so far"


def test_a_stream_that_just_ends_is_not_taken_for_whole(openai_server: OpenAIServer) -> None:
    openai_server.script([chunk({"content": "half an ans"})])
    turn = ask(local(openai_server))
    assert turn.text == "half an ans" and isinstance(turn.error, e.UnreachableError)


def test_a_malformed_stream(openai_server: OpenAIServer) -> None:
    openai_server.script([chunk({"content": "good "}), b"data: {not json}\n\n", *reply("x")])
    turn = ask(local(openai_server))
    assert isinstance(turn.error, e.MalformedStreamError), turn.error
    assert turn.text.startswith("good ")


@pytest.mark.parametrize(
    "raw", [b'data: "text"\n\n', b"data: \xff\xfe\n\n", b"data: []\n\n", b'data: {"choices": 3}\n\n']
)
def test_what_is_no_part_of_the_answer_costs_nothing_of_it(openai_server: OpenAIServer, raw: bytes) -> None:
    openai_server.script([chunk({"content": "good "}), raw, *reply("x")])
    turn = ask(local(openai_server))
    assert turn.error is None and turn.text == "good x"


def test_an_error_inside_the_stream(openai_server: OpenAIServer) -> None:
    told = {"error": {"message": "the model ran away", "type": "server_error"}}
    openai_server.script([chunk({"content": "good"}), b"data: " + json.dumps(told).encode() + b"\n\n"])
    turn = ask(local(openai_server))
    assert isinstance(turn.error, e.ServerError) and "ran away" in str(turn.error) and turn.text == "good"


def test_a_timeout(openai_server: OpenAIServer) -> None:
    openai_server.script([openai_server.gate()])
    agent = local(openai_server, timeout=0.05)
    assert isinstance(ask(agent).error, e.TurnTimeoutError)


def test_stopped_while_the_text_comes(openai_server: OpenAIServer) -> None:
    hold = openai_server.gate()
    openai_server.script([*reply("partial", usage=None)[:-2], hold, DONE])
    agent = local(openai_server)
    run = agent.begin("Hi")
    until(run, lambda turn: turn.text == "partial")
    assert agent.retrieve_session()["status"] == "running"
    agent.interrupt()
    turn = run.wait()
    assert turn.stop_reason == "interrupted" and turn.text == "partial" and turn.usage.estimated
    assert agent.retrieve_session()["status"] == "idle"
    assert agent.retrieve_session()["usage"]["output_tokens"] == 2
    ask(agent, "and now?")
    assert [m["content"] for m in openai_server.bodies[-1]["messages"]] == ["Hi", "partial", "and now?"]


def test_stopped_before_the_server_answers(openai_server: OpenAIServer) -> None:
    hold = openai_server.gate()
    openai_server.script([hold])
    agent = local(openai_server)
    run = agent.begin("Hi")
    openai_server.wait_for(lambda: hold.reached)
    run.stop()
    assert run.wait().stop_reason == "interrupted"
    assert ask(agent, "again").text == "again"


def test_stopped_in_a_tool_the_history_stays_valid(openai_server: OpenAIServer) -> None:
    started = threading.Event()

    async def forever() -> None:
        started.set()
        await asyncio.Event().wait()

    openai_server.script(reply("Let me see.", calls=[("forever", "{}"), ("add", '{"a": 1}')]))
    agent = local(openai_server, tools=[forever, add])
    run = agent.begin("Hi")
    threading.Thread(target=lambda: (started.wait(), run.stop())).start()
    assert run.wait().stop_reason == "interrupted"
    ask(agent, "again")
    messages = openai_server.bodies[-1]["messages"]
    # An assistant's message stands before the user's: not every server takes that behind a tool's.
    assert [m["role"] for m in messages] == ["user", "assistant", "tool", "tool", "assistant", "user"]
    assert {m["tool_call_id"] for m in messages[2:4]} == {c["id"] for c in messages[1]["tool_calls"]}


def test_an_interrupt_reaches_a_tool_on_the_main_thread(openai_server: OpenAIServer) -> None:
    def spin() -> None:
        signal.raise_signal(signal.SIGINT)

    openai_server.script(reply("Let me see.", calls=[("spin", "{}")]))
    agent = Agent(name="a", backend=local(openai_server, tools=[spin]))
    with pytest.raises(KeyboardInterrupt):
        agent.start("Hi")
    assert agent.turn is not None
    assert agent.turn.stop_reason == "interrupted" and agent.turn.text == "Let me see."


def test_stop_ends_a_tool_on_the_main_thread(openai_server: OpenAIServer) -> None:
    def spin() -> None:
        threading.Thread(target=run.stop).start()
        threading.Event().wait()

    openai_server.script(reply(calls=[("spin", "{}")]))
    run = local(openai_server, tools=[spin]).begin("Hi")
    assert run.wait().stop_reason == "interrupted"


def test_a_signal_that_wakes_nothing_up_is_sent_again(
    openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one does that comes just before the main thread begins to wait."""
    sent: list[int] = []
    real = signal.pthread_kill

    def kill(thread: int, number: int) -> None:
        sent.append(number)
        if len(sent) > 1:
            real(thread, number)

    def spin() -> None:
        threading.Thread(target=run.stop).start()
        threading.Event().wait()

    monkeypatch.setattr(signal, "pthread_kill", kill)
    openai_server.script(reply(calls=[("spin", "{}")]))
    run = local(openai_server, tools=[spin]).begin("Hi")
    assert run.wait().stop_reason == "interrupted" and sent == [signal.SIGINT] * 2


def test_streaming_from_start(openai_server: OpenAIServer) -> None:
    openai_server.script(reply("abcdefgh"))
    agent = Agent(name="a", backend=local(openai_server))
    assert list(agent.start("Hi", stream=True)) == ["abcd", "efgh"]


def test_leaving_the_stream_stops_the_turn(openai_server: OpenAIServer) -> None:
    hold = openai_server.gate()
    openai_server.script([chunk({"content": "one"}), hold])
    agent = Agent(name="a", backend=local(openai_server))
    for _ in agent.start("Hi", stream=True):
        break
    assert agent.turn is not None and agent.turn.stop_reason == "interrupted"


async def test_astart_and_start_where_a_loop_runs(openai_server: OpenAIServer) -> None:
    agent = Agent(name="a", backend=local(openai_server))
    assert await agent.astart("one") == "one"
    assert agent.start("two") == "two"


async def test_a_cancelled_astart_stops_the_turn(openai_server: OpenAIServer) -> None:
    hold = openai_server.gate()
    openai_server.script([chunk({"content": "one"}), hold])
    agent = Agent(name="a", backend=local(openai_server))
    task = asyncio.create_task(agent.astart("Hi"))
    await openai_server.until(lambda: hold.reached)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert agent.turn is not None and agent.turn.stop_reason == "interrupted"


def test_turns_of_one_session_run_one_after_the_other(openai_server: OpenAIServer) -> None:
    hold = openai_server.gate()
    openai_server.script(
        [chunk({"content": "first"}), hold, chunk({}, finish_reason="stop"), DONE], reply("second")
    )
    agent = local(openai_server)
    first = agent.begin("1", caller_waits=False)
    openai_server.wait_for(lambda: hold.reached)
    second = agent.begin("2", caller_waits=False)
    assert len(openai_server.bodies) == 1
    hold.open()
    assert (first.wait().text, second.wait().text) == ("first", "second")
    assert [m["content"] for m in openai_server.bodies[1]["messages"]] == ["1", "first", "2"]


def test_update_agent_keeps_the_conversation(openai_server: OpenAIServer) -> None:
    agent = local(openai_server)
    ask(agent, "one")
    agent.update_agent(system="Speak French.", model="other")
    ask(agent, "two")
    body = openai_server.bodies[1]
    assert body["model"] == "other" and body["messages"][0]["content"] == "Speak French."
    with pytest.raises(e.ConfigError, match="colour"):
        agent.update_agent(colour="red")


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"model": ""}, "^model must not be empty"),
        ({"model": None}, "^model must be text, not None"),
        ({"modle": "m"}, "^No such field: modle: did you mean 'model'[?]$"),
        ({"max_turns": 0}, "^max_turns must be a number from 1, not 0"),
        ({"max_turns": "3"}, "^max_turns must be a whole number, not '3'"),
        ({"timeout": -1}, "^timeout must be a number above 0, not -1"),
        ({"timeout": "5"}, "^timeout must be a number, not '5'"),
        ({"options": None}, "^options must be a dict, not None"),
        ({"metadata": ["a"]}, "^metadata must be a dict, not list"),
        ({"system": 5}, "^system must be text, not 5"),
        ({"api_key": 5}, "^api_key must be text, not int"),
        ({"base_url": "user:secret-abc@host"}, r"^base_url must begin with http:// or https://\.$"),
        ({"tools": None}, "tools must be a list of functions and names, not NoneType"),
        ({"tools": add}, "tools must be a list of functions and names, not function"),
        ({"tools": (tool for tool in [add])}, "tools must be a list of functions and names, not generator"),
        ({"working_dir": 5}, "working_dir must be a folder's path, not 5"),
        ({"working_dir": 5, "tools": ["read_file"]}, "working_dir must be a folder's path, not 5"),
        ({"working_dir": "a\0b", "tools": ["read_file"]}, "is no path"),
        ({"tools": [add, add]}, "Two tools"),
        ({"tools": [lambda x: x]}, "name"),
        ({"tools": ["add"]}, "function"),
        ({"tool_choice": "nobody"}, "^tool_choice must be one of auto, required, none, not 'nobody'"),
        ({"tool_choice": "ad", "tools": [add]}, "not 'ad': did you mean 'add'[?]$"),
    ],
)
def test_a_config_that_cannot_work(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(e.ConfigError, match=told):
        LocalAgentConfig(**fields)


@pytest.mark.parametrize(
    ("model", "variable"),
    [("gpt-4o-mini", "OPENAI_API_KEY"), ("groq/x", "GROQ_API_KEY"), ("gemini/x", "GEMINI_API_KEY")],
)
def test_no_key_says_which_variable(model: str, variable: str) -> None:
    turn = ask(LocalAgent(config=LocalAgentConfig(model=model)))
    assert isinstance(turn.error, e.MissingKeyError) and variable in str(turn.error)


def test_a_key_never_shows(openai_server: OpenAIServer) -> None:
    agent = local(openai_server)
    assert "test-key-123" not in repr(agent) + repr(agent.config) + repr(ask(agent))


def test_a_proxy_is_not_for_servers_on_this_machine(
    openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert ask(local(openai_server), "echo me").text == "echo me"


@pytest.mark.parametrize(
    "arguments", ['{"path": "a', "[1]", "null", "", '{"half": "\\ud83d"}', "[" * 100_000]
)
def test_a_call_that_is_none_ends_no_conversation(openai_server: OpenAIServer, arguments: str) -> None:
    """Servers that read the history's calls would refuse every later request."""
    openai_server.script(reply(calls=[("no such/tool", arguments)]), reply("I see."), reply("Next."))
    agent = local(openai_server, tools=[add])
    turn = agent.begin("Hi").wait()
    assert turn.text == "I see." and turn.tools[0].name == "no such/tool"
    assert agent.begin("more").wait().text == "Next."
    (call,) = (c["function"] for m in openai_server.bodies[-1]["messages"] for c in m.get("tool_calls", ()))
    assert call["name"] == "no_such_tool" and isinstance(json.loads(call["arguments"]), dict)
    assert not arguments or json.loads(call["arguments"]) in (
        {"not_an_object": arguments},
        # "null", for no arguments.
        *([{}] if arguments == "null" else []),
        {"half": "�"},
        {"half": "\ud83d"},
    )
