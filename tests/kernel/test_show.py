"""`%agent show`: earlier turns as they were, after the page, the file or the kernel lost them."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from praison_nb import store
from praison_nb.errors import PraisonError
from praison_nb.store.file import MIGRATIONS
from servers.hosted import HostedServer, hold, text
from servers.kernel import Cell, Kernel
from servers.openai import OpenAIServer, chunk, reply
from stored import stored_bytes

A, B = "/home/somebody/a.ipynb", "/home/somebody/b.ipynb"
LOOK = "def look(place: str) -> str:\n    'Look.'\n    return f'seen at {place} <b>'"
ANSWER = "# It is *seen*\n\n* `a` <script>x</script>\n\n| a | b |\n|---|---|\n| 1 | ä 😀 |\n"


def local(server: OpenAIServer, notebook: str = A, start: bool = False) -> Kernel:
    key = {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": "sk-test-1234567890"}
    return Kernel(env={**key, "JPY_SESSION_NAME": notebook}, start=start)


@pytest.fixture
def kernel(openai_server: OpenAIServer) -> Iterator[Kernel]:
    with local(openai_server) as running:
        yield running


@pytest.fixture
def server() -> Iterator[HostedServer]:
    with HostedServer() as running:
        yield running


def kill(kernel: Kernel) -> None:
    """End the kernel as the kernel's machine would, and begin another in its place."""
    kernel.end()
    kernel.restart()


ENDS = [pytest.param(Kernel.restart, marks=pytest.mark.slow(reason="kill, more gently")), kill]


def still(kernel: Kernel) -> tuple[str, str]:
    """The last turn as HTML and as text, by the kernel that has it."""
    said = kernel.run(
        "import json\nfrom praison_nb.render import html, text\n"
        "print(json.dumps([html.turn_html(_), text.turn_text(_)]))"
    )
    html, text = json.loads(said.text)
    return html, text


def show(kernel: Kernel, line: str = "") -> tuple[str, str, str]:
    """What `%agent show` gives: its line, and the turn's HTML and text."""
    cell = kernel.run(f"%agent show {line}")
    assert not cell.error
    (output,) = cell.outputs
    line, _, text = output["data"]["text/plain"].partition("\n\n")
    html = re.sub(r"^<div[^>]*>[^<]*</div>", "", output["data"]["text/html"])
    return line, html, text


def refused(kernel: Kernel, line: str = "") -> str:
    """The one line that `%agent show` ends with."""
    cell = kernel.run(f"%agent show {line}")
    assert len(cell.error.splitlines()) == 1, cell.text
    return cell.error


def kept() -> list[Any]:
    """All turns in the store, oldest first."""
    with sqlite3.connect(store.default_path()) as connection:
        ids = [key for (key,) in connection.execute("SELECT id FROM turns ORDER BY n")]
    connection.close()
    return [store.read_turn(store.default_path(), key) for key in ids]


def has_kept(condition: Callable[[list[Any]], bool]) -> Callable[[], bool]:
    def look() -> bool:
        try:
            return condition(kept())
        except (sqlite3.Error, PraisonError, IndexError):
            return False

    return look


# What the cell showed


def answered(kernel: Kernel, server: OpenAIServer) -> Cell:
    server.script(reply(calls=[("look", '{"place": "a\\n<i>b"}')]), reply(ANSWER, usage=(4000, 12, 3000)))
    return kernel.run("%%agent -s answered -t look\nWhat is *there*?")


def failed(kernel: Kernel, server: OpenAIServer) -> Cell:
    server.refuse(1, status=400, message="no <b>such</b> thing")
    return kernel.run("%%agent -s failed\nWhat is there?")


def broke_off(kernel: Kernel, server: OpenAIServer) -> Cell:
    server.script([chunk({"content": "so **far"})])
    return kernel.run("%%agent -s broke_off\nWhat is there?")


