"""A yes is for the call that the user was shown, to the byte."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from browser.scenarios import ask
from praison_nb import LocalAgent, LocalAgentConfig
from praison_nb.backends.scripted import ScriptedBackend
from praison_nb.events import ApprovalAnswered, ApprovalAsked, Event, TextDelta, ToolFinished, ToolStarted
from praison_nb.render import review
from praison_nb.runtime import loop
from praison_nb.runtime.approvals import CHANGED, digest_of
from praison_nb.runtime.run import Run
from praison_nb.text import DISPLAY_CHARACTERS
from servers.hosted import HostedServer, ask as hosted_ask, builtin_tool, text
from servers.hosted_agent import hosted, sent
from servers.openai import OpenAIServer, reply
from servers.waiting import until

ONE, TWO = '{"command": "make"}', '{"command": "rm -r build"}'


def begin(*steps: Any) -> Run:
    return ScriptedBackend(steps).begin("Go", caller_waits=False)


class Gate:
    """A step that waits until the test opens it."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    async def __call__(self, run: Run) -> None:
        await self._event.wait()

    def open(self) -> None:
        loop.get().call_soon_threadsafe(self._event.set)


def asks_about(run: Run, arguments: str) -> str:
    """Until the turn asks about these arguments; the question's digest."""
    turn = until(run, lambda turn: [call.arguments for call in turn.waiting] == [arguments])
    return digest_of(turn.waiting[0])


def approvals(run: Run) -> list[str]:
    return [call.approval for call in run.wait().tools]


def test_a_yes_to_another_call_counts_for_nothing() -> None:
    run = begin(*ask("1", "bash", ONE))
    asks_about(run, ONE)
    for digest in ("", "of nothing", review.digest("bash", TWO), review.digest("sh", ONE)):
        run.approve("1", digest)
        run.approve("1", digest, for_session=True)
    run.deny("1", "still asked")
    assert run.wait().tools[0].result == "still asked"


@pytest.mark.parametrize("for_session", [False, True])
def test_a_call_that_is_replaced_under_its_id_is_asked_about_again(for_session: bool) -> None:
    change = Gate()
    run = begin(*ask("1", "bash", ONE)[:2], change, *ask("1", "bash", TWO))
    first = asks_about(run, ONE)
    if not for_session:
        # It comes in time, and then the call is replaced.
        run.approve("1", first)
    change.open()
    second = asks_about(run, TWO)
    run.approve("1", first, for_session=for_session)
    assert second != first
    run.deny("1", "not that")
    turn = run.wait()
    assert [(call.arguments, call.result) for call in turn.tools] == [(TWO, "not that")]


def test_the_yes_to_the_new_call_counts() -> None:
    change = Gate()
    run = begin(*ask("1", "bash", ONE)[:2], change, *ask("1", "bash", TWO))
    asks_about(run, ONE)
    change.open()
    run.approve("1", asks_about(run, TWO))
    assert approvals(run) == ["allowed"]


def test_the_same_call_once_more_is_asked_about_again() -> None:
    run = begin(*ask("1", "bash", ONE), *ask("1", "bash", ONE))
    events: list[Event] = []
    run.subscribe(lambda event, turn: events.append(event))
    run.approve("1", asks_about(run, ONE))
    until(run, lambda turn: len([e for e in events if isinstance(e, ApprovalAsked)]) == 2 and turn.waiting)
    run.deny("1", "once was enough")
    assert run.wait().tools[0].result == "once was enough"


def test_a_yes_before_the_question_counts_for_nothing() -> None:
    shown, early = Gate(), Gate()
    started, asked, *rest = ask("1", "bash", ONE)
    run = begin(TextDelta(text="first"), early, started, TextDelta(text="then"), shown, asked, *rest)
    until(run, lambda turn: turn.text)
    run.approve("1")
    run.approve("1", review.digest("bash", ONE))
    early.open()
    until(run, lambda turn: turn.text.endswith("then"))
    run.approve("1")
    run.approve("1", review.digest("bash", ONE), for_session=True)
    shown.open()
    asks_about(run, ONE)
    run.deny("1", "only now")
    assert run.wait().tools[0].result == "only now"


def test_approve_without_a_digest_is_for_the_call_that_stands_when_it_is_said() -> None:
    """It reaches the turn later, when another call may stand there."""

    async def say_yes(run: Run) -> Event:
        run.approve("1")
        return ToolStarted(call_id="1", name="bash", arguments=TWO)

    run = begin(*ask("1", "bash", ONE)[:2], say_yes, *ask("1", "bash", TWO)[1:])
    asks_about(run, TWO)
    run.deny("1", "not that")
    assert run.wait().tools[0].result == "not that"


