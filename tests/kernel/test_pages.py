"""What a kernel says to pages that have the extension."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from servers.kernel import PATIENCE, Cell, Kernel

TESTS = Path(__file__).parents[1]
MIME = "application/vnd.praison-nb.turn+json"
WIDGET = "application/vnd.jupyter.widget-view+json"
COMM = "praison-nb"
SETUP = "from browser.scenarios import *"


@pytest.fixture(scope="module")
def gates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(tmp_path_factory.mktemp("gates"))


@pytest.fixture(scope="module")
def kernel(gates: Path) -> Iterator[Kernel]:
    env = {
        "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)]),
        "PRAISON_NB_GATES": str(gates),
        "JPY_SESSION_NAME": "a.ipynb",
    }
    with Kernel(env=env) as kernel:
        assert kernel.run(SETUP).ok
        yield kernel


def begin(kernel: Kernel, code: str) -> Cell:
    """As a notebook's page does it, which names the cell."""
    client = kernel.client
    content = {"code": code, "silent": False, "store_history": True, "allow_stdin": True}
    message = client.session.msg("execute_request", content, metadata={"cellId": "c"})
    client.shell_channel.send(message)
    cell = Cell(message["header"]["msg_id"])
    kernel._cells[cell.msg_id] = cell
    return cell


def post(kernel: Kernel, kind: str, **content: Any) -> None:
    session, channel = kernel.client.session, kernel.client.shell_channel
    channel.send(session.msg(kind, {"comm_id": COMM, **content}))


def announce(kernel: Kernel) -> None:
    post(kernel, "comm_open", target_name=COMM, data={"version": 1})
    assert kernel.run("1").ok


def say(kernel: Kernel, turn_id: str, kind: str, **more: Any) -> None:
    post(kernel, "comm_msg", data={"kind": kind, "id": turn_id, **more})


def heard(cell: Cell) -> list[dict[str, Any]]:
    """What was said to the pages while the cell's turn ran, and after it."""
    messages = (m for m in cell.messages if m["msg_type"] == "comm_msg")
    return [m["content"]["data"] for m in messages if m["content"]["comm_id"] == COMM]


def bundle(kernel: Kernel, cell: Cell) -> dict[str, Any]:
    kernel.read_until(lambda: cell.outputs)
    return dict(cell.outputs[0]["data"])


def test_where_no_page_answers_a_widget_follows_the_bundle(kernel: Kernel, gates: Path) -> None:
    kernel.run("b = counting('alone', words=3)")
    cell = begin(kernel, "%%agent -b b -s alone\nGo")
    assert {MIME, "text/html", "text/plain"} == set(bundle(kernel, cell))
    kernel.read_until(lambda: WIDGET in cell.outputs[0]["data"])
    assert "0 1 2" in cell.outputs[0]["data"]["text/html"]
    (gates / "alone").touch()
    assert kernel.finish(cell).ok
    assert set(cell.outputs[0]["data"]) == {"text/html", "text/plain"}


def test_a_page_follows_lacks_nothing_and_gets_what_stays(kernel: Kernel, gates: Path) -> None:
    announce(kernel)
    kernel.run("b = counting('follow', words=3)")
    cell = begin(kernel, "%%agent -b b -s follow --bg\nGo")
    kernel.finish(cell)
    turn = cell.outputs[0]["data"][MIME]
    assert turn["version"] == 1 and turn["number"] == 0 and WIDGET not in cell.outputs[0]["data"]
    kernel.read_until(lambda: "2</p>" in str(heard(cell)))
    numbers = [each["number"] for each in heard(cell) if "number" in each]
    assert numbers == list(range(1, len(numbers) + 1))
    say(kernel, turn["id"], "ready")
    kernel.read_until(lambda: "state" in heard(cell)[-1])
    state = heard(cell)[-1]["state"]
    assert state["number"] == numbers[-1] and "0 1 2" in state["items"][0]["tail"]
    (gates / "follow").touch()
    kernel.read_until(lambda: "ended" in heard(cell)[-1])
    assert heard(cell)[-1]["ended"] == "idle" and "idle" in heard(cell)[-1]["status"]
    kernel.read_until(lambda: MIME not in cell.outputs[0]["data"])
    still = cell.outputs[0]["data"]
    assert set(still) == {"text/html", "text/plain"} and "0 1 2 end" in still["text/plain"]
    # Another page, for which it was too late.
    say(kernel, turn["id"], "ready")
    kernel.read_until(lambda: "still" in heard(cell)[-1])
    assert heard(cell)[-1]["still"] == still