def stopped(kernel: Kernel, server: OpenAIServer) -> Cell:
    gate = server.gate()
    server.script([chunk({"content": "so **far"}), gate])
    cell = kernel.begin("%%agent -s stopped\nWhat is there?")
    kernel.read_until(lambda: "so **far" in cell.text)
    kernel.interrupt()
    kernel.finish(cell)
    gate.open()
    server.wait_for(has_kept(lambda turns: turns[-1].stop_reason == "interrupted"))
    return cell


def over_budget(kernel: Kernel, server: OpenAIServer) -> Cell:
    kernel.run("%agent price scripted-1 --input 1 --output 1")
    server.script(reply(calls=[("look", '{"place": "here"}')], usage=(1000, 10)))
    return kernel.run("%%agent -s over_budget -t look --budget 0.0001\nWhat is there?")


def cut_short(kernel: Kernel, server: OpenAIServer) -> Cell:
    server.script(reply("to the brim", finish="length"))
    return kernel.run("%%agent -s cut_short\nUse {nothing} and {look}")


ASK = [answered, failed, broke_off, stopped, over_budget, cut_short]


@pytest.mark.parametrize("end", ENDS)
def test_a_turn_is_shown_as_its_cell_showed_it(
    kernel: Kernel, openai_server: OpenAIServer, end: Callable[[Kernel], None]
) -> None:
    kernel.run(LOOK)
    were: dict[str, tuple[str, str]] = {}
    for ask in ASK:
        cell = ask(kernel, openai_server)
        html, text = were[ask.__name__] = still(kernel)
        assert show(kernel, ask.__name__)[1:] == (html, text)
        # That is what stands under the cell, where an error is the cell's own.
        if ask not in (failed, broke_off):
            panel = "".join(cell.of("text/html"))
            assert panel and html.endswith(panel)
            assert text == "\n\n".join(filter(None, cell.of("text/plain")))
    end(kernel)
    for name, before in were.items():
        line, *again = show(kernel, name)
        assert again == [*before], name
        assert re.fullmatch(rf"{name} · turn 1 of 1 · \d{{4}}-\d\d-\d\d \d\d:\d\d · “(What|Use) .*”", line)
    assert kernel.run("print(_.stop_reason)").text.strip() == "max_tokens"


@pytest.mark.parametrize("end", ENDS)
def test_a_hosted_turn_and_nobody_is_asked(server: HostedServer, end: Callable[[Kernel], None]) -> None:
    env = {"ANTHROPIC_API_KEY": server.api_key, "ANTHROPIC_BASE_URL": server.url, "JPY_SESSION_NAME": A}
    with Kernel(env=env) as kernel:
        assert kernel.run("%%agent -s hosted\nHello").ok
        before = still(kernel)
        end(kernel)
        asked = len(server.requests)
        assert show(kernel)[1:] == before and show(kernel, "hosted")[1:] == before
        assert len(server.requests) == asked


def test_nothing_is_begun_and_no_socket_opened(openai_server: OpenAIServer) -> None:
    with local(openai_server) as kernel:
        kernel.run(LOOK)
        answered(kernel, openai_server)
    with local(openai_server, start=True) as kernel:
        kernel.run(
            "import sys\nopened = []\n"
            "sys.addaudithook(lambda event, _: opened.append(event) if event.startswith('socket.') else None)"
        )
        show(kernel)
        # A thread imports the SDK for the first turn.
        heavy = "[m for m in ('anthropic', 'anywidget', 'pandas') if m in sys.modules]"
        assert kernel.run(f"print(opened, {heavy})").text.strip() == "[] []"
        assert "No sessions yet" in kernel.run("%agent").text and len(openai_server.bodies) == 2


MINE = """
class Mine:
    async def execute(self, prompt, **kwargs): return "of **mine**"
    async def stream(self, prompt, **kwargs): yield "of **mine**"
    def reset_session(self): ...
    def reset_all(self): ...
    def retrieve_session(self): return {}
mine = Mine()
"""


def test_a_backend_of_the_notebooks_own(kernel: Kernel, openai_server: OpenAIServer) -> None:
    kernel.run(MINE)
    assert kernel.run("%%agent -b mine\nHello").ok
    before = still(kernel)
    kernel.restart()
    line, *again = show(kernel)
    assert again == [*before] and line.startswith("mine · turn 1 of 1")


