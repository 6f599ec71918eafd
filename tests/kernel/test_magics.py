"""`%%agent` and `%agent` in a real kernel, against a scripted server."""

from __future__ import annotations

import json
import re
import time

import pytest

from praison_nb.notebook.commands.table import COMMANDS
from praison_nb.notebook.magics import AgentMagics
from servers.kernel import Kernel
from servers.openai import DONE, CutHere, OpenAIServer, chunk, reply


@pytest.fixture
def kernel(shared: Kernel) -> Kernel:
    """The module's kernel, with no conversations left over."""
    assert shared.run("%reload_ext praison_nb\n%agent use local").ok
    return shared


def last_prompt(server: OpenAIServer) -> str:
    return str(server.bodies[-1]["messages"][-1]["content"])


def test_a_cell_is_a_turn(kernel: Kernel, server: OpenAIServer) -> None:
    server.script(reply("Hello **there**", usage=(1200, 20, 300)))
    cell = kernel.run("%%agent -o answer\nHi")
    assert cell.ok, cell.text
    assert cell.answers == ["Hello **there**"]
    panel = cell.of("text/html")[-1]
    words_only = re.sub("<[^>]+>", "", panel)
    for words in ("● idle", "main · scripted-1 · local", "in 1,200 (25% cached)", "out 20", "cost —"):
        assert words in words_only
    assert "<script" not in panel and "pnb" not in panel
    assert kernel.run("print(_.text, answer is _, type(Out[max(Out)]).__name__)").text.startswith(
        "Hello **there** True Turn"
    )
    assert "Usage(uncached_input_tokens=900" in kernel.run("answer.usage").text
    shown = kernel.run("answer").outputs[0]["data"]
    assert set(shown) == {"text/plain", "text/html"}


def test_the_conversation_goes_on_by_name(kernel: Kernel, server: OpenAIServer) -> None:
    kernel.run("%%agent\none")
    kernel.run("%%agent\ntwo")
    assert [m["role"] for m in server.bodies[-1]["messages"]] == ["user", "assistant", "user"]
    kernel.run("%%agent -s other\nthree")
    assert len(server.bodies[-1]["messages"]) == 1
    kernel.run("%%agent --new\nfour")
    assert len(server.bodies[-1]["messages"]) == 1
    table = kernel.run("%agent")
    assert re.search(r"main +idle +gpt-4o-mini +local +10 +5", table.text)
    assert "● idle" in table.of("text/html")[0]


def test_options_reach_the_server(kernel: Kernel, server: OpenAIServer) -> None:
    kernel.run('%%agent -m gpt-4o --system "Be brief, please." --max-turns 3\nHi')
    body = server.bodies[-1]
    assert body["model"] == "gpt-4o"
    assert body["messages"][0] == {"role": "system", "content": "Be brief, please."}
    assert kernel.run("%config AgentMagics.model = 'gpt-4.1'").ok
    kernel.run("%%agent -s configured\nHi")
    assert server.bodies[-1]["model"] == "gpt-4.1"


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("{x} and {df.shape}", "3 and [2, 1]"),
        ('{"a": 1} {k: v for k in x} {', '{"a": 1} {k: v for k in x} {'),
        ("{nobody}", "{nobody}"),
    ],
)
def test_braces(kernel: Kernel, server: OpenAIServer, text: str, sent: str) -> None:
    kernel.run("import pandas as pd\nx = 3\ndf = pd.DataFrame({'a': [1, 2]})")
    cell = kernel.run(f"%%agent\n{text}")
    assert cell.ok and last_prompt(server) == sent
    assert ("nobody is not defined" in cell.text) == ("nobody" in text)
    kernel.run(f"%%agent --raw\n{text}")
    assert last_prompt(server) == text


