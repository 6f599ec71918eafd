"""The built-in tools in a real kernel: whatever the code does, the kernel goes on."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pytest

from servers.hosted import HostedServer, custom_tool, text
from servers.hosted_agent import sent
from servers.kernel import PATIENCE, Cell, Kernel
from servers.openai import OpenAIServer, reply


@pytest.fixture
def kernel(shared: Kernel) -> Kernel:
    """The module's kernel, with no conversations and no policies left over."""
    assert shared.run("%reload_ext praison_nb\n%agent use local\n%agent policy run_python allow").ok
    return shared


def call_python(server: OpenAIServer, code: str, *, goes_on: bool = True, **more: object) -> None:
    """The model is going to run the code and, where the turn goes on after that, to say that it did."""
    server.script(reply(calls=[("run_python", json.dumps({"code": code, **more}))]))
    if goes_on:
        server.script(reply("Done."))


def sent_back(server: OpenAIServer) -> str:
    """The tool's result as the model got it."""
    return str(server.bodies[-1]["messages"][-1]["content"])


def goes_on(kernel: Kernel) -> bool:
    """Whether the kernel does what a kernel does."""
    cell = kernel.run("print('here')\n6 * 7")
    assert cell.ok and "here" in cell.text and "42" in cell.text, (cell.reply, cell.outputs)
    return True


def test_it_works_in_the_users_namespace(kernel: Kernel, server: OpenAIServer) -> None:
    kernel.run("import pandas as pd\nframe = pd.DataFrame({'a': [1, 2, 3]})\nimport inspect")
    call_python(server, "total = int(frame.a.sum())\nprint('summing')\nframe.describe()")
    cell = kernel.run("%%agent -t run_python\nSum it.")
    assert cell.ok and "summing" in cell.text
    assert any("<table" in html and "mean" in html for html in cell.of("text/html"))
    assert sent_back(server).startswith("summing\nDataFrame, 8 rows") and cell.answers == ["Done."]
    assert kernel.run("total").text.strip() == "6"
    # The module of that name does not stand in the way of the tool.
    server.script(reply(calls=[("inspect", '{"name": "frame"}')]), reply("Done."))
    assert kernel.run("%%agent -t inspect\nLook.").ok
    assert sent_back(server).startswith("frame: pandas.DataFrame, shape (3, 1)")


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (
            "import asyncio\nasync def double(x):\n  return await asyncio.sleep(0, 2 * x)\nawait double(21)",
            "42",
        ),
        ("both = await asyncio.gather(double(1), double(2))\nprint(both)", "[2, 4]"),
        ("await double('a', 'b')", "TypeError"),
        ("task = asyncio.create_task(double(4))\nawait task", "8"),
        ("len?", "number of items in a container"),
        ("from IPython.display import display\ndisplay({'shown': 1})\nNone", "{'shown': 1}\n"),
        ("!echo $((6 * 7))", "42"),
        ("names = !echo a\nnames", '["a"]'),
        ("for x in 'ab':\n    !echo {x}{x}", "bb"),
        ("%%time\nprint('timed')", "Wall time"),
        ("%alias_magic t time", "as an alias"),
        ("x = = 1", "SyntaxError"),
    ],
)
@pytest.mark.parametrize("background", ["", "--bg -o run "])
def test_what_a_cell_takes(
    kernel: Kernel, server: OpenAIServer, code: str, told: str, background: str
) -> None:
    call_python(server, code)
    assert kernel.run(f"%%agent {background}-t run_python\nRun it.").ok
    if background:
        kernel.run("await run")
    assert told in sent_back(server)


@pytest.mark.parametrize("code", ["import asyncio\nawait asyncio.sleep(100)", "!sleep 100"])
def test_what_waits_too_long_is_stopped(kernel: Kernel, server: OpenAIServer, code: str) -> None:
    call_python(server, code, timeout=0.2)
    assert kernel.run("%%agent -t run_python\nWait.").ok
    assert sent_back(server).endswith("Stopped after 0.2 s, its limit.") and goes_on(kernel)


