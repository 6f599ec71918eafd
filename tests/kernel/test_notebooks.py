"""Every notebook of the repository runs as it is, in a real kernel."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
NOTEBOOKS = [
    # A model answers their cells, one after the other; in every run those of the first one.
    pytest.param(path, marks=() if path.stem == "quickstart" else pytest.mark.slow, id=path.name)
    for path in sorted((ROOT / "notebooks").glob("*.ipynb"))
]


CELL_SECONDS = 1500
"""The 200 rows of one take minutes, and ten beside other work."""


@pytest.mark.timeout(2 * CELL_SECONDS)
@pytest.mark.parametrize("path", NOTEBOOKS)
def test_it_runs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "commit it without outputs"
    if path.name == "quickstart.ipynb":
        notebook = demo()
    else:
        resources = {"metadata": {"path": str(path.parent)}}
        client = NotebookClient(notebook, timeout=CELL_SECONDS, kernel_name="python3", resources=resources)
        client.execute()
    if path.name == "rows.ipynb":
        again = notebook.cells[-2].outputs
        rows = os.environ.get("REVIEWS", "200")
        assert any(f"kept    {rows}" in output.get("data", {}).get("text/plain", "") for output in again)
    # A chat is a widget and stays one; a turn leaves none.
    assert "widgets" not in notebook.metadata or any("praison_nb.chat(" in c.source for c in notebook.cells)
    for cell in notebook.cells:
        if cell.source.startswith("%%agent"):
            assert not any(
                "widget-view" in kind for output in cell.outputs for kind in output.get("data", {})
            )
            shown = "".join(output.get("data", {}).get("text/plain", "") for output in cell.outputs)
            assert re.search(r"\[idle\] .* in ~?\d", shown), f"no panel under: {cell.source}"
            assert any("pnb-answer" in output.get("data", {}).get("text/html", "") for output in cell.outputs)


def demo() -> nbformat.NotebookNode:
    """The quickstart as the demo runs it, which says where it left its files."""
    done = subprocess.run(
        [sys.executable, ROOT / "notebooks" / "demo.py"], capture_output=True, text=True, check=True
    )
    assert "[idle] main · smollm2 · embedded" in done.stdout
    made, page = (re.findall(rf": +(\S+{ending})", done.stdout)[0] for ending in (".ipynb", ".html"))
    assert "embedded" in Path(page).read_text()
    return nbformat.read(made, as_version=4)


def test_what_an_image_build_runs(tmp_path: Path) -> None:
    """postBuild fetches the model (from this machine's cache where it is there already)."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    post_build = ROOT / "binder" / "postBuild"
    assert os.access(post_build, os.X_OK)
    subprocess.run([post_build], cwd=ROOT, env=environment, check=True, capture_output=True)
    requirements = (ROOT / "binder" / "requirements.txt").read_text()
    assert (ROOT / "binder" / re.findall(r"-c (\S+)", requirements)[0]).exists()


@pytest.mark.slow(reason="a stand-in for whoever works on the package, with a model that answers")
def test_the_hosted_demo_answers_and_says_that_it_is_a_stand_in() -> None:
    script = ROOT / "tests" / "servers" / "hosted_demo.py"
    done = subprocess.run([sys.executable, script, "--run"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "This is a stand-in for Anthropic's Managed Agents" in done.stdout
    assert len(re.findall(r"\[idle\] hosted · \S+ · hosted .* in [\d,]+", done.stdout)) == 2
    assert re.search(r"hosted +idle +\S+ +hosted", done.stdout)
