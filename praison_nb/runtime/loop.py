"""The one background event loop. All network I/O and all state of turns live on its thread; the user's
coroutines have a loop of their own (`user_loop`). Beside it is a pool for functions of the user's, which may
take long (the loop's own pool, which the ledger and the store need, is not kept busy by them), and one for
views: to make HTML of a long text takes a while, and the loop must not wait for it."""

from __future__ import annotations

import asyncio
import atexit
import contextvars
import functools
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

from ..errors import ConfigError, TurnStopped

T = TypeVar("T")
log = logging.getLogger(__name__)

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_thread: threading.Thread | None = None
_pools: dict[str, ThreadPoolExecutor] = {}
_calls: deque[Callable[[], object]] = deque()
_is_woken = False
"""Whether the loop was told of `_calls`."""
_thread_local = threading.local()
_is_nested: contextvars.ContextVar[bool] = contextvars.ContextVar("is_nested", default=False)
"""Whether a function that `submit` runs is what leads here."""
_is_ending = False
_exit_hooks: list[Callable[[], Coroutine[Any, Any, None]]] = []
_fork_hooks: list[Callable[[], object]] = []

spawned: set[asyncio.Task[None]] = set()
"""Tasks that nobody waits for; the loop itself keeps weak references only."""

MAX_FUNCTION_THREADS = 32
"""How many functions of the user's run at once; others wait."""
MAX_VIEW_THREADS = 2
"""How many views are drawn at once; others wait."""
SLICE_SECONDS = 0.2
"""A waiting thread looks up this often, so that an interrupt reaches it on every system."""
ENDING_MESSAGE = "The process is ending: no turn can begin any more, and none is waited for."
SHUTDOWN_SECONDS = 2.0
"""How long the process waits at its end until turns have stopped and providers know."""


def get() -> asyncio.AbstractEventLoop:
    """The loop, started on first use."""
    global _loop, _thread
    with _lock:
        if _loop is None:
            _loop, _thread = start("praison_nb")
            atexit.register(_shutdown)
        return _loop


def start(name: str) -> tuple[asyncio.AbstractEventLoop, threading.Thread]:
    """A new loop that runs on a thread of its own."""
    new = asyncio.new_event_loop()
    thread = threading.Thread(target=_run_forever, args=(new,), name=name, daemon=True)
    thread.start()
    return new, thread


def _run_forever(own: asyncio.AbstractEventLoop) -> None:
    """Run the loop until `stop()`: asyncio leaves it when a task raises SystemExit or its like, and
    then all other turns would stand still."""
    while True:
        try:
            own.run_forever()
            return
        except BaseException:
            log.exception("a task raised what should end the process; the other turns go on")


def call_soon(function: Callable[[], object]) -> None:
    """Call `function` on the loop's thread, in this context. From any thread. Of many calls at once the first
    one wakes the loop: each waking is a system call, after which this thread waits for the loop's."""
    global _is_woken
    own = get()
    call = functools.partial(contextvars.copy_context().run, function)
    try:
        _calls.append(call)
        if not _is_woken:
            _is_woken = True
            (own.call_soon if on_loop_thread() else own.call_soon_threadsafe)(_call)
    except BaseException:
        # An interrupt, after which nobody else would wake it.
        own.call_soon_threadsafe(_call)
        raise


def _call() -> None:
    global _is_woken
    _is_woken = False
    while _calls:
        try:
            _calls.popleft()()
        except BaseException:
            log.exception("a call failed")


