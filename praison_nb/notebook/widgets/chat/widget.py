"""A conversation in one output: `praison_nb.chat()` and `%agent chat`.

The widget speaks to its page as the live view does, with a flat list of items for all turns; a turn that is
over is described once and never again. The page sends {"kind": "send" | "new" | "model", "id": …} besides
what it sends for a turn, and gets {"reply": {"to": id, "taken": bool, "words": …}}. {"kind": "shown"} is its
first message: what was said before is not asked for until somebody looks.

Behind the widget's output lies a second one with the transcript as plain HTML and text: that is what a
saved notebook shows where no widget lives.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from ....backends import backend_class
from ....backends.catalog import likely_backend_of, suggested
from ....backends.session import Session
from ....errors import ConfigError, PraisonError
from ....render import review
from ....runtime import loop
from ....runtime.run import Run
from ....text import describe_exception, strip_control_chars
from ...conversations.conversation import Conversation, update
from ...extension import Extension
from ...views.live_view import STATIC, panel, patches, without_clock
from ...views.painter import Painter
from ...views.static_copy import StillCopy
from ...views.text_items import TextItems
from ..badges import FollowingWidget
from .history import Past
from .items import turn_items
from .target import conversation_of
from .transcript import Transcript

log = logging.getLogger(__name__)

QUIET_SECONDS = 0.5
"""The transcript to save is whole each time: it waits until nothing has happened for so long."""
BUSY = "A turn is under way: wait until it is over, or press Stop. Your text stays where it is."


class SessionWidget(FollowingWidget):
    """A conversation: transcript, what the user writes, approvals, Stop. Made by `chat`."""

    kind = "chat"
    _esm: Any = (STATIC / "live.js").read_text("utf-8") + (STATIC / "chat.js").read_text("utf-8")
    _css: Any = (STATIC / "live.css").read_text("utf-8") + (STATIC / "chat.css").read_text("utf-8")

    def __init__(self, conversation: Conversation, extension: Extension) -> None:
        self._conversation, self._conversations = conversation, extension.conversations
        self._magics = extension.magics
        session, runs = conversation.backend.session, conversation.runs
        others = [i for i, run in enumerate(runs) if run.turn.session_id not in ("", session.id)]
        self._is_open = self._is_behind = False
        self._enter(session, others[-1] + 1 if others else 0)
        self._seal()
        self._sent: tuple[int, list[dict[str, Any]], dict[str, Any]] = (0, [], {})
        self._acting = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._taken = ""
        self._timer: asyncio.TimerHandle | None = None
        self._transcript, self._copy = Transcript(), StillCopy(extension.shell)
        self._saver = Painter(self._save)
        super().__init__(conversation.backend)
        self.on_msg(lambda _, content, buffers: self._hear(content))

    def __repr__(self) -> str:
        return f"SessionWidget({self._conversation.name!r}, {self.words!r})"

    @property
    def runs(self) -> list[Run]:
        """The turns of the session, the first one first."""
        return self._conversation.runs[self._first :]

    def _ipython_display_(self) -> None:
        """Two outputs: the widget, and behind it the transcript that stays."""
        self._copy.publish(self, self._magics.live, *self._still())
        self._hear({"kind": "shown"})

    # What the page shows

    def _changed(self) -> None:
        session = self._conversation.backend.session
        if session is not self._session:
            self._enter(session, len(self._conversation.runs))
        super()._changed()

    def _enter(self, session: Session, first: int) -> None:
        """Show this session from now on; `first` is the first of the conversation's turns that is in it."""
        self._session, self._first = session, first
        self._past = Past(self._conversation.backend, session, lambda: self.runs)
        if self._is_open:
            self._hear({"kind": "shown"})

    def _seal(self) -> None:
        """Begin the items anew: what was said before, and no turn that is over yet."""
        self._before = self._past.items
        self._sealed, self._seen = [*self._before], 0
        self._texts: dict[str, TextItems] = {}

    def _state(self) -> dict[str, Any]:
        if not self._sent[2]:
            self._sent = (0, self._items(), self._panel())
        number, items, shown = self._sent
        return {"kind": self.kind, "number": number, "items": items, "panel": shown}

    def _items(self) -> list[dict[str, Any]]:
        """All items. Those of turns that are over are described once."""
        tail: list[dict[str, Any]] = []
        for run in self.runs[self._seen :]:
            turn = run.turn
            texts = self._texts.setdefault(turn.id, TextItems())
            if turn.ended is not None and not tail:
                self._sealed += turn_items(turn, texts)
                self._seen += 1
                del self._texts[turn.id]
            else:
                tail += turn_items(turn, texts)
        return [*self._sealed, *tail]

    def _show(self) -> None:
        if self.comm is None:
            return
        past = self._past
        past.look()
        if self._before is not past.items:
            self._seal()
            self._sent = (self._sent[0] + 1, self._items(), self._panel())
            self._is_behind = True
        else:
            known = len(self._sealed)
            number, before, panel_before = self._sent
            items, shown = self._items(), self._panel()
            self._sent = (number + 1, items, shown)
            changes = [[known + i, patch] for i, patch in patches(before[known:], items[known:])]
            message: dict[str, Any] = {"number": number + 1, "items": changes, "count": len(items)}
            if without_clock(shown) != without_clock(panel_before):
                message["panel"] = shown
            self.send(message)
        if self._is_behind:
            self._is_behind = False
            self.send({"state": self._state()})
        loop.get().call_soon_threadsafe(self._save_soon)

    def _panel(self) -> dict[str, Any]:
        conversation = self._conversation
        backend = conversation.backend
        run = next((run for run in self.runs if run.turn.ended is None), None)
        if run is not None:
            shown = {**panel(run.turn, stoppable=True), "notices": []}
        else:
            shown = super()._panel()
            words = "".join(f" · {word}" for word in (backend.model, backend.name) if word)
            shown["facts"][0] = ["", review.one_line(conversation.name), strip_control_chars(words), ""]
        return {**shown, "model": backend.model, "models": suggested(backend.name)}

    # What the page sends

    def _hear(self, message: Any) -> None:
        if isinstance(message, dict):
            loop.get().call_soon_threadsafe(self._handle, message)

    def _handle(self, message: dict[str, Any]) -> None:
        running = [run for run in self.runs if run.turn.ended is None]
        call_id, digest = str(message.get("call_id", "")), str(message.get("digest", ""))
        asking = [run for run in running if call_id in {call.id for call in run.turn.waiting}]
        match message.get("kind"):
            case "stop":
                for run in running:
                    run.stop()
            case "allow" | "allow_session" as kind:
                for run in asking:
                    run.approve(call_id, digest, for_session=kind == "allow_session")
            case "deny":
                for run in asking:
                    run.deny(call_id)
            case "ready":
                self._is_behind = True
                self._painter.ask()
            case "shown":
                self._is_open = True
                self._spawn(self._recall(self._past))
            case "send" | "new" | "model":
                self._spawn(self._act(message))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _recall(self, past: Past) -> None:
        await past.read()
        self._changed()

    async def _act(self, message: dict[str, Any]) -> None:
        """Do what may take a while, one after the other, and say how it went."""
        words, taken = "", True
        async with self._acting:
            try:
                await asyncio.to_thread(self._do, message)
            except PraisonError as error:
                words, taken = str(error), False
            except Exception as error:
                log.debug("a message of the chat failed", exc_info=True)
                words, taken = describe_exception(error), False
        self._changed()
        self.send({"reply": {"to": message.get("id"), "taken": taken, "words": strip_control_chars(words)}})

    def _do(self, message: dict[str, Any]) -> None:
        match message["kind"]:
            case "send":
                self._begin(str(message.get("text", "")), str(message.get("id", "")))
            case "new":
                self._conversations.start_over(self._conversation)
            case "model":
                self._need_idle()
                self._use(str(message.get("model", "")).strip())

    def _begin(self, text: str, message_id: str) -> None:
        if message_id and message_id == self._taken:
            return
        self._need_idle()
        here = self._conversations.named(self._conversation.name)
        if here is None:
            # Deleted or forgotten meanwhile: what is said from now on is a session of its own.
            old = self._conversation
            here = Conversation(old.name, old.requested_backend, old.backend)
            self._conversations.put(here)
        self._follow(here)
        self._conversations.begin(here, text.strip(), lend=False)
        self._taken = message_id

    def _need_idle(self) -> None:
        run = self._conversation.backend.session.run
        if any(each.turn.ended is None for each in self.runs) or (run and run.turn.ended is None):
            raise ConfigError(BUSY)

    def _use(self, model: str) -> None:
        backend = self._conversation.backend
        wanted = likely_backend_of(model)
        if not model:
            raise ConfigError("Name a model, such as gpt-4o-mini or ollama/llama3.2.")
        if wanted and backend_class(wanted).keeps_sessions_on_server != backend.keeps_sessions_on_server:
            raise ConfigError(
                f"{model} needs a session of its own: `%%agent -s NAME -b {wanted} -m {model}`, then "
                "`%agent chat -s NAME`."
            )
        update(self._conversation, {"model": model})

    def _follow(self, conversation: Conversation) -> None:
        """Show another conversation from now on: the one that has the name now."""
        if conversation is self._conversation:
            return
        self._end()
        self._conversation = conversation
        self._backend = self._source = conversation.backend
        self._enter(conversation.backend.session, 0)
        self._end = conversation.backend.listen(self._changed)

    # What stays

    def _save_soon(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.get().call_later(QUIET_SECONDS, self._saver.ask)

    def _save(self) -> None:
        """Put the transcript of now into the outputs behind the widget."""
        self._copy.update(*self._still())

    def _still(self) -> tuple[str, str]:
        turns = [run.turn for run in self.runs]
        return self._transcript.render(self._conversation.name, self._past.said, turns)


def chat(session_or_backend: Any = None) -> SessionWidget:
    """A conversation to type into, shown when it is a cell's value. Takes a session's name (as `%%agent -s`
    has it; "main" without one), a backend, an Agent or a Session of this notebook; loads the extension where
    it is not. Raises ConfigError.

        praison_nb.chat()
        praison_nb.chat("research")
        praison_nb.chat(LocalAgent(config=LocalAgentConfig(model="embedded")))
    """
    from IPython import get_ipython

    from ... import load

    shell = get_ipython()
    if not hasattr(shell, "kernel"):
        raise ConfigError(
            "chat() needs a notebook. Elsewhere: `Agent(...).start(prompt)`, or `%%agent` in IPython."
        )
    extension = load(shell)
    conversation = conversation_of(session_or_backend, extension)
    extension.conversations.attach(conversation)
    return SessionWidget(conversation, extension)
