"""Run the quickstart in a real kernel, without a browser: `make demo`.

Writes each cell with its answers and panels as text, and leaves the executed notebook and an HTML page.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbconvert import HTMLExporter

HERE = Path(__file__).parent
OUT = HERE.parent / "build" / "demo"


def main() -> None:
    notebook = nbformat.read(HERE / "quickstart.ipynb", as_version=4)
    client = NotebookClient(notebook, timeout=600, kernel_name="python3", on_cell_executed=show)
    client.execute(cwd=str(HERE))
    OUT.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, OUT / "quickstart.ipynb")
    page, _ = HTMLExporter().from_notebook_node(notebook)
    (OUT / "quickstart.html").write_text(page)
    say(f"\nThe executed notebook: {OUT / 'quickstart.ipynb'}")
    say(f"The same as a page:    {OUT / 'quickstart.html'}")


def show(cell: nbformat.NotebookNode, **_: object) -> None:
    source = "\n".join(f"    {line}" for line in cell.source.splitlines())
    say(f"\n{source}\n")
    for output in cell.outputs:
        text = output.get("text") or output.get("data", {}).get("text/plain", "")
        say(text.rstrip())


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
