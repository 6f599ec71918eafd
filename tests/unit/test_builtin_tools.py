"""The built-in tools by themselves: no path leads out, no shell is near, nothing runs for ever."""

from __future__ import annotations

import asyncio
import dataclasses
import html
import itertools
import json
import os
import queue
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from praison_nb.errors import ConfigError
from praison_nb.redaction import redact
from praison_nb.runtime import loop
from praison_nb.runtime.function_call import FunctionCall
from praison_nb.tools.builtin import files, supervise
from praison_nb.tools.builtin.excerpt import Excerpt
from praison_nb.tools.builtin.folder import WALKS, Folder
from praison_nb.tools.builtin.registry import NAMES, make
from praison_nb.tools.tool import Tool, ToolError
from praison_nb.values import VALUE_CHARACTERS

SECRET = "the text of a file outside"


@pytest.fixture
def inside(tmp_path: Path) -> Path:
    """A working directory with links of all kinds, beside what it must not reach."""
    outside, work = tmp_path / "outside", tmp_path / "work"
    outside.mkdir()
    (outside / "secret.txt").write_text(SECRET)
    (tmp_path / "work-too").mkdir()
    (tmp_path / "work-too" / "secret.txt").write_text(SECRET)
    (work / "data").mkdir(parents=True)
    (work / "data" / "a.txt").write_text("inside\n")
    (work / "link.txt").symlink_to(outside / "secret.txt")
    (work / "link-inside.txt").symlink_to("data/a.txt")
    (work / "linked").symlink_to(outside)
    (work / "data" / "up").symlink_to("../..")
    (work / "loop").symlink_to("loop")
    (work / "dangling").symlink_to(outside / "new.txt")
    os.link(outside / "secret.txt", work / "hard.txt")
    os.mkfifo(work / "pipe")
    return work


ESCAPES = [
    "..",
    "../outside/secret.txt",
    "data/../../outside/secret.txt",
    "./.././outside/secret.txt",
    "data/../data/a.txt",
    "/etc/passwd",
    "//etc/passwd",
    "/proc/self/environ",
    "/proc/self/root/etc/passwd",
    "~/.bashrc",
    "~root/.bashrc",
    "{outside}/secret.txt",
    "../work-too/secret.txt",
    "link.txt",
    "link-inside.txt",
    "linked/secret.txt",
    "linked/../data/a.txt",
    "data/up/outside/secret.txt",
    "loop",
    "loop/x",
    "dangling",
    "hard.txt",
    "pipe",
    "pipe/x",
    "data/a.txt/../../../outside/secret.txt",
    "a\0.txt",
    "link.txt\0.png",
    "data/a.txt/",
    "x" * 5000,
]
"""Where a path is legal but hard to tell from an escape (a link inside), it is refused too."""


def tool(name: str, root: Path | str) -> Any:
    """The tool as a model calls it: with JSON text."""
    made = make(name, str(root))
    return lambda **arguments: asyncio.run(made.bind(json.dumps(arguments))())


def everything(top: Path) -> dict[str, str]:
    """All that is below `top`, to see whether anything changed."""
    found = {}
    for folder, folders, names in os.walk(top):
        for name in [*folders, *names]:
            path = Path(folder, name)
            is_file = path.is_file() and not path.is_symlink()
            found[str(path)] = path.read_text() if is_file else str(path.lstat().st_mode)
    return found


@pytest.mark.parametrize("path", [escape for escape in ESCAPES if escape != "data/a.txt/"])
def test_no_file_outside_is_read(inside: Path, path: str) -> None:
    with pytest.raises(ToolError) as raised:
        tool("read_file", inside)(path=path.format(outside=inside.parent / "outside"))
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    "path", [escape for escape in ESCAPES if escape not in ("hard.txt", "data/a.txt/", "pipe")]
)
def test_nothing_is_written_outside(inside: Path, path: str) -> None:
    before = everything(inside.parent)
    with pytest.raises(ToolError):
        tool("write_file", inside)(path=path.format(outside=inside.parent / "outside"), content="pwned")
    assert everything(inside.parent) == before


