"""Who is asked before a tool runs, and what a yes, a no and a stop come to."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from praison_nb import Agent, HostedAgentConfig, LocalAgent, LocalAgentConfig, Turn, errors as e
from praison_nb.events import ApprovalAsked, Event, ToolFinished
from praison_nb.runtime.run import Run
from praison_nb.text import DISPLAY_CHARACTERS
from praison_nb.tools.builtin.registry import POLICIES
from praison_nb.tools.policy import clear_policies, policies, set_policy
from servers.openai import DONE, OpenAIServer, call, chunk, reply
from servers.waiting import until

CUSTOM = {"type": "custom", "description": "It is theirs.", "input_schema": {"type": "object"}}


@pytest.fixture(autouse=True)
def no_policies() -> Iterator[None]:
    yield
    clear_policies()


def local(server: OpenAIServer, **fields: Any) -> LocalAgent:
    fields = {"model": "gpt-4o-mini", "base_url": server.base_url, "api_key": "test-key-123", **fields}
    return LocalAgent(config=LocalAgentConfig(**fields))


def write(path: str = "new.txt", content: str = "hello") -> tuple[str, str]:
    return "write_file", json.dumps({"path": path, "content": content})


def asked(run: Run) -> Turn:
    return until(run, lambda turn: turn.waiting)


def sent_back(server: OpenAIServer) -> list[str]:
    """The tools' results as the model got them last."""
    return [m["content"] for m in server.bodies[-1]["messages"] if m["role"] == "tool"]


def test_nothing_is_there_unless_it_is_named(openai_server: OpenAIServer) -> None:
    local(openai_server).begin("Hi").wait()
    assert "tools" not in openai_server.bodies[0]
    openai_server.script(reply(calls=[write()]), reply("ok"))
    turn = local(openai_server, tools=["read_file"]).begin("Hi").wait()
    assert "no tool 'write_file'" in turn.tools[0].result
    assert [tool["function"]["name"] for tool in openai_server.bodies[1]["tools"]] == ["read_file"]


def test_it_waits_for_a_yes_and_shows_all(openai_server: OpenAIServer, tmp_path: Path) -> None:
    openai_server.script(reply("I write.", calls=[write(content="x" * 5000)]), reply("Done."))
    agent = local(openai_server, tools=["write_file"], working_dir=str(tmp_path))
    run = agent.begin("Hi", caller_waits=False)
    turn = asked(run)
    assert json.loads(turn.waiting[0].arguments) == {"path": "new.txt", "content": "x" * 5000}
    assert list(tmp_path.glob("*.txt")) == []
    run.approve(turn.waiting[0].id)
    turn = run.wait()
    assert (tmp_path / "new.txt").read_text() == "x" * 5000
    assert turn.text == "I write.\n\nDone." and turn.tools[0].approval == "allowed" and not turn.notices
    assert sent_back(openai_server) == ["Wrote new.txt: 5,000 bytes."]


def test_a_no_goes_to_the_model_with_its_reason(openai_server: OpenAIServer, tmp_path: Path) -> None:
    openai_server.script(reply(calls=[write()]), reply("I see."))
    run = local(openai_server, tools=["write_file"], working_dir=str(tmp_path)).begin(
        "Hi", caller_waits=False
    )
    run.deny(asked(run).waiting[0].id, "Not on a Sunday.")
    turn = run.wait()
    done = turn.tools[0]
    assert (done.result, done.is_error, done.approval) == ("Not on a Sunday.", True, "denied")
    assert turn.text == "I see." and sent_back(openai_server) == ["Not on a Sunday."]
    assert list(tmp_path.glob("*.txt")) == []
    # The user said it: no line has to tell it to the user.
    assert turn.notices == ()


