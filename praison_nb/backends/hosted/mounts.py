"""What an agent is told of the files that were mounted for it: a line before the next message, which is no
part of the text where that is read again."""

from __future__ import annotations

import re
from collections.abc import Sequence

MOST_NAMED = 50
_NOTE = re.compile(r"\A\[Files in your container, read-only: [^\n]*\]\n\n")


def with_mounts(text: str, mounts: Sequence[str]) -> str:
    """The text of a message with a line about the files, each of which has one.

    >>> with_mounts("Sum up.", ["/workspace/a.csv: a file, 20 B"])
    '[Files in your container, read-only: /workspace/a.csv: a file, 20 B]\\n\\nSum up.'
    >>> without_mounts(with_mounts("Sum up.", ["/workspace/a.csv: a file, 20 B"]))
    'Sum up.'
    """
    if not mounts:
        return text
    more = [f"{len(mounts) - MOST_NAMED:,} more"] if len(mounts) > MOST_NAMED else []
    return f"[Files in your container, read-only: {'; '.join([*mounts[:MOST_NAMED], *more])}]\n\n{text}"


def without_mounts(text: str) -> str:
    """The text of a message as its user wrote it."""
    return _NOTE.sub("", text)
