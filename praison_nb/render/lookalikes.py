"""Letters that pass for others: a Cyrillic а among Latin letters, say, in what somebody is asked to allow.

No word of another script is one by itself: a sentence in Russian, a comment in Chinese, µ and π in names stay
as they are, and so do dashes and quotation marks of prose.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections import Counter
from itertools import groupby


def code_point(character: str) -> str:
    """`U+0430`."""
    return f"U+{ord(character):04X}"


@functools.lru_cache(maxsize=4096)
def character_name(character: str) -> str:
    """Unicode's name of it, or its code point."""
    return unicodedata.name(character, code_point(character))


_TOKEN = re.compile(r"[^\s]*[^\x00-\x7f][^\s]*")
_WORD = re.compile(r"(?:[^\W_]|[\u0300-\u036f])+")
_CODE = re.compile(r"[A-Za-z0-9_$/\\=()\[\]{}<>|&;@#*+~^%`-]")
_NEXT_TO = frozenset(".~'\"_$/\\=()[]{}<>|&@#*-")
_EAST_ASIAN = frozenset(
    ["CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "HALFWIDTH", "HANGUL", "BOPOMOFO"]
)
# As Unicode's security profile "highly restrictive" has it (UTS 39): these are written among Latin letters.
_COMPANIONS = _EAST_ASIAN | {"LATIN"}
# Of Greek, what names of variables in science have, and what looks like no Latin letter.
_SYMBOLS = frozenset("ΓΔΘΛΞΠΣΦΨΩβδεζηθλμξπστφψωϕϵϑ∂")
# Whole words of these can be read as Latin ones.
_LOOKALIKES = {
    "CYRILLIC": frozenset("АВЕЅІЈКМНОРСТУХҮԌԚԜӀасеорхуѕіјһԁԍԛԝӏкүѵ"),
    "GREEK": frozenset("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧοϲϳ"),
    "ARMENIAN": frozenset("ՏՍՕՈԼԻՀօոսհցգզքւյռրճլ"),
}
# Words of these are read as what they are; a letter or a number alone is not. Whatever is in none of these
# lists (Lisu, Cherokee, Tifinagh, Runic) stands for itself where there is no code on the line.
_DISTINCT = frozenset(
    {"ARABIC", "HEBREW", "SYRIAC", "THAANA", "DEVANAGARI", "BENGALI", "GURMUKHI", "GUJARATI", "ORIYA"}
    | {"TAMIL", "TELUGU", "KANNADA", "MALAYALAM", "SINHALA", "THAI", "LAO", "TIBETAN", "MYANMAR", "KHMER"}
    | {"MONGOLIAN", "ETHIOPIC", "GEORGIAN"}
)
_PUNCTUATION = frozenset("\u037e\u1fef\u2024\u2044\u2215\u2236\u29f8\ua789\ua78b\ua78c")
# Strokes of East Asian scripts that look like - | / o 0, where nothing else of these scripts is on the line.
_STROKES = frozenset("一丨丿丶〇ㅡㅣㅇㅁ")
_LINES = frozenset("─│╱╲╳❘")
# Phonetic letters, clicks, and those of old prints: Latin by name only.
_ODD_LATIN = re.compile("[\u01c0-\u01c3\u0250-\u02af\u1d00-\u1dbf\ua720-\ua7ff\uab30-\uab6f]")
_SIGNS = frozenset(("Pd", "Sm", "Po", "Lm", "Pc", "Sk"))
_DASHES = frozenset("–—")
_OPENING_QUOTES = frozenset("‚„")
# What prose and formulas have next to words, and what passes for no sign of ASCII.
_PROSE = frozenset("…⋯•·†‡‰§¶¡¿±÷¬≤≥≠≈≡∞√∑∏∫∂∆∇∈∉∀∃∪∩⊂⊆∝") | frozenset(map(chr, range(0x2190, 0x2200)))


def lookalikes(text: str) -> set[int]:
    """Where in a line letters of another script pass for Latin ones, and signs for those of code.

    >>> lookalikes("if user == '\\u0430dmin'"), lookalikes("привет"), lookalikes("λ = 3")
    ({12}, set(), set())
    >>> lookalikes("rm \\u2212rf"), lookalikes("3 \\u2212 1")
    ({3}, set())
    """
    return _letters(text) | _signs(text)


def _letters(text: str) -> set[int]:
    found: set[int] = set()
    doubtful: list[tuple[str, list[int], bool]] = []
    unmistakable: list[tuple[str, int, int]] = []
    is_code = _CODE.search(text) is not None
    alone = Counter(script_of(c) for c in text if c.isalpha() and not c.isascii())
    for token in _TOKEN.finditer(text):
        in_code = any(c.isascii() and c.isalpha() for c in set(token[0]))
        for word in _WORD.finditer(token[0]):
            if word[0].isascii():
                continue
            where = range(token.start() + word.start(), token.start() + word.end())
            letters = {c for c in set(word[0]) if c.isalnum()}
            foreign = {c for c in letters if _is_disguised(c)}
            if any(_is_latin(c) for c in letters):
                foreign |= {c for c in letters if _is_foreign(c)}
            elif any(c.isascii() for c in letters):
                foreign |= {c for c in letters if c.isdecimal() and not c.isascii()}
            found.update(i for i in where if text[i] in foreign)
            for script in sorted({script_of(c) for c in letters if _is_foreign(c)}):
                own = {c for c in letters if script_of(c) == script and (script != "LATIN" or _is_foreign(c))}
                places = [i for i in where if text[i] in own]
                if script in _LOOKALIKES:
                    is_doubtful = own <= _LOOKALIKES[script]
                elif script in _DISTINCT:
                    is_single = len(places) == 1 and not _has_mark(text, places[0])
                    is_number = not any(c.isalpha() for c in own)
                    is_doubtful = is_code and ((is_single and (in_code or alone[script] == 1)) or is_number)
                else:
                    found.update(places if is_code else ())
                    continue
                if is_doubtful:
                    doubtful.append((script, places, in_code))
                else:
                    unmistakable.append((script, where.start, where.stop))
    if is_code and not any(c not in _STROKES and script_of(c) in _EAST_ASIAN for c in set(text)):
        found.update(i for i, c in enumerate(text) if c in _STROKES)
    for script, places, in_code in doubtful:
        # A short word of a sentence in that script is no disguise.
        between = [
            text[min(end, places[-1]) : max(start, places[0])]
            for of, start, end in unmistakable
            if of == script
        ]
        if in_code or all(is_code and _CODE_BETWEEN.search(part) for part in between):
            found.update(places)
    return found


_CODE_BETWEEN = re.compile(r"[A-Za-z0-9#'\"`()\[\]{}=/\\:|<>&$@*+%^~_]")
"""What parts a word of code from a sentence in the same line."""


def _has_mark(text: str, i: int) -> bool:
    return i + 1 < len(text) and unicodedata.category(text[i + 1]) in ("Mn", "Mc")


def _signs(text: str) -> set[int]:
    """Where signs pass for those of code. Between blanks they are signs of a sentence or a formula."""
    found: set[int] = set()
    scripts = {script_of(c) for c in set(text) if c.isalpha() and unicodedata.category(c) != "Lm"}
    is_east_asian = not scripts.isdisjoint(_EAST_ASIAN)
    for is_run, run in groupby(range(len(text)), lambda i: _sign(text[i]) != ""):
        if not is_run:
            continue
        where = list(run)
        before, after = text[: where[0]][-1:], text[where[-1] + 1 :][:1]
        is_option = before in ("", " ", "\t", "'", '"') and _is_code(after)
        touches = _is_code(before) or _is_code(after)
        follows = script_of(before) in _EAST_ASIAN if before.isalpha() else False
        for i in where:
            is_dash = unicodedata.category(text[i]) in ("Pd", "Lm")
            match _sign(text[i]):
                case "always":
                    is_marked = True
                case "form":
                    is_marked = not is_east_asian or (is_dash and _is_code(after) and not follows)
                case "east":
                    is_marked = touches and not (is_east_asian and (follows or not is_dash))
                case "dash":  # of a sentence, unless an option begins with it
                    is_marked = is_option
                case "quote":  # which opens where no word ends
                    is_marked = _is_code(before)
                case _:
                    is_marked = touches and script_of(text[i]) not in scripts
            if is_marked:
                found.add(i)
    return found


def _is_code(c: str) -> bool:
    return c.isascii() and (c.isalnum() or c in _NEXT_TO) and c != ""


@functools.lru_cache(maxsize=4096)
def _sign(c: str) -> str:
    """How `c` passes for a sign of ASCII, "" where it does not."""
    if c.isascii() or c in _PROSE or c > "\uffff":
        return ""
    if c in _PUNCTUATION:
        return "always"
    if c in _DASHES:
        return "dash"
    if c in _OPENING_QUOTES:
        return "quote"
    plain = unicodedata.normalize("NFKC", c)
    if len(plain) == 1 and "!" <= plain <= "~":
        # Raised and lowered letters are no signs.
        return "" if plain.isalnum() else "form"
    if unicodedata.category(c) not in _SIGNS and c not in _LINES:
        return ""
    return "east" if "\u3000" <= c <= "\u30ff" else "sign"


@functools.lru_cache(maxsize=4096)
def script_of(c: str) -> str:
    """The script of a letter, as its name begins: CYRILLIC."""
    return character_name(c).partition(" ")[0]


def _is_latin(c: str) -> bool:
    return c.isalpha() and (c.isascii() or script_of(c) == "LATIN")


@functools.lru_cache(maxsize=4096)
def _is_foreign(c: str) -> bool:
    """Whether `c` is of no script that is written among Latin letters."""
    if c.isascii() or c in _SYMBOLS:
        return False
    if _ODD_LATIN.match(c) and unicodedata.category(c) != "Lm":
        return True
    is_letter = unicodedata.category(c) in ("Lu", "Ll", "Lt", "Lo") and c != "µ"
    return (is_letter or c.isdecimal()) and script_of(c) not in _COMPANIONS


@functools.lru_cache(maxsize=4096)
def _is_disguised(c: str) -> bool:
    """Whether `c` is a Latin letter or a digit in another form: Python reads a name in either as the same."""
    if c <= "\xff" or unicodedata.category(c) not in ("Lu", "Ll", "Lo", "Nl", "Nd"):
        return False
    plain = unicodedata.normalize("NFKC", c)
    return plain.isascii() and plain.isalnum()
