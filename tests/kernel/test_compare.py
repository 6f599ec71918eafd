"""Cells that ask several models at once."""

from __future__ import annotations

import pytest

from servers.base import Gate
from servers.kernel import Kernel
from servers.openai import OpenAIServer, reply


@pytest.fixture
def kernel(shared: Kernel) -> Kernel:
    return shared


def seen(kernel: Kernel, expression: str) -> str:
    return kernel.run(f"print({expression})").text.strip()


def test_each_model_is_asked_once_in_a_session_of_its_own(kernel: Kernel, server: OpenAIServer) -> None:
    before = len(server.bodies)
    kernel.run("word = 'tea'")
    line = "-m gpt-4o,gpt-4o-mini,o3 -o out --tag study=taste --system 'Be brief.'"
    cell = kernel.run(f"%%agent {line}\nIs {{word}} good?")
    assert cell.ok
    bodies = server.bodies[before:]
    assert {body["model"] for body in bodies} == {"gpt-4o", "gpt-4o-mini", "o3"} and len(bodies) == 3
    assert {body["messages"][-1]["content"] for body in bodies} == {"Is tea good?"}
    assert seen(kernel, "_ is out, type(_).__name__, [t.text for t in _]") == (
        f"True Turns {['Is tea good?'] * 3}"
    )
    assert seen(kernel, "out.frame[['model', 'status']].values.tolist()") == str(
        [["gpt-4o", "done"], ["gpt-4o-mini", "done"], ["o3", "done"]]
    )
    columns = "model text seconds first_text input_tokens output_tokens cost status error"
    assert seen(kernel, "*out.frame") == columns
    # What a page without our code reads too: the columns, and the panel of all.
    assert [set(output["data"]) for output in cell.outputs] == [{"text/html", "text/plain"}] * 2
    html, text = cell.of("text/html")[0], cell.of("text/plain")[0]
    assert html.count("<td ") == 3 and html.count("pnb-answer") == 3
    assert [line for line in text.splitlines() if line.startswith("──")] == [
        "── gpt-4o ──",
        "── gpt-4o-mini ──",
        "── o3 ──",
    ]
    # The ledger has each, and what belongs together.
    usage = kernel.run("%usage --by tag:comparison --tag study=taste").text.splitlines()
    assert usage[0].startswith("tag:comparison") and usage[1].split()[1] == "3"
    # No conversation goes on.
    kernel.run("%%agent -m gpt-4o,o3\nAnd coffee?")
    assert all("tea" not in str(body) for body in server.bodies[before + 3 :])


def test_one_that_fails_is_a_column(kernel: Kernel, server: OpenAIServer) -> None:
    cell = kernel.run("%%agent -m gpt-4o,ollama/nobody -o out\n<img src=x onerror=alert(1)>")
    assert cell.ok
    assert seen(kernel, "out.frame['status'].tolist()") == "['done', 'failed']"
    assert seen(kernel, "type(out[1].error).__name__") == "UnreachableError"
    assert "UnreachableError: Cannot reach Ollama" in cell.of("text/html")[0]
    assert "<img" not in cell.of("text/html")[0]
    # Where all fail, later cells must not run.
    assert "UnreachableError" in kernel.run("%%agent -m ollama/a,ollama/b\nHi").error
    assert seen(kernel, "_.frame['status'].tolist()") == "['failed', 'failed']"


