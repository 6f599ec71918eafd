"""What was said in a session before the turns that a chat shows itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ....backends.base import Backend
from ....backends.session import Session
from ....errors import PraisonError
from ....runtime.run import Run
from ....turn import Turn
from .items import Said, earlier_items, line_item, said_in


class Past:
    """What was said before, and its items. What is kept here is there at once, what is kept elsewhere at the
    `look` after `read`. `runs()` are the turns that the chat shows itself."""

    def __init__(self, backend: Backend, session: Session, runs: Callable[[], list[Run]]) -> None:
        self._backend, self._session, self._runs = backend, session, runs
        self._said = [message for message in session.messages if isinstance(message, dict)]
        # Where messages are kept here, they are those of turns that are over.
        self._known = [run for run in runs() if run.turn.ended is not None]
        self._is_asked = bool(self._said)
        self._count = -1
        self.items: list[dict[str, Any]] = []
        self.said: list[Said] = []
        self.look()

    async def read(self) -> None:
        """Ask for what is not kept here, once; again only where that failed. On the background loop."""
        if self._is_asked:
            return
        self._is_asked = True
        try:
            said = await self._backend.read_messages(self._session)
        except PraisonError as error:
            self._is_asked = False
            line = " ".join(f"What was said before could not be read. {error}".split())
            self.said = [("note", line)]
            self.items = [line_item("note", "earlier-note", line)]
        else:
            self._said, self._known, self._count = said, self._runs(), -1

    def look(self) -> None:
        """Make the items anew where the turns tell by now more exactly which messages are theirs. It takes a
        while where much was said."""
        count = count_before(self._said, [run.turn for run in self._known])
        if count != self._count:
            self._count, self.said = count, said_in(self._said[:count])
            self.items = earlier_items(self.said)


def count_before(said: Sequence[dict[str, Any]], turns: Sequence[Turn]) -> int:
    """How many of the messages came before `turns`. A turn is known by the ids of its messages, and its
    prompt, which has no id here, by its text.

    >>> said = [{"role": "user", "content": each} for each in ("one", "two")]
    >>> count_before(said, [Turn(prompt="two")])
    1
    """
    places = {message["id"]: place for place, message in enumerate(said) if "id" in message}
    count = len(said)
    for turn in reversed(turns):
        own = [places[item.id] for item in turn.items if item.id in places]
        count = min([count, *own])
        prompt = next((place for place in reversed(range(count)) if said[place].get("role") == "user"), None)
        if prompt is None or said[prompt].get("content") != turn.prompt:
            continue
        # The same words may have been said, and answered, before.
        is_answered = prompt < count - 1
        is_silent = turn.ended is None and not turn.text
        if own or not is_answered or is_silent or "id" not in said[prompt]:
            count = prompt
    return count
