"""nbconvert's pages of a notebook, served over loopback with what they load: MathJax, Mermaid and the like.

with Pages() as pages:
    page.goto(pages.publish("lab", notebook))
"""

from __future__ import annotations

import os
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any, Self

from aiohttp import web
from nbconvert import HTMLExporter, SlidesExporter

from servers.base import LoopbackServer

PACKAGES = {
    "mathjax": "2.7.7",
    "mermaid": "11.10.0",
    "@mermaid-js/layout-elk": "0.1.9",
    "requirejs": "2.1.10",
    "jquery": "2.1.4",
    "reveal.js": "4.0.2",
}
"""The versions that nbconvert's pages name, but jQuery's, which is the next one that npm has."""
TEMPLATES = ("lab", "classic", "basic", "slides")


def packages() -> Path:
    """The folder with the packages, each in a folder of its name; fetched on first use."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "praison_nb-tests" / "npm"
    cache.mkdir(parents=True, exist_ok=True)
    for name, version in PACKAGES.items():
        folder = cache / f"{name.replace('/', '-')}-{version}"
        if folder.exists():
            continue
        with tempfile.TemporaryDirectory(dir=cache) as made:
            command = ["npm", "pack", "--loglevel", "error", f"{name}@{version}"]
            subprocess.run(command, cwd=made, check=True, capture_output=True, timeout=150)
            (archive,) = Path(made).glob("*.tgz")
            with tarfile.open(archive) as file:
                file.extractall(made, filter="data")
            # At once: two runs may fetch at the same time.
            try:
                (Path(made) / "package").rename(folder)
            except OSError:
                assert folder.exists()
    return cache


class Pages(LoopbackServer):
    """Serves the pages and the packages."""

    def __enter__(self) -> Self:
        self._packages = packages()
        self._pages: dict[str, str] = {}
        return super().__enter__()

    def routes(self, router: web.UrlDispatcher) -> None:
        router.add_static("/npm", self._packages)
        router.add_get("/page/{name}", self._page)

    async def _page(self, request: web.Request) -> web.Response:
        return web.Response(text=self._pages[request.match_info["name"]], content_type="text/html")

    def publish(self, template: str, notebook: Any) -> str:
        """The address of nbconvert's page of the notebook in one of TEMPLATES."""
        if template == "slides":
            exporter = SlidesExporter(reveal_url_prefix=self._package("reveal.js", ""))
        else:
            exporter = HTMLExporter(template_name=template)
        exporter.mathjax_url = self._package("mathjax", "MathJax.js?config=TeX-AMS_CHTML-full,Safe")
        exporter.mermaid_js_url = self._package("mermaid", "dist/mermaid.esm.min.mjs")
        exporter.mermaid_layout_elk_js_url = self._package(
            "@mermaid-js/layout-elk", "dist/mermaid-layout-elk.esm.min.mjs"
        )
        exporter.require_js_url = self._package("requirejs", "require.js")
        exporter.jquery_url = self._package("jquery", "dist/jquery.min.js")
        body, _ = exporter.from_notebook_node(notebook)
        if template == "slides":
            # All of the slide's text once more, for screen readers, in a box one pixel wide: with each
            # formula it would be broken into lines of one letter anew.
            body = body.replace("</head>", "<style>.aria-status { display: none }</style></head>", 1)
        if template == "basic":
            # It makes a part of a page only.
            body = f'<!DOCTYPE html><meta charset="utf-8"><body>{body}</body>'
        self._pages[template] = body
        return f"{self.url}/page/{template}"

    def _package(self, name: str, path: str) -> str:
        return f"{self.url}/npm/{name.replace('/', '-')}-{PACKAGES[name]}/{path}".rstrip("/")


class Listener(LoopbackServer):
    """Counts who comes by: nobody may."""

    def routes(self, router: web.UrlDispatcher) -> None:
        router.add_route("*", "/{path:.*}", self.visit)

    async def visit(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text="")
