"""Maps of agents with conversations of their own, with tools, of several models; plans, the file, frames."""

from __future__ import annotations

import threading
import time
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pytest

import praison_nb
from praison_nb import AnswerFile, HostedAgent, HostedAgentConfig, LocalAgent, LocalAgentConfig
from praison_nb.backends.hosted import settling
from praison_nb.errors import ConfigError, StoreError
from praison_nb.rows.api import begin, prepare
from praison_nb.rows.identity import agent_digest
from servers.hosted import HostedServer
from servers.openai import OpenAIServer, reply
from servers.rows import Manners, RowServer

Label = Literal["good", "bad"]


@pytest.fixture(autouse=True)
def own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRAISON_NB_LEDGER", str(tmp_path / "ledger.sqlite"))


class Parrot:
    """The five methods, and one conversation."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def execute(self, prompt: str, **options: Any) -> str:
        self.said.append(prompt)
        return " | ".join(self.said)

    def stream(self, prompt: str, **options: Any) -> Any:
        raise NotImplementedError

    def reset_session(self) -> None:
        self.said.clear()

    def reset_all(self) -> None:
        self.said.clear()

    def retrieve_session(self) -> dict[str, Any]:
        return {"id": "", "status": "idle", "title": "", "usage": {"input_tokens": 0, "output_tokens": 0}}


def test_no_row_sees_anothers_conversation() -> None:
    parrot = Parrot()
    made = praison_nb.map(["a", "b", "c"], "Say {value}", agent=parrot)
    assert list(made["text"]) == ["Say a", "Say b", "Say c"] and parrot.said == []


def test_an_object_in_a_conversation_is_not_taken_out_of_it() -> None:
    agent = praison_nb.Agent("bird", Parrot())
    agent.start("Hello")
    with pytest.raises(ConfigError, match=r"fresh\(\)"):
        praison_nb.map(["a"], "Say {value}", agent=agent)
    assert agent.start("again") == "Hello | again"


def test_objects_that_make_others_of_their_kind_work_side_by_side() -> None:
    class Flock(Parrot):
        def fresh(self) -> Flock:
            return Flock()

    agent = praison_nb.Agent("bird", Flock())
    agent.start("Hello")
    made = praison_nb.map(list("abcdef"), "Say {value}", agent=agent)
    assert sorted(each.split(" | ")[-1] for each in made["text"]) == [f"Say {each}" for each in "abcdef"]
    assert agent.start("again") == "Hello | again"


@pytest.mark.parametrize("concurrency", [1, 4])
def test_the_given_agents_conversation_stays(concurrency: int) -> None:
    with OpenAIServer() as server:
        agent = LocalAgent(LocalAgentConfig(model="m", base_url=server.base_url, api_key="k"))
        agent.begin("Remember me.").wait()
        session, messages = agent.session, list(agent.session.messages)
        praison_nb.map(["a", "b"], "Say {value}", agent=agent, concurrency=concurrency)
        assert agent.session is session and session.messages == messages


def test_a_tool_that_asks_is_refused_and_a_line_says_so() -> None:
    ran = []

    def wipe(path: str) -> str:
        """Delete a file."""
        ran.append(path)
        return "gone"

    with OpenAIServer() as server:
        server.script(reply(calls=[("wipe", '{"path": "a"}')]), reply("I may not."))
        config = LocalAgentConfig(
            model="m", base_url=server.base_url, api_key="k", tools=[wipe], policies={"wipe": "ask"}
        )
        run = begin(["a"], "Delete {value}", agent=LocalAgent(config))
        made = run.wait()
    assert list(made["text"]) == ["I may not."] and not ran
    assert any(line.startswith("wipe was not run: it asks first") for line in run.progress.lines)


def test_functions_run_on_threads_where_that_is_wished() -> None:
    threads = []

    def look_up(word: str) -> str:
        """Look a word up."""
        threads.append(threading.current_thread())
        return word.upper()

    with OpenAIServer() as server:
        server.script(reply(calls=[("look_up", '{"word": "a"}')]), reply("A"))
        config = LocalAgentConfig(model="m", base_url=server.base_url, api_key="k", tools=[look_up])
        praison_nb.map(["a"], "What is {value}?", agent=LocalAgent(config), parallel_tools=True)
    assert threads and threads[0] is not threading.main_thread()


@pytest.mark.parametrize("output", [None, Label])
def test_a_row_whose_answer_was_cut_off_says_so_and_is_asked_again(output: Any) -> None:
    with OpenAIServer() as server:
        server.script(reply('{"val', finish="length"), reply('{"value": "good"}'))
        agent = LocalAgent(LocalAgentConfig(model="m", base_url=server.base_url, api_key="k"))
        rows = ({"n": n} for n in range(1))
        made = praison_nb.map(rows, "Label {n}", agent=agent, output=output)
        assert list(made["_status"]) == ["failed"] and "cut off" in made["_error"][0]
        again = praison_nb.map([{"n": 0}], "Label {n}", agent=agent, output=output)
        assert list(again["_status"]) == ["done"] and len(server.bodies) == 2


def test_several_models_answer_the_same_rows() -> None:
    frame = pd.DataFrame({"text": ["a", "bb", "a"]}, index=["x", "y", "z"])
    with RowServer() as server:
        agents = [server.agent(), server.agent(system="Be strict.")]
        made = praison_nb.map(frame, "Label: {text}", agent=agents, output=Label)
        assert server.books.requests == 4
    assert list(made.index) == ["x", "y", "z"] * 2 and list(made["_model"]) == ["gpt-4o-mini"] * 6
    assert list(made["_status"]) == ["done", "done", "kept"] * 2 and made["value"].notna().all()


def test_a_plan_asks_a_sample_and_says_what_the_whole_may_cost() -> None:
    frame = pd.DataFrame({"text": [f"Text {row % 100}" for row in range(300)]})
    with RowServer() as server:
        agent = server.agent(options={"max_tokens": 200})
        plan = praison_nb.map(frame, "Label: {text}", agent=agent, output=Label, plan=True)
        assert server.books.requests == plan.asked == 20 and plan.spent == server.books.cost
        assert (plan.rows, plan.questions, plan.kept, plan.left) == (300, 100, 20, 80)
        assert "80 are left" in repr(plan)
        run = begin(frame, "Label: {text}", agent=agent, output=Label)
        run.wait()
        cost = server.books.cost - plan.spent
        assert server.books.requests == 100
    assert plan.expected is not None and plan.at_most is not None
    assert plan.expected * Decimal("0.8") < cost < plan.expected * Decimal("1.2") and cost <= plan.at_most
    assert (
        "300 rows, 100 different questions, 20 with an answer: 80 to ask. By earlier" in run.progress.lines[0]
    )


def test_a_changed_prompt_says_how_many_are_asked_again_and_forget_deletes() -> None:
    with RowServer() as server:
        praison_nb.map(["a", "b", "c"], "Label {value}", agent=server.agent())
        run = begin(["a", "b", "c"], "Name {value}", agent=server.agent())
        run.wait()
        assert "3 to ask" in run.progress.lines[0]
        assert "The prompt has changed" in run.progress.lines[1] and "3 answers" in run.progress.lines[1]
        file = AnswerFile()
        assert len(file) == 6 and str(file.path) in repr(file) and "6 answers" in repr(file)
        assert file.forget("Label {value}") == 3 and len(file) == 3
        praison_nb.map(["a", "b", "c"], "Name {value}", agent=server.agent())
        assert server.books.requests == 6
        praison_nb.map(["a", "b", "c"], "Label {value}", agent=server.agent())
        assert server.books.requests == 9


def test_stop_ends_at_once_what_a_server_lets_hang_and_the_next_call_goes_on() -> None:
    frame = [f"Text {row}" for row in range(40)]
    with RowServer() as server:
        praison_nb.map(frame[:10], "Label {value}", agent=server.agent())
        server.manners = Manners(seconds=3600)
        run = begin(frame, "Label {value}", agent=server.agent(), concurrency=8)
        server.wait_for(lambda: server.books.at_once == 8)
        began = time.monotonic()
        run.stop()
        made = run.wait()
        assert time.monotonic() - began < 60
        assert made["_status"].value_counts().to_dict() == {"stopped": 30, "kept": 10}
        assert run.progress.ended == "stopped"
        server.manners = Manners()
        made = praison_nb.map(frame, "Label {value}", agent=server.agent())
        assert set(made["_status"]) == {"done", "kept"} and (made["_status"] == "done").sum() == 30


def test_a_file_of_answers_that_is_none_is_one_line_and_asks_nothing(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    path.write_text("no database, and long enough to be seen as none " * 40)
    with RowServer() as server:
        with pytest.raises(StoreError, match="is damaged"):
            praison_nb.map(["a"], "Label {value}", agent=server.agent(), answers=path)
        assert server.books.requests == 0


def test_a_model_without_a_price_is_not_asked_under_a_budget() -> None:
    with RowServer() as server:
        agent = server.agent(options={"max_tokens": 300})
        agent.update_agent(model="nobody-knows-it")
        run = begin(["a", "b"], "Label {value}", agent=agent, budget=1)
        made = run.wait()
        assert server.books.requests == 0 and list(made["_status"]) == ["budget"] * 2
    assert any("has no known price" in line for line in run.progress.lines)


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"t": ["a", "b", "a"]}, index=[7, 7, 7]),
        pd.DataFrame({"t": ["a", "b", "a"]}, index=pd.MultiIndex.from_product([["x"], [1, 2, 3]])),
        pd.DataFrame({"t": ["a", "b", "a"]}, index=pd.date_range("2026-01-01", periods=3)),
        pd.DataFrame({"t": pd.Categorical(["a", "b", "a"])}),
        pd.DataFrame({"t": ["a", "b", "a"], "value": [1, 2, 3], "_cost": [1, 2, 3]}),
    ],
    ids=["twice", "levels", "dates", "categorical", "taken"],
)
def test_frames_keep_their_index_and_their_columns(frame: pd.DataFrame) -> None:
    with RowServer() as server:
        made = praison_nb.map(frame, "Label {t}", agent=server.agent(), output=Label)
    assert made.index.equals(frame.index)
    pd.testing.assert_frame_equal(made[list(frame.columns)], frame)
    name = "value_answer" if "value" in frame else "value"
    assert made[name].iloc[0] == made[name].iloc[2] and made[name].notna().all()


def test_an_empty_frame_asks_nothing() -> None:
    with RowServer() as server:
        made = praison_nb.map(pd.DataFrame({"t": []}), "Label {t}", agent=server.agent(), output=Label)
    assert len(made) == 0 and "value" in made and "_status" in made
    with pytest.raises(ConfigError, match="names no column"):
        praison_nb.map(pd.DataFrame(index=[1, 2]), "Label it", agent=praison_nb.ScriptedBackend([]))


def test_names_that_are_taken_get_suffixes_until_they_are_free() -> None:
    levels = pd.DataFrame([["x", 1]], columns=pd.MultiIndex.from_tuples([("value", ""), ("a", "b")]))
    with RowServer() as server:
        made = levels.iloc[:, :1].droplevel(1, axis=1)
        for _ in range(3):
            made = praison_nb.map(made, "Label {value}", agent=server.agent(), output=Label)
        of_levels = praison_nb.map(levels, "Label {('a', 'b')}", agent=server.agent(), output=Label)
    assert [name for name in made if name.startswith("_cost")] == [
        "_cost",
        "_cost_answer",
        "_cost_answer_answer",
    ]
    assert made.columns.is_unique and of_levels.columns.is_unique
    assert of_levels[("value_answer", "")].notna().all()


def test_values_whose_column_has_no_name_are_called_value() -> None:
    arrow = pytest.importorskip("pyarrow")
    for values in (pd.Series(["a"], name=""), arrow.array(["a"]), arrow.chunked_array([["a"]])):
        with RowServer() as server:
            made = praison_nb.map(values, "Label {value}", agent=server.agent(), output=Label)
        assert list(made["value"]) == ["a"] and made["value_answer"].notna().all()


def test_frames_of_polars_have_dtypes_without_rows_too() -> None:
    polars = pytest.importorskip("polars")
    with RowServer() as server:
        unnamed = praison_nb.map(polars.Series(["a"]), "{value}", agent=server.agent(), output=int)
        empty = praison_nb.map(polars.Series("t", [], dtype=polars.String), "{t}", agent=server.agent())
        with pytest.raises(ConfigError, match="LazyFrame"):
            praison_nb.map(unnamed.lazy(), "{value}", agent=server.agent())
    assert unnamed.schema["value_answer"] == polars.Int64
    assert [empty.schema[name] for name in ("text", "_cost", "_tokens")] == [
        polars.String,
        polars.Float64,
        polars.Int64,
    ]


def test_books_that_come_late_are_waited_for_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "PAUSES", (1.0,))
    with HostedServer() as server:
        agent = HostedAgent(HostedAgentConfig(api_key=server.api_key, base_url=server.url))
        made = praison_nb.map(["a", "b", "c", "d"], "Say {value}", agent=agent, concurrency=1)
        paths = [request.path for request in server.requests]
    assert list(made["text"]) == ["Say a", "Say b", "Say c", "Say d"] and made["_tokens"].min() > 0
    sent, archived = (
        [n for n, path in enumerate(paths) if path.endswith(end)] for end in ("/events", "/archive")
    )
    assert len(archived) == 4 and max(sent) < min(archived)


def test_observers_are_called_on_the_loops_thread_alone() -> None:
    with RowServer() as server:
        run = prepare(["a", "b"], "Seen {value}", agent=server.agent())
        threads, states = set[str](), list[int]()
        run.on_change(lambda: threads.add(threading.current_thread().name))
        run.on_change(lambda: states.append(run.progress.questions))
        run.begin().wait()
    assert threads == {"praison_nb"} and states[0] == 2


def test_a_function_that_has_another_value_around_it_is_another_one() -> None:
    def made(factor: int) -> LocalAgent:
        def scale(number: int) -> int:
            """Scale a number."""
            return number * factor

        return LocalAgent(LocalAgentConfig(model="m", api_key="k", tools=[scale]))

    assert agent_digest(made(1), None) == agent_digest(made(1), None) != agent_digest(made(2), None)