def test_variables_and_backends_are_named_as_well(kernel: Kernel, server: OpenAIServer) -> None:
    kernel.run(
        "from praison_nb import Agent, LocalAgent, LocalAgentConfig\n"
        "near = LocalAgent(LocalAgentConfig(model='gpt-4o', system='Be near.'))\n"
        "far = Agent('far', LocalAgent(LocalAgentConfig(model='o3')))\n"
        "near.begin('Remember me').wait()"
    )
    before = len(server.bodies)
    assert kernel.run("%%agent -m near,far,gpt-4o-mini -o out\nHi").ok
    assert seen(kernel, "out.frame['model'].tolist()") == "['near', 'far', 'gpt-4o-mini']"
    assert sorted(body["model"] for body in server.bodies[before:]) == ["gpt-4o", "gpt-4o-mini", "o3"]
    assert "Remember me" not in str(server.bodies[before:]) and "Be near." in str(server.bodies[before:])
    # The user's own goes on as it was.
    assert kernel.run("%%agent -b near,far -m gpt-4o-mini -o out\nHi").ok
    assert seen(kernel, "out.frame['model'].tolist()") == "['near gpt-4o-mini', 'far gpt-4o-mini']"
    assert seen(kernel, "near.model, len(near.session.messages)") == "gpt-4o 2"


def test_a_comma_behind_one_model_is_none_of_its_name(kernel: Kernel, server: OpenAIServer) -> None:
    assert kernel.run("%%agent -m gpt-4o, --new\nHi").ok
    assert server.bodies[-1]["model"] == "gpt-4o" and seen(kernel, "type(_).__name__") == "Turn"


@pytest.mark.parametrize(
    "line", ["-m gpt-4o,o3 --bg", "-m gpt-4o,o3 --budget 0", "-b near,nobody", "-m gpt-4o,o3 -t nothing"]
)
def test_what_cannot_be_is_refused_before_anything_is_sent(
    kernel: Kernel, server: OpenAIServer, line: str
) -> None:
    kernel.run("from praison_nb import LocalAgent\nnear = LocalAgent()")
    before = len(server.bodies)
    error = kernel.run(f"%%agent {line}\nHi").error
    assert error.startswith("ConfigError: ") and len(error.splitlines()) == 1
    assert len(server.bodies) == before


def test_an_interrupt_stops_all_and_keeps_what_there_is(kernel: Kernel, server: OpenAIServer) -> None:
    gates = [Gate(server), Gate(server)]
    server.script(*(reply("So far.", before_end=[gate]) for gate in gates))
    cell = kernel.begin("%%agent -m gpt-4o,o3 -o out\nHi")
    server.wait_for(lambda: all(gate.reached for gate in gates))
    kernel.read_until(lambda: cell.outputs)
    kernel.interrupt()
    kernel.finish(cell)
    for gate in gates:
        gate.open()
    assert "KeyboardInterrupt: the turn was stopped" in cell.error
    assert seen(kernel, "[(t.text, t.stop_reason) for t in out]") == str([("So far.", "interrupted")] * 2)
    assert "stopped by you after" in cell.of("text/plain")[0]


def test_functions_run_one_at_a_time_in_the_cell(kernel: Kernel, server: OpenAIServer) -> None:
    kernel.run(
        "import threading\nwhere = []\n"
        "def look(place: str) -> str:\n    where.append(threading.current_thread().name)\n    return 'rain'"
    )
    server.script(*([reply(calls=[("look", '{"place": "Ulm"}')])] * 2), *([reply("Rain.")] * 2))
    assert kernel.run("%%agent -m gpt-4o,o3 -t look -o out\nWeather?").ok
    assert seen(kernel, "where, [t.text for t in out]") == f"{['MainThread'] * 2} {['Rain.'] * 2}"


@pytest.mark.parametrize("call", ["praison_nb.compare", "await praison_nb.compare"])
def test_a_comparison_in_code_is_shown_while_it_runs(kernel: Kernel, server: OpenAIServer, call: str) -> None:
    gate = Gate(server)
    server.script(reply("So far.", before_end=[gate]), reply("Yes."))
    cell = kernel.begin(f"import praison_nb\nout = {call}('Hi', ['gpt-4o', 'o3'])")
    server.wait_for(lambda: gate.reached)
    kernel.read_until(lambda: "gpt-4o" in cell.text)
    assert not cell.reply
    gate.open()
    kernel.finish(cell)
    assert cell.ok and seen(kernel, "out.frame['status'].tolist()") == "['done', 'done']"
    assert cell.of("text/html")[0].count("pnb-answer") == 2 and "[idle]" in cell.text
