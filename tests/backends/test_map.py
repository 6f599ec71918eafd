"""`praison_nb.map` against a server with a busy one's manners, which keeps its own books."""

from __future__ import annotations

import asyncio
import datetime
import gc
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pydantic
import pytest

import praison_nb
from praison_nb.errors import AuthenticationError, ConfigError
from praison_nb.events import RequestFinished, TextDelta
from praison_nb.rows.api import begin
from praison_nb.turn import Turn
from servers.rows import Manners, RowServer

Label = Literal["good", "bad"]


@pytest.fixture(autouse=True)
def own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRAISON_NB_LEDGER", str(tmp_path / "ledger.sqlite"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def texts(rows: int, distinct: int) -> pd.DataFrame:
    return pd.DataFrame({"text": [f"Text number {row * 7 % distinct}." for row in range(rows)]})


def test_each_question_is_asked_once_and_the_books_agree(tmp_path: Path) -> None:
    frame = texts(600, 180)
    with RowServer(Manners(too_many=0.1, failing=0.02, garbage=0.05)) as server:
        made = praison_nb.map(frame, "Label: {text}", agent=server.agent(), output=Label)
        books = server.books
        assert len(books.accepted) == 180 and set(books.accepted.values()) == {1}
        assert books.refused and books.failed and books.garbage
        assert made["value"].dtype == "category" and list(made.index) == list(frame.index)
        assert set(made["_status"]) == {"done", "kept"} and (made["_status"] == "done").sum() == 180
        assert made["_cost"].sum() == pytest.approx(float(books.cost), abs=1e-9)
        ledger = praison_nb.usage(by="request")
        assert len(ledger) == books.requests
        assert float(ledger["cost"].sum()) == pytest.approx(float(books.cost), abs=1e-9)
        assert not (tmp_path / "state").exists(), "nothing was wrong with the ledger, so nothing is put aside"
        requests = books.requests
        again = praison_nb.map(frame[::-1], "Label: {text}", agent=server.agent(), output=Label)
        assert books.requests == requests and set(again["_status"]) == {"kept"} and again["_cost"].sum() == 0
        assert list(again["value"][::-1]) == list(made["value"])


def test_a_changed_prompt_agent_or_type_asks_again() -> None:
    with RowServer() as server:
        agent = server.agent()

        def asked(prompt: str, agent: Any, output: Any) -> int:
            before = server.books.requests
            praison_nb.map(["a", "b"], prompt, agent=agent, output=output)
            return server.books.requests - before

        assert asked("Label {value}", agent, Label) == 2
        assert asked("Label {value}", server.agent(timeout=5), Label) == 0
        assert asked("Name {value}", agent, Label) == 2
        assert asked("Label {value}", server.agent(system="Be strict."), Label) == 2
        assert asked("Label {value}", agent, str) == 2


@pytest.mark.parametrize("values", [[], ["a", "b"]])
def test_costs_are_numbers_though_none_is_known(values: list[str]) -> None:
    frame = pd.DataFrame({"text": values}, index=["same"] * len(values), dtype=str)
    with RowServer() as server:
        agent = server.agent()
        agent.update_agent(model="nobody-knows")
        made = praison_nb.map(frame, "Label {text}", agent=agent)
        assert (str(made["_cost"].dtype), str(made["_tokens"].dtype)) == ("float64", "int64")
        assert made["_cost"].isna().all() and list(made.index) == list(frame.index)
        polars = pytest.importorskip("polars")
        made = praison_nb.map(polars.DataFrame({"text": values}), "Label {text}", agent=agent)
        assert (made["_cost"].dtype, made["_tokens"].dtype) == (polars.Float64, polars.Int64)