def test_a_function_of_the_notebook_wins(kernel: Kernel, server: OpenAIServer) -> None:
    kernel.run("def run_python(code: str) -> str:\n    return 'mine: ' + code")
    call_python(server, "1 + 1")
    assert kernel.run("%%agent -t run_python\nHi").ok
    assert sent_back(server) == "mine: 1 + 1"
    kernel.run("del run_python")


def test_a_plot_lands_in_the_cell(kernel: Kernel, server: OpenAIServer) -> None:
    kernel.run("%matplotlib inline\nimport matplotlib.pyplot as plt")
    call_python(server, "plt.plot([1, 2]);")
    cell = kernel.run("%%agent -t run_python\nPlot it.")
    assert cell.ok and len(cell.of("image/png")) == 1 and goes_on(kernel)
    assert sent_back(server).endswith("\n1 figure shown")


@pytest.mark.parametrize("background", ["", "--bg -o run "])
def test_what_is_drawn_is_told_and_stands_where_it_was_drawn(
    kernel: Kernel, server: OpenAIServer, background: str
) -> None:
    kernel.run(
        "%matplotlib inline\nimport matplotlib.pyplot as plt\nfrom IPython.display import SVG, display"
    )
    svg = "display(SVG('<svg xmlns=\"http://www.w3.org/2000/svg\"></svg>'))"
    code = f"print('one'); plt.plot([1]); plt.show(); print('two'); {svg}; plt.plot([2]); 1 / 0"
    call_python(server, code)
    cell = kernel.run(f"%%agent {background}-t run_python\nPlot it.")
    if background:
        kernel.run("await run")
        kernel.read_until(lambda: len(cell.of("image/png")) == 2)
    told = sent_back(server)
    assert told.startswith("one\ntwo\nTraceback") and told.endswith("division by zero\n3 figures shown")
    drawn: list[str] = []
    for is_text, outputs in groupby(cell.outputs[2:], key=lambda output: "text" in output):
        texts = [output["text"] if is_text else next(iter(reversed(output["data"]))) for output in outputs]
        # One print may come in several messages.
        drawn += ["".join(texts)] if is_text else texts
    assert drawn == ["one\n", "image/png", "two\n", "image/svg+xml", "image/png"]


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("print('begun')\nwhile True: pass", "begun\nStopped after 1 s, its limit."),
        ("import time\ntime.sleep(600)", "Stopped after 1 s, its limit."),
        ("while True: print('x' * 1000)", "Stopped after 1 s, its limit."),
        ("while True:\n    try: input()\n    except: continue", "Stopped after 1 s, its limit."),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("input('name? ')", "NoInputError: nobody answers here"),
        ("import getpass; getpass.getpass()", "NoInputError"),
        ("import sys; print(repr(sys.stdin.read()))", "''"),
        ("breakpoint()", "NoInputError"),
        ("import pdb; pdb.set_trace()\nx = 1", "BdbQuit"),
        ("import sys; sys.exit(1)", "SystemExit: 1"),
        ("raise KeyboardInterrupt", "interrupted by the user"),
        ("import os; os.kill(os.getpid(), 2)", "interrupted by the user"),
        ("def f(): f()\nf()", "RecursionError"),
        ("import sys; sys.stdout = None", "(no output)"),
        ("import sys; sys.stdout.close(); sys.stderr.close(); print('on')", "on"),
        ("import sys\nwith sys.stdout: pass", "(no output)"),
        ("class Bad:\n    def __repr__(self): raise SystemExit(3)\nBad()", "SystemExit: 3"),
        ("class Bad:\n    def __repr__(self): raise GeneratorExit\nBad()", "GeneratorExit"),
        ("x = (", "was never closed"),
        ("await 1", "can't be used in 'await' expression"),
        ("def f(): await x", "SyntaxError"),
        ("import threading; threading.Thread(target=lambda: 1 / 0).start()", ""),
        ("class Bad(Exception):\n    def __str__(self): raise self\nraise Bad()", "Bad"),
        ("class Bad:\n    def __repr__(self): return 'y' * 10**7\nBad()", "characters left out"),
        ("'z' * 10**7", "characters left out"),
    ],
)
def test_the_kernel_goes_on(kernel: Kernel, server: OpenAIServer, code: str, told: str) -> None:
    limit = {"timeout": 1} if "its limit" in told else {}
    call_python(server, code, goes_on="interrupted" not in told, **limit)
    cell = kernel.run("%%agent -t run_python -s rough\nRun it.")
    if "interrupted" in told:
        # What looks like the user's interrupt is treated as one: the turn ends.
        assert "KeyboardInterrupt: the turn was stopped" in cell.error
    else:
        assert cell.ok, cell.error
        assert told in sent_back(server) and cell.answers == ["Done."]
        assert len(sent_back(server)) < 25_000 and len(json.dumps(cell.outputs)) < 150_000
    assert goes_on(kernel)


