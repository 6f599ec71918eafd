"""`%%agent` beside IPython's other magics, and turns that callbacks, timers, threads and tasks begin."""

from __future__ import annotations

import pytest

from servers.kernel import Kernel
from servers.openai import DONE, OpenAIServer, chunk, reply


@pytest.fixture(scope="module")
def kernel(shared: Kernel, tmp_path_factory: pytest.TempPathFactory) -> Kernel:
    folder = tmp_path_factory.mktemp("magics")
    (folder / "file.ipy").write_text("%%agent\nHi\n")
    assert shared.run(f"%cd {folder}\n%alias_magic -c -p '-s alias' ask agent").ok
    assert shared.run("%alias_magic -c question ask").ok
    return shared


@pytest.mark.parametrize(
    "code",
    [
        "%%time\n%%agent\nHi",
        "%%timeit -n1 -r1\n%%agent\nHi",
        "%%prun -q\n%%agent\nHi",
        "%%capture --no-display\n%%agent\nHi",
        "%%capture --no-display\n%%time\n# why\n%%agent\nHi",
        "%run file.ipy",
        "get_ipython().run_cell('%%agent\\nHi');",
        "for each in range(1):\n    get_ipython().run_cell('%%agent\\nHi')",
        "async def ask():\n    get_ipython().run_cell('%%agent\\nHi')\nawait ask()",
        "# a comment\n\n# another\n%%agent\nHi",
        "%%ask\nHi",
        "%%question\nHi",
        "\n  %%agent\nHi",
        "%%time\n%%ask\nHi",
        "%rerun -l 1",
    ],
)
def test_one_turn_that_is_shown_once(kernel: Kernel, server: OpenAIServer, code: str) -> None:
    before = len(server.bodies)
    server.script(reply("An answer."))
    cell = kernel.run(code)
    assert cell.ok and not cell.error and cell.answers == ["An answer."], cell.text
    assert [body["messages"][-1]["content"] for body in server.bodies[before:]] == ["Hi"]


@pytest.mark.parametrize("mode", ["off", "trio"])
def test_cells_that_are_not_awaited_by_asyncio(kernel: Kernel, mode: str) -> None:
    assert kernel.run(f"%autoawait {mode}").ok
    try:
        assert kernel.run("%%agent\nHi").answers
    finally:
        assert kernel.run("%autoawait asyncio").ok


def test_a_tool_runs_on_the_main_thread_below_another_magic(kernel: Kernel, server: OpenAIServer) -> None:
    assert kernel.run(
        "import threading\ndef where() -> bool:\n"
        "    return threading.current_thread() is threading.main_thread()"
    ).ok
    server.script(reply(calls=[("where", "{}")]), reply("There."))
    assert kernel.run("%%time\n%%agent -t where\nWhere?").answers == ["There."]
    assert server.bodies[-1]["messages"][-1]["content"] == "True"


CALLERS = """
import asyncio, threading, ipywidgets
def name() -> str:
    return threading.current_thread().name
def ask(*_, tool="name"):
    get_ipython().run_cell_magic("agent", f"-t {tool}", "Hi")
def in_a_cell(*_):
    get_ipython().run_cell("%%agent -t name\\nHi")
async def task():
    await asyncio.sleep(0)
    in_a_cell()
button = ipywidgets.Button()
button.on_click(ask)
soon = asyncio.get_running_loop().call_soon
%agent policy run_python allow
"""


@pytest.mark.parametrize(
    ("code", "where"),
    [
        ("soon(ask)", "MainThread"),
        ("soon(button.click)", "MainThread"),
        ("_task = asyncio.create_task(task())", "MainThread"),
        ("threading.Timer(0, ask).start()", "Thread-"),
        ("threading.Thread(target=in_a_cell).start()", "Thread-"),
        ("threading.Thread(target=lambda: ask(tool='run_python')).start()", "MainThread"),
    ],
)
def test_a_turn_of_a_callback_waits_for_no_cell(
    kernel: Kernel, server: OpenAIServer, code: str, where: str
) -> None:
    assert kernel.run(CALLERS).ok
    before = len(server.bodies)
    tool = "run_python" if "run_python" in code else "name"
    arguments = '{"code": "name()"}' if tool == "run_python" else "{}"
    server.script(reply(calls=[(tool, arguments)]), reply("Done."))
    # No other cell is run until the turn is over.
    assert kernel.run(code).ok
    server.wait_for(lambda: len(server.bodies) == before + 2)
    assert where in server.bodies[-1]["messages"][-1]["content"]


def test_what_is_captured_is_what_stays(kernel: Kernel, server: OpenAIServer) -> None:
    for line in ("%%agent", "%%agent --bg"):
        server.script(reply("An answer."))
        cell = kernel.run(f"%%capture kept\n{line}\nHi")
        assert cell.ok and not cell.outputs
        shown = kernel.run("print(len(kept.outputs))\nkept.show()")
        assert shown.text.startswith("2\n") and shown.answers == ["An answer."] and "idle" in shown.text
    assert kernel.run("%%agent\nHi").answers


def test_a_captured_cell_does_not_wait_for_the_turn_of_another(kernel: Kernel, server: OpenAIServer) -> None:
    hold = server.gate()
    server.script([hold, chunk({"content": "Late."}), chunk({}, finish_reason="stop"), DONE])
    assert kernel.run("%%agent --bg -o run -s slow\nHi").ok
    server.wait_for(lambda: hold.reached)
    assert kernel.run("%%capture kept\nprint('here')").ok
    hold.open()
    assert kernel.run("(await run).text").text.strip() == "'Late.'"


@pytest.mark.parametrize(
    "code",
    ["x = 1\n%%agent\nHow are you?", "for _ in 'a':\n    %%agent\n    How are you?", "!true\n%%agent\n?"],
)
def test_code_above_is_one_line(kernel: Kernel, server: OpenAIServer, code: str) -> None:
    before = len(server.bodies)
    cell = kernel.run(code)
    assert cell.error.startswith("ConfigError: %%agent begins a cell") and len(cell.error.splitlines()) == 1
    assert len(server.bodies) == before


def test_the_words_in_a_string_are_a_string(kernel: Kernel) -> None:
    assert kernel.run("text = '''\n%%agent\nHi'''\nprint(len(text))").text.split() == ["11"]
