"""The one background event loop. All network I/O and all state of turns live on its thread; nothing else
in the package makes a loop. Beside it is a pool for functions of the user's, which may take long (the loop's
own pool, which the ledger and the store need, is not kept busy by them), and one for views: to make HTML of a
long text takes a while, and the loop must not wait for it."""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from typing import Any

log = logging.getLogger(__name__)

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_thread: threading.Thread | None = None
_pool: ThreadPoolExecutor | None = None
_views: ThreadPoolExecutor | None = None
_here = threading.local()
_is_ending = False
_closers: list[Callable[[], Coroutine[Any, Any, None]]] = []

FUNCTIONS = 32
"""So many functions of the user's at once; more wait."""
VIEWS = 2
"""So many views are drawn at once; more wait."""
SHUTDOWN_SECONDS = 2.0
"""How long the process waits at its end for turns to stop and for providers to be told."""


def get() -> asyncio.AbstractEventLoop:
    """The loop, started on first use."""
    global _loop, _thread
    with _lock:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            _thread = threading.Thread(target=_work, args=(_loop,), name="praison_nb", daemon=True)
            _thread.start()
            atexit.register(_shutdown)
        return _loop


def _work(own: asyncio.AbstractEventLoop) -> None:
    """Run the loop until it is told to stop: asyncio leaves it when a task raises SystemExit or its like, and
    then all other turns would stand still."""
    while True:
        try:
            own.run_forever()
            return
        except BaseException:
            log.exception("a task raised what should end the process; the other turns go on")


def submit(coroutine: Coroutine[Any, Any, Any], context: Context | None = None) -> asyncio.Future[Any]:
    """Run `coroutine` as a task on the loop, in `context`, and return at once. The task may only be touched
    on the loop's thread; use it there, or not at all."""
    holder: list[asyncio.Task[Any]] = []
    made = threading.Event()

    def make() -> None:
        holder.append(get().create_task(coroutine, context=context))
        made.set()

    if on_loop_thread():
        make()
    else:
        get().call_soon_threadsafe(make)
        made.wait()
    return holder[0]


def on_loop_thread() -> bool:
    """Whether the caller runs on the loop's thread."""
    return threading.current_thread() is _thread


def pool() -> ThreadPoolExecutor:
    """The threads for functions of the user's, started on first use."""
    global _pool
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(FUNCTIONS, "praison_nb-function", initializer=_enter_pool)
        return _pool


def view_pool() -> ThreadPoolExecutor:
    """The threads that draw views, started on first use."""
    global _views
    with _lock:
        if _views is None:
            _views = ThreadPoolExecutor(VIEWS, "praison_nb-view")
        return _views


def _enter_pool() -> None:
    _here.is_pool = True


def in_pool() -> bool:
    """Whether the caller runs on a thread of the pool."""
    return getattr(_here, "is_pool", False)


def is_ending() -> bool:
    """Whether the process ends, and with it all turns."""
    return _is_ending


def at_exit(close: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """`await close()` on the loop when the process ends."""
    _closers.append(close)


def _shutdown() -> None:
    if _loop is None or _thread is None or not _thread.is_alive():
        return
    asyncio.run_coroutine_threadsafe(_close(), _loop)
    _thread.join(SHUTDOWN_SECONDS + 1)


async def _close() -> None:
    global _is_ending
    _is_ending = True
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=SHUTDOWN_SECONDS)
    await asyncio.gather(*(close() for close in _closers), return_exceptions=True)
    asyncio.get_running_loop().stop()


def _forget_after_fork() -> None:
    # Threads do not survive a fork: the child gets a loop of its own when it needs one.
    global _loop, _thread, _pool, _views, _lock
    _loop, _thread, _pool, _views, _lock = None, None, None, None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