@pytest.mark.parametrize("code", ["exit()", "quit()", "get_ipython().ask_exit()", "import sys; sys.exit(1)"])
def test_what_ends_a_kernel_ends_the_code_only(kernel: Kernel, server: OpenAIServer, code: str) -> None:
    call_python(server, f"print('before')\n{code}\nprint('after')")
    cell = kernel.run("%%agent -t run_python -s rough\nRun it.")
    assert cell.ok and "run_python failed: SystemExit" in cell.text, cell.error
    told = sent_back(server)
    assert told.startswith("before\nTraceback") and "SystemExit" in told and "after\n" not in told
    # What would end it comes with the cell's reply, or a moment later.
    assert cell.reply["payload"] == [] and kernel.run("get_ipython().exit_now").text.strip() == "False"
    assert goes_on(kernel)


def test_exit_without_a_call_is_a_value(kernel: Kernel, server: OpenAIServer) -> None:
    call_python(server, "exit")
    cell = kernel.run("%%agent -t run_python -s rough\nRun it.")
    assert cell.ok and "autocall" in sent_back(server) and cell.reply["payload"] == []
    assert kernel.run("get_ipython().exit_now").text.strip() == "False"


def test_printing_costs_what_it_costs_in_a_cell(kernel: Kernel, server: OpenAIServer) -> None:
    code = "import time\nbegin = time.process_time()\nfor i in range(20_000): print(i)\n"
    assert kernel.run(f"{code}in_cell = time.process_time() - begin").ok
    call_python(server, f"{code}in_tool = time.process_time() - begin")
    assert kernel.run("%%agent -t run_python\nPrint.").ok
    # A walk of the environment for each print was ten times a cell's.
    assert kernel.run("in_tool < 3 * in_cell").text.strip() == "True", kernel.run("in_tool, in_cell").text


def test_what_is_logged_is_printed(kernel: Kernel, server: OpenAIServer) -> None:
    """By a handler that holds the stream of an earlier cell, or of an earlier call."""
    handler = "import logging\n{0} = logging.getLogger('{0}')\n{0}.addHandler(logging.StreamHandler())"
    kernel.run(handler.format("of_cell"))
    call_python(server, handler.format("of_call"))
    kernel.run("%%agent -t run_python\nLog.")
    for logger in ("of_cell", "of_call"):
        call_python(server, f"{logger}.warning('first')\nfor i in range(50): {logger}.warning('x' * 2000)")
        cell = kernel.run("%%agent -t run_python\nLog.")
        assert "first" in cell.text and "there was more than is shown here" in cell.text
        assert sent_back(server).startswith("first\nxx") and "characters left out" in sent_back(server)
        assert len(json.dumps(cell.outputs)) < 40_000
        after = kernel.run(f"for i in range(50): {logger}.warning('x' * 2000)")
        assert after.text.count("x") == 100_000