def test_what_would_run_is_what_is_asked_about() -> None:
    """A backend that would run something else than the turn has shown is refused."""
    told: list[Any] = []

    async def would_run_another(run: Run) -> Event:
        told.append(await run.approvals.decision("1", review.digest("bash", TWO)))
        return ApprovalAnswered(call_id="1", allowed=told == [None])

    run = begin(
        ToolStarted(call_id="1", name="bash", arguments=ONE),
        ApprovalAsked(call_id="1", digest=review.digest("bash", TWO)),
        would_run_another,
        ToolFinished(call_id="1"),
    )
    run.approve("1")
    assert approvals(run) == ["denied"] and told == [CHANGED]


def test_who_waits_for_a_call_that_is_replaced_gets_a_no() -> None:
    told: list[Any] = []
    change = Gate()

    async def wait_aside(run: Run) -> None:
        async def decide() -> None:
            told.append(await run.approvals.decision("1", review.digest("bash", ONE)))

        tasks.append(asyncio.create_task(decide()))

    async def join(run: Run) -> None:
        await asyncio.gather(*tasks)

    tasks: list[asyncio.Task[None]] = []
    started, asked = ask("1", "bash", ONE)[:2]
    run = begin(
        started, asked, wait_aside, change, ToolStarted(call_id="1", name="bash", arguments=TWO), join
    )
    asks_about(run, ONE)
    change.open()
    run.wait()
    assert told == [CHANGED]


def test_what_cannot_be_shown_is_refused_wherever_it_would_run() -> None:
    long = json.dumps({"command": "x" * DISPLAY_CHARACTERS})
    run = begin(*ask("1", "bash", long), *ask("2", "b" * 2000, "{}"))
    turn = run.wait()
    assert [(call.approval, call.result) for call in turn.tools] == [("denied", review.TOO_LONG)] * 2
    assert turn.notices[0] == "bash was not run: its arguments are too long to be shown."


def writer(server: OpenAIServer, folder: Path, arguments: str) -> Run:
    """A turn whose model writes a file."""
    server.script(reply(calls=[("write_file", arguments)]), reply("ok"))
    fields: dict[str, Any] = {"model": "m", "base_url": server.base_url, "api_key": "test-key"}
    config = LocalAgentConfig(**fields, tools=["write_file"], working_dir=str(folder))
    return LocalAgent(config=config).begin("Hi", caller_waits=False)


def test_of_two_values_of_one_name_the_one_that_runs_is_shown(
    openai_server: OpenAIServer, tmp_path: Path
) -> None:
    arguments = '{"path": "a.txt", "content": "x", "path": "b.txt", "content": "\\u0079"}'
    run = writer(openai_server, tmp_path, arguments)
    (call,) = until(run, lambda turn: turn.waiting).waiting
    shown = review.arguments(call.arguments).text
    assert shown == "path: b.txt\ncontent: y"
    run.approve(call.id, digest_of(call))
    run.wait()
    assert [path.name for path in tmp_path.glob("*.txt")] == ["b.txt"]
    assert (tmp_path / "b.txt").read_text() == "y"


def test_half_a_character_runs_as_it_was_shown(openai_server: OpenAIServer, tmp_path: Path) -> None:
    arguments = '{"path": "a.txt", "content": "caf\udce9"}'
    run = writer(openai_server, tmp_path, arguments)
    (call,) = until(run, lambda turn: turn.waiting).waiting
    run.approve(call.id, digest_of(call))
    run.wait()
    assert json.loads(call.arguments)["content"] == (tmp_path / "a.txt").read_text() == "caf�"


def test_a_hosted_call_that_comes_again_with_other_arguments_is_asked_about_again(
    server: HostedServer,
) -> None:
    server.script([hosted_ask(builtin_tool("bash", {"command": "make"}, result="made")), text("done")])
    run = hosted(server).begin("Hi")
    (call,) = until(run, lambda turn: turn.waiting).waiting
    session = server.sessions[run.turn.session_id]
    use = next(event for event in session.events if event["id"] == call.id)
    server.call(lambda: session.emit({**use, "input": {"command": "rm -r build"}}))
    asks_about(run, TWO)
    run.approve(call.id, digest_of(call))
    run.deny(call.id, "not that")
    turn = run.wait()
    assert [each["result"] for each in sent(server, "user.tool_confirmation")] == ["deny"]
    assert [call.approval for call in turn.tools] == ["denied"]