def test_a_stop_while_it_asks_is_a_no(openai_server: OpenAIServer, tmp_path: Path) -> None:
    openai_server.script(reply(calls=[write(), write("two.txt")]))
    agent = local(openai_server, tools=["write_file"], working_dir=str(tmp_path))
    run = agent.begin("Hi", caller_waits=False)
    ids = {call.id for call in until(run, lambda turn: len(turn.waiting) == 2).waiting}
    run.stop()
    turn = run.wait()
    assert turn.stop_reason == "interrupted" and {call.approval for call in turn.tools} == {"denied"}
    for call_id in ids:
        run.approve(call_id)
    agent.begin("again").wait()
    assert list(tmp_path.glob("*.txt")) == []
    assert [m["role"] for m in openai_server.bodies[-1]["messages"]] == [
        "user",
        "assistant",
        "tool",
        "tool",
        "assistant",
        "user",
    ]


def test_a_yes_is_for_one_call(openai_server: OpenAIServer, tmp_path: Path) -> None:
    """Also where the server gives every call the same id."""
    openai_server.script(reply(calls=[write("1.txt")]), reply(calls=[write("2.txt")]), reply("ok"))
    run = local(openai_server, tools=["write_file"], working_dir=str(tmp_path)).begin(
        "Hi", caller_waits=False
    )
    first = asked(run).waiting[0]
    run.approve(first.id)
    turn = until(run, lambda turn: turn.waiting and turn.waiting[0].id != first.id)
    assert [path.name for path in tmp_path.glob("*.txt")] == ["1.txt"]
    run.deny(turn.waiting[0].id)
    turn = run.wait()
    assert [call.approval for call in turn.tools] == ["allowed", "denied"]
    assert [path.name for path in tmp_path.glob("*.txt")] == ["1.txt"]
    # The history still fits together.
    messages = openai_server.bodies[-1]["messages"]
    called = [call["id"] for m in messages for call in m.get("tool_calls", ())]
    assert called == [m["tool_call_id"] for m in messages if m["role"] == "tool"] and len({*called}) == 2


def test_a_yes_for_the_session(openai_server: OpenAIServer, tmp_path: Path) -> None:
    openai_server.script(
        reply(calls=[write("1.txt")]), reply("ok"), reply(calls=[write("2.txt")]), reply("ok")
    )
    agent = local(openai_server, tools=["write_file"], working_dir=str(tmp_path))
    run = agent.begin("Hi", caller_waits=False)
    run.approve(asked(run).waiting[0].id, for_session=True)
    run.wait()
    assert agent.begin("more").wait().tools[0].result.startswith("Wrote 2.txt")
    agent.reset_session()
    openai_server.script(reply(calls=[write("3.txt")]), reply("ok"))
    run = agent.begin("anew", caller_waits=False)
    run.deny(asked(run).waiting[0].id)
    run.wait()
    assert not (tmp_path / "3.txt").exists()


@pytest.mark.parametrize(
    ("configured", "said", "becomes"),
    [
        (None, None, "asks"),
        ("allow", None, "runs"),
        ("deny", None, "refused"),
        ("allow", "ask", "asks"),
        ("allow", "deny", "refused"),
        ("deny", "allow", "runs"),
        (None, "allow", "runs"),
    ],
)
def test_policies(
    openai_server: OpenAIServer, tmp_path: Path, configured: str | None, said: Any, becomes: str
) -> None:
    openai_server.script(reply(calls=[write()]), reply("ok"))
    if said:
        policies["write_file"] = said
    fields: dict[str, Any] = {"policies": {"write_file": configured}} if configured else {}
    agent = local(openai_server, tools=["write_file"], working_dir=str(tmp_path), **fields)
    events: list[Event] = []
    run = agent.begin("Hi", caller_waits=False)
    run.subscribe(lambda event, turn: events.append(event))
    until(run, lambda turn: turn.waiting or turn.ended)
    assert bool(run.turn.waiting) == (becomes == "asks")
    if becomes == "asks":
        run.approve(run.turn.waiting[0].id)
    turn = run.wait()
    assert (tmp_path / "new.txt").exists() == (becomes != "refused")
    if becomes == "refused":
        assert turn.tools[0].result == "The user does not allow write_file."