def test_what_is_displayed_is_bounded(kernel: Kernel, server: OpenAIServer) -> None:
    call_python(server, "display('x' * 30_000_000)\ndisplay('last')")
    cell = kernel.run("%%agent -t run_python\nShow.")
    assert cell.ok and len(json.dumps(cell.outputs)) < 100_000
    assert "characters left out" in cell.text and "'last'" in cell.text
    call_python(server, "for i in range(100): display('x' * 100_000)")
    cell = kernel.run("%%agent -t run_python\nShow.")
    assert "there was more than is shown here" in cell.text and len(json.dumps(cell.outputs)) < 3_000_000
    # The user's own is shown whole.
    assert len(kernel.run("display('x' * 3_000_000)").text) > 3_000_000


SECRETS = {"MY_DB_PASSWORD": "hunter2hunter2", "CLOUD_CREDENTIALS": '{"private_key": "BEGIN\\nabcdef\\n"}\n'}


@pytest.mark.parametrize(
    "code",
    [
        "os.environ['MY_DB_PASSWORD']",
        "dict(os.environ)",
        "os.environ",
        "print(os.environ)",
        "pd.DataFrame({'a': [os.environ['MY_DB_PASSWORD']]})",
        "pd.DataFrame({'a': [os.environ['CLOUD_CREDENTIALS']]})",
        "display(HTML('<b>' + os.environ['MY_DB_PASSWORD']), Markdown(os.environ['CLOUD_CREDENTIALS']))",
        "display(JSON({'a': [os.environ['CLOUD_CREDENTIALS']]}))",
        "display('x', display_id='d')\nupdate_display(os.environ['MY_DB_PASSWORD'], display_id='d')",
        "display(SVG('<svg><text>' + os.environ['MY_DB_PASSWORD'] + '</text></svg>'))",
        "def f(): raise ValueError(os.environ['CLOUD_CREDENTIALS'])\nf()",
        "display('x' * 2_000_000 + os.environ['MY_DB_PASSWORD'])",
    ],
)
def test_no_secret_of_the_environment_shows(kernel: Kernel, server: OpenAIServer, code: str) -> None:
    kernel.run(f"import os\nimport pandas as pd\nos.environ |= {SECRETS!r}")
    kernel.run("from IPython.display import HTML, JSON, Markdown, SVG, update_display")
    call_python(server, code)
    cell = kernel.run("%%agent -t run_python -s secretive\nShow.")
    assert cell.ok and "[key]" in json.dumps(cell.outputs) + sent_back(server)
    for part in ("hunter2", "abcdef"):
        assert part not in json.dumps(cell.outputs) and part not in json.dumps(server.bodies[-1])


def test_inspect_is_not_stopped_by_what_it_looks_at(kernel: Kernel, server: OpenAIServer) -> None:
    kernel.run("class Bad:\n    def __repr__(self): raise SystemExit(3)\nbad = Bad()\napi_key = 'sk-1234'")
    server.script(
        reply(calls=[("inspect", '{"name": "bad"}'), ("inspect", '{"name": "api_key"}')]), reply("Ok.")
    )
    cell = kernel.run("%%agent -t inspect -s looking\nLook.")
    assert cell.ok and "sk-1234" not in json.dumps(cell.outputs) + json.dumps(server.bodies[-1])
    bad, key = (message["content"] for message in server.bodies[-1]["messages"][-2:])
    assert "<Bad, which cannot be looked at: SystemExit: 3>" in bad and key == "api_key: str, length 7\n[key]"


def test_a_picture_is_shown_as_it_is(kernel: Kernel, server: OpenAIServer) -> None:
    kernel.run("import os\nfrom IPython.display import Image\nos.environ['SOME_TOKEN'] = 'AAAAAAAA'")
    call_python(server, "display(Image(data=bytes(600), format='png'))")
    cell = kernel.run("%%agent -t run_python -s pictures\nShow.")
    assert cell.ok and cell.of("image/png") == ["A" * 800]


