"""What a server says of an error: its own words and codes, wherever they stand in what it sent.

>>> find({"detail": [{"loc": ["body", "messages"], "msg": "Field required"}]}).text
'messages: Field required'
>>> find('[{"error": {"code": 400, "message": "No such tool.", "status": "INVALID_ARGUMENT"}}]')
Reason(text='No such tool.', codes=('400', 'invalid_argument'), retry_after=None, is_page=False)
>>> find("<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>").text
'502 Bad Gateway'
"""

from __future__ import annotations

import html
import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

MOST_READ = 4000
"""Characters of what a server says: it may answer with a whole page."""
_MOST_JSON = 100_000
_DEEPEST = 10
_MOST_ITEMS = 3
# In this order: the first one that says something counts, and the others are not asked.
_TEXTS = (
    *("error_description", "error_message", "errormessage", "error", "errors", "message", "msg", "detail"),
    *("details", "description", "reason", "fault", "faultstring", "title", "cause"),
    *("status_msg", "error_msg", "errmsg", "base_resp"),
)
_CODES = ("code", "type", "status", "reason", "error_code", "errorcode", "__type", "error")
_MORE = ("metadata", "details", "innererror", "inner_error", "upstream")
# What a gateway says where it has the reason of the server behind it in `metadata.raw`.
_RAW = ("raw", "upstream_error")


@dataclass(frozen=True, slots=True)
class Reason:
    """`text` is what a user reads, "" where there is none. `codes` are the server's words for programs, in
    lower case. `retry_after` is in seconds. `is_page`: it sent HTML."""

    text: str = ""
    codes: tuple[str, ...] = ()
    retry_after: float | None = None
    is_page: bool = False


def find(body: Any) -> Reason:
    """The reason in `body`: JSON, as text or as what it holds, or any text."""
    finder = _Finder()
    text = finder.text(body, _DEEPEST)
    text = text[:MOST_READ].strip()
    if finder.retry_after is None and (match := _AGAIN.search(text)):
        finder.retry_after = seconds(match[1])
    return Reason(text, tuple(dict.fromkeys(finder.codes)), finder.retry_after, finder.is_page)


def is_page(text: str) -> bool:
    """Whether this is HTML."""
    return re.match(r"\s*(<!--.{0,500}?-->\s*)?<(!doctype|html|head|body)\b", text, re.I | re.S) is not None


