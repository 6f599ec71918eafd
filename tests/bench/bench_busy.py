"""How busy texts of all kinds keep the page of a JupyterLab, as a Markdown table.

python tests/bench/bench_busy.py [KIND ...]
"""

from __future__ import annotations

import datetime
import platform
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import psutil
from playwright.sync_api import Browser, Error, sync_playwright

from browser.busy import KINDS, STATES, Stopwatch
from browser.deadline import Deadline
from browser.lab import Server, launch
from browser.places import OPTIONS, SETTINGS

SIZES = (10_000, 20_000, 40_000, 200_000)
STATES_SHOWN = ", ".join(STATES)


def machine() -> str:
    """The processor's name, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{psutil.cpu_count()} × {names[0] if names else platform.processor() or platform.machine()}"


def row(browser: Browser, server: Server, deadline: Deadline, kind: str) -> str:
    """The kind's row. What froze or crashed ends its page, and longer texts of the kind are not tried."""
    cells = [kind]
    page = browser.new_page()
    try:
        stopwatch = Stopwatch(page, server, deadline)
        for size in SIZES:
            busy = stopwatch.measure(KINDS[kind](size))
            cells.append(" · ".join(f"{busy[s].total:.2f} ({busy[s].longest:.2f})" for s in STATES))
    except Error as error:
        if "crashed" not in str(error):
            raise
        cells.append("frozen" if deadline.passed else "crashed")
    finally:
        deadline.cancel()
        page.close()
    return f"| {' | '.join([*cells, *[''] * (1 + len(SIZES) - len(cells))])} |"


def main() -> None:
    """Print the table."""
    kinds = sys.argv[1:] or list(KINDS)
    with (
        tempfile.TemporaryDirectory() as folder,
        Server(Path(folder), settings=SETTINGS, options=OPTIONS) as server,
        sync_playwright() as playwright,
    ):
        browser = launch(playwright)
        deadline = Deadline(browser)
        print(f"Seconds of the page's main thread, {STATES_SHOWN}: in all (longest task).")
        print(f"{datetime.date.today()}, {machine()}, Chromium {browser.version}.\n")
        print(f"| text | {' | '.join(f'{size // 1000} kB' for size in SIZES)} |")
        print(f"|---|{'---|' * len(SIZES)}")
        for kind in kinds:
            print(row(browser, server, deadline, kind), flush=True)
        browser.close()


if __name__ == "__main__":
    main()