def test_code_does_not_move_the_folder_that_files_are_read_in(
    kernel: Kernel, server: OpenAIServer, tmp_path: Path
) -> None:
    (tmp_path / "outside.txt").write_text("outside")
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "a.txt").write_text("inside")
    kernel.run(f"%cd -q {tmp_path / 'work'}")
    for move in ("import os\nos.chdir('/')", "get_ipython().run_line_magic('cd', '/')"):
        call_python(server, move)
        assert kernel.run("%%agent -t read_file,run_python\nMove.").ok
        read = [
            ("read_file", json.dumps({"path": path})) for path in ("a.txt", str(tmp_path / "outside.txt")[1:])
        ]
        server.script(reply(calls=read), reply("Done."))
        assert kernel.run("%%agent -t read_file,run_python\nRead.").ok
        inside, outside = (message["content"] for message in server.bodies[-1]["messages"][-2:])
        assert inside == "inside" and "No such file" in outside
    # Where the user goes, the tools go.
    kernel.run(f"%cd -q {tmp_path}")
    server.script(reply(calls=[("read_file", '{"path": "outside.txt"}')]), reply("Done."))
    assert kernel.run("%%agent -t read_file,run_python\nRead.").ok and sent_back(server) == "outside"


def test_a_huge_print_is_cut_in_the_cell_too(kernel: Kernel, server: OpenAIServer) -> None:
    call_python(server, "print('first')\nprint('x' * 20_000_000)\nprint('last')")
    cell = kernel.run("%%agent -t run_python\nPrint.")
    assert cell.ok and "first" in cell.text and "there was more than is shown here" in cell.text
    assert len(json.dumps(cell.outputs)) < 100_000
    told = sent_back(server)
    assert told.startswith("first\nx") and told.endswith("x\nlast\n")
    assert f"[… {20_000_000 + len('first') + len('last') + 3 - 20_000:,} characters left out …]" in told
    call_python(server, "print('x' * 15_000)")
    assert "there was more than is shown here" in kernel.run("%%agent -t run_python\nPrint.").text
    assert len(sent_back(server)) == 15_001


def test_a_thread_that_goes_on_does_no_harm(kernel: Kernel, server: OpenAIServer) -> None:
    code = """
import sys, threading
go_on, held = threading.Event(), sys.stdout
def work():
    print("from the thread")
    started.set()
    go_on.wait()
    held.write("afterwards")
    print("and without it")
started = threading.Event()
thread = threading.Thread(target=work)
thread.start()
arrived = started.wait()
"""
    call_python(server, code)
    cell = kernel.run("%%agent -t run_python\nStart it.")
    assert cell.ok and "from the thread" in cell.text and sent_back(server) == "from the thread\n"
    assert goes_on(kernel)
    assert kernel.run("go_on.set(); thread.join()").ok


def test_an_interrupt_ends_it(kernel: Kernel, server: OpenAIServer) -> None:
    spin = "print('spin' + 'ning')\nimport sys\nsys.stdout.flush()\nwhile True: pass"
    call_python(server, spin, timeout=600, goes_on=False)
    cell = kernel.begin("%%agent -t run_python -s spun\nSpin.")
    kernel.read_until(lambda: "spinning" in cell.text)
    kernel.interrupt()
    assert "KeyboardInterrupt: the turn was stopped" in kernel.finish(cell).error
    assert goes_on(kernel) and kernel.run("%%agent -s spun\nagain").ok


def background(kernel: Kernel, options: str) -> Cell:
    """A background turn, waited for until it asks."""
    cell = kernel.run(f"%%agent --bg -o run {options}\nDo it.")
    assert cell.ok, cell.error
    kernel.read_until(lambda: "wants to run" in cell.text)
    return cell


