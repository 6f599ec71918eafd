"""Sessions that outlive their kernel: restarted, killed with -9, two at once, without a store that works."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from praison_nb import store, usage
from servers.hosted import HostedServer, Tokens, custom_tool, hold, request, text
from servers.kernel import Kernel
from servers.openai import OpenAIServer, chunk, reply
from stored import stored_bytes

NOTEBOOK = "/home/somebody/churn.ipynb"


def local(server: OpenAIServer, **more: str) -> Kernel:
    return Kernel(env={"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": "sk-test-1234567890", **more})


@pytest.fixture
def kernel(openai_server: OpenAIServer) -> Iterator[Kernel]:
    with local(openai_server, JPY_SESSION_NAME=NOTEBOOK) as running:
        yield running


@pytest.fixture
def server() -> Iterator[HostedServer]:
    with HostedServer() as running:
        yield running


@pytest.fixture
def hosted(server: HostedServer) -> Iterator[Kernel]:
    with Kernel(env={"ANTHROPIC_API_KEY": server.api_key, "ANTHROPIC_BASE_URL": server.url}) as running:
        yield running


def kill(kernel: Kernel) -> None:
    """End the kernel as the kernel's machine would, and begin another in its place."""
    kernel.end()
    kernel.restart()


def said(server: OpenAIServer) -> list[str]:
    """What the last request said, without the system prompt."""
    return [m["content"] for m in server.bodies[-1]["messages"] if m["role"] != "system"]


def stored(name: str) -> store.StoredSession:
    return next(each for each in store.current().all() if each.name == name)


# Local


ENDS = [pytest.param(Kernel.restart, marks=pytest.mark.slow(reason="kill, more gently")), kill]


@pytest.mark.parametrize("end", ENDS)
def test_a_local_session_goes_on(kernel: Kernel, openai_server: OpenAIServer, end: Any) -> None:
    look = "def look() -> str:\n    'Look.'\n    return 'seen'"
    kernel.run(look)
    openai_server.script(reply(calls=[("look", "{}")]), reply("It is seen."))
    assert kernel.run('%%agent -s research -m gpt-4o --system "Be brief." -t look\nWhat is there?').ok
    before = openai_server.bodies[-1]["messages"]
    end(kernel)
    cell = kernel.run("%%agent -s research\nAnd now?")
    body = openai_server.bodies[-1]
    assert cell.ok, cell.text
    # The model and the system prompt are those that it had.
    assert body["model"] == "gpt-4o"
    assert body["messages"] == [
        *before,
        {"role": "assistant", "content": "It is seen."},
        {"role": "user", "content": "And now?"},
    ]
    assert re.search(r"note: goes on with the conversation of \d{4}-\d\d-\d\d \d\d:\d\d; --new", cell.text)
    end(kernel)
    again = kernel.run("%%agent -s research\nStill?")
    assert said(openai_server)[-3:] == ["And now?", "And now?", "Still?"] and again.ok
    assert "goes on with" not in kernel.run("%%agent -s research\nYes").text
    assert len(openai_server.bodies[-1]["messages"]) == len(body["messages"]) + 4
    frame = usage()
    assert set(frame["session_id"]) == {stored("research").id} and len(frame) == 4
    assert list(frame["requests"]) == [2, 1, 1, 1]


def test_a_summary_counts_and_lasts(kernel: Kernel, openai_server: OpenAIServer) -> None:
    assert kernel.run("%%agent -s research\none").ok
    openai_server.script(reply("We said one.", usage=(700, 5)))
    cell = kernel.run("%agent compact -s research")
    assert cell.ok and cell.answers == ["We said one."] and "in 700" in cell.text, cell.text
    assert "From now on the agent gets this summary" in cell.text and "cost" in cell.text
    assert kernel.run("_.text").text.strip() == "'We said one.'"
    prompt = said(openai_server)[-1]
    kernel.run("%%agent -s research\ntwo")
    assert said(openai_server) == [prompt, "We said one.", "two"]
    kernel.restart()
    kernel.run("%%agent -s research\nthree")
    assert said(openai_server) == [prompt, "We said one.", "two", "two", "three"]
    # The store has all of it, and the ledger has the summary as a turn.
    assert [row["type"] for row in store.current().history(stored("research").id)[:4]] == [
        "user",
        "text",
        "user",
        "summary",
    ]
    assert len(usage()) == 4 and 700 in list(usage()["input_tokens"])
    assert "We said one." in kernel.run("%agent show research 2").text
    # A session that is not live yet, too.
    kernel.restart()
    openai_server.script(reply("We said three."))
    assert kernel.run("%agent compact research").answers == ["We said three."]
    error = kernel.run("%agent compact research").error
    assert "nothing to summarise" in error and len(error.splitlines()) == 1
    assert "No session 'nobody'" in kernel.run("%agent compact nobody").error


