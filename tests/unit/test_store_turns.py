"""Whole turns in the store: what is kept of them, how much, and how often they are written."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from praison_nb.events import (
    Activity,
    Event,
    RequestFinished,
    RequestStarted,
    SessionAttached,
    TextDelta,
    ToolFinished,
    ToolStarted,
    TurnFinished,
)
from praison_nb.fold import fold
from praison_nb.render.html import turn_html
from praison_nb.store import (
    Store,
    StoredSession,
    StoreError,
    delete_orphan_turns,
    list_turns,
    read_turn,
    read_turn_messages,
    turns,
    upsert_turn,
)
from praison_nb.store.turns import TURN_CHARACTERS, Snapshots, to_text
from praison_nb.text import DISPLAY_CHARACTERS
from praison_nb.turn import Message, ToolCall, Turn
from praison_nb.turn_json import from_json
from stored import stored_bytes

KEY = "sk-abcdefgh12345678"


@pytest.fixture
def kept(tmp_path: Path) -> Store:
    return Store(tmp_path / "data" / "sessions.sqlite")


def call(**fields: Any) -> ToolCall:
    return ToolCall(
        **{"id": "c", "name": "look", "arguments": "{}", "runs": "function", "started": 1.0, **fields}
    )


def ended(*items: Message | ToolCall, **fields: Any) -> Turn:
    return Turn(**{"session_id": "1", "ended": 2.0, "started": 1.0, "items": items, **fields})


def again(turn: Turn) -> Turn:
    return from_json(json.loads(to_text(turn)))


def test_a_turn_is_there_once_and_as_it_was_last(kept: Store) -> None:
    turn = Turn(session_id="1", prompt="Hi", started=5.0, priced=Decimal("0.10"))
    kept.change(upsert_turn(turn, "a.ipynb"))
    kept.change(upsert_turn(ended(id="earlier"), "a.ipynb"))
    done = replace(turn, ended=6.0, items=(Message("", ("Hello",)),))
    kept.change(upsert_turn(done, "a.ipynb"))
    assert read_turn(kept.path, turn.id) == done
    assert [each.id for each in list_turns(kept.path, "1")] == ["earlier", turn.id]
    assert list_turns(kept.path, "2") == [] == list_turns(kept.path, "", "a.ipynb", "main")
    with pytest.raises(StoreError, match="is not in the store"):
        read_turn(kept.path, "gone")
    with pytest.raises(StoreError, match="is not in the store"):
        read_turn_messages(kept.path, "gone")


def test_turns_before_there_was_a_session(kept: Store) -> None:
    for notebook, name in (("a", "main"), ("a", "other"), ("b", "main")):
        kept.change(upsert_turn(Turn(session=name, prompt=notebook + name, ended=1.0), notebook))
    assert [read_turn(kept.path, each.id).prompt for each in list_turns(kept.path, "", "a", "main")] == [
        "amain"
    ]
    # They are a part of what comes of them, here and nowhere else.
    kept.change(upsert_turn(Turn(session="main", session_id="1", ended=1.0), "a"))
    assert len(list_turns(kept.path, "1")) == 2 and list_turns(kept.path, "", "a", "main") == []
    assert len(list_turns(kept.path, "", "b", "main")) == len(list_turns(kept.path, "", "a", "other")) == 1
    kept.change(delete_orphan_turns("b", "main"))
    assert list_turns(kept.path, "", "b", "main") == [] and len(list_turns(kept.path, "", "a", "other")) == 1


def test_forgotten_turns_are_gone_and_stay_away(kept: Store) -> None:
    turn = ended(Message("", ("unforgettable " * 3000,)))
    kept.put(StoredSession(id="1", name="n"))
    kept.change(upsert_turn(turn, ""))
    assert b"unforgettable" in stored_bytes(kept.path)
    kept.forget("1")
    kept.change(upsert_turn(turn, ""))
    assert list_turns(kept.path, "1") == [] and b"unforgettable" not in stored_bytes(kept.path)


def test_a_turn_that_gets_a_deleted_session_is_gone(kept: Store) -> None:
    kept.put(StoredSession(id="1", name="n"))
    kept.forget("1")
    before = ended(id="t", session_id="", prompt="a secret prompt", session="n")
    kept.change(upsert_turn(before, ""))
    assert [each.id for each in list_turns(kept.path, "", "", "n")] == ["t"]
    kept.change(upsert_turn(replace(before, session_id="1"), ""))
    assert list_turns(kept.path, "", "", "n") == []
    assert b"a secret prompt" not in stored_bytes(kept.path)


def test_keys_stay_out_and_arguments_stay_json(kept: Store) -> None:
    arguments = json.dumps({"header": f"Bearer {KEY}", "n": 1})
    turn = ended(
        Message("", (f"use {KEY}",)),
        call(arguments=arguments, result=f"got {KEY}"),
        prompt=f"with {KEY}",
        notices=(KEY,),
        detail=KEY,
    )
    kept.change(upsert_turn(turn, ""))
    assert KEY.encode() not in stored_bytes(kept.path)
    made = read_turn(kept.path, turn.id)
    assert json.loads(made.tools[0].arguments) == {"header": "Bearer [key]", "n": 1}
    assert (made.text, made.tools[0].result, made.prompt) == ("use [key]", "got [key]", "with [key]")


@pytest.mark.parametrize("before", range(0, 2200, 199))
def test_no_half_of_a_key_stays_before_a_cut(before: int) -> None:
    key = "sk-ant-" + "a1B2" * 500
    for filling in ("word ", f"{KEY} "):
        count = (DISPLAY_CHARACTERS - before) // len(filling)
        result = f"{filling * count}\n{key}\n{'word ' * 10_000}"
        made = again(ended(call(result=result))).tools[0].result
        assert "sk-" not in made and "more characters were not kept." in made


def test_a_long_result_is_cut_as_it_is_shown_and_says_so() -> None:
    begun = time.thread_time()
    text = to_text(ended(call(result="line\n" * 10_000_000), Message("", ("done",))))
    assert len(text) < DISPLAY_CHARACTERS * 1.5 and time.thread_time() - begun < 5
    made = from_json(json.loads(text))
    shown = turn_html(made)
    assert shown.count("more characters") == 1 and "49,800,0" in shown and "were not kept." in shown
    assert made.text == "done"


def test_an_answer_is_whole_where_there_is_room() -> None:
    answer = "ä word " * (TURN_CHARACTERS // 10)
    turn = ended(Message("", (answer,)), call(result="x " * 50_000))
    assert again(turn) == turn and turn_html(again(turn)) == turn_html(turn)
    longer = again(ended(Message("", (answer * 3,)))).text
    assert len(longer) <= TURN_CHARACTERS and longer.endswith("more characters were not kept.")


def test_many_long_results_share_the_room_and_short_ones_stay_whole() -> None:
    calls = [call(id=str(n), result="long " * 30_000) for n in range(100)]
    turn = ended(*calls, call(id="last", result="short"), Message("m", ("the answer " * 100,)), prompt="Hi")
    text = to_text(turn)
    assert TURN_CHARACTERS * 0.9 < len(text) < TURN_CHARACTERS * 1.2
    made = from_json(json.loads(text))
    assert (made.text, made.prompt, made.tools[-1].result) == (turn.text, "Hi", "short")
    lengths = {len(each.result) for each in made.tools[:-1]}
    assert max(lengths) - min(lengths) < 100 and [each.id for each in made.tools] == [
        each.id for each in turn.tools
    ]


def test_what_no_file_holds_is_replaced(kept: Store) -> None:
    turn = ended(Message("", ("a\ud800b\x00c",)), session_id="\udc00", session="\udfff")
    kept.change(upsert_turn(turn, "\ud800"))
    (one,) = list_turns(kept.path, "\udc00")
    assert read_turn(kept.path, one.id).text == "a\ufffdb\x00c"


# How often it is written


class Queue:
    """Takes the changes, and makes them when the test says so."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.changes: list[Callable[..., object]] = []
        self.count = 0
        self.asked = asyncio.Event()

    def later(self, change: Callable[..., object]) -> None:
        self.changes.append(change)
        self.count += 1
        self.asked.set()

    def make(self) -> None:
        waiting, self.changes = self.changes, []
        self.asked.clear()
        for change in waiting:
            self.store.change(change)