def test_a_yes_by_a_line(kernel: Kernel, server: OpenAIServer) -> None:
    kernel.run("%agent policy run_python ask\nimport threading")
    code = "where = threading.current_thread() is threading.main_thread()\nprint('at work')"
    call_python(server, code)
    cell = background(kernel, "-t run_python -s asked")
    assert all(f"\n  {line}" in cell.text for line in code.splitlines()) and "%agent allow asked" in cell.text
    assert kernel.run("'where' in globals()").text.strip() == "False"
    assert "Allowed: run_python" in kernel.run("%agent allow asked").text
    kernel.read_until(lambda: "Done." in cell.text)
    # On the main thread, between two cells; what it prints is in the cell that began the turn.
    assert kernel.run("where").text.strip() == "True"
    kernel.read_until(lambda: "at work" in cell.text)
    assert sent_back(server) == "at work\n"


def test_a_no_by_a_line(kernel: Kernel, server: OpenAIServer, tmp_path: Path) -> None:
    kernel.run(f"%cd -q {tmp_path}")
    server.script(
        reply(calls=[("write_file", json.dumps({"path": "new.txt", "content": "x"}))]), reply("Pity.")
    )
    cell = background(kernel, "-t write_file,read_file")
    assert "Denied: write_file" in kernel.run("%agent deny").text
    kernel.read_until(lambda: "Pity." in cell.text)
    assert sent_back(server) == "The user said no." and not (tmp_path / "new.txt").exists()


def test_an_interrupt_ends_what_a_background_turn_runs(kernel: Kernel, server: OpenAIServer) -> None:
    call_python(
        server, "print('spin' + 'ning')\nimport sys\nsys.stdout.flush()\nwhile True: pass", timeout=600
    )
    cell = kernel.begin("%%agent --bg -o run -t run_python -s spun\nSpin.")
    kernel.read_until(lambda: "spinning" in cell.text)
    # The main thread is busy with the code: only an interrupt reaches the kernel now.
    kernel.interrupt()
    kernel.read_until(lambda: "Done." in cell.text)
    assert sent_back(server) == "interrupted by the user" and goes_on(kernel)


def test_stop_ends_what_a_background_turn_runs(kernel: Kernel, server: OpenAIServer) -> None:
    """The main thread is busy with the code: a click arrives on another one."""
    kernel.run(
        "import threading\nbegun = threading.Event()\n"
        "threading.Thread(target=lambda: (begun.wait(), run.stop())).start()"
    )
    call_python(server, "begun.set()\nwhile True: pass", goes_on=False, timeout=600)
    cell = kernel.begin("%%agent --bg -o run -t run_python -s stopped\nSpin.")
    kernel.read_until(lambda: "stopped by you" in cell.text)
    assert goes_on(kernel)


def test_a_command_in_the_cell(kernel: Kernel, server: OpenAIServer, tmp_path: Path) -> None:
    kernel.run(f"%cd -q {tmp_path}\n%agent policy execute_command allow")
    argv = json.dumps({"argv": ["touch", "one; touch two"]})
    server.script(reply(calls=[("execute_command", argv)]), reply("Done."))
    assert kernel.run("%%agent -t execute_command\nTouch.").ok
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ""] == ["one; touch two"]
    assert sent_back(server) == "exit code 0"
    # An interrupt ends it; one that comes while it starts may hit the program alone.
    argv = json.dumps({"argv": ["sh", "-c", "touch running; exec sleep 600"]})
    server.script(reply(calls=[("execute_command", argv)]))
    cell = kernel.begin("%%agent -t execute_command -s slow\nSleep.")
    deadline = time.monotonic() + PATIENCE
    while not (tmp_path / "running").exists():
        assert time.monotonic() < deadline, "it never started"
        time.sleep(0.01)
    kernel.interrupt()
    assert "KeyboardInterrupt: the turn was stopped" in kernel.finish(cell).error, cell.text
    assert goes_on(kernel)


