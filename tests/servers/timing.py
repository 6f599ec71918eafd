"""How the time for a text grows with its length."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

TRIES = 6
LEAST_SECONDS = 0.0005
"""What takes less has no growth to be measured."""


def grows_linearly(work: Callable[[str], object], text: Callable[[int], str], size: int, times: int) -> bool:
    """Whether `times` as many characters as `size` take less than `times` to the power of 1.5 as long, by the
    processor's time of this thread. A square would be the power of 2. The best of some tries counts: a busy
    machine is slower for a while. No garbage is collected meanwhile: with all that the tests before have left
    that would take longer than the work itself."""

    def seconds(text: str) -> float:
        begun = time.thread_time()
        work(text)
        return time.thread_time() - begun

    short, long = text(size), text(size * times)
    gc.disable()
    try:
        for _ in range(TRIES):
            first = min(seconds(short), seconds(short))
            if seconds(long) <= times**1.5 * max(first, LEAST_SECONDS):
                return True
        return False
    finally:
        gc.enable()
