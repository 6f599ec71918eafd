"""The table of sessions in a real kernel: which thread changes it, and when it ends."""

from __future__ import annotations

import pytest

from servers.kernel import Kernel

SETUP = """
import asyncio, threading, praison_nb
from praison_nb import store
from praison_nb.runtime import loop
from praison_nb.metering import writer

def looked():
    "Have the table look by itself, and wait until it has."
    loop.get().call_soon_threadsafe(table._start_update)
    asyncio.run_coroutine_threadsafe(ended(), loop.get()).result()

async def ended():
    await asyncio.gather(*loop.spawned)

table = praison_nb.sessions()
"""


@pytest.fixture
def kernel(shared: Kernel) -> Kernel:
    assert shared.run("%reload_ext praison_nb").ok
    cell = shared.run(SETUP)
    assert cell.ok, cell.error
    return shared


def test_one_thread_changes_what_it_shows(kernel: Kernel) -> None:
    kernel.run(
        "threads, show = [], table.table.show\n"
        "here = lambda *_: threads.append(threading.current_thread().name)\n"
        "table.message.observe(here, 'value')\ntable.table.show = lambda *state: (here(), show(*state))"
    )
    kernel.run("%%agent -s one\nHi")
    kernel.run("looked(); table.refresh.click(); table.filter.value = 'nothing has this name'")
    kernel.run("table.filter.value = ''; table.chosen.value = None; table.open_chat.click()")
    told = kernel.run("print(set(threads), len(threads) > 3, table.message.value)").text
    assert told.startswith("{'praison_nb'} True Choose a session first.")


def test_a_session_that_begins_later_is_there(kernel: Kernel) -> None:
    kernel.run("%%agent -s begun-later\nHi")
    waiting = "import time\nwhile 'begun-later' not in str(table.table.rows):\n    time.sleep(0.02)"
    assert kernel.run(waiting).ok


def test_it_looks_no_more_once_it_is_closed(kernel: Kernel) -> None:
    kernel.run("%%agent -s late\nHi")
    closing = (
        "backend = table._conversations.find('late').backend\nbefore = len(backend._observers)\n"
        # It cannot read while somebody has the ledger.
        "with writer.current().lock:\n    loop.get().call_soon_threadsafe(table._start_update)\n"
        "    table.close()\n"
        "asyncio.run_coroutine_threadsafe(ended(), loop.get()).result()\n"
        "print('more:', max(0, len(backend._observers) - before))"
    )
    assert "more: 0" in kernel.run(closing).text
    assert kernel.run("shown = table.table.rows\ntable.close()").ok
    kernel.run("%%agent -s after\nHi")
    assert kernel.run("looked(); print('same:', table.table.rows == shown)").text.strip() == "same: True"


def test_it_ends_what_it_followed(kernel: Kernel) -> None:
    kernel.run("%%agent -s followed\nHi")
    kernel.run("looked()\nbackend = table._conversations.find('followed').backend")
    followed = kernel.run(
        "print(len(backend._observers)); table.close(); looked(); print(len(backend._observers))"
    )
    before, after = map(int, followed.text.split())
    assert after == before - 1


def test_what_goes_wrong_is_said(kernel: Kernel) -> None:
    kernel.run("%%agent -s odd\nHi")
    kernel.run("store.current().flush()")
    kernel.run("store.current().change(lambda db: db.execute('UPDATE sessions SET last_used = 1e13'))")
    cell = kernel.run("looked(); print(table.message.value)")
    assert "Error: " in cell.text, cell.text
    kernel.run("store.current().change(lambda db: db.execute('UPDATE sessions SET last_used = 1'))")
