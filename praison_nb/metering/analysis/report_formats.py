"""How providers and gateways write their reports: one entry per bucket of time and model, or per request."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from ..model_names import dateless

Row = Mapping[str, Any]
SEARCH, SESSION_TIME = "search", "session time"


_MOST_DIGITS = 15
"""Before the point of a number: there is no greater one in a report."""


class UnreadableNumberError(ValueError):
    """A number that may mean two things, as one with a decimal comma does."""


class Line(NamedTuple):
    """What a report says; None where it does not say. `models` are the names that the ledger may have for it,
    none where it is of all models together, `kind` is what was used where that was no token. `cost` is in
    `currency`, of which so much was paid `elsewhere`."""

    day: date
    models: tuple[str, ...] = ()
    kind: str = ""
    input_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    cost: Decimal | None = None
    currency: str = "USD"
    elsewhere: Decimal = Decimal(0)


class Entry(NamedTuple):
    """A day, and what was used on it; None for nothing."""

    day: date
    line: Line | None


def entries_of(part: Any) -> tuple[str, Iterator[Entry]]:
    """The provider of a page or table, "" where it is none's that is known, and its entries. What is not as
    that provider writes it raises a KeyError, TypeError or ValueError."""
    is_page = isinstance(part, Mapping)
    rows = (part.get("data", part.get("results")) if is_page else part) or []
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        return "", iter(())
    if not rows:
        return ("?" if is_page and ("data" in part or "results" in part) else ""), iter(())
    first = rows[0]
    for provider, marks, read in _FORMATS:
        if {*marks} <= {*first}:
            return provider, (entry for row in rows for entry in read(row))
    return "", iter(())


def _openai_bucket(bucket: Row) -> Iterator[Entry]:
    day = _day_of_seconds(bucket["start_time"])
    yield Entry(day, None)
    for result in bucket["results"]:
        yield Entry(day, _openai(day, result))


def _openai_row(row: Row) -> Iterator[Entry]:
    day = _day_of_seconds(row["start_time"], row.get("start_time_iso") or "")
    if "amount_value" in row:
        row = {**row, "amount": {"value": row["amount_value"], "currency": row.get("amount_currency")}}
    yield Entry(day, _openai(day, row))


def _openai(day: date, result: Row) -> Line | None:
    if "amount" in result:
        amount = result["amount"] or {}
        cost = _number(amount.get("value"))
        models, kind = _line_item(result.get("line_item") or "")
        return cost if cost is None else Line(day, models, kind, cost=cost, currency=_currency(amount))
    # Images, seconds of sound and such are no tokens.
    is_other = "input_tokens" not in result and "num_model_requests" in result
    if is_other or _count(result["input_tokens"]) is None:
        return None
    return Line(
        day,
        _models(result.get("model")),
        "",
        _count(result["input_tokens"]),
        _count(result.get("input_cached_tokens")) or 0,
        _count(result.get("output_tokens")) or 0,
    )


def _line_item(text: str) -> tuple[tuple[str, ...], str]:
    """Of "gpt-4o-mini-2024-07-18, cached input" the model, of "web search tool calls" the kind."""
    name, _, what = (part.strip() for part in text.partition(","))
    if name and (" " in name or "search" in what):
        return (), SEARCH if "search" in text.lower() else text.lower()
    return _models(name), ""


def _anthropic_bucket(bucket: Row) -> Iterator[Entry]:
    day = _day(bucket["starting_at"])
    yield Entry(day, None)
    for result in bucket["results"]:
        cost = {} if "amount" not in result else {"amount": _number(result["amount"]) or 0}
        yield Entry(day, _anthropic(day, {**result, **cost}))


def _anthropic_row(row: Row) -> Iterator[Entry]:
    day, prefix = _day(row["usage_date_utc"]), "usage_input_tokens_"
    made: dict[str, Any] = {**row, "model": row.get("model_version") or row.get("model")}
    if "cost_usd" in row:
        cost = _number(row["cost_usd"])
        made["amount"] = None if cost is None else cost * 100
    else:
        made |= {
            "uncached_input_tokens": row[f"{prefix}no_cache"],
            "cache_creation": {
                f"ephemeral_{kind}_input_tokens": row.get(f"{prefix}cache_write_{kind}")
                for kind in ("5m", "1h")
            },
            "cache_read_input_tokens": row.get(f"{prefix}cache_read"),
            "output_tokens": row["usage_output_tokens"],
        }
    yield Entry(day, _anthropic(day, made))


def _anthropic(day: date, result: Row) -> Line | None:
    described, _, _ = (result.get("description") or "").partition(" Usage")
    if "amount" in result:
        if result["amount"] is None:
            return None
        kind = (result.get("cost_type") or "").lower()
        kind = "" if kind in ("token", "tokens") else SEARCH if "search" in kind else kind.replace("_", " ")
        kind = SESSION_TIME if "session" in kind else kind
        models = () if kind else _models(result.get("model") or described)
        # In cents, with a fraction.
        return Line(day, models, kind, cost=Decimal(result["amount"]) / 100, currency=_currency(result))
    uncached = _count(result["uncached_input_tokens"])
    output = _count(result["output_tokens"])
    if uncached is None and output is None:
        return None
    created = result.get("cache_creation") or {}
    read = _count(result.get("cache_read_input_tokens")) or 0
    written = sum(_count(created.get(f"ephemeral_{kind}_input_tokens")) or 0 for kind in ("5m", "1h"))
    total = (uncached or 0) + read + written
    return Line(day, _models(result.get("model")), "", total, read, output or 0)


def _openrouter_row(row: Row) -> Iterator[Entry]:
    """Of the activity, as the page exports it (a row each request) and as the API gives it (each day)."""
    day = _day(row.get("created_at") or row["date"])
    is_export = "cost_total" in row
    counts = ("tokens_prompt", "tokens_completion") if is_export else ("prompt_tokens", "completion_tokens")
    elsewhere = _number(row.get("byok_usage_inference")) or Decimal(0)
    cost = (_number(row["cost_total" if is_export else "usage"]) or Decimal(0)) + elsewhere
    variant = row.get("variant") or ""
    names = [name for name in (row.get("model"), row.get("model_permaslug")) if name]
    if variant not in ("", "standard"):
        names = [*(f"{name}:{variant}" for name in names), *names]
    cached = _count(row.get("tokens_cached"))
    tokens = (_count(row[counts[0]]) or 0, cached, _count(row[counts[1]]) or 0)
    yield Entry(day, Line(day, _models(*names), "", *tokens, cost=cost, elsewhere=elsewhere))


def _litellm_row(row: Row) -> Iterator[Entry]:
    """Of the spend logs: a row each request, or each day with `models`."""
    day = _day(row["startTime"])
    if isinstance(row.get("models"), Mapping):
        for model, spend in row["models"].items():
            yield Entry(day, Line(day, _models(model), cost=_number(spend)))
        yield Entry(day, None)
        return
    details = (_object(row.get("metadata")).get("usage_object") or {}).get("prompt_tokens_details") or {}
    tokens = (
        _count(row["prompt_tokens"]),
        _count(details.get("cached_tokens")),
        _count(row["completion_tokens"]),
    )
    models = _models(row.get("model_group"), row.get("model"))
    yield Entry(day, Line(day, models, "", *tokens, cost=_number(row["spend"])))


def _object(value: Any) -> Row:
    """An object that may be written as text; {} for what is none."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            value = json.loads(value)
    return value if isinstance(value, Mapping) else {}


