"""`%%agent --bg` in a real kernel: the cell returns, the turn lives on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from servers.kernel import Kernel

TESTS = Path(__file__).parents[1]


@pytest.fixture
def gates(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def kernel(gates: Path) -> Iterator[Kernel]:
    env = {
        "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)]),
        "PRAISON_NB_GATES": str(gates),
        "PRAISON_NB_LEDGER": str(gates / "ledger.sqlite"),
    }
    with Kernel(env=env) as kernel:
        assert kernel.run("from browser.scenarios import *").ok
        yield kernel


def shows(kernel: Kernel, cell: Any, words: str) -> None:
    """Until the cell, ended or not, shows these words."""
    kernel.read_until(lambda: words in cell.text)


def test_the_cell_returns_and_lives_on(kernel: Kernel, gates: Path) -> None:
    kernel.run("b = scripted(*text('first '), hold('go'), *text('second'))")
    cell = kernel.run("%%agent -b b --bg -o turn\nGo")
    assert cell.ok and "[running]" in cell.text
    assert kernel.run("_ is turn, turn.turn.status.value").text.strip() == "(True, 'running')"
    (gates / "go").touch()
    shows(kernel, cell, "[idle]")
    assert cell.answers == ["first second"]
    assert len(cell.outputs) == 2


@pytest.mark.parametrize("blank", ["", "\n\n"])
def test_the_first_text_waits_for_no_clock(kernel: Kernel, gates: Path, blank: str) -> None:
    """Also where nobody sees what the model begins with."""
    kernel.run("from praison_nb.notebook.views.output import PlainOutput\nPlainOutput.interval = 1000")
    pieces = f"*text({blank!r}), hold('shown'), *text('first '), hold('go'), *text('second')"
    kernel.run(f"b = scripted({pieces})")
    cell = kernel.run("%%agent -b b --bg -o turn\nGo")
    kernel.run("import asyncio\nwhile turn.turn.first_text is None:\n    await asyncio.sleep(0.001)")
    (gates / "shown").touch()
    shows(kernel, cell, "first")
    (gates / "go").touch()
    shows(kernel, cell, "[idle]")
    assert cell.answers == [f"{blank}first second"]


def test_several_join_one_turn(kernel: Kernel, gates: Path) -> None:
    kernel.run("b = scripted(hold('go'), *text('done'))")
    kernel.run("%%agent -b b --bg -o turn\nGo")
    joined = kernel.begin(
        "import asyncio, threading\n"
        "waited = []\n"
        "thread = threading.Thread(target=lambda: waited.append(turn.wait().text)); thread.start()\n"
        "answers = [t.text for t in await asyncio.gather(turn, turn, turn)]\n"
        "thread.join()\n"
        "print('JOINED', answers, waited, (await turn).text, turn.wait().text)"
    )
    (gates / "go").touch()
    kernel.finish(joined)
    assert joined.ok, joined.text
    assert "JOINED ['done', 'done', 'done'] ['done'] done done" in joined.text


def test_turns_of_one_session_queue_and_sessions_run_in_parallel(kernel: Kernel, gates: Path) -> None:
    kernel.run("a = scripted(hold('a'), *text('a done')); b = scripted(*text('b done'))")
    first = kernel.run("%%agent -b a -s one --bg\nfirst")
    second = kernel.run("%%agent -b a -s one --bg\nsecond")
    other = kernel.run("%%agent -b b -s two --bg\nother")
    shows(kernel, other, "[idle]")
    shows(kernel, second, "[running · waiting for the turn before it]")
    assert "[running]" in first.text
    (gates / "a").touch()
    shows(kernel, second, "[idle]")
    shows(kernel, first, "[idle]")


def test_a_line_of_agent_answers_and_stops(kernel: Kernel) -> None:
    kernel.run("a = asking('one', 'two'); b = asking()")
    asking = kernel.run("%%agent -b a -s one --bg\nGo")
    shows(kernel, asking, "bash wants to run")
    assert "`%agent allow one`" in asking.text
    assert kernel.run("%agent allow").text.strip() == "Allowed: bash one (1 line, 3 characters)"
    shows(kernel, asking, "bash wants to run (1 line, 3 characters):\ncommand: two")
    other = kernel.run("%%agent -b b -s two --bg\nGo")
    shows(kernel, other, "bash wants to run")
    assert "Several sessions wait for you: one, two." in kernel.run("%agent deny").error
    assert kernel.run("%agent deny one").text.strip() == "Denied: bash two (1 line, 3 characters)"
    shows(kernel, asking, "[idle]")
    assert "▸ bash one ✓" in asking.text and "▸ bash two ✗" in asking.text
    assert kernel.run("%agent stop").text.strip() == "Stopped: two."
    shows(kernel, other, "stopped by you")
    assert kernel.run("%agent allow").text.strip() == "No tool waits for you."


def test_a_call_that_changes_is_asked_about_again(kernel: Kernel, gates: Path) -> None:
    kernel.run("a = changing('make', 'rm -r build')")
    cell = kernel.run("%%agent -b a -s one --bg -o run\nGo")
    shows(kernel, cell, "command: make")
    (gates / "change").touch()
    shows(kernel, cell, "command: rm -r build")
    told = kernel.run("%agent allow").text
    assert told.startswith("The call has changed since it was shown:\nbash wants to run")
    assert "command: rm -r build\nSay it again to allow it." in told
    assert "[running · waiting for you]" in cell.text
    assert kernel.run("%agent allow").text.startswith("Allowed: bash rm -r build")
    shows(kernel, cell, "[idle]")


def test_a_long_call_is_shown_whole_before_a_line_allows_it(kernel: Kernel, gates: Path) -> None:
    """The widget may stand out of sight, or its end."""
    kernel.run("%config AgentMagics.live = 'widget'")
    kernel.run("command = 'x\\n' * 3000 + 'rm -r build'")
    kernel.run("a = asking(command, 'make'); b = changing('y' * 99, command)")
    kernel.run("%%agent -b a -s one --bg -o run\nGo")
    kernel.run("import asyncio\nwhile not run.turn.waiting:\n    await asyncio.sleep(0.01)")
    told = kernel.run("%agent allow").text
    assert told.startswith("bash wants to run (3,001 lines, 6,011 characters):\ncommand: |\n  x\n  x\n")
    assert told.count("\n  x") == 3000
    assert told.strip().endswith(
        "\n  rm -r build\nNot allowed yet: this is all of it. Say `%agent allow` once more."
    )
    assert kernel.run("run.turn.tools[0].approval").text.strip() == "'asked'"
    assert kernel.run("%agent allow").text.startswith("Allowed: bash x x")
    kernel.run(
        "while run.turn.tools[-1].id != 'ask1' or not run.turn.waiting:\n    await asyncio.sleep(0.01)"
    )
    assert kernel.run("%agent allow").text.strip() == "Allowed: bash make (1 line, 4 characters)"
    # What was shown of another call is no showing of this one.
    kernel.run("%%agent -b b -s two --bg -o run\nGo")
    kernel.run("while not run.turn.waiting:\n    await asyncio.sleep(0.01)")
    assert "Not allowed yet" in kernel.run("%agent allow").text
    (gates / "change").touch()
    kernel.run(
        "while run.turn.tools[0].arguments.count('x') < 9 or not run.turn.waiting: await asyncio.sleep(0.01)"
    )
    assert kernel.run("%agent allow").text.startswith("The call has changed since it was shown:\n")
    assert kernel.run("run.turn.tools[0].approval").text.strip() == "'asked'"
    assert kernel.run("%agent allow").text.startswith("Allowed: bash x x")


def test_a_long_call_in_the_plain_view_is_shown_already(kernel: Kernel) -> None:
    kernel.run("a = asking('x\\n' * 3000 + 'rm -r build')")
    cell = kernel.run("%%agent -b a -s o\u200bne --bg\nGo")
    shows(kernel, cell, "\n  rm -r build\nAnswer with `%agent allow o⟦\\u200b⟧ne`")
    assert kernel.run("%agent allow").text.startswith("Allowed: bash x x")
    shows(kernel, cell, "[idle]")


def test_stop_ends_queued_turns_too(kernel: Kernel) -> None:
    kernel.run("a = scripted(hold('never'))")
    cells = [kernel.run("%%agent -b a -s one --bg\nGo") for _ in range(3)]
    assert kernel.run("%agent stop one").text.strip() == "Stopped: one."
    for cell in cells:
        shows(kernel, cell, "stopped by you")


def test_a_failed_turn_says_so_in_its_own_cell(kernel: Kernel, gates: Path) -> None:
    kernel.run("a = failing()")
    cell = kernel.run("%%agent -b a --bg -o turn\nGo")
    (gates / "failing").touch()
    shows(kernel, cell, "RateLimitError: The provider is rate limiting this key (429).")
    assert cell.ok and "[error]" in cell.text
    assert kernel.run("turn.wait().error").ok


def test_what_a_kernel_leaves_unfinished_says_so(kernel: Kernel) -> None:
    kernel.run("a = scripted(*text('so far'), hold('never'))")
    cells = [kernel.run("%%agent -b a --bg\nGo") for _ in range(2)]
    shows(kernel, cells[0], "so far")
    kernel.client.shutdown()
    for cell in cells:
        shows(kernel, cell, "[error]")
        assert "Unfinished: its process ended before the turn did." in cell.text
    assert "so far" in cells[0].text


def test_functions_run_without_a_waiting_cell(kernel: Kernel) -> None:
    kernel.run(
        "async def step(run):\n    return TextDelta(text=await run.call(lambda: 'from a pool', False))"
    )
    cell = kernel.run("b = scripted(step)")
    assert cell.ok
    cell = kernel.run("%%agent -b b --bg\nGo")
    shows(kernel, cell, "from a pool")


@pytest.mark.parametrize("capture", ["%%capture out", "from IPython.utils.capture import capture_output"])
def test_what_another_cell_captures_is_its_own(kernel: Kernel, gates: Path, capture: str) -> None:
    kernel.run("b = scripted(*text('half '), hold('go'), *text('end'))")
    cell = kernel.run("%%agent -b b --bg -o run\nGo")
    waits = "(pathlib.Path(os.environ['PRAISON_NB_GATES']) / 'go').touch(); run.wait(); time.sleep(0)"
    lines = ["import os, pathlib, time", waits, "while not run.turn.ended: time.sleep(0.01)"]
    if capture.startswith("%%"):
        code = "\n".join([capture, *lines, "mine = 1"])
    else:
        code = "\n".join([capture, "with capture_output() as out:", *(f"    {line}" for line in lines)])
    assert kernel.run(code).ok
    shows(kernel, cell, "[idle]")
    assert cell.answers == ["half end"]
    assert "half" not in kernel.run("print([str(each.data) for each in out.outputs])").text