def test_what_failed_before_there_was_a_session(server: HostedServer) -> None:
    env = {"ANTHROPIC_API_KEY": "wrong-key-123", "ANTHROPIC_BASE_URL": server.url, "JPY_SESSION_NAME": A}
    server.refuse(1, status=401)
    with Kernel(env=env) as kernel:
        assert not kernel.run("%%agent\nthe unforgettable one").ok
        before = still(kernel)
        assert show(kernel)[1:] == before
        kernel.restart()
        line, *again = show(kernel)
        assert again == [*before] and "AuthenticationError" in again[1] and "turn 1 of 1" in line
        assert b"unforgettable" in stored_bytes(store.default_path())
        assert kernel.run("%agent forget").ok
        assert b"unforgettable" not in stored_bytes(store.default_path())
        assert "Nothing to show yet" in refused(kernel)
    # It is a turn of the session that comes of the next try.
    env["ANTHROPIC_API_KEY"] = server.api_key
    server.refuse(1, status=401)
    with Kernel(env=env) as kernel:
        assert not kernel.run("%%agent\none").ok and kernel.run("%%agent\ntwo").ok
        assert "turn 2 of 2" in show(kernel)[0] and "“one”" in show(kernel, "1")[0]
        kernel.restart()
        assert "turn 2 of 2" in show(kernel)[0] and "“one”" in show(kernel, "1")[0]


# What a killed kernel left


def test_a_turn_that_its_kernel_did_not_end(kernel: Kernel, openai_server: OpenAIServer) -> None:
    kernel.run(LOOK)
    gate = openai_server.gate()
    openai_server.script(reply(calls=[("look", '{"place": "here"}')]), [chunk({"content": "It **is"}), gate])
    kernel.begin("%%agent -t look\nWhat is there?")
    # The tool's end is kept at once, and the text while it comes.
    openai_server.wait_for(has_kept(lambda turns: turns[-1].tools[0].result == "seen at here <b>"))
    openai_server.wait_for(has_kept(lambda turns: turns[-1].text == "It **is"))
    kill(kernel)
    gate.open()
    line, html, text = show(kernel)
    assert line.endswith("“What is there?” · unfinished: its kernel ended")
    assert text.startswith("It **is\n\n▸ look here ✓")
    assert "unfinished: its kernel ended; kept as it was after" in html and "cost —" in text
    assert "seen at here" in html
    # It is over, whatever the clock says.
    assert show(kernel) == (line, html, text)


def test_killed_before_anything_came(kernel: Kernel, openai_server: OpenAIServer) -> None:
    gate = openai_server.gate()
    openai_server.script([gate])
    kernel.begin("%%agent -s research\nWhat is there?")
    openai_server.wait_for(lambda: gate.reached)
    openai_server.wait_for(has_kept(lambda turns: turns[-1].pending.estimated))
    kill(kernel)
    gate.open()
    line, _, text = show(kernel)
    assert line.startswith("research · ") and "“What is there?” · unfinished" in line and "cost —" in text


def test_a_hosted_turn_goes_on_on_its_server(server: HostedServer) -> None:
    env = {"ANTHROPIC_API_KEY": server.api_key, "ANTHROPIC_BASE_URL": server.url, "JPY_SESSION_NAME": A}
    gate = server.gate()
    with Kernel(env=env) as kernel:
        server.script([text("so far"), hold(gate), text("and the rest")])
        kernel.begin("%%agent\nHello")
        server.wait_for(has_kept(lambda turns: "so far" in turns[-1].text))
        kill(kernel)
        line, _, _ = show(kernel)
        again = re.search(r"unfinished: its kernel ended; `(%agent resume \w+)` takes it up again$", line)
        assert again
        gate.open()
        assert kernel.run(again[1]).ok
        server.wait_for(has_kept(lambda turns: len(turns) == 1 and turns[0].ended is not None))
        line, _, shown = show(kernel)
        assert "unfinished" not in line and "and the rest" in shown


