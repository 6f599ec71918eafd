"""`praison_nb.map` on the workers of an executor: the same frame and the same books as without."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import psutil
import pytest

import praison_nb
from praison_nb.errors import ConfigError
from praison_nb.rows.api import begin
from praison_nb.rows.parcel import pack
from servers.rows import Manners, RowServer

Label = Literal["good", "bad"]
TEXTS = [f"Text number {number % 60}." for number in range(90)]


@pytest.fixture(autouse=True)
def own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRAISON_NB_LEDGER", str(tmp_path / "ledger.sqlite"))
    monkeypatch.setenv("ROWS_KEY", "test-key")


@pytest.fixture(scope="module")
def processes() -> Iterator[Executor]:
    os.environ["ROWS_KEY"] = "test-key"
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as executor:
        yield executor
    del os.environ["ROWS_KEY"]


def check_books(made: Any, server: RowServer) -> None:
    books = server.books
    ledger = praison_nb.usage(by="request")
    assert len(ledger) == books.requests
    assert float(ledger["cost"].sum()) == pytest.approx(float(books.cost), abs=1e-9)
    assert made["_cost"].sum() == pytest.approx(float(books.cost), abs=1e-9)


def test_processes_ask_and_only_the_caller_books(processes: Executor) -> None:
    with RowServer(Manners(too_many=0.1, failing=0.02, garbage=0.15)) as server:
        agent = server.agent()
        made = praison_nb.map(TEXTS, "Label: {value}", agent=agent, output=Label, executor=processes)
        assert set(made["_status"]) == {"done", "kept"}
        assert len(server.books.accepted) == 60 and set(server.books.accepted.values()) == {1}
        assert server.books.garbage and server.books.refused
        check_books(made, server)
        requests = server.books.requests
        again = praison_nb.map(TEXTS, "Label: {value}", agent=agent, output=Label)
        assert server.books.requests == requests
        assert list(again["value_answer"]) == list(made["value_answer"])


def test_a_budget_is_never_passed_on_workers(processes: Executor) -> None:
    with RowServer() as server:
        agent = server.agent(options={"max_tokens": 300})
        made = praison_nb.map(
            TEXTS, "Label: {value}", agent=agent, output=Label, budget="0.0002", executor=processes
        )
        assert 0 < server.books.cost <= Decimal("0.0002")
        assert set(made["_status"]) - {"kept"} == {"done", "budget"}
        check_books(made, server)


def shout(word: str) -> str:
    """Say it aloud."""
    return f"{word.upper()} by {os.getpid()}"


def test_functions_of_a_module_run_on_the_workers(processes: Executor) -> None:
    from servers.openai import OpenAIServer, reply

    with OpenAIServer() as server:
        server.script(reply(calls=[("shout", '{"word": "a"}')]), reply("A"))
        config = praison_nb.LocalAgentConfig(
            model="gpt-4o-mini", provider="openai", base_url=server.base_url, tools=[shout],
            api_key=os.environ["ROWS_KEY"],
        )  # fmt: skip
        made = praison_nb.map(
            ["a"], "Say {value}", agent=praison_nb.LocalAgent(config), executor=processes, budget=1
        )
        assert list(made["_status"]) == ["done"], made["_error"][0]
        result = server.requests[1].json["messages"][-1]["content"]
    assert result.startswith("A by ") and result != f"A by {os.getpid()}"
    assert len(praison_nb.usage(by="request")) == 2


def test_threads_do_too() -> None:
    with RowServer() as server, ThreadPoolExecutor(3) as executor:
        made = praison_nb.map(TEXTS, "Label: {value}", agent=server.agent(), executor=executor)
        assert set(made["_status"]) == {"done", "kept"}
        check_books(made, server)


def test_a_stop_sends_nothing_more_and_books_what_was_sent() -> None:
    with RowServer(Manners(seconds=0.2)) as server, ThreadPoolExecutor(2) as executor:
        run = begin(TEXTS, "Label: {value}", agent=server.agent(), executor=executor, concurrency=4)
        server.wait_for(lambda: server.books.at_once == 4)
        run.stop()
        made = run.wait()
        assert set(made["_status"]) == {"stopped"}
        executor.shutdown()
        assert server.books.requests == 4
        server.wait_for(lambda: praison_nb.usage(by="request")["cost"].notna().sum() == 4)
        assert float(praison_nb.usage(by="request")["cost"].sum()) == pytest.approx(float(server.books.cost))


def holds_a_lock() -> Any:
    lock = threading.Lock()

    def inner(word: str) -> str:
        """Return it."""
        with lock:
            return word

    return inner


def ends() -> None:
    """End the process."""
    os._exit(1)


def test_a_lost_process_is_said_in_one_line() -> None:
    from servers.openai import OpenAIServer, reply

    context = multiprocessing.get_context("spawn")
    with OpenAIServer() as server, ProcessPoolExecutor(1, context) as executor:
        server.script(reply(calls=[("ends", "{}")]))
        config = praison_nb.LocalAgentConfig(model="m", base_url=server.base_url, tools=[ends])
        with pytest.raises(ConfigError, match="make another one and map again"):
            praison_nb.map(["a"], "Say {value}", agent=praison_nb.LocalAgent(config), executor=executor)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"api_key": "sk-in-no-variable"}, "keys do not go to workers"),
        ({"base_url": "http://ada:lovelace@127.0.0.1:1/v1"}, "base_url holds a secret"),
        ({"options": {"extra_headers": {"X-Api-Key": "abcdefgh"}}}, "options holds a secret"),
        ({"tools": [holds_a_lock()]}, "define its functions in a module"),
    ],
)
def test_what_cannot_go_to_workers(settings: dict[str, Any], why: str) -> None:
    given = {"model": "m", "base_url": "http://127.0.0.1:1/v1", **settings}
    with pytest.raises(ConfigError, match=why), ThreadPoolExecutor(1) as executor:
        agent = praison_nb.LocalAgent(praison_nb.LocalAgentConfig(**given))
        praison_nb.map(["a"], "Say {value}", agent=agent, executor=executor)


def test_a_parcel_has_the_name_of_a_key_and_never_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cloudpickle")
    key = "a-key-of-no-form-1234"
    monkeypatch.setenv("ROWS_KEY", key)

    def look_up(word: str) -> str:
        """Look a word up."""
        return word + key

    def parcel(*tools: Any) -> bytes:
        given = {"model": "m", "base_url": "http://127.0.0.1:1/v1", "api_key": os.environ["ROWS_KEY"]}
        return pack(praison_nb.LocalAgent(praison_nb.LocalAgentConfig(**given, tools=[*tools])), 6)

    assert key.encode() not in parcel(holds_a_lock) and b"ROWS_KEY" in parcel()
    with pytest.raises(ConfigError, match=r"holds a secret \(.*\), which goes to no worker: read it"):
        parcel(look_up)


class Elsewhere(Executor):
    """One whose workers can import nothing of ours: each task is a process of an isolated Python."""

    def submit(self, function: Any, /, *args: Any, **options: Any) -> Future[Any]:
        task: Future[Any] = Future()
        code = "import pickle, sys; pickle.loads(sys.stdin.buffer.read())"
        command = [sys._base_executable, "-I", "-S", "-c", code]  # type: ignore[attr-defined]
        done = subprocess.run(command, input=pickle.dumps(function), capture_output=True, check=False)
        last = done.stderr.decode().splitlines()[-1]
        kind, _, message = last.partition(": ")
        assert kind == "ModuleNotFoundError", last
        task.set_exception(ModuleNotFoundError(message, name=message.split("'")[1]))
        return task


def test_workers_without_the_package_are_told_what_to_install() -> None:
    agent = praison_nb.LocalAgent(
        praison_nb.LocalAgentConfig(model="m", base_url="http://127.0.0.1:1/v1", provider="")
    )
    with pytest.raises(ConfigError, match="The workers have no praison_nb: install praison-nb"):
        praison_nb.map(["a"], "Say {value}", agent=agent, executor=Elsewhere())


@pytest.mark.parametrize("executor", ["ray", 4, object()])
def test_what_is_no_executor(executor: Any) -> None:
    with pytest.raises(ConfigError, match=r"executor= takes"):
        praison_nb.map(["a"], "{value}", agent="ollama/m", executor=executor)


def test_agents_that_run_elsewhere() -> None:
    with pytest.raises(ConfigError, match="takes agents whose loop runs here"), ThreadPoolExecutor(1) as pool:
        praison_nb.map(["a"], "{value}", agent=praison_nb.ScriptedBackend([]), executor=pool)


@pytest.mark.slow
def test_a_cluster_by_its_name_ends_with_the_map() -> None:
    pytest.importorskip("distributed")
    before = psutil.Process().children(recursive=True)
    with RowServer() as server:
        run = begin(TEXTS, "Label: {value}", agent=server.agent(), output=Label, executor="dask")
        made = run.wait()
        assert set(made["_status"]) == {"done", "kept"} and len(server.books.accepted) == 60
        check_books(made, server)
    _, alive = psutil.wait_procs(set(psutil.Process().children(recursive=True)) - {*before}, timeout=60)
    assert not [each for each in alive if "distributed" in " ".join(each.cmdline())]


@pytest.mark.slow
def test_a_dask_worker_that_is_killed_costs_only_what_it_was_asking() -> None:
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
        RowServer(Manners(seconds=0.05)) as server,
    ):
        begun = begin(
            TEXTS, "Label: {value}", agent=server.agent(), output=Label, executor=client, concurrency=8
        )
        server.wait_for(lambda: len(server.books.accepted) > 8)
        os.kill(next(iter(cluster.workers.values())).pid, signal.SIGKILL)
        made = begun.wait()
        books = server.books
        assert set(made["_status"]) == {"done", "kept"} and len(books.accepted) == 60
        ledger = praison_nb.usage(by="request")
        unknown = int(ledger["cost"].isna().sum())
        # What the lost worker was asking, one chunk at most, is in the ledger without a price.
        assert 60 <= books.requests <= 64 and 1 <= unknown <= 4
        assert len(ledger) == 60 + unknown >= books.requests
        again = praison_nb.map(TEXTS, "Label: {value}", agent=server.agent(), output=Label)
        assert list(again["value_answer"]) == list(made["value_answer"])
