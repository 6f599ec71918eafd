"""What outputs show: a turn, or another thing that runs and is over."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Protocol

from ...render import review
from ...render.formulas import escape
from ...render.html import answer_html, below_html
from ...render.items import TurnItems
from ...render.panel import Badge, turn_panel
from ...render.text import answer_text, below_text, error_text, panel_text
from ...runtime.run import Run
from ...session import NO_USAGE
from ...text import strip_control_chars
from ...turn import Message, ToolCall, Turn
from .pace import INTERVAL_SECONDS

if TYPE_CHECKING:
    from ...rows.compare import Comparison

NOTHING = {"text/html": "", "text/plain": ""}
"""An output that takes no room; nbconvert warns of one that holds nothing at all."""

MOST_CALLS = 10
"""So many tool calls, the last ones, stand under an answer that is not over: it is sent whole each time."""


class Shown(Protocol):
    """How it is at one moment. `answer` and `below` are text/html and text/plain, the latter with the error
    where it is `background`; `items` and `panel` are as `State` has them."""

    @property
    def is_over(self) -> bool: ...
    @property
    def is_whole(self) -> bool:
        """Whether all of the answer is there, so that its end follows."""

    @property
    def urgent(self) -> object:
        """What is shown at once when it changes."""

    @property
    def waiting(self) -> Sequence[ToolCall]: ...
    @property
    def text(self) -> str:
        """What is said so far; "" of what is shown when it is over."""

    @property
    def label(self) -> str:
        """The badge's words."""

    @property
    def line(self) -> str:
        """The panel as a line."""

    def answer(self) -> dict[str, str]: ...
    def below(self, *, background: bool) -> dict[str, str]: ...
    def items(self) -> list[dict[str, Any]]: ...
    def panel(self, hint: str = "") -> dict[str, Any]: ...


class Subject(Protocol):
    """What is shown. `settled` is done when nothing changes any more; `interval` are seconds between updates
    of a live view."""

    id: str
    settled: Future[None]
    interval: float

    def now(self) -> Shown: ...
    def mark_shown(self, call: ToolCall) -> None:
        """The user has the question before them."""

    def click(self, message: dict[str, Any]) -> None:
        """Do what the user clicked on a page."""


class TurnSubject:
    """A turn under way."""

    interval = INTERVAL_SECONDS

    def __init__(self, run: Run) -> None:
        self._run = run
        self.id, self.settled = run.turn.id, run.settled
        self.turn_items = TurnItems(typed=run.output is not None)

    def now(self) -> ShownTurn:
        return ShownTurn(self._run.turn, self.turn_items)

    def mark_shown(self, call: ToolCall) -> None:
        self._run.approvals.mark_shown(call)

    def click(self, message: dict[str, Any]) -> None:
        handle_click(message, self._run)


class ShownTurn:
    """A turn at one moment."""

    def __init__(self, turn: Turn, items: TurnItems) -> None:
        self._turn, self._items = turn, items

    @property
    def is_over(self) -> bool:
        return self._turn.ended is not None

    @property
    def is_whole(self) -> bool:
        turn = self._turn
        is_asked = turn.pending != NO_USAGE or not turn.requests
        return not is_asked and bool(turn.items) and isinstance(turn.items[-1], Message)

    @property
    def waiting(self) -> Sequence[ToolCall]:
        return self._turn.waiting

    @property
    def text(self) -> str:
        return "" if self._items.typed else self._turn.text

    @property
    def urgent(self) -> object:
        turn = self._turn
        threads = tuple(each.status for each in turn.threads)
        has_text = turn.first_text is not None
        return turn.status, turn.activity, turn.tools, threads, len(turn.notices), has_text

    @property
    def label(self) -> str:
        return str(Badge.of(self._turn.status, self._turn))

    @property
    def line(self) -> str:
        return panel_text(self._turn)

    def answer(self) -> dict[str, str]:
        return answer(self._turn, typed=self._items.typed)

    def below(self, *, background: bool) -> dict[str, str]:
        """Tools and panel. In the foreground the question of a tool is asked by input()."""
        turn = self._turn
        most = None if self.is_over else MOST_CALLS
        text, html = below_text(turn, most), below_html(turn, error=background, most_calls=most)
        if background and turn.error:
            text = f"{error_text(turn)}\n{text}"
        if turn.waiting and background:
            questions = "\n".join(review.question(call.name, call.arguments) for call in turn.waiting)
            session = review.one_line(turn.session)
            how = f"Answer with `%agent allow {session}` or `%agent deny {session}`."
            text += f"\n{questions}\n{how}"
            html += f'<pre style="white-space: pre-wrap">{escape(questions)}</pre>{escape(how)}'
        return {"text/html": html, "text/plain": strip_control_chars(text)}

    def items(self) -> list[dict[str, Any]]:
        return self._items.answer(self._turn)

    def panel(self, hint: str = "") -> dict[str, Any]:
        return turn_panel(self._turn, hint)


def answer(turn: Turn, *, typed: bool = False) -> dict[str, str]:
    """The answer as the output that stays."""
    if not turn.text and turn.answer is None:
        return NOTHING
    return {"text/html": answer_html(turn, typed=typed), "text/plain": answer_text(turn)}


def handle_click(message: dict[str, Any], run: Run | Comparison) -> None:
    """Do what the user clicked on a page: Stop, Allow or Deny."""
    call_id, digest = str(message.get("call_id", "")), str(message.get("digest", ""))
    match message.get("kind"):
        case "stop":
            run.stop()
        case "allow" | "allow_session" as kind:
            run.approve(call_id, digest, for_session=kind == "allow_session")
        case "deny":
            run.deny(call_id)
