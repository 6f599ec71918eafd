"""A folder that no path leads out of.

Where the system can open relative to an open folder (Linux, macOS), a path is walked one part at a time, and
no part may be a link: what is checked is what is opened, so that nothing can be swapped in between. Elsewhere
(Windows) the path is resolved and checked, and opened after that.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import secrets
import stat
from collections.abc import Iterator
from typing import Self

from ..tool import ToolError

WALKS = {os.open, os.mkdir, os.stat, os.rename, os.unlink} <= os.supports_dir_fd and hasattr(os, "O_NOFOLLOW")
_FOLDER = getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
# Opening a pipe or a device must not wait for it.
_FILE = (
    getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_BINARY", 0)
)


def parts_of(path: str) -> list[str]:
    """The path's parts. Raises ToolError for one that does not stay below its beginning.

    >>> parts_of("data/./a.csv")
    ['data', 'a.csv']
    """
    if "\0" in path:
        raise ToolError("A path has no zero byte.")
    unified = path.replace("\\", "/") if os.sep == "\\" else path
    if unified.startswith(("/", "~")) or os.path.isabs(path) or os.path.splitdrive(path)[0]:
        raise ToolError(f"{path!r:.200} is not relative: give a path inside the working directory.")
    parts = [part for part in unified.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ToolError(f"{path!r:.200} leads up: give a path inside the working directory.")
    # There "a:b" is a stream of a file, and "NUL" a device.
    if os.name == "nt" and any(":" in part or os.path.isreserved(part) for part in parts):  # type: ignore[attr-defined,unused-ignore]
        raise ToolError(f"{path!r:.200} is no name of a file.")
    return parts


def check_root(root: str) -> None:
    """Raises ToolError where the working directory is gone, for which the system blames what is in it."""
    if not os.path.isdir(root):
        raise ToolError(f"The working directory {root!r:.200} does not exist any more.")


class Folder:
    """The folder `root`, to be opened with `with`. All errors are ToolErrors that name the path as given."""

    def __init__(self, root: str, walks: bool = WALKS) -> None:
        self._root = root
        self._walks = walks
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Self:
        check_root(self._root)
        return self

    def __exit__(self, *exc: object) -> None:
        self._open.close()

    def open(self, path: str) -> io.BufferedReader:
        """The file for reading. Only what is one file under one name: no folder, link, pipe or device."""
        with _explained(path):
            *above, name = parts_of(path) or ["."]
            folder, full = self._enter(above)
            if self._walks:
                number = os.open(name, os.O_RDONLY | _FILE, dir_fd=folder)
            else:
                number = os.open(self._inside(os.path.join(full, name)), os.O_RDONLY | _FILE)
            file = self._open.enter_context(os.fdopen(number, "rb"))
            status = os.fstat(number)
            if not stat.S_ISREG(status.st_mode):
                raise ToolError(f"{path} is not a file.")
            if status.st_nlink > 1:
                raise ToolError(f"{path} has a second name (a hard link), which may be elsewhere.")
            return file

    def replace(self, path: str, data: bytes) -> bool:
        """Put a file with `data` in the path's place; whether there was one. Missing folders are made."""
        with _explained(path):
            *above, name = parts_of(path) or ["."]
            if name == ".":
                raise ToolError(f"{path!r:.200} is a folder.")
            folder, full = self._enter(above, make=True)

            def at(name: str) -> str:
                return name if self._walks else os.path.join(full, name)

            mode = 0o666
            existed = True
            try:
                status = os.stat(at(name), dir_fd=folder, follow_symlinks=False)
                if not stat.S_ISREG(status.st_mode):
                    raise ToolError(f"{path} is not a file but a link, a folder or a device.")
                if not status.st_mode & stat.S_IWUSR:
                    raise ToolError(f"{path} may only be read.")
                mode = stat.S_IMODE(status.st_mode) & 0o777
            except FileNotFoundError:
                existed = False
            new = f".{secrets.token_hex(8)}.tmp"
            number = os.open(at(new), os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FILE, mode, dir_fd=folder)
            try:
                with os.fdopen(number, "wb") as file:
                    if existed and hasattr(os, "fchmod"):
                        os.fchmod(number, mode)
                    file.write(data)
                os.replace(at(new), at(name), src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                os.unlink(at(new), dir_fd=folder)
                raise
            return existed

    def entries(self, path: str) -> Iterator[tuple[str, os.stat_result]]:
        """The folder's entries with their own status, links not followed."""
        with _explained(path):
            folder, full = self._enter(parts_of(path))
            for entry in self._open.enter_context(os.scandir(full if folder is None else folder)):
                with contextlib.suppress(FileNotFoundError):
                    yield entry.name, entry.stat(follow_symlinks=False)

    def _enter(self, parts: list[str], make: bool = False) -> tuple[int | None, str]:
        """The folder that the parts lead to, as an open number where we walk, and as a path."""
        if not self._walks:
            full = os.path.join(self._root, *parts)
            if make and self._inside(full):
                os.makedirs(full, exist_ok=True)
            return None, self._inside(full)
        folder = self._keep(os.open(self._root, os.O_RDONLY | _FOLDER))
        for part in parts:
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, dir_fd=folder)
            folder = self._keep(os.open(part, os.O_RDONLY | _FOLDER, dir_fd=folder))
        return folder, ""

    def _keep(self, number: int) -> int:
        self._open.callback(os.close, number)
        return number

    def _inside(self, full: str) -> str:
        if os.path.realpath(full) != os.path.normpath(full):
            raise ToolError("A part of the path is a link, which may lead out of the working directory.")
        return full


@contextlib.contextmanager
def _explained(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # So systems call a link that stands in the way.
        is_link = error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EMLINK)
        why = " (links are not followed)" if is_link else ""
        raise ToolError(f"{path!r:.200}: {error.strerror or error}{why}.") from None
    except ValueError as error:
        raise ToolError(f"{path!r:.200}: {error}") from None
