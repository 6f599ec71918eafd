"""A sample ledger, to try DataFrames, plots and reports on without spending anything."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from ...errors import ConfigError
from ...session import Usage
from ..ledger import Ledger, RequestRow, Row, TurnRow
from ..schema import LABELS

# model, provider, backend, share of the turns, seconds of a request
MODELS = (
    ("claude-sonnet-4-5", "anthropic", "hosted", 30, 9.0),
    ("gpt-4o-mini", "openai", "local", 40, 2.0),
    ("gpt-4o", "openai", "local", 12, 4.0),
    ("gemini-2.5-pro", "google", "local", 8, 7.0),
    ("llama3.2", "", "local", 10, 12.0),
)
NOTEBOOKS = ("churn.ipynb", "pricing/forecast.ipynb", "labels.ipynb", "reports/weekly.ipynb")
USERS = ("ann", "ben", "chi")
ATTEMPTS = 1000
"""How often a moment in working hours is looked for; there may be none in a day or less."""


def example(
    path: str | os.PathLike[str],
    *,
    turns: int = 2_000,
    days: int = 60,
    until: datetime | None = None,
    seed: int = 1,
) -> Path:
    """Write a sample ledger, of invented people and models' list prices, to the file `path` and return that.

    It has so many turns over so many days up to `until` (a datetime; now). The same `seed` and `until` give
    the same ledger. Raises ConfigError where the file exists, LedgerError where it cannot be written.

        path = praison_nb.usage.example("sample.sqlite")
        praison_nb.usage(ledger=path).agent.plot()
    """
    file = Path(path).expanduser()
    if file.exists():
        raise ConfigError(f"{file} exists: a sample ledger goes into a new file only.")
    end = (until or datetime.now(UTC)).astimezone(UTC)
    with closing(Ledger(file)) as ledger:
        ledger.write(_rows(random.Random(seed), turns, days, end))
    return file


def _rows(chance: random.Random, turns: int, days: int, end: datetime) -> Iterator[Row]:
    first = end - timedelta(days=days)
    moments = sorted(_moment(chance, first, days, end) for _ in range(turns))
    for number, moment in enumerate(moments):
        yield from _turn(chance, number, moment)


def _moment(chance: random.Random, first: datetime, days: int, end: datetime) -> datetime:
    for _ in range(ATTEMPTS):
        # More by and by, and in the working hours of the week.
        day = first + timedelta(days=int(days * chance.random() ** 0.7))
        hour = min(23.9, max(0.0, chance.gauss(14, 3)))
        moment = day.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(hours=hour)
        if first <= moment <= end and (moment.weekday() < 5 or chance.random() < 0.15):
            return moment
    return first + (end - first) * chance.random()


def _turn(chance: random.Random, number: int, moment: datetime) -> Iterator[Row]:
    # The sample alone needs prices, and who reads a ledger waits for no import of them.
    from ..prices import price

    model, provider, backend, _, pace = chance.choices(MODELS, [each[3] for each in MODELS])[0]
    at = moment.timestamp()
    user = chance.choice(USERS)
    notebook = chance.choices(NOTEBOOKS, (5, 3, 2, 1))[0]
    end = chance.choices(("end_turn", "interrupted", "error", "max_turns"), (91, 4, 3, 2))[0]
    names = {
        "user": user,
        "notebook": f"/home/{user}/{notebook}",
        "cell": f"cell-{chance.randrange(12):02d}",
        "session": "main" if chance.random() < 0.7 else notebook.split("/")[-1].removesuffix(".ipynb"),
        "session_id": f"{backend}-{user}-{moment:%j}-{notebook[:5]}",
        "backend": backend,
        "provider": provider,
        "model": model,
    }
    ended = {
        "status": "error" if end == "error" else "idle",
        "stop_reason": end,
        "error": chance.choice(("RateLimitError", "UnreachableError", "ServerError"))
        if end == "error"
        else "",
    }
    context = int(chance.lognormvariate(7.6, 0.9))
    clock, total, known, unpriced, rows = 0.0, Usage(), Decimal(0), 0, []
    for index in range(1 + min(int(chance.expovariate(0.9)), 6)):
        usage = _usage(chance, context + 600 * index, cached=index > 0 or chance.random() < 0.35)
        cost, source = price(usage, model, provider, at)
        seconds = pace * chance.lognormvariate(0, 0.5)
        rows.append(
            RequestRow(
                id=f"request-{number}-{index}",
                labels=_labels(names, cost_source=source),
                turn=f"turn-{number}",
                time=at + clock,
                duration=seconds,
                first_text=seconds * chance.uniform(0.08, 0.3),
                usage=usage,
                cost=cost,
            )
        )
        clock += seconds + chance.expovariate(1.5)
        total, known, unpriced = total + usage, known + (cost or 0), unpriced + (cost is None)
    yield TurnRow(
        id=f"turn-{number}",
        labels=_labels({**names, **ended}, cost_source="unpriced" if unpriced else "table"),
        time=at,
        duration=clock,
        first_text=rows[0].first_text,
        requests=len(rows),
        unpriced=unpriced,
        usage=total,
        cost=None if unpriced else known,
        priced=known,
    )
    yield from rows


def _usage(chance: random.Random, context: int, *, cached: bool) -> Usage:
    read = int(context * chance.uniform(0.5, 0.9)) if cached else 0
    written = int((context - read) * 0.5) if chance.random() < 0.3 else 0
    return Usage(
        uncached_input_tokens=context - read - written,
        cache_read_input_tokens=read,
        cache_write_5m_input_tokens=written,
        output_tokens=int(chance.lognormvariate(5.3, 0.8)),
    )


def _labels(names: dict[str, str], **more: str) -> tuple[str, ...]:
    return tuple({**names, **more}.get(name, "") for name in LABELS)
