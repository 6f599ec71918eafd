"""What was reported is in the ledger, whatever happens to the process."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from praison_nb import usage
from servers.kernel import Kernel
from servers.openai import OpenAIServer, reply

SETUP = """
from praison_nb import LocalAgent, LocalAgentConfig
def again() -> str:
    "Ask again."
    return "go on"
config = LocalAgentConfig(model="m", base_url={url!r}, api_key="test-key-123", tools=[again])
agent = LocalAgent(config=config)
"""


def whole(path: str) -> bool:
    connection = sqlite3.connect(path)
    try:
        return bool(connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)])
    finally:
        connection.close()


def test_killed_in_mid_turn_again_and_again(openai_server: OpenAIServer) -> None:
    ledger = os.environ["PRAISON_NB_LEDGER"]
    expected: list[int] = []
    for turn, requests in enumerate((1, 2, 3, 5, 8, 4), start=1):
        # So many requests are answered; the next one hangs, and then the kernel is killed.
        counts = [100 * turn + number for number in range(requests)]
        gate = openai_server.gate()
        answered = [reply(calls=[("again", "{}")], usage=(count, 1)) for count in counts]
        openai_server.script(*answered, [gate])
        with Kernel() as kernel:
            assert kernel.run(SETUP.format(url=openai_server.base_url)).ok
            kernel.begin("%%agent -b agent\nHi")
            openai_server.wait_for(lambda reached=gate: reached.reached)
            kernel.end()
        gate.open()
        expected += counts
        assert whole(ledger)
        sent = usage(by="request")
        # The one that hung is there as an estimate.
        is_known = ~sent["estimated"]
        assert sorted(sent["input_tokens"][is_known]) == sorted(expected)
        assert list(sent["state"][~is_known]) == ["unknown"] * turn
        # The turn has what its requests had, though it never ended.
        row = usage().iloc[-1]
        assert row["input_tokens"] == sum(sent["input_tokens"].iloc[-requests - 1 :])
        assert (row["requests"], row["status"], row["is_lower_bound"]) == (requests + 1, "unknown", True)


def test_killed_when_the_cell_has_just_ended(openai_server: OpenAIServer) -> None:
    for turn in range(1, 6):
        openai_server.script(reply("done", usage=(turn, 1)))
        with Kernel() as kernel:
            assert kernel.run(SETUP.format(url=openai_server.base_url)).ok
            # The cell kills its own kernel as soon as it has the turn.
            kernel.begin(
                "import os, signal\nturn = await agent.begin('Hi')\nassert turn.text == 'done'\n"
                "os.kill(os.getpid(), signal.SIGKILL)"
            )
            kernel.manager.provisioner.process.wait()
        assert sorted(usage(by="request")["input_tokens"]) == list(range(1, turn + 1))
    assert whole(os.environ["PRAISON_NB_LEDGER"])


def test_what_waits_is_written_when_a_script_ends(tmp_path: Path) -> None:
    code = """
from praison_nb import ScriptedBackend
from praison_nb.events import RequestFinished, TurnFinished
from praison_nb.session import Usage
late = [RequestFinished(usage=Usage(output_tokens=1)) for _ in range(50)]
ScriptedBackend([TurnFinished(), *late]).begin("Hi").wait()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    frame = usage()
    assert len(frame) == 1 and 1 <= frame["output_tokens"].iloc[0] <= 50
    assert frame["output_tokens"].iloc[0] == usage(by="request")["output_tokens"].sum()


WRITER = """
import sys, time
from praison_nb import ScriptedBackend
from praison_nb.events import RequestFinished, RequestStarted
from praison_nb.session import Usage
number, end = 0, time.monotonic() + float(sys.argv[1])
notices = []
while time.monotonic() < end:
    backend = ScriptedBackend([RequestStarted(), RequestFinished(model="m", usage=Usage(output_tokens=1))])
    turn = backend.begin("x").wait()
    notices += turn.notices
    number += 1
print(number, notices)
"""


@pytest.mark.timeout(120)
@pytest.mark.parametrize("processes", [3, pytest.param(8, marks=pytest.mark.slow)])
def test_processes_at_once_lose_nothing(processes: int) -> None:
    command: list[Any] = [sys.executable, "-c", WRITER, "1"]
    pipe = subprocess.PIPE
    writers = [subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) for _ in range(processes)]
    done = [writer.communicate() for writer in writers]
    assert [errors for _, errors in done] == [""] * processes
    counts = [int(out.split(" ", 1)[0]) for out, _ in done]
    # On a machine that is busy with more than this, a writer may say that it keeps rows for a while.
    assert not [out for out, _ in done if "database is locked" in out]
    frame = usage()
    assert min(counts) > 0 and len(frame) == sum(counts) == len(usage(by="request"))
    assert {*frame["status"]} == {"idle"} and whole(os.environ["PRAISON_NB_LEDGER"])