def test_rows_that_lack_a_value_change_no_others() -> None:
    rows = [{"id": 9007199254740993, "big": 2**64, "part": 0.5}, {"id": 2, "big": 1}, {}]
    with RowServer() as server:
        made = praison_nb.map(rows, "Label {id} {big} {part}", agent=server.agent())
        assert set(server.books.accepted) == {
            "Label 9007199254740993 18446744073709551616 0.5",
            "Label 2 1 (missing)",
            "Label (missing) (missing) (missing)",
        }
    assert made["id"].dtype == "Int64" and made["part"].dtype == "float64"


class Visit(pydantic.BaseModel):
    stars: int
    day: datetime.date | None
    tags: list[str] = []


@pytest.mark.parametrize(
    ("output", "columns"),
    [
        (Visit, ["stars", "day", "tags"]),
        (datetime.date, ["value_answer"]),
        (datetime.date | None, ["value_answer"]),
        (list[Visit], ["value_answer"]),
        (dict[str, int], []),
    ],
)
def test_a_types_columns_are_there_without_any_answer(output: Any, columns: list[str]) -> None:
    with RowServer(answer=lambda prompt: {"value": None}) as server:
        for values in ([], ["a"]):
            made = praison_nb.map(values, "Visit {value}", agent=server.agent(), output=output)
            assert list(made.columns)[1:-4] == columns
    assert made["_status"][0] == ("done" if output == datetime.date | None else "failed")


class Share(pydantic.BaseModel):
    part: float = pydantic.Field(alias="partInPercent")

    @pydantic.field_validator("part")
    @classmethod
    def _of_one(cls, part: float) -> float:
        return part / 100


def test_a_type_that_reads_otherwise_than_it_writes() -> None:
    with RowServer(answer=lambda prompt: {"partInPercent": 25}) as server:
        for status in ("done", "kept"):
            made = praison_nb.map(["a"], "How much of {value}?", agent=server.agent(), output=Share)
            assert made[["part", "_status"]].to_numpy().tolist() == [[0.25, status]]
        assert server.books.requests == 1


def test_a_budget_is_never_passed_and_the_next_call_goes_on() -> None:
    frame = texts(200, 200)
    with RowServer() as server:
        agent = server.agent(options={"max_tokens": 300})
        made = praison_nb.map(
            frame, "Label: {text}", agent=agent, output=Label, budget="0.0008", concurrency=64
        )
        assert server.books.cost <= Decimal("0.0008")
        done = (made["_status"] == "done").sum()
        assert 0 < done < 200 and set(made["_status"]) == {"done", "budget"}
        assert done == len(server.books.accepted)
        praison_nb.map(frame, "Label: {text}", agent=agent, output=Label)
        assert len(server.books.accepted) == 200 and set(server.books.accepted.values()) == {1}


def test_no_budget_asks_nothing_and_says_what_raises_it() -> None:
    with RowServer() as server:
        run = begin(["a"], "Label {value}", agent=server.agent(), budget=0)
        assert list(run.wait()["_status"]) == ["budget"] and not server.requests
    assert any("--budget USD, in code budget=USD, raises it" in line for line in run.progress.lines)


@pytest.mark.parametrize(("most", "is_small"), [(None, True), (300, False)])
def test_a_budget_says_once_how_few_it_lets_be_under_way(most: int | None, is_small: bool) -> None:
    with RowServer() as server:
        agent = server.agent(options={"max_tokens": most} if most else {})
        run = begin(texts(20, 20), "Label: {text}", agent=agent, output=Label, budget="0.05")
        assert set(run.wait()["_status"]) == {"done"}
    lines = [line for line in run.progress.lines if "of output: there is room for about" in line]
    assert len(lines) == is_small and all('options={"max_tokens"' in line for line in lines)


def test_a_rows_second_request_waits_for_what_others_have_reserved() -> None:
    with RowServer(Manners(garbage=1.0, seconds=0.02)) as server:
        agent = server.agent(options={"max_tokens": 300})
        made = praison_nb.map(
            texts(100, 100), "Label: {text}", agent=agent, output=Label, budget="0.005", concurrency=64
        )
        # 64 answers of 300 tokens would cost more than that.
        assert server.books.garbage == 100 and len(server.books.accepted) == 100
        assert server.books.most_at_once < 64
    assert set(made["_status"]) == {"done"}


