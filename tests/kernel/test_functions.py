"""Functions of the user's in a real kernel: on the right thread, and however they end."""

from __future__ import annotations

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