@dataclass(eq=False)
class _Finder:
    codes: list[str] = field(default_factory=list)
    retry_after: float | None = None
    is_page: bool = False

    def text(self, body: Any, depth: int) -> str:
        """What is to be read of it; its codes are noted."""
        if depth <= 0:
            return ""
        match body:
            case str():
                return self._of_text(body, depth)
            case bytes():
                return self._of_text(body[:_MOST_JSON].decode("utf-8", "replace"), depth)
            case Mapping():
                return self._of_object({str(key).lower(): value for key, value in body.items()}, depth)
            case list() | tuple():
                texts = [self.text(each, depth - 1) for each in body[:_MOST_ITEMS]]
                more = f" (and {len(body) - _MOST_ITEMS} more)" if len(body) > _MOST_ITEMS else ""
                return "; ".join(dict.fromkeys(filter(None, texts))) + more
        return ""

    def _of_text(self, text: str, depth: int) -> str:
        text = text[:_MOST_JSON].strip()
        if is_page(text):
            self.is_page = True
            return _page(text)
        # A gateway puts the answer of the server behind it into its own, as text.
        for match in itertools.islice(re.finditer(r"[{\[]", text[:MOST_READ]), _MOST_ITEMS):
            try:
                value, end = _decoder.raw_decode(text, match.start())
            except (ValueError, RecursionError):
                continue
            if not (inner := self.text(value, depth - 1)):
                # JSON of which nothing is to be read, or something with braces.
                return "" if end - match.start() == len(text) else text
            before = re.sub(r"[\s:'\"-]+(b['\"])?$", "", text[: match.start()])
            after = text[end:].strip(" '\".")
            return ": ".join(filter(None, (before, inner))) + (f" ({after})" if after else "")
        return text

    def _of_object(self, body: dict[str, Any], depth: int) -> str:
        self._note(body)
        text, key = "", ""
        for key in _TEXTS:
            if body.get(key) and not isinstance(body[key], bool | int | float):
                text = self.text(body[key], depth - 1)
                if text:
                    break
        where = body.get("loc") or body.get("param") or body.get("field") or ""
        if name := _field(where):
            text = f"{name}: {text}" if text and name not in text else text
        if raw := " ".join(filter(None, self._behind(body, depth))):
            # "Provider returned error"
            text = f"{text} ({raw})" if text and raw not in text else (text or raw)
        return text

    def _behind(self, body: dict[str, Any], depth: int) -> Iterator[str]:
        for key in _MORE:
            inner = body.get(key)
            for each in inner if isinstance(inner, list) else [inner]:
                if isinstance(each, Mapping):
                    lowered = {str(name).lower(): value for name, value in each.items()}
                    self._note(lowered)
                    for name in _RAW:
                        if lowered.get(name):
                            yield self.text(lowered[name], depth - 1)

    def _note(self, body: dict[str, Any]) -> None:
        for key in _CODES:
            code = body.get(key)
            # A sentence is no code.
            is_code = isinstance(code, str | int) and not isinstance(code, bool) and bool(code)
            if is_code and len(str(code)) <= 80 and " " not in str(code):
                self.codes.append(str(code).lower())
        for key in ("retry_after", "retrydelay", "retry_after_seconds", "estimated_time"):
            if self.retry_after is None:
                self.retry_after = seconds(body.get(key))


_decoder = json.JSONDecoder(strict=False)


def _field(where: Any) -> str:
    """The name of the field that an error is about."""
    if isinstance(where, list | tuple):
        parts = [str(part)[:60] for part in where[:8] if isinstance(part, str | int)]
        return ".".join(parts[1:] if parts[:1] == ["body"] else parts)
    return where[:60] if isinstance(where, str) else ""


def _page(text: str) -> str:
    """What a page is about: its title, its first heading, or its text."""
    for tag in ("title", "h1"):
        match = re.search(rf"<{tag}\b[^>]{{0,500}}>([^<]{{1,500}})", text, re.I)
        if match and (title := " ".join(html.unescape(match[1]).split())):
            return title
    text = _TAG.sub(" ", text)
    return " ".join(html.unescape(text[:MOST_READ]).split())[:300]


def seconds(value: Any) -> float | None:
    """A time to wait as servers write it: 2, "2.5", "34s", "850ms", "1m26.4s"; None for anything else.

    >>> seconds("1m26.4s"), seconds("850ms"), seconds("soon")
    (86.4, 0.85, None)
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value)
    elif not isinstance(value, str) or not (match := _DURATION.fullmatch(value[:40].strip())):
        return None
    else:
        hours, minutes, rest, thousandths = (float(part or 0) for part in match.groups())
        number = hours * 3600 + minutes * 60 + rest + thousandths / 1000
    return number if math.isfinite(number) and number >= 0 else None


_TAG = re.compile(r"<(script|style)\b.*?(</\1[^>]{0,100}>?|$)|<!--.*?(-->|$)|<[^>]{0,1000}>?", re.I | re.S)
_AGAIN = re.compile(
    r"\b(?:try|retry)(?:ing)? (?:again )?(?:in|after) ([\dhms.]{1,12}[\dhms])(?: s(?:ec|econds?)?)?\b", re.I
)
_DURATION = re.compile(
    r"(?=\d|\.\d)(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d*\.?\d+)(?![\d.]|ms)s?)?(?:(\d*\.?\d+)ms)?"
)
