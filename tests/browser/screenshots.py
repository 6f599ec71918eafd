"""Pictures of every state of a cell, light and dark, for the README: `make screenshots`.

They are taken of a real JupyterLab, and written to docs/screenshots.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from matplotlib.figure import Figure
from playwright.sync_api import Browser, expect, sync_playwright

from browser.lab import PATIENCE_MS, Notebook, Server, launch
from servers.hosted import HostedServer, builtin_tool, text
from servers.hosted_files import wrote
from servers.rows import Manners, RowServer

PICTURES = Path(__file__).parents[2] / "docs" / "screenshots"
PROMPT = "Which columns of {df} explain churn best? Check with a quick model."
WIDGETS = (
    "import ipywidgets\nfrom praison_nb import HostedAgent, StatusBadge, UsagePanel\n"
    "badges = [StatusBadge(each) for each in (r, f, HostedAgent(), scripted())]\n"
    "ipywidgets.VBox([*badges, UsagePanel(r)])"
)
CELLS = [
    "from collections import namedtuple\n"
    "Frame = namedtuple('Frame', 'rows columns')\ndf = Frame(7043, 21)\n"
    "r, a, f, t, u, m = research(), asking(), failing(), retrying(), unpriced(), formatted()",
    f"%%agent -b r -s research\n{PROMPT}",
    "%%agent -b a -s build --bg\nBuild it.",
    "%%agent -b f -s main\nHello",
    "%%agent -b t -s slow --bg\nHello",
    "%%agent -b u -s local --bg\nHello",
    "%%agent -b m -s formats --bg\nShow me",
    WIDGETS,
    "import praison_nb\npraison_nb.chat('research')",
    "praison_nb.sessions()",
]

FILES_SETUP = """
import pandas as pd
from matplotlib.figure import Figure
from praison_nb import HostedAgent, HostedAgentConfig
df = pd.DataFrame({{"tenure": range(7043), "churned": 0}})
fig = Figure()
fig.add_subplot().plot(df["tenure"])
config = HostedAgentConfig(resources=[("customers", df)], api_key="test-key", base_url="{url}")
agent = HostedAgent(config=config)
"""
ROWS_CELLS = [
    """
import pandas as pd
from dataclasses import dataclass
from typing import Literal
from praison_nb import LocalAgent, LocalAgentConfig
agent = LocalAgent(LocalAgentConfig(model="gpt-4o-mini", base_url="{url}/v1", provider="openai", wire="chat",
                                    api_key="test-key", options={{"max_tokens": 200}}))
reviews = pd.read_csv("{file}")
@dataclass
class Rating:
    label: Literal["good", "bad"]
    stars: int
@dataclass
class Ticket:
    title: str
    topic: Literal["shipping", "billing", "feature"]
    urgency: int
