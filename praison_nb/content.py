"""What a prompt has beside its text: pictures and documents.

>>> import pathlib, tempfile
>>> note = pathlib.Path(tempfile.mkdtemp(), "note.txt")
>>> _ = note.write_text("Residuals are small.")
>>> attached = attach(note)
>>> attached.label, attached.kind, attached.data
('[text note.txt, 20 B]', 'text', 'Residuals are small.')
"""

from __future__ import annotations

import base64
import io
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from .errors import ConfigError
from .text import describe_exception, replace_surrogates, shorten, strip_control_chars

Kind = Literal["picture", "document", "text"]
PICTURE_BYTES = 3_900_000
"""Of one picture: the strictest servers take 5 MB of base64."""
DOCUMENT_BYTES = 20_000_000
TEXT_BYTES = 1_000_000
ALL_BYTES = 20_000_000
"""Of all that one request has."""
PICTURE_SIDE = 8000
"""Pixels: larger ones are refused."""
_PICTURE_TOKENS = 1600
"""What a picture of unknown or large size counts for in estimates."""
_BYTES_PER_TOKEN = 50
"""Of a PDF, in estimates."""
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", "application/pdf"),
)
_SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".pdf", ".txt")


LABEL = re.compile(r"\[(?:figure|picture|document|text)\b[^]\n]*\]")
"""What stands for an attachment in a prompt's text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A picture or a document of a prompt. `label` stands for it in the prompt's text, `name` is that of its
    file. `data` is base64, or the text itself of a text. `tokens` is about what it counts for."""

    media_type: str
    data: str = field(repr=False)
    name: str
    label: str
    tokens: int

    @property
    def kind(self) -> Kind:
        """ "picture", "document" (PDF) or "text"."""
        if self.media_type.startswith("image/"):
            return "picture"
        return "text" if self.media_type == "text/plain" else "document"

    @property
    def data_url(self) -> str:
        """It as a URL."""
        return f"data:{self.media_type};base64,{self.data}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputFile:
    """A file that a hosted agent wrote: `name` and `id` are its server's, `size` is in bytes. Of one that is
    shown `media_type` and `content` are set: a picture (PNG, JPEG or GIF) in base64, or the beginning of a
    table (text/csv).

    >>> OutputFile(id="file_1", name="plot.png", size=12_400).line
    'plot.png (12.4 kB)'
    """

    id: str
    name: str
    size: int = 0
    media_type: str = ""
    content: str = field(default="", repr=False)

    @property
    def line(self) -> str:
        """Name and size, for people."""
        return f"{one_line_name(self.name)} ({size_text(self.size)})"


def attach(value: Any, name: str = "") -> Attachment | None:
    """`value` as an attachment, by its variable's `name`; None where it is none. It may be a matplotlib
    figure or axes, a PIL picture, IPython's Image, or a Path to a file that there is: png, jpg, gif, webp,
    pdf or txt. Raises ConfigError for one that no server would take."""
    if issubclass(type(value), Attachment):
        return value  # type: ignore[no-any-return]
    if issubclass(type(value), Path):
        return _of_file(value)
    if (data := picture_bytes(value)) is None:
        return None
    word = "figure" if type(value).__module__.startswith("matplotlib.") else "picture"
    return _picture(data, f"{word} {name}".strip(), name or word)


def attach_all(prompt: str, values: Iterable[Any]) -> tuple[str, tuple[Attachment, ...]]:
    """All `values` as attachments, and the prompt with the labels that it lacks behind it. Raises ConfigError
    for a value that is none."""
    if isinstance(values, str | bytes | Path) or not isinstance(values, Iterable):
        raise ConfigError("attachments must be a list, such as [fig, Path('paper.pdf')].")
    attached = []
    for value in values:
        if (made := attach(value)) is None:
            raise ConfigError(
                f"attachments takes figures, pictures and Paths of files that there are ({_known()}), not "
                f"{_described(value)}."
            )
        attached.append(made)
    if sum(len(each.data) for each in attached) > ALL_BYTES * 4 / 3:
        raise ConfigError(f"A prompt may have {size_text(ALL_BYTES)} of pictures and documents: send fewer.")
    missing = [each.label for each in attached if each.label not in prompt]
    return "\n\n".join([*([prompt] if prompt.strip() else []), *missing]), tuple(attached)


def sniff(data: bytes) -> str:
    """The media type by the first bytes: of a picture or a PDF, "" for anything else.

    >>> sniff(b"GIF89a"), sniff(b"<svg>")
    ('image/gif', '')
    """
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for magic, kind in _MAGIC if data.startswith(magic)), "")


def picture_bytes(value: Any) -> bytes | None:
    """A figure, or another picture that `attach` takes, as the bytes of its file; None for anything else.
    Raises ConfigError for one that cannot be drawn."""
    if (of := _renderer(value)) is None:
        return None
    try:
        return of(value)
    except Exception as error:
        reason = shorten(describe_exception(error), 200)
        raise ConfigError(f"The {type(value).__name__} cannot be drawn: {reason}") from None


