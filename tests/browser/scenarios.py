"""What the browser tests' notebooks run: scripted backends that stop where a test tells them to.

A gate is a file: `hold("name")` waits in the kernel until the test has made it.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from praison_nb.backends.scripted import ScriptedBackend
from praison_nb.errors import RateLimitError
from praison_nb.events import (
    Activity,
    ApprovalAnswered,
    ApprovalAsked,
    Event,
    RequestFinished,
    RequestStarted,
    Spent,
    TextDelta,
    ToolFinished,
    ToolStarted,
    TurnFinished,
)
from praison_nb.runtime.run import Run
from praison_nb.session import Usage

GATES = Path(os.environ.get("PRAISON_NB_GATES", "."))
MODEL = "claude-sonnet-4-6"
ANSWER = [
    "Three columns stand out. **tenure** has the ",
    "largest effect, followed by **contract_type** and",
    " **monthly_charges**.",
]
FORMATTED = """# Findings

Some *emphasis*, `code` and a [link](https://example.org/a).

| column | weight |
|---|---:|
| tenure | -0.82 |
| contract_type | 0.41 |

1. first
2. second
   - nested

```python
if tenure < 3 and vector<int>:
    print("![no](picture)")
```

$e^{i\\pi} = -1$
"""


def hold(name: str, seconds: float = 0.02) -> Callable[[Run], Awaitable[None]]:
    """A step that waits for the test, and looks that often."""

    async def wait(run: Run) -> None:
        # Another process opens it: there is no event to wait for.
        while not (GATES / name).exists():  # noqa: ASYNC110
            await asyncio.sleep(seconds)

    return wait


def after(seconds: float, event: Event) -> Callable[[Run], Awaitable[Event]]:
    """A step that comes some time after the one before."""

    async def later(run: Run) -> Event:
        await asyncio.sleep(seconds)
        return event

    return later


def counted(tokens_in: int, cached: int, tokens_out: int, cost: str) -> RequestFinished:
    usage = Usage(
        uncached_input_tokens=tokens_in - cached, cache_read_input_tokens=cached, output_tokens=tokens_out
    )
    return RequestFinished(
        model=MODEL, provider="anthropic", usage=usage, cost=Decimal(cost), cost_source="provider"
    )


def text(*pieces: str) -> list[Event]:
    return [TextDelta(text=piece, message_id="m") for piece in pieces]


def tool(call_id: str, name: str, arguments: str, result: str) -> list[Event]:
    return [
        ToolStarted(call_id=call_id, name=name, arguments=arguments),
        ToolFinished(call_id=call_id, result=result),
    ]


def ask(call_id: str, name: str, arguments: str, result: str = "done") -> list[Any]:
    """A tool call that waits for the user; a no ends up as its result."""

    async def answered(run: Run) -> Event:
        message = await run.approvals.decision(call_id)
        return ApprovalAnswered(call_id=call_id, allowed=message is None)

    async def finished(run: Run) -> Event:
        message = await run.approvals.decision(call_id)
        return ToolFinished(call_id=call_id, result=message or result, is_error=message is not None)

    started = ToolStarted(call_id=call_id, name=name, arguments=arguments, runs="builtin")
    return [started, ApprovalAsked(call_id=call_id), answered, finished]


def scripted(*steps: Any, name: str = "hosted", model: str = MODEL) -> ScriptedBackend:
    backend = ScriptedBackend(steps, model=model)
    backend.name = name
    return backend


def research() -> ScriptedBackend:
    """The mock's first, third and fourth state: tools, text, a hold, the rest."""
    return scripted(
        RequestStarted(input_tokens=100),
        *tool("t1", "run_python", '{"code": "df.describe()"}', "count 7043"),
        *tool("t2", "run_python", '{"code": "LogisticRegression().fit(X, y).coef_"}', "[[-0.82, 0.41]]"),
        *text(*ANSWER[:2]),
        counted(12480, 9235, 1204, "0.0312"),
        Spent(per="turn", usd=Decimal("0.0312"), limit=Decimal("0.10")),
        hold("research"),
        *text(*ANSWER[2:]),
        counted(1522, 1107, 256, "0.0045"),
        Spent(per="session", usd=Decimal("0.2110"), turns=5),
    )


def asking(*calls: str) -> ScriptedBackend:
    """The mock's second state; one question after the other."""
    steps: list[Any] = []
    for number, command in enumerate(calls or ("rm -rf build/ && make all",)):
        steps += ask(f"ask{number}", "bash", json.dumps({"command": command}))
    return scripted(counted(14002, 11342, 1377, "0.0344"), *steps, *text("It is built."))


def changing(first: str, second: str) -> ScriptedBackend:
    """A question whose call is replaced under its id, at the gate "change"."""
    steps = [ask("ask0", "bash", json.dumps({"command": command})) for command in (first, second)]
    return scripted(*steps[0][:2], hold("change"), *steps[1], *text("It is built."))


def failing() -> ScriptedBackend:
    message = (
        "The provider is rate limiting this key (429). Retried 4 times over 31 s. Try again in 20 s, or "
        "lower concurrency."
    )
    return scripted(hold("failing"), RateLimitError(message), name="local", model="gpt-4o-mini")


def retrying() -> ScriptedBackend:
    return scripted(Activity(text="retrying"), hold("retrying"), *text("At last."), name="local")


def unpriced() -> ScriptedBackend:
    usage = Usage(uncached_input_tokens=38, output_tokens=59)
    return scripted(
        *text("Hello."), RequestFinished(model="smollm2", usage=usage), name="embedded", model="smollm2"
    )


def formatted() -> ScriptedBackend:
    """Markdown of every kind, in small pieces, held before its end."""
    pieces = [FORMATTED[i : i + 7] for i in range(0, len(FORMATTED), 7)]
    return scripted(*text(*pieces), hold("formatted"), TurnFinished())


def counting(gate: str, words: int = 400, seconds: float = 0.005) -> ScriptedBackend:
    """Numbers in a stream, then a hold."""
    steps = [after(seconds, event) for event in text(*(f"{n} " for n in range(words)))]
    return scripted(*steps, hold(gate), *text("end"))


def saying(words: str) -> ScriptedBackend:
    return scripted(*text(words))
