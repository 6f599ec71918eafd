"""The forms that secrets have in a text: a table of those that give themselves away, and what has a name
before it. Each pattern is bounded or possessive where it can be tried at many places: no text takes long.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import re
import string
from collections.abc import Callable, Iterator
from typing import NamedTuple

from .names import fits, is_plain, is_template, level_of, looks_random

HIDDEN = "[key]"
"""What stands in a secret's place."""


class Found(NamedTuple):
    """A secret at text[begin:end]; `name` may be shown."""

    begin: int
    end: int
    name: str


class _Form(NamedTuple):
    """`name` is for people. One of `signs` is in every text that has such a secret, which is the group "s" of
    the pattern, or all of it, where `is_one` says so too."""

    name: str
    signs: list[str]
    pattern: re.Pattern[str]
    group: str | int
    is_one: Callable[[str], bool]


def _form(name: str, signs: str, pattern: str, is_one: Callable[[str], bool] = bool) -> _Form:
    compiled = re.compile(pattern, re.ASCII)
    return _Form(name, signs.split(), compiled, "s" if "s" in compiled.groupindex else 0, is_one)


def _is_basic(text: str) -> bool:
    """Whether this is a user's name and password in base64, and no word after "Basic"."""
    with contextlib.suppress(ValueError):
        plain = base64.b64decode(text + "=" * (-len(text) % 4)).decode()
        return ":" in plain and plain.isprintable()
    return False


def _is_password(text: str) -> bool:
    return not is_template(text)


# What no name is made of: a long run of letters and digits. (Longer where no digit gives it away.)
_RUN = r"(?:(?=[A-Za-z]*\d)[A-Za-z0-9]{16,}|[A-Za-z0-9]{24,})"
_AFTER_PREFIX = rf"[-_](?:[A-Za-z0-9]{{1,12}}[-_]){{0,3}}{_RUN}[\w-]*"
_PREFIXES = (
    "sk pk rk gsk xai hf r8 npm whsec nvapi pplx tvly csk lsv2 glsa sntrys shpat lin_api ntn vck fw dop_v1"
)

_FORMS = (
    _form(
        "a private key (PEM)",
        "PRIVATE",
        r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:(?:[^-]|-(?!----))*+-----END [A-Z ]{0,40}-----"
        # Cut before its end.
        r"|(?:(?:\s|\\[nrt]|[\"',]){0,40}+[A-Za-z0-9+/=]{16,}+)*+)",
    ),
    # A word of letters after it is prose, such as "Bearer of" and "Bearer token-based".
    _form(
        "a Bearer header",
        "earer BEARER",
        r"(?:[Bb]earer|BEARER)(?: |%20)(?![A-Za-z][a-z]{0,13}(?:-[a-z]{1,13}){0,3}(?!\.?[\w~+/=-]))"
        r"(?P<s>[\w.~+/=-]*[\w~+/=-])",
    ),
    _form(
        "a Basic header",
        "asic BASIC",
        r"(?:[Bb]asic|BASIC)(?: |%20)(?P<s>[A-Za-z0-9+/_-]{6,}+={0,2})",
        _is_basic,
    ),
    # The last @ before the path ends it.
    _form(
        "a password in a URL",
        "://",
        r"://[^/\s:@\"'<>`]{0,256}+:(?P<s>[^\s/\"'<>`]{1,256})@",
        _is_password,
    ),
    # With a slash in it, where it is no port.
    _form(
        "a password in a URL",
        "://",
        r"://[^/\s:@\"'<>`]{0,256}+:(?P<s>(?!\d{1,5}[/?#])[^\s@\"'<>`]{1,256}+)@",
        _is_password,
    ),
    _form(
        "a password in a URL",
        "%3A%2F%2F %3a%2f%2f",
        r"%3[Aa]%2[Ff]%2[Ff][^\s/:@%\"'<>`]{0,256}+%3[Aa](?P<s>[^\s/:@\"'<>`]{1,256}?)%40",
        _is_password,
    ),
    _form("a token in a URL", "://", r"://(?P<s>[^/\s:@\"'<>`]{12,256}+):?@", looks_random),
    _form(
        "a webhook's address",
        "hook",
        r"(?:hooks\.slack\.com/(?:services|workflows)|discord(?:app)?\.com/api/webhooks|\.webhook\.office\.com)"
        r"/(?P<s>[\w/@-]{16,})",
    ),
    _form("a JSON web token", "eyJ", r"(?<![\w-])eyJ[\w-]{5,}+\.[\w-]{5,}+(?:\.[\w-]*+){1,3}"),
    _form("an AWS key", "AKIA ASIA", r"(?<![A-Za-z0-9])A(?:KI|SI)A[A-Z0-9]{16}(?![A-Za-z0-9])"),
    _form(
        "a GitHub token",
        "gho_ ghp_ ghr_ ghs_ ghu_ github_pat_",
        rf"(?<![A-Za-z])(?:gh[oprsu]|github_pat){_AFTER_PREFIX}",
    ),
    _form("a GitLab token", "glpat glrt gldt", r"(?<![A-Za-z])gl(?:pat|rt|dt)-[\w-]{16,}"),
    _form("a Slack token", "xox xapp", r"(?<![A-Za-z])(?:xox[a-z]|xapp)-(?=[A-Za-z-]{0,80}\d)[\w-]{10,}"),
    # `pk_customer_id`, `xai-explainability` and a date are none.
    _form(
        "an API key",
        # Each is in the prefix that it stands for, or in several.
        "sk- sk_ pk- pk_ rk- rk_ xai- hf_ r8_ npm_ whsec_ nvapi- pplx- tvly- lsv2_ glsa_ sntrys_ shpat_ "
        "lin_api_ ntn_ vck_ fw_ dop_v1_",
        r"(?<![A-Za-z])(?:"
        r"sk-(?:ant|proj|or|svcacct|admin)-[\w-]{8,}"
        r"|gsk_(?=[A-Za-z]*\d)[A-Za-z0-9]{12,}"
        rf"|(?:{'|'.join(_PREFIXES.split())}){_AFTER_PREFIX}"
        # One with `-` and `_` in it has no such run: letters, cases and digits are mixed within its parts.
        r"|[spr]k-(?=[\w-]{0,80}[A-Za-z]\d)(?=[\w-]{0,80}(?:\d[A-Za-z]|[a-z][A-Z]))[\w-]{20,}"
        # Longer than a date.
        r"|[spr]k-(?:[A-Za-z]{1,12}[-_]){0,3}[A-Za-z]{0,12}\d{9,}[\w-]*"
        r")",
    ),
    _form("an API key", "AIza", r"AIza[\w-]{10,}"),
    _form(
        "an API key",
        "pypi-AgE SG. ya29. GOCSPX- hvs. dapi PMAK- ATATT AGE-SECRET",
        r"(?<![A-Za-z])(?:pypi-AgE[\w-]{20,}|SG\.[\w-]{16,64}\.[\w-]{16,}|ya29\.[\w-]{20,}|GOCSPX-[\w-]{20,}"
        r"|hvs\.[\w-]{20,}|dapi[0-9a-f]{32}|PMAK-[0-9a-f-]{30,}|ATATT[\w-]{30,}|AGE-SECRET-KEY-1[A-Z0-9]{50,})",
    ),
    _form("a bot's token", ":AA", r"(?<!\d)\d{8,10}:AA[\w-]{32,}"),
)


