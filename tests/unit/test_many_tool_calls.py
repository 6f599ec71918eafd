"""A turn with hundreds of tool calls: what one more of them costs, in counts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from praison_nb.events import Event, TextDelta, TextFinal, ToolFinished, ToolStarted, TurnFinished
from praison_nb.fold import fold
from praison_nb.notebook.views.shown import MOST_CALLS, ShownTurn
from praison_nb.render import items
from praison_nb.render.items import TurnItems
from praison_nb.text import DISPLAY_CHARACTERS
from praison_nb.turn import Turn

CALLS = (20, 200)


class CountedId(str):
    """An id that counts how often it is compared."""

    compared = 0

    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        CountedId.compared += 1
        return str.__eq__(self, other)


def call(number: int) -> Iterator[Event]:
    yield TextDelta(text="I look ", message_id=CountedId(f"m{number}"))
    yield ToolStarted(call_id=CountedId(f"c{number}"), name="read")
    yield TextFinal(text="I look it up. ", message_id=CountedId(f"m{number}"))
    yield ToolFinished(call_id=CountedId(f"c{number}"), result="r" * 100)


def turn_with(calls: int) -> Turn:
    turn = Turn()
    for number in range(calls):
        for event in call(number):
            turn = fold(turn, event)
    return turn


def test_what_changes_is_found_at_once() -> None:
    compared = []
    for calls in CALLS:
        turn = turn_with(calls)
        more = call(calls)
        for event in (next(more), next(more)):
            turn = fold(turn, event)
        CountedId.compared = 0
        for event in more:
            turn = fold(turn, event)
        compared.append(CountedId.compared)
        assert len(turn.items) == 2 * calls + 2 and turn.tools[-1].result == "r" * 100
    assert compared[0] == compared[1] <= 4


def test_an_item_is_made_when_it_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    tool_item, text_item = items.tool_item, items._text_item
    monkeypatch.setattr(items, "tool_item", lambda each: made.append(each.id) or tool_item(each))
    monkeypatch.setattr(items, "_text_item", lambda key, *rest: made.append(key) or text_item(key, *rest))
    turn, view = Turn(), TurnItems()
    for number in range(CALLS[1]):
        for event in call(number):
            turn = fold(turn, event)
            shown = view.answer(turn)
    assert len(made) == 4 * CALLS[1]
    assert shown == TurnItems().answer(turn)


def test_a_text_is_made_again_when_one_before_it_leaves_less_room() -> None:
    turn, view = Turn(), TurnItems()
    for key, text in [("a", "a " * 100), ("b", "b " * (DISPLAY_CHARACTERS // 2 - 200)), ("a", "a " * 200)]:
        turn = fold(turn, TextDelta(text=text, message_id=key))
        shown = view.answer(turn)
    assert [each.get("more", 0) for each in shown] == [0, len(turn.text) - len("\n\n") - DISPLAY_CHARACTERS]
    assert shown == TurnItems().answer(turn)


def test_while_a_turn_runs_its_last_calls_are_shown() -> None:
    sizes = []
    for calls in CALLS:
        running = ShownTurn(turn_with(calls), TurnItems()).below(background=False)
        assert running["text/html"].count("<details>") == running["text/plain"].count("▸") == MOST_CALLS
        assert all(f"{calls - MOST_CALLS} earlier tool calls" in each for each in running.values())
        sizes.append(sum(map(len, running.values())))
        over = fold(turn_with(calls), TurnFinished())
        whole = ShownTurn(over, TurnItems()).below(background=False)
        assert whole["text/html"].count("<details>") == whole["text/plain"].count("▸") == calls
        assert "earlier" not in whole["text/plain"]
    assert sizes[1] < sizes[0] + 100
