"""When the requests of many turns may be sent, and what they are priced by."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from praison_nb.events import RequestStarted
from praison_nb.metering import prices
from praison_nb.metering.admission import bound
from praison_nb.runtime.pacer import Pacer


async def test_a_refusal_holds_all_until_a_later_request_is_answered() -> None:
    pacer, sent_at = Pacer(), time.monotonic()
    pacer.hold(60, sent_at)
    waiting = [asyncio.create_task(pacer.wait()) for _ in range(3)]
    pacer.answered(sent_at - 1)
    await asyncio.sleep(0)
    assert pacer.held_seconds > 50 and not any(each.done() for each in waiting)
    pacer.answered(sent_at + 1)
    await asyncio.gather(*waiting)
    assert not pacer.held_seconds


async def test_the_longest_of_several_refusals_counts() -> None:
    pacer, sent_at = Pacer(), time.monotonic()
    pacer.hold(0.2, sent_at)
    pacer.hold(0.01, sent_at)
    await pacer.wait()
    assert time.monotonic() - sent_at >= 0.2


async def test_a_server_that_refuses_again_is_asked_by_one_at_a_time_until_it_answers() -> None:
    pacer, passed = Pacer(), list[float]()

    async def ask() -> None:
        await pacer.wait()
        passed.append(time.monotonic())

    pacer.hold(0.01, time.monotonic())
    await asyncio.gather(*(ask() for _ in range(3)))
    assert len(passed) == 3, "the first time all may ask again"
    pacer.hold(0.01, passed[0])
    pacer.hold(0.01, passed[1])
    waiting = [asyncio.create_task(ask()) for _ in range(5)]
    for count in (4, 5):
        await asyncio.wait(waiting, return_when="FIRST_COMPLETED")
        waiting = [each for each in waiting if not each.done()]
        assert len(passed) == count
        pacer.hold(0.01, passed[-1])
    await asyncio.wait(waiting, return_when="FIRST_COMPLETED")
    pacer.answered(passed[-1])
    await asyncio.gather(*waiting)
    pacer.hold(0.01, time.monotonic())
    await asyncio.gather(*(ask() for _ in range(3)))
    assert len(passed) == 11 and not pacer.held_seconds


async def test_a_pause_that_an_answer_ended_makes_the_next_one_no_longer() -> None:
    pacer, sent_at = Pacer(), time.monotonic()
    pacer.hold(60, sent_at)
    pacer.answered(sent_at + 1)
    pacer.hold(0.01, sent_at)
    await asyncio.wait_for(pacer.wait(), 10)


async def test_a_refusal_holds_those_too_that_wait_for_a_place() -> None:
    pacer = Pacer(at_once=1)
    waited, sent_at = await pacer.wait(), time.monotonic()

    async def ask() -> float:
        async with pacer.place(waited):
            return pacer.held_seconds

    async with pacer.place(waited):
        waiting = asyncio.create_task(ask())
        await asyncio.sleep(0)
        pacer.hold(60, sent_at)
    await asyncio.wait({waiting}, timeout=0.01)
    assert not waiting.done()
    pacer.answered(sent_at + 1)
    assert await waiting == 0


@pytest.mark.parametrize("rates", [(6000, None), (None, 60_000), (6000, 600_000)])
async def test_requests_that_waited_for_something_else_are_not_sent_at_once(rates: Any) -> None:
    pacer, sent_at = Pacer(*rates, at_once=3), list[float]()

    async def send(waited: tuple[int, float]) -> None:
        async with pacer.place(waited):
            sent_at.append(time.monotonic())

    waited, began_at = [await pacer.wait(10) for _ in range(3)], time.monotonic()
    await asyncio.gather(*[send(each) for each in waited])
    # One that is late does not make those behind it later.
    assert all(at - began_at >= 0.0099 * count for count, at in enumerate(sent_at))


def test_requests_that_are_alike_are_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    look_up = prices._by_table
    monkeypatch.setattr(prices, "_by_table", lambda each: asked.append(each) or look_up(each))
    at = time.time() // prices.MINUTE * prices.MINUTE + 86_400
    events = [
        RequestStarted(
            input_tokens=12_345,
            max_input_tokens=23_456,
            model="gpt-4o-mini",
            provider="openai",
            time=at + each,
        )
        for each in range(50)
    ]
    found = {bound(each) for each in events}
    assert len(found) == 1 and None not in found and len(asked) == 4
