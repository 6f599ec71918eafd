"""Front ends and runners that are no requirement of the tests, each once, in an environment of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import pexpect
import psutil
import pytest
from playwright.sync_api import expect, sync_playwright

from browser.lab import launch
from servers.environments import install, without_source
from servers.kernel import Kernel
from servers.openai import DONE, OpenAIServer, chunk, reply

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def environment(wheel: Path, tmp_path: Path) -> Callable[..., Path]:
    """Makes an environment with the package and these others; returns its folder of programs."""
    return lambda *packages: install(tmp_path / "env", sys.executable, wheel, "ipykernel", *packages).parent


@pytest.fixture
def env(openai_server: OpenAIServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.chdir(tmp_path)
    return {
        **without_source(),
        "OPENAI_BASE_URL": openai_server.base_url,
        "OPENAI_API_KEY": "sk-test-1234567890",
        "JUPYTER_PREFER_ENV_PATH": "1",
        "IPYTHONDIR": str(tmp_path / "ipython"),
    }


def write(name: str, *cells: str) -> None:
    made = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in ("%load_ext praison_nb", *cells)]
    )
    made.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(made, name)


def run(*command: str | Path, env: dict[str, str]) -> None:
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_papermill(
    environment: Callable[..., Path], env: dict[str, str], openai_server: OpenAIServer
) -> None:
    papermill = environment("papermill") / "papermill"
    write(
        "a.ipynb",
        "x = 1",
        "%%agent\nSay {x}",
        "%%agent --bg\nAnd then?",
        "import praison_nb; praison_nb.chat()",
    )
    for _ in range(2):
        run(papermill, "a.ipynb", "b.ipynb", "-k", "python3", env=env)
    sent = [body["messages"] for body in openai_server.bodies]
    assert len(sent) == 4 and sent[:2] == sent[2:]
    text = Path("b.ipynb").read_text()
    assert "Say 1" in text and "And then?" in text and "where the notebook runs by itself" in text
    assert "widget-view" not in text


def test_jupyter_console(
    environment: Callable[..., Path], env: dict[str, str], openai_server: OpenAIServer
) -> None:
    jupyter = environment("jupyter-console") / "jupyter"
    arguments = ["console", "--kernel=python3", "--simple-prompt"]
    console = pexpect.spawn(str(jupyter), arguments, env=env, encoding="utf-8", timeout=60, echo=False)
    ask = "get_ipython().run_cell_magic('agent', '{}', 'Hi');"
    try:
        console.expect_exact("In [1]:")
        console.sendline("%load_ext praison_nb")
        console.expect_exact("In [2]:")
        gate = openai_server.gate()
        openai_server.script(
            [chunk({"content": "Hello \x1b[31mred"}), gate, chunk({"content": " there"}), DONE]
        )
        console.sendline(ask.format("-o turn"))
        console.expect_exact("Hello [31mred")
        gate.open()
        console.expect_exact(" there")
        console.expect_exact("[idle] main · scripted-1 · local")
        console.expect_exact("In [3]:")
        openai_server.script(
            reply(calls=[("write_file", '{"path": "a.txt", "content": "x"}')]), reply("Thanks.")
        )
        console.sendline(ask.format("-t write_file"))
        console.expect_exact("Allow it? [y/N]")
        console.sendline("y")
        console.expect_exact("Thanks.")
        console.expect_exact("In [4]:")
        console.sendline("%agent chat")
        console.expect_exact("this front end is not known to show widgets")
        console.expect_exact("In [5]:")
        openai_server.refuse(1, status=400, message="bad")
        console.sendline(ask.format(""))
        console.expect_exact("RequestRejectedError:")
    finally:
        console.close(force=True)
    assert Path("a.txt").read_text() == "x"


def values_of(data: Any, key: str) -> Iterator[Any]:
    """Whatever stands under this key, however deep."""
    if isinstance(data, dict):
        yield from (value for name, value in data.items() if name == key)
        data = list(data.values())
    if isinstance(data, list):
        for each in data:
            yield from values_of(each, key)


def test_no_button_where_no_click_arrives(
    environment: Callable[..., Path], env: dict[str, str], openai_server: OpenAIServer
) -> None:
    """ipykernel 6 hears nothing of a page while a cell runs: the question alone is answered."""
    python = environment("ipykernel==6.31.*") / "python"
    with Kernel(env={**env, "JPY_SESSION_NAME": "a.ipynb"}, python=str(python)) as kernel:
        assert kernel.run("import ipykernel; print(ipykernel.__version__)").text.startswith("6.31")
        openai_server.script(
            reply(calls=[("write_file", '{"path": "a.txt", "content": "x"}')]), reply("Thanks.")
        )
        code = "%config AgentMagics.live = 'widget'\n"
        kernel.run(code)
        cell = kernel.begin("%%agent -t write_file\nHi")
        assert kernel.question().endswith("Allow it? [y/N] ")
        kernel.client.input("y")
        kernel.finish(cell)
        told = json.loads(json.dumps([each["content"] for each in cell.messages], default=str))
        assert cell.ok and "Thanks." in cell.answers[0] and list(values_of(told, "panel"))
        assert not any(values_of(told, "question")), "no buttons beside the question"
        hints = [panel.get("hint") for panel in values_of(told, "panel") if isinstance(panel, dict)]
        assert "interrupt the kernel to stop" in hints
        # In the background clicks arrive between cells, and there are buttons.
        openai_server.script(
            reply(calls=[("write_file", '{"path": "b.txt", "content": "x"}')]), reply("Thanks.")
        )
        cell = kernel.run("%%agent --bg -t write_file -s late\nHi")
        kernel.read_until(lambda: any(values_of([each["content"] for each in cell.messages], "question")))
        # No page has shown the question: the first one does.
        assert kernel.run("%agent allow late").ok and kernel.run("%agent allow late").ok
        kernel.read_until(lambda: "Thanks." in cell.text)


@contextmanager
def voila(program: Path, env: dict[str, str]) -> Iterator[str]:
    """The address of a Voila that serves a.ipynb."""
    command = [program, "a.ipynb", "--no-browser", "--port=0", "--Voila.ip=127.0.0.1"]
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            while "is running at" not in process.stderr.readline():
                assert process.poll() is None
            listening = psutil.Process(process.pid).net_connections("tcp")
            (port,) = (each.laddr.port for each in listening if each.status == psutil.CONN_LISTEN)
            yield f"http://127.0.0.1:{port}/"
        finally:
            process.terminate()
            process.stderr.close()


def test_voila(environment: Callable[..., Path], env: dict[str, str]) -> None:
    """The chat and the table work in a page, and their copies are hidden."""
    program = environment("voila") / "voila"
    write(
        "a.ipynb",
        "import praison_nb",
        "%%agent -s talk\nBefore",
        "praison_nb.chat('talk')",
        "praison_nb.sessions()",
    )
    with voila(program, env) as address, sync_playwright() as playwright:
        browser = launch(playwright)
        page = browser.new_page()
        page.goto(address)
        answers = page.locator(".pnb-chat .pnb-text")
        expect(answers).to_have_text(["Before"], timeout=60_000)
        field = page.get_by_role("textbox", name="Message")
        field.fill("From the page")
        field.press("Enter")
        expect(answers).to_have_text(["Before", "From the page"])
        rows = page.locator(".pnb-alive tbody tr").filter(has_text="talk")
        expect(rows.locator("td").nth(3)).to_have_text("2")
        expect(page.locator(".pnb-behind")).to_have_count(2)
        for copy in page.locator(".pnb-behind").all():
            expect(copy).to_be_hidden()
        browser.close()


MARIMO = """
import marimo
app = marimo.App()

@app.cell
def _():
    import os
    from praison_nb import Agent, LocalAgent, LocalAgentConfig, chat, sessions
    agent = Agent(name="helper", backend=LocalAgent(config=LocalAgentConfig(model="gpt-4o-mini")))
    print("says", agent.start("Hello"))
    return agent, chat, sessions

@app.cell
def _(agent):
    agent.turn

@app.cell
def _(agent, chat):
    chat(agent)

@app.cell
def _(chat):
    chat("named")

@app.cell
def _(sessions):
    try:
        sessions()
    except Exception as error:
        print("one line:", error)
"""


def test_marimo(environment: Callable[..., Path], env: dict[str, str], openai_server: OpenAIServer) -> None:
    python = environment("marimo") / "python"
    Path("a.py").write_text(MARIMO)
    run(python, "-m", "marimo", "export", "html", "a.py", "-o", "a.html", env=env)
    page = Path("a.html").read_text()
    assert "says Hello" in page and "pnb-answer" in page and "one line: sessions() is made of Jupyter" in page
    assert page.count("u003Cmarimo-anywidget") == 2 and len(openai_server.bodies) == 1
