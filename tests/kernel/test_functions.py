"""Functions of the user's in a real kernel: on the right thread, and however they end."""

from __future__ import annotations

import html
import json
from pathlib import Path

import pytest

from servers.kernel import Kernel
from servers.openai import OpenAIServer, reply


@pytest.fixture
def kernel(shared: Kernel) -> Kernel:
    """The module's kernel, with no conversations and no policies left over."""
    assert shared.run("%reload_ext praison_nb\n%agent use local").ok
    return shared


def test_a_cell_that_waits_lends_its_thread_to_background_turns(kernel: Kernel, server: OpenAIServer) -> None:
    """The main thread waits for a turn that waits for the main thread."""
    kernel.run("numbers = [1, 2, 3]")
    server.script(reply(calls=[("inspect", '{"name": "numbers"}')]), reply("Three."))
    kernel.run("%%agent --bg -t inspect -s look -o run\nHow many?")
    cell = kernel.run("run.wait().text")
    assert cell.ok and "Three." in cell.text
    assert "length 3" in server.bodies[-1]["messages"][-1]["content"]


def test_a_background_turn_whose_function_ends_the_process_ends_alone(
    kernel: Kernel, server: OpenAIServer
) -> None:
    kernel.run("import sys\nasync def leave() -> str:\n    sys.exit(2)")
    for options in ("--bg -o run", ""):
        server.script(reply(calls=[("leave", "{}")]), reply("Then."))
        assert kernel.run(f"%%agent -t leave -s left {options}\nGo.").ok
        if options:
            assert "Then." in kernel.run("(await run).text").text
    assert kernel.run("1 + 1").text.strip() == "2"


def test_half_a_character_reaches_the_page_whole(kernel: Kernel, server: OpenAIServer) -> None:
    kernel.run("%agent policy run_python ask")
    code = '{"code": "print(\'caf\\udce9\')"}'
    server.script(reply(calls=[("run_python", code)]), reply("Half \udce9."))
    cell = kernel.run("%%agent --bg -t run_python -s half -o run\nGo.")
    kernel.read_until(lambda: "wants to run" in cell.text)
    assert kernel.run("%agent allow half\nawait run").ok
    kernel.read_until(lambda: "Half �." in cell.text)
    assert kernel.run("1 + 1").text.strip() == "2"


WRITE = reply(calls=[("write_file", '{"path": "a.txt", "content": "x"}')])


@pytest.mark.parametrize(("answer", "is_written"), [("y", True), ("", False)])
def test_without_widgets_the_front_end_is_asked(
    kernel: Kernel, server: OpenAIServer, tmp_path: Path, answer: str, is_written: bool
) -> None:
    kernel.run(f"%cd -q {tmp_path}")
    server.script(WRITE, reply("Then."))
    cell = kernel.begin("%%agent -t write_file -s asked\nWrite.")
    question = kernel.question()
    assert question.startswith("write_file wants to run (2 lines, 6 characters):\npath: a.txt\ncontent: x\n")
    assert question.endswith("\n2 lines, 6 characters. Allow it? [y/N] ")
    kernel.client.input(answer)
    assert kernel.finish(cell).ok and cell.answers == ["Then."]
    assert (tmp_path / "a.txt").exists() == is_written


