"""Observers of changes: functions, or functions that make coroutines, whose failures stay their own."""

from __future__ import annotations

import inspect
import logging
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Generic, ParamSpec

from . import loop, user_loop

P = ParamSpec("P")
log = logging.getLogger(__name__)


class Observers(Generic[P]):
    """Functions that are called at each change. One that raises, or whose coroutine does, is logged and
    called no more; the others are. From any thread."""

    def __init__(self, *functions: Callable[P, object]) -> None:
        self._observers: dict[object, _Observer[P]] = {}
        for function in functions:
            self.add(function)

    def add(self, function: Callable[P, object]) -> Callable[[], None]:
        """Call `function` at each change from now on, and return what ends that."""
        key = object()

        def remove() -> None:
            self._observers.pop(key, None)

        self._observers[key] = _Observer(function, remove)
        return remove

    def clear(self) -> None:
        """Call nobody any more."""
        self._observers.clear()

    def __len__(self) -> int:
        return len(self._observers)

    def notify(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Call them in the order in which they were added."""
        for key, observer in tuple(self._observers.items()):
            if key in self._observers:
                observer(*args, **kwargs)


class Observable:
    """Notifies its observers when it has changed; they read its state themselves."""

    def __init__(self) -> None:
        self._observers: Observers[[]] = Observers()

    def on_change(self, observer: Callable[[], object]) -> Callable[[], None]:
        """Call `observer()` after each change, mostly on the loop's thread, and return what ends that. It is
        treated as `Run.subscribe` treats its own."""
        return self._observers.add(observer)

    def notify(self) -> None:
        """Call the observers."""
        self._observers.notify()


class _Observer(Generic[P]):
    def __init__(self, function: Callable[P, object], remove: Callable[[], None]) -> None:
        self._function, self._remove = function, remove
        self._lock = threading.Lock()
        self._coroutines: deque[Coroutine[Any, Any, object]] | None = None
        """Made with the first one: a kernel has many observers that are plain functions."""
        self._is_awaiting = False

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            result = self._function(*args, **kwargs)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
                raise  # the user's own
            self._failed()
            return
        if inspect.iscoroutine(result):
            self._later(result)

    def _later(self, coroutine: Coroutine[Any, Any, object]) -> None:
        """Have it awaited on the user's loop, after those before it."""
        with self._lock:
            if self._coroutines is None:
                self._coroutines = deque()
            self._coroutines.append(coroutine)
            if self._is_awaiting:
                return
            self._is_awaiting = True
        loop.get().call_soon_threadsafe(loop.spawn, user_loop.run(self._await))

    async def _await(self) -> None:
        while coroutine := self._next():
            try:
                await user_loop.run_contained(lambda coroutine=coroutine: coroutine)  # type: ignore[misc]
            except Exception:
                self._failed()
                while coroutine := self._next():
                    coroutine.close()

    def _next(self) -> Coroutine[Any, Any, object] | None:
        with self._lock:
            if not self._coroutines:
                self._is_awaiting = False
                return None
            return self._coroutines.popleft()

    def _failed(self) -> None:
        self._remove()
        log.exception("a subscriber failed and gets no more events")