# Turns under way


def test_a_running_turn_is_shown_as_it_is_now(kernel: Kernel, openai_server: OpenAIServer) -> None:
    gate = openai_server.gate()
    openai_server.script([chunk({"content": "so far"}), gate, *reply(" and on")])
    kernel.run("%%agent --bg -o run\nHello")
    openai_server.wait_for(lambda: gate.reached)
    openai_server.wait_for(has_kept(lambda turns: turns[-1].text == "so far"))
    line, html, text = show(kernel)
    assert text.startswith("so far\n\n[running] main") and "● running" in html and "unfinished" not in line
    with local(openai_server) as other:
        line, _, text = show(other)
        assert re.search(r"running in another kernel, as it was at \d\d:\d\d:\d\d$", line)
        assert text.startswith("so far\n\n[running] main")
    gate.open()
    kernel.run("await run")
    assert show(kernel)[2].startswith("so far and on\n\n[idle] main")


# Which one is meant


def test_sessions_and_numbers(kernel: Kernel, openai_server: OpenAIServer) -> None:
    for name, count in (("research", 3), ("main", 2), ("other", 1)):
        for number in range(1, count + 1):
            kernel.run(f"%%agent -s {name}\n{name} {number}")

    def prompt(line: str) -> str:
        return show(kernel, line)[0].split("“")[1].rstrip("”")

    for _ in range(2):
        assert prompt("") == prompt("-1") == prompt("2") == prompt("main") == "main 2"
        assert prompt("1") == prompt("-2") == prompt("main -2") == "main 1"
        assert [prompt(f"research {n}") for n in ("1", "2", "3", "-1", "-3", "+2", "")] == [
            f"research {n}" for n in (1, 2, 3, 3, 1, 2, 3)
        ]
        assert "Session 'research' has 3 turns: say 1 to 3, or -1" in refused(kernel, "research 4")
        assert "has 1 turn: say 1" in refused(kernel, "other -2")
        for nonsense in ("0", "research 0", "research 1 2", "1 research"):
            assert "Say `%agent show [SESSION] [N]`" in refused(kernel, nonsense)
        assert "No turn of a session 'nobody' is kept" in refused(kernel, "nobody")
        assert "quote is not closed" in refused(kernel, "it's")
        kernel.restart()
    # Renamed, and started over: the old ones are there by name until there is a new one, then by id.
    kernel.run("%agent rename research study")
    assert prompt("study 1") == "research 1"
    old = next(each.id for each in store.current().all() if each.name == "main")
    kernel.run("%%agent\nmain 3")
    kernel.run("%agent reset")
    assert prompt("") == "main 3"
    kernel.run("%%agent\nanew")
    assert prompt("") == "anew" and "turn 1 of 1" in show(kernel)[0] and prompt(f"{old} 2") == "main 2"


def test_without_a_main_the_one_used_last(kernel: Kernel, openai_server: OpenAIServer) -> None:
    kernel.run("%%agent -s one\n1")
    kernel.run("%%agent -s two\n2")
    kernel.run("import praison_nb\nchat = praison_nb.chat()")  # a main that nothing was said in
    assert show(kernel)[0].startswith("two · ")
    kernel.restart()
    assert show(kernel)[0].startswith("two · ")


def test_another_notebooks_turns_are_shown_by_id(kernel: Kernel, openai_server: OpenAIServer) -> None:
    kernel.run("%%agent -s research\nof a")
    before = still(kernel)
    (session,) = store.current().all()
    with local(openai_server, B) as other:
        assert "Nothing to show yet" in refused(other)
        assert "shown by its id" in refused(other, "research")
        assert show(other, session.id)[1:] == before and show(other, f"{session.id} 1")[1:] == before
        assert "No sessions yet" in other.run("%agent").text
        kernel.run("%agent archive research")
        assert show(other, session.id)[1:] == before


# What is not kept, and what is deleted


