"""Pages of JupyterLab and Notebook 7 with the extension that comes in the wheel: they draw a turn that is an
output of its own (docs/turn-output.md).

All pages of a kernel share one comm, whose id is its target's name: what is said once reaches all of them. A
page opens it when it sees such an output, and that is how it is known to be there.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable
from typing import Any, Protocol

from ...runtime import loop

log = logging.getLogger(__name__)

MIME = "application/vnd.praison-nb.turn+json"
VERSION = 1
TARGET = "praison-nb"
MOST_ENDED = 20
"""How many ended turns are kept, for pages that saw the end and not the static output."""


class OutputProtocol(Protocol):
    """A turn's output. `take` gets what a page sends about it, on the loop's thread."""

    def take(self, message: dict[str, Any]) -> None: ...


class Pages:
    """The pages of this kernel. `find(turn_id)` returns the static output of an ended turn, or of another
    kernel's, and whether it is complete; None where it is not known. `status()` is the status bar's text, and
    `table()` what a click on it shows. `find` and `table` may take a while."""

    def __init__(
        self,
        find: Callable[[str], tuple[dict[str, str], bool] | None],
        status: Callable[[], str],
        table: Callable[[], dict[str, Any]],
    ) -> None:
        self._find, self._status, self._table = find, status, table
        self._status_shown = ""
        # Each opening makes one of the same id, and one that is forgotten closes it for all.
        self._comms: list[Any] = []
        self._outputs: dict[str, OutputProtocol] = {}
        """Of the turns under way."""
        self._ended: dict[str, tuple[contextvars.Context, dict[str, str]]] = {}

    @property
    def is_announced(self) -> bool:
        """Whether a page of this kernel has the extension."""
        return bool(self._comms)

    def register(self) -> None:
        """Have pages find this kernel."""
        from comm import get_comm_manager

        get_comm_manager().register_target(TARGET, self._on_open)

    def unregister(self) -> None:
        """Tell the pages that this kernel has nothing to say any more."""
        from comm import get_comm_manager

        get_comm_manager().unregister_target(TARGET, self._on_open)
        if self._comms:
            self._comms.pop().close()

    def add(self, turn_id: str, output: OutputProtocol) -> None:
        """Forward to `output` what pages send about this turn."""
        self._outputs[turn_id] = output

    def end(self, turn_id: str, still: dict[str, str]) -> None:
        """The turn is over and all is known of it; `still` is its static output. That of the last MOST_ENDED
        turns is kept here, `find` gives the others. Call it in the context of the cell."""
        self._ended[turn_id] = contextvars.copy_context(), still
        self._outputs.pop(turn_id, None)
        for old in list(self._ended)[:-MOST_ENDED]:
            self._ended.pop(old, None)

    def send(self, message: dict[str, Any]) -> None:
        """Send the message to all pages, with the status bar's text if that has changed. From any thread."""
        if self._comms:
            before, self._status_shown = self._status_shown, self._status()
            if before != self._status_shown:
                message = {**message, "status": self._status_shown}
            self._comms[-1].send(message)

    def _on_open(self, comm: Any, message: Any) -> None:
        comm.on_msg(lambda message: self._on_message(message["content"]["data"]))
        self._comms.append(comm)
        self._status_shown = ""  # a page that is new knows nothing

    def _on_message(self, message: Any) -> None:
        """Hand a page's message over to the loop, from whichever thread it comes on."""
        if isinstance(message, dict):
            loop.get().call_soon_threadsafe(self._take, message)

    def _take(self, message: dict[str, Any]) -> None:
        turn_id = str(message.get("id", ""))
        if message.get("kind") == "table":
            loop.spawn(self._send_table())
        elif (output := self._outputs.get(turn_id)) is not None:
            output.take(message)
        elif message.get("kind") == "ready" and (ended := self._ended.get(turn_id)):
            context, still = ended
            context.run(self.send, {"id": turn_id, "still": still, "is_whole": True})
        elif message.get("kind") == "ready":
            loop.spawn(self._send_kept(turn_id))

    async def _send_kept(self, turn_id: str) -> None:
        kept = await asyncio.to_thread(self._find, turn_id)
        found = {"still": kept[0], "is_whole": kept[1]} if kept else {"unknown": True}
        self.send({"id": turn_id, **found})

    async def _send_table(self) -> None:
        self.send({"table": await asyncio.to_thread(self._table)})
