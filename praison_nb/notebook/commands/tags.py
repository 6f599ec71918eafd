"""`%agent tag`: what the turns of this notebook are for."""

from __future__ import annotations

from ...metering import tags
from ..arguments import split_words
from ..extension import Extension
from ..views.tables import show


def tag_command(extension: Extension, rest: str) -> None:
    """`%agent tag [NAME=VALUE … | off]`; NAME= takes one away."""
    words = split_words(rest)
    changes = dict.fromkeys(tags.of_notebook(), "") if words == ["off"] else tags.parse_all(words)
    known = tags.encoded(tags.of_notebook(changes)).replace(",", ", ")
    show(
        extension.shell,
        f"All turns of this kernel are tagged {known}; `%agent tag NAME=` takes one away, `off` all."
        if known
        else "No tags. `%agent tag NAME=VALUE` notes what turns are for, such as study=churn.",
    )