def test_the_question_shows_all_that_would_run(kernel: Kernel, server: OpenAIServer, tmp_path: Path) -> None:
    kernel.run(f"%cd -q {tmp_path}")
    content = f"x = '\u200b\u3164'\n{chr(10) * 400}user == '\u0430dmin'{' ' * 4500}; rm()\x1b[8m"
    arguments = json.dumps({"path": "a.py", "content": content})
    counts = f"403 lines, {len('a.py' + content):,} characters"
    shown = (
        f"write_file wants to run ({counts}):\npath: a.py\ncontent: |\n  x = '⟦\\u200b⟧⟦\\u3164⟧'\n"
        "  ⟦⋯ 400 empty lines⟧\n  user == '⟦CYRILLIC а⟧dmin'⟦⋯ 4,500 spaces⟧; rm()⟦\\x1b⟧[8m\n"
    )
    server.script(reply(calls=[("write_file", arguments)]), reply("Then."))
    cell = kernel.begin("%%agent -t write_file -s hidden\nWrite.")
    assert kernel.question() == f"{shown}{counts}. Allow it? [y/N] "
    kernel.client.input("n")
    assert kernel.finish(cell).ok
    server.script(reply(calls=[("write_file", arguments)]), reply("Then."))
    cell = kernel.run("%%agent --bg -t write_file -s hidden -o run\nWrite.")
    kernel.read_until(lambda: "wants to run" in cell.text)
    assert shown in cell.text
    assert html.escape(shown).strip() in "".join(cell.of("text/html"))
    reply_to_yes = kernel.run("%agent allow hidden").text
    assert reply_to_yes.startswith("Allowed: write_file") and f"({counts})" in reply_to_yes
    assert kernel.run("await run").ok
    assert (tmp_path / "a.py").read_text() == content


def test_where_nobody_can_answer_it_is_a_no(kernel: Kernel, server: OpenAIServer, tmp_path: Path) -> None:
    """nbclient, papermill and the like: nothing waits for ever."""
    kernel.run(f"%cd -q {tmp_path}")
    server.script(WRITE, reply("Then."))
    kernel.client.allow_stdin = False
    try:
        cell = kernel.run("%%agent -t write_file -s alone\nWrite.")
    finally:
        kernel.client.allow_stdin = True
    assert cell.ok and "write_file was not run: nobody can be asked here." in cell.text
    assert not (tmp_path / "a.txt").exists() and cell.answers == ["Then."]
    assert server.bodies[-1]["messages"][-1]["content"] == "Nobody can be asked here."


def test_an_interrupt_at_the_question_stops_the_turn(
    kernel: Kernel, server: OpenAIServer, tmp_path: Path
) -> None:
    kernel.run(f"%cd -q {tmp_path}")
    server.script(WRITE)
    cell = kernel.begin("%%agent -t write_file -s stopped -o turn\nWrite.")
    assert "write_file wants to run" in kernel.question()
    kernel.interrupt()
    assert "KeyboardInterrupt: the turn was stopped" in kernel.finish(cell).error
    assert "('interrupted', 'denied')" in kernel.run("turn.stop_reason, turn.tools[-1].approval").text


def test_a_policy_answers_the_question_that_stands(
    kernel: Kernel, server: OpenAIServer, tmp_path: Path
) -> None:
    kernel.run(f"%cd -q {tmp_path}")
    for policy in ("deny", "allow"):
        server.script(WRITE, reply("Then."))
        cell = kernel.run(f"%%agent --bg -t write_file -s {policy} -o run\nWrite.")
        kernel.read_until(lambda cell=cell: "wants to run" in cell.text)
        assert kernel.run(f"%agent policy write_file {policy}").ok
        assert "Then." in kernel.run("(await run).text").text
        assert (tmp_path / "a.txt").exists() == (policy == "allow")
        kernel.run("%agent policy write_file ask")


def test_a_cell_ends_with_the_stream_that_nobody_reads(kernel: Kernel, server: OpenAIServer) -> None:
    kernel.run(
        "from praison_nb import Agent, LocalAgent, LocalAgentConfig\n"
        f"config = LocalAgentConfig(model='m', base_url={server.base_url!r}, api_key='k', tools=[{{'type': "
        "'custom', 'name': 'look', 'input_schema': {'type': 'object'}}])\n"
        "import threading\n"
        "def answer(name, arguments): return threading.current_thread().name\n"
        "agent = Agent(backend=LocalAgent(config, on_custom_tool=answer))"
    )
    server.script(reply(calls=[("look", "{}")]), reply("Whole."))
    cell = kernel.run("result = agent.start('Go', stream=True)")
    assert cell.ok and cell.text.count("Whole.") == 1
    # The cell's own thread runs the user's functions.
    assert server.bodies[-1]["messages"][-1]["content"] == "MainThread"
    assert kernel.run("print(result)").text.strip() == "Whole."