def test_a_hosted_session_cannot_be_compacted(hosted: Kernel, server: HostedServer) -> None:
    hosted.run("%%agent -s far\nHi")
    error = hosted.run("%agent compact far").error
    assert "Only conversations of local models" in error and len(error.splitlines()) == 1


def test_effort_belongs_to_the_session(kernel: Kernel) -> None:
    assert kernel.run("%%agent -s research --effort high\none").ok
    assert kernel.run("%%agent -s other\none").ok
    kernel.restart()
    assert kernel.run("%%agent -s research\ntwo").ok
    assert stored("research").options["effort"] == "high" and "effort" not in stored("other").options
    assert kernel.run("%%agent -s research --effort 'none'\nthree").ok
    assert stored("research").options["effort"] == "none"
    error = kernel.run("%%agent -s research --effort hihg\nfour").error
    assert error.startswith("ConfigError: effort must be") and "did you mean 'high'?" in error
    assert len(error.splitlines()) == 1 and stored("research").options["effort"] == "none"


def test_restart_and_run_all_sends_what_the_first_run_sent(
    kernel: Kernel, openai_server: OpenAIServer
) -> None:
    runs = []
    for number in range(3):
        if number:
            kernel.restart()
        shown = [kernel.run(f"%%agent\n{prompt}").text for prompt in ("one", "two", "three")]
        runs.append([body["messages"] for body in openai_server.bodies[3 * number :]])
        offers = [re.findall(r"note: (begins anew; `%agent resume` goes on with .*)", text) for text in shown]
        assert [len(each) for each in offers] == [bool(number), 0, 0]
    assert len(runs[0]) == 3 and runs == [runs[0]] * 3
    assert len(set(usage()["session_id"])) == 3


def test_the_newest_conversation_of_the_notebook_is_resumed(
    kernel: Kernel, openai_server: OpenAIServer
) -> None:
    nothing = "no earlier conversation to go on with"
    assert nothing in kernel.run("%agent resume").error
    kernel.run("%%agent -s research\nzero")
    kernel.run("%%agent\none")
    assert nothing in kernel.run("%agent resume").error, "they are here"
    kernel.restart()
    cell = kernel.run("%%agent\ntwo")
    assert said(openai_server) == ["two"] and "`%agent resume` goes on" in cell.text
    assert "Session 'main' (gpt-4o-mini · local · 2 messages)" in kernel.run("%agent resume").text
    cell = kernel.run("%%agent\nthree")
    assert said(openai_server) == ["one", "one", "three"] and "begins anew" not in cell.text
    # Where another one is newer, the line says which it means.
    kernel.restart()
    kernel.run("%%agent -s research\nfour")
    assert said(openai_server) == ["zero", "zero", "four"]
    kernel.restart()
    cell = kernel.run("%%agent\nfive")
    (command,) = re.findall("`%(agent resume local-.*?)`", cell.text)
    assert "6 messages" not in kernel.run(f"%{command}").text
    kernel.run("%%agent\nsix")
    assert said(openai_server) == ["one", "one", "three", "three", "six"]
    with local(openai_server, JPY_SESSION_NAME="/home/somebody/other.ipynb") as other:
        cell = other.run("%%agent\nseven")
        assert said(openai_server) == ["seven"] and "begins anew" not in cell.text
        other.restart()
        # What was asked for, by a name: it goes on.
        other.run("%%agent -s main\neight")
        assert said(openai_server) == ["seven", "seven", "eight"]
    # Where no notebook is known, a name connects too.
    for _ in range(2):
        with local(openai_server) as console:
            console.run("%%agent\nfour")
            assert said(openai_server) == ["four"]
            console.run("%%agent -s given\nfive")
    assert said(openai_server) == ["five", "five", "five"]


