"""Observers of changes: functions, or functions that make coroutines, whose failures stay their own."""

from __future__ import annotations

import inspect
import logging
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Generic, ParamSpec

from . import loop, user_loop

P = ParamSpec("P")
log = logging.getLogger(__name__)


class Observers(Generic[P]):
    """Functions that are called at each change. One that raises, or whose coroutine does, is logged and
    called no more; the others are. From any thread."""

    __slots__ = ("_observers",)

    def __init__(self, *functions: Callable[P, object]) -> None:
        self._observers = [_Observer(function) for function in functions]

    def add(self, function: Callable[P, object]) -> Callable[[], None]:
        """Call `function` at each change from now on, and return what ends that."""
        observer = _Observer(function)
        self._observers.append(observer)

        def remove() -> None:
            observer.is_over = True
            self._drop(observer)

        return remove

    def __len__(self) -> int:
        return sum(not each.is_over for each in tuple(self._observers))

    def notify(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Call them in the order in which they were added."""
        for observer in tuple(self._observers):
            if not observer.is_over:
                observer(*args, **kwargs)
            if observer.is_over:
                self._drop(observer)

    def _drop(self, observer: _Observer[P]) -> None:
        with suppress(ValueError):
            self._observers.remove(observer)


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
    __slots__ = ("_coroutines", "_function", "is_over")
    _lock = threading.Lock()

    def __init__(self, function: Callable[P, object]) -> None:
        self._function = function
        self.is_over = False
        self._coroutines: deque[Coroutine[Any, Any, object]] | None = None
        """Those that wait for the one that is awaited now, None where none is."""

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
            if self._coroutines is not None:
                self._coroutines.append(coroutine)
                return
            self._coroutines = deque([coroutine])
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
            if self._coroutines:
                return self._coroutines.popleft()
            self._coroutines = None
            return None

    def _failed(self) -> None:
        self.is_over = True
        log.exception("a subscriber failed and gets no more events")
