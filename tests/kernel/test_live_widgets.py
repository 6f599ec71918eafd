"""The widgets that stand alone, in a real kernel."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from servers.kernel import Cell, Kernel

TESTS = Path(__file__).parents[1]


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    env = {
        "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)]),
        "PRAISON_NB_GATES": str(tmp_path),
        "PRAISON_NB_LEDGER": str(tmp_path / "ledger.sqlite"),
    }
    with Kernel(env=env) as kernel:
        setup = "from browser.scenarios import *"
        assert kernel.run(
            f"{setup}\nfrom praison_nb.notebook.widgets.badges import StatusBadge, UsagePanel"
        ).ok
        yield kernel


def panels(cell: Cell) -> list[dict[str, Any]]:
    """What the cell's widgets said, in order."""
    told = []
    for message in cell.messages:
        data = message["content"].get("data", {})
        if message["msg_type"] == "comm_open" and "_esm" in data["state"]:
            told.append(data["state"]["state"]["panel"])
        elif message["msg_type"] == "comm_msg" and data.get("method") == "custom":
            told.append({**told[-1], **data["content"].get("panel", {})})
    return told


def says(kernel: Kernel, cell: Cell, words: str) -> dict[str, Any]:
    kernel.read_until(lambda: panels(cell)[-1]["label"] == words)
    return panels(cell)[-1]


def test_a_badge_follows_its_backend(kernel: Kernel, tmp_path: Path) -> None:
    kernel.run("a = scripted(Activity(text='retrying'), hold('go'), *ask('c', 'bash', '{}'))")
    cell = kernel.run("badge = StatusBadge(a)\nbadge")
    assert "application/vnd.jupyter.widget-view+json" in cell.outputs[0]["data"]
    assert cell.outputs[0]["data"]["text/plain"] == "StatusBadge('none')"
    kernel.run("%%agent -b a --bg\nGo")
    says(kernel, cell, "running · retrying")
    (tmp_path / "go").touch()
    says(kernel, cell, "running · waiting for you")
    kernel.run("%agent allow")
    says(kernel, cell, "idle")
    kernel.run("a.reset_session()")
    says(kernel, cell, "none")
    kernel.run("badge.close()")
    before = len(panels(cell))
    kernel.run("%%agent -b a --bg -s again\nGo")
    assert kernel.run("badge.label").ok
    assert len(panels(cell)) == before, "a closed widget follows no more"


def test_a_usage_panel_counts_a_session_or_a_backend(kernel: Kernel) -> None:
    kernel.run("a = unpriced()")
    both = kernel.run("one = UsagePanel(a.session)\nall_ = UsagePanel(a)")
    assert [p["label"] for p in panels(both)] == ["none", "none"]
    kernel.run("%%agent -b a -s x\nGo")
    kernel.read_until(lambda: len([p for p in panels(both) if p["label"] == "idle"]) >= 2)
    facts = ["".join(fact[:3]) for fact in panels(both)[-1]["facts"]]
    assert {"in 38", "out 59"} <= set(facts)


def test_a_page_that_lost_a_message_gets_all_of_it(kernel: Kernel) -> None:
    kernel.run("a = unpriced()")
    cell = kernel.run("badge = StatusBadge(a)")
    kernel.run("%%agent -b a\nGo")
    says(kernel, cell, "idle")
    kernel.run("badge._on_message({'kind': 'ready'})")
    kernel.read_until(lambda: "state" in cell.messages[-1]["content"].get("data", {}).get("content", {}))
    state = cell.messages[-1]["content"]["data"]["content"]["state"]
    assert state["panel"]["label"] == "idle" and state["kind"] == "badge" and state["number"] > 0


def test_anything_else_is_refused_in_one_line(kernel: Kernel) -> None:
    assert "StatusBadge needs a backend, an agent or a session, not 3." in kernel.run("StatusBadge(3)").error
