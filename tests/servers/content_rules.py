"""What real servers refuse of pictures and documents in prompts, in their words."""

from __future__ import annotations

import base64
import binascii
from typing import Any

PICTURES = {
    b"\x89PNG": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"RIFF": "image/webp",
}
MOST = 5 * 1024 * 1024
"""Characters of one picture's base64."""


def block_refusal(block: dict[str, Any]) -> str | None:
    """Why Anthropic's servers do not take an image or document block; None where they do."""
    source = block.get("source") or {}
    if block["type"] not in ("image", "document") or source.get("type") != "base64":
        return None
    data, problem = _decoded(source["data"])
    if problem:
        return problem
    media_type = source["media_type"]
    if block["type"] == "document":
        is_pdf = media_type == "application/pdf" and data.startswith(b"%PDF-")
        return None if is_pdf else "The PDF specified was not valid."
    if len(source["data"]) > MOST:
        return f"image exceeds 5 MB maximum: {len(source['data'])} bytes > {MOST} bytes"
    if media_type not in PICTURES.values():
        return f"media_type: Input should be {', '.join(map(repr, PICTURES.values()))}"
    kind = _kind(data)
    if kind is None:
        return "Could not process image"
    if kind != media_type:
        return (
            f"The image was specified using the {media_type} media type, but the image appears to be a "
            f"{kind} image"
        )
    return None


def url_refusal(url: str, file: bool = False) -> str | None:
    """Why OpenAI's servers do not take a picture or a file that comes as a data URL; None where they do."""
    head, comma, encoded = url.partition(";base64,")
    media_type = head.removeprefix("data:")
    data, problem = _decoded(encoded)
    if not comma or not head.startswith("data:") or problem:
        return "Invalid base64 image_url." if not file else "Invalid file data: not a base64 data URL."
    if file:
        is_pdf = media_type == "application/pdf" and data.startswith(b"%PDF-")
        return None if is_pdf else f"Invalid file data: unsupported MIME type '{media_type}'."
    if _kind(data) is None or media_type not in PICTURES.values():
        return (
            "You uploaded an unsupported image. Please make sure your image has of one the following "
            "formats: ['png', 'jpeg', 'gif', 'webp']."
        )
    return None


def last_text(content: str | list[dict[str, Any]]) -> str:
    """The text of a message's content, the last one of several."""
    if isinstance(content, str):
        return content
    return str([part["text"] for part in content if "text" in part][-1])


def _kind(data: bytes) -> str | None:
    return next((kind for magic, kind in PICTURES.items() if data.startswith(magic)), None)


def _decoded(text: str) -> tuple[bytes, str | None]:
    try:
        return base64.b64decode(text, validate=True), None
    except (binascii.Error, ValueError):
        return b"", "source.base64.data: invalid base64 data"
