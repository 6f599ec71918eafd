"""Typed answers and maps over rows in a notebook's cells: what they show, what stays, what is bound."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from kernel.test_pages import announce, begin, heard, say
from praison_nb import ScriptedBackend
from praison_nb.events import TextDelta
from praison_nb.notebook.views.map import MapSubject, ShownMap
from praison_nb.rows import api
from praison_nb.rows.progress import Progress
from servers.kernel import Kernel
from servers.rows import Manners, RowServer

MIME = "application/vnd.praison-nb.turn+json"
HOSTILE = '<img src=x onerror="alert(1)"> $x^2$ **b** [l](javascript:1)'
SETUP = """
import pandas as pd, praison_nb
from dataclasses import dataclass
from typing import Literal
from praison_nb import LocalAgent, LocalAgentConfig
Label = Literal["good", "bad"]
@dataclass
class Ticket:
    title: str
    stars: int
df = pd.DataFrame({{"text": [f"text {{i}}" for i in range(40)]}})
b = LocalAgent(LocalAgentConfig(model="gpt-4o-mini", base_url="{url}/v1", provider="openai", wire="chat",
                                api_key="test-key"))
"""


def answer(prompt: str) -> Any:
    """By what the question begins with."""
    match prompt.split()[0]:
        case "ticket":
            return {"title": HOSTILE, "stars": 5}
        case "tickets":
            return {"value": [{"title": f"{HOSTILE} {n}", "stars": n} for n in range(50)]}
        case "none":
            return {"value": "neither"}
    return {"value": "good"}


@pytest.fixture(scope="module")
def server() -> Iterator[RowServer]:
    with RowServer(answer=answer) as running:
        yield running


@pytest.fixture(scope="module")
def kernel(server: RowServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    file = tmp_path_factory.mktemp("answers") / "answers.sqlite"
    with Kernel(env={"PRAISON_NB_ANSWERS": str(file), "JPY_SESSION_NAME": "a.ipynb"}) as kernel:
        assert kernel.run(SETUP.format(url=server.url)).ok
        yield kernel


@pytest.fixture
def slow(server: RowServer) -> Iterator[None]:
    server.manners = Manners(seconds=1.5)
    yield
    server.manners = Manners()


@pytest.fixture(autouse=True)
def new_session(request: pytest.FixtureRequest) -> None:
    """What was asked before is not in the next question."""
    if "kernel" in request.fixturenames:
        assert request.getfixturevalue("kernel").run("b.reset_session()").ok


def html(cell: Any) -> str:
    return "".join(cell.of("text/html"))


def value(kernel: Kernel, code: str) -> str:
    cell = kernel.run(f"print(({code}))")
    assert cell.ok, cell.error
    return cell.text.strip()


# Typed answers


def test_an_answer_is_a_table_in_the_cell_and_in_the_file(kernel: Kernel) -> None:
    cell = kernel.run("%%agent --as Ticket -b b -s one -o x\nticket")
    assert cell.ok, cell.error
    assert '<th style="text-align:left">stars</th>' in html(cell)
    assert "<img" not in html(cell) and "&lt;img" in html(cell)
    assert "_process" not in html(cell), "nothing in it is a formula"
    assert f"title  {HOSTILE}\nstars  5" in cell.text
    assert value(kernel, "x.value.stars, list(x.frame.columns)") == "(5, ['title', 'stars'])"
    assert f"title  {HOSTILE}\nstars  5" in kernel.run("x").text
    assert kernel.run("%agent show one").of("text/html")[0].count("<table>") == 1


def test_a_list_is_rows_of_which_the_first_are_shown(kernel: Kernel) -> None:
    cell = kernel.run("%%agent --as list[Ticket] -b b -s list -o x\ntickets")
    assert html(cell).count("<tr>") == 21
    assert "… 30 more" in html(cell) and "… 30 more" in cell.text
    assert value(kernel, "len(x.value), len(x.frame)") == "(50, 50)"


@pytest.mark.parametrize(
    "kind", ["Label", "Literal['good', 'bad']", 'Literal["good","bad"]', '\'Literal["good", "bad"]\'', "str"]
)
def test_a_type_is_a_name_or_an_expression(kernel: Kernel, kind: str) -> None:
    cell = kernel.run(f"%%agent --as {kind} -b b -s kinds --new -o x\nsay")
    assert cell.ok, cell.error
    assert "<p" in html(cell) and ">good</p>" in html(cell)
    assert value(kernel, "repr(x.value)") == "'good'"


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("Lable", "name 'Lable' is not defined: did you mean 'Label'?"),
        ("list[", "this is no expression"),
        ("df", "is no type of answers"),
        ("1/0", "ZeroDivisionError"),
    ],
)
def test_what_is_no_type_is_one_line(kernel: Kernel, server: RowServer, kind: str, why: str) -> None:
    before = server.books.requests
    cell = kernel.run(f"%%agent --as {kind} -b b\nsay")
    assert "ConfigError" in cell.error and why in cell.error
    assert "Traceback" not in cell.error and len(cell.error.splitlines()) == 1
    assert server.books.requests == before


def test_an_answer_that_never_fits_is_kept_as_code(kernel: Kernel) -> None:
    cell = kernel.run("%%agent --as Label -b b -s misfit --new -o x\nnone")
    assert "InvalidAnswerError" in cell.error
    assert "<pre><code>" in html(cell) and "neither" in html(cell)
    assert value(kernel, "x.value, 'neither' in x.text") == "(None, True)"


def test_what_can_stand_behind_as_and_rows(kernel: Kernel) -> None:
    def completed(line: str) -> list[str]:
        kernel.client.complete(line, len(line))
        return list(kernel.client.get_shell_msg(timeout=30)["content"]["matches"])

    assert {"Ticket", "Label", "int"} <= set(completed("%%agent --as "))
    assert "df" in completed("%%agent --rows ")


def test_json_is_code_while_it_comes() -> None:
    from praison_nb.notebook.views.shown import TurnSubject
    from praison_nb.turn import Message, Turn

    run = ScriptedBackend([TextDelta(text='{"value": 5}')]).begin("Hi", output=int)
    run.wait()
    items = TurnSubject(run).turn_items.answer(Turn(items=(Message("m", ('{"*a*": "<b>',)),)))
    assert items[-1]["tail"] == "<pre><code>{&quot;*a*&quot;: &quot;&lt;b&gt;</code></pre>\n"


# Maps


def test_a_pause_of_a_second_is_said() -> None:
    subject: Any = None
    assert "wants a pause" in ShownMap(Progress(held_seconds=0.99), subject).label
    assert "pause" not in ShownMap(Progress(), subject).label


def test_a_map_that_is_over_before_its_output_is_made_is_shown() -> None:
    run = api.begin(["a"], "{value}", agent=ScriptedBackend([TextDelta(text="x")]))
    run.wait()
    subject, shown = MapSubject(run), list[bool]()
    # As an output begins.
    assert "1 of 1 rows" in subject.now().below(background=False)["text/plain"]
    subject.show(lambda: shown.append(subject.now().is_over))
    subject.settled.result(10)
    assert shown == [True]


def test_a_map_of_a_cell_binds_the_frame_and_stays(kernel: Kernel) -> None:
    kernel.run("style, text = 'short', 'a variable'")
    cell = kernel.run("%%agent --rows df --as Label -b b -o out\nA {style} label of {text}")
    assert cell.ok, cell.error
    assert value(kernel, "_ is out, out.value.tolist() == ['good'] * 40") == "(True, True)"
    assert all("text/html" in each and "text/plain" in each for each in (o["data"] for o in cell.outputs))
    assert html(cell).count("<tr>") == 11 and "… 30 more rows are in the frame" in html(cell)
    assert "40</b> of 40 rows" in html(cell) and "filled {style}" in cell.text
    assert "left as it is" not in cell.text
    again = kernel.run("%%agent --rows df --as Label -b b\nA {style} label of {text}")
    assert "kept 40" in again.text and "spent $0.0000" in again.text


def test_options_of_a_map_leave_the_agent_as_it_is(kernel: Kernel, server: RowServer) -> None:
    before = len(server.requests)
    cell = kernel.run(
        "%%agent --rows df[df.index < 2] --as Label -b b -m gpt-4o-mini,gpt-4o --system Hm -o out\nW {text}"
    )
    assert cell.ok, cell.error
    assert value(kernel, "out._model.tolist()") == str(["gpt-4o-mini"] * 2 + ["gpt-4o"] * 2)
    assert {each.json["model"] for each in server.requests[before:]} == {"gpt-4o-mini", "gpt-4o"}
    assert value(kernel, "b.model, b.config.system") == "('gpt-4o-mini', '')"


@pytest.mark.parametrize("call", ["praison_nb.map", "await praison_nb.map"])
def test_a_map_in_code_shows_the_same(kernel: Kernel, call: str) -> None:
    cell = kernel.run(f"out = {call}(df[:5], '{call} {{text}}', agent=b, output=Label)")
    assert cell.ok, cell.error
    assert html(cell).count("<tr>") == 6 and "5 of 5 rows" in cell.text
    assert value(kernel, "len(out)") == "5"


@pytest.mark.parametrize(
    "code",
    [
        "f = CALL\nout = await f",
        "import asyncio\nt = asyncio.create_task(CALL)\nout = await t",
        "out = await asyncio.wait_for(CALL, 60)",
        "out, _ = await asyncio.gather(*[CALL for _ in range(2)])",
        "out = (lambda: CALL)()\nawait asyncio.sleep(0)",
        "async def later():\n    return await CALL\nt = asyncio.create_task(later())",
        "loop = asyncio.get_running_loop()\nt = loop.create_task(CALL)",
        "from asyncio import gather\nt = gather(*[CALL for _ in 'a'], return_exceptions=True)",
    ],
)
def test_a_cell_that_awaits_it_or_has_asyncio_do_so(kernel: Kernel, code: str) -> None:
    call = "praison_nb.map(df[:2], 'Awaited {text}', agent=b, output=Label)"
    cell = kernel.run("import asyncio\nout = None\n" + code.replace("CALL", call))
    assert cell.ok, cell.error
    if code.splitlines()[-1].startswith("t = "):
        assert kernel.run("out = await t").ok
    assert value(kernel, "(out[0] if isinstance(out, list) else out).value.tolist()") == "['good', 'good']"
    assert "2</b> of 2 rows" in html(cell)


def test_failures_have_reasons_and_are_escaped(kernel: Kernel) -> None:
    kernel.run("rows = ['none <b>' , 'fine']")
    cell = kernel.run("%%agent --rows rows --as Label -b b -o out\n{value}")
    assert cell.ok, cell.error
    assert "failed 1" in cell.text and "InvalidAnswerError" in cell.text
    assert "<b>' " not in html(cell) and "none &lt;b&gt;" in html(cell)
    assert value(kernel, "out._status.tolist()") == "['failed', 'done']"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("--rows dff", "name 'dff' is not defined: did you mean 'df'?"),
        ("--rows 3", "goes over the rows of a DataFrame"),
        ("--rows df -s x", "--session is of one turn"),
        ("--rows df --new", "--new is of one turn"),
    ],
)
def test_what_is_no_map_is_one_line(kernel: Kernel, line: str, why: str) -> None:
    cell = kernel.run(f"%%agent {line} -b b\n{{text}}")
    assert why in cell.error and len(cell.error.splitlines()) == 1


def test_an_interrupt_keeps_what_was_answered(kernel: Kernel, slow: None) -> None:
    cell = kernel.begin("%%agent --rows df --as Label -b b -o out\nInterrupted {text}")
    kernel.read_until(lambda: any("running 16" in each for each in cell.of("text/plain")))
    kernel.interrupt()
    kernel.finish(cell)
    assert "KeyboardInterrupt" in cell.error
    assert "stopped by you after" in cell.text
    assert value(kernel, "len(out), 'stopped' in set(out._status)") == "(40, True)"


def test_stop_ends_a_map_that_a_page_follows(kernel: Kernel, slow: None) -> None:
    """A page that is loaded in mid map gets all of it; its Stop ends the map, and the frame is bound."""
    announce(kernel)
    cell = begin(kernel, "%%agent --rows df --as Label -b b --bg -o out\nAnother {text}")
    kernel.finish(cell)
    output = cell.outputs[0]["data"][MIME]
    assert "MapRun" in value(kernel, "type(out)")
    say(kernel, output["id"], "ready")
    kernel.read_until(lambda: any("state" in each for each in heard(cell)))
    say(kernel, output["id"], "stop")
    kernel.read_until(lambda: MIME not in cell.outputs[0]["data"])
    assert "stopped by you after" in cell.outputs[0]["data"]["text/plain"]
    assert value(kernel, "len(out), 'stopped' in set(out._status)") == "(40, True)"


def test_ten_thousand_rows_cost_few_messages(kernel: Kernel) -> None:
    kernel.run("many = pd.DataFrame({'text': [f'row {i % 500}' for i in range(10_000)]})")
    announce(kernel)
    cell = begin(kernel, "%%agent --rows many --as Label -b b -o out\nMany {text}")
    assert kernel.finish(cell).ok
    took = [m["header"]["date"] for m in cell.messages]
    seconds = (took[-1] - took[0]).total_seconds()
    shown = [m for m in cell.messages if m["msg_type"] in ("display_data", "update_display_data", "comm_msg")]
    assert len(shown) <= 4 + 4 * seconds
    assert "10,000</b> of 10,000 rows" in html(cell) and "kept <b>9,500" in html(cell).replace("&nbsp;", " ")
    assert value(kernel, "len(out)") == "10000"