def _litellm_day(row: Row) -> Iterator[Entry]:
    day = _day(row["date"])
    models = (row.get("breakdown") or {}).get("models") or {"": row}
    for model, of_model in models.items():
        used = of_model["metrics"]
        cached = _count(used.get("cache_read_input_tokens"))
        tokens = (_count(used["prompt_tokens"]), cached, _count(used["completion_tokens"]))
        yield Entry(day, Line(day, _models(model), "", *tokens, cost=_number(used["spend"])))


_FORMATS: tuple[tuple[str, tuple[str, ...], Callable[[Row], Iterator[Entry]]], ...] = (
    ("openai", ("start_time", "results"), _openai_bucket),
    ("openai", ("start_time", "amount_value"), _openai_row),
    ("openai", ("start_time", "input_tokens"), _openai_row),
    ("anthropic", ("starting_at", "results"), _anthropic_bucket),
    ("anthropic", ("usage_date_utc",), _anthropic_row),
    ("openrouter", ("created_at", "cost_total"), _openrouter_row),
    ("openrouter", ("date", "usage"), _openrouter_row),
    ("litellm", ("startTime", "spend"), _litellm_row),
    ("litellm", ("date", "metrics"), _litellm_day),
)
"""By the fields that the first row has."""


def _models(*names: Any) -> tuple[str, ...]:
    """The names under which the ledger may have a model, without dates."""
    found: list[str] = []
    for name in names:
        if name and " " in (text := re.sub(r"\(.*?\)", "", str(name)).strip()):
            found += _of_display_name(text)
        elif name:
            found += [model_key(str(name)), model_key(str(name).partition("/")[2])]
    return tuple(dict.fromkeys(filter(None, found)))


def _of_display_name(name: str) -> list[str]:
    """Of "Claude Haiku 4.5" both orders that there are."""
    first, *words = re.sub(r"\.", "-", name.lower()).split()
    versions = [word for word in words if word[0].isdigit()]
    others = [word for word in words if not word[0].isdigit()]
    return ["-".join([first, *others, *versions]), "-".join([first, *versions, *others])]


def model_key(model: str) -> str:
    """By which a model of the ledger and one of a report are the same."""
    return dateless(model).lower()


def _currency(amount: Row) -> str:
    return str(amount.get("currency") or "USD").upper()


def _number(value: Any) -> Decimal | None:
    """A number, None for nothing. Raises UnreadableNumberError."""
    text = "" if value is None else str(value).strip()
    if not text:
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or number.adjusted() > _MOST_DIGITS:
        raise UnreadableNumberError(
            f"{text!r:.40} is no number. Export it with a decimal point, and without commas in numbers."
        )
    return number


def _count(value: Any) -> int | None:
    number = _number(value)
    if number is not None and (number < 0 or number != int(number)):
        raise UnreadableNumberError(f"{str(value)!r:.40} is no number of tokens.")
    return None if number is None else int(number)


def _day(text: str) -> date:
    moment = datetime.fromisoformat(text.strip())
    return (moment if moment.tzinfo is None else moment.astimezone(UTC)).date()


def _day_of_seconds(seconds: Any, iso: str = "") -> date:
    if iso and not re.fullmatch(r"\d{9,10}(\.0+)?", str(seconds).strip()):
        # A spreadsheet has rounded it.
        return _day(iso)
    return datetime.fromtimestamp(float(seconds), UTC).date()
