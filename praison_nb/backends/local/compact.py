"""A turn that sums up the conversation: the requests after it begin with its summary."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

from ...events import Event, Notice, TurnFinished
from ...history import Item, Summary, Text
from .context import Cut, left_out
from .turn import LocalTurn, end_of
from .wires import ModelRequest

PROMPT = (
    "Summarise our conversation so far, so that it can go on from your summary alone: nothing else of it "
    "will be there any more. Keep what I want, what was decided and why, what was done and found out (names, "
    "numbers, paths, results, to the letter where that matters), and what is still open. Write only the "
    "summary."
)
NOTHING_TO_SUMMARISE = "There is nothing to summarise: nothing was said since the conversation began."
FROM_NOW_ON = "From now on the agent gets this summary in place of what was said before, which is kept."
NOTHING_CHANGED = "no summary: the conversation stays as it was"
_CUT_SHORT = ("max_tokens", "refusal", "pause_turn")


def has_more(history: list[Item]) -> bool:
    """Whether the agent said or did anything since the last summary."""
    return bool(history) and not isinstance(history[-1], Summary)


class CompactTurn(LocalTurn):
    """One request, whose answer is the summary. Where it does not come whole nothing changes."""

    async def events(self) -> AsyncIterator[Event]:
        """What happens, until the summary is there."""
        # How much is left out here says nothing of other requests.
        usual = self.fitting
        self.fitting = replace(usual, cut=Cut(), all_turns=True)
        async for event in self._answer(first=False):
            if not isinstance(event, Notice):
                yield event
        usual.rate, usual.limit = self.fitting.rate, self.fitting.limit
        texts = [item for item in self.reply.items if isinstance(item, Text)]
        end = end_of(self.reply)
        if end.stop_reason in _CUT_SHORT or self.reply.calls or not texts:
            self.new.clear()
            detail = f"{end.detail}; {NOTHING_CHANGED}" if end.detail else NOTHING_CHANGED
            yield replace(end, detail=detail)
            return
        text = "\n\n".join(item.text for item in texts)
        self.new.append(Summary(text=text, id=texts[0].id))
        yield Notice(text=FROM_NOW_ON)
        if turns := left_out(self.history, self.fitting.cut)[0]:
            yield Notice(text=f"Even shortened not all of it fitted: the first {turns} turns are not in it.")
        yield TurnFinished(detail=end.detail)

    def _asked(self, first: bool) -> ModelRequest:
        # The tools stay declared: what stands before the conversation is found in the provider's cache.
        return replace(super()._asked(first), tool_choice="none")

    def _keep_partial(self) -> None:
        """Keep nothing."""
        self.new.clear()
