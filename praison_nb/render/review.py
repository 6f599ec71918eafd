"""A tool call for somebody who decides whether it may run: nothing of it is hidden, and nothing that a model
wrote looks like something else.

Different values have different texts, as in YAML: a string that could be read as something else stands in
quotes, one of several lines after a |. Only what a fold counts is not told apart.

>>> write_file = arguments('{"path": "a.txt", "content": "one\\\\n\\\\n\\\\n\\\\n\\\\n\\\\ntwo\\\\u200b"}')
>>> write_file.counts
'8 lines, 18 characters'
>>> print(write_file.text)
path: a.txt
content: |
  one
  ⟦⋯ 5 empty lines⟧
  two⟦\\u200b⟧
>>> print(arguments('{"seconds": "60", "name": "", "b c": null}').text)
seconds: "60"
name: ""
"b c": null
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from dataclasses import dataclass

from ..text import DISPLAY_CHARACTERS, replace_surrogates
from .visible import Part, as_text as as_text, counted, inline as inline, lines, merged, one_line as one_line

NAME = 1000
"""Characters of a tool's name that can be shown."""
TOO_LONG = "The arguments are too long to be shown to the user, who would have to allow them."


@dataclass(frozen=True, slots=True)
class Review:
    """What a call would get. `lines` and `characters` are of the values, as they are before anything is
    folded. Where it is not `complete` it is too long, and the end is missing."""

    parts: tuple[Part, ...]
    lines: int
    characters: int
    complete: bool

    @property
    def text(self) -> str:
        """All of it as plain text."""
        return as_text(self.parts)

    @property
    def counts(self) -> str:
        """How long it is, in words."""
        return f"{counted(self.lines, 'line')}, {counted(self.characters, 'character')}"


@functools.lru_cache(maxsize=128)
def arguments(text: str) -> Review:
    """The arguments of a call (JSON text), by the values that the function gets; text that is no JSON is
    shown as such."""
    try:
        return _reviewed(json.loads(text or "{}"))
    except (ValueError, RecursionError):
        return _reviewed(text, is_json=False)


def can_be_shown(name: str, text: str) -> bool:
    """Whether all of a call can be shown, which nobody can allow otherwise."""
    return len(name) <= NAME and arguments(text).complete


def question(name: str, text: str) -> str:
    """The question whether the tool `name` may run with these arguments (JSON text), for a terminal.

    >>> print(question("bash", '{"command": "make", "command": "rm -r build"}'))
    bash wants to run (1 line, 11 characters):
    command: rm -r build
    """
    review = arguments(text)
    head = f"{one_line(name)} wants to run"
    return f"{head} ({review.counts}):\n{review.text}" if review.parts else f"{head} (no arguments)"


def is_short(name: str, text: str) -> bool:
    """Whether the question is one that a line of 80 characters shows whole.

    >>> is_short("bash", '{"command": "make"}'), is_short("bash", '{"command": "make\\\\nrm -r build"}')
    (True, False)
    """
    shown = f"{one_line(name)} {arguments(text).text}"
    return len(shown) <= 80 and "\n" not in shown


def digest(name: str, text: str) -> str:
    """What tells a call of the tool `name` from every other, to the byte; `text` are its arguments.

    >>> digest("bash", '{"command": "ls"}') == digest("bash", '{"command":"ls"}')
    False
    """
    call = json.dumps(replace_surrogates([name, text or "{}"]))
    return hashlib.sha256(call.encode()).hexdigest()


class _TooLongError(Exception):
    pass


class _Writer:
    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.lines = self.characters = self._length = 0

    def put(self, *parts: Part) -> None:
        for part in parts:
            self._length += len(str(part))
            if self._length > DISPLAY_CHARACTERS:
                raise _TooLongError
            self.parts.append(part)

    def count(self, text: str) -> None:
        self.characters += len(text)
        self.lines += text.count("\n") + (not text.endswith("\n"))

    def write(self, value: object, indent: str = "", *, is_quoted: bool = False) -> None:
        """Every line of a value is indented, so that none can pass for the name of an argument."""
        if isinstance(value, dict) and value:
            for key, inner in value.items():
                name = as_text(_scalar(key, is_quoted=not key.isidentifier()))
                self.put(Part("text", f"\n{indent}"), Part("name", f"{name}:"))
                self.write(inner, indent + "  ")
        elif isinstance(value, list) and value:
            for inner in value:
                self.put(Part("text", f"\n{indent}"), Part("name", "-"))
                self.write(inner, indent + "  ")
        elif isinstance(value, str) and "\n" in value:
            self.count(value)
            self.put(Part("text", " "), Part("text", "|"))
            for line in lines(value):
                self.put(Part("text", f"\n{indent or '  '}"), *line)
        elif isinstance(value, str):
            self.count(value)
            self.put(Part("text", " "), *_scalar(value, is_quoted=is_quoted or _needs_quotes(value)))
        else:
            text = json.dumps(value)
            self.count(text)
            self.put(Part("text", " "), Part("text", text))


def _reviewed(value: object, *, is_json: bool = True) -> Review:
    writer, complete = _Writer(), True
    try:
        if not is_json:
            writer.put(Part("text", " "), Part("fold", "not JSON"))
        if value != {}:
            # A string that is all there is must not pass for names and values.
            writer.write(value, is_quoted=is_json)
    except _TooLongError:
        complete = False
    # The first is what stands between a name and its value, or between two lines.
    return Review(tuple(merged(writer.parts[1:])), writer.lines, writer.characters, complete)


# What YAML has for an item of a list or for a name, and how a text of several lines begins.
_STRUCTURE = re.compile(r"-(?: |$)|[\w.-]+:(?: |$)|\|$")


def _needs_quotes(text: str) -> bool:
    """Whether a string of one line could be read as another value, or as a part of what stands around it."""
    if not text or text != text.strip() or text[0] in "\"'" or _STRUCTURE.match(text):
        return True
    if text.casefold() in ("null", "none", "true", "false"):
        return True
    for read in (float, json.loads):
        try:
            read(text)
        except ValueError:
            continue
        except RecursionError:
            pass
        return True
    return False


def _scalar(text: str, *, is_quoted: bool) -> list[Part]:
    """A string of one line; in quotes as JSON has it, but for characters that do not print."""
    if not is_quoted:
        return inline(text)
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return [Part("text", '"'), *inline(escaped), Part("text", '"')]
