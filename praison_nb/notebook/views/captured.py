"""`%%capture` and its like, which keep what a cell displays until it ends."""

from __future__ import annotations

from typing import Any

from IPython.core.displaypub import CapturingDisplayPublisher


def is_captured(shell: Any) -> bool:
    """Whether what is displayed now is captured."""
    return isinstance(shell.display_pub, CapturingDisplayPublisher)


def publisher(shell: Any) -> Any:
    """What publishes the outputs of the cell that runs now. The shell has another one while another cell is
    captured."""
    return _InPlace(shell.display_pub) if is_captured(shell) else shell.display_pub


class _InPlace:
    """Puts an update in the place of the captured output, as a front end does; IPython keeps both."""

    def __init__(self, display_pub: CapturingDisplayPublisher) -> None:
        self._display_pub = display_pub

    def publish(
        self,
        data: dict[str, Any],
        metadata: dict[str, Any] | None = None,
        *,
        transient: dict[str, str],
        update: bool = False,
    ) -> None:
        for output in self._display_pub.outputs if update else ():
            if output["transient"] == transient:
                output["data"] = data
                return
        self._display_pub.publish(data, metadata, transient=transient, update=update)
