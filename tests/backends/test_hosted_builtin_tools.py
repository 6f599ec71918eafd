"""The built-in tools with HostedAgent: its session calls them as custom tools, and they run here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from praison_nb import HostedAgentConfig
from praison_nb.errors import ConfigError
from praison_nb.events import Notice, ToolFinished
from praison_nb.text import DISPLAY_CHARACTERS
from praison_nb.tools.policy import policies
from praison_nb.turn import ToolCall
from servers.hosted import HostedServer, custom_tool, request, text
from servers.hosted_agent import hosted, of, play, sent
from servers.waiting import until

WRITE = custom_tool("write_file", {"path": "new.txt", "content": "hello"})


@pytest.fixture(autouse=True)
def no_policies() -> Iterator[None]:
    yield
    policies.clear()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    (tmp_path / "secret.txt").write_text("not for the model")
    return tmp_path / "work"


def results(server: HostedServer) -> list[tuple[str, bool]]:
    """What the session got as results, and whether as errors."""
    return [
        (e["content"][0]["text"], e.get("is_error", False)) for e in sent(server, "user.custom_tool_result")
    ]


def test_they_are_declared_beside_the_others() -> None:
    def mine(a: int) -> int:
        """Mine."""
        return a

    toolset = {"type": "agent_toolset_20260401"}
    config = HostedAgentConfig(tools=["read_file", toolset, mine, "run_python"])
    read, theirs, own, python = config.agent_params()["tools"]
    assert (read["name"], own["name"], python["name"]) == ("read_file", "mine", "run_python")
    assert theirs == toolset and read["type"] == "custom" and read["input_schema"]["required"] == ["path"]


def test_a_folder_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match="there is no folder '/no/such/place'"):
        HostedAgentConfig(tools=["read_file"], working_dir="/no/such/place")


def test_what_only_reads_runs_at_once_and_stays_in_its_folder(server: HostedServer, folder: Path) -> None:
    (folder / "here.txt").write_text("read")
    calls = [custom_tool("read_file", {"path": path}) for path in ("here.txt", "../secret.txt", "no.txt")]
    server.script([request(*calls, custom_tool("list_files")), text("done")])
    turn, told = play(hosted(server, tools=["read_file", "list_files"], working_dir=str(folder)))
    assert turn.text == "done" and [call.approval for call in turn.tools] == ["", "", "", ""]
    read, escaped, missing, listed = turn.tools
    assert (read.result, read.is_error) == ("read", False) and listed.result.startswith("here.txt")
    assert escaped.is_error and "not for the model" not in escaped.result and missing.is_error
    assert set(results(server)) == {(call.result, call.is_error) for call in turn.tools}
    # One line for the user of each that failed.
    assert len(of(Notice, told)) == 2 and all("read_file failed" in note for note in turn.notices)


def test_it_waits_for_a_yes(server: HostedServer, folder: Path) -> None:
    server.script([WRITE, text("done")])
    run = hosted(server, tools=["write_file"], working_dir=str(folder)).begin("Hi", caller_waits=False)
    (call,) = until(run, lambda turn: turn.waiting).waiting
    assert call.arguments == '{"path": "new.txt", "content": "hello"}' and list(folder.iterdir()) == []
    assert results(server) == []
    run.approve(call.id)
    turn = run.wait()
    assert (folder / "new.txt").read_text() == "hello" and turn.tools[0].approval == "allowed"
    assert results(server) == [("Wrote new.txt: 5 bytes.", False)] and turn.text == "done"


def test_a_no_goes_to_the_model_with_its_reason(server: HostedServer, folder: Path) -> None:
    server.script([WRITE, text("I see.")])
    run = hosted(server, tools=["write_file"], working_dir=str(folder)).begin("Hi", caller_waits=False)
    run.deny(until(run, lambda turn: turn.waiting).waiting[0].id, "Not on a Sunday.")
    turn = run.wait()
    assert list(folder.iterdir()) == [] and results(server) == [("Not on a Sunday.", True)]
    assert turn.tools[0].approval == "denied" and turn.text == "I see." and turn.notices == ()


def test_a_stop_while_it_asks_is_a_no(server: HostedServer, folder: Path) -> None:
    server.script([request(WRITE, WRITE)])
    agent = hosted(server, tools=["write_file"], working_dir=str(folder))
    told: list[Any] = []
    run = agent.begin("Hi", caller_waits=False, subscribers=(lambda event, turn: told.append(event),))
    ids = {call.id for call in until(run, lambda turn: len(turn.waiting) == 2).waiting}
    run.stop()
    turn = run.wait()
    assert turn.stop_reason == "interrupted" and {call.approval for call in turn.tools} == {"denied"}
    assert {e.call_id for e in of(ToolFinished, told)} == ids
    for call_id in ids:
        run.approve(call_id)
    server.script([text("again")])
    assert agent.begin("again").wait().text == "again"
    assert list(folder.iterdir()) == [] and results(server) == [("The user stopped the turn.", True)] * 2


def test_a_yes_for_the_session(server: HostedServer, folder: Path) -> None:
    server.script([WRITE, text("one")], [WRITE, text("two")])
    agent = hosted(server, tools=["write_file"], working_dir=str(folder))
    run = agent.begin("Hi", caller_waits=False)
    run.approve(until(run, lambda turn: turn.waiting).waiting[0].id, for_session=True)
    assert run.wait().text == "one" and agent.begin("more").wait().text == "two"


@pytest.mark.parametrize(
    ("configured", "said", "becomes"),
    [
        ("allow", None, "runs"),
        ("deny", None, "refused"),
        ("allow", "deny", "refused"),
        (None, "allow", "runs"),
    ],
)
def test_policies(
    server: HostedServer, folder: Path, configured: str | None, said: Any, becomes: str
) -> None:
    if said:
        policies["write_file"] = said
    fields: dict[str, Any] = {"policies": {"write_file": configured}} if configured else {}
    server.script([WRITE, text("done")])
    turn, _ = play(hosted(server, tools=["write_file"], working_dir=str(folder), **fields))
    assert (folder / "new.txt").exists() == (becomes == "runs") and turn.text == "done"
    if becomes == "refused":
        assert results(server) == [("The user does not allow write_file.", True)]


def test_a_callback_decides(server: HostedServer, folder: Path) -> None:
    asked: list[ToolCall] = []

    def decide(call: ToolCall) -> bool | str:
        asked.append(call)
        return "hello" not in call.arguments or "No greetings."

    other = custom_tool("write_file", {"path": "other.txt", "content": "bye"})
    server.script([request(WRITE, other), text("done")])
    agent = hosted(server, tools=["write_file"], working_dir=str(folder), on_tool_confirmation=decide)
    turn, _ = play(agent)
    assert [path.name for path in folder.iterdir()] == ["other.txt"] and turn.text == "done"
    assert {call.name for call in asked} == {"write_file"} and ("No greetings.", True) in results(server)


def test_another_client_may_answer_while_it_asks(server: HostedServer, folder: Path) -> None:
    server.script([WRITE, text("done")])
    run = hosted(server, tools=["write_file"], working_dir=str(folder)).begin("Hi", caller_waits=False)
    (call,) = until(run, lambda turn: turn.waiting).waiting
    content = [{"type": "text", "text": "written elsewhere"}]
    answer = {"type": "user.custom_tool_result", "custom_tool_use_id": call.id, "content": content}
    server.call(lambda: server.sessions[run.turn.session_id].receive([answer]))
    turn = run.wait()
    assert turn.tools[0].result == "written elsewhere" and turn.text == "done" and not turn.waiting
    run.approve(call.id)
    assert list(folder.iterdir()) == [] and len(results(server)) == 1


def test_what_cannot_be_shown_is_not_asked(server: HostedServer, folder: Path) -> None:
    server.script(
        [custom_tool("write_file", {"path": "new.txt", "content": "x" * DISPLAY_CHARACTERS}), text("done")]
    )
    play(hosted(server, tools=["write_file"], working_dir=str(folder)))
    assert "too long to be shown" in results(server)[0][0] and list(folder.iterdir()) == []


def test_it_asks_through_lost_connections_and_runs_once(server: HostedServer, folder: Path) -> None:
    append = custom_tool("execute_command", {"argv": ["sh", "-c", "echo ran >> log.txt"]})
    server.script([append, text("done")])
    run = hosted(server, tools=["execute_command"], working_dir=str(folder)).begin("Hi", caller_waits=False)
    (call,) = until(run, lambda turn: turn.waiting).waiting
    for _ in range(3):
        streams = len(server.streams)
        server.call(lambda: server.sessions[run.turn.session_id].send("close"))
        server.wait_for(lambda count=streams: len(server.streams) > count)
    run.approve(call.id)
    assert run.wait().text == "done" and (folder / "log.txt").read_text() == "ran\n"


@pytest.mark.parametrize("code", ["1 / 0", "print('before'); raise ValueError('no')"])
def test_an_error_is_a_result_and_one_line(server: HostedServer, code: str) -> None:
    server.script([custom_tool("run_python", {"code": code}), text("I see.")])
    turn, _ = play(hosted(server, tools=["run_python"], policies={"run_python": "allow"}))
    ((told, is_error),) = results(server)
    assert is_error and "Traceback" in told and turn.text == "I see."
    (note,) = turn.notices
    assert note.startswith("run_python failed: ") and "\n" not in note
