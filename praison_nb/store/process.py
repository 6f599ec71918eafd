"""Which process runs a turn: each holds the lock on a file of its own, and its end, however it comes, sets it
free."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import Any

from ..events import new_id
from ..runtime import loop
from .file import default_path

_own: tuple[int, str, Any] = (0, "", None)
_lock = threading.Lock()


# A thread that holds it may not be there after a fork.
loop.after_fork(lambda: globals().update(_lock=threading.Lock()))


def this_process() -> str:
    """The name under which this process runs turns: the path of the file that it holds the lock on; "" where
    it cannot hold one."""
    global _own
    with _lock:
        if _own[0] == os.getpid():
            return _own[1]
        from filelock import FileLock

        folder = default_path().parent / "running"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for path in folder.glob("*.lock"):
                is_alive(str(path))
            path = folder / f"{new_id()}.lock"
            lock = FileLock(path)
            lock.acquire(blocking=False)
            _own = os.getpid(), str(path), lock
        except (OSError, NotImplementedError):
            _own = os.getpid(), "", None
        return _own[1]


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
