"""What notebooks do with agents on a server: other tools, ids of all kinds, and the clean-up."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from servers.hosted import HostedServer, Tokens, custom_tool, text
from servers.hosted_agent import created, left, messages, sent
from servers.hosted_outcomes import evaluation
from servers.hosted_threads import sub_agent
from servers.kernel import Kernel


@pytest.fixture
def server() -> Iterator[HostedServer]:
    with HostedServer() as running:
        yield running


@pytest.fixture
def kernel(server: HostedServer) -> Iterator[Kernel]:
    key = {"ANTHROPIC_API_KEY": server.api_key, "ANTHROPIC_BASE_URL": server.url}
    with Kernel(env={**key, "JPY_SESSION_NAME": "/home/somebody/a.ipynb"}) as running:
        yield running


def test_other_tools_keep_the_conversation(kernel: Kernel, server: HostedServer) -> None:
    kernel.run(
        "def add(a: int, b: int) -> int:\n    return a + b\n\ndef twice(x: int) -> int:\n    return 2 * x"
    )
    assert kernel.run("%%agent -t add\none").answers == ["one"]
    server.script([custom_tool("twice", {"x": 21}), text("Done.")])
    cell = kernel.run("%%agent -t add,twice\ntwo")
    assert cell.answers == ["Done."] and "new session" not in cell.text
    assert kernel.run("_.tools[0].result").text.strip() == "'42'"
    kernel.restart()
    kernel.run("def third(x: int) -> int:\n    return x")
    assert kernel.run("%%agent -s main -t third\nthree").answers == ["three"]
    (session,) = server.sessions.values()
    tools = [tool.get("name", tool["type"]) for tool in session.fields["agent"]["tools"]]
    assert "third" in tools and "agent_toolset_20260401" in tools
    assert messages(server) == ["one", "two", "three"] and created(server) == [1, 1, 1]


def test_functions_come_beside_what_the_container_has(kernel: Kernel, server: HostedServer) -> None:
    kernel.run("def add(a: int, b: int) -> int:\n    return a + b\n\nfrom praison_nb import HostedAgent\n")
    kernel.run("agent = HostedAgent()")
    for line in ("-t add", "-b agent", "-s agent -t add"):
        assert kernel.run(f"%%agent {line}\nHi").ok
    for session in server.sessions.values():
        tools = [tool.get("name", tool["type"]) for tool in session.fields["agent"]["tools"]]
        assert sorted(tools) == ["add", "agent_toolset_20260401"]
    assert len(server.sessions) == 2


def test_an_outcome_and_a_name_that_reach_the_server(kernel: Kernel, server: HostedServer) -> None:
    kernel.run('rubric = "Each number is prime."')
    script = [text("2, 4"), evaluation("needs_revision", "4 is none."), text("2, 3"), evaluation()]
    server.script([sub_agent("scout <b>", usage=Tokens(input=7, output=9)), *script])
    cell = kernel.run('%%agent -s primes --outcome "{rubric}"\nPrimes below 5')
    assert "Attempt 1: needs revision. 4 is none." in cell.text
    assert kernel.run("_.stop_reason, _.prompt").text.strip() == "('satisfied', 'Primes below 5')"
    (outcome,) = sent(server, "user.define_outcome")
    assert outcome["rubric"]["content"] == "Each number is prime." and messages(server) == []
    assert "Only hosted agents" in kernel.run("%%agent -b embedded --outcome short\nHi").error
    (session,) = server.sessions.values()
    assert kernel.run("%agent rename primes numbers").text.strip().endswith("is called 'numbers' now.")
    assert session.fields["title"] == "numbers"
    server.refuse(1, status=400, method="POST", path=f"/v1/sessions/{session.id}", message="no titles here")
    renamed = kernel.run("%agent rename numbers primes").text
    assert "is called 'primes' now. Its server still has the old title:" in renamed
    assert "no titles here" in renamed and session.fields["title"] == "numbers"
    shown = kernel.run("%agent show primes").text
    assert "sub-agent scout <b> · idle · in 7 · out 9" in shown


def test_the_clean_up_asks(kernel: Kernel, server: HostedServer) -> None:
    assert "Nothing that was made" in kernel.run("%agent hosted").text
    assert "`%agent hosted clean all`" in kernel.run("%agent hosted tidy").error
    for name in ("kept", "gone"):
        kernel.run(f"%%agent -s {name}\nHi")
    kernel.run("%agent forget gone")
    kept, gone = server.sessions
    listed = kernel.run("%agent hosted").text.splitlines()
    assert [line.split()[0] for line in listed[1:-1]] == ["session", "session", "agent", "environment"]
    assert [line.rsplit(maxsplit=1)[-1] for line in listed if gone in line] == ["unused"]
    kernel.client.allow_stdin = False
    assert "`%agent hosted clean yes`" in kernel.run("%agent hosted clean").error
    for answer, done in (("n", "Nothing was archived."), ("y", "1 archived.")):
        kernel.client.allow_stdin = True
        cell = kernel.begin("%agent hosted clean")
        assert kernel.question() == "Archive these 1 for good? [y/N] "
        kernel.client.input(answer)
        kernel.finish(cell)
        assert "Archiving is for good" in cell.text and done in cell.text and kept not in cell.text
    assert gone not in left(server) and kept in left(server) and len(left(server)) == 3
    assert "Nothing is unused." in kernel.run("%agent hosted clean").text
    assert "3 archived." in kernel.run("%agent hosted clean all yes").text and left(server) == []
    # What was ended is made again.
    assert kernel.run("%%agent -s anew\nHi").answers == ["Hi"] and len(left(server)) == 3


def test_ids_of_any_server_are_resumed(kernel: Kernel, server: HostedServer) -> None:
    kernel.run("%%agent\none")
    kernel.run("%agent forget main")
    (session,) = server.sessions.values()
    session.id = "3f2a-of another kind".replace(" ", "_")
    server.sessions = {session.id: session}
    server.streams.clear()
    assert "goes on" in kernel.run(f"%agent resume {session.id}").text
    assert kernel.run(f"%%agent -s {session.id}\ntwo").answers == ["two"]
    assert messages(server) == ["one", "two"]
    assert "No session 'nosuch'. `%agent sessions` lists them." in kernel.run("%agent resume nosuch").error
    server.refuse(9, status=529, path="/nosuch")
    error = kernel.run("%agent resume nosuch").error
    assert "No session 'nosuch'" in error and "529" in error and len(error.splitlines()) == 1
