"""The whole meter beside a server that keeps its own books: random conversations, in processes that are
stopped, killed, kept from the ledger and given other times, and what the ledger says of them. What it says is
what was billed, or it is marked, and within the bounds of what can be known."""

from __future__ import annotations

import datetime
import sqlite3
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest

import praison_nb
from praison_nb.metering import user_prices, writer
from praison_nb.metering.schema import DONE
from servers.books import BookServer, Entry, prompt, usd
from servers.meter_process import Process, Processes
from servers.meter_scenarios import CONFIGS, Scenario, Step

PICO = Decimal("1e-12")


class Players:
    """The processes that ask, and somebody who holds the ledger now and then."""

    def __init__(self, processes: Processes, server: BookServer) -> None:
        self.processes, self.server = processes, server
        self.running: dict[int, Process] = {}
        self.ledger = sqlite3.connect(writer.default_path(), isolation_level=None, check_same_thread=False)
        self.answers: dict[str, dict[str, Any]] = {}
        self.killed: set[str] = set()

    def play(self, steps: list[Step]) -> None:
        lock = max((step.lock for step in steps), key=("", "until hold", "until end").index)
        if lock:
            self.ledger.execute("BEGIN IMMEDIATE")
        for step in steps:
            self.ask(step)
        for step in steps:
            self.wait_for_hold(step)
            if lock == "until hold":
                self.ledger.execute("COMMIT")
                lock = ""
            self.go_on(step)
        if lock:
            self.ledger.execute("COMMIT")

    def ask(self, step: Step) -> None:
        number = step.session // 10
        if number not in self.running:
            self.running[number] = self.processes.start()
        step.plan.offsets = [at - time.time() for at in step.plan.offsets]
        self.server.plans[step.name] = step.plan
        self.running[number].ask(
            {
                "step": step.name,
                "session": str(step.session),
                "prompt": prompt(step.name, step.text),
                "config": {**CONFIGS[step.session % 10], "base_url": f"{self.server.url}/v1"},
                "offsets": step.plan.offsets,
                "stop": step.stop,
                "timeout": step.timeout,
            }
        )

    def wait_for_hold(self, step: Step) -> None:
        """The turn may end before."""
        process = self.running[step.session // 10]
        if step.at_hold:
            self.server.wait_for(
                lambda: (step.plan.gate is not None and step.plan.gate.reached) or process.has_answered
            )

    def go_on(self, step: Step) -> None:
        process = self.running[step.session // 10]
        if step.at_hold == "go on" and step.plan.gate:
            step.plan.gate.open()
        elif step.at_hold == "kill" and not process.has_answered:
            process.kill()
            self.killed.add(step.name)
        elif step.at_hold == "interrupt" and not process.has_answered:
            process.interrupt()
        self.answers[step.name] = process.answer()
        if step.name in self.killed:
            self.running.pop(step.session // 10).end()

    def close(self) -> None:
        for process in self.running.values():
            process.end()
        self.ledger.close()


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    with Processes() as processes:
        yield processes


@pytest.fixture
def books() -> Iterator[BookServer]:
    user_prices.save("my-model", user_prices.Price(Decimal(1), Decimal(10)))
    with BookServer() as server:
        yield server
    writer.current().close()


@pytest.mark.parametrize("seed", [2, 20])  # they have a step of each kind
def test_the_ledger_has_what_was_billed(processes: Processes, books: BookServer, seed: int) -> None:
    play_and_check(processes, books, seed, 8)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 1020))
def test_the_ledger_has_what_was_billed_in_the_long_run(
    processes: Processes, books: BookServer, seed: int
) -> None:
    play_and_check(processes, books, seed, 20)


def play_and_check(processes: Processes, books: BookServer, seed: int, size: int) -> None:
    scenario = Scenario.of(seed, size)
    books.bytes_per_token = scenario.rng.choice((3.0, 4.0, 4.9))
    writer.current().ledger.write([])
    players = Players(processes, books)
    try:
        for steps in scenario.pairs:
            players.play(steps)
    finally:
        players.close()
    steps = [step for pair in scenario.pairs for step in pair]
    # Whoever looks takes in what killed processes had under way, or had to put elsewhere.
    turns = praison_nb.usage()
    rows, billed = requests_by_step(), defaultdict[str, list[Entry]](list)
    for entry in books.books:
        billed[entry.step].append(entry)
    for step in steps:
        check_requests(step, rows[step.name], billed[step.name])
    names = [str(tags).removeprefix("step=") for tags in turns["tags"]]
    assert sorted(names) == sorted(step.name for step in steps if rows[step.name] or step.name in names)
    for name, row in zip(names, turns.to_dict("records"), strict=True):
        check_turn(row, rows[name], players.answers[name])
    days: Counter[datetime.date] = Counter()
    for each in (row for found in rows.values() for row in found):
        days[datetime.datetime.fromtimestamp(each["time"] / 1e6, datetime.UTC).date()] += each["cost"] or 0
    by_day = praison_nb.usage.by("day")["cost"]
    assert {day.date(): round(cost * 1e12) for day, cost in by_day.dropna().items() if cost} == {
        day: pico for day, pico in days.items() if pico
    }


def requests_by_step() -> dict[str, list[dict[str, Any]]]:
    """The ledger's requests, in the order in which they began, with their turns' tags."""
    found = defaultdict(list)
    with closing(sqlite3.connect(writer.default_path())) as ledger:
        ledger.row_factory = sqlite3.Row
        for row in ledger.execute(
            "SELECT r.*, l.model, l.cost_source, l.tags FROM requests r "
            "JOIN labels l ON l.n = r.label ORDER BY r.n"
        ):
            found[row["tags"].removeprefix("step=")].append(dict(row))
    return found


def check_requests(step: Step, rows: list[dict[str, Any]], billed: list[Entry]) -> None:
    """Each request that was sent is a row, in the same order; only the last one may never have left."""
    assert len(billed) <= len(rows) <= len(billed) + 1
    if len(rows) > len(billed):
        assert rows[-1]["state"] != DONE or rows[-1]["estimated"] or not tokens_of(rows[-1])
    for row, entry in zip(rows, billed, strict=False):
        assert 0 <= entry.at - row["time"] / 1e6 < 60
        if row["state"] == DONE:
            assert row["reserved"] == 0
            check_cost(row, entry)
            if not row["estimated"]:
                check_exact(row, entry)
            else:
                is_over = entry is billed[-1] and bool(
                    step.stop or step.timeout or step.at_hold == "interrupt"
                )
                check_estimate(row, entry, may_be_unread=is_over)
        else:
            assert step.at_hold == "kill" and row["estimated"]
            # What may have been spent at most.
            assert entry.usd is None or entry.usd <= row["reserved"] * PICO


def check_cost(row: dict[str, Any], entry: Entry) -> None:
    if row["cost_source"] == "provider":
        # Of an answer that was cut there may be only what it had cost so far.
        assert entry.usd is not None
        assert row["cost"] * PICO <= entry.usd if row["estimated"] else row["cost"] * PICO == entry.usd
        return
    cached, uncached, output = (
        row[f"{name}_tokens"] for name in ("cache_read_input", "uncached_input", "output")
    )
    expected = usd(row["model"], uncached, cached, output)
    if expected is None and not tokens_of(row):
        expected = Decimal(0)
    assert (row["cost"] is None) == (expected is None)
    assert expected is None or abs(row["cost"] * PICO - expected) < Decimal("1e-9")


def check_exact(row: dict[str, Any], entry: Entry) -> None:
    if not entry.is_billed:
        assert not tokens_of(row)
        return
    assert entry.is_told is not False
    assert row["uncached_input_tokens"] + row["cache_read_input_tokens"] == entry.input
    assert (row["cache_read_input_tokens"], row["output_tokens"]) == (entry.cached, entry.output)


def check_estimate(row: dict[str, Any], entry: Entry, *, may_be_unread: bool) -> None:
    """Within what a tokenizer makes of the same text; thinking that nobody counts is estimated by time."""
    assert entry.is_told is not True or may_be_unread
    known = row["uncached_input_tokens"] + row["cache_read_input_tokens"]
    if entry.knows_input and not may_be_unread:
        assert known == entry.input
    assert 0.5 * entry.input - 20 <= known <= 2 * entry.input + 20
    assert row["output_tokens"] <= 2 * entry.output + 20
    if entry.is_cut:
        assert row["output_tokens"] >= 0.5 * entry.output - 20


def check_turn(turn: dict[str, Any], rows: list[dict[str, Any]], answer: dict[str, Any]) -> None:
    """The turn is the sum of its requests, in the ledger and in the Turn."""
    assert turn["requests"] == len(rows)
    assert turn["input_tokens"] == sum(map(input_of, rows))
    assert turn["output_tokens"] == sum(row["output_tokens"] for row in rows)
    assert turn["estimated"] == any(row["estimated"] for row in rows)
    assert turn["is_lower_bound"] == any(row["is_lower_bound"] for row in rows)
    known = sum(row["cost"] or 0 for row in rows)
    assert round(turn["known_cost"] * 1e12) == known
    has_all = all(row["cost"] is not None for row in rows)
    assert pd.isna(turn["cost"]) != has_all
    assert not has_all or round(turn["cost"] * 1e12) == known
    estimated = sum(row["cost"] or 0 for row in rows if row["estimated"] and row["cost_source"] != "provider")
    assert round(turn["estimated_cost"] * 1e12) == estimated
    if answer:
        assert (answer["input"], answer["output"]) == (turn["input_tokens"], turn["output_tokens"])
        assert (answer["cost"] is None) != has_all
        assert not has_all or round(Decimal(answer["cost"]) / PICO) == known


def input_of(row: dict[str, Any]) -> int:
    return sum(value for name, value in row.items() if name.endswith("_input_tokens"))


def tokens_of(row: dict[str, Any]) -> int:
    return input_of(row) + int(row["output_tokens"])
