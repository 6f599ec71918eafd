"""What goes over the wire of a list of items."""

from __future__ import annotations

import random
from typing import Any

from praison_nb.notebook.views.state import State, patches
from praison_nb.render.panel import turn_panel
from praison_nb.turn import Turn


def applied(items: list[dict[str, Any]], patches: list[list[Any]], count: int) -> list[dict[str, Any]]:
    """As live.js does it."""
    items = list(items)
    for index, patch, *whole in patches:
        if not whole:
            patch = {**items[index], **{name: grown(items[index], name, new) for name, new in patch.items()}}
        items[index : index + (whole != [True])] = [patch]
    return items[:count]


def grown(item: dict[str, Any], name: str, new: Any) -> Any:
    return item[name][: new["keep"]] + new["add"] if isinstance(new, dict) else new


def test_an_answer_goes_before_the_prompts_that_wait() -> None:
    """However many they are."""
    prompts = [{"kind": "prompt", "id": str(n), "text": f"question {n}"} for n in range(500)]
    answer = {"kind": "text", "id": "a", "tail": "<p>a</p>"}
    assert patches(prompts, [prompts[0], answer, *prompts[1:]]) == [[1, answer, True]]


def test_any_list_comes_of_any_other() -> None:
    rng = random.Random(7)
    pool = [{"kind": kind, "id": str(n)} for kind in ("prompt", "text", "tool") for n in range(4)]
    before: list[dict[str, Any]] = []
    for _ in range(5000):
        # Ids of tools may come twice.
        chosen = rng.sample(pool, rng.randint(0, 8)) + [pool[-1]] * rng.randint(0, 2)
        now = [item if item in before else {**item, "text": "a" * rng.randint(0, 3)} for item in chosen]
        made = patches(before, now)
        assert applied(before, made, len(now)) == now
        assert [patch[0] for patch in made] == sorted({patch[0] for patch in made})
        before = now


def test_the_end_of_a_turn_says_how_long_it_took_though_only_the_clock_went_on_before() -> None:
    """Of which no page was told: it counts on by itself until the end."""
    begun = turn_panel(Turn(started=0.0, ended=1.0)) | {"running": True}
    later = turn_panel(Turn(started=0.0, ended=5.1))
    state = State([], begun)
    assert state.advance([], later | {"running": True}) is None
    message = state.advance([], later)
    assert message is not None and message["panel"] == {
        "running": False, "facts": later["facts"], "elapsed": 5.1,
    }  # fmt: skip
