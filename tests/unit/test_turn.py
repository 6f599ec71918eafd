"""The fold: pure, whatever the order in which things arrive."""

from __future__ import annotations

from decimal import Decimal

from praison_nb import Turn, Usage, events as ev
from praison_nb.errors import RateLimitError, TurnStopped
from praison_nb.events import Event
from praison_nb.fold import fold
from praison_nb.session import Status


def folded(*events: Event) -> Turn:
    turn = Turn(prompt="Hi")
    for event in events:
        turn = fold(turn, event)
    return turn


def test_text_comes_together_in_messages() -> None:
    turn = folded(
        ev.TextDelta(text="a", message_id="1"),
        ev.TextDelta(text="b", message_id="1"),
        ev.TextDelta(text="c", message_id="2"),
        ev.TextDelta(text="!", message_id="1"),
    )
    assert turn.text == "ab!\n\nc"


def test_a_final_text_replaces_its_preview_only() -> None:
    turn = folded(
        ev.RequestStarted(),
        ev.TextDelta(text="Hel", message_id="1"),
        ev.TextDelta(text="other", message_id="2"),
        ev.TextFinal(text="Hello", message_id="1"),
        ev.TextFinal(text="Hello", message_id="1"),
    )
    assert turn.text == "Hello\n\nother"
    assert turn._open_bytes == 10


def test_text_is_linear() -> None:
    turn = Turn()
    event = ev.TextDelta(text="abcd")
    for _ in range(5000):
        turn = fold(turn, event)
    (message,) = turn.items
    assert len(message.parts) <= 14 and turn.text == "abcd" * 5000  # type: ignore[union-attr]


def test_a_finished_request_counts_once() -> None:
    done = ev.RequestFinished(usage=Usage(output_tokens=3), cost=Decimal("0.5"))
    turn = folded(ev.RequestStarted(input_tokens=9), ev.TextDelta(text="x" * 40), done, done)
    assert turn.usage == Usage(output_tokens=3) and turn.cost == Decimal("0.5") and len(turn.requests) == 1


def test_while_a_request_is_open_its_usage_is_estimated() -> None:
    turn = folded(ev.RequestStarted(input_tokens=9), ev.TextDelta(text="x" * 40))
    assert turn.usage == Usage(uncached_input_tokens=9, output_tokens=10, estimated=True)
    stopped = fold(turn, ev.TurnFinished(stop_reason="interrupted"))
    assert stopped.usage == turn.usage and stopped.cost is None and stopped.status is Status.IDLE
    # The true count may still come, and takes the place of the estimate.
    final = fold(stopped, ev.RequestFinished(usage=Usage(output_tokens=7), cost=Decimal(1)))
    assert final.usage == Usage(output_tokens=7) and final.cost == 1 and final.ended == stopped.ended


def test_an_uncounted_request_keeps_its_estimate() -> None:
    turn = folded(ev.RequestStarted(input_tokens=9), ev.RequestFinished(usage=None))
    assert turn.usage == Usage(uncached_input_tokens=9, estimated=True) and turn.cost is None


def test_one_unpriced_request_makes_the_cost_unknown() -> None:
    usage = Usage(output_tokens=1)
    priced = ev.RequestFinished(usage=usage, cost=Decimal(1))
    assert folded(priced, ev.RequestFinished(usage=usage, cost=None)).cost is None
    assert folded(priced).cost == 1 and folded().cost == 0


def test_the_first_end_counts() -> None:
    turn = folded(ev.TurnFinished(stop_reason="interrupted"), ev.TurnFailed(error=RateLimitError("x")))
    assert turn.stop_reason == "interrupted" and turn.error is None
    failed = folded(ev.TurnFailed(error=RateLimitError("x")), ev.TurnFinished())
    assert failed.status is Status.ERROR and failed.stop_reason == "error"


def test_tool_calls_are_paired_and_timed() -> None:
    turn = folded(
        ev.ToolStarted(call_id="1", name="f", arguments='{"x": 1}', time=10.0),
        ev.ToolStarted(call_id="2", name="g", time=11.0),
        ev.ApprovalAsked(call_id="2"),
        ev.ToolFinished(call_id="1", result="one", time=12.5),
    )
    first, second = turn.tools
    assert (first.result, first.seconds, second.seconds) == ("one", 2.5, None)
    assert turn.waiting == (second,)
    answered = fold(turn, ev.ApprovalAnswered(call_id="2", allowed=False))
    assert answered.waiting == () and answered.tools[1].approval == "denied"
    # A call for a turn that is over waits for nobody: what was not answered is a no.
    for end in (ev.TurnFinished(stop_reason="interrupted"), ev.TurnFailed(error=TurnStopped("gone"))):
        over = fold(turn, end)
        assert over.waiting == () and [call.approval for call in over.tools] == ["", "denied"]
        assert fold(over, ev.ApprovalAsked(call_id="1")).waiting == ()


def test_activity_passes_and_notices_stay() -> None:
    turn = folded(ev.Activity(text="retrying"), ev.Notice(text="Careful"), ev.Thinking(text="hm"))
    assert turn.activity == "thinking" and turn.notices == ("Careful",)
    assert fold(turn, ev.TextDelta(text="x")).activity == ""


def test_reprs() -> None:
    turn = folded(ev.TextDelta(text="**bold** <script>alert(1)</script>"), ev.TurnFinished())
    assert repr(turn).startswith("**bold**") and "[idle]" in repr(turn)
    assert not hasattr(turn, "_repr_markdown_"), "a page's own renderer never gets what a model wrote"
    assert "<strong>bold</strong>" in turn._repr_html_() and "<script" not in turn._repr_html_()