def test_a_tool_of_the_notebook_prints_and_displays_in_the_cell(kernel: Kernel, server: OpenAIServer) -> None:
    kernel.run(
        "import threading\nfrom IPython.display import display, HTML\n"
        "def look(name: str) -> str:\n"
        "    'Look at a variable.'\n"
        "    global seen\n"
        "    seen = threading.current_thread() is threading.main_thread()\n"
        "    print('looking at', name); display(HTML('<b>plot</b>'))\n"
        "    return repr(globals()[name])\n"
        "secret = 42"
    )
    server.script(reply(calls=[("look", '{"name": "secret"}')]), reply("It is 42."))
    cell = kernel.run("%%agent -t look\nWhat is secret?")
    assert cell.ok and "looking at secret" in cell.text and "<b>plot</b>" in cell.of("text/html")
    assert cell.answers == ["It is 42."]
    assert "▸ look secret ✓" in cell.text
    assert server.bodies[-1]["messages"][-1]["content"] == "42"
    assert kernel.run("print(seen)").text.strip() == "True"


def test_run_all_keeps_its_order_and_stops_at_an_error(kernel: Kernel, server: OpenAIServer) -> None:
    hold = server.gate()
    server.script([chunk({"content": "first"}), hold, chunk({}, finish_reason="stop"), DONE], reply("second"))
    cells = [
        kernel.begin(code) for code in ("%%agent\n1", "order = [_.text]", "%%agent\n2", "order + [_.text]")
    ]
    server.wait_for(lambda: hold.reached)
    assert not cells[1].reply
    hold.open()
    for cell in cells:
        assert kernel.finish(cell).ok
    assert "['first', 'second']" in cells[3].text
    server.refuse(1, status=400, message="bad")
    failed, after = kernel.begin("%%agent\nHi"), kernel.begin("ran = True")
    assert not kernel.finish(failed).ok
    assert kernel.finish(after).reply["status"] == "aborted"


def test_an_interrupt_stops_the_turn_and_keeps_what_there_is(kernel: Kernel, server: OpenAIServer) -> None:
    hold = server.gate()
    server.script([chunk({"content": "the text so far"}), hold, DONE])
    cell, after = kernel.begin("%%agent -o kept\nHi"), kernel.begin("ran = True")
    kernel.read_until(lambda: "the text so far" in cell.text)
    asked = time.monotonic()
    kernel.interrupt()
    kernel.finish(cell)
    waited = time.monotonic() - asked
    assert kernel.finish(after).reply["status"] == "aborted"
    assert cell.error == "KeyboardInterrupt: the turn was stopped; its text and usage so far are kept"
    assert "stopped by you after" in cell.text and cell.answers == ["the text so far"]
    assert (
        "True interrupted 4"
        in kernel.run("print(kept is _, kept.stop_reason, kept.usage.output_tokens)").text
    )
    # Half a second is the promise; a busy machine gets some room.
    assert waited < 5
    assert kernel.run("%%agent\nagain").ok
    assert [m["content"] for m in server.bodies[-1]["messages"]] == ["Hi", "the text so far", "again"]


def test_an_interrupt_reaches_a_tool(kernel: Kernel, server: OpenAIServer) -> None:
    kernel.run(
        "import time\ndef spin():\n    print('spinning', flush=True)\n    while True: time.sleep(0.01)"
    )
    server.script(reply(calls=[("spin", "{}")]))
    cell = kernel.begin("%%agent -t spin\nHi")
    kernel.read_until(lambda: "spinning" in cell.text)
    kernel.interrupt()
    assert "KeyboardInterrupt: the turn was stopped" in kernel.finish(cell).error
    assert kernel.run("%%agent -t spin\nagain").ok


