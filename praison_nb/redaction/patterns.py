"""The forms that secrets have in a text: a table of those that give themselves away. Each
pattern is bounded or possessive where it can be tried at many places: no text takes long."""

from __future__ import annotations

import base64
import contextlib
import functools
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from .names import is_placeholder, is_template, looks_random

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
        r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
        r"(?:(?>(?:[^-]|-(?!----))*)-----END [A-Z ]{0,40}-----"
        # Cut before its end.
        r"|(?>(?:(?>(?:\s|\\[nrt]|[\"',]){0,40})[A-Za-z0-9+/=]{16,}+)*))",
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
        r"://[^/\s:\"'<>`]{0,256}+:(?P<s>[^\s/\"'<>`]{1,256})@",
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
    _form(
        "an Authorization header",
        "uthorization",
        r"[Aa]uthorization\\{0,3}[\"']?\s{0,2}[:=]\s{0,2}\\{0,3}[\"']?"
        r"(?:Token|token|Bearer|bearer|Bot|Key|Negotiate|NTLM|SSWS|Splunk|GenieKey|[Aa][Pp][Ii][-_]?[Kk][Ee][Yy])"
        r" (?:token=\"?)?(?P<s>[^\s\"'\\,;]{4,4000}+)(?=[\"'\\,;]|\s{0,9}$|\s{0,9}[\r\n])",
        lambda text: not is_placeholder(text),
    ),
    _form(
        "a user's password",
        "curl",
        r"\bcurl\b[^\n|;]{0,200}? (?:-u|--user|--proxy-user)[ =]?[\"']?[^\s:\"']{1,60}+:"
        r"(?P<s>[^\s\"']{1,200}+)",
        lambda text: not is_placeholder(text),
    ),
    _form("a bot's token", ":AA", r"(?<!\d)\d{8,10}:AA[\w-]{32,}"),
)


def _by_form(form: _Form, text: str) -> Iterator[Found]:
    """The secrets in `text` that have this form."""
    if any(map(text.__contains__, form.signs)):
        for match in form.pattern.finditer(text):
            if match[form.group] != HIDDEN and form.is_one(match[form.group]):
                yield Found(*match.span(form.group), form.name)


FORMS: tuple[Callable[[str], Iterator[Found]], ...] = tuple(
    functools.partial(_by_form, form) for form in _FORMS
)
"""Each yields the secrets of a text that have one form, in its order."""
