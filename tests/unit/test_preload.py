"""The thread that imports what the first turn of a kernel needs."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from praison_nb.backends import catalog
from praison_nb.notebook.preload import NAME, preload

MODULE = "an_sdk_that_is_slow"
SOURCE = """
import threading
began, go_on = (next(t for t in threading.enumerate() if t.name == {name!r}).events)
began.set()
assert go_on.wait(60)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_fork_waits_for_the_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / f"{MODULE}.py").write_text(SOURCE.format(name=NAME))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(catalog, "likely_sdk", lambda backend, model: MODULE)
    began, go_on = threading.Event(), threading.Event()
    monkeypatch.setattr(threading.Thread, "events", (began, go_on), raising=False)
    preload("local", "")
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