def test_what_pages_send_is_not_trusted(kernel: Kernel) -> None:
    announce(kernel)
    for message in (
        None,
        [],
        {},
        {"kind": ["ready"]},
        {"kind": "stop", "id": "x"},
        {"kind": "ready", "id": {}},
    ):
        post(kernel, "comm_msg", data=message)
    assert kernel.run("2").ok
    kernel.run("b = asking()")
    cell = begin(kernel, "%%agent -b b -s odd --bg\nGo")
    kernel.finish(cell)
    turn_id = cell.outputs[0]["data"][MIME]["id"]
    kernel.read_until(lambda: "asked" in str(heard(cell)))
    (item,) = [i for m in heard(cell) for i in m.get("items", []) if "asked" in str(i)][-1:]
    digest = item[1]["question"]["digest"]
    say(kernel, turn_id, "allow", call_id="ask0", digest="another")
    say(kernel, turn_id, "allow", call_id=["ask0"], digest=digest)
    say(kernel, turn_id, "allow", call_id="ask0", digest=digest)
    kernel.read_until(lambda: "ended" in heard(cell)[-1])
    kernel.read_until(lambda: "It is built." in cell.outputs[0]["data"]["text/plain"])


def test_a_short_cell_takes_six_kilobytes(kernel: Kernel) -> None:
    announce(kernel)
    kernel.run("b = scripted(*text('Hello ', 'there.'), counted(1200, 100, 30, '0.01'))")
    client = kernel.client
    for _ in range(2):  # the first one imports
        cell = begin(kernel, "%%agent -b b -s short\nHi")
        size, is_done = 0, False
        while not is_done:
            socket = client.iopub_channel.socket
            assert socket is not None and socket.poll(PATIENCE * 1000)
            frames = socket.recv_multipart()
            message = client.session.deserialize(client.session.feed_identities(frames)[1])
            size += sum(map(len, frames))
            is_done = message["content"].get("execution_state") == "idle"
            is_done = is_done and message["parent_header"].get("msg_id") == cell.msg_id
        client.get_shell_msg(timeout=PATIENCE)
    assert size <= 6000


def test_the_next_kernel_has_what_was_kept_of_a_turn(kernel: Kernel, gates: Path) -> None:
    announce(kernel)
    kernel.run("b = counting('kept', words=3)")
    cell = begin(kernel, "%%agent -b b -s kept --bg\nGo")
    kernel.finish(cell)
    turn_id = cell.outputs[0]["data"][MIME]["id"]
    (gates / "kept").touch()
    kernel.read_until(lambda: MIME not in cell.outputs[0]["data"])
    kernel.run("%agent show kept")
    kernel.restart()
    announce(kernel)
    say(kernel, turn_id, "ready")
    say(kernel, "nobody", "ready")
    answers: dict[str, dict[str, Any]] = {}
    while len(answers) < 2:
        message = kernel.client.get_iopub_msg(timeout=PATIENCE)
        if message["msg_type"] == "comm_msg":
            told = message["content"]["data"]
            answers[told["id"]] = told
    assert "0 1 2 end" in answers[turn_id]["still"]["text/plain"] and answers[turn_id]["is_whole"]
    assert answers["nobody"]["unknown"]
