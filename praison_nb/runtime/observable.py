"""Observers of changes: functions, or functions that make coroutines, whose failures stay their own."""

from __future__ import annotations

import inspect
import logging
import threading
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
        self._observers[key] = _Observer(function)

        def remove() -> None:
            self._observers.pop(key, None)

        return remove

    def __len__(self) -> int:
        return sum(not each.has_failed for each in tuple(self._observers.values()))

    def notify(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Call them in the order in which they were added."""
        for key, observer in tuple(self._observers.items()):
            if key in self._observers and not observer.has_failed:
                observer(*args, **kwargs)
            if observer.has_failed:
                self._observers.pop(key, None)


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
    _lock = threading.Lock()

    def __init__(self, function: Callable[P, object]) -> None:
        self._function = function
        self.has_failed = False
        self._coroutines: list[Coroutine[Any, Any, object]] = []
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
            return self._coroutines.pop(0)

    def _failed(self) -> None:
        self.has_failed = True
        log.exception("a subscriber failed and gets no more events")