def test_writing_to_a_hard_link_leaves_its_other_name_alone(inside: Path) -> None:
    tool("write_file", inside)(path="hard.txt", content="new")
    assert (inside / "hard.txt").read_text() == "new"
    assert (inside.parent / "outside" / "secret.txt").read_text() == SECRET


@pytest.mark.parametrize(
    "path", ["..", "/", "linked", "data/up", "linked/..", "~", "loop", "\0", "data/a.txt"]
)
def test_no_folder_outside_is_listed(inside: Path, path: str) -> None:
    with pytest.raises(ToolError):
        tool("list_files", inside)(path=path)


@pytest.mark.parametrize("path", ESCAPES)
def test_where_the_system_cannot_walk_paths_are_checked(inside: Path, path: str) -> None:
    path = path.format(outside=inside.parent / "outside")
    before = everything(inside.parent)
    if path not in ("data/a.txt/",):
        with Folder(str(inside), walks=False) as folder, pytest.raises(ToolError):
            folder.open(path)
    if path not in ("hard.txt", "pipe", "data/a.txt/"):
        with Folder(str(inside), walks=False) as folder, pytest.raises(ToolError):
            folder.replace(path, b"pwned")
    assert everything(inside.parent) == before
    with Folder(str(inside), walks=False) as folder:
        assert folder.open("data/a.txt").read() == b"inside\n"
        assert folder.replace("data/new/b.txt", b"b") is False
        assert sorted(name for name, _ in folder.entries("data")) == ["a.txt", "new", "up"]


@pytest.mark.skipif(not WALKS, reason="this system cannot open a file relative to an open folder")
@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_link_swapped_in_meanwhile_leads_nowhere(inside: Path, what: str) -> None:
    """One thread swaps a path between the real thing and a link out, as fast as it can, while files are read
    and written through it. A check that is not the opening itself is fooled within moments."""
    outside = inside.parent / "outside"
    real, link = inside / "real", inside / "fake"
    path = "swapped" if what == "file" else "swapped/secret.txt"
    if what == "file":
        real.write_text("inside")
        link.symlink_to(outside / "secret.txt")
    else:
        real.mkdir()
        (real / "secret.txt").write_text("inside")
        link.symlink_to(outside)
    swapped = inside / "swapped"
    done = threading.Event()
    swaps = 0

    def swap() -> None:
        nonlocal swaps
        while not done.is_set():
            for thing in (real, link):
                try:
                    os.rename(thing, swapped)
                except OSError:
                    # A write found nothing there, and made it.
                    shutil.rmtree(swapped, ignore_errors=True)
                    continue
                os.rename(swapped, thing)
                swaps += 1

    swapper = threading.Thread(target=swap)
    swapper.start()
    read, refused = 0, 0
    try:
        while swaps < 4000 or not read or not refused:
            try:
                assert files.read(str(inside), path) in ("inside", "inside\n", "ours"), "it got out"
                read += 1
            except ToolError:
                refused += 1
            if what == "folder":
                try:
                    files.write(str(inside), path, "ours")
                except ToolError:
                    refused += 1
    finally:
        done.set()
        swapper.join()
    assert (outside / "secret.txt").read_text() == SECRET
    assert os.listdir(outside) == ["secret.txt"]


