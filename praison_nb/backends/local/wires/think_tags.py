"""Thinking that a server leaves in the text: `<think>…</think>` at the beginning of an answer."""

from __future__ import annotations

import re
from collections.abc import Iterator

_TAGS = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "<thought>": "</thought>",
    "[think]": "[/think]",
}
_OPENING = re.compile("|".join(map(re.escape, _TAGS)), re.IGNORECASE | re.ASCII)
_CLOSING = {tag: re.compile(re.escape(end), re.IGNORECASE | re.ASCII) for tag, end in _TAGS.items()}


class ThinkTags:
    """Tells the thinking of one answer from its text, however both are cut into pieces. Only what the answer
    begins with is thinking: later on, a tag is something that the answer speaks of.

    >>> tags = ThinkTags()
    >>> [part for piece in ("<thi", "nk>1 + 1</think>", "\\n2", " <think>") for part in tags.split(piece)]
    [(True, '1 + 1'), (False, '2'), (False, ' <think>')]
    """

    def __init__(self) -> None:
        self._held = ""
        self._closing: re.Pattern[str] | None = None
        self._end = ""
        self._began = self._thought = False

    def split(self, text: str) -> Iterator[tuple[bool, str]]:
        """The parts of `text`, and whether each is thinking. What may be half a tag waits for more."""
        if self._began:
            yield False, text
            return
        text, self._held = self._held + text, ""
        while text:
            if self._closing is not None:
                if found := self._closing.search(text):
                    if found.start():
                        yield True, text[: found.start()]
                    self._closing, self._thought, text = None, True, text[found.end() :]
                    continue
                kept = _half_tag(text, self._end)
                if kept < len(text):
                    yield True, text[: len(text) - kept]
                self._held = text[len(text) - kept :]
                return
            bare = text.lstrip()
            if found := _OPENING.match(bare):
                tag = found.group().lower()
                self._closing, self._end, text = _CLOSING[tag], _TAGS[tag], bare[found.end() :]
            elif len(bare) < 12 and len(text) < 1000 and any(tag.startswith(bare.lower()) for tag in _TAGS):
                self._held = text
                return
            else:
                self._began = True
                yield False, bare if self._thought else text
                return

    def rest(self) -> Iterator[tuple[bool, str]]:
        """What waited for more, when there is no more."""
        held, self._held = self._held, ""
        if held and self._closing is None and self._thought:
            held = held.lstrip()
        if held:
            yield self._closing is not None, held


def _half_tag(text: str, tag: str) -> int:
    """How many characters at the end of `text` may be the beginning of `tag`."""
    for length in range(min(len(tag) - 1, len(text)), 0, -1):
        if tag.startswith(text[-length:].lower()):
            return length
    return 0
