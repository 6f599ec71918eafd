"""No text costs a page more than its length. The whole table is `make security-table`."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Error, Page

from browser.busy import KINDS, STATES, Stopwatch
from browser.deadline import Deadline
from browser.lab import Server

pytestmark = pytest.mark.browser
SECONDS = 0.6
"""Of busy page, for 20,000 characters of any text, are too many; the goal is 0.2, and the table shows it."""
GROWTH = 2.3
"""For twice the text."""
NOISE_SECONDS = 0.2
"""By which the opening of one and the same notebook differs."""
TRIES = 3


def growth(stopwatch: Stopwatch, kind: str) -> dict[str, tuple[float, float]]:
    """For each state the best of some tries with 20,000 and with 40,000 characters."""
    once = {state: float("inf") for state in STATES}
    twice = dict(once)
    for _ in range(TRIES):
        for size, best in ((20_000, once), (40_000, twice)):
            for state, busy in stopwatch.measure(KINDS[kind](size)).items():
                best[state] = min(best[state], busy.total)
        if not excessive(once, twice):
            break
    return {state: (once[state], twice[state]) for state in STATES}


def excessive(once: dict[str, float], twice: dict[str, float]) -> dict[str, tuple[float, float]]:
    """The states that take too long, or grow too fast."""
    return {
        state: (once[state], twice[state])
        for state in STATES
        if once[state] > SECONDS or twice[state] > GROWTH * once[state] + NOISE_SECONDS
    }


def slow_states(page: Page, server: Server, deadline: Deadline, kinds: list[str]) -> dict[str, object]:
    """By kind, what is excessive; the kind that ended the page is the last one."""
    slow: dict[str, object] = {}
    stopwatch = Stopwatch(page, server, deadline, pieces=4)
    for kind in kinds:
        try:
            measured = growth(stopwatch, kind)
        except Error:
            slow[kind] = "frozen" if deadline.passed else "crashed"
            break
        once, twice = ({state: pair[n] for state, pair in measured.items()} for n in (0, 1))
        if bad := excessive(once, twice):
            slow[kind] = bad
    deadline.cancel()
    return slow


@pytest.mark.timeout(300)
def test_twice_the_text_takes_twice_the_time(browser: Browser, page: Page, lab: Server) -> None:
    assert slow_states(page, lab, Deadline(browser), ["formulas"]) == {}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", KINDS)
def test_twice_any_text_takes_twice_the_time(browser: Browser, page: Page, lab: Server, kind: str) -> None:
    assert slow_states(page, lab, Deadline(browser), [kind]) == {}
