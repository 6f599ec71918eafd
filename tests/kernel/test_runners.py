"""Notebooks that run without a user: by nbconvert, by `jupyter execute`, and by nbclient, on which papermill
stands too. They read a cell's outputs until the cell ends, and end the kernel after the last one."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from servers.forked import NBCLIENT
from servers.kernel import Kernel
from servers.openai import DONE, OpenAIServer, chunk, reply

CALL = "get_ipython().run_cell_magic('agent', '{}', prompt)"
LOOP = f"for prompt in ('first', 'second'):\n    {CALL}"
FUNCTION = f"def ask(prompt):\n    return {CALL}\nask('first')\nask('second')"
EVENT_LOOP = f"import asyncio\nawait asyncio.sleep(0)\n{LOOP}"
BACKGROUND = "%%agent --bg {}\nfirst"


def in_order(text: str, *parts: str) -> bool:
    """Whether the text has all of the parts, one after the other."""
    for part in parts:
        _, found, text = text.partition(part)
        if not found:
            return False
    return True


# The programs


@pytest.fixture
def files_server(
    openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> OpenAIServer:
    monkeypatch.setenv("OPENAI_BASE_URL", openai_server.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-1234567890")
    monkeypatch.chdir(tmp_path)
    return openai_server


def notebook(*cells: str) -> Any:
    made = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in ("%load_ext praison_nb", *cells)]
    )
    made.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return made


def shown(cell: Any) -> str:
    """All that a cell of a file shows, as plain text."""
    return "\n".join(
        output.get("text")
        or output.get("data", {}).get("text/plain")
        or "\n".join(output.get("traceback", []))
        for output in cell.outputs
    )


def jupyter(*arguments: str) -> subprocess.Popen[str]:
    program = Path(sys.executable).with_name("jupyter")
    return subprocess.Popen([program, *arguments], stderr=subprocess.PIPE, text=True)


INPLACE = ("nbconvert", "--to", "notebook", "--execute", "--inplace")
HTML = ("nbconvert", "--to", "html", "--execute")
EXECUTE = ("execute", "--inplace")


@pytest.mark.parametrize(
    ("command", "last"),
    [
        (INPLACE, LOOP),
        pytest.param(HTML, BACKGROUND, marks=pytest.mark.slow(reason="INPLACE by another exporter")),
        pytest.param(EXECUTE, BACKGROUND, marks=pytest.mark.slow(reason="on nbclient, as INPLACE is")),
    ],
    ids=["inplace", "html", "execute"],
)
def test_the_file_has_every_answer(files_server: OpenAIServer, command: tuple[str, ...], last: str) -> None:
    path = Path("a.ipynb")
    nbformat.write(notebook(BACKGROUND.format(""), last.format("")), path)
    gate = files_server.gate()
    files_server.script(reply("Before."), reply("Answer one.", before_end=[gate]), reply("Answer two."))
    run = jupyter(*command, str(path))
    files_server.wait_for(lambda: gate.reached)
    # The next one is not sent before this one is over.
    assert len(files_server.bodies) == 2
    gate.open()
    _, errors = run.communicate()
    assert run.returncode == 0, errors
    text = path.with_suffix(".html").read_text() if command is HTML else path.read_text()
    answers = ["Before.", "Answer one.", *(["Answer two."] if last is LOOP else [])]
    assert in_order(text, *answers) and text.count("● idle") == len(answers) and "● running" not in text


@pytest.mark.parametrize(
    ("command", "last"),
    [
        (INPLACE, BACKGROUND),
        pytest.param(EXECUTE, LOOP, marks=pytest.mark.slow(reason="it ends so too")),
    ],
    ids=["inplace", "execute"],
)
def test_a_turn_that_fails_fails_the_run(
    files_server: OpenAIServer, command: tuple[str, ...], last: str
) -> None:
    path = Path("a.ipynb")
    nbformat.write(notebook(last.format("")), path)
    files_server.refuse(1, status=400, message="bad")
    run = jupyter(*command, str(path))
    _, errors = run.communicate()
    assert run.returncode != 0 and "RequestRejectedError: " in errors
    assert len(files_server.seen("POST", "/chat/completions")) == 1


def test_nbclient_has_the_outputs_in_the_cells_that_they_belong_to(files_server: OpenAIServer) -> None:
    made = notebook(LOOP.format(""), "%%agent --bg -o run\nthird", FUNCTION.format(""), "(await run).text")
    NotebookClient(made, **NBCLIENT).execute()
    nbformat.validate(made)
    first, second, third, fourth = (shown(cell) for cell in made.cells[1:])
    assert in_order(first, "first", "[idle]", "second", "[idle]")
    assert in_order(second, "third", "[idle]") and in_order(third, "first", "[idle]", "second", "[idle]")
    assert fourth == "'third'" and "widgets" not in made.metadata


IN_A_TASK = f"""
import asyncio
prompt = 'first'
task = asyncio.create_task(asyncio.to_thread(lambda: {CALL}))
while not task.done() and not asked(): await asyncio.sleep(0.01)
"""
IN_A_THREAD = f"""
import threading, time
prompt = 'first'
threading.Thread(target=lambda: {CALL}).start()
while not asked(): time.sleep(0.01)
"""


@pytest.mark.parametrize(
    "cell", [IN_A_TASK, pytest.param(IN_A_THREAD, marks=pytest.mark.slow)], ids=["task", "thread"]
)
def test_what_a_last_cell_leaves_under_way_is_finished(files_server: OpenAIServer, cell: str) -> None:
    gate = files_server.gate()
    files_server.script(reply("Answer one.", before_end=[gate]))
    opens = threading.Thread(target=lambda: (files_server.wait_for(lambda: gate.reached), gate.open()))
    opens.start()
    setup = (
        "from praison_nb.notebook import _loaded\n"
        "asked = lambda: any(each.runs for each in next(iter(_loaded.values())).conversations)"
    )
    made = notebook(setup, cell.format(""))
    NotebookClient(made, **NBCLIENT).execute()
    opens.join()
    assert in_order(shown(made.cells[-1]), "Answer one.", "[idle]")


@pytest.mark.parametrize(
    "cell",
    [EVENT_LOOP, pytest.param(BACKGROUND, marks=pytest.mark.slow)],
    ids=["loop in a cell that awaits", "bg"],
)
def test_a_cell_that_takes_too_long_says_what_there_is(files_server: OpenAIServer, cell: str) -> None:
    files_server.script(reply("first"), [chunk({"content": "the text so far"}), files_server.gate(), DONE])
    # What the first turn of a kernel imports takes a busy machine long, too.
    made = notebook("%%agent\nfirst", cell.format(""))
    limit = {"timeout_func": lambda it: 5 if it is made.cells[2] else 60, "interrupt_on_timeout": True}
    with pytest.raises(CellExecutionError):
        NotebookClient(made, **NBCLIENT, **limit).execute()
    text = shown(made.cells[2])
    assert in_order(text, "the text so far", "stopped by you", "KeyboardInterrupt: the turn was stopped")
    assert "[running" not in text and len(files_server.bodies) == 2


# What they do to a kernel


@pytest.fixture
def kernel(shared: Kernel, tmp_path: Path) -> Iterator[Kernel]:
    """The module's kernel, driven as they do: nobody answers, and nothing is read after a cell's end."""
    assert shared.run(f"%reload_ext praison_nb\n%agent use local\n%cd -q {tmp_path}").ok
    shared.client.allow_stdin = False
    yield shared
    shared.client.allow_stdin = True
    shared.run("%config AgentMagics.live = 'auto'")


@pytest.mark.parametrize("live", ["auto", "plain", "widget"])
def test_whatever_calls_the_magic_has_waited(kernel: Kernel, live: str) -> None:
    kernel.run(f"%config AgentMagics.live = '{live}'")
    call = CALL.format("")
    cells = {
        LOOP.format(""): ["first", "second"],
        f"def ask(prompt):\n    return {call}\nturn = ask('from a function')": ["from a function"],
        "texts = [ask(prompt).text for prompt in ('this', 'that')]": ["this", "that"],
        "import threading\nthread = threading.Thread(target=ask, args=('in a thread',))\n"
        "thread.start(); thread.join()": ["in a thread"],
        f"async def later(prompt):\n    return {call}\nx = await later('and later')": ["and later"],
    }
    for code, answers in cells.items():
        cell = kernel.run(code)
        assert cell.ok and "[running" not in cell.text
        assert in_order(cell.text, *(part for answer in answers for part in (answer, "[idle]")))
    told = kernel.run("print(type(turn).__name__, turn.text, texts, x.text, _ is x)").text
    assert told.strip() == "Turn from a function ['this', 'that'] and later True"


def test_a_call_in_the_first_line_is_no_cell_of_ours(kernel: Kernel) -> None:
    call = "get_ipython().run_cell_magic('agent', '', 'Hi')"
    for code in (f"{call}.text", f"turn = {call}\nturn.text", f"(await {call}).text", f"{call}\nturn.text"):
        assert kernel.run(code).outputs[-1]["data"]["text/plain"] == "'Hi'"


@pytest.mark.parametrize("code", ["%%agent\nHi", "%%agent --bg\nHi", "%autoawait off", "%%agent -o x \nHi"])
def test_a_cell_of_ours_has_no_value(kernel: Kernel, code: str) -> None:
    try:
        cell = kernel.run(code)
        if code == "%autoawait off":
            cell = kernel.run("%%agent\nHi")
        assert cell.ok and "[idle]" in cell.text
        assert [output["type"] for output in cell.outputs] == ["display_data"] * 2
    finally:
        kernel.run("%autoawait on")


def test_the_magic_of_others_by_our_name_is_called_as_it_is(kernel: Kernel) -> None:
    kernel.run(
        "from IPython.core.magic import register_cell_magic\n"
        "@register_cell_magic\ndef agent(line, cell):\n    return f'their {cell}'"
    )
    assert "their Hi" in kernel.run("%%agent\nHi").text
    kernel.run("%reload_ext praison_nb")
    assert "[idle]" in kernel.run("%%agent\nHi").text
    assert "%%agent is a cell magic, but the cell body is empty" in kernel.run("%%agent -s x\n").text


def test_in_the_background_it_is_waited_for(kernel: Kernel) -> None:
    for code, answer in {
        "%%agent --bg -o one\nfirst": "first",
        "%%agent --bg -s other -o two\nsecond": "second",
        "run = get_ipython().run_cell_magic('agent', '--bg', 'third')": "third",
        "%%agent --bg\nlast": "last",
    }.items():
        cell = kernel.run(code)
        assert cell.ok and in_order(cell.text, answer, "[idle]") and "[running" not in cell.text
    told = kernel.run("print((await one).text, two.wait().text, run.turn.status.value, _.turn.text)").text
    assert told.strip() == "first second idle last"


def test_where_somebody_reads_on_the_background_is_one(kernel: Kernel, server: OpenAIServer) -> None:
    kernel.client.allow_stdin = True
    for code in (BACKGROUND.format("-s a"), LOOP.format("--bg -s b")):
        gate = server.gate()
        server.script(reply("Late.", before_end=[gate]))
        cell = kernel.run(code)
        assert cell.ok and "[running" in cell.text
        gate.open()
        kernel.read_until(lambda cell=cell: "[running" not in cell.text)


@pytest.mark.parametrize(
    "cell",
    [LOOP.format(""), LOOP.format("--bg"), FUNCTION.format("")],
    ids=["loop", "loop over bg", "function"],
)
def test_a_failure_ends_the_cell_and_the_run(kernel: Kernel, server: OpenAIServer, cell: str) -> None:
    broken = [chunk({"content": "half an ans"}), b'data: {"error": {"message": "x"}}\n\n']
    server.script(reply("first"), broken)
    failed, after = kernel.begin(f"{cell}\nask('never')"), kernel.begin("ran = True")
    assert not kernel.finish(failed).ok and kernel.finish(after).reply["status"] == "aborted"
    assert in_order(failed.text, "first", "[idle]", "half an ans", "[error]")
    assert "[running" not in failed.text
    assert "Error: " in failed.error and len(failed.error.splitlines()) == 1
    assert "never" not in str(server.bodies)


@pytest.mark.parametrize(
    ("cell", "turns"), [(LOOP, 2), (FUNCTION, 2), (BACKGROUND, 1)], ids=["loop", "function", "bg"]
)
def test_functions_run_on_the_thread_that_waits(
    kernel: Kernel, server: OpenAIServer, cell: str, turns: int
) -> None:
    kernel.run(
        "import threading\ndef count() -> int:\n"
        "    print('counted', threading.current_thread() is threading.main_thread())\n    return 3"
    )
    for _ in range(turns):
        server.script(reply(calls=[("count", "{}")]), reply("Three."))
    text = kernel.run(cell.format("-t count") + ("" if cell is BACKGROUND else "\nNone")).text
    assert text.count("counted True") == text.count("Three.") == text.count("▸ count  ✓") == turns


@pytest.mark.parametrize(
    ("cell", "live"),
    [(LOOP, "auto"), (LOOP, "widget"), (BACKGROUND, "auto")],
    ids=["loop", "loop, where no click arrives", "bg"],
)
def test_a_tool_that_asks_is_refused_and_the_run_goes_on(
    kernel: Kernel, server: OpenAIServer, cell: str, live: str
) -> None:
    kernel.run(f"%config AgentMagics.live = '{live}'")
    server.script(reply(calls=[("write_file", '{"path": "a.txt", "content": "x"}')]), reply("Then."))
    done = kernel.run(cell.format("-t write_file"))
    assert done.ok and done.text.count("write_file was not run: nobody can be asked here.") == 1
    assert in_order(done.text, "Then.", "[idle]") and "[running" not in done.text
    assert kernel.run("import os; os.listdir()").text.strip() == "[]"
