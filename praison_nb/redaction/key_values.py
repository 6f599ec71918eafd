"""The secrets that stand in a text under a name: entries of dicts, arguments, headers, variables, options,
elements, connection strings, queries. What is looked at after each name is bounded: no text takes long.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterator

from .names import Level, fits, is_placeholder, is_plain, level_of, level_of_items, looks_random
from .patterns import FORMS, HIDDEN, Found

_SIGNS = (
    *("key", "token", "secret", "pass", "pwd", "credential", "auth", "pat", "dsn", "sig", "jwt", "cookie"),
    *("pw", "psw", "kennwort"),
)
_LOOKED_AT = 250
_NAME = re.compile(
    r"(?<![\w.-])(?P<n>[A-Za-z_][\w.-]{0,80}+)\\{0,3}(?:\"\\{0,3}\"|[\"']?)(?P<sep>\s{0,4}+(?::=|=>|:|=(?!=))\s{0,4}+)(?:b(?=[\"\\']))?(?=[^\s,;)\]}])",
    re.ASCII,
)
# (?>(?:…)*) and not (?:…)*+: before 3.11.5 Python's re loses its place in a possessive group (gh-106052).
# In CSV and SQL a quote within quotes is doubled.
_QUOTED = r"(\\{{0,3}})(\"\1\"(?=[^\s,;:)\]}}\"\\])|[\"'])(?P<v>(?>(?:(?!\1\2)(?:\\.|[^\\])){{0,{}}}))"
_QUOTED_HEAD = re.compile(_QUOTED.format(_LOOKED_AT), re.DOTALL)
_QUOTED_FULL = re.compile(_QUOTED.format(""), re.DOTALL)
_BARE = r"[^\s\"'`,;&<>()\[\]{{}}|\\]{{1,{}}}+"
_BARE_HEAD = re.compile(_BARE.format(_LOOKED_AT))
_BARE_FULL = re.compile(_BARE.format(""))
# In a connection string a value may have spaces in it.
_UP_TO_SEMICOLON = re.compile(r"[^;\n\"'&=]{1,200}+(?=;)")
_PAIR_BEFORE = re.compile(r"\w=\S{1,60} $")
_PAIR_AFTER = re.compile(r" {1,4}\w{1,30}=[^\s=]")
_IDENTIFIER = re.compile(r"[A-Za-z_][\w.]*", re.ASCII)
_LINE_BEFORE = re.compile(
    r"(?:^|\n|\\n)[ \t>#+-]{0,40}(?:(?:export|set|setx|ENV|ARG|const|let|var) {1,4}|\$env:|\$)?$"
)
_LINE_AFTER = re.compile(r"[ \t]{0,20}(?:;?\r?(?:\n|\\n|$)|[ \t]#)")
_ASSIGNED = re.compile(r"(?:^|[ \t\n])(?:export {1,4}|-e {1,4}|--env[ =]|ENV {1,4}|env {1,4})$")


def _under_names(text: str) -> Iterator[Found]:
    done = 0
    for match in _NAME.finditer(text):
        begin, name = match.end(), match["n"].rpartition(".")[2]
        if begin < done:
            continue
        if text[begin] in "[(":
            items, done = _items(text, begin, name)
            yield from items
            continue
        # PWD is the shell's folder, and in a connection string what it is elsewhere.
        level = level_of("pwd") if name == "PWD" and text[begin] not in "/\"'" else level_of(name)
        if not level:
            continue
        if head := _QUOTED_HEAD.match(text, begin):
            pattern, is_secret = _QUOTED_FULL, fits(level, head["v"])
            begin, value = head.start("v"), head["v"]
        elif head := _BARE_HEAD.match(text, begin):
            pattern, value = _BARE_FULL, head[0]
            is_secret = fits(level, value) and _is_value(text, match, value, level)
        else:
            continue
        if is_secret and value != HIDDEN:
            done = head.end()
            if len(value) == _LOOKED_AT and (longer := pattern.match(text, match.end())):
                done = longer.end()
            elif pattern is _BARE_FULL and text[match.start() - 1 : match.start()] == ";":
                longer = _UP_TO_SEMICOLON.match(text, begin)
                done = max(done, longer.end() if longer else 0)
            yield Found(begin, done, name[:60])


def _is_value(text: str, match: re.Match[str], value: str, level: Level) -> bool:
    """Whether what stands after a name, without quotes, is its value, and no code or prose."""
    begin, end = match.start(), match.end() + len(value)
    before, after = text[max(0, begin - 1) : begin], text[end : end + 1]
    if after and after in "([{":
        return False
    line = text[max(0, begin - 60) : begin]
    # In code it is a name, whose digits are at its end. A name after a colon is a type.
    is_name = _IDENTIFIER.fullmatch(value.rstrip(string.digits))
    if match["sep"] == "=":
        # A query, a connection string, a file of variables.
        is_variable = match["n"].isupper() and (before in ("", "\n") or _ASSIGNED.search(line))
        is_pair = _PAIR_AFTER.match(text, end) or _PAIR_BEFORE.search(text, max(0, begin - 70), begin)
        if is_variable or is_pair or before in ("?", "&", ";") or after in (";", "&"):
            return True
    if level is Level.SURE and "\n" not in match["sep"]:
        # A line of a file of settings has nothing else in it.
        is_line = begin < 60 or "\n" in line or "\\n" in line
        if (
            is_line
            and _LINE_BEFORE.search(line if begin >= 60 else text[:begin])
            and _LINE_AFTER.match(text, end)
        ):
            # Code is indented more often than settings with spaces around their `=` are.
            is_indented = begin > 0 and text[begin - 1] in " \t" and match["sep"] == " = "
            return not (is_name and (is_indented or _is_code(value)))
    is_code = not (match["sep"].strip() == ":" and "." not in value) and is_name
    return looks_random(value) or (len(value) > 5 and not is_plain(value) and not is_code)


def _is_code(value: str) -> bool:
    """Whether an identifier is a variable's or a type's: it is dotted, says what it holds, or is in
    CamelCase."""
    return "." in value or bool(level_of(value)) or bool(re.fullmatch(r"(?:[A-Z][a-z]+){2,}", value))


_ITEM = re.compile(r"[\s,]{0,8}b?\\{0,3}([\"'])(?P<v>(?:(?!\1)[^\\\n]|\\.){1,500}?)\\{0,3}\1")
_MOST_ITEMS = 1000


def _items(text: str, begin: int, name: str) -> tuple[list[Found], int]:
    """The secrets of a list, such as `passwords=['a', 'b']`, and where it was read to."""
    level, at = level_of_items(name), begin + 1
    found: list[Found] = []
    while level and len(found) < _MOST_ITEMS and (item := _ITEM.match(text, at)):
        at = item.end()
        if fits(level, item["v"]) and item["v"] != HIDDEN:
            found.append(Found(*item.span("v"), name[:60]))
    return found, at


_OPTION = re.compile(
    r"(?<![\w-])--?(?P<n>[A-Za-z][\w-]{1,60}+)(?P<sep>=| {1,3})(?P<q>[\"']?)"
    r"(?P<s>(?!-)[^\s\"'|;&`<>\[\]()]{1,4000}+)",
    re.ASCII,
)


def _options(text: str) -> Iterator[Found]:
    """`--password=X`, `--api-key X`."""
    if "-" not in text:
        return
    for match in _OPTION.finditer(text):
        value, end = match["s"], match.end()
        level = level_of(match["n"])
        if level is Level.LIKELY and match["n"].endswith("token"):
            # No word of a text is an option.
            level = Level.SURE
        if not level or value == HIDDEN or value.isupper() or value.startswith("$") or not fits(level, value):
            continue
        # Else a sentence goes on.
        ends = not (rest := text[end : end + 3]) or rest[0] in "\n\r|;&\"'" or rest.startswith((" -", " \\"))
        if match["q"] or match["sep"] == "=" or ends or not is_plain(value):
            yield Found(*match.span("s"), match["n"][:60])


_ELEMENT = re.compile(r"<(?P<n>[A-Za-z][\w.:-]{0,60}+)>(?P<s>[^<>\n]{1,500}+)</(?P=n)>", re.ASCII)
_ENTRY = re.compile(
    r"\b(?:name|key|variable)\\{0,3}[\"']?\s{0,2}[:=]\s{0,2}\\{0,3}[\"']?(?P<n>[A-Za-z_][\w.-]{0,80}+)\\{0,3}[\"']?"
    r"\s{0,20}(?:,\s{0,20})?(?:- {1,4})?\\{0,3}[\"']?value\\{0,3}[\"']?\s{0,2}[:=]\s{0,2}\\{0,3}[\"']?"
    r"(?P<s>(?<=[\"'])[^\"'\\\n]{1,500}|[^\s\"'\\,}]{1,500})",
    re.ASCII | re.IGNORECASE,
)


def _of_pairs(pattern: re.Pattern[str], sign: str) -> Callable[[str], Iterator[Found]]:
    def search(text: str) -> Iterator[Found]:
        if sign not in text:
            return
        for match in pattern.finditer(text):
            level = level_of(match["n"])
            if level and match["s"] != HIDDEN and fits(level, match["s"]):
                yield Found(*match.span("s"), match["n"][:60])

    return search


_COOKIES = re.compile(
    r"(?:[Ss]et-)?[Cc]ookie\\{0,3}[\"']?\s{0,2}[:=]\s{0,2}\\{0,3}[\"']?(?=[\w!#$%&*+.^|~-]{1,100}=)", re.ASCII
)
_COOKIE = re.compile(
    r"(?:;\s{0,2})?(?P<n>[\w!#$%&*+.^|~-]{1,100})(?:=(?P<s>[^\s;,\"'\\]{0,4000}+))?", re.ASCII
)
_OF_COOKIES = frozenset(("path", "domain", "expires", "max-age", "samesite", "priority", "version"))


def _in_cookies(text: str) -> Iterator[Found]:
    if "ookie" not in text:
        return
    at = 0
    for header in _COOKIES.finditer(text):
        if header.start() < at:
            continue
        at = header.end()
        while cookie := _COOKIE.match(text, at):
            at = cookie.end()
            name, value = cookie["n"], cookie["s"] or ""
            if value and value != HIDDEN and name.lower() not in _OF_COOKIES and not is_placeholder(value):
                yield Found(*cookie.span("s"), f"the cookie {name:.40}")
            if text[at : at + 1] != ";":
                break


_BY_NAME = (_under_names, _options, _of_pairs(_ELEMENT, "</"), _of_pairs(_ENTRY, "value"), _in_cookies)


def _where_named(search: Callable[[str], Iterator[Found]]) -> Callable[[str], Iterator[Found]]:
    def searched(text: str) -> Iterator[Found]:
        return search(text) if any(map(text.lower().__contains__, _SIGNS)) else iter(())

    return searched


SEARCHES: tuple[Callable[[str], Iterator[Found]], ...] = (*FORMS, *map(_where_named, _BY_NAME))
"""Each yields some of a text's secrets, in its order; together they find all, one after the other."""