def test_reading_and_writing(inside: Path) -> None:
    assert tool("read_file", inside)(path="data/a.txt") == "inside\n"
    assert (
        tool("write_file", inside)(path="data/x/y.txt", content="naïve 🦜\n")
        == "Wrote data/x/y.txt: 12 bytes."
    )
    assert tool("read_file", inside)(path="./data/x/y.txt") == "naïve 🦜\n"
    os.chmod(inside / "data" / "x" / "y.txt", 0o640)
    assert "Replaced" in tool("write_file", inside)(path="data/x/y.txt", content="")
    assert (inside / "data" / "x" / "y.txt").stat().st_mode & 0o777 == 0o640
    assert tool("read_file", inside)(path="data/x/y.txt") == "(the file is empty)"
    assert os.listdir(inside / "data" / "x") == ["y.txt"]
    (inside / "data" / "x" / "a\nb/"[:-1]).write_text("")
    listing = tool("list_files", inside)(path="data")
    assert listing.splitlines() == ["a.txt  7", "up  (a link or a device: not followed)", "x/"]
    assert r"'a\nb'  0" in tool("list_files", inside)(path="data/x")


def test_a_long_file_is_read_in_parts(inside: Path) -> None:
    lines = [f"line {number}\n" for number in range(1, 10_001)]
    (inside / "long.txt").write_text("".join(lines))
    read, text, first = tool("read_file", inside), "", 1
    while "the file goes on" in (part := read(path="long.txt", first_line=first)):
        assert len(part) < VALUE_CHARACTERS + 100
        part, _, number = part.rpartition("[… the file goes on: first_line=")
        text, first = text + part, int(number[:-1])
    assert text + part == "".join(lines)
    (inside / "line.txt").write_text("x" * 10_000_000)
    part = read(path="line.txt")
    assert "is cut here" in part and len(part) < VALUE_CHARACTERS + 100
    (inside / "binary").write_bytes(b"PK\0\1")
    with pytest.raises(ToolError, match="not a text file"):
        read(path="binary")
    with pytest.raises(ToolError, match="fewer than 3 lines"):
        read(path="data/a.txt", first_line=3)
    with (inside / "huge").open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(ToolError, match="larger than 100 MB"):
        read(path="huge")


def test_a_long_line_is_one_line(inside: Path) -> None:
    """However many bytes it has."""
    (inside / "emoji.txt").write_text("🦜" * 30_000 + "\nsecond\n" + "x" * 90_000)
    read = tool("read_file", inside)
    first = read(path="emoji.txt")
    assert first.startswith("🦜" * VALUE_CHARACTERS + "\n[… line 1 of 30,001 characters is cut here")
    assert first.endswith("the file goes on: first_line=2]")
    assert read(path="emoji.txt", first_line=2) == "second\n[… the file goes on: first_line=3]"
    assert (
        read(path="emoji.txt", first_line=3)
        == "x" * VALUE_CHARACTERS + "\n[… line 3 of 90,000 characters is cut here]"
    )


@pytest.mark.parametrize("data", ["Müller;Grün".encode("latin-1"), "你好".encode("utf-16")])
def test_what_is_not_utf_8_is_said(inside: Path, data: bytes) -> None:
    (inside / "other.txt").write_bytes(data)
    told = tool("read_file", inside)(path="other.txt")
    assert "�" in told and told.splitlines()[-1].startswith("[… the file is not in UTF-8")
    (inside / "other.txt").write_text("Müller � Grün")
    assert tool("read_file", inside)(path="other.txt") == "Müller � Grün"


def test_a_hidden_secret_is_not_overwritten(inside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "abcdefgh12345678")
    write = tool("write_file", inside)
    before = "SOME_API_KEY=abcdefgh12345678\nDEBUG=0\n"
    (inside / ".env").write_text(before)
    with pytest.raises(ToolError, match="would destroy it"):
        write(path=".env", content=redact(before).replace("DEBUG=0", "DEBUG=1"))
    assert (inside / ".env").read_text() == before
    assert "Replaced" in write(path=".env", content="DEBUG=1\n")
    # Where nothing is hidden, the word is a word like others.
    assert "Replaced" in write(path=".env", content="[key]") and "Wrote" in write(path="n", content="[key]")
    assert "Replaced" in write(path=".env", content="[key] 2")


