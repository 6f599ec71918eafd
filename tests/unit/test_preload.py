"""The thread that imports what the first turn of a kernel needs."""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from praison_nb.backends import catalog
from praison_nb.backends.local import client
from praison_nb.backends.local.providers import Server
from praison_nb.notebook.preload import NAME, preload

MODULE = "an_sdk_that_is_slow"
SOURCE = """
import threading
began, go_on = (next(t for t in threading.enumerate() if t.name == {name!r}).events)
began.set()
assert go_on.wait(60)
is_whole = True
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_fork_waits_for_the_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / f"{MODULE}.py").write_text(SOURCE.format(name=NAME))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(catalog, "likely_modules", lambda backend, model: [MODULE])
    began, go_on = threading.Event(), threading.Event()
    monkeypatch.setattr(threading.Thread, "events", (began, go_on), raising=False)
    preload("local", "", threading.Event())
    assert began.wait(60)
    # While the fork waits.
    timer = threading.Timer(0.3, go_on.set)
    timer.start()
    child = os.fork()
    if not child:
        signal.alarm(20)
        importlib.import_module(MODULE)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    timer.join()
    sys.modules.pop(MODULE, None)
    assert status == 0


def test_once_a_turn_has_begun_nothing_more_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"{MODULE}.py").write_text(SOURCE.format(name=NAME))
    (tmp_path / "needed_later.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(catalog, "likely_modules", lambda backend, model: [MODULE, "needed_later"])
    began, go_on, is_over = (threading.Event() for _ in range(3))
    monkeypatch.setattr(threading.Thread, "events", (began, go_on), raising=False)
    preload("local", "", is_over)
    thread = next(each for each in threading.enumerate() if each.name == NAME)
    assert began.wait(60)
    is_over.set()
    go_on.set()
    thread.join(60)
    assert sys.modules.pop(MODULE, None)
    assert "needed_later" not in sys.modules


async def test_the_loop_is_free_while_another_thread_imports_the_sdk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"{MODULE}.py").write_text(SOURCE.format(name=NAME))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(catalog, "likely_modules", lambda backend, model: [MODULE])
    monkeypatch.setattr(client, "_sdk", lambda server: MODULE)
    monkeypatch.setattr(client, "_loaded", set())
    began, go_on = threading.Event(), threading.Event()
    monkeypatch.setattr(threading.Thread, "events", (began, go_on), raising=False)
    preload("local", "", threading.Event())
    assert began.wait(60)

    async def load() -> bool:
        await client.load(Server("S", "http://127.0.0.1:1/v1", "m"))
        return hasattr(sys.modules[MODULE], "is_whole")

    loading = asyncio.create_task(load())
    await asyncio.sleep(0)
    go_on.set()
    assert await loading
    sys.modules.pop(MODULE, None)