def run_sync(function: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """What `await function()` returns, run on the loop while this thread waits. An interrupt cancels it and
    is raised again. Raises ConfigError on the loop's own thread, and TurnStopped where the process ends."""
    refuse_to_wait()
    future = asyncio.run_coroutine_threadsafe(function(), get())
    try:
        # In slices, so that an interrupt arrives on every system.
        while not wait({future}, SLICE_SECONDS).done:
            if has_ended():
                raise TurnStopped(ENDING_MESSAGE)
        return future.result()
    except BaseException:
        future.cancel()
        raise


def refuse_to_wait() -> None:
    """Raise ConfigError where this thread would wait for itself, and TurnStopped where the process ends."""
    if on_loop_thread():
        raise ConfigError(
            "This waits, and cannot be called on the background loop, where all turns run. Call it from a "
            "cell, a script, a tool, or with asyncio.to_thread; or await the turn."
        )
    refuse_at_end()


def refuse_at_end() -> None:
    """Raise TurnStopped where the process ends."""
    if _is_ending:
        raise TurnStopped(ENDING_MESSAGE)


def spawn(work: Coroutine[Any, Any, None]) -> None:
    """Run `work` as a task of the running loop that nobody waits for."""
    task = asyncio.create_task(work)
    spawned.add(task)
    task.add_done_callback(spawned.discard)


def on_loop_thread() -> bool:
    """Whether the caller runs on the loop's thread."""
    return threading.current_thread() is _thread


def submit(function: Callable[[], T]) -> Future[T]:
    """Run a function of the user's on a thread of the pool, in this context. What is submitted because of it
    has threads of its own: were all of the pool to wait for it, none would come free."""
    context = contextvars.copy_context()
    options: dict[str, Any] = {"initializer": _mark_pool_thread}
    if context.get(_is_nested):
        executor = ThreadPoolExecutor(1, "praison_nb-nested", **options)
        future = executor.submit(context.run, function)
        executor.shutdown(wait=False)
        return future
    context.run(_is_nested.set, True)
    return _executor("function", MAX_FUNCTION_THREADS, **options).submit(context.run, function)


def view_pool() -> ThreadPoolExecutor:
    """The threads that draw views, started on first use."""
    return _executor("view", MAX_VIEW_THREADS)


def _executor(name: str, threads: int, **options: Any) -> ThreadPoolExecutor:
    with _lock:
        if name not in _pools:
            _pools[name] = ThreadPoolExecutor(threads, f"praison_nb-{name}", **options)
        return _pools[name]


def _mark_pool_thread() -> None:
    _thread_local.is_in_pool = True


def in_pool() -> bool:
    """Whether the caller runs on a thread of the pool."""
    return getattr(_thread_local, "is_in_pool", False)


def is_ending() -> bool:
    """Whether the process ends, and with it all turns."""
    return _is_ending


def has_ended() -> bool:
    """Whether the loop does nothing any more, since the process ends."""
    return _is_ending and (_loop is None or not _loop.is_running())


def at_exit(close: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """`await close()` on the loop when the process ends."""
    _exit_hooks.append(close)


def after_fork(hook: Callable[[], object]) -> None:
    """Call `hook()` in a forked child process, to drop what belongs to the parent's loop."""
    _fork_hooks.append(hook)


def _shutdown() -> None:
    global _is_ending
    _is_ending = True
    if _loop is None or _thread is None or not _thread.is_alive():
        return
    asyncio.run_coroutine_threadsafe(_close(), _loop)
    _thread.join(2 * SHUTDOWN_SECONDS + 1)


async def _close() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    # A turn that is stopped for the first time still asks what it used. The interpreter may crash where it
    # collects a coroutine that goes on.
    for _ in range(2):
        for task in tasks:
            task.cancel()
        if tasks:
            _, tasks = await asyncio.wait(tasks, timeout=SHUTDOWN_SECONDS)
    await asyncio.gather(*(close() for close in _exit_hooks), return_exceptions=True)
    asyncio.get_running_loop().stop()


def _reset_after_fork() -> None:
    # Threads do not survive a fork: the child gets a loop of its own when it needs one.
    global _loop, _thread, _lock, _is_woken
    _loop, _thread, _lock, _is_woken = None, None, threading.Lock(), False
    _calls.clear()
    _pools.clear()
    for hook in _fork_hooks:
        hook()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)