def test_starting_over_stays_so(kernel: Kernel, openai_server: OpenAIServer) -> None:
    kernel.run("%%agent -s main\none")
    kernel.restart()
    kernel.run("%%agent -s main --new\ntwo")
    assert said(openai_server) == ["two"]
    kernel.restart()
    kernel.run("%%agent -s main\nthree")
    assert said(openai_server) == ["two", "two", "three"]
    kernel.run("%agent reset")
    kernel.restart()
    assert "begins anew" not in kernel.run("%%agent -s main\nfour").text
    assert said(openai_server) == ["four"]
    kernel.run("%agent use local")
    kernel.restart()
    assert "begins anew" not in kernel.run("%%agent\nfive").text
    assert said(openai_server) == ["five"]
    # Nothing is lost: the first one is still there.
    first = store.current().all()[-1].id
    assert "2 messages" in kernel.run(f"%agent resume {first}").text
    kernel.run("%%agent\nsix")
    assert said(openai_server) == ["one", "one", "six"]


def test_killed_in_mid_turn(kernel: Kernel, openai_server: OpenAIServer) -> None:
    kernel.run("%%agent -s research\none")
    gate = openai_server.gate()
    openai_server.script([chunk({"content": "half"}), gate])
    kernel.begin("%%agent -s research\ntwo")
    openai_server.wait_for(lambda: gate.reached and stored("research").status == "running")
    kill(kernel)
    gate.open()
    assert re.search(r"research +idle", kernel.run("%agent sessions").text)
    cell = kernel.run("%%agent -s research\nthree")
    assert said(openai_server) == ["one", "one", "three"]
    assert "its last turn ended with the kernel and is not part of it" in cell.text


