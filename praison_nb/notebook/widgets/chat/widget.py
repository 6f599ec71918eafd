"""A conversation in one output: `praison_nb.chat()` and `%agent chat`.

The widget speaks to its page as the live view does, with a flat list of items for all turns; a turn that is
over is described once and never again. The page sends {"kind": "send" | "new" | "model", "id": …} besides
what it sends for a turn, and gets {"reply": {"to": id, "accepted": bool, "message": …}}. {"kind": "shown"} is
its first message: earlier messages are not asked for until somebody looks.

Behind the widget's output lie others with the transcript as plain HTML and text: that is what a saved
notebook shows where no widget lives. Only the last of them changes while the conversation goes on.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

from ....backends.catalog import runs, suggested
from ....errors import ConfigError, PraisonError
from ....render.items import TurnItems
from ....render.panel import turn_panel
from ....render.transcript import Part, Transcript
from ....runtime import loop
from ....runtime.run import Run
from ....text import describe_exception, strip_control_chars
from ...conversations.conversation import Conversation, update
from ...extension import Extension
from ...views.painter import Painter
from ...views.shown import handle_click
from ...views.state_widget import STATIC
from ...views.static_copy import StaticCopy
from ..base import SessionFollower, panel_of
from .session import ChatSession
from .target import conversation_of

log = logging.getLogger(__name__)

QUIET_SECONDS = 0.5
"""The transcript is saved when nothing has happened for so long."""
BUSY = "A turn is under way: wait until it is over, or press Stop. Your text stays where it is."


class SessionWidget(SessionFollower):
    """A conversation: transcript, what the user writes, approvals, Stop. Made by `chat`.

    >>> from IPython.core.interactiveshell import InteractiveShell
    >>> from praison_nb import ScriptedBackend
    >>> from praison_nb.events import TextDelta
    >>> from praison_nb.notebook import load
    >>> extension, backend = load(InteractiveShell()), ScriptedBackend([TextDelta(text="Hello")])
    >>> conversation = extension.conversations.get("research", backend)
    >>> _ = extension.conversations.begin(conversation, "Hi").wait()
    >>> widget = SessionWidget(conversation, extension)
    >>> [run.turn.text for run in widget.runs]
    ['Hello']
    >>> widget.close()
    """

    kind = "chat"
    _esm: Any = (STATIC / "live.js").read_text("utf-8") + (STATIC / "chat.js").read_text("utf-8")
    _css: Any = (STATIC / "live.css").read_text("utf-8") + (STATIC / "chat.css").read_text("utf-8")

    def __init__(self, conversation: Conversation, extension: Extension) -> None:
        self._conversations, self._magics = extension.conversations, extension.magics
        self._is_open = False
        """Whether somebody looks: what is not kept here is asked for then."""
        session, runs = conversation.backend.session, conversation.runs
        others = [i for i, run in enumerate(runs) if run.turn.session_id not in ("", session.id)]
        self._show_session(conversation, others[-1] + 1 if others else 0)
        self._reset_items(self._chat)
        self._action_lock = asyncio.Lock()
        self._accepted = ""
        self._timer: asyncio.TimerHandle | None = None
        self._copy_lock = threading.Lock()
        """A long transcript takes a while, on the cell's thread and on the painter's."""
        self._transcript, self._copy = Transcript(), StaticCopy(extension.shell)
        self._saver = Painter(self._save)
        self._saved: tuple[object, int] = (None, 0)
        """Of the turn under way what was saved, and how long it was."""
        super().__init__(conversation.backend)

    def _module_id(self) -> str:
        return ""

    def __repr__(self) -> str:
        return f"SessionWidget({self._conversation.name!r}, {self.label!r})"

    @property
    def runs(self) -> list[Run]:
        """The turns of the session, the first one first."""
        return self._chat.runs

    @property
    def _conversation(self) -> Conversation:
        return self._chat.conversation

    def _ipython_display_(self) -> None:
        """The widget, and behind it the transcript that stays."""
        with self._copy_lock:
            self._transcript = Transcript()
            self._copy.publish(self, self._magics.live, [part for part in self._parts() if part is not None])
        self.show_history()

    def show_history(self) -> None:
        """Ask for what was said before, where it is not kept here."""
        self._on_message({"kind": "shown"})

    # What the page shows

    def _on_change(self) -> None:
        conversation = self._conversation
        if conversation.backend.session is not self._chat.session:
            self._show_session(conversation, len(conversation.runs))
        super()._on_change()

    def _show_session(self, conversation: Conversation, first: int) -> None:
        """Show the session that the conversation has now; `first` is the first of its turns that is in it.
        From any thread: what others read meanwhile changes in one step."""
        self._chat = ChatSession(conversation, first)
        if self._is_open:
            self._on_message({"kind": "shown"})

    def _reset_items(self, chat: ChatSession) -> None:
        """Begin the items anew: the earlier messages, and no finished turn yet."""
        self._history_items = chat.items
        self._finished_items, self._finished_turns = [*self._history_items], 0
        self._turn_items: dict[str, TurnItems] = {}

    def _items(self) -> list[dict[str, Any]]:
        """All items. Those of turns that are over are described once."""
        chat = self._chat
        chat.update()
        if self._history_items is not chat.items:
            self._reset_items(chat)
            self.is_behind = True
        tail: list[dict[str, Any]] = []
        for run in chat.runs[self._finished_turns :]:
            turn = run.turn
            items = self._turn_items.setdefault(turn.id, TurnItems()).exchange(turn)
            if turn.ended is not None and not tail:
                self._finished_items += items
                self._finished_turns += 1
                del self._turn_items[turn.id]
            else:
                tail += items
        return [*self._finished_items, *tail]

    def _paint(self) -> None:
        super()._paint()
        if self.comm is not None:
            loop.get().call_soon_threadsafe(self._save_soon)

    def _panel(self) -> dict[str, Any]:
        chat, backend = self._chat, self._conversation.backend
        run = next((run for run in chat.runs if run.turn.ended is None), None)
        if run is not None:
            panel = {**turn_panel(run.turn), "notices": [], "threads": []}
        else:
            heading = chat.conversation.name, backend.model, backend.name
            panel = panel_of(chat.session, backend.status_without_session, *heading)
        return {**panel, "model": backend.model, "models": suggested(backend.name)}

    # What the page sends

    def _handle(self, message: dict[str, Any]) -> None:
        match message.get("kind"):
            case "stop" | "allow" | "allow_session" | "deny" as kind:
                for run in self.runs:
                    waiting = [call.id for call in run.turn.waiting]
                    if run.turn.ended is None and (kind == "stop" or message.get("call_id") in waiting):
                        handle_click(message, run)
            case "shown":
                self._is_open = True
                loop.spawn(self._load_history(self._chat))
            case "send" | "new" | "model":
                loop.spawn(self._run_action(message))
            case _:
                super()._handle(message)

    async def _load_history(self, chat: ChatSession) -> None:
        await chat.read()
        self._on_change()

    async def _run_action(self, message: dict[str, Any]) -> None:
        """Do what may take a while, one action after the other, and reply how it went."""
        problem = ""
        async with self._action_lock:
            try:
                await asyncio.to_thread(self._perform, message)
            except PraisonError as error:
                problem = str(error)
            except Exception as error:
                log.debug("a message of the chat failed", exc_info=True)
                problem = describe_exception(error)
        self._on_change()
        reply = {"to": message.get("id"), "accepted": not problem, "message": strip_control_chars(problem)}
        self.send({"reply": reply})

    def _perform(self, message: dict[str, Any]) -> None:
        match message["kind"]:
            case "send":
                self._begin(str(message.get("text", "")), str(message.get("id", "")))
            case "new":
                self._conversations.start_over(self._conversation)
            case "model":
                self._require_idle()
                self._change_model(str(message.get("model", "")).strip())

    def _begin(self, text: str, message_id: str) -> None:
        if message_id and message_id == self._accepted:
            return
        self._require_idle()
        here = self._conversations.named(self._conversation.name)
        if here is None:
            # Deleted or forgotten meanwhile: what follows is a session of its own.
            old = self._conversation
            here = Conversation(old.name, old.requested_backend, old.backend)
            self._conversations.put(here)
        if here is not self._conversation:
            self._show_session(here, 0)
            self._follow(here.backend)
        self._conversations.begin(here, text.strip(), caller_waits=False)
        self._accepted = message_id

    def _require_idle(self) -> None:
        run = self._conversation.backend.session.run
        if any(each.turn.ended is None for each in self.runs) or (run and run.turn.ended is None):
            raise ConfigError(BUSY)

    def _change_model(self, model: str) -> None:
        backend = self._conversation.backend
        if not model:
            raise ConfigError("Name a model, such as gpt-5.6-luna or ollama/llama3.2.")
        if not runs(backend.name, model):
            raise ConfigError(
                f"{model} needs a session of its own: `%%agent -s NAME -m {model}`, then "
                "`%agent chat -s NAME`."
            )
        update(self._conversation, {"model": model})

    # What stays

    def _save_soon(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.get().call_later(QUIET_SECONDS, self._saver.ask)

    def _save(self) -> None:
        """Put what is new by now into the transcript behind the widget. Of a turn under way that is its
        beginning, and then whenever it has doubled, so that all of it together stays a multiple of it."""
        turn = self.runs[-1].turn if self.runs else None
        if turn is not None and turn.ended is None:
            key, length = (turn.id, bool(turn.waiting)), len(turn.text) + len(turn.tools)
            if key == self._saved[0] and length < max(1, 2 * self._saved[1]):
                return
            self._saved = key, length
        with self._copy_lock:
            self._copy.update(self._parts())

    def _parts(self) -> list[Part | None]:
        chat = self._chat
        turns = [run.turn for run in chat.runs]
        return self._transcript.render(chat.conversation.name, chat.entries, turns)


def open_chat(extension: Extension, session_or_backend: Any = None) -> SessionWidget:
    """The conversation that `praison_nb.chat` takes, to type into. Raises ConfigError."""
    conversation = conversation_of(session_or_backend, extension)
    extension.conversations.attach(conversation)
    return SessionWidget(conversation, extension)