def is_picture(value: Any) -> bool:
    """Whether `picture_bytes` takes it."""
    return _renderer(value) is not None


def size_text(count: int) -> str:
    """Bytes for people.

    >>> size_text(20), size_text(1500), size_text(5_200_000)
    ('20 B', '1.5 kB', '5.2 MB')
    """
    if count < 1000:
        return f"{count} B"
    return f"{count / 1000:.3g} kB" if count < 999_500 else f"{count / 1e6:.3g} MB"


def _renderer(value: Any) -> Callable[[Any], bytes | None] | None:
    for module, kind, of in _PICTURES:
        known = getattr(sys.modules.get(module), kind, None)
        if isinstance(known, type) and issubclass(type(value), known):
            return of
    return None


def _of_file(path: Path) -> Attachment | None:
    try:
        if path.suffix.lower() not in _SUFFIXES or not path.is_file():
            return None
        limit = {".pdf": DOCUMENT_BYTES, ".txt": TEXT_BYTES}.get(path.suffix.lower(), PICTURE_BYTES)
        name = one_line_name(path.name)
        with path.open("rb") as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise _too_large(name, path.stat().st_size, limit)
    except OSError as error:
        raise ConfigError(f"{one_line_name(path.name)} cannot be read: {error.strerror}.") from None
    if not data:
        raise ConfigError(f"{name} is empty.")
    if path.suffix.lower() == ".txt":
        return _text(data, name)
    media_type = sniff(data)
    if media_type == "application/pdf":
        label = f"[document {name}, {size_text(len(data))}]"
        tokens = -(-len(data) // _BYTES_PER_TOKEN)
        return Attachment(media_type=media_type, data=_base64(data), name=name, label=label, tokens=tokens)
    if not media_type or path.suffix.lower() == ".pdf":
        raise ConfigError(f"{name} is no {path.suffix[1:].lower()}: its content is something else.")
    return _picture(data, f"picture {name}", name)


def _text(data: bytes, name: str) -> Attachment:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{name} is no text in UTF-8: save it as such.") from None
    label = f"[text {name}, {size_text(len(data))}]"
    text = replace_surrogates(text)
    return Attachment(media_type="text/plain", data=text, name=name, label=label, tokens=-(-len(text) // 4))


def _picture(data: bytes, what: str, name: str) -> Attachment:
    if len(data) > PICTURE_BYTES:
        raise _too_large(name, len(data), PICTURE_BYTES)
    media_type, size = sniff(data), _pixels(data)
    if not media_type.startswith("image/"):
        raise ConfigError(f"{name} is no picture of a kind that models take: save it as PNG.")
    if size and max(size) > PICTURE_SIDE:
        raise ConfigError(
            f"{name} has {size[0]:,}×{size[1]:,} pixels; a side may have {PICTURE_SIDE:,}: make it smaller."
        )
    about = f"{size[0]}×{size[1]}" if size else size_text(len(data))
    tokens = min(_PICTURE_TOKENS, -(-size[0] * size[1] // 750)) if size else _PICTURE_TOKENS
    suffix = f".{media_type.removeprefix('image/')}"
    return Attachment(
        media_type=media_type,
        data=_base64(data),
        name=name if Path(name).suffix else name + suffix,
        label=f"[{what}, {about}]",
        tokens=tokens,
    )


def _pixels(data: bytes) -> tuple[int, int] | None:
    """Width and height where they stand at one place: in PNG and GIF."""
    if data.startswith(b"\x89PNG") and len(data) >= 24:
        return int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
    if data.startswith(b"GIF8") and len(data) >= 10:
        return int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little")
    return None


def _too_large(name: str, size: int, limit: int) -> ConfigError:
    return ConfigError(f"{name} is too large: {size_text(size)}, and {size_text(limit)} are sent at most.")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def one_line_name(name: str) -> str:
    """A file's name for people."""
    return shorten(strip_control_chars(replace_surrogates(name)), 100)


def _known() -> str:
    return ", ".join(suffix[1:] for suffix in _SUFFIXES if suffix != ".jpeg")


def _described(value: Any) -> str:
    is_named = isinstance(value, str | Path)
    return f"{type(value).__name__} {shorten(str(value), 60)!r}" if is_named else type(value).__name__


def _figure(value: Any) -> bytes:
    file = io.BytesIO()
    value.savefig(file, format="png")
    return file.getvalue()


def _pil(value: Any) -> bytes:
    file = io.BytesIO()
    is_plain = value.mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
    (value if is_plain else value.convert("RGB")).save(file, format="PNG")
    return file.getvalue()


def _shown(value: Any) -> bytes | None:
    return value.data if isinstance(value.data, bytes) else None


_PICTURES: tuple[tuple[str, str, Callable[[Any], bytes | None]], ...] = (
    ("matplotlib.figure", "Figure", _figure),
    ("matplotlib.axes", "Axes", lambda axes: _figure(axes.figure.figure)),
    ("PIL.Image", "Image", _pil),
    ("IPython.core.display", "Image", _shown),
)
"""Classes by the module that has them, where it is loaded, and the bytes of their picture."""
