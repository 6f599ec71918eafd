"""When a view speaks."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from praison_nb.notebook.views import pace
from praison_nb.notebook.views.pace import PER_KERNEL, PER_VIEW, Pace
from praison_nb.runtime import loop


def test_what_is_urgent_is_shown_once_and_waits_only_for_what_comes_with_it() -> None:
    async def ask() -> list[int]:
        asked, shown = list[int](), list[int]()
        pace = Pace(lambda: shown.append(len(asked)))
        for number in range(3):
            asked.append(number)
            pace.ask(urgent=True)
        # No time passes: the loop only looks at what is due.
        for _ in range(3):
            await asyncio.sleep(0)
        return shown

    assert loop.run_sync(ask) == [3]


class Clock:
    """A loop whose time passes when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[tuple[asyncio.TimerHandle, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, (), asyncio.get_running_loop())
        self.timers.append((timer, callback))
        return timer

    def run(self) -> None:
        """What is due."""
        while due := [each for each in self.timers if each[0].cancelled() or each[0].when() <= self.now]:
            for each in due:
                self.timers.remove(each)
                if not each[0].cancelled():
                    each[1]()


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(pace, "loop", SimpleNamespace(get=lambda: clock))
    monkeypatch.setattr(pace, "_sent_by_all", deque(maxlen=PER_KERNEL))
    return clock


@pytest.mark.parametrize(("views", "most"), [(1, PER_VIEW), (PER_KERNEL, PER_KERNEL)])
async def test_what_is_urgent_is_shown_so_often_in_a_second_and_the_last_of_it_always(
    clock: Clock, views: int, most: int
) -> None:
    shown: list[float] = []
    paces = [Pace(lambda: shown.append(clock.now)) for _ in range(views)]
    for _ in range(300):
        for each in paces:
            each.ask(urgent=True)
        clock.run()
        clock.now += 0.01
    for at in shown:
        assert sum(at <= other < at + 0.995 for other in shown) <= most
    count, last = len(shown), clock.now
    assert count >= 2 * most
    while clock.timers:
        clock.now += 0.01
        clock.run()
    assert len(shown) > count and last < shown[-1] <= last + 2