@pytest.mark.parametrize("walks", [WALKS, False])
def test_a_file_that_may_only_be_read_is_not_replaced(inside: Path, walks: bool) -> None:
    (inside / "data" / "a.txt").chmod(0o444)
    with Folder(str(inside), walks=walks) as folder, pytest.raises(ToolError, match="may only be read"):
        folder.replace("data/a.txt", b"gone")
    assert (inside / "data" / "a.txt").read_text() == "inside\n"


def test_a_folder_that_is_not_there_is_named(inside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"no folder '.*/nowhere'"):
        make("read_file", str(inside / "nowhere"))
    (inside / "short-lived").mkdir()
    execute, entries = (tool(name, inside / "short-lived") for name in ("execute_command", "list_files"))
    (inside / "short-lived").rmdir()
    for call in (lambda: execute(argv=["ls"]), entries):
        with pytest.raises(ToolError, match=r"The working directory .* does not exist any more"):
            call()
    (inside / "short-lived").mkdir()
    monkeypatch.chdir(inside / "short-lived")
    (inside / "short-lived").rmdir()
    with pytest.raises(ConfigError, match="does not exist any more"):
        make("read_file")


def test_a_folder_of_many_files_is_bounded(inside: Path) -> None:
    for number in range(600):
        (inside / "data" / f"{number}.txt").touch()
    lines = tool("list_files", inside)(path="data").splitlines()
    assert len(lines) == 501 and "more than 500" in lines[-1]


PYTHON = sys.executable
SHOW_ARGUMENTS = "import sys; print(sys.argv[1:])"


@pytest.mark.parametrize(
    "argument",
    [
        "; touch pwned",
        "&& touch pwned",
        "| tee pwned",
        "$(touch pwned)",
        "`touch pwned`",
        "> pwned",
        "\ntouch pwned\n",
        "*",
        "~",
        "$HOME",
        "${IFS}touch${IFS}pwned",
        "'; touch pwned; '",
        '" & touch pwned & "',
        "--",
        "",
        "%PATH%",
        "naïve 🦜",
    ],
)
def test_no_shell_reads_the_arguments(inside: Path, argument: str) -> None:
    before = everything(inside)
    run = tool("execute_command", inside)
    assert run(argv=[PYTHON, "-c", SHOW_ARGUMENTS, argument]) == f"{[argument]!r}\nexit code 0"
    with pytest.raises(ToolError):
        run(argv=[f"true{argument}"] if argument else [""])
    assert everything(inside) == before


@pytest.mark.parametrize("argv", [[], [""], ["no such program"], ["ls\0"], ["ls; id"], ["."], ["data/a.txt"]])
def test_what_cannot_be_started_is_told(inside: Path, argv: list[str]) -> None:
    with pytest.raises(ToolError):
        tool("execute_command", inside)(argv=argv)


def test_a_command_works_in_the_folder_with_no_input_and_no_secrets(
    inside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1234567890")
    monkeypatch.setenv("GH_TOKEN", "abcdefghijkl")
    run = tool("execute_command", inside)
    code = "import os, sys; print(os.getcwd(), repr(sys.stdin.read()), dict(os.environ))"
    told = run(argv=[PYTHON, "-c", code])
    assert told.startswith(f"{inside} '' {{") and "PATH" in told
    assert "sk-1234567890" not in told and "abcdefghijkl" not in told
    with pytest.raises(ToolError) as raised:
        run(argv=[PYTHON, "-c", "import sys; print('out'); sys.exit('err')"])
    assert sorted(str(raised.value).splitlines()) == ["err", "exit code 1", "out"]
    assert raised.value.line == "exit code 1"


def test_a_flood_of_output_is_bounded(inside: Path) -> None:
    told = tool("execute_command", inside)(
        argv=[PYTHON, "-c", "print('first'); [print('x' * 100_000) for _ in range(500)]; print('last')"]
    )
    assert len(told) < VALUE_CHARACTERS + 200 and told.startswith("first\n") and "last\nexit code 0" in told
    assert "characters left out" in told


FAMILY = """
import os, subprocess, sys, time
stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", stubborn])
with open("pids", "w") as file:
    file.write(f"{os.getpid()} {child.pid}")
os.rename("pids", "family")
print("started", flush=True)
"""


def alive(family: Path) -> list[str]:
    """The processes of the family that are not dead, after a while of waiting for that."""
    deadline = time.monotonic() + 30
    while found := [line for pid in family.read_text().split() if (line := _running(int(pid)))]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.01)
    return found


