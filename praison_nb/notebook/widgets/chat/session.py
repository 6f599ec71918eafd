"""One session as a chat shows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ....errors import PraisonError
from ....history import Call, Item, Summary, Text, User, from_json
from ....render.items import Entry, entries, entry_items, line_item
from ....runtime.run import Run
from ....turn import Turn
from ...conversations.conversation import Conversation


class ChatSession:
    """The session that a conversation has now: the turns of this kernel, from the conversation's run number
    `first` on, and the messages before them. Of those, what is kept here is there at once, what is kept
    elsewhere at the `update` after `read`."""

    def __init__(self, conversation: Conversation, first: int) -> None:
        self.conversation = conversation
        self.session = conversation.backend.session
        self._first = first
        messages = [item for message in self.session.messages for item in from_json(message)]
        # Where messages are kept here, they are those of turns that are over.
        self._history = messages, [run for run in self.runs if run.turn.ended is not None]
        """All messages, and the turns that may have some of them."""
        self._is_asked = bool(messages)
        self._shown: tuple[object, int] = (None, 0)
        self.entries: list[Entry] = []
        """The messages before this kernel's turns."""
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
        """Make the items anew where more is known by now about which messages are the turns' own. It takes a
        while where there are many."""
        messages, runs = history = self._history
        count = count_before(messages, [run.turn for run in runs])
        if self._shown[0] is not history or self._shown[1] != count:
            self._shown = history, count
            # Other items are all sent to the page, and what follows them too.
            if (made := entries(messages[:count])) != self.entries:
                self.entries, self.items = made, entry_items(made)


def count_before(history: Sequence[Item], turns: Sequence[Turn]) -> int:
    """How much of the history came before `turns`. A turn is known by the ids of its messages and calls, and
    its prompt, which has no id here, by its text.

    >>> count_before([User(text="one"), User(text="two")], [Turn(prompt="two")])
    1
    """
    places = {
        item.id: at for at, item in enumerate(history) if isinstance(item, Text | Call | Summary) and item.id
    }
    count = len(history)
    for turn in reversed(turns):
        own = [places[item.id] for item in turn.items if item.id in places]
        count = min([count, *own])
        found = ((at, item) for at in reversed(range(count)) if isinstance(item := history[at], User))
        at, prompt = next(found, (0, None))
        if prompt is None or prompt.text != turn.prompt:
            continue
        # The same prompt may have been sent, and answered, before.
        is_answered = at < count - 1
        is_silent = turn.ended is None and not turn.text
        if own or not is_answered or is_silent or not prompt.id:
            count = at
    return count
