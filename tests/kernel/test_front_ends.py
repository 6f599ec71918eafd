"""What is shown where: a front end that has no server, one that shows no widgets, and none at all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from servers.kernel import Cell, Kernel
from servers.openai import OpenAIServer, chunk, reply
from servers.vscode import VSCode

WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture(scope="module")
def vscode(server: OpenAIServer) -> Iterator[VSCode]:
    with VSCode(env={"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": "sk-test-1234567890"}) as kernel:
        yield kernel


def replies(cell: Cell) -> list[dict[str, Any]]:
    """What the cell's widgets answered to what a page sent."""
    contents = [each["content"].get("data", {}).get("content", {}) for each in cell.messages]
    return [each["reply"] for each in contents if "reply" in each]


def test_vs_code_gets_a_chat_that_works(vscode: VSCode, server: OpenAIServer) -> None:
    vscode.run("%%agent -s talk\nBefore")
    cell = vscode.run("import praison_nb\nw = praison_nb.chat('talk')\nw")
    (output,) = cell.outputs
    assert WIDGET in output["data"], "one output: this page would show a copy beside the widget"
    note, _, transcript = output["data"]["text/plain"].partition("\n\n")
    assert note.startswith("As of 20") and note.endswith("Run the cell to use it.")
    assert transcript.startswith("You: Before\n\nBefore\n") and "Before" in output["data"]["text/html"]
    gate = server.gate()
    server.script([chunk({"content": "So far"}), gate, *reply("")])
    vscode.send(cell, {"kind": "send", "id": "1", "text": "From the page"})
    server.wait_for(lambda: gate.reached)
    assert server.bodies[-1]["messages"][-1]["content"] == "From the page"
    # Stop arrives while the turn runs, and has a text.
    vscode.run("import time\nwhile not w.runs[-1].turn.text: time.sleep(0.01)")
    vscode.send(cell, {"kind": "stop"})
    told = vscode.run("turn = w.runs[-1].wait()\nprint(turn.stop_reason, turn.text)").text
    gate.open()
    assert told.strip() == "interrupted So far" and len(cell.outputs) == 1


def test_vs_code_gets_a_table_that_works(vscode: VSCode) -> None:
    vscode.run("%%agent -s listed\nHi")
    cell = vscode.run("s = praison_nb.sessions()\ns")
    (output,) = cell.outputs
    assert WIDGET in output["data"] and "listed" in output["data"]["text/html"]
    assert vscode.run("s.refresh.click()\nassert 'listed' in str(s.table.rows)").ok


def test_a_turn_needs_no_widget_in_vs_code(vscode: VSCode) -> None:
    cell = vscode.run("%%agent -s plain\nHi")
    assert cell.answers == ["Hi"] and not cell.of(WIDGET) and "[idle]" in cell.text


@pytest.mark.parametrize("what", ["%agent chat", "praison_nb.sessions()"])
@pytest.mark.parametrize(
    ("setting", "asks", "line"),
    [
        (
            "auto",
            True,
            "this front end is not known to show widgets. If it does: `%config AgentMagics.live = 'wid",
        ),
        ("auto", False, "where the notebook runs by itself: run the cell where you can click."),
        ("plain", True, "as AgentMagics.live is 'plain': `%config AgentMagics.live = 'auto'`."),
        ("widget", True, ""),
    ],
)
def test_elsewhere_a_line_says_why_not(
    shared: Kernel, what: str, setting: str, asks: bool, line: str
) -> None:
    shared.run(f"import praison_nb\n%config AgentMagics.live = '{setting}'")
    try:
        shared.client.allow_stdin = asks
        cell = shared.run(what)
    finally:
        shared.client.allow_stdin = True
        shared.run("%config AgentMagics.live = 'auto'")
    assert cell.ok and len(cell.outputs) == 1 and bool(cell.of(WIDGET)) == (not line)
    data = cell.outputs[0]["data"]
    for shown in data["text/plain"], data["text/html"]:
        assert (line or "Run the cell to use it.") in shown


COLAB = """
import sys, types
colab = {name: types.ModuleType(name) for name in ('google.colab', 'google.colab.output')}
colab['google.colab.output'].enable_custom_widget_manager = lambda: None
colab['google.colab.output']._widgets = types.SimpleNamespace(_installed_url='manager.js')
sys.modules.update(colab)
%config AgentMagics.live = 'widget'
"""


def test_colab_is_told_where_its_widget_manager_is(shared: Kernel) -> None:
    shared.run(COLAB)
    try:
        cells = [shared.run(code) for code in ("%agent chat", "%%agent\nHi")]
    finally:
        shared.run("for name in colab: del sys.modules[name]\n%config AgentMagics.live = 'auto'")
    for cell in cells:
        told = [each["content"].get("metadata", {}).get(WIDGET) for each in cell.messages]
        assert "manager.js" in str(told)


def test_what_is_captured_is_shown_later(vscode: VSCode) -> None:
    assert vscode.run("%%capture kept\npraison_nb.sessions()").outputs == []
    assert WIDGET in vscode.run("kept.show()").outputs[0]["data"]
