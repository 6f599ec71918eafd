"""The JSON in what a model wrote.

>>> next(json_in('As [1] says, the set {x} is {"size": 1}.'))
{'size': 1}
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from .text import replace_surrogates

_LANGUAGE = re.compile(r"\A\w+")
"""The word behind a fence's beginning."""
_BEGINNING = re.compile(r'\{\s*["}]|\[\s*(?:[]"{[\d-]|true\b|false\b|null\b)')
"""Of an object or a list in JSON, and not of what prose has in brackets."""
_MOST_PARTS = 20


def json_in(text: str) -> Iterator[Any]:
    """The JSON that the whole text is, else that of its fences, else what is in it."""
    fenced = text.split("```", 2 * _MOST_PARTS)[1::2]
    fences = [part for each in fenced for part in (each, _LANGUAGE.sub("", each))]
    for parts in ([text], fences):
        found = [each for part in parts for each in _loaded(part)]
        yield from found
        if found:
            return
    yield from _within(text)


def _loaded(text: str) -> list[Any]:
    """The one value that the text is in JSON, or none."""
    try:
        return [replace_surrogates(json.loads(text, strict=False))]
    except (ValueError, RecursionError):
        return []


def _within(text: str) -> list[Any]:
    """The values in a text, objects first, since one is asked for, and of these the last, which is the
    conclusion. A broken one ends them: what is within it is a piece of an answer."""
    decoder, found, place = json.JSONDecoder(strict=False), list[Any](), 0
    while (begin := _BEGINNING.search(text, place)) and len(found) < _MOST_PARTS:
        try:
            value, place = decoder.raw_decode(text, begin.start())
        except (ValueError, RecursionError):
            break
        found.append(replace_surrogates(value))
    return sorted(reversed(found), key=lambda each: not isinstance(each, dict))
