"""`%%agent` in a terminal IPython, driven as a person types."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pexpect
import psutil
import pytest
from nbconvert import PythonExporter

from servers.openai import DONE, OpenAIServer, chunk, reply


@contextmanager
def ipython(server: OpenAIServer, folder: Path) -> Iterator[pexpect.spawn[str]]:
    """One at its first prompt."""
    env = {
        **os.environ,
        "OPENAI_BASE_URL": server.base_url,
        "OPENAI_API_KEY": "test-key",
        "IPYTHONDIR": str(folder),
    }
    arguments = ["-m", "IPython", "--simple-prompt", "--no-banner", "--colors=nocolor", "--ext=praison_nb"]
    child = pexpect.spawn(sys.executable, arguments, env=env, encoding="utf-8", timeout=60, echo=False)
    child.expect_exact("In [1]:")
    yield child
    child.close(force=True)


@pytest.fixture(scope="module")
def started(server: OpenAIServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[pexpect.spawn[str]]:
    with ipython(server, tmp_path_factory.mktemp("ipython")) as child:
        yield child


@pytest.fixture
def terminal(started: pexpect.spawn[str]) -> pexpect.spawn[str]:
    """The module's, at its first prompt, without the sessions of earlier tests."""
    started.sendline("%reload_ext praison_nb")
    started.sendline("get_ipython().execution_count = 1; print('a' + 'new')")
    started.expect_exact("anew")
    started.expect_exact("In [1]:")
    return started


def ask(terminal: pexpect.spawn[str], prompt: str) -> None:
    terminal.sendline(f"get_ipython().run_cell_magic('agent', '-o turn', {prompt!r})")


def test_text_and_one_panel_line(terminal: pexpect.spawn[str], server: OpenAIServer) -> None:
    server.script(reply("Hello \x1b[31mred\x1b[0m there", usage=(9, 3)))
    ask(terminal, "Hi")
    terminal.expect_exact("Hello [31mred[0m there")
    terminal.expect_exact("[idle] main · scripted-1 · local")
    terminal.expect_exact("In [2]:")
    terminal.sendline("turn.text, turn is _")
    terminal.expect_exact("True)")


def test_a_turn_is_shown_again(terminal: pexpect.spawn[str], server: OpenAIServer) -> None:
    server.script(reply("Hello \x1b[31mred\x1b[0m there"))
    ask(terminal, "Hi\nyou")
    terminal.expect_exact("In [2]:")
    terminal.sendline("%agent show")
    terminal.expect_exact("main · turn 1 of 1 · ")
    terminal.expect_exact("· “Hi you”")
    terminal.expect_exact("Hello [31mred[0m there")
    terminal.expect_exact("[idle] main · scripted-1 · local")
    terminal.expect_exact("In [3]:")
    assert "<div" not in (terminal.before or "")


def test_ctrl_c(terminal: pexpect.spawn[str], server: OpenAIServer) -> None:
    server.script([chunk({"content": "so far"}), server.gate(), DONE])
    ask(terminal, "Hi")
    terminal.expect_exact("so far")
    terminal.sendintr()
    terminal.expect_exact("stopped by you after")
    terminal.expect_exact("KeyboardInterrupt: the turn was stopped")
    terminal.expect_exact("In [2]:")
    terminal.sendline("turn.text")
    terminal.expect_exact("'so far'")


AT_ONCE = """def at_once(number, handler):
    signal.signal = real
    before = real(number, handler)
    signal.raise_signal(signal.SIGINT)
    return before

"""


def test_ctrl_c_at_the_very_beginning(openai_server: OpenAIServer, tmp_path: Path) -> None:
    """When the handler has just been put in place; the request may never be sent."""
    openai_server.script([chunk({"content": "so far"}), openai_server.gate(), DONE])
    with ipython(openai_server, tmp_path) as terminal:
        terminal.sendline(f"import signal; real = signal.signal; exec({AT_ONCE!r}); signal.signal = at_once")
        terminal.expect_exact("In [2]:")
        ask(terminal, "Hi")
        terminal.expect_exact("stopped by you after")
        terminal.expect_exact("KeyboardInterrupt: the turn was stopped")
        terminal.expect_exact("In [3]:")


def test_an_error_is_one_line(terminal: pexpect.spawn[str], server: OpenAIServer) -> None:
    server.refuse(1, status=400, message="bad")
    ask(terminal, "Hi")
    terminal.expect_exact("RequestRejectedError:")
    terminal.expect_exact("In [2]:")
    assert "Traceback" not in (terminal.before or "")


def test_a_tool_asks(terminal: pexpect.spawn[str], server: OpenAIServer, tmp_path: Path) -> None:
    write = reply(calls=[("write_file", '{"path": "a.txt", "content": "x"}')])
    terminal.sendline(f"%cd -q {tmp_path}")
    ask_with = "get_ipython().run_cell_magic('agent', '-o turn -t write_file', 'Hi')"
    server.script(write, reply("A pity."))
    terminal.sendline(ask_with)
    terminal.expect_exact("path: a.txt")
    terminal.expect_exact("Allow it? [y/N]")
    terminal.sendline("")
    terminal.expect_exact("A pity.")
    assert not (tmp_path / "a.txt").exists()
    server.script(write, reply("Thanks."))
    terminal.sendline(ask_with)
    terminal.expect_exact("Allow it? [y/N]")
    terminal.sendline("y")
    terminal.expect_exact("Thanks.")
    assert (tmp_path / "a.txt").read_text() == "x"
    # Ctrl-C at the question stops the turn.
    server.script(write, reply("never"))
    terminal.sendline(ask_with)
    terminal.expect_exact("Allow it? [y/N]")
    # A signal that comes after the question is shown and before it reads is seen when it has read.
    while psutil.Process(terminal.pid).status() != psutil.STATUS_SLEEPING:
        pass
    terminal.sendintr()
    terminal.expect_exact("KeyboardInterrupt: the turn was stopped")
    terminal.sendline("turn.stop_reason, turn.tools[-1].approval")
    terminal.expect_exact("('interrupted', 'denied')")


def test_what_nbconvert_writes_of_a_notebook_runs(
    openai_server: OpenAIServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cells = (
        "%load_ext praison_nb\nx = 5",
        "%%agent -o turn\nSay {x}",
        "print('text:', _.text, turn.text)",
        "%%time\n%%agent\nTimed",
        "for prompt in ('a', 'b'):\n    get_ipython().run_cell_magic('agent', '-s loop', prompt)",
        "import praison_nb\npraison_nb.chat()\npraison_nb.sessions()",
        "%%agent --bg -o run\nlater",
        "print(run.wait().text)\n%agent",
    )
    exporter = PythonExporter()
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    Path("script.py").write_text(exporter.from_notebook_node(made)[0])
    env = {
        **os.environ,
        "OPENAI_BASE_URL": openai_server.base_url,
        "OPENAI_API_KEY": "test-key",
        "IPYTHONDIR": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "script.py"], env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Say 5\nnote: filled {x}: int" in done.stdout and "text: Say 5 Say 5" in done.stdout
    assert "Wall time" in done.stdout and done.stdout.count("[idle] loop") == 2
    assert "chat() needs a notebook." in done.stdout and "sessions() needs a notebook." in done.stdout
    assert "\nlater\n" in done.stdout and "loop     idle" in done.stdout
