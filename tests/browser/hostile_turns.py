"""What a notebook with hostile texts runs: turns of them, all held until a test says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from IPython.display import display

from browser.scenarios import after, hold, scripted, tool
from praison_nb.events import Event, TextDelta

IN_TOOLS = 2_000
"""Characters of a text that are shown as a tool's arguments and result too."""
TEXTS_PER_TURN = 20
"""A live view costs a page far more than a text."""
SHOWN = "shown-to-its-end"
"""Stands after the text; the text itself ends where it ends."""


def show(name: str, gate: str) -> None:
    """Begin turns with the texts of the file, each in a live view of this cell."""
    texts: list[list[Any]] = json.loads(Path(name).read_text())
    shell: Any = get_ipython()  # type: ignore[name-defined]  # noqa: F821
    for first in range(0, len(texts), TEXTS_PER_TURN):
        steps = [step for each in texts[first : first + TEXTS_PER_TURN] for step in steps_of(*each)]
        shell.user_ns["b"] = scripted(*steps, hold(gate, seconds=0.1))
        shell.run_cell_magic("agent", f"-b b -s s{first} --bg", "Go")


def keep(name: str) -> None:
    """Show the texts of the file again, each as a turn of its own that is over: alone a text begins and ends
    where it does, among others it may reach into the next one."""
    for each in json.loads(Path(name).read_text()):
        display(scripted(*steps_of(*each)).begin("Go").wait())


def steps_of(number: int, hostile: str) -> list[Event]:
    """A text as a message, and its beginning as all that a tool's call shows."""
    part = hostile[:IN_TOOLS]
    message = TextDelta(text=hostile, message_id=str(number))
    return [message, *tool(f"t{number}", part[:100], part, f"{part}\n{SHOWN}")]


def stream(name: str, gate: str, pieces: int) -> None:
    """Begin a turn with the text of the file, which comes in so many pieces."""
    hostile: str = json.loads(Path(name).read_text())
    size = max(1, -(-len(hostile) // pieces))
    parts = [hostile[at : at + size] for at in range(0, len(hostile), size)]
    steps = [after(0.15, TextDelta(text=part, message_id="m")) for part in parts]
    shell: Any = get_ipython()  # type: ignore[name-defined]  # noqa: F821
    shell.user_ns["b"] = scripted(*steps, *tool("t", "t", "", SHOWN), hold(gate))
    shell.run_cell_magic("agent", f"-b b -s {gate} --bg", "Go")
