"""`make hosted-demo`: try `%%agent -b hosted` by hand, offline and without a key.

This is a stand-in, not Anthropic's service: a server on this machine speaks the same API, and the small
embedded model answers behind it. With `--run` the notebook is executed here instead of opened.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import nbformat
from nbclient import NotebookClient

# In the place of this folder, whose modules are named like the packages that they serve.
sys.path[0] = str(Path(__file__).parents[1])
from servers.hosted import HostedServer, Tokens  # noqa: E402

OUT = Path(__file__).parents[2] / "build" / "hosted-demo"
NOTICE = (
    "This is a stand-in for Anthropic's Managed Agents: a server on this machine with the same API, and a "
    "small model (SmolLM2-135M) behind it. Nothing leaves the machine, nothing is paid, and the answers are "
    "that small model's."
)
CELLS = [
    "%load_ext praison_nb",
    "%%agent -b hosted -m stand-in-smollm2\nWhat is a residual? One sentence.",
    "%%agent -b hosted\nWhen are residuals large?",
    "%agent",
]


async def answer(messages: list[dict[str, str]]) -> AsyncIterator[str | Tokens]:
    """The embedded model's answer, with its count of tokens."""
    from openai import AsyncOpenAI

    from praison_nb.backends.embedded import process

    async for step in process.start("embedded"):
        if isinstance(step, process.Endpoint):
            endpoint = step
    async with AsyncOpenAI(base_url=endpoint.base_url, api_key=endpoint.api_key) as client:
        stream = await client.chat.completions.create(
            model=endpoint.model,
            messages=messages,  # type: ignore[arg-type]
            max_tokens=200,
            stream=True,
            stream_options={"include_usage": True},
        )
        async for chunk in stream:
            if chunk.choices and chunk.choices[0].delta.content:
                yield chunk.choices[0].delta.content
            if chunk.usage:
                yield Tokens(chunk.usage.prompt_tokens, chunk.usage.completion_tokens)


def notebook() -> nbformat.NotebookNode:
    book = nbformat.v4.new_notebook()
    book.cells = [nbformat.v4.new_markdown_cell(f"# A hosted agent, offline\n\n**{NOTICE}**")]
    book.cells += [nbformat.v4.new_code_cell(source) for source in CELLS]
    return book


def main() -> None:
    say(NOTICE)
    OUT.mkdir(parents=True, exist_ok=True)
    path = OUT / "hosted.ipynb"
    nbformat.write(notebook(), path)
    with HostedServer() as server:
        server.answer = answer
        environment = {**os.environ, "ANTHROPIC_BASE_URL": server.url, "ANTHROPIC_API_KEY": server.api_key}
        if "--run" in sys.argv:
            book = notebook()
            NotebookClient(book, timeout=600, kernel_name="python3").execute(env=environment)
            for cell in book.cells[1:]:
                say(cell.source, *(o.get("data", {}).get("text/plain", "") for o in cell.outputs))
            return
        say(f"JupyterLab opens {path}. End it with Ctrl-C.")
        lab = subprocess.Popen([sys.executable, "-m", "jupyterlab", path], env=environment)
        try:
            lab.wait()
        except KeyboardInterrupt:
            lab.wait()


def say(*lines: str) -> None:
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