""",
    "%%agent --rows reviews --as Rating -b agent -o rated --budget 0.10\nRate this review: {{text}}",
    "%%agent --as list[Ticket] -b agent -o tickets\nWhich tickets are in this mail? …",
]
FILES_PROMPT = "%%agent -b agent\nHow does churn in customers.parquet depend on tenure? Plot it like {fig}."
CSV = b"tenure,customers,churn\nfirst year,2186,0.47\nsecond,1024,0.28\nthird,832,0.21\nlater,3001,0.09\n"


def shoot(browser: Browser, theme: str, name: str) -> None:
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        Server(Path(folder), theme=theme) as server,
    ):
        page = browser.new_page(
            viewport={"width": 1150, "height": 1500}, color_scheme="dark" if "Dark" in theme else "light"
        )
        notebook = Notebook(page, server, CELLS)
        page.evaluate("jupyterapp.commands.execute('application:toggle-left-area')")

        def picture(index: int, what: str) -> None:
            # The blinking caret would be in one picture and not in the next.
            page.add_style_tag(
                content=".pnb * { animation: none !important; } .jp-cell-toolbar { display: none; }"
            )
            notebook.cell(index).screenshot(path=PICTURES / f"{what}-{name}.png")

        notebook.run(2)
        notebook.run(3)
        expect(notebook.view(3).locator("strong", has_text="contract_type")).to_be_visible()
        expect(notebook.view(3)).to_contain_text("74% cached")
        picture(3, "running")
        server.open_gate("research")
        expect(notebook.cell(3)).to_contain_text("● idle")
        picture(3, "done")
        notebook.run(4)
        expect(notebook.view(4)).to_contain_text("wants to run")
        expect(notebook.view(4).get_by_role("button", name="Allow once")).to_be_enabled()
        picture(4, "asking")
        server.open_gate("failing")
        notebook.run(5)
        expect(notebook.cell(5)).to_contain_text("● error")
        picture(5, "failed")
        notebook.run(6)
        expect(notebook.view(6)).to_contain_text("retrying")
        picture(6, "retrying")
        notebook.run(7)
        expect(notebook.cell(7)).to_contain_text("cost —")
        picture(7, "unpriced")
        notebook.run(8)
        expect(notebook.view(8).locator("td", has_text="0.41")).to_be_visible()
        picture(8, "formatted")
        server.open_gate("formatted")
        expect(notebook.cell(8)).to_contain_text("● idle")
        picture(8, "formatted-done")
        notebook.view(4).get_by_role("button", name="Stop").click()
        expect(notebook.cell(4)).to_contain_text("stopped by you")
        picture(4, "stopped")
        notebook.run(9)
        expect(notebook.cell(9).locator(".pnb")).to_have_count(5)
        expect(notebook.cell(9)).to_contain_text("unknown")
        picture(9, "widgets")
        notebook.run(10)
        field = notebook.view(10).get_by_role("textbox", name="Message")
        field.fill("And without the tenure?")
        field.press("Enter")
        expect(notebook.view(10).locator(".pnb-prompt")).to_have_count(2)
        expect(notebook.view(10).locator(".pnb-status")).to_have_text("idle")
        field.fill("Then plot the two of them")
        picture(10, "chat")
        notebook.run(11)
        expect(notebook.cell(11).locator(".pnb-alive tbody tr")).to_have_count(6)
        # The rows' places depend on how long each took.
        notebook.cell(11).get_by_label("Sort by").select_option("session")
        expect(notebook.cell(11).locator(".pnb-alive tbody tr").first).to_contain_text("build")
        picture(11, "sessions")
        page.close()


def shoot_rows(browser: Browser, theme: str, name: str) -> None:
    """A map over rows while it runs and when it is over, and a typed answer."""

    def answer(prompt: str) -> Any:
        if prompt.startswith("Which"):
            tickets = [
                ("late parcel", "shipping", 4),
                ("paid twice", "billing", 5),
                ("dark mode", "feature", 1),
            ]
            return {
                "value": [dict(zip(("title", "topic", "urgency"), each, strict=True)) for each in tickets]
            }
        return {"label": "bad" if len(prompt) % 3 else "good", "stars": 1 + len(prompt) % 5}

    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        RowServer(Manners(seconds=0.5, garbage=0.03), answer) as rows,
        Server(Path(folder), theme=theme) as server,
    ):
        page = browser.new_page(
            viewport={"width": 1150, "height": 1500}, color_scheme="dark" if "Dark" in theme else "light"
        )
        file = Path(__file__).parents[2] / "notebooks" / "reviews.csv"
        notebook = Notebook(page, server, [each.format(url=rows.url, file=file) for each in ROWS_CELLS])
        page.evaluate("jupyterapp.commands.execute('application:toggle-left-area')")

        def picture(index: int, what: str) -> None:
            page.add_style_tag(
                content=".pnb * { animation: none !important; } .jp-cell-toolbar { display: none; }"
            )
            notebook.cell(index).screenshot(path=PICTURES / f"{what}-{name}.png")

        notebook.run(2)
        notebook.run(3)
        expect(notebook.view(3)).to_contain_text("left")
        expect(notebook.view(3).locator("tr")).to_have_count(6)
        picture(3, "rows-running")
        expect(notebook.cell(3)).to_contain_text("● idle")
        picture(3, "rows-done")
        notebook.run(4)
        expect(notebook.cell(4)).to_contain_text("● idle")
        picture(4, "typed")
        page.close()


def shoot_files(browser: Browser, theme: str, name: str) -> None:
    """A hosted agent's cell whose prompt has a figure, and what the agent wrote."""
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        HostedServer() as hosted,
        Server(Path(folder), theme=theme) as server,
    ):
        bash = builtin_tool("bash", {"command": "python churn_by_month.py"}, result="ok")
        files = wrote("churn.png", chart()), wrote("churn.csv", CSV)
        hosted.script([bash, *files, text("Churn falls with tenure: **most leave in the first year**.")])
        page = browser.new_page(
            viewport={"width": 1150, "height": 1500}, color_scheme="dark" if "Dark" in theme else "light"
        )
        notebook = Notebook(page, server, [FILES_SETUP.format(url=hosted.url), FILES_PROMPT])
        page.evaluate("jupyterapp.commands.execute('application:toggle-left-area')")
        notebook.run(2)
        notebook.run(3)
        expect(notebook.cell(3)).to_contain_text("wrote churn.png")
        expect(notebook.cell(3).locator("img")).to_be_visible()
        page.add_style_tag(content=".jp-cell-toolbar { display: none; }")
        notebook.cell(3).screenshot(path=PICTURES / f"hosted-files-{name}.png")
        page.close()


def chart() -> bytes:
    figure, file = Figure(figsize=(5, 2.2)), io.BytesIO()
    figure.add_subplot().bar(["first year", "second", "third", "later"], [0.47, 0.28, 0.21, 0.09])
    figure.savefig(file, format="png", dpi=100)
    return file.getvalue()


def main() -> None:
    """Take all pictures."""
    expect.set_options(timeout=PATIENCE_MS)
    PICTURES.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = launch(playwright)
        for theme, name in [("JupyterLab Light", "light"), ("JupyterLab Dark", "dark")]:
            shoot(browser, theme, name)
            shoot_files(browser, theme, name)
            shoot_rows(browser, theme, name)
        browser.close()


if __name__ == "__main__":
    main()
