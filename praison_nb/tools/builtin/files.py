"""`read_file`, `write_file`, `list_files`: nothing outside of one folder, whatever the path says."""

from __future__ import annotations

import functools
import itertools
import os
import stat
from collections.abc import Callable
from typing import Any

from ...redaction import HIDDEN, redact
from ...runtime.function_call import run_in_pool
from ...values import VALUE_CHARACTERS
from ..tool import ToolError
from .folder import Folder

MOST_BYTES = 100_000_000
MOST_ENTRIES = 500
NOT_UTF_8 = "[… the file is not in UTF-8: where � stands it has something else, which writing this destroys]"


def reader(root: str) -> Callable[..., Any]:
    """read_file as a function for Tool.of."""

    async def read_file(path: str, first_line: int = 1) -> str:
        """Read a text file of the working directory.

        Args:
            path: The file's path, relative to the working directory.
            first_line: The line to begin with; a long file is read in several calls.
        """
        return str(await run_in_pool(functools.partial(read, root, path, first_line), False))

    return read_file


def writer(root: str) -> Callable[..., Any]:
    """write_file as a function for Tool.of."""

    async def write_file(path: str, content: str) -> str:
        """Write a text file in the working directory. One that exists is replaced, missing folders are made.

        Args:
            path: The file's path, relative to the working directory.
            content: All that the file is to hold.
        """
        return str(await run_in_pool(functools.partial(write, root, path, content), False))

    return write_file


def lister(root: str) -> Callable[..., Any]:
    """list_files as a function for Tool.of."""

    async def list_files(path: str = ".") -> str:
        """List a folder of the working directory: folders end with a slash, files have their size in bytes.

        Args:
            path: The folder's path, relative to the working directory.
        """
        return str(await run_in_pool(functools.partial(listing, root, path), False))

    return list_files


def read(root: str, path: str, first_line: int = 1) -> str:
    """The file's text from a line on, at most LIMIT characters, and lines in brackets that say what of the
    file is not there."""
    with Folder(root) as folder, folder.open(path) as file:
        if os.fstat(file.fileno()).st_size > MOST_BYTES:
            raise ToolError(f"{path} is larger than {MOST_BYTES // 1_000_000} MB.")
        if b"\0" in file.peek(8192)[:8192]:
            raise ToolError(f"{path} is not a text file.")
        for _ in range(first_line - 1):
            if not file.readline():
                raise ToolError(f"{path} has fewer than {first_line} lines.")
        text, number, is_exact, notes = "", max(1, first_line), True, []
        while line := file.readline():
            decoded = line.decode("utf-8", errors="replace")
            if text and len(text) + len(decoded) > VALUE_CHARACTERS:
                notes.append(f"[… the file goes on: first_line={number}]")
                break
            text, number, is_exact = text + decoded, number + 1, is_exact and decoded.encode() == line
            if len(decoded) > VALUE_CHARACTERS:
                # The cut must not leave half a secret.
                text = redact(decoded)[:VALUE_CHARACTERS]
                after = f", the file goes on: first_line={number}" if file.peek(1) else ""
                notes.append(f"[… line {number - 1} of {len(decoded):,} characters is cut here{after}]")
                break
        if not is_exact:
            notes.append(NOT_UTF_8)
        if notes and not text.endswith("\n"):
            text += "\n"
        return text + "\n".join(notes) or "(the file is empty)"


def write(root: str, path: str, content: str) -> str:
    """Put `content` in the file's place, all of it or nothing."""
    data = content.encode("utf-8", errors="surrogatepass")
    with Folder(root) as folder:
        if HIDDEN in content and _holds_secret(folder, path):
            raise ToolError(
                f"{path} holds a secret that you are shown as {HIDDEN}: writing that back would destroy it. "
                "Change the other lines with code that does not print this one, or ask the user to."
            )
        existed = folder.replace(path, data)
    return f"{'Replaced' if existed else 'Wrote'} {path}: {len(data):,} bytes."


def _holds_secret(folder: Folder, path: str) -> bool:
    try:
        text = folder.open(path).read(MOST_BYTES).decode("utf-8", errors="replace")
    except ToolError:
        # Then read_file has not shown it either.
        return False
    return redact(text) != text


def listing(root: str, path: str = ".") -> str:
    """The folder's entries, one a line."""
    with Folder(root) as folder:
        entries = folder.entries(path)
        lines = sorted(_line(*entry) for entry in itertools.islice(entries, MOST_ENTRIES))
        if next(entries, None) is not None:
            lines.append(f"[… more than {MOST_ENTRIES} entries]")
    return "\n".join(lines) or "(the folder is empty)"


def _line(name: str, status: os.stat_result) -> str:
    # A name may hold anything, line ends too.
    shown = name if name.isprintable() else ascii(name)
    if stat.S_ISDIR(status.st_mode):
        return f"{shown}/"
    if stat.S_ISREG(status.st_mode):
        return f"{shown}  {status.st_size:,}"
    return f"{shown}  (a link or a device: not followed)"
