"""Sixteen cells stream at once through a stock server: each ends with all of its text."""

from __future__ import annotations

import asyncio
import json
import uuid
from pathlib import Path
from typing import Any

import aiohttp

from browser.lab import TOKEN, Server

CELLS, CHUNKS = 16, 800


def message(session: str, kind: str, content: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    header = {
        "msg_id": uuid.uuid4().hex, "msg_type": kind, "session": session, "username": "", "version": "5.3",
        "date": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    parts = {"header": header, "parent_header": {}, "metadata": metadata, "content": content}
    return {**parts, "channel": "shell", "buffers": []}


def execute(session: str, code: str) -> dict[str, Any]:
    content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}}
    return message(session, "execute_request", {**content, "allow_stdin": False}, cellId=uuid.uuid4().hex)


async def test_sixteen_cells_end_with_their_complete_text(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        server.write("many.ipynb", [])
        async with aiohttp.ClientSession(headers={"Authorization": f"token {TOKEN}"}) as http:
            body = {"path": "many.ipynb", "type": "notebook", "name": "", "kernel": {"name": "python3"}}
            async with http.post(f"{server.url}api/sessions", json=body) as response:
                kernel_id = (await response.json())["kernel"]["id"]
            session = uuid.uuid4().hex
            url = f"{server.url}api/kernels/{kernel_id}/channels?session_id={session}"
            async with http.ws_connect(url, max_msg_size=0) as socket:
                outputs, dropped = await _run(socket, session)
    texts = [data["text/plain"] for data in outputs if "pnb-answer" in data.get("text/html", "")]
    answers = [text.partition("\n\n[idle]")[0] for text in texts]
    expected = ["".join(f"{cell}.{n} " for n in range(CHUNKS)) for cell in range(CELLS)]
    assert sorted(answers) == sorted(expected)
    assert not dropped, dropped


async def _run(socket: Any, session: str) -> tuple[list[dict[str, str]], str]:
    """Run all cells and return the outputs as they end up, and what the server said of dropped messages."""
    setup = (
        "from browser.scenarios import *\n%load_ext praison_nb\n"
        f"for c in range({CELLS}):\n"
        f"    steps = [after(0, TextDelta(text=f'{{c}}.{{n}} ', message_id='m')) for n in range({CHUNKS})]\n"
        "    globals()[f'b{c}'] = scripted(*steps)\n"
    )
    cells = [setup, *(f"%%agent -b b{n} -s s{n} --bg\nGo" for n in range(CELLS))]
    for cell in cells:
        await socket.send_json(execute(session, cell))
    by_display: dict[str, dict[str, str]] = {}
    dropped = ""
    while sum(_is_still_panel(data) for data in by_display.values()) < CELLS:
        told = json.loads((await asyncio.wait_for(socket.receive(), 60)).data)
        content = told["content"]
        assert told["msg_type"] != "error", content
        if told["msg_type"] == "stream" and "rate exceeded" in content["text"]:
            dropped += content["text"]
        if display := content.get("transient", {}).get("display_id"):
            by_display[display] = content["data"]
    return list(by_display.values()), dropped


def _is_still_panel(data: dict[str, str]) -> bool:
    """The last that a turn shows. A live view of a turn that is over already says idle too, in its text."""
    return "text/html" in data and "[idle]" in data.get("text/plain", "")
