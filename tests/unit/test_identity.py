"""What decides an answer: the same in each process, and another one as soon as something of it is another."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import functools
import importlib
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pydantic
import pytest

from praison_nb import Agent, HostedAgent, HostedAgentConfig, LocalAgent, LocalAgentConfig, ScriptedBackend
from praison_nb.events import TextDelta
from praison_nb.rows.api import begin
from praison_nb.rows.identity import UnknownIdentity, agent_digest, value_digest

RATES = {"EUR": 1.1}
LOCK = threading.Lock()


class Colour(enum.Enum):
    RED = 1


@dataclasses.dataclass
class Rule:
    word: str
    weight: float = 1.0

    def matches(self, text: str) -> bool:
        return self.word in text


class Entry(pydantic.BaseModel):
    name: str
    children: list[Entry] = []

    @pydantic.field_validator("name")
    @classmethod
    def _checked(cls, name: str) -> str:
        return name.strip()


class Scale:
    _factor = 2

    def __init__(self, size: int) -> None:
        self.size = size

    @property
    def size(self) -> int:
        return self._size

    @size.setter
    def size(self, size: int) -> None:
        self._size = size

    def scaled(self) -> int:
        return self._factor * self._size


def scaled() -> float:
    return users_tools.FACTOR * users_tools.rate()  # type: ignore[name-defined] # noqa: F821


def around(value: Any) -> Callable[[], Any]:
    def lookup() -> Any:
        """Look it up."""
        return value

    return lookup


def asking(system: str) -> Agent:
    return Agent("expert", LocalAgent(LocalAgentConfig(model="m", api_key="k", system=system)))


def convert(euros: float) -> float:
    """Convert."""
    with LOCK:
        return helper(euros)


def helper(euros: float) -> float:
    return sum(euros * RATES["EUR"] for _ in range(1))


@functools.lru_cache
def cached(euros: float) -> float:
    return helper(euros)


KINDS = [
    [{"a", "b", "c"}, {"a": (1, 2.5, None, True)}, b"x", 1 + 2j],
    [Decimal("1.10"), datetime.date(2026, 1, 2), Path("/a"), Colour.RED, frozenset({"q", "r"})],
    [Rule("a"), Entry(name="a", children=[Entry(name="b")]), SimpleNamespace(n=1)],
    [np.arange(5), pd.DataFrame({"a": ["x", "y"], "n": [1, 2], "t": pd.Timestamp("2026")}), np.float64(2)],
    [convert, cached, functools.partial(helper, 2.0), Rule("a").matches, len, "x".upper, Rule, Entry, Colour],
    [lambda x: x + 1, os.path.join, {"deep": [{"er": [1, {"est": None}]}]}],
]


def digests() -> list[str]:
    return [value_digest(each) for kinds in KINDS for each in (*kinds, around(kinds))]


def test_another_process_has_the_same() -> None:
    code = "from unit.test_identity import digests; import sys; sys.stdout.write('\\n'.join(digests()))"
    folders = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": folders}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout.splitlines() == digests(), done.stderr
    assert len(set(digests())) == len(digests())


def test_what_a_function_uses_is_a_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before = value_digest(convert), value_digest(cached)
    monkeypatch.setitem(RATES, "EUR", 1.2)
    assert value_digest(convert) != before[0] and value_digest(cached) != before[1]
    monkeypatch.setitem(RATES, "EUR", 1.1)
    assert (value_digest(convert), value_digest(cached)) == before
    monkeypatch.setattr(sys.modules[__name__], "helper", lambda euros: euros)
    assert value_digest(convert) != before[0]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([1, 2], [2, 1]),
        ({"a": 1}, {"a": 2}),
        (Rule("a"), Rule("a", 2)),
        (Entry(name="a"), Entry(name="b")),
        (lambda: 1, lambda: 2),
        (1, 1.0),
        ("1", 1),
        ({1, 2}, [1, 2]),
        (pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"a": [1, 3]})),
        (asking("a"), asking("b")),
        (SimpleNamespace(n=[1]), SimpleNamespace(n=[2])),
        (Rule("a").matches, Rule("b").matches),
        (functools.partial(helper, 1), functools.partial(helper, 2)),
    ],
)
def test_another_value_around_it_is_another_function(one: Any, other: Any) -> None:
    def agent(value: Any) -> LocalAgent:
        return LocalAgent(LocalAgentConfig(model="m", api_key="k", tools=[around(value)]))

    assert (
        agent_digest(agent(one), None) == agent_digest(agent(one), None) != agent_digest(agent(other), None)
    )


@pytest.mark.parametrize(
    ("variable", "model"),
    [("OPENAI_BASE_URL", "gpt-4o-mini"), ("OLLAMA_HOST", "ollama/m"), ("ANTHROPIC_BASE_URL", "")],
)
def test_the_environments_address_is_a_part_of_it_and_its_key_is_none(
    monkeypatch: pytest.MonkeyPatch, variable: str, model: str
) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    agent = LocalAgent(LocalAgentConfig(model=model)) if model else HostedAgent()
    before = agent_digest(agent, None)
    monkeypatch.setenv("OPENAI_API_KEY", "other-key")
    assert agent_digest(agent, None) == before
    monkeypatch.setenv(variable, "http://127.0.0.1:7/v1")
    assert agent_digest(agent, None) != before


def test_the_model_that_a_session_has_is_none_of_it() -> None:
    agent = HostedAgent(HostedAgentConfig(api_key="k"))
    before = agent_digest(agent, None)
    agent.session.model = "claude-of-this-session"
    assert agent_digest(agent, None) == before


def test_of_a_users_module_what_is_used_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "users_rates.py").write_text("def rate(): return 1\n")
    (tmp_path / "users_tools.py").write_text("from users_rates import rate\nFACTOR, calls = 2, 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("users_tools")
    monkeypatch.setattr(sys.modules[__name__], "users_tools", module, raising=False)
    before = value_digest(scaled)
    module.calls = 5
    assert value_digest(scaled) == before
    monkeypatch.setattr(module, "FACTOR", 3)
    assert value_digest(scaled) != before
    monkeypatch.setattr(module, "FACTOR", 2)
    assert value_digest(scaled) == before
    monkeypatch.setattr(module, "rate", lambda: 2)
    assert value_digest(scaled) != before


@pytest.mark.parametrize("name", ["__doc__", "__name__"])
def test_what_a_model_reads_of_a_function_is_a_part_of_it(name: str) -> None:
    one, other = around(1), around(1)
    assert value_digest(one) == value_digest(other)
    setattr(other, name, "another")
    assert value_digest(one) != value_digest(other)


def test_private_members_of_a_class_are_a_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before = value_digest(Scale(1).scaled)
    monkeypatch.setattr(Scale, "_factor", 3)
    assert value_digest(Scale(1).scaled) != before
    monkeypatch.setattr(Scale, "_factor", 2)
    assert value_digest(Scale(1).scaled) == before
    monkeypatch.setattr(Scale, "size", Scale.size.setter(lambda self, size: None))
    assert value_digest(Scale(1).scaled) != before


def test_what_holds_itself_has_an_end() -> None:
    def made(count: int) -> list[Any]:
        endless: list[Any] = [count]
        endless.append({"itself": endless})
        return endless

    assert value_digest(made(1)) == value_digest(made(1)) != value_digest(made(2))


def test_callbacks_and_an_objects_own_state_decide_too() -> None:
    config = LocalAgentConfig(model="m", api_key="k")
    agents = [
        LocalAgent(config),
        LocalAgent(config, on_tool_confirmation=lambda call: True),
        LocalAgent(config, on_tool_confirmation=lambda call: False),
        ScriptedBackend([TextDelta(text="a")]),
        ScriptedBackend([TextDelta(text="b")]),
    ]
    assert len({agent_digest(each, None) for each in agents}) == len(agents)
    agents[0].session.messages.append({"role": "user"})
    assert agent_digest(LocalAgent(config), None) == agent_digest(agents[0], None)


@pytest.mark.parametrize(
    "make", [lambda: sqlite3.connect(":memory:"), lambda: (each for each in KINDS), threading.local]
)
def test_what_nobody_can_tell_is_asked_anew_and_a_line_says_so(
    tmp_path: Path, make: Callable[[], Any]
) -> None:
    with pytest.raises(UnknownIdentity):
        value_digest(held := make())

    class Bird:
        def __init__(self) -> None:
            self.held, self.asked = held, 0

        def execute(self, prompt: str, **options: Any) -> str:
            asked.append(prompt)
            return prompt

        def stream(self, prompt: str, **options: Any) -> Any:
            raise NotImplementedError

        def reset_session(self) -> None: ...
        def reset_all(self) -> None: ...
        def retrieve_session(self) -> dict[str, Any]:
            return {}

    asked: list[str] = []
    for _ in range(2):
        run = begin(["a", "a"], "Say {value}", agent=Bird(), answers=tmp_path / "a.sqlite")
        assert list(run.wait()["_status"]) == ["done", "kept"]
        (line,) = [each for each in run.progress.lines if "nobody can tell" in each]
        assert f"a {type(held).__module__}.{type(held).__qualname__}" in line
    assert asked == ["Say a", "Say a"]
