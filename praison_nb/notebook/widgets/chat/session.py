"""One session as a chat shows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ....errors import PraisonError
from ....render.items import Entry, entries, entry_items, line_item
from ....runtime.run import Run
from ....turn import Turn
from ...conversations.conversation import Conversation


class ChatSession:
    """The session that a conversation has now: the turns of this kernel, from the conversation's run number
    `first` on, and what was said before them. Of that, what is kept here is there at once, what is kept
    elsewhere at the `update` after `read`."""

    def __init__(self, conversation: Conversation, first: int) -> None:
        self.conversation = conversation
        self.session = conversation.backend.session
        self._first = first
        messages = [message for message in self.session.messages if isinstance(message, dict)]
        # Where messages are kept here, they are those of turns that are over.
        self._history = messages, [run for run in self.runs if run.turn.ended is not None]
        """All messages, and the turns that may have some of them."""
        self._is_asked = bool(messages)
        self._shown: tuple[object, int] = (None, 0)
        self.entries: list[Entry] = []
        """What was said before."""
        self.items: list[dict[str, Any]] = []
        """The items of that."""
        self.update()

    @property
    def runs(self) -> list[Run]:
        """The turns of this kernel, the first one first."""
        return self.conversation.runs[self._first :]

    async def read(self) -> None:
        """Ask for what is not kept here, once; again only where that failed. On the background loop."""
        if self._is_asked:
            return
        self._is_asked = True
        try:
            messages = await self.conversation.backend.read_messages(self.session)
        except PraisonError as error:
            self._is_asked = False
            line = " ".join(f"What was said before could not be read. {error}".split())
            self.entries = [("note", line)]
            self.items = [line_item("note", "earlier-note", line)]
        else:
            self._history = messages, self.runs

    def update(self) -> None:
        """Make the items anew where the turns tell by now more exactly which messages are theirs. It takes a
        while where much was said."""
        messages, runs = history = self._history
        count = count_before(messages, [run.turn for run in runs])
        if self._shown[0] is not history or self._shown[1] != count:
            self._shown = history, count
            # Other items are all sent to the page, and what follows them too.
            if (made := entries(messages[:count])) != self.entries:
                self.entries, self.items = made, entry_items(made)


def count_before(messages: Sequence[dict[str, Any]], turns: Sequence[Turn]) -> int:
    """How many of the messages came before `turns`. A turn is known by the ids of its messages, and its
    prompt, which has no id here, by its text.

    >>> messages = [{"role": "user", "content": each} for each in ("one", "two")]
    >>> count_before(messages, [Turn(prompt="two")])
    1
    """
    places = {message["id"]: place for place, message in enumerate(messages) if "id" in message}
    count = len(messages)
    for turn in reversed(turns):
        own = [places[item.id] for item in turn.items if item.id in places]
        count = min([count, *own])
        prompt = next(
            (place for place in reversed(range(count)) if messages[place].get("role") == "user"), None
        )
        if prompt is None or messages[prompt].get("content") != turn.prompt:
            continue
        # The same words may have been said, and answered, before.
        is_answered = prompt < count - 1
        is_silent = turn.ended is None and not turn.text
        if own or not is_answered or is_silent or "id" not in messages[prompt]:
            count = prompt
    return count
