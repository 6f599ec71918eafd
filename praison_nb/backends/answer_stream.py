"""What `Agent.start(prompt, stream=True)` returns: an answer under way."""

from __future__ import annotations

import atexit
import contextvars
import logging
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from ..errors import PraisonError
from ..runtime.loop import SLICE_SECONDS
from ..runtime.output import write_output
from ..runtime.run import Run
from .answer import answer_of

log = logging.getLogger(__name__)

GRACE_SECONDS = 0.2
"""Who iterates begins at once: after so long the answer is printed."""


class AnswerStream:
    """An answer under way. Iterate it for the pieces as they come; leaving early stops the turn. Where nobody
    does, they are printed as they come: by whoever asks for the text first, by a thread meanwhile, and at the
    latest by the end of the cell or the script, which wait for it.

    `str(stream)` is the whole answer, and the methods of a text are there: they wait for it. Both raise what
    went wrong with the turn."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._lock = threading.Lock()
        self._claimed, self._printed = threading.Event(), threading.Event()
        """Whether somebody reads the pieces, and whether whoever prints them has all."""
        self._is_printing = False
        self._reader: Callable[[], Iterator[str] | None] = lambda: None
        self._pieces: list[str] = []
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(self._print_later,), daemon=True).start()
        _at_end(self)

    def __iter__(self) -> Iterator[str]:
        reader = self._reader()
        if reader is None:
            # Whoever iterates holds it, so that leaving a loop ends it.
            reader = self._iterate()
            self._reader = weakref.ref(reader)
        return reader

    def __next__(self) -> str:
        self._kept = iter(self)
        return next(self._kept)

    def _iterate(self) -> Iterator[str]:
        if self._claim():
            _waiting.pop(id(self), None)
            yield from self._run.text()
        elif self._is_printing:
            yield from self._printed_pieces()
        else:
            self._run.wait()
        answer_of(self._run.turn)

    def __str__(self) -> str:
        self._finish()
        return answer_of(self._run.turn)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(str(self), name)

    def __contains__(self, text: str) -> bool:
        return text in str(self)

    def __format__(self, how: str) -> str:
        return format(str(self), how)

    def __getitem__(self, place: int | slice) -> str:
        return str(self)[place]

    def __eq__(self, other: object) -> bool:
        return str(self) == other if isinstance(other, str) else self is other

    __hash__ = object.__hash__

    def __add__(self, text: str) -> str:
        return str(self) + text

    def __radd__(self, text: str) -> str:
        return text + str(self)

    def __repr__(self) -> str:
        return f"AnswerStream({self._run.turn.text!r})"

    def _ipython_display_(self) -> None:
        # Its pieces are in the output already.
        self._finish()

    def _claim(self, *, prints: bool = False) -> bool:
        """Whether the caller is the one who reads the pieces."""
        with self._lock:
            if self._claimed.is_set():
                return False
            self._is_printing = prints
            self._claimed.set()
            return True

    def _finish(self) -> None:
        """Have the whole answer come. An interrupt stops the turn and is raised again."""
        if self._claim(prints=True):
            self._print()
        else:
            for _ in self._printed_pieces() if self._is_printing else iter(self):
                pass

    def _print_later(self) -> None:
        if not self._claimed.wait(GRACE_SECONDS):
            self.wait_at_end()

    def _print(self) -> None:
        try:
            for text in self._run.text():
                self._pieces.append(text)
                write_output(text)
            if self._pieces:
                write_output("\n")
        finally:
            self._printed.set()
            _waiting.pop(id(self), None)

    def _printed_pieces(self) -> Iterator[str]:
        """The pieces that somebody else prints."""
        known = 0
        try:
            while not self._printed.wait(SLICE_SECONDS) or known < len(self._pieces):
                new = self._pieces[known:]
                known += len(new)
                yield from new
        except BaseException:
            self._run.stop()
            raise

    def wait_at_end(self) -> None:
        """Have the answer come where nobody reads it: what goes wrong is logged."""
        try:
            if self._claim(prints=True):
                self._print()
                answer_of(self._run.turn)
            elif self._is_printing:
                for _ in self._printed_pieces():
                    pass
        except (PraisonError, KeyboardInterrupt) as error:
            log.warning("%s", str(error) or "the turn was stopped")


_waiting: dict[int, AnswerStream] = {}
"""Those that the end of the script waits for."""


def _at_end(stream: AnswerStream) -> None:
    """Have the end of the cell, or of the script, wait for the answer."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None:
        if not _waiting:
            # Behind the loop's own, before which it is called therefore.
            atexit.unregister(_wait_at_exit)
            atexit.register(_wait_at_exit)
        _waiting[id(stream)] = stream
        return

    def wait(*_: object) -> None:
        shell.events.unregister("post_run_cell", wait)
        stream.wait_at_end()

    shell.events.register("post_run_cell", wait)


def _wait_at_exit() -> None:
    for stream in list(_waiting.values()):
        stream.wait_at_end()
