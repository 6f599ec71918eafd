"""A tool call for somebody who decides whether it may run: nothing of it is hidden, and nothing that a model
wrote looks like something else.

A text becomes Parts, of which a page makes nodes and a terminal makes text. Whatever is no text of the
model's stands in ⟦ ⟧ there, and these two are escaped where the model wrote them, so that they cannot be
imitated. Different values have different texts, as in YAML: a string that could be read as something else
stands in quotes, one of several lines after a |. Only what a fold counts is not told apart.

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
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Literal, NamedTuple

from .lookalikes import character_name, code_point, lookalikes, script_of
from .plain import SHOWN_CHARACTERS, whole

EMPTY_LINES = 3
"""More in a row are folded: they would push what follows out of sight."""
BLANKS = 40
"""More in a row are folded."""
MARKS = 3
"""So many accents stand on one letter in languages that pile them up; more paint over their neighbours."""
NAME = 1000
"""Characters of a tool's name that can be shown."""
TOO_LONG = "The arguments are too long to be shown to the user, who would have to allow them."

Kind = Literal["text", "name", "fold", "escape", "foreign", "rtl"]


class Part(NamedTuple):
    """A piece of what is shown. `text` and `rtl` (letters that are written from right to left) are the
    model's own words, `foreign` are letters that pass for others; `fold` and `escape` stand for what is not
    seen, and a `name` is an argument's. `title` says more."""

    kind: Kind
    text: str
    title: str = ""

    def __str__(self) -> str:
        if self.kind == "foreign":
            return f"⟦{self.title.partition(' ')[0]} {self.text}⟧"
        return f"⟦{self.text}⟧" if self.kind in ("fold", "escape") else self.text


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
        return f"{_count(self.lines, 'line')}, {_count(self.characters, 'character')}"


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
    call = json.dumps(whole([name, text or "{}"]))
    return hashlib.sha256(call.encode()).hexdigest()


def one_line(text: str, width: int | None = None) -> str:
    """`text` in one line, cut to `width` characters before escapes.

    >>> one_line("bash\\n● idle"), one_line("\\u0430dmin"), one_line("x" * 99, 5)
    ('bash⟦\\\\n⟧● idle', '⟦CYRILLIC а⟧dmin', 'xxxx…')
    """
    if width is not None and len(text) > width:
        text = text[: width - 1] + "…"
    return as_text(inline(text))


def as_text(parts: Iterable[Part]) -> str:
    """The parts for a terminal."""
    return "".join(map(str, parts))


class _TooLongError(Exception):
    pass


class _Writer:
    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.lines = self.characters = self._length = 0

    def put(self, *parts: Part) -> None:
        for part in parts:
            self._length += len(str(part))
            if self._length > SHOWN_CHARACTERS:
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
            for line in _lines(value):
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
    return Review(tuple(_merged(writer.parts[1:])), writer.lines, writer.characters, complete)


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


def _merged(parts: Iterable[Part]) -> Iterator[Part]:
    for kind, group in groupby(parts, lambda part: part.kind):
        if kind == "text":
            if text := "".join(part.text for part in group):
                yield Part("text", text)
        else:
            yield from group


def _lines(text: str) -> Iterator[list[Part]]:
    """The parts of each line. Lines that show nothing are one fold where there are many of them."""
    for is_empty, group in groupby(text.split("\n"), _is_empty):
        lines = list(group)
        if is_empty and len(lines) > EMPTY_LINES:
            hidden = "".join(lines)
            what = _count(len(lines), "empty line")
            yield [_fold(what + (f" with {_described(hidden)}" if hidden.strip(" \t") else ""))]
        else:
            yield from map(inline, lines)


def _is_empty(line: str) -> bool:
    line = line.strip(" \t")
    return not line or (not "!" <= line[0] <= "~" and set(_kinds(line)) <= {"b", "e"})


# One letter for each character's kind: t text, b blank, e escaped, r written from right to left, f foreign.
_RUNS = re.compile(f"[be]{{{BLANKS + 1},}}|e|f+|r(?:[rb]*r)?|t+|b+")


def inline(text: str) -> list[Part]:
    """The parts of a text that is shown in one line."""
    if not text or (len(text) < BLANKS and text.isascii() and text.isprintable()):
        return [Part("text", text)]
    kinds = _kinds(text)
    parts: list[Part] = []
    for match in _RUNS.finditer(kinds):
        piece = text[match.start() : match.end()]
        match match[0][0]:
            case _ if len(piece) > BLANKS and match[0].strip("be") == "":
                parts.append(_fold(_described(piece)))
            case "e":
                parts.append(Part("escape", _escape(piece), character_name(piece)))
            case "f":
                for script, letters in groupby(piece, script_of):
                    word = "".join(letters)
                    parts.append(Part("foreign", word, f"{script} {', '.join(map(code_point, word))}"))
            case "r":
                parts.append(Part("rtl", piece))
            case _:
                parts.append(Part("text", piece))
    return list(_merged(parts))


def _fold(text: str) -> Part:
    return Part("fold", f"⋯ {text}")


def _described(run: str) -> str:
    """What a run of characters is that shows nothing."""
    first, *others = kinds = set(run)
    if not others:
        known = {" ": "space", "\t": "tab"}.get(first)
        return _count(len(run), known) if known else f"{len(run):,} × {_escape(first)}"
    return f"{len(run):,} {'blanks' if kinds <= {' ', chr(9)} else 'characters that do not print'}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()


# What the categories do not tell: fillers, selectors of variants, and what is drawn as nothing or as a box.
_FILLERS = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0\ufffc\U0001d159"
)
_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zs", "Zl", "Zp"))
_JOINER, _EMOJI_SELECTOR = "\u200d", "\ufe0f"


@functools.lru_cache(maxsize=4096)
def _kind(c: str) -> str:
    """Beside the kinds above, of which these become one by what stands around them: m accent, s symbol,
    j joins two symbols, v makes a symbol an emoji."""
    category = unicodedata.category(c)
    if c in " \t":
        return "b"
    if c in (_JOINER, _EMOJI_SELECTOR):
        return "j" if c == _JOINER else "v"
    is_selector = "\ufe00" <= c <= "\ufe0f" or "\U000e0100" <= c <= "\U000e01ef"
    if category in _HIDDEN or c in _FILLERS or is_selector or c in "⟦⟧":
        return "e"
    if category in ("Mn", "Me"):
        return "m"
    if category == "So" or "\U0001f3fb" <= c <= "\U0001f3ff":
        return "s"
    return "r" if unicodedata.bidirectional(c) in ("R", "AL") else "t"


def _kinds(text: str) -> str:
    kinds = text.translate({ord(c): _kind(c) for c in set(text)})
    if text.isascii():
        return kinds
    kinds = re.sub("(?<=s)v", "s", kinds)
    kinds = re.sub("(?<=s)j(?=s)", "s", kinds)
    # An accent without a letter would be drawn over whatever stands before it.
    kinds = re.sub(rf"(?<![tsrm])m+|(?<=m{{{MARKS}}})m+", lambda match: "e" * len(match[0]), kinds)
    kinds = re.sub("(?<=r)m", "r", kinds).translate({ord(a): b for a, b in ("je", "ve", "mt", "st")})
    foreign = lookalikes(text)
    return "".join("f" if i in foreign and kind in "tr" else kind for i, kind in enumerate(kinds))
