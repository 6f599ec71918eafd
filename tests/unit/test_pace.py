"""When a view speaks."""

from __future__ import annotations

import asyncio

from praison_nb.notebook.views.pace import Pace
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