def test_without_history_it_says_so(kernel: Kernel, openai_server: OpenAIServer) -> None:
    kernel.run("%config AgentMagics.keep_history = False")
    kernel.run("%%agent\nthe secret word")
    line, _, text = show(kernel)
    assert line.endswith("not kept, and gone with this kernel: AgentMagics.keep_history is off")
    assert text.startswith("the secret word")
    assert b"secret" not in stored_bytes(store.default_path()) and kept() == []
    kernel.restart()
    assert "keep_history was off" in refused(kernel)
    kernel.run("%config AgentMagics.keep_history = False")
    assert "keep_history is off. `%config AgentMagics.keep_history = True`" in refused(kernel, "main")
    kernel.run("%config AgentMagics.keep_history = True")
    kernel.run("%%agent\nthe open word")
    assert "turn 1 of 1" in show(kernel)[0]


@pytest.mark.parametrize("command", ["forget", "delete main"])
def test_what_is_deleted_is_gone(kernel: Kernel, openai_server: OpenAIServer, command: str) -> None:
    kernel.run("%%agent\nunforgettable")
    assert b"unforgettable" in stored_bytes(store.default_path())
    assert kernel.run(f"%agent {command}").ok
    assert "Nothing to show yet" in refused(kernel) and kept() == []
    assert b"unforgettable" not in stored_bytes(store.default_path())


def test_a_store_of_before_has_messages(openai_server: OpenAIServer) -> None:
    path = store.default_path()
    connection = sqlite3.connect(path)
    connection.executescript(f"{MIGRATIONS[0]};{MIGRATIONS[1]}; PRAGMA user_version=2")
    row = "('old-1', ?, 'research', 'local', 'local', 'm', '{}', '{}', '', 1, 2, 'idle', '', '{}', 1, 0)"
    connection.execute(f"INSERT INTO sessions VALUES {row}", (A,))
    call = {"id": "c", "function": {"name": "look", "arguments": '{"place": "here"}'}}
    turns = [
        [
            {"role": "user", "content": "What is <i>there</i>?"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": "seen"},
            {"role": "assistant", "content": "It **is**."},
        ],
        [{"role": "user", "content": "And now?"}, {"role": "assistant", "content": "Gone."}],
    ]
    for number, messages in enumerate(turns):
        values = (number, "old-1", f"t{number}", json.dumps(messages))
        connection.execute("INSERT INTO history VALUES (?, ?, ?, ?)", values)
    connection.commit()
    connection.close()
    with local(openai_server) as kernel:
        line, html, text = show(kernel, "research 1")
        assert line == "research · turn 1 of 2 · “What is <i>there</i>?” · only its messages were kept"
        assert (
            "▸ look here" in text
            and "It **is**." in text
            and "<strong>is</strong>" in html
            and "seen" in html
        )
        assert "Gone." in show(kernel)[2]
        # It goes on, and from here on whole turns are kept.
        assert kernel.run("%%agent -s research\nStill?").ok
        assert "turn 3 of 3" in show(kernel)[0] and "turn 2 of 3" in show(kernel, "-2")[0]


DAMAGE = ["'{bad'", "'5'", """'{"version": "9.0"}'""", "json_set(turn, '$.items', 1)"]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_turn_is_one_line(kernel: Kernel, openai_server: OpenAIServer, damage: str) -> None:
    kernel.run("%%agent\none")
    kernel.run("%%agent\ntwo")
    kernel.restart()
    store.current().change(lambda connection: connection.execute(f"UPDATE turns SET turn={damage} WHERE n=1"))
    line = refused(kernel, "1")
    assert "StoreError: Turn" in line and ("update this one" if "9.0" in damage else "damaged") in line
    assert "“two”" in show(kernel)[0]


def test_a_store_that_cannot_be_read(kernel: Kernel, openai_server: OpenAIServer) -> None:
    kernel.run("%%agent\none")
    before = still(kernel)
    path = store.default_path()
    for each in path.parent.glob(f"{path.name}*"):
        each.unlink()
    path.write_bytes(b"no database " * 1000)
    line, *again = show(kernel)
    assert again == [*before] and "not kept" in line and "is damaged, or no store" in line
    assert "is damaged, or no store" in refused(kernel, "nobody")
