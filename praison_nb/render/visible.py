"""Text in which nothing is hidden: what does not print and what passes for something else is marked.

A text becomes Parts, of which a page makes nodes and a terminal makes text. Whatever is no text of the
model's stands in ⟦ ⟧ there, and these two are escaped where the model wrote them, so that they cannot be
imitated.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Literal, NamedTuple

from .lookalikes import character_name, code_point, lookalikes, script_of

EMPTY_LINES = 3
"""More in a row are folded: they would push what follows out of sight."""
BLANKS = 40
"""More in a row are folded."""
MARKS = 3
"""So many accents stand on one letter in languages that pile them up; more paint over their neighbours."""

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


def merged(parts: Iterable[Part]) -> Iterator[Part]:
    """The parts, texts in a row as one."""
    for kind, group in groupby(parts, lambda part: part.kind):
        if kind == "text":
            if text := "".join(part.text for part in group):
                yield Part("text", text)
        else:
            yield from group


def lines(text: str) -> Iterator[list[Part]]:
    """The parts of each line. Lines that show nothing are one fold where there are many of them."""
    for is_empty, group in groupby(text.split("\n"), _is_empty):
        lines = list(group)
        if is_empty and len(lines) > EMPTY_LINES:
            hidden = "".join(lines)
            what = counted(len(lines), "empty line")
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
    return list(merged(parts))


def _fold(text: str) -> Part:
    return Part("fold", f"⋯ {text}")


def _described(run: str) -> str:
    """What a run of characters is that shows nothing."""
    first, *others = kinds = set(run)
    if not others:
        known = {" ": "space", "\t": "tab"}.get(first)
        return counted(len(run), known) if known else f"{len(run):,} × {_escape(first)}"
    return f"{len(run):,} {'blanks' if kinds <= {' ', chr(9)} else 'characters that do not print'}"


def counted(number: int, what: str) -> str:
    """`1 line`, `1,000 lines`."""
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
