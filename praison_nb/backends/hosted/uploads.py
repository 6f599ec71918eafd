"""What goes up to a session's container: tables, pictures and files, uploaded and mounted there."""

from __future__ import annotations

import io
import logging
import mimetypes
import posixpath
import sys
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...content import is_picture, one_line_name, picture_bytes, size_text
from ...errors import ConfigError
from ...text import describe_exception, shorten

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

log = logging.getLogger(__name__)

FILE_BYTES = 100_000_000
"""Of one file, up or down."""
MOST_FILES = 999
FOLDER = "/workspace"
"""Where the agent works, and where values are mounted."""
BETAS: Any = ["files-api-2025-04-14", "managed-agents-2026-04-01"]
_PICKED = "a DataFrame, a figure, a picture, a Path or the text of one, or a dict as the API has it"


@dataclass(frozen=True, slots=True)
class Upload:
    """A value as the file that it is mounted as. `about` says what it is."""

    mount_path: str
    data: bytes
    about: str

    @property
    def line(self) -> str:
        """What the user reads of it."""
        return f"{one_line_name(self.mount_path)}: {self.about}, {size_text(len(self.data))}"


def check_resources(resources: Sequence[Any]) -> list[Any]:
    """The resources with a stand-in of the API's form for each value that is uploaded. Raises ConfigError for
    one that cannot be."""
    made = []
    for place, value in enumerate(resources):
        if not isinstance(value, Mapping):
            _, value = _named(value)
            if isinstance(value, str | Path) and not Path(value).expanduser().is_file():
                raise ConfigError(f"resources[{place}] must be a file that there is: check its path.")
            is_known = isinstance(value, str | Path | bytes | bytearray) or _frame_kind(value)
            if not is_known and not is_picture(value):
                raise ConfigError(f"resources[{place}] must be {_PICKED}, not {type(value).__name__}.")
            value = {"type": "file", "file_id": "uploaded"}
        made.append(value)
    if len(made) > MOST_FILES:
        raise ConfigError(f"A session may have {MOST_FILES} resources, not {len(made):,}.")
    return made


def prepare_all(resources: Iterable[Any]) -> list[Any]:
    """The resources with an Upload for each value, at a path of its own. Takes its time: not for the loop.
    Raises ConfigError."""
    made = list(resources)
    taken = {str(each.get("mount_path")) for each in made if isinstance(each, Mapping)}
    for place, value in enumerate(made):
        if not isinstance(value, Mapping):
            made[place] = upload = prepare(value, taken=taken)
            taken.add(upload.mount_path)
    return made


def prepare(value: Any, name: str = "", taken: Iterable[str] = ()) -> Upload:
    """The value as a file, under `name` (a file's name, or an absolute path in the container) or its own.
    Raises ConfigError."""
    given, value = _named(value)
    name = name or given
    if isinstance(value, bytes | bytearray):
        file_name, data, about = name or "data.bin", bytes(value), "bytes"
    elif isinstance(value, str | Path):
        file_name, data, about = *_of_file(Path(value).expanduser()), "a file"
    elif _frame_kind(value):
        file_name, data, about = _of_frame(value, name)
    elif (picture := picture_bytes(value)) is not None:
        file_name, data, about = "picture.png", picture, type(value).__name__
    else:
        raise ConfigError(f"A resource is {_PICKED}, not {type(value).__name__}.")
    suffix = posixpath.splitext(file_name)[1]
    wanted = name or file_name
    wanted = wanted if posixpath.splitext(wanted)[1] else wanted + suffix
    if len(data) > FILE_BYTES:
        raise _too_large(wanted, len(data))
    if not data:
        raise ConfigError(f"{one_line_name(wanted)} is empty: there is nothing to upload.")
    return Upload(_free(_mount_path(wanted), set(taken)), data, about)


@asynccontextmanager
async def uploaded(client: AsyncAnthropic, resources: Iterable[Any]) -> AsyncIterator[Uploaded]:
    """The resources as the API has them, each Upload as a file that is there meanwhile: a session has copies
    of its own, and where it has, the original is taken away at the end."""
    made = Uploaded()
    try:
        for each in resources:
            if isinstance(each, Upload):
                name = posixpath.basename(each.mount_path)
                kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
                file = await client.beta.files.upload(file=(name, each.data, kind), betas=BETAS)
                made.ids.append(file.id)
                made.params.append({"type": "file", "file_id": file.id, "mount_path": each.mount_path})
                made.lines.append(each.line)
            else:
                made.params.append(dict(each))
        yield made
    except Exception as error:
        # Without an answer the server may be mounting them.
        if 400 <= getattr(error, "status_code", 0) < 500:
            await _take_away(client, made)
        raise
    await _take_away(client, made)


