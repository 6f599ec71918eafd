"""`praison_nb.map(batch=True)` with the batches of both providers."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import Any, Literal

import pytest

import praison_nb
from praison_nb.errors import ConfigError
from praison_nb.rows.api import begin
from servers import forked
from servers.batches import AnthropicBatches, BatchServer, OpenAIBatches, ResponsesBatches

Label = Literal["good", "bad"]
TEXTS = [f"Text number {number % 12}." for number in range(15)]
PROMPT = "Label: {value}"
both = pytest.mark.parametrize("kind", [AnthropicBatches, OpenAIBatches])
each_wire = pytest.mark.parametrize("kind", [AnthropicBatches, OpenAIBatches, ResponsesBatches])


@pytest.fixture(autouse=True)
def own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRAISON_NB_LEDGER", str(tmp_path / "ledger.sqlite"))


def check_books(server: BatchServer, requests: int) -> None:
    ledger = praison_nb.usage(by="request")
    assert len(ledger) == requests and set(ledger["service_tier"]) == {"batch"}
    assert float(ledger["cost"].sum()) == pytest.approx(float(server.cost), abs=1e-12)
    assert ledger["cost"].notna().all()


@each_wire
def test_a_batch_at_half_the_price(kind: type[BatchServer]) -> None:
    with kind() as server:
        server.is_done = True
        made = praison_nb.map(TEXTS, PROMPT, agent=server.agent(), output=Label, batch=True, budget=10)
        assert set(made["_status"]) == {"done", "kept"}, set(made["_error"])
        assert made["value_answer"].tolist() == [
            "good" if len(f"Label: {text}") % 2 else "bad" for text in TEXTS
        ]
        assert len(server.batches) == 1 and made["_cost"].sum() == pytest.approx(float(server.cost))
        check_books(server, 12)
        again = praison_nb.map(TEXTS, PROMPT, agent=server.agent(), output=Label, batch=True)
        assert set(again["_status"]) == {"kept"} and len(server.batches) == 1


@each_wire
def test_what_expired_or_was_refused_costs_its_row_only(kind: type[BatchServer]) -> None:
    with kind() as server:
        server.is_done, server.spoil = True, {1: "expired", 2: "errored"}
        made = praison_nb.map(TEXTS[:4], PROMPT, agent=server.agent(), output=Label, batch=True)
        assert sorted(made["_status"]) == ["done", "done", "failed", "failed"]
        check_books(server, 4)
        server.spoil = {}
        praison_nb.map(TEXTS[:4], PROMPT, agent=server.agent(), output=Label, batch=True)
        assert [len(each["requests"]) for each in server.batches.values()] == [4, 2]
        assert float(praison_nb.usage(by="request")["cost"].sum()) == pytest.approx(float(server.cost))


@each_wire
def test_stop_leaves_it_there_and_the_next_call_goes_on(kind: type[BatchServer]) -> None:
    with kind() as server:
        run = begin(TEXTS, PROMPT, agent=server.agent(), output=Label, batch=True)
        server.wait_for(lambda: server.looks > 0)
        run.stop()
        assert set(run.wait()["_status"]) == {"stopped"}
        assert any("Stop leaves them there" in line for line in run.progress.lines)
        server.is_done = True
        made = praison_nb.map(TEXTS, PROMPT, agent=server.agent(), output=Label, batch=True)
        assert set(made["_status"]) == {"done", "kept"} and len(server.batches) == 1
        check_books(server, 12)


KILLED = """
    import sys
    sys.path[:0] = {path!r}
    import praison_nb
    from typing import Literal
    from servers.batches import {kind} as kind
    stand_in = kind.__new__(kind)
    kind.url = {url!r}
    agent = kind.agent(stand_in)
    praison_nb.map({texts!r}, {prompt!r}, agent=agent, output=Literal["good", "bad"], batch=True)
"""


@both
@pytest.mark.parametrize("is_noted", [False, True])
def test_a_killed_process_pays_nothing_twice(kind: type[BatchServer], is_noted: bool) -> None:
    with kind() as server:
        if not is_noted:
            server.held = server.gate()
        script = KILLED.format(path=sys.path, kind=kind.__name__, url=server.url, texts=TEXTS, prompt=PROMPT)
        with forked.script(textwrap.dedent(script)):
            server.wait_for(lambda: server.looks > 0 if is_noted else len(server.batches) > 0)
        if server.held is not None:
            server.held.open()
            server.held = None
        server.is_done = True
        made = praison_nb.map(TEXTS, PROMPT, agent=server.agent(), output=Label, batch=True)
        assert set(made["_status"]) == {"done", "kept"}, set(made["_error"])
        assert len(server.batches) == 1
        ledger = praison_nb.usage(by="request")
        assert len(ledger) == 12 and ledger["cost"].notna().all()


def test_more_than_a_batch_takes_are_several(monkeypatch: pytest.MonkeyPatch) -> None:
    from praison_nb.backends.local.batch_api import OpenAI

    monkeypatch.setattr(OpenAI, "most_requests", 5)
    with OpenAIBatches() as server:
        server.is_done = True
        made = praison_nb.map(TEXTS, PROMPT, agent=server.agent(), output=Label, batch=True)
        assert sorted(len(each["requests"]) for each in server.batches.values()) == [2, 5, 5]
        assert set(made["_status"]) == {"done", "kept"}


def look_up(word: str) -> str:
    """Look it up."""
    return word


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"model": "gpt-4o", "api_key": "k", "tools": [look_up]}, "without tools"),
        ({"model": "ollama/llama3.2"}, "Anthropic's or OpenAI's"),
        ({"model": "embedded"}, "Anthropic's or OpenAI's"),
    ],
)
def test_what_has_no_batches(settings: dict[str, Any], why: str) -> None:
    agent = praison_nb.LocalAgent(praison_nb.LocalAgentConfig(**settings))
    with pytest.raises(ConfigError, match=why):
        praison_nb.map(["a"], "{value}", agent=agent, batch=True)
