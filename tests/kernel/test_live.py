"""The live view from the kernel's side: what goes over the wire, and what stays."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from servers.forked import NBCLIENT
from servers.kernel import PATIENCE, Cell, Kernel
from servers.openai import OpenAIServer, reply

TESTS = Path(__file__).parents[1]
WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture(scope="module")
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as running:
        yield running


@pytest.fixture(scope="module")
def gates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(tmp_path_factory.mktemp("gates"))


@pytest.fixture(scope="module")
def kernel(server: OpenAIServer, gates: Path) -> Iterator[Kernel]:
    env = {
        "OPENAI_BASE_URL": server.base_url,
        "OPENAI_API_KEY": "sk-test-1234567890",
        "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)]),
        "PRAISON_NB_GATES": str(gates),
    }
    with Kernel(env=env) as kernel:
        assert kernel.run("from browser.scenarios import *\n%config AgentMagics.live = 'widget'").ok
        yield kernel


@dataclass
class Traffic:
    """All IOPub frames from a cell's start to its end."""

    messages: int = 0
    bytes: int = 0
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)


def measure(kernel: Kernel, code: str) -> Traffic:
    """Run a cell and weigh what it sends."""
    traffic, client = Traffic(), kernel.client
    msg_id = client.execute(code)
    socket = client.iopub_channel.socket
    assert socket is not None
    while True:
        assert socket.poll(PATIENCE * 1000)
        frames = socket.recv_multipart()
        message = client.session.deserialize(client.session.feed_identities(frames)[1])
        content = message["content"]
        traffic.messages += 1
        traffic.bytes += sum(map(len, frames))
        if display := content.get("transient", {}).get("display_id"):
            traffic.outputs[display] = content["data"]
        ours = message["parent_header"].get("msg_id") == msg_id
        if ours and content.get("execution_state") == "idle":
            assert client.get_shell_msg(timeout=PATIENCE)["content"]["status"] == "ok"
            return traffic


