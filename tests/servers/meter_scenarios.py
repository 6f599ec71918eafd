"""Random conversations of agents in two processes with a BookServer, the same for the same seed."""

from __future__ import annotations

import datetime
import random
from dataclasses import dataclass, field
from typing import Literal

from servers.books import USAGES, Plan, Round

NOON = datetime.datetime(2026, 3, 1, 12, 30, tzinfo=datetime.UTC).timestamp()
HOUR = 3600.0
CONFIGS = [
    {"model": "gpt-4o", "provider": "openai", "wire": "chat"},
    {"model": "gpt-4.1-mini", "provider": "openai", "wire": "responses"},
    {"model": "claude-sonnet-4-5", "provider": "anthropic", "wire": "messages"},
    {"model": "openai/gpt-4.1", "provider": "openrouter", "wire": "chat"},
    {"model": "my-model", "wire": "chat"},
    {"model": "nobodys-model", "wire": "chat"},
]
WORDS = ("What is this?", "Это что?", "这是什么？", "x = [1, 2, 3]", '{"a": "b"}')


@dataclass
class Step:
    """One prompt of a scenario. `at_hold` is what happens where the server holds its answer; the ledger is
    locked by somebody else until then, or until the turn's end."""

    name: str
    session: int
    plan: Plan
    text: str
    stop: int = 0
    timeout: float | None = None
    at_hold: Literal["", "interrupt", "kill", "go on"] = ""
    lock: Literal["", "until hold", "until end"] = ""


@dataclass
class Scenario:
    """Pairs of steps that are asked at once, each by a process of its own."""

    rng: random.Random
    pairs: list[list[Step]] = field(default_factory=list)

    @classmethod
    def of(cls, seed: int, size: int) -> Scenario:
        made = cls(random.Random(seed))
        names = (f"s{number}" for number in range(2 * size))
        for _ in range(size):
            steps = [made.step(next(names), 0)]
            if made.rng.random() < 0.3:
                steps.append(made.step(next(names), 1))
            made.pairs.append(steps)
        return made

    def step(self, name: str, process: int) -> Step:
        rng = self.rng
        rounds = [self.round(calls=rng.choice((1, 1, 2))) for _ in range(rng.choice((0, 0, 1, 2, 5)))]
        rounds.append(self.round())
        begin = NOON + HOUR * rng.randrange(-48, 48)
        offsets = [begin]
        for round_ in rounds:
            for _ in range(round_.calls):
                # On, over midnight, or back.
                offsets.append(offsets[-1] + HOUR * rng.choice((0, 0, 1, 13, 30, -1, -40)))
        step = Step(
            name,
            process * 10 + rng.randrange(len(CONFIGS)),
            Plan(rounds, offsets),
            self.words(rng.choice((1, 30, 300))),
        )
        for _ in range(rng.choice((0, 0, 0, 1, 2))):
            # Asked again.
            refused = Round(status=rng.choice((429, 500, 503, 529)))
            rounds.insert(rng.randrange(len(rounds)), refused)
        match rng.choice(("", "", "stop", "hold", "hold", "cut", "silent", "lock")):
            case "stop":
                step.stop = rng.randrange(1, 30)
            case "hold":
                rng.choice(rounds).hold = rng.randrange(100)
                step.at_hold = rng.choice(("interrupt", "kill", "kill", "go on"))
                step.lock = rng.choice(("", "", "", "until hold", "until end"))
            case "cut":
                rng.choice(rounds).cut = rng.randrange(3000)
            case "silent":
                rounds.insert(rng.randrange(len(rounds)), Round(is_silent=True))
                step.timeout = 0.5
            case "lock":
                step.lock = "until end"
        return step

    def round(self, calls: int = 0) -> Round:
        rng = self.rng
        return Round(
            text=self.words(rng.choice((1, 10, 60))),
            calls=calls,
            hidden=rng.choice((0, 0, 101, 2001)),
            cached=rng.choice((0.0, 0.0, 0.5, 0.99)),
            usage=rng.choice(USAGES) if rng.random() < 0.4 else "told",
        )

    def words(self, count: int) -> str:
        return " ".join(self.rng.choices(WORDS, k=count))