def _running(pid: int) -> str:
    try:
        process = psutil.Process(pid)
        return "" if process.status() == psutil.STATUS_ZOMBIE else f"{process!r} {process.cmdline()}"
    except psutil.NoSuchProcess:
        return ""


@pytest.mark.parametrize("how", ["timeout", "stop", "end"])
def test_the_whole_family_of_a_command_ends(inside: Path, how: str) -> None:
    """Its children too, such as ignore a polite request and hold the output open."""
    made = make("execute_command", str(inside))
    code = FAMILY + ("" if how == "end" else "time.sleep(600)")

    async def run() -> str:
        seconds = 3 if how == "timeout" else 60
        arguments = json.dumps({"argv": [PYTHON, "-c", code], "timeout": seconds})
        task = asyncio.ensure_future(made.bind(arguments)())
        if how == "stop":
            while not (inside / "family").exists():  # noqa: ASYNC110 (another process makes it)
                await asyncio.sleep(0.01)
            task.cancel()
        return str(await task)

    match how:
        case "timeout":
            with pytest.raises(ToolError, match=r"started\nEnded after 3 s, its limit"):
                asyncio.run(run())
        case "stop":
            with pytest.raises(asyncio.CancelledError):
                asyncio.run(run())
        case "end":
            assert asyncio.run(run()) == "started\nexit code 0"
    assert alive(inside / "family") == []


def main_thread_tool(name: str) -> Any:
    """The tool, its loop on another thread, while this one does what it hands over."""
    jobs: queue.SimpleQueue[Any] = queue.SimpleQueue()

    async def call(function: Any, is_async: bool) -> Any:
        job = FunctionCall(function, is_async)
        jobs.put(job)
        return await job.result()

    made = make(name, call=call)

    def run(**arguments: Any) -> Any:
        done = asyncio.run_coroutine_threadsafe(made.bind(json.dumps(arguments))(), loop.get())
        done.add_done_callback(lambda _: jobs.put(None))
        while job := jobs.get():
            job.run()
        return done.result()

    return run


@pytest.fixture
def main_namespace() -> Iterator[dict[str, Any]]:
    """What run_python works in where there is no IPython."""
    variables = vars(sys.modules["__main__"])
    before = dict(variables)
    yield variables
    for name in set(variables) - set(before):
        del variables[name]


def test_run_python_in_a_script(main_namespace: dict[str, Any]) -> None:
    run = main_thread_tool("run_python")
    assert run(code="x = 20\nprint('twice')\nx * 2") == "twice\n40"
    assert main_namespace["x"] == 20 and run(code="y = x") == "(no output)"
    assert main_thread_tool("inspect")(name="x") == "x: int\n20"
    with pytest.raises(ToolError) as raised:
        run(code="def f():\n    return 1 / 0\nprint('before')\nf()")
    assert raised.value.line == "ZeroDivisionError: division by zero"
    told = str(raised.value)
    # Of its own exception: one that this process is handling may be its context.
    frames = told.rpartition("Traceback")[2]
    assert told.startswith("before\nTraceback") and "return 1 / 0" in frames and "praison_nb" not in frames
    with pytest.raises(ToolError, match="never closed"):
        run(code="f(")
    with pytest.raises(ToolError, match="SystemExit: 3"):
        run(code="import sys; sys.exit(3)")
    with pytest.raises(ToolError, match="NoInputError: nobody answers"):
        run(code="input('name?')")
    for endless in ("while True: pass", "import time; time.sleep(600)"):
        with pytest.raises(ToolError, match=r"so far\nStopped after 0.2 s"):
            run(code=f"print('so far')\n{endless}", timeout=0.2)
    # Code that catches what should end it gets it again.
    stubborn = "while True:\n    try:\n        sum(range(1000))\n    except BaseException:\n        continue"
    with pytest.raises(ToolError, match="Stopped after"):
        run(code=stubborn, timeout=0.2)
    assert run(code="x") == "20"


