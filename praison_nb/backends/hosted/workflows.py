"""What the events of a session's workflows mean."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...events import Activity, Event, Notice
from .fields import error_sentence


def read(event: Any) -> Iterator[Event]:
    """The turn's events for one of a workflow."""
    match event.type.removeprefix("workflow_run."):
        case "created":
            yield Activity(text=f"workflow {event.name}: created")
        case "status_running" | "status_idle" | "status_ended":
            yield Activity(text=f"workflow: {event.type.split('_')[-1]}")
        case "phase_started" | "phase_ended":
            what = "began" if event.type.endswith("started") else "ended"
            yield Activity(text=f"workflow: a phase {what}")
        case "error":
            yield Notice(text=f"A workflow failed: {error_sentence(event.error)}")