def test_stop_from_the_kernel_while_the_cell_waits(kernel: Kernel, server: OpenAIServer) -> None:
    kernel.run("def enough() -> None:\n    get_ipython().run_line_magic('agent', 'stop')")
    server.script(reply("so far", calls=[("enough", "{}")]))
    cell = kernel.run("%%agent -t enough\nHi")
    # Stopped on purpose, not interrupted: a Run All goes on.
    assert cell.ok and "stopped by you" in cell.text and cell.answers == ["so far"]


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (401, "AuthenticationError: 127.0.0.1"),
        (404, "no model 'gpt-4o-mini'"),
        (429, "Try again in 3 s"),
        (500, "failed (500)"),
    ],
)
def test_errors_are_one_line(kernel: Kernel, server: OpenAIServer, status: int, told: str) -> None:
    server.refuse(
        1,
        status=status,
        message="The model `gpt-4o-mini` does not exist. sk-test-1234567890",
        headers={"retry-after": "3", "x-should-retry": "false"},
    )
    cell = kernel.run("%%agent -o failed\nHi")
    assert not cell.ok and "Error: " in cell.error and len(cell.error.splitlines()) == 1
    assert (told in cell.error) or status == 401
    assert "● error" in cell.of("text/html")[-1]
    assert "sk-test-1234567890" not in json.dumps(cell.messages, default=str)
    assert "error" in kernel.run("failed.status").text


def test_a_cut_stream_keeps_the_text(kernel: Kernel, server: OpenAIServer) -> None:
    server.script([chunk({"content": "half an answer"}), CutHere()])
    cell = kernel.run("%%agent\nHi")
    assert cell.answers == ["half an answer"] and "text so far is kept" in cell.error


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("%%agent -b nosuch", "No backend and no variable 'nosuch'"),
        ("%%agent -b os", "Not a backend"),
        ("%%agent -t nosuch", "No function 'nosuch'"),
        ("%%agent --bogus", "unrecognized arguments: --bogus"),
        ("%%agent --max-turns x", "invalid int value"),
        ("%%agent -m ollama/", "names no model"),
    ],
)
def test_bad_arguments_are_one_line(kernel: Kernel, line: str, told: str) -> None:
    kernel.run("import os")
    cell = kernel.run(f"{line}\nHi")
    assert not cell.ok and told in cell.text and "Traceback" not in cell.text


def test_an_empty_prompt(kernel: Kernel) -> None:
    assert "The prompt is empty" in kernel.run("%%agent\n  ").error


def test_other_backends(kernel: Kernel, server: OpenAIServer) -> None:
    kernel.run(
        "class Echo:\n"
        "    def execute(self, prompt, **k): return prompt\n"
        "    async def stream(self, prompt, **k):\n        yield prompt\n"
        "    def reset_session(self): ...\n    def reset_all(self): ...\n"
        "    def retrieve_session(self): return {'id': 'echo-1', 'status': 'idle'}\n"
        "echo = Echo()\nfrom praison_nb import Agent\nagent = Agent(name='e', backend=Echo())"
    )
    cell = kernel.run("%%agent -b echo\nfrom a variable")
    assert cell.answers == ["from a variable"] and "echo · Echo · custom" in cell.text
    assert kernel.run("%%agent -b agent\nfrom an agent").answers == ["from an agent"]
    assert "Start it over" in kernel.run("%%agent -s agent\nHi").error
    assert kernel.run("%agent use echo").ok
    assert kernel.run("%%agent\nby default").answers == ["by default"]


def test_our_names_mean_our_backends_however_variables_are_called(
    kernel: Kernel, server: OpenAIServer
) -> None:
    assert kernel.run("import praison_nb\nlocal = 5").ok
    try:
        assert "%%agent uses local" in kernel.run("%agent use local").text
        assert kernel.run("%%agent\nby default").ok and kernel.run("%%agent -s b -b local\nby -b").ok
        assert kernel.run("praison_nb.chat('c')._begin('from the chat', '')").ok
        server.wait_for(lambda: last_prompt(server) == "from the chat")
    finally:
        kernel.run("del local")


