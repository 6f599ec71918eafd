"""Pictures and documents as Anthropic's APIs have them: Messages and hosted sessions."""

from __future__ import annotations

from typing import Any

from ..content import Attachment


def content_block(attached: Attachment) -> dict[str, Any]:
    """The content block.

    >>> from praison_nb.content import Attachment
    >>> text = Attachment(media_type="text/plain", data="Hi", name="a.txt", label="[text a.txt]", tokens=1)
    >>> content_block(text)["source"]
    {'type': 'text', 'media_type': 'text/plain', 'data': 'Hi'}
    """
    kind = "text" if attached.kind == "text" else "base64"
    source = {"type": kind, "media_type": attached.media_type, "data": attached.data}
    if attached.kind == "picture":
        return {"type": "image", "source": source}
    return {"type": "document", "source": source, "title": attached.name}
