"""A kernel as VS Code starts and drives it: without a server, and so without a server's variables. The
messages are those that its Jupyter extension sends."""

from __future__ import annotations

from typing import Any

from servers.kernel import Cell, Kernel

NOTEBOOK = "/home/somebody/churn.ipynb"
CELL_ID = "vscode-notebook-cell:/home/somebody/churn.ipynb#W{number}sZmlsZQ%3D%3D"
SETUP = f"""
__vsc_ipynb_file__ = {NOTEBOOK!r}
import os as _VSCODE_os, sys as _VSCODE_sys, builtins as _VSCODE_builtins
"""


class VSCode(Kernel):
    """`Kernel`, as VS Code has it."""

    def __init__(self, env: dict[str, str] | None = None, **options: Any) -> None:
        super().__init__(
            {"VSCODE_PID": "1", "VSCODE_CWD": "/", "PYDEVD_USE_FRAME_EVAL": "NO", **(env or {})}, **options
        )
        self._number = 0

    def _connect(self) -> None:
        super()._connect()
        self.client.execute(SETUP, silent=True, store_history=False)

    def begin(self, code: str) -> Cell:
        """Execute a cell as its page does, which names it."""
        self._number += 1
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": True,
            "stop_on_error": True,
        }
        metadata = {"cellId": CELL_ID.format(number=self._number), "trusted": True}
        message = self.client.session.msg("execute_request", content, metadata=metadata)
        self.client.shell_channel.send(message)
        cell = Cell(message["header"]["msg_id"])
        self._cells[cell.msg_id] = cell
        return cell

    def send(self, cell: Cell, message: dict[str, Any]) -> None:
        """What a page sends when somebody clicks in the first widget that the cell shows."""
        data = {"method": "custom", "content": message}
        view = cell.outputs[0]["data"]["application/vnd.jupyter.widget-view+json"]
        self.client.shell_channel.send(
            self.client.session.msg("comm_msg", {"comm_id": view["model_id"], "data": data})
        )