class Player:
    """Has a turn's events seen one after the other."""

    def __init__(self, queue: Queue) -> None:
        self.turn = Turn(session_id="1", started=1.0)
        self._snapshots = Snapshots("", queue.later)

    def play(self, *events: Event) -> None:
        for event in events:
            self.turn = fold(self.turn, event)
            self._snapshots.observe(event, self.turn)


async def test_an_answer_in_many_pieces_is_written_seldom(
    kept: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "TEXT_SECONDS", 600.0)
    queue = Queue(kept)
    player = Player(queue)
    player.play(SessionAttached(session_id="1"), RequestStarted())
    await queue.asked.wait()
    queue.make()
    for _ in range(200):
        player.play(TextDelta(text="word "), Activity(text="working"))
        queue.make()
        await asyncio.sleep(0.001)
    assert queue.count == 1
    # The end is written with what comes just before it.
    player.play(RequestFinished(), TurnFinished())
    queue.make()
    assert queue.count == 2 and read_turn(kept.path, player.turn.id) == again(player.turn)
    await asyncio.sleep(0)
    assert queue.changes == []


async def test_text_that_comes_is_kept_before_its_end(kept: Store) -> None:
    queue = Queue(kept)
    player = Player(queue)
    player.play(RequestStarted())
    await queue.asked.wait()
    queue.make()
    player.play(TextDelta(text="half"))
    await queue.asked.wait()
    queue.make()
    assert read_turn(kept.path, player.turn.id).text == "half"


