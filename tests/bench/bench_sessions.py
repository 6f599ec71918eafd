"""`%agent sessions` and `sessions()` with 10,000 sessions: milliseconds of CPU, and bytes of what is shown.

python tests/bench/bench_sessions.py
"""

from __future__ import annotations

import json
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from typing import Any

COUNT, ROUNDS = 10_000, 7


def fill(connection: sqlite3.Connection) -> None:
    from praison_nb.store import StoredSession, upsert_session

    for number in range(COUNT):
        session = StoredSession(id=f"local-{number}", name=f"name-{number}", notebook="/a/b.ipynb")
        upsert_session(session)(connection)


def main() -> None:
    from IPython.core.interactiveshell import InteractiveShell

    from praison_nb import store
    from praison_nb.notebook import load
    from praison_nb.notebook.commands.table import run_command

    store.current().change(fill)
    shell, shown, times = InteractiveShell(), list[dict[str, Any]](), list[float]()
    shell.display_pub.publish = shown.append
    extension = load(shell)
    for _ in range(ROUNDS):
        start = time.process_time()
        run_command(extension, "sessions")
        times.append((time.process_time() - start) * 1000)
    size = sum(len(text.encode()) for text in shown[-1].values())
    sys.stdout.write(f"%agent sessions, {COUNT:,}: {statistics.median(times):.0f} ms, {size:,} bytes\n")
    from praison_nb.notebook.widgets.sessions.widget import SessionBrowser

    times.clear()
    for _ in range(ROUNDS):
        start = time.process_time()
        browser = SessionBrowser(extension)
        times.append((time.process_time() - start) * 1000)
    size = len(json.dumps(browser.table.get_state(), default=str).encode())
    sys.stdout.write(f"sessions(), {COUNT:,}: {statistics.median(times):.0f} ms, {size:,} bytes of table\n")
    store.current().close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PRAISON_NB_LEDGER"] = f"{folder}/ledger.sqlite"
        main()