def test_run_python_is_as_a_cell(main_namespace: dict[str, Any]) -> None:
    run = main_thread_tool("run_python")
    assert run(code="def f(x: int) -> float: ...\nf.__annotations__['x'] is int") == "True"
    assert run(code="import sys\nsys.stdout.encoding") == sys.stdout.encoding


def test_run_python_leaves_the_folder_as_it_was(
    main_namespace: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the file tools, which ask nothing, would work wherever the code went."""
    monkeypatch.chdir(tmp_path)
    run = main_thread_tool("run_python")
    moves = "import os\nos.chdir('/')\n"
    # Meanwhile another agent's turn may begin.
    code = f"{moves}from praison_nb.tools.builtin.working_dir import current\ncurrent(), os.getcwd()"
    assert run(code=code) == json.dumps([str(tmp_path), "/"])
    for code in (f"{moves}1 / 0", f"{moves}while True: pass"):
        with pytest.raises(ToolError):
            run(code=code, timeout=0.2)
    assert os.getcwd() == str(tmp_path)
    assert run(code="os.mkdir('gone')\nos.chdir('gone')\nos.rmdir('../gone')") == "(no output)"
    assert os.getcwd() == str(tmp_path)


@pytest.mark.parametrize("limit", [float("nan"), float("inf"), "nan", "-inf", "1e999"])
def test_a_limit_that_is_no_number_is_refused(limit: object) -> None:
    for name, arguments in (("run_python", {"code": "1"}), ("execute_command", {"argv": ["ls"]})):
        with pytest.raises(ToolError, match="timeout: Input should be a finite number"):
            tool(name, ".")(**arguments, timeout=limit)


def test_run_python_on_another_thread_is_refused_where_no_kernel_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervise, "PATIENCE_SECONDS", 0.1)
    with pytest.raises(ToolError, match="main thread only"):
        tool("run_python", ".")(code="1")


def test_what_inspect_says(main_namespace: dict[str, Any]) -> None:
    import numpy as np
    import pandas as pd

    inspect = main_thread_tool("inspect")
    main_namespace |= {
        "frame": pd.DataFrame({"a": range(1000)}),
        "grid": np.zeros((3, 4)),
        "words": ["w"] * 1_000_000,
        "_hidden": 1,
    }
    assert inspect(name="frame").startswith(
        "frame: pandas.DataFrame, shape (1000, 1)\nDataFrame, 1,000 rows × 1 columns (a: int64), "
    )
    assert inspect(name="grid").startswith("grid: numpy.ndarray, shape (3, 4), dtype float64\n[[0. 0.")
    assert inspect(name="words").startswith("words: list, length 1,000,000\n[")
    assert len(inspect(name="words")) < 1000
    assert "frame: pandas.DataFrame" in inspect() and "_hidden" not in inspect()
    for name in ("nobody", "_hidden", "words[0]", "__import__('os').system('id')", "frame.a", "sys"):
        with pytest.raises(ToolError, match="no variable"):
            inspect(name=name)


def test_one_variable_that_cannot_be_looked_at(main_namespace: dict[str, Any]) -> None:
    class Closed:
        def __len__(self) -> int:
            raise RuntimeError("closed")

    class Exits:
        shape = property(lambda self: sys.exit(3))
        dtype = property(lambda self: 1 / 0)

        def __repr__(self) -> str:
            sys.exit(3)

    inspect = main_thread_tool("inspect")
    main_namespace |= {"closed": Closed(), "exits": Exits(), "plain": 1}
    numbered: dict[Any, Any] = main_namespace
    numbered[5] = 3
    told = inspect().splitlines()
    assert "plain: int" in told
    assert "closed: <Closed, which cannot be looked at: RuntimeError: closed>" in told
    assert "exits: <Exits, which cannot be looked at: SystemExit: 3>" in told
    assert inspect(name="exits").count("<Exits, which cannot be looked at: SystemExit: 3>") == 2


class Strange:
    """Raises `error` whenever text is made of it."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __repr__(self) -> str:
        raise self.error


class Speechless(Exception):
    def __str__(self) -> str:
        raise SystemExit(2)


@pytest.mark.parametrize(
    "error",
    [GeneratorExit("closed"), asyncio.CancelledError("closed"), ValueError("closed\nfor sk-1234567890")],
    ids=lambda error: type(error).__name__,
)
def test_whatever_a_variable_raises_is_told_of_it(
    main_namespace: dict[str, Any], monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1234567890")
    inspect = main_thread_tool("inspect")
    for value in (Strange(error), [Strange(error)], {1: {2: Strange(error)}}):
        main_namespace["strange"] = value
        told = inspect(name="strange").splitlines()[1:]
        kinds = type(value).__name__, type(error).__name__
        message = "closed for [key]" if isinstance(error, ValueError) else "closed"
        assert told == ["<{}, which cannot be looked at: {}: {}>".format(*kinds, message)]
    main_namespace["strange"] = Strange(Speechless())
    assert "looked at: Speechless: (its message cannot be had: SystemExit)>" in inspect(name="strange")


def test_a_variable_that_is_nested_without_end(main_namespace: dict[str, Any]) -> None:
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    main_namespace["nested"] = nested
    assert "<list, which cannot be looked at: RecursionError" in main_thread_tool("inspect")(name="nested")


def test_inspect_shows_no_secrets(main_namespace: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclasses.dataclass
    class Client:
        url: str
        api_key: str

    monkeypatch.setenv("SOME_API_KEY", "of-the-environment")
    inspect = main_thread_tool("inspect")
    main_namespace |= {
        "api_key": "sk-1234",
        "tokens": ["sk-1234567890"],
        "PASSWORD": b"sk-1234",
        "credentials": {"user": "sk-1234"},
        "config": {"openai": {"api_key": "sk-1234", "model": "mini"}, "Github-Token-2": "it's sk-1234"},
        "client": Client("http://here", "sk-1234"),
        "text": '{"secret_access_key": "a\\"sk-1234", "user": "ada"}',
        "headers": {"Authorization": "Bearer sk-1234", "Cookie": "sk-1234"},
        "database": "postgres://ada:sk-1234@db/app",
        "rows": [{"user": "ada", "pwd": "sk-1234"}],
        "pem": f"-----BEGIN PRIVATE KEY-----\n{'sk-1234' * 9}\n-----END PRIVATE KEY-----",
        # Where it is cut, no half of a secret is left.
        "env": "x" * 3990 + "of-the-environment",
        "long": {"x" * 1990: "", "password": "sk-1234" * 1000},
    }
    for name in ("api_key", "PASSWORD", "credentials"):
        assert inspect(name=name).splitlines()[1:] == ["[key]"]
    assert inspect(name="tokens").splitlines()[1:] == ['["[key]"]']
    for name in ("config", "client", "text", "env", "long", "headers", "database", "rows", "pem"):
        told = inspect(name=name)
        assert "[key]" in told and "sk-" not in told and "of-the" not in told, told
    assert '"model": "mini"' in inspect(name="config") and "url='http://here'" in inspect(name="client")
    # What is only named so.
    main_namespace |= {"max_tokens": 1000, "keyboard": Path("a"), "counts": {"tokens": 3}}
    main_namespace |= {"tokens": ["the", "##ing", "covid19"], "rows": [{"token": "mp3", "key": "id_1"}]}
    for name, shown in (
        ("max_tokens", "1000"),
        ("keyboard", "a"),
        ("counts", '{"tokens": 3}'),
        ("tokens", '["the", "##ing", "covid19"]'),
        ("rows", '[{"token": "mp3", "key": "id_1"}]'),
    ):
        assert inspect(name=name).splitlines()[1:] == [shown]


def test_no_half_of_a_secret_is_left_where_a_value_is_cut(
    main_namespace: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "abcdefgh12345678")
    told = main_thread_tool("run_python")(
        code="import os\n'x' * 9_992 + os.environ['SOME_API_KEY'] + 'y' * 20_000"
    )
    assert "abcdefgh" not in told and "characters left out" in told
    with pytest.raises(ToolError) as raised:
        main_thread_tool("run_python")(
            code="raise ValueError('x' * 4_900 + os.environ['SOME_API_KEY'] * 9 + 'y' * 9_000)"
        )
    assert "12345" not in str(raised.value)


def test_the_tools_as_a_model_sees_them() -> None:
    for name in NAMES:
        made = make(name)
        assert isinstance(made, Tool) and made.name == name and made.description
        for parameter in made.schema["properties"].values():
            assert parameter["description"] and parameter["type"]
    with pytest.raises(ConfigError, match="There are run_python"):
        make("shell")


def test_secrets_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "abcdefgh12345678")
    assert redact("it is abcdefgh12345678.") == "it is [key]."
    monkeypatch.setenv("SHORT_API_KEY", "abcdefg")
    assert redact("it is abcdefg here") == "it is abcdefg here"


@pytest.mark.parametrize(
    "secret",
    [
        '{"private_key": "-----BEGIN\\nABCSECRET\\n"}',
        '{\n  "private_key": "ABCSECRET"\n}\n',
        "C:\\ABCSECRET\\é",
        'it\'s <ABCSECRET> & "more"',
        '{"it": "\'s  <ABCSECRET>\\n/é",\n\t"&": 1}',
        "https://ada:ABCSECRET@host/path?a=1&b",
    ],
    ids=itertools.count(),
)
def test_a_secret_is_hidden_however_it_is_written(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import pandas as pd
    from IPython.lib.pretty import pretty

    monkeypatch.setenv("CLOUD_CREDENTIALS", secret)
    monkeypatch.setenv("PLAIN", "it stays")
    frame = pd.DataFrame({"a": [secret]})
    for text in (
        secret,
        repr(os.environ),
        str(dict(os.environ)),
        pretty(dict(os.environ)),
        json.dumps({"env": secret}),
        json.dumps({"env": secret}, ensure_ascii=False),
        json.dumps([repr({"env": secret})]),
        repr(json.dumps({"env": secret})),
        json.dumps(json.dumps(secret)),
        frame.to_csv(),
        frame.to_html(),
        frame.to_string(),
        frame.to_json(),
        html.escape(secret),
        secret.strip(),
    ):
        assert "ABCSECRET" in text
        hidden = redact(text)
        assert (
            "ABCSECRET" not in hidden and "[key]" in hidden and ("it stays" in hidden) == ("it stays" in text)
        )


def test_an_excerpt_leaves_no_secret_nor_half_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "abcdefgh12345678"
    monkeypatch.setenv("SOME_API_KEY", secret)
    for text in (secret, f"xx{secret}", "x" * 1000 + secret + "y" * 40, ("y" * 20 + secret) * 100):
        for size in (1, 7, 5000):
            excerpt = Excerpt(100)
            for begin in range(0, len(text), size):
                excerpt.add(text[begin : begin + size])
            told = str(excerpt)
            assert "[key]" in told and "12345678" not in told, (text, size, told)


def test_an_excerpt_keeps_head_and_tail() -> None:
    small, all_at_once = Excerpt(100), Excerpt(100)
    text = "".join(str(number % 10) for number in range(10_000))
    for character in text:
        small.add(character)
    all_at_once.add(text)
    assert str(small) == str(all_at_once) == f"{text[:50]}\n[… 9,900 characters left out …]\n{text[-50:]}"
