"""What a session's agent wrote, and the methods of a HostedAgent about files."""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...content import OutputFile, one_line_name, size_text, sniff
from ...errors import ConfigError, PraisonError
from ...text import replace_surrogates, shorten, strip_control_chars
from . import uploads
from .base import HostedBase
from .client import all_pages
from .session import HostedSession

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

log = logging.getLogger(__name__)

LAG_SECONDS = 4.0
"""A file is listed so long after the session's idle at the latest."""
PAUSE_SECONDS = 0.5
"""Between two looks at the list."""
MOST_LISTED = 1000
SHOWN_FILES = 8
"""Of one turn, with their content."""
PICTURE_BYTES = 400_000
"""Of a picture that is shown: a cell's output and the store hold it."""
ALL_PICTURES_BYTES = 800_000
TABLE_BYTES = 20_000
"""Of a table's beginning that is shown."""
_PICTURES = (".png", ".jpg", ".jpeg", ".gif")
_ONLY_READS = ("read", "glob", "grep", "web_fetch", "web_search")


class FileMethods(HostedBase):
    """What goes into a session, and what its agent wrote."""

    def add_resource(self, value: Any, name: str = "") -> str:
        """Upload a value and mount it in the session, and return its path there: a DataFrame (Parquet, or CSV
        where that cannot be), a figure, a picture, bytes, a Path or the text of one. `name` is its file's
        name or an absolute path; a path that is taken gets a number. Before there is a session it is kept
        for the next one. Raises ConfigError for what cannot be uploaded, and PraisonError."""
        session = self.session
        if not session.id:
            upload = uploads.prepare_all([*self.config.resources, (name, value)])[-1]
            named = (name or upload.mount_path, value)
            self.config = replace(self.config, resources=[*self.config.resources, named])
            return str(upload.mount_path)
        upload = uploads.prepare(value, name)

        async def add(client: AsyncAnthropic) -> str:
            resources = client.beta.sessions.resources
            mounts = [each async for each in all_pages(resources.list(session.id))]
            if len(mounts) >= uploads.MOST_FILES:
                raise ConfigError(f"The session has {len(mounts):,} resources already: it takes no more.")
            free = uploads.renamed(upload, (str(getattr(each, "mount_path", "")) for each in mounts))
            async with uploads.uploaded(client, [free]) as files:
                files.keep([await resources.add(session.id, **files.params[0])])
            session.note_mounts(files.lines)
            return free.mount_path

        return self._ask(add, session.label)

    def files(self) -> list[OutputFile]:
        """What the session's agent wrote to /mnt/session/outputs, oldest first. The server lists a file a few
        seconds after its turn, and so long this waits. Without a session there is none."""
        session = self.session

        async def listed(client: AsyncAnthropic) -> list[OutputFile]:
            run = session.run
            if run is not None and run.turn.ended is not None:
                await asyncio.wait([asyncio.wrap_future(run.settled)], timeout=2 * LAG_SECONDS)
            return await list_files(client, session)

        return self._ask(listed, session.label) if session.id else []

    def download(
        self, file: OutputFile | str, to: str | Path = ".", *, max_bytes: int = uploads.FILE_BYTES
    ) -> Path:
        """Save a file that the agent wrote (by its name, its id, or as `files` has it) into the folder `to`,
        or as the file `to`, and return its path. Raises ConfigError where there is something already, where
        it is larger than `max_bytes`, and for a name that nothing has."""
        found = file if isinstance(file, OutputFile) else self._find(str(file))
        target = Path(to).expanduser()
        if target.is_dir():
            target /= safe_name(found.name)
        if found.size > max_bytes:
            raise _too_large(found, max_bytes)
        try:
            # Nothing that is there is written over, and no link is followed.
            handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        except FileExistsError:
            raise ConfigError(
                f"{target} is there already, and stays as it is: say another one with to=…."
            ) from None
        except OSError as error:
            raise ConfigError(f"{target} cannot be written: {error.strerror}.") from None
        try:
            with os.fdopen(handle, "wb") as out:
                is_whole = self._ask(
                    lambda client: _copy(client, found.id, out.write, max_bytes), f"the file {found.id}"
                )
            if not is_whole:
                raise _too_large(found, max_bytes)
        except BaseException:
            target.unlink(missing_ok=True)
            raise
        return target

    def _find(self, name: str) -> OutputFile:
        files = self.files()
        found = [each for each in files if name in (each.id, each.name, safe_name(each.name))]
        if not found:
            known = ", ".join(one_line_name(each.name) for each in files[-20:]) or "none yet"
            raise ConfigError(f"The agent wrote no file {shorten(name, 60)!r}. There are: {known}.")
        return found[-1]