def test_a_name_means_the_same_by_an_option_by_a_command_and_in_the_chat(kernel: Kernel) -> None:
    kernel.run("import os, praison_nb\nmine = praison_nb.Agent('mine', praison_nb.LocalAgent())")
    for code in ("%%agent -b os\nHi", "%agent use os", "%config AgentMagics.backend='os'\npraison_nb.chat()"):
        assert "Not a backend: <module 'os'" in kernel.run(code).error, code
    for code in ("%%agent -b nobody\nHi", "%config AgentMagics.backend='nobody'\npraison_nb.chat()"):
        assert "No backend and no variable 'nobody'" in kernel.run(code).error, code
    # An agent and its backend are one: the conversation goes on.
    assert kernel.run("%config AgentMagics.backend='mine'\npraison_nb.chat()").ok
    assert kernel.run("%%agent -s main -b mine\nHi").ok
    kernel.run("%config AgentMagics.backend=''")


def test_agent_commands(kernel: Kernel) -> None:
    assert "No sessions yet" in kernel.run("%agent").text
    assert "No turn is under way" in kernel.run("%agent stop").text
    kernel.run("%%agent -s one\nHi")
    assert "starts over" in kernel.run("%agent reset one").text
    assert re.search(r"one +none", kernel.run("%agent").text)
    assert "There are: one" in kernel.run("%agent reset two").error
    models = kernel.run("%agent models").text
    assert (
        "embedded" in models
        and "set GROQ_API_KEY" in models
        and re.search(r"gpt-4o-mini +OpenAI +yes", models)
    )
    assert "%agent use" in kernel.run("%agent help").text and "--max-turns" in kernel.run("%agent help").text
    unknown = kernel.run("%agent dance").error
    assert "no command 'dance'" in unknown and "rename, archive, delete" in unknown


def test_every_command_is_on_the_help_page() -> None:
    page = AgentMagics.agent_line.__doc__ or ""
    assert list(dict.fromkeys(re.findall(r"%agent ([a-z]+)", page))) == list(COMMANDS)


def test_what_drives_a_terminal_is_left_out_of_lines_and_tables(kernel: Kernel) -> None:
    said = kernel.run("%agent use strange\x1b[31m").text
    assert "%%agent uses strange[31m from now on" in said
    kernel.run("%agent use local")
    assert kernel.run("%%agent -m odd\x1b\x1b\x1bname\nHi").ok
    head, row = kernel.run("%agent").text.strip().splitlines()
    assert "oddname" in row and row.index("local") == head.index("backend")


def test_the_help_page(kernel: Kernel) -> None:
    kernel.client.execute("%%agent?")
    payload = kernel.client.get_shell_msg(timeout=60)["content"]["payload"]
    page = payload[0]["data"]["text/plain"]
    for words in ("-b BACKEND", "--session", "--max-turns", "filled from the notebook"):
        assert words in page


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("%%agent --ma", "--max-turns"),
        ("%%agent -b em", "embedded"),
        ("%%agent -m oll", "ollama/"),
        ("%%agent -t my_t", "my_tool"),
        ("%%agent -s ma", "main"),
        ("%%agent --ba", "--backend"),
        ("%%agent --backend em", "embedded"),
        ("%%agent --bg --bu", "--budget"),
        ("%%agent --eff", "--effort"),
        ("%%agent --effort me", "medium"),
        ("%%agent -m gpt-5", "gpt-5.6-terra"),
        ("%%agent -m h", "hf:"),
        ("%agent re", "reset"),
        ("%agent use embe", "embedded"),
        ("%agent sh", "show"),
        ("%agent show ma", "main"),
    ],
)
def test_completion(kernel: Kernel, line: str, offered: str) -> None:
    kernel.run("def my_tool(): ...")
    kernel.run("%%agent\nHi")
    answer = kernel.client.complete(line, len(line), reply=True, timeout=60)
    assert offered in answer["content"]["matches"]


