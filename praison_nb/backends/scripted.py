"""A backend that plays given events: a real peer for tests and for trying a view without a model.

>>> from praison_nb.events import TextDelta
>>> ScriptedBackend([TextDelta(text="Hello")]).begin("Hi").wait().text
'Hello'
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

from ..events import Event, SessionAttached, new_id
from ..runtime.run import Run
from .base import Backend
from .session import Session

Step = Event | Callable[[Run], Awaitable[Event | None]] | Exception


class ScriptedBackend(Backend):
    """Each turn plays `steps` in order: an event is yielded, an exception raised, and a coroutine function is
    awaited with the run (to hold the turn at a point, to ask for approval) and its event, if any, yielded.
    `model` is the name that panels show.

    >>> from praison_nb.events import RequestFinished, TextDelta
    >>> from praison_nb.session import Usage
    >>> counted = RequestFinished(usage=Usage(uncached_input_tokens=3, output_tokens=1))
    >>> turn = ScriptedBackend([TextDelta(text="Hello"), counted]).begin("Hi").wait()
    >>> turn.text, turn.usage.output_tokens
    ('Hello', 1)
    """

    name = "scripted"

    def __init__(self, steps: Iterable[Step], model: str = "scripted") -> None:
        super().__init__()
        self.steps = list(steps)
        self._model = model

    @property
    def model(self) -> str:
        """The name given."""
        return self._model

    def fresh(self) -> ScriptedBackend:
        """Another one that plays the same steps."""
        return ScriptedBackend(self.steps, self._model)

    async def events(self, prompt: str, session: Session, run: Run) -> AsyncIterator[Event]:
        """Play the steps."""
        session.id = session.id or f"scripted-{new_id()[:12]}"
        yield SessionAttached(session_id=session.id, model=self._model)
        for step in self.steps:
            if isinstance(step, Exception):
                raise step
            event = await step(run) if callable(step) else step
            if event is not None:
                yield event