async def test_each_end_of_a_tool_is_kept_soon_and_what_waits_is_written_once(kept: Store) -> None:
    queue = Queue(kept)
    player = Player(queue)
    player.play(RequestStarted())
    await queue.asked.wait()
    queue.make()
    for number in range(3):
        player.play(ToolStarted(call_id=str(number), name="look"))
        player.play(ToolFinished(call_id=str(number), result="seen"))
        await queue.asked.wait()
        queue.make()
        assert [each.result for each in read_turn(kept.path, player.turn.id).tools] == ["seen"] * (number + 1)
    # Another process holds the file meanwhile.
    before = queue.count
    for number in range(3, 50):
        player.play(ToolStarted(call_id=str(number), name="look"), RequestFinished())
        await asyncio.sleep(0.002)
    await queue.asked.wait()
    assert queue.count - before == 1
    queue.make()
    assert len(read_turn(kept.path, player.turn.id).tools) == 50


async def test_a_long_turn_is_written_the_seldomer(kept: Store) -> None:
    queue = Queue(kept)
    player = Player(queue)
    player.play(RequestStarted(), TextDelta(text="word " * 100_000))
    took, pauses, ended = list[float](), list[float](), 0.0
    while len(pauses) < 3:
        player.play(ToolStarted(call_id="c", name="look"), ToolFinished(call_id="c", result="seen"))
        if queue.changes:
            if took:
                pauses.append(time.monotonic() - ended)
            (change,) = queue.changes

            def timed(connection: Any, change: Any = change) -> None:
                begun = time.monotonic()
                change(connection)
                took.append(time.monotonic() - begun)

            queue.changes = [timed]
            queue.make()
            ended = time.monotonic()
        await asyncio.sleep(0.002)
    assert sum(pauses) > 3 * sum(took[:3])
