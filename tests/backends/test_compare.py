"""`praison_nb.compare` against servers that keep books."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import pytest

import praison_nb
from praison_nb import HostedAgent, HostedAgentConfig, ScriptedBackend
from praison_nb.errors import ConfigError
from praison_nb.events import TextDelta
from praison_nb.rows.compare import Comparison
from praison_nb.rows.turns import Turns
from servers.hosted import HostedServer
from servers.rows import Manners, RowServer

Label = Literal["good", "bad"]


@pytest.fixture(autouse=True)
def own_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRAISON_NB_LEDGER", str(tmp_path / "ledger.sqlite"))


def test_all_run_at_once_and_the_books_agree() -> None:
    with RowServer(Manners(seconds=0.2)) as server:
        turns = praison_nb.compare("Label: tea", [server.agent() for _ in range(3)], output=Label)
        assert server.books.most_at_once == 3
        frame = turns.frame
        assert set(frame["value"]) <= {"good", "bad"} and "text" not in frame
        assert frame["cost"].sum() == pytest.approx(float(server.books.cost), abs=1e-12)
        assert turns.total.cost == server.books.cost
        ledger = praison_nb.usage()
        assert len(ledger) == 3 and float(ledger["cost"].sum()) == pytest.approx(float(server.books.cost))


def test_the_frame_has_values_though_none_fits() -> None:
    with RowServer(answer=lambda prompt: {"value": "neither"}) as server:
        for asked in ({"output": Label}, {"config": Label}):
            agent = server.agent(output=asked.get("config"))
            frame = praison_nb.compare("Label: tea", [agent], output=asked.get("output")).frame
            assert frame["value"].isna().all() and frame["status"].tolist() == ["failed"]


def test_one_budget_is_never_passed_and_used_as_far_as_it_goes() -> None:
    """What one of them has reserved is another one's when it ends."""
    with RowServer(Manners(seconds=0.05)) as server:
        agents = [server.agent(options={"max_tokens": 300}) for _ in range(3)]
        turns = praison_nb.compare("Label: tea", agents, budget="0.0002")
        assert list(turns.frame["status"]) == ["done"] * 3 and server.books.most_at_once == 1
        assert sum(server.books.accepted.values()) == 3
        before = server.books.cost
        turns = praison_nb.compare("Label: tea", agents, budget="0.00002")
        assert set(turns.frame["status"]) == {"budget"}
        assert "comparison's budget" in turns.frame["error"][0] and "--budget" in turns.frame["error"][0]
        assert server.books.cost == before


def test_one_that_cannot_begin_is_its_column(tmp_path: Path) -> None:
    picture = tmp_path / "note.txt"
    picture.write_text("Tea is good.")
    with RowServer() as server:
        none = ScriptedBackend([TextDelta(text="Hi")])
        turns = praison_nb.compare("Label", [none, server.agent()], attachments=[picture])
        assert list(turns.frame["status"]) == ["failed", "done"]
        assert "No pictures and documents go to scripted" in turns.frame["error"][0]
        assert "Tea is good." in str(server.books.accepted)


@pytest.mark.parametrize(
    ("prompt", "agents"), [("Hi", []), ("Hi", "gpt-4o"), ("", ["gpt-4o"]), ("Hi", [7]), ("Hi", None)]
)
def test_what_cannot_be_compared_is_one_line(prompt: str, agents: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        praison_nb.compare(prompt, agents)
    assert len(str(caught.value).splitlines()) == 1


def test_stopped_from_another_thread_all_end_and_what_is_held_too() -> None:
    with RowServer(Manners(seconds=3)) as server:
        agents = [server.agent(options={"max_tokens": 300}).fresh() for _ in range(3)]
        run = Comparison("Label: tea", agents, budget="0.0002").begin()
        server.wait_for(lambda: server.books.at_once == 1)
        run.stop()
        turns = run.wait()
        assert list(turns.frame["status"]) == ["stopped"] * 3 and turns.total.stop_reason == "interrupted"


async def test_awaited_it_leaves_the_loop_free() -> None:
    with RowServer(Manners(seconds=0.1)) as server:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        ticking = asyncio.create_task(tick())
        turns = await praison_nb.compare("Label: tea", [server.agent(), server.agent()])
        ticking.cancel()
    assert isinstance(turns, Turns) and len(turns) == 2 and ticks > 2


def test_hosted_beside_local_each_in_a_session_of_its_own() -> None:
    with HostedServer() as far, RowServer() as server:
        hosted = HostedAgent(HostedAgentConfig(api_key=far.api_key, base_url=far.url))
        hosted.begin("Remember me").wait()
        own = hosted.session_id
        turns = praison_nb.compare("Say tea", [hosted, hosted, server.agent()])
        assert list(turns.frame["status"]) == ["done"] * 3
        assert len({own, turns[0].session_id, turns[1].session_id}) == 3 and hosted.session_id == own


def test_what_a_model_wrote_is_escaped_and_unknown_prices_are_marked() -> None:
    bad = "<script>alert(1)</script>"
    agents = [ScriptedBackend([TextDelta(text=bad)], model=bad), ScriptedBackend([ConfigError(bad)])]
    shown = praison_nb.compare("Hi", agents)._repr_html_()
    assert "<script" not in shown and shown.count("&lt;script&gt;") >= 3
    with RowServer() as server:
        priced, unpriced = server.agent(), server.agent().fresh()
        unpriced.update_agent(model="nobody-knows")
        turns = praison_nb.compare("Label: tea", [priced, unpriced])
    assert turns.frame["cost"].isna().tolist() == [False, True]
    assert turns.total.is_lower_bound and turns.total.cost == turns[0].cost != Decimal(0)
