"""Letters that pass for others: a Cyrillic а among Latin letters, say, in what somebody is asked to allow.

No word of another script is one by itself: a sentence in Russian, a comment in Chinese, µ and π in names stay
as they are.
"""

from __future__ import annotations

import functools
import re
import unicodedata


def code_point(character: str) -> str:
    """`U+0430`."""
    return f"U+{ord(character):04X}"


@functools.lru_cache(maxsize=4096)
def character_name(character: str) -> str:
    """Unicode's name of it, or its code point."""
    return unicodedata.name(character, code_point(character))


_TOKEN = re.compile(r"[^\s]*[^\x00-\x7f][^\s]*")
_WORD = re.compile(r"(?:[^\W_]|[\u0300-\u036f])+")
# As Unicode's security profile "highly restrictive" has it (UTS 39): these are written among Latin letters.
_COMPANIONS = frozenset(
    ["LATIN", "CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "HALFWIDTH", "HANGUL", "BOPOMOFO"]
)
# Of Greek, what names of variables in science have, and what looks like no Latin letter.
_SYMBOLS = frozenset("ΓΔΘΛΞΠΣΦΨΩβδεζηθλμξπστφψωϕϵϑ∂")
# Whole words of these can be read as Latin ones.
_LOOKALIKES = {
    "CYRILLIC": frozenset("АВЕЅІЈКМНОРСТУХҮԌԚԜӀасеорхуѕіјһԁԍԛԝӏкүѵ"),
    "GREEK": frozenset("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧοϲϳ"),
}
_PUNCTUATION = frozenset("\u037e\u1fef\u2024\u2044\u2215\u2236\u29f8\ua789")


def lookalikes(text: str) -> set[int]:
    """Where in a line letters of another script pass for Latin ones, and signs for those of code.

    >>> lookalikes("if user == '\\u0430dmin'"), lookalikes("привет"), lookalikes("λ = 3")
    ({12}, set(), set())
    """
    found: set[int] = set()
    doubtful: list[tuple[str, range, bool]] = []
    unmistakable: set[str] = set()
    for token in _TOKEN.finditer(text):
        inside = set(token[0])
        if inside & _PUNCTUATION:
            found.update(token.start() + i for i, c in enumerate(token[0]) if c in _PUNCTUATION)
        in_code = any(c.isascii() and c.isalpha() for c in inside)
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
            for script, lookalikes in _LOOKALIKES.items():
                own = {c for c in letters if script_of(c) == script}
                if own and own <= lookalikes:
                    doubtful.append((script, where, in_code))
                elif own:
                    unmistakable.add(script)
    for script, where, in_code in doubtful:
        # A short word of a sentence in that script is no disguise.
        if in_code or script not in unmistakable:
            found.update(i for i in where if text[i] in _LOOKALIKES[script])
    return found


@functools.lru_cache(maxsize=4096)
def script_of(c: str) -> str:
    """The script of a letter, as its name begins: CYRILLIC."""
    return character_name(c).partition(" ")[0]


def _is_latin(c: str) -> bool:
    return c.isalpha() and (c.isascii() or script_of(c) == "LATIN")


@functools.lru_cache(maxsize=4096)
def _is_foreign(c: str) -> bool:
    """Whether `c` is of no script that is written among Latin letters. Phonetic letters and clicks are Latin
    by name only."""
    if c.isascii() or c in _SYMBOLS:
        return False
    if "\u01c0" <= c <= "\u01c3" or "\u0250" <= c <= "\u02af":
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