async def new_files(client: AsyncAnthropic, session: HostedSession, turns: int) -> tuple[OutputFile, ...]:
    """What the agent wrote in the turn that has just ended, the session's `turns`-th here; pictures and
    tables with their content. Raises nothing: a turn that is over does not fail by it."""
    try:
        new = await _settled(client, session, turns)
        room, shown = ALL_PICTURES_BYTES, list[OutputFile]()
        for each in new[:SHOWN_FILES]:
            is_shown = each.size <= room or not each.name.lower().endswith(_PICTURES)
            shown.append(await _with_content(client, each) if is_shown else each)
            room -= len(shown[-1].content)
    except Exception as error:
        log.debug("the files of %s could not be had: %r", session.id, error)
        return ()
    return (*shown, *new[SHOWN_FILES:])


def may_have_written(calls: Any) -> bool:
    """Whether one of a turn's tool calls may have written a file in the container."""
    return any(call.runs != "function" and call.name not in _ONLY_READS for call in calls)


def safe_name(name: str) -> str:
    """The name of a file of the server's, as one in a folder of ours: no path, no hidden file, no device.

    >>> safe_name("../../.bashrc"), safe_name("C:\\\\evil\\\\a:b.png"), safe_name("..")
    ('bashrc', 'a_b.png', 'file')
    """
    last = re.split(r"[/\\]", strip_control_chars(replace_surrogates(name)))[-1]
    last = re.sub(r'[<>:"|?*\n\t]', "_", last).strip(". ")[-120:]
    if re.fullmatch(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?", last):
        last = f"_{last}"
    return last or "file"


async def _settled(client: AsyncAnthropic, session: HostedSession, turns: int) -> list[OutputFile]:
    """The files that are new, and known from now on: when there are some and no more come, or after a while.
    What comes when the next turn has ended is that one's."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + LAG_SECONDS
    before: list[OutputFile] = []
    while True:
        listed = await list_files(client, session)
        is_next_over = session.turns > turns
        new = [each for each in (before if is_next_over else listed) if each.id not in session.known_files]
        if is_next_over or clock() >= deadline or (new and new == before):
            session.known_files |= {each.id for each in new}
            return new
        before = new
        await asyncio.sleep(PAUSE_SECONDS)


async def list_files(client: AsyncAnthropic, session: HostedSession) -> list[OutputFile]:
    """The files that the session's agent wrote, oldest first."""
    client = client.with_options(max_retries=1, timeout=30)
    pages = client.beta.files.list(scope_id=session.id, betas=uploads.BETAS)
    # What was mounted is not to be downloaded; a server may list other sessions' files.
    found = [
        each
        async for each in all_pages(pages, MOST_LISTED)
        if each.downloadable is not False and getattr(each.scope, "id", session.id) == session.id
    ]
    found.sort(key=lambda each: str(each.created_at or ""))
    return [OutputFile(id=each.id, name=str(each.filename), size=int(each.size_bytes or 0)) for each in found]


async def _with_content(client: AsyncAnthropic, file: OutputFile) -> OutputFile:
    """The file with what is shown of it."""
    name, data = file.name.lower(), bytearray()
    is_picture, is_table = name.endswith(_PICTURES), name.endswith(".csv")
    if not (is_picture and file.size <= PICTURE_BYTES) and not is_table:
        return file
    try:
        is_whole = await _copy(client, file.id, data.extend, PICTURE_BYTES if is_picture else TABLE_BYTES)
    except Exception as error:
        log.debug("%s could not be had: %r", file.id, error)
        return file
    if is_table:
        text = bytes(data[:TABLE_BYTES]).decode("utf-8-sig", "replace")
        # Of a table that is cut off the last line is half a one.
        return replace(file, media_type="text/csv", content=text if is_whole else text.rpartition("\n")[0])
    media_type = sniff(bytes(data))
    if not is_whole or media_type not in ("image/png", "image/jpeg", "image/gif"):
        return file
    return replace(file, media_type=media_type, content=base64.b64encode(data).decode())


async def _copy(
    client: AsyncAnthropic, file_id: str, write: Callable[[bytes], object], max_bytes: int
) -> bool:
    """Write the file, of which no more than `max_bytes`; whether that was all."""
    left = max_bytes
    async with client.beta.files.with_streaming_response.download(file_id, betas=uploads.BETAS) as response:
        async for piece in response.iter_bytes():
            write(piece[:left])
            left -= len(piece)
            if left < 0:
                return False
    return True


def _too_large(file: OutputFile, limit: int) -> PraisonError:
    name = one_line_name(file.name)
    return ConfigError(f"{name} is larger than {size_text(limit)}: max_bytes=… lets you have more.")
