"""What a session used, over many turns."""

from __future__ import annotations

import pytest

from praison_nb.backends.session import Session
from praison_nb.events import TextDelta, TurnFinished
from praison_nb.session import Usage
from praison_nb.turn import Turn


def ended(number: int, tokens: int, *, estimated: bool = False) -> Turn:
    usage = Usage(output_tokens=tokens, estimated=estimated)
    return Turn(id=f"t{number}", session_id="s", ended=1.0, counted=usage)


def test_the_total_has_each_turn_once_and_as_it_was_told_last() -> None:
    session = Session()
    for number in range(5):
        session.observe(TextDelta(text="a"), Turn(id=f"t{number}", session_id="s"))
        session.observe(TurnFinished(), ended(number, 10))
        session.observe(TurnFinished(), ended(number, 10))
    assert session.usage == Usage(output_tokens=50)
    # A stopped turn's usage comes late, and may be less than was thought.
    session.observe(TurnFinished(), ended(1, 7))
    session.observe(TurnFinished(), ended(9, 3, estimated=True))
    assert session.usage == Usage(output_tokens=50, estimated=True)


def test_a_thousand_turns_cost_an_event_no_more_than_one(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session()
    for number in range(1_000):
        session.observe(TurnFinished(), ended(number, 1))
    added, add = [], Usage.__add__
    monkeypatch.setattr(Usage, "__add__", lambda self, other: added.append(1) or add(self, other))
    session.observe(TextDelta(text="a"), Turn(id="last", session_id="s"))
    assert session.usage == Usage(output_tokens=1_000) and len(added) <= 2
