"""A DataFrame goes up, a plot and a table come back: a notebook against the stand-in, as it is saved."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import pytest
from matplotlib.figure import Figure
from nbclient import NotebookClient

from servers.forked import NBCLIENT
from servers.hosted import HostedServer, builtin_tool, text
from servers.hosted_agent import sent
from servers.hosted_files import wrote
from servers.kernel import Kernel

SETUP = """
%load_ext praison_nb
import pandas as pd
from matplotlib.figure import Figure
from praison_nb import HostedAgent, HostedAgentConfig
df = pd.DataFrame({"city": ["Oslo", "Bergen"], "people": [700_000, 290_000]})
fig = Figure()
fig.add_subplot().bar(df["city"], df["people"])
agent = HostedAgent(config=HostedAgentConfig(resources=[("cities", df)]))
"""
CSV = b"city,share\nOslo,0.71\n<b>Bergen</b>,0.29\n"
WORKS = builtin_tool("bash", {"command": "python share.py"}, result="ok")


def plot() -> bytes:
    figure, file = Figure(), io.BytesIO()
    figure.add_subplot().pie([0.71, 0.29])
    figure.savefig(file, format="png", dpi=30)
    return file.getvalue()


def environment(server: HostedServer) -> dict[str, str]:
    return {"ANTHROPIC_BASE_URL": server.url, "ANTHROPIC_API_KEY": server.api_key}


def shown(cell: Any, kind: str = "text/html") -> str:
    """All that a cell of the saved file shows."""
    return "\n".join(output.get("data", {}).get(kind, output.get("text", "")) for output in cell.outputs)


def test_a_table_goes_up_and_a_plot_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = [
        SETUP,
        "%%agent -b agent -s work\nWhat share has each city of /workspace/cities.parquet? Like {fig}.",
        "%agent files -s work",
        "%agent files -s work 'shares.csv'",
    ]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    with HostedServer() as server:
        for name, value in environment(server).items():
            monkeypatch.setenv(name, value)
        server.files_late = 1
        server.script([WORKS, wrote("shares.png", plot()), wrote("../shares.csv", CSV), text("See both.")])
        where = {"metadata": {"path": str(tmp_path)}}
        NotebookClient(book, timeout=100, **NBCLIENT, resources=where).execute()
        (session,) = server.sessions.values()
        (resource,) = session.fields["resources"]
        frame = pd.read_parquet(io.BytesIO(server.files[resource["file_id"]].data))
        (message,) = sent(server, "user.message")
    assert frame["people"].tolist() == [700_000, 290_000]
    assert [each["type"] for each in message["content"]] == ["image", "text"]
    assert message["content"][1]["text"].endswith("Like [figure fig, 640×480].")
    _, _, turn, listed, saved = (None, *nbformat.reads(nbformat.writes(book), 4).cells)
    html = shown(turn)
    assert f"data:image/png;base64,{base64.b64encode(plot()).decode()}" in html
    assert "<td>&lt;b&gt;Bergen&lt;/b&gt;</td><td>0.29</td>" in html and "<b>Bergen" not in html
    assert "mounted /workspace/cities.parquet: DataFrame, 2 rows × 2 columns, as Parquet" in html
    assert "filled {fig}: Figure, sent as a picture" in html
    assert "wrote shares.png" in shown(turn, "text/plain")
    assert "../shares.csv  " in shown(listed, "text/plain")
    assert "shares.csv (40 B)." in shown(saved, "text/plain")
    assert (tmp_path / "shares.csv").read_bytes() == CSV


def test_files_come_after_the_turn_and_its_cell() -> None:
    with HostedServer() as server, Kernel(env=environment(server)) as kernel:
        assert kernel.run(SETUP).ok
        server.files_late = 1
        server.script([WORKS, wrote("shares.png", plot()), text("See it.")])
        cell = kernel.run("%%agent -b agent\nPlot.")
        assert cell.ok and "See it." in cell.text
        # Where outputs are updated when their cell has ended, it waits for no file.
        assert "shares.png" not in cell.text
        kernel.read_until(lambda: "wrote shares.png" in cell.text)
        assert any("data:image/png;base64," in html for html in cell.of("text/html"))
        again = kernel.run("%agent show")
        assert any("data:image/png;base64," in html for html in again.of("text/html"))
        refused = kernel.run("%agent files -s nobody")
        assert not refused.ok and "nobody" in refused.error and "Traceback" not in refused.error


def test_files_of_the_only_hosted_session_need_no_name() -> None:
    with HostedServer() as server, Kernel(env=environment(server)) as kernel:
        assert kernel.run(SETUP).ok
        assert "'main'" in kernel.run("%agent files").error
        server.script([text("One.")], [text("Two.")])
        assert kernel.run("%%agent -b agent\nHi").ok
        assert "session 'agent' wrote no files" in kernel.run("%agent files").text
        assert kernel.run("%%agent -b hosted -s other\nHi").ok
        assert "Hosted are: agent, other." in kernel.run("%agent files").error