async def _take_away(client: AsyncAnthropic, made: Uploaded) -> None:
    for file_id in made.ids:
        if file_id not in made.in_use:
            try:
                await client.beta.files.delete(file_id, betas=BETAS)
            except Exception as error:
                log.debug("an uploaded file stays on the server: %r", error)


class Uploaded:
    """The resources of a request, as the API has them; a line about each value; and the ids of its files, of
    which those stay that are `in_use`."""

    def __init__(self) -> None:
        self.params: list[Any] = []
        self.lines: list[str] = []
        self.ids: list[str] = []
        self.in_use: set[str] = set()

    def keep(self, mounted: Iterable[Any]) -> None:
        """Note which files the session has by themselves, and not as copies."""
        self.in_use |= {str(getattr(each, "file_id", "")) for each in mounted or ()}


def _named(value: Any) -> tuple[str, Any]:
    is_pair = isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str)
    return value if is_pair else ("", value)


def _frame_kind(value: Any) -> str:
    """ "pandas" or "polars" for one of their tables, "" for anything else."""
    for library in ("pandas", "polars"):
        module = sys.modules.get(library)
        kinds = tuple(kind for name in ("DataFrame", "Series") if (kind := getattr(module, name, None)))
        if kinds and issubclass(type(value), kinds):
            return library
    return ""


def _of_frame(frame: Any, name: str) -> tuple[str, bytes, str]:
    """A table as Parquet, else as CSV: where pyarrow is not there, does not take it, or the name says so."""
    is_pandas = _frame_kind(frame) == "pandas"
    if type(frame).__name__ == "Series":
        frame = frame.to_frame()
    rows, columns = frame.shape
    about = f"{type(frame).__name__}, {rows:,} rows × {columns:,} columns, as "
    size = int(frame.memory_usage().sum()) if is_pandas else int(frame.estimated_size())
    if size > 20 * FILE_BYTES:
        raise _too_large("The table", size)
    file = io.BytesIO()
    if not name.lower().endswith(".csv"):
        try:
            if is_pandas:
                frame.to_parquet(file, engine="pyarrow")
            else:
                frame.write_parquet(file)
            return "data.parquet", file.getvalue(), f"{about}Parquet"
        except Exception as error:
            log.debug("a table goes up as CSV: %r", error)
            if name.lower().endswith(".parquet"):
                reason = shorten(describe_exception(error), 200)
                raise ConfigError(f"{one_line_name(name)} cannot be Parquet: {reason}") from None
    try:
        if is_pandas:
            text = frame.to_csv(index=type(frame.index).__name__ != "RangeIndex")
        else:
            text = frame.write_csv()
    except Exception as error:
        reason = shorten(describe_exception(error), 200)
        raise ConfigError(f"{one_line_name(name) or 'The table'} cannot be CSV: {reason}") from None
    return "data.csv", text.encode("utf-8", "replace"), f"{about}CSV"


def _of_file(path: Path) -> tuple[str, bytes]:
    try:
        if not path.is_file():
            raise ConfigError(f"There is no file {one_line_name(path.name)}: check its path.")
        with path.open("rb") as file:
            data = file.read(FILE_BYTES + 1)
        if len(data) > FILE_BYTES:
            raise _too_large(path.name, path.stat().st_size)
    except OSError as error:
        raise ConfigError(f"{one_line_name(path.name)} cannot be read: {error.strerror}.") from None
    return path.name, data


def _too_large(name: str, size: int) -> ConfigError:
    return ConfigError(
        f"{one_line_name(name)} is too large: {size_text(size)}, and {size_text(FILE_BYTES)} go up at most."
    )


def _mount_path(name: str) -> str:
    """An absolute path in the container, for a file's name one in FOLDER."""
    path = posixpath.normpath(f"/{one_line_name(name)}").replace("//", "/")
    return path if name.startswith("/") else f"{FOLDER}{path}"


def _free(path: str, taken: set[str]) -> str:
    stem, suffix = posixpath.splitext(path)
    number = 1
    while path in taken:
        number += 1
        path = f"{stem}-{number}{suffix}"
    return path


def renamed(upload: Upload, taken: Iterable[str]) -> Upload:
    """The upload at a path that is not `taken`."""
    return replace(upload, mount_path=_free(upload.mount_path, set(taken)))