def test_what_would_fail_for_all_is_raised_at_once() -> None:
    with RowServer() as server:
        server.refuse(1000, status=401)
        with pytest.raises(AuthenticationError):
            praison_nb.map(texts(500, 500), "Label: {text}", agent=server.agent(), concurrency=4)
        assert len(server.requests) <= 8


def test_one_bad_row_costs_itself_only() -> None:
    frame = pd.DataFrame({"n": [1.5, "one", None]})
    with RowServer() as server:
        made = praison_nb.map(frame, "Round {n:.1f}", agent=server.agent())
        assert list(made["_status"]) == ["done", "failed", "done"]
        assert "{n:.1f} cannot be filled with 'one'" in made["_error"][1]
        asked = server.books.requests
        with pytest.raises(ConfigError, match="Row 1: "):
            praison_nb.map(frame, "Ceil {n:.1f}", agent=server.agent(), on_error="raise")
        assert server.books.requests == asked


def test_the_next_are_admitted_while_no_more_than_that_many_are_open_and_a_stop_frees_them() -> None:
    with RowServer(Manners(most=0)) as server:
        run = begin(texts(40, 40), "Label: {text}", agent=server.agent(), concurrency=8, budget=2)
        assert run.budget is not None

        def states() -> Counter[str]:
            return Counter(praison_nb.usage(by="request")["state"])

        server.wait_for(lambda: server.books.at_once == 8 and states() == {"running": 10})
        assert run.progress.running == 8
        run.stop()
        run.wait()
        server.wait_for(lambda: states() == {"done": 10})
        ledger = praison_nb.usage(by="request")
        # What was never sent costs nothing, and what was is paid as far as it is known.
        assert (ledger["cost"] == 0).sum() == 2 and not server.books.accepted
        assert server.books.most_at_once == 8 and run.budget.spent().reserved == 0
        assert float(run.budget.spent().usd) == pytest.approx(ledger["cost"].sum(), abs=1e-12)


def test_awaited_it_leaves_the_loop_free() -> None:
    with RowServer(Manners(seconds=0.05)) as server:

        async def main() -> tuple[Any, int]:
            ticks = 0

            async def tick() -> None:
                nonlocal ticks
                while True:
                    await asyncio.sleep(0.005)
                    ticks += 1

            ticking = asyncio.create_task(tick())
            made = await praison_nb.map(["a", "b", "c"], "Label {value}", agent=server.agent(), concurrency=1)
            ticking.cancel()
            return made, ticks

        made, ticks = asyncio.run(main())
    assert list(made["_status"]) == ["done"] * 3 and ticks >= 5


async def test_async_code_awaits_it_as_it_does_coroutines() -> None:
    def asked(*values: str) -> Any:
        return praison_nb.map(values, "Label {value}", agent=agent)

    with RowServer() as server:
        agent = server.agent()
        both = [praison_nb.map([each], "Label {value}", agent=agent) for each in "ab"]
        later = praison_nb.map(["c"], "Label {value}", agent=agent)
        assert not server.requests, "nothing is asked before it is awaited"
        task = asyncio.create_task(praison_nb.map(["d"], "Label {value}", agent=agent))
        gathered = await asyncio.gather(
            *both, *(praison_nb.map([x], "Label {value}", agent=agent) for x in "e")
        )
        made = [*gathered, await asyncio.wait_for(later, 60), await task]
        # A function that is not async waits, wherever it is called.
        made += [await asyncio.to_thread(asked, "a"), await asyncio.to_thread(asked, "f")]
        assert [each["_status"][0] for each in made] == ["done"] * 5 + ["kept", "done"]
        server.manners = Manners(most=0)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(praison_nb.map(["g"], "Label {value}", agent=agent), 0.05)