def test_a_function_of_the_user_may_ask_too(openai_server: OpenAIServer) -> None:
    calls: list[str] = []

    def pay(who: str) -> str:
        calls.append(who)
        return "paid"

    script = [reply(calls=[("pay", '{"who": "me"}')]), reply("ok")]
    openai_server.script(*script)
    assert local(openai_server, tools=[pay]).begin("Hi").wait().tools[0].approval == ""
    assert calls == ["me"]
    openai_server.script(*script)
    run = local(openai_server, tools=[pay], policies={"pay": "ask"}).begin("Hi")
    run.subscribe(
        lambda event, turn: (
            run.deny(event.call_id, "no") if isinstance(event, ApprovalAsked) else None  # type: ignore[func-returns-value]
        )
    )
    assert run.wait().tools[0].result == "no" and calls == ["me"]


def test_others_go_on_while_one_asks(openai_server: OpenAIServer, tmp_path: Path) -> None:
    (tmp_path / "here.txt").write_text("read meanwhile")
    openai_server.script(reply(calls=[write(), ("read_file", '{"path": "here.txt"}')]), reply("ok"))
    agent = local(openai_server, tools=["write_file", "read_file"], working_dir=str(tmp_path))
    run = agent.begin("Hi", caller_waits=False)
    turn = until(run, lambda turn: any(call.ended for call in turn.tools) and turn.waiting)
    assert [call.result for call in turn.tools] == ["", "read meanwhile"]
    run.approve(turn.waiting[0].id)
    run.wait()
    assert sent_back(openai_server) == ["Wrote new.txt: 5 bytes.", "read meanwhile"]


def test_what_cannot_be_shown_is_not_asked(openai_server: OpenAIServer, tmp_path: Path) -> None:
    steps = call(*write(content="x" * DISPLAY_CHARACTERS), size=50_000)
    openai_server.script([*steps, chunk({}, finish_reason="tool_calls"), DONE], reply("ok"))
    turn = local(openai_server, tools=["write_file"], working_dir=str(tmp_path)).begin("Hi").wait()
    assert "too long to be shown" in turn.tools[0].result and list(tmp_path.glob("*.txt")) == []


def test_what_is_long_once_it_is_shown_is_not_asked(openai_server: OpenAIServer, tmp_path: Path) -> None:
    """A page shows each value on a line of its own: the last ones would be cut off the question."""
    argv = ["env", *["A=1"] * 30_000, "touch", "pwned"]
    arguments = json.dumps({"argv": argv}, separators=(",", ":"))
    assert len(arguments) < DISPLAY_CHARACTERS < len(json.dumps({"argv": argv}, indent=2))
    steps = call("execute_command", arguments, size=50_000)
    openai_server.script([*steps, chunk({}, finish_reason="tool_calls"), DONE], reply("ok"))
    turn = local(openai_server, tools=["execute_command"], working_dir=str(tmp_path)).begin("Hi").wait()
    assert "too long to be shown" in turn.tools[0].result and not (tmp_path / "pwned").exists()


def test_a_deny_while_it_asks_wins_over_the_yes(openai_server: OpenAIServer, tmp_path: Path) -> None:
    openai_server.script(reply(calls=[write()]), reply("I see."))
    run = local(openai_server, tools=["write_file"], working_dir=str(tmp_path)).begin(
        "Hi", caller_waits=False
    )
    (waiting,) = asked(run).waiting
    policies["write_file"] = "deny"
    run.approve(waiting.id)
    (done,) = run.wait().tools
    assert (done.result, done.approval) == ("The user does not allow write_file.", "denied")
    assert list(tmp_path.glob("*.txt")) == []


def test_bad_arguments_are_not_asked_about(openai_server: OpenAIServer) -> None:
    openai_server.script(reply(calls=[("run_python", "{")]), reply("ok"))
    turn = local(openai_server, tools=["run_python"]).begin("Hi").wait()
    assert "not JSON" in turn.tools[0].result and turn.tools[0].approval == ""