def test_messages_and_bytes_stay_few_and_linear(kernel: Kernel, server: OpenAIServer) -> None:
    weights = []
    for chunks in (2_000, 8_000):
        text = "".join(f"{n:03d} " for n in range(1000)) * (chunks // 1000)
        server.script(reply(text, usage=(9, chunks), size=4))
        traffic = measure(kernel, "%%agent -m gpt-4o-mini --new\nGo")
        (still,) = traffic.outputs.values()
        assert still["text/plain"].startswith(f"{text}\n\n[idle]")
        assert WIDGET not in still
        # Every character a few times, in messages that have headers, of whose number the pace decides; the
        # panel; and the widget's code, with a kernel's first one.
        code = 0 if weights else 30_000
        assert traffic.bytes <= 4 * len(text) + 1500 * traffic.messages + 10_000 + code
        weights.append(traffic)
    assert weights[0].messages < 100
    assert weights[0].bytes < 300_000


class Page:
    """A cell's widget as a page of a front end has it: state from comm messages, and clicks."""

    def __init__(self, kernel: Kernel, cell: Cell) -> None:
        self.kernel, self.cell = kernel, cell
        self.kernel.read_until(lambda: self.comm_id)

    @property
    def comm_id(self) -> str:
        for message in self.cell.messages:
            if message["msg_type"] == "comm_open" and "_esm" in message["content"]["data"]["state"]:
                return str(message["content"]["comm_id"])
        return ""

    @property
    def state(self) -> dict[str, Any]:
        for message in self.cell.messages:
            if message["content"].get("comm_id") != self.comm_id:
                continue
            data = message["content"]["data"]
            if message["msg_type"] == "comm_open":
                state = {
                    **data["state"]["state"],
                    "items": [dict(i) for i in data["state"]["state"]["items"]],
                }
            elif message["msg_type"] == "comm_msg" and data.get("method") == "custom":
                state = self._apply(state, data["content"])
        return dict(state)

    def _apply(self, state: dict[str, Any], told: dict[str, Any]) -> dict[str, Any]:
        if "state" in told:
            return {**told["state"], "items": [dict(i) for i in told["state"]["items"]]}
        assert told["number"] == state["number"] + 1
        items = list(state["items"])
        for index, patch, *is_inserted in told["items"]:
            if "kind" in patch:
                items[index : index + (is_inserted == [False])] = [dict(patch)]
            else:
                for name, value in patch.items():
                    if isinstance(value, dict) and "keep" in value:
                        kept = items[index][name].encode("utf-16-le")[: 2 * value["keep"]]
                        value = kept.decode("utf-16-le") + value["add"]
                    items[index][name] = value
        return {
            **state,
            "number": told["number"],
            "items": items[: told["count"]],
            "panel": {**state["panel"], **told.get("panel", {})},
        }

    @property
    def closed(self) -> bool:
        return any(
            m["msg_type"] == "comm_close" and m["content"]["comm_id"] == self.comm_id
            for m in self.cell.messages
        )

    def send(self, **content: Any) -> None:
        session, channel = self.kernel.client.session, self.kernel.client.shell_channel
        data = {"method": "custom", "content": content}
        channel.send(session.msg("comm_msg", {"comm_id": self.comm_id, "data": data}))

    def answer(self, kind: str) -> None:
        """Click a button of the last question."""
        item = [item for item in self.state["items"] if item.get("state") == "asked"][-1]
        self.send(kind=kind, call_id=item["id"], digest=item["question"]["digest"])

    def wait_for(self, predicate: Any) -> dict[str, Any]:
        self.kernel.read_until(lambda: predicate(self.state))
        return self.state


def waits(state: dict[str, Any]) -> bool:
    return bool(state["panel"]["waiting"])


def test_the_page_gets_only_what_is_new_and_the_whole_on_request(kernel: Kernel, gates: Path) -> None:
    kernel.run("b = formatted()")
    cell = kernel.begin("%%agent -b b -s whole\nGo")
    page = Page(kernel, cell)
    state = page.wait_for(
        lambda s: s["items"] and s["items"][0].get("tail", "").endswith("= -1$</span></p>\n")
    )
    assert state["panel"]["label"] == "running" and state["panel"]["running"]
    page.send(kind="ready")
    kernel.read_until(lambda: "state" in cell.messages[-1]["content"].get("data", {}).get("content", {}))
    whole = cell.messages[-1]["content"]["data"]["content"]["state"]
    assert whole["items"] == state["items"] and not whole["fresh"] and whole["number"] == state["number"]
    (gates / "formatted").touch()
    kernel.finish(cell)
    assert cell.ok
    assert page.state["panel"]["label"] == "idle"
    page.send(kind="here")
    page.send(kind="gone")
    kernel.read_until(lambda: page.closed)
    assert [set(output["data"]) for output in cell.outputs] == [{"text/html", "text/plain"}]


def test_a_click_on_stop_ends_the_turn_while_the_cell_runs(kernel: Kernel) -> None:
    kernel.run("b = research()")
    cell = kernel.begin("%%agent -b b -s stop\nGo")
    page = Page(kernel, cell)
    page.wait_for(lambda s: s["panel"]["budget"])
    page.send(kind="stop")
    kernel.finish(cell)
    assert cell.ok
    assert "contract_type" in cell.answers[0]
    assert "stopped by you" in cell.of("text/plain")[-1] and "in 12,480 (74% cached)" in cell.text
    assert "$0.0312" in cell.text


@pytest.mark.parametrize("answer", ["allow", "deny", "allow_session"])
def test_the_user_answers_before_a_tool_runs(kernel: Kernel, answer: str) -> None:
    kernel.run("b = asking('one', 'two')")
    cell = kernel.begin(f"%%agent -b b -s {answer}\nGo")
    page = Page(kernel, cell)
    state = page.wait_for(waits)
    assert state["panel"]["label"] == "running · waiting for you"
    assert state["items"][0]["state"] == "asked" and state["items"][0]["arguments"] == "command: one"
    page.answer(answer)
    if answer != "allow_session":
        page.wait_for(lambda s: waits(s) and s["items"][-1]["arguments"] == "command: two")
        page.answer(answer)
    kernel.finish(cell)
    assert cell.ok
    states = {"allow": ["done"] * 2, "allow_session": ["done"] * 2, "deny": ["denied"] * 2}
    assert [item["state"] for item in page.state["items"][:2]] == states[answer]
    if answer == "allow_session":
        again = kernel.run(f"%%agent -b b -s {answer}\nAgain")
        assert again.ok and "It is built." in again.text, "the yes holds for the session"
        kernel.run(f"%agent reset {answer}")
        asked_again = kernel.begin(f"%%agent -b b -s {answer}\nAgain")
        page = Page(kernel, asked_again)
        page.wait_for(waits)
        page.send(kind="stop")
        kernel.finish(asked_again)


def test_a_page_allows_what_it_shows(kernel: Kernel, gates: Path) -> None:
    kernel.run("b = changing('make', 'rm -r build')")
    cell = kernel.begin("%%agent -b b -s changing\nGo")
    page = Page(kernel, cell)
    first = page.wait_for(waits)["items"][0]["question"]["digest"]
    (gates / "change").touch()
    page.wait_for(lambda s: s["items"][0]["arguments"] == "command: rm -r build" and waits(s))
    for kind in ("allow", "allow_session"):
        page.send(kind=kind, call_id="ask0", digest=first)
    page.send(kind="deny", call_id="ask0")
    assert kernel.finish(cell).ok
    assert page.state["items"][0]["state"] == "denied"


def test_what_a_page_sends_is_not_trusted(kernel: Kernel) -> None:
    kernel.run("b = asking()")
    cell = kernel.begin("%%agent -b b -s odd\nGo")
    page = Page(kernel, cell)
    page.wait_for(waits)
    page.send(kind="allow", call_id="no such call")
    page.send(kind="allow", call_id=["a", "list"])
    page.send(kind="allow", call_id="ask0")
    page.send(kind="allow_session", call_id="ask0", digest="of another call")
    page.send(kind="allow", call_id="ask0", digest=None)
    page.send(kind="no such kind")
    page.send(kind="ready")
    kernel.read_until(lambda: "state" in cell.messages[-1]["content"].get("data", {}).get("content", {}))
    assert page.state["panel"]["waiting"]
    page.send(kind="deny", call_id="ask0")
    assert kernel.finish(cell).ok


def test_waiting_for_the_user_costs_nothing(kernel: Kernel) -> None:
    kernel.run("b = asking()")
    cell = kernel.begin("%%agent -b b -s idle\nGo")
    page = Page(kernel, cell)
    page.wait_for(waits)
    count = len(cell.messages)
    before, started = _cpu(kernel), time.monotonic()
    # Time itself is what is measured here.
    time.sleep(2)
    used = (_cpu(kernel) - before) / (time.monotonic() - started)
    assert used < 0.2
    page.answer("allow")
    kernel.finish(cell)
    assert len(cell.messages) - count < 20


def _cpu(kernel: Kernel) -> float:
    import psutil

    times = psutil.Process(kernel.manager.provisioner.pid).cpu_times()  # type: ignore[union-attr]
    return float(times.user + times.system)


def test_a_huge_answer_is_shown_in_part_and_kept_in_full(kernel: Kernel) -> None:
    kernel.run("b = scripted(*[TextDelta(text='x' * 100_000, message_id='m') for _ in range(100)])")
    traffic = measure(kernel, "%%agent -b b -s huge -o huge\nGo")
    assert traffic.bytes < 3_000_000
    (still,) = traffic.outputs.values()
    assert "9,800,000 more characters are in the Turn's text" in still["text/plain"]
    assert kernel.run("len(huge.text)").text.strip() == "10000000"


@pytest.mark.parametrize("inherited", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_notebook_run_by_nbclient_has_plain_and_complete_output(
    inherited: bool, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-1234567890")
    if inherited:
        # As in a process that a notebook's own kernel starts.
        monkeypatch.setenv("JPY_SESSION_NAME", "a.ipynb")
    server.script(reply("Hello **there**", usage=(1200, 20)))
    cells = ["%load_ext praison_nb", "%%agent -m gpt-4o-mini\nHi"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, **NBCLIENT).execute()
    nbformat.validate(notebook)
    assert [set(o["data"]) for o in notebook.cells[1].outputs] == [
        {"text/html", "text/plain"},
        {"text/html", "text/plain"},
    ]
    assert "widgets" not in notebook.metadata
    assert "[idle] main · scripted-1 · local" in notebook.cells[1].outputs[1]["data"]["text/plain"]
