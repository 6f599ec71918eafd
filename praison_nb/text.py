"""Text that every file, socket and page takes. A str may hold half a character (a lone surrogate), from a
name on the disk or an emoji that was cut in two, and then it cannot be written as UTF-8."""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")


def whole(value: T) -> T:
    """`value`, text or what JSON holds, without halves: two that belong together are joined, others replaced.

    >>> whole("caf\\udce9"), whole({"say": ["\\ud83d\\ude00"]})
    ('caf�', {'say': ['😀']})
    """
    made: object = value
    if isinstance(value, str):
        made = _joined(value)
    elif isinstance(value, dict):
        made = {whole(key): whole(inner) for key, inner in value.items()}
    elif isinstance(value, list):
        made = [whole(inner) for inner in value]
    return made  # type: ignore[return-value]


def split_half(text: str) -> tuple[str, str]:
    """`text` in two: what can be shown, and half a character at its end whose other half may follow."""
    return (text[:-1], text[-1]) if text and "\ud800" <= text[-1] <= "\udbff" else (text, "")


def _joined(text: str) -> str:
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