def test_an_error_is_one_line_for_the_user_and_all_of_it_for_the_model(
    openai_server: OpenAIServer, main_names: None
) -> None:
    code = json.dumps({"code": "print('before')\n1 / 0"})
    openai_server.script(reply(calls=[("run_python", code)]), reply("I see."))
    turn = local(openai_server, tools=["run_python"], policies={"run_python": "allow"}).begin("Hi").wait()
    assert turn.notices == ("run_python failed: ZeroDivisionError: division by zero",)
    assert sent_back(openai_server)[0].startswith("before\nTraceback") and turn.text == "I see."
    assert "note: run_python failed: ZeroDivisionError" in repr(turn)


@pytest.fixture
def main_names() -> Iterator[None]:
    import __main__

    before = dict(vars(__main__))
    yield
    for name in set(vars(__main__)) - set(before):
        delattr(__main__, name)


def test_stop_ends_what_a_tool_runs(openai_server: OpenAIServer, main_names: None) -> None:
    code = json.dumps({"code": "begun.set()\nwhile True: pass"})
    openai_server.script(reply(calls=[("run_python", code)]), reply("never"))
    import __main__

    begun = threading.Event()
    vars(__main__)["begun"] = begun
    run = local(openai_server, tools=["run_python"], policies={"run_python": "allow"}).begin("Hi")
    threading.Thread(target=lambda: (begun.wait(), run.stop())).start()
    assert run.wait().stop_reason == "interrupted"


def test_every_tool_finishes_once(openai_server: OpenAIServer, tmp_path: Path) -> None:
    openai_server.script(reply(calls=[("list_files", "{}")] * 5), reply("ok"))
    events: list[Event] = []
    run = local(openai_server, tools=["list_files"], working_dir=str(tmp_path)).begin(
        "Hi", caller_waits=False
    )
    run.subscribe(lambda event, turn: events.append(event))
    turn = run.wait()
    assert len(turn.tools) == 5 and sum(isinstance(event, ToolFinished) for event in events) == 5


def pay() -> str:
    return "paid"


def test_policies_stay_when_the_tools_change(openai_server: OpenAIServer) -> None:
    agent = local(openai_server, tools=[pay], policies={"pay": "deny", "run_python": "deny"})
    agent.update_agent(tools=["inspect"])
    agent.update_agent(model="other")
    agent.update_agent(tools=[pay])
    openai_server.script(reply(calls=[("pay", "{}")]), reply("ok"))
    assert agent.begin("Hi").wait().tools[0].result == "The user does not allow pay."
    with pytest.raises(e.ConfigError, match="no tool 'pya' runs here"):
        agent.update_agent(policies={"pya": "allow"})
    assert agent.config.policies["pay"] == "deny"


