"""Which process runs a turn: each holds the lock on a file of its own, and its end, however it comes, sets it
free."""

from __future__ import annotations

import getpass
import os
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

_own: tuple[int, str, Any] = (0, "", None)
_lock = threading.Lock()


def _begin_anew_after_fork() -> None:
    # A thread that holds it may not be there any more.
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew_after_fork)


def this_process(folder: Path) -> str:
    """The name under which this process runs turns: the path of the file that it holds the lock on, in
    `folder`, or in the system's temporary one where that cannot be written; "" where it cannot hold one. The
    first `folder` that is asked for stays."""
    global _own
    with _lock:
        if _own[0] != os.getpid():
            _own = os.getpid(), "", None
            for each in (folder, temporary_folder()):
                with suppress(OSError, NotImplementedError):
                    _own = (os.getpid(), *_locked_file(each))
                    break
        return _own[1]


def _locked_file(folder: Path) -> tuple[str, Any]:
    from filelock import FileLock

    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.lock"):
        is_alive(str(path))
    path = folder / f"{uuid4().hex}.lock"
    lock = FileLock(path)
    lock.acquire(blocking=False)
    return str(path), lock


def temporary_folder() -> Path:
    """The user's folder in the system's temporary one, for where their own cannot be written."""
    user = os.getuid() if hasattr(os, "getuid") else getpass.getuser()
    return Path(tempfile.gettempdir()) / f"praison_nb-{user}"


def is_alive(process: str) -> bool:
    """Whether the process that called itself so is still there. The file of one that ended is removed."""
    if process == _own[1] and _own[0] == os.getpid():
        return bool(process)
    if not process or not os.path.exists(process):
        return False
    from filelock import FileLock

    lock = FileLock(process)
    try:
        lock.acquire(blocking=False)
    except OSError:
        return True
    with suppress(OSError):
        os.unlink(process)
    lock.release()
    return False