def test_a_function_of_asyncios_is_given_a_coroutine() -> None:
    agent = praison_nb.ScriptedBackend([TextDelta(text="x")])

    async def in_a_thread() -> Any:
        return await asyncio.to_thread(lambda: praison_nb.map(["a"], "{value}", agent=agent))

    assert len(asyncio.run(praison_nb.map(["a"], "{value}", agent=agent))) == 1
    # Each of these waits, as it does elsewhere.
    assert len(asyncio.run(in_a_thread())) == len(praison_nb.map(["a"], "{value}", agent=agent)) == 1


@pytest.mark.parametrize(
    ("prompt", "why"),
    [
        ("Label it.", "names no column"),
        ("Label {txt}.", "names {txt}, which is no column: did you mean 'text'"),
        ("", "names no column"),
    ],
)
def test_a_prompt_that_cannot_be_meant(prompt: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        praison_nb.map(texts(2, 2), prompt, agent=praison_nb.ScriptedBackend([]))


@pytest.mark.parametrize("frame", ["text", 5, {"a": 1}, None])
def test_what_is_no_table(frame: Any) -> None:
    with pytest.raises(ConfigError, match="goes over the rows"):
        praison_nb.map(frame, "{value}", agent=praison_nb.ScriptedBackend([]))


def test_functions_of_the_notebook_run_where_the_map_is_called() -> None:
    import threading

    threads = []

    def look_up(word: str) -> str:
        """Look a word up."""
        threads.append(threading.current_thread())
        return word.upper()

    from servers.openai import OpenAIServer, reply

    with OpenAIServer() as server:
        server.script(reply(calls=[("look_up", '{"word": "a"}')]), reply("A"))
        config = praison_nb.LocalAgentConfig(
            model="m", base_url=server.base_url, api_key="k", tools=[look_up]
        )
        made = praison_nb.map(["a"], "What is {value}?", agent=praison_nb.LocalAgent(config))
    assert list(made["text"]) == ["A"] and threads == [threading.main_thread()]


def test_rows_without_a_prompt_fail_by_themselves_and_long_ones_are_sent_whole() -> None:
    long = "Go on. " * 20_000
    with RowServer() as server:
        made = praison_nb.map(["a", "", " \n", long], "{value}", agent=server.agent())
        assert server.books.accepted == {"a": 1, long: 1}
    assert list(made["_status"]) == ["done", "failed", "failed", "done"]
    assert "prompt is empty" in made["_error"][1]


def test_what_is_alive_does_not_grow_with_the_rows() -> None:
    def alive() -> int:
        gc.collect()
        return sum(type(each) in (Turn, RequestFinished) for each in gc.get_objects())

    def look() -> None:
        if run.progress.asked >= 25 * (len(found) + 1):
            found.append(alive())

    gc.freeze()  # What other tests have left is neither counted nor looked through.
    before, found = alive(), list[int]()
    with RowServer() as server:
        texts = [f"Text {row}" for row in range(200)]
        run = begin(texts, "Label {value}", agent=server.agent(), concurrency=4)
        run.on_change(look)
        assert list(run.wait()["_status"]) == ["done"] * 200
    assert len(found) > 5 and 0 < max(found) - before < 100


def test_rows_that_are_over_are_freed_without_the_collector() -> None:
    """What each row leaves in circles the collector looks through again and again."""
    gc.collect()
    gc.freeze()
    before = Counter(type(each).__name__ for each in gc.get_objects())
    gc.disable()
    try:
        with RowServer() as server:
            rows = [f"Text number {row}." for row in range(200)]
            made = praison_nb.map(rows, "Label: {value}", agent=server.agent(), output=Label)
            alive = Counter(type(each).__name__ for each in gc.get_objects()) - before
    finally:
        gc.enable()
    assert (made["_status"] == "done").all()
    assert max(alive["Run"], alive["Session"], alive["Turn"], alive["Meter"]) < 100