def test_policies(kernel: Kernel, server: OpenAIServer) -> None:
    table = kernel.run("%agent policy").text
    assert re.search(r"run_python +allow", table) and re.search(r"write_file +—", table)
    assert "never runs" in kernel.run("%agent policy run_python deny").text
    call_python(server, "1")
    assert kernel.run("%%agent -t run_python\nHi").ok
    assert sent_back(server) == "The user does not allow run_python."
    assert "must be allow, ask or deny" in kernel.run("%agent policy run_python perhaps").error
    assert "No tool 'wriet_file' runs here" in kernel.run("%agent policy wriet_file allow").error
    kernel.run("def pay() -> str:\n    return 'paid'")
    assert "pay asks before each call" in kernel.run("%agent policy pay ask").text
    assert "Say `%agent policy TOOL allow`" in kernel.run("%agent policy run_python").error
    assert "Built in are run_python" in kernel.run("%%agent -t nosuch\nHi").error


def test_a_policy_that_a_models_code_sets_by_the_command_is_told(
    kernel: Kernel, server: OpenAIServer
) -> None:
    call_python(server, "get_ipython().run_line_magic('agent', 'policy write_file allow')")
    assert kernel.run("%%agent -t run_python\nHi").ok
    changed = "policy of write_file was changed to allow by code in this kernel"
    assert changed in kernel.run("%%agent\nHi").text
    # The user's own word is none of code's.
    assert "asks before each call" in kernel.run("%agent policy write_file ask").text
    assert "by code" not in kernel.run("%%agent\nHi").text
    kernel.run("from praison_nb.tools.policy import policies\ndel policies['write_file']")


def test_completion(kernel: Kernel) -> None:
    for line, offered in [("%%agent -t run", "run_python"), ("%agent pol", "policy")]:
        answer = kernel.client.complete(line, len(line), reply=True, timeout=60)
        assert offered in answer["content"]["matches"]


@pytest.fixture
def hosted() -> Iterator[tuple[Kernel, HostedServer]]:
    with HostedServer() as server:
        env = {"ANTHROPIC_API_KEY": server.api_key, "ANTHROPIC_BASE_URL": server.url}
        with Kernel(env=env) as kernel:
            yield kernel, server


def test_a_hosted_agent_works_in_the_notebook(hosted: tuple[Kernel, HostedServer]) -> None:
    kernel, server = hosted
    code = "import threading\ntotal = sum(numbers)\nprint('summing')\nthreading.current_thread().name"
    server.script([custom_tool("run_python", {"code": code}), text("It is six.")])
    kernel.run("numbers = [1, 2, 3]\n%agent policy run_python allow")
    cell = kernel.run("%%agent -b hosted -t run_python\nSum the numbers.")
    assert cell.ok and "summing" in cell.text and cell.answers == ["It is six."]
    ((told,),) = [each["content"] for each in sent(server, "user.custom_tool_result")]
    assert told["text"] == "summing\nMainThread" and kernel.run("total").text.strip() == "6"
    server.script([custom_tool("run_python", {"code": "while True: pass", "timeout": 1}), text("Too long.")])
    cell = kernel.run("%%agent -b hosted\nSpin.")
    assert cell.ok and "run_python failed: Stopped after 1 s" in cell.text and goes_on(kernel)


def test_a_hosted_agent_asks_in_the_background(hosted: tuple[Kernel, HostedServer], tmp_path: Path) -> None:
    kernel, server = hosted
    kernel.run(f"%cd -q {tmp_path}")
    server.script([custom_tool("write_file", {"path": "a.txt", "content": "x"}), text("Written.")])
    cell = background(kernel, "-b hosted -t write_file,read_file")
    assert not (tmp_path / "a.txt").exists()
    assert "Allowed: write_file" in kernel.run("%agent allow").text
    kernel.read_until(lambda: "Written." in cell.text)
    assert (tmp_path / "a.txt").read_text() == "x"
