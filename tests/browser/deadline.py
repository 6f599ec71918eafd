"""The processor's time that a browser's pages may take."""

from __future__ import annotations

import threading
from contextlib import suppress

import psutil
from playwright.sync_api import Browser

FROZEN_SECONDS = 60.0
"""Of the processor's time. A page that has not shown all its texts at a place after so many is frozen by one
of them; on a busy machine that takes longer."""


class Deadline:
    """Ends the pages' processes when a place takes them too long: a frozen page answers nobody, not even to
    time-outs."""

    def __init__(self, browser: Browser) -> None:
        session = browser.new_browser_cdp_session()
        processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
        session.detach()
        self._browser = psutil.Process(next(each["id"] for each in processes if each["type"] == "browser"))
        self._over = threading.Event()
        self.passed = False

    def set(self) -> None:
        """Begin to count."""
        self.cancel()
        self.passed = False
        self._over = threading.Event()
        threading.Thread(target=self._look, args=(self._over, self.seconds()), daemon=True).start()

    def cancel(self) -> None:
        self._over.set()

    def _look(self, over: threading.Event, begun: dict[int, float]) -> None:
        while not over.wait(2):
            # A page that has been closed takes nothing off what the others took.
            if sum(now - begun.get(pid, 0.0) for pid, now in self.seconds().items()) > FROZEN_SECONDS:
                self.passed = True
                for process in self._renderers():
                    process.kill()
                return

    def _renderers(self) -> list[psutil.Process]:
        found = []
        with suppress(psutil.NoSuchProcess):
            for child in self._browser.children(recursive=True):
                # Of a page that was just closed there is nothing to read; the others are there.
                with suppress(psutil.NoSuchProcess):
                    if "--type=renderer" in child.cmdline():
                        found.append(child)
        return found

    def seconds(self) -> dict[int, float]:
        """The processor's time of each page's process."""
        seconds = {}
        for process in self._renderers():
            with suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                seconds[process.pid] = times.user + times.system
        return seconds
