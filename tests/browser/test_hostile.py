"""Texts that a model or a tool might write to do harm: shown, never run, live and still."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from aiohttp import web
from playwright.sync_api import Page, expect

from browser.lab import PATIENCE_MS, Notebook, Server
from servers.base import LoopbackServer

pytestmark = pytest.mark.browser
expect.set_options(timeout=PATIENCE_MS)


class Listener(LoopbackServer):
    """Counts who comes by: nobody may."""

    def routes(self, router: web.UrlDispatcher) -> None:
        router.add_route("*", "/{path:.*}", self.visit)

    async def visit(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text="")


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener() as running:
        yield running


def corpus(url: str) -> dict[str, str]:
    """Each tries to set window.ran, or to load something from `url`."""
    run = "window.ran=1"
    return {
        "script": f"<script>{run}</script>",
        "script in text": f"a <script>{run}</script> b",
        "image": f"<img src=x onerror={run}>",
        "remote image": f"<img src={url}html.png>",
        "split image": f"<img\nsrc={url}split.png>",
        "svg": f"<svg onload={run}></svg>",
        "iframe": f'<iframe srcdoc="<script>parent.{run}</script>"></iframe><iframe src="{url}f">',
        "details": f"<details open ontoggle={run}>x</details>",
        "media": f'<video poster="{url}poster.png"></video><audio src="{url}a.mp3" autoplay></audio>',
        "style": f'<style>@import "{url}css";</style><b style="background:url({url}bg.png)">x</b>',
        "link": f"[click](javascript:{run}) [b](JaVaScript:{run}) [c](data:text/html,<script>{run}</script>)",
        "autolink": f"<javascript:{run}>",
        "picture": f"![secret]({url}markdown.png)",
        "bang": f"wow!![secret]({url}bang.png) \\![secret]({url}escaped.png) \\\\![secret]({url}twice.png)",
        "reference": f"![secret][there]\n\n[there]: {url}reference.png",
        "picture in a link": f"[![secret]({url}inner.png)](https://example.org)",
        "picture after a list's fence": f"- a\n  ```\n![secret]({url}fence.png)\n",
        "picture in a table": f"| a | b |\n|---|---|\n| ` | ![secret]({url}cell.png) ` |",
        "picture behind a formula": f"$`$ \n![secret]({url}math.png)`",
        "picture behind code over two lines": f"a `\nb` ![secret]({url}code.png) `c`",
        "picture behind an address": f"<https://a/`> ![secret]({url}address.png) `d`",
        "picture in a quote": f"> ```\n![secret]({url}quote.png)",
        "template": "{{constructor.constructor('" + run + "')()}} ${" + run + "} <%= " + run + " %>",
        "mermaid": f"```mermaid\ngraph TD; A[<img src={url}mermaid.png onerror={run}>]-->B\n```",
        "formula": f"$\\href{{javascript:{run}}}{{x}}$ $$\\unicode{{<img src=x onerror={run}>}}$$",
        "unclosed": "```python\n**_`[(<!--",
        "comment": f"<!-- --><img src=x onerror={run}> --!>",
        "entities": f"&lt;img src=x onerror={run}&gt; &#60;img src=x onerror={run}&#62;",
        "control": "a\x00b\x07c\x1b[31mred\x1b[0m\x1b]8;;http://e.example\x07\x9b2J",
        "bidi": "safe \u202egnp.exe\u202c \u2066x\u2069 \u200f",
        "deep": "> " * 3000 + "deep " + "- " * 3000 + "*" * 5000 + "[" * 5000,
        "line": "x" * 150_000,
        "rows": "|a" * 3000 + "|\n" + "|-" * 3000 + "|\n",
    }


def quiet(page: Page, listener: Listener) -> None:
    assert page.evaluate("window.ran") is None
    visits = [request.path for request in listener.requests]
    assert visits == []


@pytest.mark.parametrize("place", ["answer", "tool"])
def test_nothing_of_it_runs_or_loads(lab: Server, page: Page, listener: Listener, place: str) -> None:
    texts = corpus(listener.url + "/")
    page.on("dialog", lambda dialog: pytest.fail(f"a dialog: {dialog.message}"))
    if place == "answer":
        steps = "[e for i, t in enumerate(texts) for e in [TextDelta(text=t, message_id=str(i))]]"
    else:
        steps = "[e for i, t in enumerate(texts) for e in tool(str(i), t[:300], t, t)]"
    setup = f"texts = {list(texts.values())!r}\nb = scripted(*{steps}, hold('hostile-{place}'))"
    notebook = Notebook(
        page, lab, [setup, "%%agent -b b -s <b>x -o turn\nGo", "print(turn.text == '' or len(turn.text))"]
    )
    notebook.run(2)
    notebook.run(3)
    view = notebook.view(3)
    expect(view.locator(".pnb-text, details")).to_have_count(len(texts))
    if place == "tool":
        for details in view.locator("details").all():
            details.evaluate("d => { d.open = true; }")
    expect(view.locator("img, script, iframe, video, audio, svg, style")).to_have_count(0)
    for link in view.locator("a").all():
        assert (link.get_attribute("href") or "").startswith(("http", "mailto:"))
    shown = view.inner_text()
    assert "<script>window.ran=1</script>" in shown and "window.ran" in shown
    assert not any(bad in shown for bad in "\x00\x07\x1b\x9b\u202e\u2066\u200f")
    quiet(page, listener)
    # The page still answers.
    view.get_by_role("button", name="Stop").click()
    still = notebook.cell(3).locator(".jp-OutputArea")
    expect(still).to_contain_text("stopped by you")
    for details in still.locator("details").all():
        details.evaluate("d => { d.open = true; }")
    quiet(page, listener)
    images = still.locator("img").evaluate_all("all => all.map(i => i.src)")
    assert [src for src in images if not src.startswith(("data:", "blob:"))] == []
    notebook.run(4)
    notebook.wait_idle(4)

    notebook.save()
    page.goto("about:blank")
    page.goto(lab.address(notebook.name))
    again = page.locator(".jp-Notebook .jp-Cell").nth(3).locator(".jp-OutputArea")
    expect(again).to_contain_text("stopped by you")
    quiet(page, listener)


def test_ten_megabytes_do_not_break_the_page(lab: Server, page: Page) -> None:
    setup = (
        "b = scripted(*[after(0.01, TextDelta(text='word ' * 10_000, message_id='m')) for _ in range(200)], "
        "hold('big'))"
    )
    notebook = Notebook(page, lab, [setup, "%%agent -b b -s big -o big\nGo", "len(big.text)"])
    notebook.run(2)
    notebook.run(3)
    view = notebook.view(3)
    expect(view).to_contain_text("9,800,000 more characters are in the Turn's text.")
    view.get_by_role("button", name="Stop").click()
    still = notebook.cell(3).locator(".jp-OutputArea")
    expect(still).to_contain_text("9,800,000 more characters are in the Turn's text.")
    notebook.run(4)
    expect(notebook.cell(4)).to_contain_text("10000000")