def test_completion_offers_all_options_and_commands(kernel: Kernel) -> None:
    def offered(line: str) -> set[str]:
        return set(kernel.client.complete(line, len(line), reply=True, timeout=60)["content"]["matches"])

    page = AgentMagics.agent.__doc__ or ""
    assert offered("%%agent --") >= set(re.findall(r"--[a-z-]+", page)) >= {"--backend", "--budget"}
    assert offered("%agent ") >= set(COMMANDS)


OTHERS = """
from IPython.core.magic import Magics, line_cell_magic, line_magic, magics_class

@magics_class
class UsageMagics(Magics):
    @line_magic
    def usage(self, line): print("theirs")
    @line_cell_magic
    def agent(self, line, cell=None): print("their agent")

def completer(shell, event): return ["theirs"]
def transformer(lines): return lines

shell = get_ipython()
shell.register_magics(UsageMagics)
shell.set_hook("complete_command", completer, str_key="%agent")
shell.input_transformers_post.append(transformer)

def everything():
    manager = shell.magics_manager
    completers = shell.strdispatchers["complete_command"].strs
    return {
        "registry": dict(manager.registry),
        "magics": {kind: dict(table) for kind, table in manager.magics.items()},
        "completers": {key: list(each.chain) for key, each in completers.items()},
        "transformers": list(shell.input_transformers_post),
        "configurables": list(shell.configurables),
    }

def changed():
    now = everything()
    print("changed:", [key for key in before if now[key] != before[key]])
"""


def test_unloading_undoes_loading() -> None:
    with Kernel() as kernel:
        assert kernel.run("%unload_ext praison_nb").ok
        assert "Cell magic `%%agent` not found" in kernel.run("%%agent\nHi").text
        assert kernel.run(f"{OTHERS}\nbefore = everything()").ok
        assert kernel.run("%load_ext praison_nb").ok
        assert "'registry', 'magics', 'completers', 'transformers', 'conf" in kernel.run("changed()").text
        assert "theirs" not in kernel.run("%usage").text
        assert kernel.run("%unload_ext praison_nb").ok
        assert "changed: []" in kernel.run("changed()").text
        assert kernel.run("%usage").text.strip() == "theirs"
        # What others put in the place of ours meanwhile stays.
        assert kernel.run("%load_ext praison_nb\nshell.register_magics(UsageMagics)").ok
        assert kernel.run("%unload_ext praison_nb").ok
        assert kernel.run("%usage").text.strip() == "theirs"
        assert "their agent" in kernel.run("%agent").text


def test_loading_again_takes_it_up_again(kernel: Kernel) -> None:
    assert kernel.run("%unload_ext praison_nb\n%load_ext praison_nb").ok and kernel.run("%%agent\nHi").ok


def test_restart(kernel: Kernel, server: OpenAIServer) -> None:
    kernel.run("%%agent\nHi")
    kernel.restart()
    assert kernel.run("%%agent\nHi").ok
    assert len(server.bodies[-1]["messages"]) == 1


def test_another_magic_of_that_shape_is_left_alone(kernel: Kernel) -> None:
    assert kernel.run("%%capture out\nprint('x')").ok
    assert kernel.run("%%time\nx = 1").ok
    assert kernel.run("text = \"get_ipython().run_cell_magic('agent', '', 'Hi')\"\nprint(len(text))").ok


def test_the_sdk_of_the_first_turn_is_there_before_it_and_not_in_the_cell_of_load_ext() -> None:
    with Kernel(load=False, start=True) as kernel:
        loaded = kernel.run(
            "import sys, threading\nopened = []\n"
            "sys.addaudithook(lambda event, _: event.startswith('socket.') and opened.append(event))\n"
            "%load_ext praison_nb\nprint('openai' in sys.modules)"
        )
        assert loaded.text.strip() == "False"
        cell = kernel.run(
            "[each.join() for each in threading.enumerate() if each.name == 'praison_nb imports']\n"
            "print({'openai', 'genai_prices'} <= {*sys.modules}, opened)"
        )
        assert cell.text.strip() == "True []"
