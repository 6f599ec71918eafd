"""What a kernel that has had hundreds of turns sends, and keeps, for the next one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from servers.kernel import PATIENCE, Kernel

TESTS = Path(__file__).parents[1]
TURNS = 300
WIDGET = "application/vnd.jupyter.widget-view+json"
# As many turns as a long conversation has, without running them: each is one that has been run.
SEED = """
import copy, dataclasses
from praison_nb.events import new_id

def seed(conversation, count):
    model = conversation.runs[0]
    for n in range(count):
        run = copy.copy(model)
        run.turn = dataclasses.replace(model.turn, id=new_id(), prompt=f"question {n}")
        conversation.runs.append(run)
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    env = {
        "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)]),
        "PRAISON_NB_GATES": str(tmp_path_factory.mktemp("gates")),
        "JPY_SESSION_NAME": "a.ipynb",
    }
    with Kernel(env=env) as kernel:
        setup = (
            "from browser.scenarios import *\nimport praison_nb, gc\nfrom praison_nb.notebook import _loaded"
        )
        words = "'Some words of an answer, **formatted**. ' * 30"
        assert kernel.run(f"{setup}\nb = scripted(*text({words}), counted(1200, 100, 30, '0.01'))").ok
        assert kernel.run(SEED).ok
        yield kernel


def run_in_page(kernel: Kernel, code: str) -> tuple[int, dict[str, dict[str, str]]]:
    """Run a cell as a notebook's page does, which names it, and say how many bytes were sent until a second
    after it, and what outputs there are by their display ids."""
    client, size, outputs = kernel.client, 0, dict[str, dict[str, str]]()
    content = {"code": code, "silent": False, "store_history": True, "allow_stdin": True}
    request = client.session.msg("execute_request", content, metadata={"cellId": "c"})
    client.shell_channel.send(request)
    socket, is_done = client.iopub_channel.socket, False
    assert socket is not None
    # What is saved of a chat comes when nothing has happened for half a second.
    while socket.poll(1_500 if is_done else PATIENCE * 1_000):
        frames = socket.recv_multipart()
        message: dict[str, Any] = client.session.deserialize(client.session.feed_identities(frames)[1])
        size += sum(map(len, frames))
        if display := message["content"].get("transient", {}).get("display_id"):
            outputs[display] = message["content"]["data"]
            kernel._by_display.setdefault(display, {})
        is_ours = message["parent_header"].get("msg_id") == request["header"]["msg_id"]
        is_done = is_done or (is_ours and message["content"].get("execution_state") == "idle")
    client.get_shell_msg(timeout=PATIENCE)
    return size, outputs


def test_a_turn_of_a_long_chat_is_sent_as_one_of_a_short_one(kernel: Kernel) -> None:
    kernel.run("%%agent -b b -s long\nquestion")
    kernel.run("conversation = next(iter(_loaded.values())).conversations.find('long')")
    say = (
        "_ = next(iter(_loaded.values())).conversations.begin("
        "conversation, 'one more', caller_waits=False).wait()"
    )
    _, outputs = run_in_page(kernel, "w = praison_nb.chat('long')\nw")
    first, new = run_in_page(kernel, say)
    assert first < 20_000
    kernel.run(f"w.close()\nseed(conversation, {TURNS})")
    size, outputs = run_in_page(kernel, "w = praison_nb.chat('long')\nw")
    assert size > TURNS * 1_000, "all of it once"
    for _ in range(3):
        last, new = run_in_page(kernel, say)
        assert last < 20_000
        outputs |= new
    whole = "\n\n".join(each["text/plain"] for each in outputs.values())
    assert [
        whole.count(f"You: {prompt}\n") for prompt in ("question", "question 0", f"question {TURNS - 1}")
    ] == [1] * 3
    assert whole.count("You: one more\n") == 4 and whole.count("You: ") == TURNS + 5
    assert whole.count("Run the cell to use it.") == 1
    assert all(WIDGET not in each for each in outputs.values())
    kernel.run("w.close()")


def test_what_is_over_leaves_nothing_but_its_turn(kernel: Kernel) -> None:
    """Without a page, with widgets and with the extension: what shows a turn ends with it."""
    kinds = "('LiveOutput', 'StateWidget', 'TurnItems', 'State', 'Painter', 'MarkdownStream')"
    count = (
        "gc.collect()\nfound = [type(each).__name__ for each in gc.get_objects()]\n"
        "outputs = _loaded[id(get_ipython())].pages._outputs\n"
        f"print({{kind: found.count(kind) for kind in {kinds}}}, len(outputs))"
    )
    kernel.run("%config AgentMagics.live = 'widget'")
    told = []
    for _ in range(2):
        for _ in range(10):
            assert kernel.run("%%agent -b b -s over\nHi").ok
        told.append(kernel.run(count).text)
    assert told[0] == told[1]
    assert told[1].split()[-1] == "0"
    kernel.run("%config AgentMagics.live = 'auto'")
    session, channel = kernel.client.session, kernel.client.shell_channel
    opened = {"comm_id": "praison-nb", "target_name": "praison-nb", "data": {"version": 1}}
    channel.send(session.msg("comm_open", opened))
    for _ in range(10):
        assert kernel.run("%%agent -b b -s over\nHi").ok
    assert kernel.run(count).text == told[1]


def test_a_turn_changes_one_row_of_two_thousand_sessions(kernel: Kernel) -> None:
    fill = (
        "from praison_nb import store\nfrom praison_nb.store import StoredSession, upsert_session\n"
        "store.current().change(lambda connection: [upsert_session(StoredSession(id=f'local-{n}', "
        "name=f'name-{n}', notebook='/a/b.ipynb', last_used=n))(connection) for n in range(2_000)])"
    )
    kernel.run("c = unpriced()")
    kernel.run("%%agent -b c -s row\nHi")
    assert kernel.run(fill).ok
    size, _ = run_in_page(kernel, "table = praison_nb.sessions()\ntable")
    assert size < 96_000, "controls, module, rows, and the copy that is saved: 94 kB"
    rows = (
        "rows, show = [], table.table.send\n"
        "table.table.send = lambda message, *rest: (rows.extend(message['items']), show(message, *rest))"
    )
    assert kernel.run(rows).ok
    kernel.run("%%agent -b c -s row\nMore")
    wait = (
        "import time\nend = time.monotonic() + 60\n"
        "while table.table.rows[0][3] != '2' and time.monotonic() < end: time.sleep(0.01)\n"
        "print(table.table.rows[0][0], table.table.rows[0][3], {index for index, *_ in rows}, len(rows))"
    )
    told = kernel.run(wait).text
    assert told.startswith("row 2 {0} "), told
    kernel.run("table.close()")