def test_the_policies_of_a_hosted_agent_are_of_what_runs_here() -> None:
    tools = [pay, {"type": "agent_toolset_20260401"}, {**CUSTOM, "name": "elsewhere"}]
    config = HostedAgentConfig(tools=tools, policies={"pay": "ask", "run_python": "deny"})
    assert dataclasses.replace(config, tools=[]).policies == {"pay": "ask", "run_python": "deny"}
    for name in ("pya", "bash", "elsewhere"):
        with pytest.raises(e.ConfigError, match=f"no tool '{name}' runs here.*, pay.*permission_policy"):
            HostedAgentConfig(tools=tools, policies={name: "ask"})


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"tools": ["shell"]}, "No tool 'shell'. There are run_python"),
        ({"tools": "run_python"}, "must be a list"),
        ({"tools": ["inspect", "inspect"]}, "Two tools"),
        ({"tools": ["read_file"], "working_dir": "/no/such/place"}, "there is no folder '/no/such/place'"),
        ({"policies": {"run_python": "maybe"}}, "run_python must be allow, ask or deny"),
        ({"policies": "run_python"}, "policies must be a dict"),
        ({"policies": {"run_pyhton": "deny"}}, "no tool 'run_pyhton' runs here. There are run_python, "),
        ({"policies": {"pya": "ask"}, "tools": [pay]}, "no tool 'pya' runs here. .* execute_command, pay"),
    ],
)
def test_a_config_that_cannot_work(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(e.ConfigError, match=told):
        LocalAgentConfig(**fields)


def test_a_script_without_a_terminal_asks_nobody(openai_server: OpenAIServer, tmp_path: Path) -> None:
    openai_server.script(reply(calls=[write()]), reply("Then."))
    agent = Agent(backend=local(openai_server, tools=["write_file"], working_dir=str(tmp_path)))
    assert agent.start("Hi") == "Then." and list(tmp_path.glob("*.txt")) == []
    assert agent.turn and "write_file was not run: nobody can be asked here." in agent.turn.notices[0]
    assert agent.turn.tools[0].approval == "denied" and sent_back(openai_server) == [
        "Nobody can be asked here."
    ]


CHANGED = (
    "policy of write_file was changed to allow by code in this kernel; "
    "`%agent policy write_file ask` restores it"
)


def test_what_code_changes_in_the_policies_is_told_once(openai_server: OpenAIServer) -> None:
    agent = local(openai_server, tools=["write_file"], policies={"run_python": "deny"})
    assert agent.begin("Hi").wait().notices == ()
    policies["write_file"] = "allow"
    assert agent.begin("Hi").wait().notices == (CHANGED,)
    assert agent.begin("Hi").wait().notices == ()
    # The command's own are the user's word.
    set_policy("write_file", "deny")
    assert agent.begin("Hi").wait().notices == ()
    del policies["write_file"]
    assert agent.begin("Hi").wait().notices[0].startswith("policy of write_file was changed to ask")
    agent.config.policies["run_python"] = "allow"  # type: ignore[index]
    (line,) = agent.begin("Hi").wait().notices
    assert (
        line.startswith("policy of run_python was changed to allow") and "run_python deny` restores" in line
    )
    agent.update_agent(policies={"run_python": "deny"})
    assert "run_python was changed to deny" in agent.begin("Hi").wait().notices[0]


def test_what_code_changes_within_a_turn_is_told_at_the_next_call(openai_server: OpenAIServer) -> None:
    def open_door() -> str:
        """Open it."""
        policies["write_file"] = "allow"
        return "open"

    def close_door() -> str:
        """Close it."""
        del policies["write_file"]
        return "closed"

    agent = local(openai_server, tools=[open_door, close_door, "write_file"])
    openai_server.script(
        reply(calls=[("open_door", "{}")]),
        reply(calls=[write()]),
        reply(calls=[("close_door", "{}")]),
        reply("Done."),
    )
    turn = agent.begin("Hi").wait()
    assert turn.notices == (CHANGED,)
    assert "changed to ask by code" in agent.begin("Hi").wait().notices[0]


def test_the_usual_policies_stay_as_they_are() -> None:
    with pytest.raises(TypeError):
        POLICIES["write_file"] = "allow"  # type: ignore[index]


def test_before_the_first_turn_too(openai_server: OpenAIServer) -> None:
    agent = local(openai_server, tools=["run_python"], policies={"run_python": "ask"})
    agent.config.policies["run_python"] = "allow"  # type: ignore[index]
    assert "run_python was changed to allow" in agent.begin("Hi").wait().notices[0]
    # What an agent is made with is how it is.
    assert local(openai_server, policies={"run_python": "allow"}).begin("Hi").wait().notices == ()


def test_code_of_the_models_that_opens_a_door_is_told(openai_server: OpenAIServer) -> None:
    code = "from praison_nb.tools.policy import policies\npolicies['write_file'] = 'allow'"
    openai_server.script(reply(calls=[("run_python", json.dumps({"code": code}))]), reply("ok"))
    agent = local(openai_server, tools=["run_python", "write_file"], policies={"run_python": "allow"})
    agent.begin("Hi").wait()
    assert CHANGED in agent.begin("Hi").wait().notices