def _by_form(form: _Form, text: str) -> Iterator[Found]:
    """The secrets in `text` that have this form."""
    if any(sign in text for sign in form.signs):
        for match in form.pattern.finditer(text):
            if match[form.group] != HIDDEN and form.is_one(match[form.group]):
                yield Found(*match.span(form.group), form.name)


_NAMED_SIGNS = (
    "key",
    "token",
    "secret",
    "pass",
    "pwd",
    "credential",
    "auth",
    "pat",
    "dsn",
    "sig",
    "jwt",
    "cookie",
)
_NAME = re.compile(
    r"(?<![\w.-])(?P<n>[A-Za-z_][\w.-]{0,80}+)\\{0,3}[\"']?(?P<sep>\s{0,4}+(?::=|=>|:|=(?!=))\s{0,4}+)b?(?=[^\s,;)\]}])",
    re.ASCII,
)
_QUOTED = re.compile(r"""(\\{0,3})(["'])(?P<v>(?:(?!\1\2)(?:\\.|[^\\]))*+)""", re.DOTALL)
_BARE = re.compile(r"[^\s\"'`,;&<>()\[\]{}|\\]+")
_PAIR_BEFORE = re.compile(r"\w=\S{1,60} $")
_PAIR_AFTER = re.compile(r" {1,4}\w{1,30}=[^\s=]")
_IDENTIFIER = re.compile(r"[A-Za-z_][\w.]*", re.ASCII)


def _under_names(text: str) -> Iterator[Found]:
    """The secrets that stand in `text` under a name: entries of dicts, arguments, headers, variables,
    connection strings, queries."""
    lower = text.lower()
    if not any(sign in lower for sign in _NAMED_SIGNS):
        return
    done = 0
    for match in _NAME.finditer(text):
        begin, name = match.end(), match["n"].rpartition(".")[2]
        # PWD is the shell's folder, and in a connection string what it is elsewhere.
        level = level_of("pwd") if name == "PWD" and text[begin] not in "/\"'" else level_of(name)
        if begin < done or not level:
            continue
        if quoted := _QUOTED.match(text, begin):
            begin, value = quoted.start("v"), quoted["v"]
            is_secret = fits(level, value)
        elif bare := _BARE.match(text, begin):
            value = bare[0]
            is_secret = fits(level, value) and _is_value(text, match, value)
        else:
            continue
        if is_secret and value != HIDDEN:
            done = begin + len(value)
            yield Found(begin, done, name[:60])


def _is_value(text: str, match: re.Match[str], value: str) -> bool:
    """Whether what stands after a name, without quotes, is its value, and no code or prose."""
    begin, end = match.start(), match.end() + len(value)
    before, after = text[max(0, begin - 1) : begin], text[end : end + 1]
    if after and after in "([{":
        return False
    if match["sep"] == "=":
        # A query, a connection string, a file of variables.
        is_variable = match["n"].isupper() and (
            before in ("", "\n") or text.startswith("export ", max(0, begin - 7))
        )
        is_pair = _PAIR_AFTER.match(text, end) or _PAIR_BEFORE.search(text, max(0, begin - 70), begin)
        if is_variable or is_pair or before in ("?", "&", ";") or after in (";", "&"):
            return True
    # In code it is a name, whose digits are at its end. A name after a colon is a type.
    is_header = match["sep"].strip() == ":" and "." not in value
    is_code = not is_header and _IDENTIFIER.fullmatch(value.rstrip(string.digits))
    return looks_random(value) or (len(value) > 5 and not is_plain(value) and not is_code)


SEARCHES: tuple[Callable[[str], Iterator[Found]], ...] = (
    *(functools.partial(_by_form, form) for form in _FORMS),
    _under_names,
)
"""Each yields some of a text's secrets, in its order; together they find all, one after the other."""
