"""The meter of one hosted session that several processes have, beside what its server bills: stopped, killed,
asked at once, with sub-agents, and with books that are behind."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

import praison_nb
from praison_nb.metering import writer
from servers.hosted import HostedServer
from servers.hosted_agent import messages
from servers.hosted_scenarios import MODEL, HostedBooks, HostedStep, scenario
from servers.meter_process import Process, Processes

HALF_CENT = 0.0051


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    with Processes() as processes:
        yield processes


@pytest.mark.parametrize("seed", [1016])  # it has a step of each kind
def test_a_sessions_turns_are_what_was_billed(processes: Processes, seed: int) -> None:
    play_and_check(processes, seed, 6)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 1020))
def test_a_sessions_turns_are_what_was_billed_in_the_long_run(processes: Processes, seed: int) -> None:
    play_and_check(processes, seed, 15)


class Players:
    """The processes that have the session."""

    def __init__(self, processes: Processes, books: HostedBooks) -> None:
        self.processes, self.books = processes, books
        self.running: dict[int, Process] = {}
        self.ids: dict[str, Any] = {}
        self.answers: dict[str, dict[str, Any]] = {}
        self.killed: set[str] = set()

    def play(self, step: HostedStep) -> None:
        for session in self.books.server.sessions.values():
            session.spent.lag = step.lag
        self.ask(step)
        if step.gate is None:
            self.take(step)
            return
        gate = step.gate
        self.books.server.wait_for(lambda: gate.reached)
        if step.other:
            self.ask(step.other)
        process = self.running[step.number]
        if step.at_hold == "kill":
            process.kill()
            self.killed.add(step.name)
        elif step.at_hold == "interrupt":
            process.interrupt()
        else:
            gate.open()
        if step.at_hold != "kill":
            self.take(step)
        gate.open()
        if step.at_hold == "kill":
            self.answers[step.name] = process.answer()
            self.running.pop(step.number).end()
        if step.other:
            self.take(step.other)

    def ask(self, step: HostedStep) -> None:
        if step.number not in self.running:
            self.running[step.number] = self.processes.start()
        server = self.books.server
        self.running[step.number].ask(
            {
                "step": step.name,
                "session": "hosted",
                "prompt": f"This is step {step.name}.",
                "hosted": {"model": MODEL, "api_key": server.api_key, "base_url": server.url},
                "ids": self.ids,
                "offsets": [0.0],
                "stop": 0,
                "timeout": None,
            }
        )

    def take(self, step: HostedStep) -> None:
        self.answers[step.name] = self.running[step.number].answer()
        self.ids = self.answers[step.name]["ids"]

    def close(self) -> None:
        for process in self.running.values():
            process.end()


def play_and_check(processes: Processes, seed: int, size: int) -> None:
    with HostedServer() as server:
        books = HostedBooks(server)
        steps = scenario(seed, size, books)
        players = Players(processes, books)
        try:
            for step in steps[:-1]:
                players.play(step)
            spent = books.session.spent
            # What only the provider knows, nobody can see to be missing: by now its books are whole.
            spent.lag = spent._looks = steps[-1].lag = 0
            players.play(steps[-1])
        finally:
            players.close()
        asked = [text.removeprefix("This is step ").removesuffix(".") for text in messages(server)]
        check(books, players, asked)
    writer.current().close()


def check(books: HostedBooks, players: Players, asked: list[str]) -> None:
    turns, session = praison_nb.usage(), books.session
    names = [str(tags).removeprefix("step=") for tags in turns["tags"]]
    requests = requests_by_step()
    # Nothing was asked that the ledger does not know.
    assert {*asked} == {*names} == {*requests}
    assert (turns["known_cost"] >= 0).all() and not (turns["cost"] < 0).any()
    for name, turn in zip(names, turns.to_dict("records"), strict=True):
        rows = requests[name]
        by_request = sum(row["cost"] or 0 for row in rows)
        assert abs(by_request * 1e-12 + turn["extra_cost"] - turn["known_cost"]) < 1e-9
        assert turn["requests"] == len(rows)
        for kind in ("input", "output"):
            assert turn[f"{kind}_tokens"] == sum(row[kind] for row in rows)
        if answer := players.answers[name]:
            assert (answer["input"], answer["output"]) == (turn["input_tokens"], turn["output_tokens"])
    told = session.spent.to_dict()
    assert abs(turns["known_cost"].sum() - int(told["list_cost"]["amount"]) / 100) < HALF_CENT
    lost = [tokens for name in players.killed for tokens, _ in books.steps[name].requests]
    lost += [scout for name in players.killed if (scout := books.steps[name].scout)]
    alive = turns[[name not in players.killed for name in names]]
    assert told["input_tokens"] - sum(each.input for each in lost) <= alive["input_tokens"].sum()
    assert turns["input_tokens"].sum() <= told["input_tokens"] + 100 * len(players.killed)
    if not lost:
        assert turns["output_tokens"].sum() == told["output_tokens"]


def requests_by_step() -> dict[str, list[dict[str, Any]]]:
    found = defaultdict(list)
    with closing(sqlite3.connect(writer.default_path())) as ledger:
        ledger.row_factory = sqlite3.Row
        for row in ledger.execute(
            "SELECT r.cost, l.tags, r.uncached_input_tokens + r.cache_read_input_tokens + "
            "r.cache_write_5m_input_tokens + r.cache_write_1h_input_tokens AS input, "
            "r.output_tokens AS output FROM requests r JOIN labels l ON l.n = r.label ORDER BY r.n"
        ):
            found[row["tags"].removeprefix("step=")].append(dict(row))
    return found
