"""A user's own backend of five methods, in every style that people write them."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from praison_nb import Agent
from praison_nb.backends import as_backend, create, names, register
from praison_nb.backends.custom import CustomBackend
from praison_nb.errors import BackendError, ConfigError
from praison_nb.managed import ManagedBackendProtocol
from servers.waiting import until


class Plain:
    """All methods are plain ones."""

    def __init__(self) -> None:
        self.resets: list[str] = []

    def execute(self, prompt: str, **kwargs: Any) -> str:
        return prompt.upper()

    def stream(self, prompt: str, **kwargs: Any) -> Iterator[str]:
        yield from prompt.upper().split(" ")

    def reset_session(self) -> None:
        self.resets.append("session")

    def reset_all(self) -> None:
        self.resets.append("all")

    def retrieve_session(self) -> dict[str, Any]:
        return {"id": "plain-1", "status": "idle"}


class Async(Plain):
    """All methods are coroutines, or an async generator."""

    async def execute(self, prompt: str, **kwargs: Any) -> str:  # type: ignore[override]
        return prompt.upper()

    async def stream(self, prompt: str, **kwargs: Any) -> AsyncIterator[str]:  # type: ignore[override]
        for word in prompt.upper().split(" "):
            await asyncio.sleep(0)
            yield word

    async def reset_session(self) -> None:  # type: ignore[override]
        self.resets.append("session")

    async def reset_all(self) -> None:  # type: ignore[override]
        self.resets.append("all")

    async def retrieve_session(self) -> dict[str, Any]:  # type: ignore[override]
        return {"id": "async-1", "status": "idle", "title": None, "usage": None}


class Lists(Plain):
    """`stream` returns a list."""

    def stream(self, prompt: str, **kwargs: Any) -> Any:
        return prompt.upper().split(" ")


class Stubbed(Plain):
    """`stream` is there for the protocol only."""

    async def stream(self, prompt: str, **kwargs: Any) -> Any:  # type: ignore[override]
        raise NotImplementedError


@pytest.mark.parametrize("kind", [Plain, Async, Lists, Stubbed])
def test_five_methods_are_enough(kind: type[Plain]) -> None:
    user = kind()
    assert isinstance(user, ManagedBackendProtocol)
    agent = Agent(name="mine", backend=user)
    assert agent.start("a b") in ("AB", "A B")
    assert "".join(agent.start("a b", stream=True)) in ("AB", "A B")
    info = agent.retrieve_session()
    assert (
        set(info) == {"id", "status", "title", "usage"} and info["status"] == "idle" and info["title"] == ""
    )
    assert info["id"].endswith("-1") and info["usage"]["output_tokens"] > 0
    agent.backend.reset_session()
    agent.backend.reset_all()
    assert user.resets == ["session", "all"]


async def test_where_a_loop_runs() -> None:
    assert await Agent(name="mine", backend=Async()).astart("a b") == "AB"
    assert Agent(name="mine", backend=Async()).start("a b") == "AB"


def test_its_own_count_is_used() -> None:
    class Counting(Plain):
        turns = 0

        def stream(self, prompt: str, **kwargs: Any) -> Iterator[str]:
            self.turns += 1
            yield "x"

        def retrieve_session(self) -> dict[str, Any]:
            return {
                "id": "c",
                "status": "idle",
                "usage": {"input_tokens": 100 * self.turns, "output_tokens": None},
            }

    agent = Agent(name="mine", backend=Counting())
    agent.start("one")
    agent.start("two")
    assert agent.turn is not None
    assert agent.turn.usage.input_tokens == 100 and not agent.turn.usage.estimated
    assert agent.retrieve_session()["usage"] == {"input_tokens": 200, "output_tokens": 0}


def test_what_it_raises_is_told_with_the_turn() -> None:
    class Broken(Plain):
        def stream(self, prompt: str, **kwargs: Any) -> Iterator[str]:
            yield "so far"
            raise ValueError("no luck")

    agent = Agent(name="mine", backend=Broken())
    with pytest.raises(BackendError, match="ValueError: no luck") as caught:
        agent.start("Hi")
    assert caught.value.turn is not None and caught.value.turn.text == "so far"
    assert isinstance(caught.value.__cause__, ValueError)
    assert agent.retrieve_session()["status"] == "error"


@pytest.mark.parametrize(
    "told",
    [
        None,
        {},
        {"id": None, "status": None, "usage": {"input_tokens": "?"}},
        {"status": "dancing"},
        3,
        ValueError(),
    ],
)
def test_whatever_it_says_of_its_session_nothing_lacks(told: Any) -> None:
    class Odd(Plain):
        def retrieve_session(self) -> Any:
            if isinstance(told, Exception):
                raise told
            return told

    agent = Agent(name="mine", backend=Odd())
    for _ in range(2):
        info = agent.retrieve_session()
        assert set(info) == {"id", "status", "title", "usage"}
        assert info["status"] in ("idle", "unknown", "none")
        assert isinstance(info["usage"]["input_tokens"], int) and isinstance(
            info["usage"]["output_tokens"], int
        )
        agent.start("Hi")


@pytest.mark.parametrize("is_async", [True, False])
def test_stop_tells_it_and_keeps_the_text(is_async: bool) -> None:
    told, release = threading.Event(), threading.Event()

    class Slow(Plain):
        def interrupt(self) -> None:
            told.set()

        def stream(self, prompt: str, **kwargs: Any) -> Any:
            return self.asynchronous() if is_async else self.plain()

        async def asynchronous(self) -> AsyncIterator[str]:
            yield "so far"
            await asyncio.Event().wait()

        def plain(self) -> Iterator[str]:
            yield "so far"
            release.wait()

    agent = Agent(name="mine", backend=Slow())
    run = agent.backend.begin("Hi")
    until(run, lambda turn: turn.text == "so far")
    agent.backend.interrupt()
    turn = run.wait()
    assert turn.stop_reason == "interrupted" and turn.text == "so far"
    assert told.wait(60)
    release.set()


def test_one_object_has_one_adapter() -> None:
    user = Plain()
    assert as_backend(user) is as_backend(user)
    assert as_backend(as_backend(user)) is as_backend(user)
    assert as_backend(Agent(name="mine", backend=user)) is as_backend(user)


@pytest.mark.parametrize(
    ("value", "told"), [(3, "execute"), (Plain, "make an object of it"), (object(), "stream")]
)
def test_what_is_no_backend(value: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        as_backend(value)


def test_registered_names(monkeypatch: pytest.MonkeyPatch) -> None:
    register("plain", lambda **options: Plain())
    try:
        assert "plain" in names() and isinstance(create("plain"), CustomBackend)
    finally:
        from praison_nb.backends import registry

        del registry._registered["plain"]
    with pytest.raises(ConfigError, match="There are: embedded, hosted, local"):
        create("plain")


def test_a_package_that_is_installed_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("builtins.PlainBackend", lambda **options: Plain(), raising=False)
    assert "plugin" not in names()
    (tmp_path / "plugin-1.dist-info").mkdir()
    (tmp_path / "plugin-1.dist-info" / "METADATA").write_text("Name: plugin\nVersion: 1\n")
    (tmp_path / "plugin-1.dist-info" / "entry_points.txt").write_text(
        "[praison_nb.backends]\nplugin = builtins:PlainBackend\n"
    )
    assert "plugin" in names() and isinstance(create("plugin"), CustomBackend)


def test_optional_methods_are_used_where_present() -> None:
    class More(Plain):
        def update_agent(self, **changes: Any) -> None:
            self.resets.append(str(changes))

        def list_sessions(self, **options: Any) -> list[dict[str, Any]]:
            return [{"id": "one"}]

    user = More()
    backend = as_backend(user)
    assert isinstance(backend, CustomBackend)
    backend.update_agent(model="x")
    assert user.resets == ["{'model': 'x'}"]
    assert backend.list_sessions()[0]["id"] == "one"
    with pytest.raises(ConfigError, match="update_agent"):
        as_backend(Plain()).update_agent(model="x")


def test_an_empty_prompt() -> None:
    with pytest.raises(ConfigError, match="empty"):
        Agent(name="mine", backend=Plain()).start("  ")


@pytest.mark.parametrize("name", ["hosted", "embedded"])
def test_an_option_that_a_backend_has_not(name: str) -> None:
    with pytest.raises(ConfigError, match=f"The {name} backend has no colour"):
        create(name, colour="red")


class Gappy(Plain):
    """`stream` has nothing to say now and then."""

    def stream(self, prompt: str, **kwargs: Any) -> Any:
        yield from ["a", None, "b"]


def test_nothing_is_no_text() -> None:
    assert CustomBackend(Gappy()).begin("Hi").wait().text == "ab"


def test_backends_that_block_hold_up_no_other_turn() -> None:
    """They have a pool of their own: the ledger's is free."""
    gate, inside = threading.Event(), threading.Semaphore(0)

    class Blocking(Plain):
        def stream(self, prompt: str, **kwargs: Any) -> Any:
            inside.release()
            gate.wait(60)
            return [prompt]

    # As many as the loop's own pool has threads.
    runs = [
        CustomBackend(Blocking()).begin("Hi", caller_waits=False)
        for _ in range(min(32, (os.cpu_count() or 1) + 4))
    ]
    try:
        for _ in runs:
            assert inside.acquire(timeout=60)
        turn = until(CustomBackend(Plain()).begin("go", caller_waits=False), lambda turn: turn.ended)
        assert turn.text == "GO" and not any(run.turn.ended for run in runs)
    finally:
        gate.set()
    assert [run.wait().text for run in runs] == ["Hi"] * len(runs)