def test_killed_as_soon_as_the_cell_has_ended(openai_server: OpenAIServer) -> None:
    for turn in range(4):
        with local(openai_server) as kernel:
            # The line after the answer ends the kernel.
            kernel.begin("%%agent -s research\n" + f"prompt {turn}")
            kernel.begin("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
            kernel.manager.provisioner.process.wait()
    assert said(openai_server) == [f"prompt {n}" for n in (0, 0, 1, 1, 2, 2, 3)]
    assert len(store.current().history(stored("research").id)) == 8


def test_a_stopped_turn_is_kept_too(kernel: Kernel, openai_server: OpenAIServer) -> None:
    gate = openai_server.gate()
    openai_server.script([chunk({"content": "so far"}), gate])
    cell = kernel.begin("%%agent -s research\none")
    kernel.read_until(lambda: "so far" in cell.text)
    kernel.interrupt()
    kernel.finish(cell)
    gate.open()
    openai_server.wait_for(lambda: len(store.current().history(stored("research").id)) == 2)
    kernel.restart()
    kernel.run("%%agent -s research\ntwo")
    assert said(openai_server) == ["one", "so far", "two"]


def test_history_is_kept_only_where_it_may(kernel: Kernel, openai_server: OpenAIServer) -> None:
    assert kernel.run("%config AgentMagics.keep_history = False").ok
    kernel.run("%%agent -s quiet -m gpt-4o\nthe secret word")
    assert b"secret" not in stored_bytes(store.default_path())
    kernel.restart()
    cell = kernel.run("%%agent -s quiet\ntwo")
    assert said(openai_server) == ["two"] and openai_server.bodies[-1]["model"] == "gpt-4o"
    assert "begins anew: what was said before was not kept" in cell.text
    assert re.search(r"quiet +idle", kernel.run("%agent sessions").text)


def test_another_backend_begins_anew_and_says_so(kernel: Kernel, openai_server: OpenAIServer) -> None:
    kernel.run("%%agent -s research\none")
    first = stored("research").id
    kernel.restart()
    kernel.run("from praison_nb import ScriptedBackend\nfrom praison_nb.events import TextDelta")
    kernel.run("mine = ScriptedBackend([TextDelta(text='from mine')])")
    cell = kernel.run("%%agent -b mine -s research\ntwo")
    assert cell.ok and "begins anew; the conversation of" in cell.text and first in cell.text
    kernel.restart()
    cell = kernel.run("%%agent -s research\nthree")
    assert "name the variable with -b to go on" in cell.error and len(openai_server.bodies) == 1


def test_an_object_of_the_notebook_goes_on_by_a_name(kernel: Kernel, openai_server: OpenAIServer) -> None:
    make = (
        "from praison_nb import LocalAgent, LocalAgentConfig\n"
        f"mine = LocalAgent(config=LocalAgentConfig(model='m', base_url={openai_server.base_url!r},"
        " api_key='test-key-123'))"
    )
    for _ in range(2):
        kernel.run(make)
        kernel.run("%%agent -b mine\nplain")
        assert said(openai_server) == ["plain"]
        kernel.run(make + "\n")
        assert kernel.run("%%agent -b mine -s named\nnamed").ok
        kernel.restart()
    assert said(openai_server) == ["named", "named", "named"]
    assert b"test-key-123" not in stored_bytes(store.default_path())
    assert "name the variable with -b" in kernel.run("%%agent -s named\nHi").error


def test_two_kernels_at_once(openai_server: OpenAIServer) -> None:
    with local(openai_server) as one, local(openai_server) as two:
        one.run("%%agent -s shared\nfirst")
        two.run("%%agent -s shared\nsecond")
        gate = openai_server.gate()
        openai_server.script([chunk({"content": "held"}), gate, *reply("")])
        cell = one.begin("%%agent -s shared\nthird")
        openai_server.wait_for(lambda: gate.reached and stored("shared").status == "running")
        assert re.search(r"shared +running", two.run("%agent sessions").text)
        two.run("%%agent -s shared\nfourth")
        gate.open()
        assert one.finish(cell).ok
        assert two.run("%%agent -s alone\nfifth").ok
    with local(openai_server) as three:
        three.run("%%agent -s shared\nlast")
    # Every turn is there once and whole, in the order of their ends.
    assert said(openai_server)[0::2] == ["first", "second", "fourth", "third", "last"]
    assert len(usage()) == 6 and len(usage(by="request")) == 6


def test_what_one_kernel_does_to_a_session_the_other_hears_of(openai_server: OpenAIServer) -> None:
    with local(openai_server) as one, local(openai_server) as two:
        one.run("%%agent -s shared\nopening")
        gate = openai_server.gate()
        openai_server.script([chunk({"content": "held"}), gate, *reply("")])
        cell = one.begin("%%agent -s shared\none")
        openai_server.wait_for(lambda: gate.reached and stored("shared").status == "running")
        # Opened there while it runs here.
        assert two.run("%agent resume shared").ok
        assert re.search(r"shared +running", two.run("%agent sessions").text)
        gate.open()
        assert one.finish(cell).ok
        assert re.search(r"shared +idle", two.run("%agent sessions").text)
        assert two.run("%agent delete shared").ok
        note = "This session was deleted: what is said in it is not kept."
        assert note in one.run("%%agent -s shared\ntwo").text
        assert note not in one.run("%%agent -s shared\nthree").text, "once is enough"
        assert note not in one.run("%%agent -s shared --new\nfour").text
        assert [each.name for each in store.current().all()] == ["shared"]


def test_a_first_turn_in_another_kernel_is_not_called_lost(openai_server: OpenAIServer) -> None:
    with local(openai_server) as one, local(openai_server) as two:
        gate = openai_server.gate()
        openai_server.script([chunk({"content": "held"}), gate, *reply("")])
        cell = one.begin("%%agent -s shared\none")
        openai_server.wait_for(lambda: gate.reached and stored("shared").status == "running")
        told = two.run("%%agent -s shared\ntwo").text
        assert "begins anew: a turn of it is under way in another kernel" in told
        gate.open()
        assert one.finish(cell).ok
    assert len(store.current().all()) == 2 and len(usage()) == 2


# The commands


def test_commands(kernel: Kernel, openai_server: OpenAIServer) -> None:
    assert "No sessions yet" in kernel.run("%agent sessions").text
    kernel.run("%%agent -s research\none")
    kernel.run("%%agent -s other\ntwo")
    kernel.restart()
    table = kernel.run("%agent sessions")
    assert re.search(
        r"research +idle +scripted-1 · local +1 +10 +5 +— +\d{4}-.* churn.ipynb +local-", table.text
    )
    assert table.of("text/html")[0].count("● idle") == 2
    assert "goes on with %%agent -s research" in kernel.run("%agent resume research").text
    kernel.run("%%agent -s research\nagain")
    assert said(openai_server) == ["one", "one", "again"]
    assert "is called 'study' now" in kernel.run("%agent rename research study").text
    kernel.run("%%agent -s study\nmore")
    assert len(said(openai_server)) == 5
    assert "There is a session 'other' already" in kernel.run("%agent rename study other").error
    assert "a name is one word" in kernel.run("%agent rename study").error
    kernel.restart()
    kernel.run("%%agent -s study\nmost")
    assert len(said(openai_server)) == 7
    for line in ("resume nosuch", "archive nosuch", "delete nosuch", "forget nosuch", "rename nosuch x"):
        error = kernel.run(f"%agent {line}").error
        assert "No session 'nosuch'. `%agent sessions` lists them." in error and "Traceback" not in error
    assert "Say which" in kernel.run("%agent delete").error
    assert "archived" in kernel.run("%agent archive other").text
    assert "other" not in kernel.run("%agent sessions").text
    assert "other (archived)" in kernel.run("%agent sessions all").text
    kernel.run("%%agent -s other\nfresh")
    assert said(openai_server) == ["fresh"]
    help_page = kernel.run("%agent help").text
    assert all(
        f"%agent {word}" in help_page for word in ("sessions", "resume", "rename", "archive", "delete")
    )
    for line, offered in (
        ("%agent resume st", "study"),
        ("%agent fo", "forget"),
        ("%%agent -s stu", "study"),
    ):
        answer = kernel.client.complete(line, len(line), reply=True, timeout=60)
        assert offered in answer["content"]["matches"]


@pytest.mark.parametrize("command", ["forget", "delete"])
def test_what_is_forgotten_is_gone(kernel: Kernel, openai_server: OpenAIServer, command: str) -> None:
    kernel.run("%%agent -s private\nthe secret word")
    assert b"secret" in stored_bytes(store.default_path())
    assert kernel.run(f"%agent {command} private").ok
    assert b"secret" not in stored_bytes(store.default_path()) and store.current().all() == []
    kernel.run("%%agent -s private\ntwo")
    assert said(openai_server) == ["two"]


def test_a_turn_under_way_when_its_session_is_forgotten_writes_nothing(
    kernel: Kernel, openai_server: OpenAIServer
) -> None:
    gate = openai_server.gate()
    openai_server.script([chunk({"content": "half"}), gate])
    kernel.run("%%agent -s private --bg -o run\nthe secret word")
    openai_server.wait_for(lambda: gate.reached and store.current().all() != [])
    assert kernel.run("%agent forget private\nawait run").ok
    gate.open()
    kernel.run("%%agent -s other\ntwo")
    assert [each.name for each in store.current().all()] == ["other"]
    assert b"secret" not in stored_bytes(store.default_path())


# Without a store that works


@pytest.mark.parametrize("harm", ["damaged", "no folder", "a folder"])
def test_a_store_that_does_not_work_costs_no_answer(
    openai_server: OpenAIServer, tmp_path: Path, harm: str
) -> None:
    path = tmp_path / "else" / "sessions.sqlite"
    if harm == "no folder":
        path.parent.write_text("a file where the folder should be")
    else:
        path.parent.mkdir()
    if harm == "a folder":
        path.mkdir()
    if harm == "damaged":
        path.write_bytes(b"no database " * 1000)
    with local(openai_server, PRAISON_NB_SESSIONS=str(path), JPY_SESSION_NAME=NOTEBOOK) as kernel:
        cell = kernel.run("%%agent -s research\none")
        assert cell.ok and cell.answers == ["one"]
        (line,) = re.findall("note: (The store of sessions .*)", cell.text)
        assert str(path) in line and "Until then sessions end with the kernel." in line
        cell = kernel.run("%%agent -s research\ntwo")
        assert cell.ok and "The store" not in cell.text and said(openai_server) == ["one", "one", "two"]
        for command in ("sessions", "resume research", "forget research"):
            error = kernel.run(f"%agent {command}").error
            assert error.startswith("StoreError: The store of sessions") and len(error.splitlines()) == 1
        assert kernel.run("%agent").ok and kernel.run("%agent reset research").ok
        # What waited is written when it can be.
        kernel.run("%%agent -s later\nthree")
        if path.is_dir():
            path.rmdir()
        elif path.exists():
            path.unlink()
        else:
            path.parent.unlink()
        assert kernel.run("%%agent -s later\nfour").ok
        kernel.restart()
        kernel.run("%%agent -s later\nfive")
    assert said(openai_server) == ["three", "three", "four", "four", "five"]


# Hosted


def test_a_hosted_session_goes_on(hosted: Kernel, server: HostedServer) -> None:
    assert hosted.run("%%agent -b hosted -s research\none").ok
    kill(hosted)
    cell = hosted.run("%%agent -s research\ntwo")
    assert cell.ok and cell.answers == ["two"] and "goes on with" in cell.text
    (session,) = server.sessions.values()
    assert [m["content"] for m in session.messages()[1:]] == ["one", "one", "two", "two"]
    assert len(server.agents) == len(server.environments) == 1
    assert len(usage()) == 2 and set(usage()["session_id"]) == {session.id}
    assert server.api_key.encode() not in stored_bytes(store.default_path())
    # The same cell again, with the options that it had.
    options = '%%agent -b hosted -s styled --system "Be brief." -m claude-opus-4-6\nHi'
    assert hosted.run(options).ok
    hosted.restart()
    assert hosted.run(options).ok
    assert len(server.sessions) == 2


def counted(session_id: str) -> tuple[int, int, int]:
    """Input tokens by turns and by requests, and the number of requests."""
    turns, requests = usage(), usage(by="request")
    ours = turns[turns["session_id"] == session_id]
    return int(ours["input_tokens"].sum()), int(requests["input_tokens"].sum()), len(requests)


@pytest.mark.parametrize(
    ("by", "ends"),
    [
        ("prompt", "before"),
        ("resume", "after"),
        ("resume alone", "before"),
        pytest.param("prompt", "after", marks=pytest.mark.slow),
        pytest.param("resume", "before", marks=pytest.mark.slow),
        pytest.param("resume alone", "after", marks=pytest.mark.slow),
    ],
)
def test_a_hosted_turn_is_attached_to_again(hosted: Kernel, server: HostedServer, ends: str, by: str) -> None:
    """Its first request was seen and counted before the kernel was killed; the second one ends before, or
    only after, the next kernel attaches. Where nobody looks on, `resume` waits for it."""
    server.script([request(text("first answer"), usage=Tokens(10, 1))])
    assert hosted.run("%%agent -b hosted -s research\nopening").ok
    gate = server.gate()
    server.script(
        [
            request(text("part one"), usage=Tokens(100, 2)),
            hold(gate),
            request(text("part two"), usage=Tokens(1000, 3)),
        ]
    )
    cell = hosted.begin("%%agent -s research\nthe long one")
    server.wait_for(lambda: gate.reached)
    hosted.read_until(lambda: "part one" in cell.text)
    (session,) = server.sessions.values()
    server.wait_for(lambda: counted(session.id)[2] == 2 and stored("research").status == "running")
    kill(hosted)
    assert re.search(r"research +unknown", hosted.run("%agent sessions").text)
    if ends == "before":
        gate.open()
        server.wait_for(lambda: session.status == "idle")
    server.script([request(text("the next answer"), usage=Tokens(10_000, 4))])
    if by == "prompt":
        cell = hosted.begin("%%agent -s research\nnext")
        hosted.read_until(lambda: "part one" in cell.text)
        gate.open()
        hosted.finish(cell)
        assert cell.answers == ["part one\n\npart two", "the next answer"]
        expected = 11_110
    else:
        hosted.client.allow_stdin = by == "resume"
        cell = hosted.begin("%agent resume research")
        if by == "resume":
            hosted.finish(cell)
        hosted.read_until(lambda: "part one" in cell.text)
        assert bool(cell.reply) == (by == "resume") or ends == "before"
        gate.open()
        hosted.finish(cell)
        assert by == "resume" or "[idle]" in cell.text
        hosted.read_until(lambda: "[idle]" in cell.text)
        assert cell.answers == ["part one\n\npart two"]
        expected = 1_110
    assert cell.text.count("part two") == 1 and "taken up again" in cell.text
    assert "first answer" not in cell.text
    server.wait_for(lambda: counted(session.id)[0] == expected)
    requests = 4 if by == "prompt" else 3
    assert counted(session.id) == (expected, expected, requests)
    server.wait_for(lambda: set(usage()["status"]) == {"idle"})
    assert len(usage()) == requests - 1
    # Nothing is attached to twice. A turn that no cell waits for is over before the store has it.
    server.wait_for(lambda: stored("research").status == "idle")
    kill(hosted)
    cell = hosted.run("%%agent -s research\nlast")
    assert cell.ok and "part" not in cell.text and "taken up" not in cell.text
    sent = [e["content"][0]["text"] for e in session.events if e["type"] == "user.message"]
    assert sent == ["opening", "the long one", *(["next"] if by == "prompt" else []), "last"]


def test_a_function_called_meanwhile_runs_when_attached(hosted: Kernel, server: HostedServer) -> None:
    function = "def add(a: int) -> int:\n    'Add one.'\n    return a + 1"
    hosted.run(function)
    gate = server.gate()
    server.script([hold(gate), custom_tool("add", {"a": 41}), text("It is 42.")])
    hosted.begin("%%agent -b hosted -s research -t add\nAdd")
    server.wait_for(lambda: gate.reached and store.current().all() != [])
    kill(hosted)
    gate.open()
    (session,) = server.sessions.values()
    server.wait_for(lambda: session.pending)
    hosted.run(function)
    cell = hosted.run("%%agent -s research -t add\nThanks")
    assert cell.answers == ["It is 42.", "Thanks"] and "▸ add" in cell.text
    answers = [e for e in session.events if e["type"] == "user.custom_tool_result"]
    assert [answer["content"][0]["text"] for answer in answers] == ["42"]


def test_two_kernels_in_one_hosted_session(hosted: Kernel, server: HostedServer) -> None:
    assert hosted.run("%%agent -b hosted -s research\nopening").ok
    gate = server.gate()
    server.script([request(text("for the first"), usage=Tokens(100, 1)), hold(gate)])
    first = hosted.begin("%%agent -s research\none")
    server.wait_for(lambda: gate.reached and stored("research").status == "running")
    server.script([request(text("for the second"), usage=Tokens(1000, 1))])
    with Kernel(env={"ANTHROPIC_API_KEY": server.api_key, "ANTHROPIC_BASE_URL": server.url}) as other:
        # The turn's own kernel is there: nobody else takes it up.
        second = other.begin("%%agent -s research\ntwo")
        other.read_until(lambda: "waiting for what the session did before" in second.text)
        gate.open()
        assert other.finish(second).answers == ["for the second"]
        assert hosted.finish(first).answers == ["for the first"]
    (session,) = server.sessions.values()
    assert counted(session.id) == (1110, 1110, 3)


def test_a_prompt_that_was_never_sent(hosted: Kernel, server: HostedServer) -> None:
    assert hosted.run("%%agent -b hosted -s research\nsame words").ok
    kill(hosted)
    # What the store looks like when the kernel ends between the two.
    connection = sqlite3.connect(store.default_path())
    dead = '{"id": "t-never", "started": 1.0, "prompt": "same words"}'
    connection.execute("UPDATE sessions SET status='running', process='gone', turn=?", (dead,))
    connection.commit()
    connection.close()
    cell = hosted.run("%%agent -s research\nsame words")
    assert cell.answers == ["same words"]
    assert "the prompt had not been sent when the kernel ended: ask again" in cell.text
    assert len(usage(by="request")) == 2


def test_a_server_that_is_away_loses_no_missed_turn(hosted: Kernel, server: HostedServer) -> None:
    gate = server.gate()
    server.script([hold(gate), text("the missed answer")])
    hosted.begin("%%agent -b hosted -s research\none")
    server.wait_for(lambda: gate.reached and store.current().all() != [])
    kill(hosted)
    gate.open()
    hosted.run("import os\nkey = os.environ.pop('ANTHROPIC_API_KEY')")
    cell = hosted.run("%%agent -s research\ntwo")
    assert not cell.ok and "MissingKeyError" in cell.error
    hosted.run("os.environ['ANTHROPIC_API_KEY'] = key")
    cell = hosted.run("%%agent -s research\nthree")
    assert cell.ok and cell.answers == ["the missed answer", "three"]


def test_hosted_commands(hosted: Kernel, server: HostedServer) -> None:
    for name in ("kept", "ended", "deleted", "forgotten"):
        assert hosted.run(f"%%agent -b hosted -s {name}\nfrom {name}").ok
    ids = {name: stored(name).id for name in ("kept", "ended", "deleted", "forgotten")}
    hosted.run("%agent archive ended")  # one that is under way here, the others after a restart
    hosted.restart()
    assert hosted.run("%agent delete deleted").ok and hosted.run("%agent forget forgotten").ok
    assert set(server.sessions) == {ids["kept"], ids["ended"], ids["forgotten"]}
    assert server.sessions[ids["ended"]].archived_at and not server.sessions[ids["kept"]].archived_at
    assert [each.name for each in store.current().all() if not each.is_archived] == ["kept"]
    assert "archived on its server" in hosted.run("%agent resume ended").error
    # One that the store does not know, by its id.
    cell = hosted.run(f"%agent resume {ids['forgotten']}")
    assert f"goes on with %%agent -s {ids['forgotten']}" in cell.text
    assert hosted.run(f"%%agent -s {ids['forgotten']}\nmore").answers == ["more"]
    assert len(server.sessions[ids["forgotten"]].messages()[1:]) == 4
    error = hosted.run("%agent delete sesn_nosuch").error
    assert "sesn_nosuch" in error and len(error.splitlines()) == 1


def test_a_question_is_asked_again_after_the_kernel_was_killed(
    hosted: Kernel, server: HostedServer, tmp_path: Path
) -> None:
    hosted.run(f"%cd -q {tmp_path}")
    argv = ["sh", "-c", "echo ran >> log.txt"]
    server.script([custom_tool("execute_command", {"argv": argv}), text("It ran.")], [text("next")])
    hosted.begin("%%agent -b hosted -t execute_command -s build\nBuild it.")
    assert "execute_command wants to run" in hosted.question()
    server.wait_for(
        lambda: [(each.name, each.status) for each in store.current().all()] == [("build", "running")]
    )
    kill(hosted)
    assert list(tmp_path.glob("log.txt")) == []
    hosted.run(f"%cd -q {tmp_path}")
    # The tool is known by its name: nobody has to give it again.
    resumed = hosted.run("%agent resume build")
    hosted.read_until(lambda: "wants to run" in resumed.text)
    assert list(tmp_path.glob("log.txt")) == [] and "execute_command" in resumed.text
    assert hosted.run("%agent allow build").ok
    hosted.read_until(lambda: "It ran." in resumed.text)
    assert (tmp_path / "log.txt").read_text() == "ran\n"
    assert hosted.run("%%agent -s build\nMore").answers == ["next"]
    assert len(usage()) == 2 and len(usage(by="request")) == 3


def test_built_in_tools_go_on_with_their_session(
    kernel: Kernel, openai_server: OpenAIServer, tmp_path: Path
) -> None:
    kernel.run("def mine() -> str:\n    return 'x'\n%agent policy write_file allow")
    kernel.run("%%agent -s research -t write_file,mine\none")
    kernel.restart()
    kernel.run(f"%cd -q {tmp_path}")
    # What the user allowed ended with the kernel: it asks.
    write = reply(calls=[("write_file", '{"path": "a.txt", "content": "x"}')])
    openai_server.script(write, reply("I see."))
    cell = kernel.run("%%agent -s research --bg\ntwo")
    kernel.read_until(lambda: "wants to run" in cell.text)
    assert kernel.run("%agent deny research").ok
    told = ("I see.", ", with write_file; --new starts over")
    kernel.read_until(lambda: all(words in cell.text for words in told))
    assert list(tmp_path.glob("a.txt")) == []
    assert [tool["function"]["name"] for tool in openai_server.bodies[-1]["tools"]] == ["write_file"]
    # The transcript of the next kernel has the call too.
    assert kernel.run("%%agent -s research\nthree").ok
    kernel.restart()
    (output,) = kernel.run("%agent chat -s research").outputs
    assert '▸ write_file {"path": "a.txt", "content": "x"}' in output["data"]["text/plain"]
    assert "The user said no." in output["data"]["text/html"]
