"""A real JupyterLab or Notebook 7, and a page of it in Chromium.

with Server(tmp_path) as server, sync_playwright() as playwright:
    page = Notebook(browser.new_page(), server, ["%load_ext praison_nb", "%%agent -b b\\nHi"])
    page.run(0)
"""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import nbformat
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Playwright

TESTS = Path(__file__).parents[1]
EXTENSION = TESTS.parent / "praison_nb" / "notebook" / "labextension"
TOKEN = "test"
PATIENCE_MS = 60_000
CHROMIUM = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
KERNELSPEC = {"name": "python3", "display_name": "Python 3", "language": "python"}
SETTINGS = {
    "@jupyterlab/apputils-extension/notification": {"checkForUpdates": False, "fetchNews": "false"},
    "@jupyterlab/docmanager-extension/plugin": {"autosave": False},
}

FORKED = "--AsyncMappingKernelManager.kernel_manager_class=browser.kernels.ForkingKernelManager"


def launch(playwright: Playwright) -> Browser:
    return playwright.chromium.launch(executable_path="/usr/bin/chromium", args=CHROMIUM)


def first_page(context: BrowserContext) -> Page:
    return context.pages[0] if context.pages else context.new_page()


class Server:
    """A Jupyter server in a process of its own, with nothing of the user's configuration. `path` are
    folders of packages that come before the installed ones: with them kernels are started, else forked.
    Without `extension` its pages have none of praison_nb's. `python` and `kernel_python` are
    the interpreters of other environments, of the server and of its kernels: these are started too."""

    def __init__(
        self,
        folder: Path,
        app: str = "jupyterlab",
        theme: str = "JupyterLab Light",
        path: tuple[str, ...] = (),
        settings: dict[str, dict[str, Any]] | None = None,
        options: tuple[str, ...] = (),
        extension: bool = True,
        python: Path | None = None,
        kernel_python: Path | None = None,
    ) -> None:
        self.folder, self.app, self._path, self._options = folder, app, path, options
        self._python, self._kernel_python = python or sys.executable, kernel_python or sys.executable
        self._is_forked = not (path or python or kernel_python)
        self.notebooks, self.gates = folder / "notebooks", folder / "gates"
        self.has_extension = extension
        self._settings = {**SETTINGS, "@jupyterlab/apputils-extension/themes": {"theme": theme}}
        self._settings |= settings or {}

    def __enter__(self) -> Self:
        for name in ("notebooks", "gates", "runtime", "config", "data", "home"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        for key, value in self._settings.items():
            self.configure(key, value)
        if self.has_extension:
            # Before an installed one, which may be older.
            extensions = self.folder / "jupyter" / "labextensions"
            extensions.mkdir(parents=True)
            (extensions / "praison-nb").symlink_to(EXTENSION)
        else:
            self._disable_extension()
        if not self._is_forked:
            kernel = self.folder / "jupyter" / "kernels" / KERNELSPEC["name"]
            kernel.mkdir(parents=True)
            argv = [str(self._kernel_python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
            (kernel / "kernel.json").write_text(json.dumps({**KERNELSPEC, "argv": argv}))
        environment = {
            **os.environ,
            "HOME": str(self.folder / "home"),
            "JUPYTER_RUNTIME_DIR": str(self.folder / "runtime"),
            "JUPYTER_CONFIG_DIR": str(self.folder / "config"),
            "JUPYTER_DATA_DIR": str(self.folder / "data"),
            "JUPYTER_PATH": str(self.folder / "jupyter"),
            "JUPYTERLAB_SETTINGS_DIR": str(self.folder / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(self.folder / "workspaces"),
            "PRAISON_NB_GATES": str(self.gates),
            "PRAISON_NB_LEDGER": str(self.folder / "ledger.sqlite"),
            "PYTHONPATH": os.pathsep.join([*self._path, str(TESTS), str(TESTS.parent)]),
        }
        options = [
            "--no-browser",
            "--allow-root",
            "--ServerApp.port=0",
            f"--IdentityProvider.token={TOKEN}",
            f"--ServerApp.root_dir={self.notebooks}",
            "--expose-app-in-browser",
            "--LabApp.extension_manager=readonly",
            *([FORKED] if self._is_forked else []),
            *self._options,
        ]
        log = (self.folder / "server.log").open("w")
        self._process = subprocess.Popen(
            [self._python, "-m", self.app, *options],
            cwd=self.folder,
            env=environment,
            stdout=log,
            stderr=log,
        )
        log.close()
        self._wait_until_it_answers()
        return self

    def __exit__(self, *exc: object) -> None:
        # Asked to end it would ask each of its kernels, and wait; they end when their parent has.
        self._process.kill()
        self._process.wait()

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            assert self._process.poll() is None, (self.folder / "server.log").read_text()
            for path in (self.folder / "runtime").glob("jpserver-*.json"):
                # It is written in several steps, and before the server listens.
                with suppress(ValueError, urllib.error.URLError):
                    self.url = str(json.loads(path.read_text())["url"])
                    self._request("GET", "api")
                    return
            time.sleep(0.05)
        raise AssertionError((self.folder / "server.log").read_text())

    def sessions(self) -> list[str]:
        """The ids of the notebooks' sessions, each with a kernel."""
        return [session["id"] for session in self._request("GET", "api/sessions")]

    def end_kernels(self, sessions: list[str] | None = None) -> None:
        """End these sessions, or all there are."""
        for session in self.sessions() if sessions is None else sessions:
            try:
                self._request("DELETE", f"api/sessions/{session}")
            except urllib.error.HTTPError as error:
                # A page that was closed may have ended it meanwhile.
                if error.code != 404:
                    raise

    def _request(self, method: str, path: str) -> Any:
        request = urllib.request.Request(f"{self.url}{path}?token={TOKEN}", method=method)
        with urllib.request.urlopen(request) as response:
            body = response.read()
        return json.loads(body) if body else None

    def configure(self, key: str, value: dict[str, Any]) -> None:
        """Settings of an extension, for pages that are loaded from now on."""
        package, _, name = key.rpartition("/")
        path = self.folder / "settings" / package / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value))

    def _disable_extension(self) -> Path:
        page_config = self.folder / "config" / "labconfig" / "page_config.json"
        page_config.parent.mkdir(exist_ok=True)
        page_config.write_text(json.dumps({"disabledExtensions": {"praison-nb": True}}))
        return page_config

    @contextmanager
    def without_extension(self) -> Iterator[None]:
        """Pages that are loaded meanwhile have none of praison_nb's."""
        page_config = self._disable_extension()
        try:
            yield
        finally:
            page_config.unlink()

    def open_gate(self, name: str) -> None:
        """Let the kernel's `hold(name)` go on."""
        (self.gates / name).touch()

    def close_gates(self) -> None:
        for gate in self.gates.iterdir():
            gate.unlink()

    def write(self, name: str, cells: list[str]) -> None:
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        notebook.metadata["kernelspec"] = KERNELSPEC
        nbformat.write(notebook, self.notebooks / name)

    def read(self, name: str) -> Any:
        return nbformat.read(self.notebooks / name, as_version=4)

    def address(self, name: str, app: str = "") -> str:
        """Where the notebook opens, in `app` if not in the one that was started; each serves both."""
        path = "lab/tree" if (app or self.app) == "jupyterlab" else "notebooks"
        # `reset`: no tabs of earlier tests.
        return f"{self.url}{path}/{name}?token={TOKEN}&reset"


class Notebook:
    """A notebook in a page: where that has the server's JupyterLab already, in place of all that is open."""

    def __init__(self, page: Page, server: Server, cells: list[str], app: str = "") -> None:
        self.page, self.server, self.name = page, server, f"{uuid.uuid4().hex[:8]}.ipynb"
        page.set_default_timeout(PATIENCE_MS)
        # Files of its own, and closed gates: earlier notebooks had sessions and gates of the same names.
        ledger = str(server.folder / "ledgers" / self.name / "ledger.sqlite")
        setup = f"import os\nos.environ['PRAISON_NB_LEDGER'] = {ledger!r}\nfrom browser.scenarios import *"
        server.write(self.name, [setup, "%load_ext praison_nb", *cells])
        server.close_gates()
        is_loaded = (app or server.app) == "jupyterlab" and page.url.startswith(f"{server.url}lab/")
        old = server.sessions()
        if is_loaded:
            self._show()
        else:
            page.goto(server.address(self.name, app))
        server.end_kernels(old)
        self._wait_until_ready()
        self._set_up()
        self.wait_idle(1)

    def _set_up(self) -> None:
        self.run(0)
        self.run(1)
        self._is_set_up = True

    def is_open(self) -> bool:
        """Whether it is what the page shows."""
        path = "window.jupyterapp?.shell.currentWidget?.context?.path"
        return bool(self.page.evaluate(f"name => {path} === name", self.name))

    def refill(self, cells: list[str]) -> None:
        """Other cells from the third one on, once the kernel has nothing to do."""
        self._wait_for("jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'")
        self.server.close_gates()
        self.page.evaluate(
            "cells => { const model = jupyterapp.shell.currentWidget.model.sharedModel; "
            "model.deleteCellRange(2, model.cells.length); model.insertCells(2, cells.map("
            "source => ({ cell_type: 'code', source, metadata: { trusted: true } }))); }",
            cells,
        )
        if not self._is_set_up:
            self._set_up()

    def in_page(self, page: Page, app: str = "") -> Self:
        """The same notebook in another page too, which may have to wait for a busy kernel."""
        other = copy.copy(self)
        other.page = page
        page.set_default_timeout(PATIENCE_MS)
        page.goto(self.server.address(self.name, app))
        return other

    def open(self, app: str = "") -> None:
        """Load the page anew."""
        self.page.goto(self.server.address(self.name, app))
        self._wait_until_ready()

    def reopen(self, keep_kernel: bool = False) -> None:
        """Open what was saved in a page that has forgotten its widgets, and with a new kernel."""
        if not keep_kernel:
            self.do("kernelmenu:shutdown")
            self._is_set_up = False
        self._show()
        self._wait_until_ready()

    def _show(self) -> None:
        """Open the file in the JupyterLab that is in the page, in place of all that is open."""
        self.page.evaluate(
            "path => { [...jupyterapp.shell.widgets('main')].forEach(widget => widget.dispose()); "
            "jupyterapp.commands.execute('docmanager:open', {path}); }",
            self.name,
        )

    def _wait_until_ready(self) -> None:
        self._wait_for(
            "() => { const s = window.jupyterapp?.shell.currentWidget?.sessionContext; "
            "return s && s.isReady && ['idle', 'busy'].includes(s.session?.kernel?.status); }"
        )

    def _wait_for(self, condition: str, arg: Any = None) -> None:
        """Until it is true. By default it would be asked at every frame, and each frame be drawn for it."""
        self.page.wait_for_function(condition, arg=arg, polling=50)

    def run(self, index: int) -> None:
        """Execute a cell and return at once."""
        self.page.evaluate(
            "i => { const w = jupyterapp.shell.currentWidget; w.content.activeCellIndex = i; "
            "jupyterapp.commands.execute('notebook:run-cell'); }",
            index,
        )

    def wait_idle(self, index: int) -> None:
        """Until the cell has run."""
        self._wait_for(
            "i => jupyterapp.shell.currentWidget.content.widgets[i].model.executionCount !== null && "
            "jupyterapp.shell.currentWidget.content.widgets[i].model.executionState !== 'running'",
            index,
        )

    def do(self, command: str) -> None:
        """Run one of the page's commands, as a menu does."""
        self.page.evaluate("c => jupyterapp.commands.execute(c)", command)

    def restart(self) -> None:
        """Begin a new kernel in place of the old one; the outputs stay."""
        self.page.evaluate("jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
        self._wait_for("jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'")

    def ended(self, index: int) -> bool:
        return bool(
            self.page.evaluate(
                "i => jupyterapp.shell.currentWidget.content.widgets[i].model.executionCount !== null", index
            )
        )

    def save(self) -> Any:
        """Save as a user does, and return the notebook that is on the disk then."""
        self.page.evaluate("jupyterapp.commands.execute('docmanager:save')")
        self._wait_for("!jupyterapp.shell.currentWidget.context.model.dirty")
        return self.server.read(self.name)

    def outputs(self, index: int) -> Any:
        """The cell's outputs as the page's document has them."""
        return self.page.evaluate(
            "i => jupyterapp.shell.currentWidget.content.widgets[i].model.outputs.toJSON()", index
        )

    def cell(self, index: int) -> Locator:
        return self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Cell").nth(index)

    def view(self, index: int) -> Locator:
        return self.cell(index).locator(".pnb")
