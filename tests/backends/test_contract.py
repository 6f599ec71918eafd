"""One contract for all backends: hosted, local, embedded, scripted, and a user's own five methods."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from praison_nb import Agent, HostedAgent, HostedAgentConfig, LocalAgent, LocalAgentConfig, ScriptedBackend
from praison_nb.backends import as_backend
from praison_nb.backends.base import Backend
from praison_nb.errors import PraisonError
from praison_nb.events import (
    Event,
    RequestFinished,
    RequestStarted,
    SessionAttached,
    TextDelta,
    TurnFinished,
)
from praison_nb.managed import ManagedBackendProtocol
from praison_nb.runtime.run import Run
from praison_nb.session import Usage
from praison_nb.turn import Turn
from servers.hosted import HostedServer, hold as hosted_hold, text as hosted_text
from servers.openai import OpenAIServer, chunk
from servers.waiting import until


@dataclass
class Case:
    """A backend, and how its next turn is made to be what the test needs."""

    backend: Backend
    fresh: str
    hang: Callable[[], None]
    """The next turn says some text and then hangs."""
    fail: Callable[[], None]
    """The next turn fails."""
    away: Callable[[], None]
    """The provider is away from now on."""


def hosted(stack: contextlib.ExitStack) -> Case:
    server = stack.enter_context(HostedServer())
    config = HostedAgentConfig(base_url=server.url, api_key=server.api_key)
    backend = HostedAgent(config=config)
    return Case(
        backend,
        fresh="unknown",
        hang=lambda: server.script([hosted_text("so far"), hosted_hold(server.gate())]),
        fail=lambda: server.refuse(1, status=400, method="POST", path="/events"),
        away=lambda: server.refuse(1000, status=400),
    )


def local(stack: contextlib.ExitStack) -> Case:
    server = stack.enter_context(OpenAIServer())
    backend = LocalAgent(config=LocalAgentConfig(model="m", base_url=server.base_url))
    return Case(
        backend,
        fresh="none",
        hang=lambda: server.script([chunk({"content": "so far"}), server.gate()]),
        fail=lambda: server.refuse(1, status=400),
        away=lambda: server.refuse(1000, status=400),
    )


def embedded(stack: contextlib.ExitStack) -> Case:
    options: dict[str, Any] = {"max_tokens": 16, "temperature": 0}
    backend = LocalAgent(config=LocalAgentConfig(model="embedded", options=options))

    def use(**changes: Any) -> None:
        backend.update_agent(**changes)

    return Case(
        backend,
        fresh="none",
        # It does not hang: it has much to say.
        hang=lambda: use(options={"max_tokens": 1500, "logit_bias": {"2": -100}}),
        fail=lambda: use(options={"max_tokens": "many"}),
        away=lambda: use(model="gguf:/nowhere.gguf"),
    )


def scripted(stack: contextlib.ExitStack) -> Case:
    answer: list[Any] = [
        RequestStarted(input_tokens=3),
        TextDelta(text="so far"),
        RequestFinished(usage=Usage(uncached_input_tokens=3, output_tokens=2)),
    ]
    backend = ScriptedBackend(answer)

    async def hang(run: Run) -> Event | None:
        await asyncio.Event().wait()
        return None

    def play(*steps: Any) -> None:
        backend.steps = [*steps]

    return Case(
        backend,
        fresh="none",
        hang=lambda: play(*answer[:2], hang),
        fail=lambda: play(ValueError("no luck")),
        away=lambda: play(ConnectionError("away")),
    )


def custom(stack: contextlib.ExitStack) -> Case:
    class Mine:
        then: Any = None

        async def execute(self, prompt: str, **kwargs: Any) -> str:
            return "".join([piece async for piece in self.stream(prompt)])

        async def stream(self, prompt: str, **kwargs: Any) -> AsyncIterator[str]:
            # A stop may come before what follows a piece is asked for.
            then, self.then = self.then, None
            yield "so far"
            if then is not None:
                await then()

        def reset_session(self) -> None: ...

        def reset_all(self) -> None: ...

        def retrieve_session(self) -> dict[str, Any]:
            return {}

    mine = Mine()

    async def hang() -> None:
        await asyncio.Event().wait()

    async def fail() -> None:
        raise ValueError("no luck")

    def then(what: Any) -> Callable[[], None]:
        return lambda: setattr(mine, "then", what)

    return Case(as_backend(mine), fresh="none", hang=then(hang), fail=then(fail), away=then(fail))


# The embedded one is a local one, with a model that takes its time: test_embedded.py has it in each run.
@pytest.fixture(
    params=[hosted, local, pytest.param(embedded, marks=pytest.mark.slow), scripted, custom],
    ids=lambda make: make.__name__,
)
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    with contextlib.ExitStack() as stack:
        yield request.param(stack)


def session(case: Case, status: str) -> dict[str, Any]:
    """The session, checked to be whole and of this status."""
    info = case.backend.retrieve_session()
    assert set(info) == {"id", "status", "title", "usage"}
    assert all(isinstance(info[key], str) for key in ("id", "status", "title"))
    usage = info["usage"]
    assert all(type(usage[key]) is int for key in ("input_tokens", "output_tokens"))
    assert None not in usage.values()
    assert type(info["status"]) is str and info["status"] == status, info
    return info


def test_it_is_a_backend_by_the_protocol(case: Case) -> None:
    assert isinstance(case.backend, ManagedBackendProtocol)


def test_fresh(case: Case) -> None:
    info = session(case, case.fresh)
    assert info == {
        "id": "",
        "status": case.fresh,
        "title": "",
        "usage": {"input_tokens": 0, "output_tokens": 0},
    }
    assert case.backend.list_sessions() == []


def test_turns_of_one_session(case: Case) -> None:
    first = case.backend.begin("Say hello.").wait()
    assert first.error is None and first.text and first.stop_reason in ("end_turn", "max_tokens")
    one = session(case, "idle")
    assert one["id"] == first.session_id and one["usage"]["output_tokens"] > 0
    second = case.backend.begin("Say hello again.").wait()
    two = session(case, "idle")
    assert two["id"] == one["id"] and two["usage"]["output_tokens"] > one["usage"]["output_tokens"]
    total = first.usage.input_tokens + second.usage.input_tokens
    assert two["usage"]["input_tokens"] == total
    assert [info["id"] for info in case.backend.list_sessions()] == [one["id"]]


def test_agent_start_and_stream(case: Case) -> None:
    agent = Agent(name="a", backend=case.backend)
    assert agent.start("Say hello.")
    assert "".join(agent.start("Say hello.", stream=True)) == (agent.turn.text if agent.turn else "")


async def test_execute_and_stream_from_another_loop(case: Case) -> None:
    assert await case.backend.execute("Say hello.")
    assert [piece async for piece in case.backend.stream("Say hello.", stream=True)]


def test_running_and_stopped(case: Case) -> None:
    case.hang()
    run = case.backend.begin("Hi")
    until(run, lambda turn: turn.text)
    session(case, "running")
    case.backend.interrupt()
    turn = run.wait()
    assert turn.stop_reason == "interrupted" and turn.text and turn.error is None
    after = session(case, "idle")
    assert after["id"] == turn.session_id


def test_the_turn_after_a_stop_works(case: Case) -> None:
    case.hang()
    run = case.backend.begin("Hi")
    until(run, lambda turn: turn.text)
    run.stop()
    run.wait()
    if isinstance(case.backend, ScriptedBackend):
        case.backend.steps = [TextDelta(text="again")]
    if case.backend.name == "embedded":
        case.backend.update_agent(options={"max_tokens": 16})
    again = case.backend.begin("And now?").wait()
    assert again.error is None and again.text


def test_failed(case: Case) -> None:
    case.backend.begin("Say hello.").wait()
    before = session(case, "idle")
    case.fail()
    with pytest.raises(PraisonError) as caught:
        Agent(name="a", backend=case.backend).start("Hi")
    assert caught.value.turn is not None and caught.value.turn.status == "error"
    after = session(case, "error")
    assert after["id"] == before["id"]
    assert after["usage"]["output_tokens"] >= before["usage"]["output_tokens"]


def test_reset(case: Case) -> None:
    first = case.backend.begin("Say hello.").wait()
    case.backend.reset_session()
    session(case, case.fresh)
    second = case.backend.begin("Say hello.").wait()
    assert second.error is None
    if not isinstance(case.backend, ScriptedBackend):
        assert second.session_id != first.session_id
    case.backend.reset_all()
    assert session(case, case.fresh)["usage"] == {"input_tokens": 0, "output_tokens": 0}


def test_reset_in_mid_turn(case: Case) -> None:
    case.hang()
    run = case.backend.begin("Hi")
    until(run, lambda turn: turn.text)
    case.backend.reset_session()
    session(case, case.fresh)
    assert run.wait().stop_reason == "interrupted"
    session(case, case.fresh)


def test_the_provider_is_away(case: Case) -> None:
    case.backend.begin("Say hello.").wait()
    before = session(case, "idle")
    case.away()
    info = case.backend.retrieve_session()
    assert info["id"] == before["id"] and info["usage"] == before["usage"]
    assert info["status"] in ("idle", "unknown") and set(info) == set(before)
    assert case.backend.begin("Hi").wait().error is not None
    assert case.backend.retrieve_session()["id"] == before["id"]


def test_the_status_before_sending(case: Case) -> None:
    """What the documents tell users to do: send when the status is idle."""
    case.backend.begin("Say hello.").wait()
    for _ in range(2):
        assert case.backend.retrieve_session()["status"] == "idle"
        assert case.backend.begin("Say hello.").wait().error is None


def test_a_view_is_there_before_its_turn_begins() -> None:
    backend, events = ScriptedBackend([TextDelta(text="Hello")]), list[Event]()

    def view(run: Run) -> Callable[[Event, Turn], None]:
        assert backend.session.run is None and run.turn.prompt == "Hi"
        return lambda event, turn: events.append(event)

    with pytest.raises(ZeroDivisionError):
        backend.begin("Hi", view=lambda run: 1 / 0)  # type: ignore[arg-type, return-value]
    assert backend.session.run is None, "a turn that cannot be shown does not begin"
    backend.begin("Hi", view=view).wait()
    assert isinstance(events[0], SessionAttached) and isinstance(events[-1], TurnFinished)
