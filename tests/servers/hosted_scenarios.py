"""Random turns of one hosted session that several processes have, beside the server's own books."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from .base import Gate
from .hosted import HostedServer, Manners, Tokens, hold, request, text
from .hosted_threads import sub_agent

MODEL = "claude-sonnet-4-6"
_STEP = re.compile(r"step (s\d+)\.")


def cents(tokens: Tokens, seconds: float) -> Decimal:
    """What the server bills: list prices, dearer where it is fast or in one place, searches and time."""
    factor = (6 if tokens.speed == "fast" else 1) * Decimal("1.1" if tokens.geo == "us" else "1")
    usd = factor * (tokens.input * 3 + tokens.output * 15) / 1_000_000
    return 100 * (usd + tokens.searches / Decimal(100) + Decimal("0.08") * Decimal(seconds) / 3600)


@dataclass
class HostedStep:
    """A prompt of the process `number`. At its hold, where it has one, `at_hold` happens; `other` is asked by
    another process meanwhile, which waits."""

    name: str
    number: int
    requests: list[tuple[Tokens, float]]
    scout: Tokens | None
    at_hold: Literal["", "kill", "interrupt", "go on"]
    lag: int
    gate: Gate | None = None
    other: HostedStep | None = None


@dataclass
class HostedBooks:
    """What the server does at each step, and bills: whole cents of what it is exactly."""

    server: HostedServer
    steps: dict[str, HostedStep] = field(default_factory=dict)
    exact: Decimal = Decimal(0)
    billed: int = 0

    def __post_init__(self) -> None:
        self.server.default = self.script

    @property
    def session(self) -> Any:
        return next(iter(self.server.sessions.values()))

    def script(self, prompt: str) -> list[Any]:
        (name,) = _STEP.findall(prompt)
        step = self.steps[name]
        played: list[Any] = [self._request(step, *each, is_last=False) for each in step.requests[:-1]]
        if step.scout:
            played.append(self._scout(step.scout))
        return [*played, self._request(step, *step.requests[-1], is_last=True)]

    def bill(self, tokens: Tokens, seconds: float) -> int:
        """The cents that it adds to the list cost."""
        self.exact += cents(tokens, seconds)
        more, self.billed = round(self.exact) - self.billed, round(self.exact)
        return more

    def _request(self, step: HostedStep, tokens: Tokens, seconds: float, *, is_last: bool) -> Any:
        async def play(session: Any) -> None:
            contents = [text("Hello"), *([hold(step.gate)] if is_last and step.gate else [])]
            more = self.bill(tokens, seconds)
            await request(*contents, usage=tokens, cents=more, seconds=seconds)(session)

        return play

    def _scout(self, tokens: Tokens) -> Any:
        async def play(session: Any) -> None:
            more = self.bill(tokens, 1.0)
            step = sub_agent("scout", usage=tokens, cents=more, model=MODEL, thread_id="sthr_scout")
            await step(session)

        return play


def scenario(seed: int, size: int, books: HostedBooks) -> list[HostedStep]:
    """Steps by the seed, the last of which finds the server's books as they are."""
    rng = random.Random(seed)
    books.server.manners = Manners(usage_event=rng.random() < 0.7, posts_spans=rng.random() < 0.3)

    def tokens() -> Tokens:
        return Tokens(
            input=rng.randrange(10_000, 200_000),
            output=rng.randrange(1, 3000),
            speed=rng.choice(["", "standard", "fast"]),
            geo=rng.choice(["", "", "us"]),
            searches=rng.choice([0, 0, 3]),
        )

    def step(name: str, number: int, *, may_hold: bool) -> HostedStep:
        requests = [(tokens(), float(rng.choice([1, 30, 900]))) for _ in range(rng.choice((1, 1, 2, 3)))]
        scout = Tokens(input=rng.randrange(1, 90_000), output=rng.randrange(1, 900))
        at_hold: Any = rng.choice(("", "", "kill", "interrupt", "go on")) if may_hold else ""
        made = HostedStep(
            name, number, requests, scout if rng.random() < 0.4 else None, at_hold, rng.choice((0, 0, 1, 2))
        )
        if at_hold:
            made.gate = books.server.gate()
        if at_hold == "go on" or (at_hold and rng.random() < 0.3):
            made.other = step(f"{name}9", (number + 1) % 3, may_hold=False)
        books.steps[name] = made
        return made

    steps = [step(f"s{n}", rng.randrange(3), may_hold=n > 0) for n in range(size)]
    return [*steps, step(f"s{size}", rng.randrange(3), may_hold=False)]
