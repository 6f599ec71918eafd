"""Compares the ledger with what a provider says it was: Anthropic's and OpenAI's usage and cost reports."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ...errors import ConfigError
from ..user_prices import dateless

if TYPE_CHECKING:
    import pandas as pd

Report = str | os.PathLike[str] | Mapping[str, Any] | Iterable[Any]
SUMS = ("input_tokens", "cached_tokens", "output_tokens", "cost")


class Line(NamedTuple):
    """What a report says of a day and a model; None where it does not say. `cost` in USD."""

    day: date
    model: str
    input_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    cost: Decimal | None = None


def reconcile(report: Report, ledger: str | os.PathLike[str] | None = None) -> pd.DataFrame:
    """The ledger beside a provider's report, as a DataFrame with one row per day (UTC) and model.

    `report` is a file's path (JSON or CSV) or the parsed JSON of Anthropic's usage or cost report, or of
    OpenAI's usage or costs, by day; give a list for several of them, or for a report's pages. `ledger` is a
    file; without it the one that this process writes. Models are matched without their date. Only the days
    that the report has are compared.

    Columns, each with `ledger_`, `report_` and `difference_` (report less ledger) before it: `input_tokens`
    (cached or not), `cached_tokens`, `output_tokens`, and `cost` in USD. <NA> where one side does not say: a
    report of usage has no cost, a ledger none where a request has no price. Raises ConfigError for a report
    that cannot be read, LedgerError for such a ledger.

    >>> import tempfile
    >>> from praison_nb import reconcile, usage
    >>> path = usage.example(f"{tempfile.mkdtemp()}/sample.sqlite", turns=50)
    >>> day = usage(ledger=path, by="request", model="gpt-4o")["time"].iloc[0]
    >>> used = {"model": "gpt-4o", "input_tokens": 10, "output_tokens": 2}
    >>> bucket = {"start_time": day.timestamp(), "results": [used]}
    >>> table = reconcile({"data": [bucket]}, ledger=path)
    >>> int(table.loc[(day.date(), "gpt-4o"), "report_input_tokens"])
    10
    """
    import pandas as pd

    from .frame import usage

    lines, provider = _lines(report)
    if not lines:
        raise ConfigError("The report speaks of no usage.")
    first, last = min(line.day for line in lines), max(line.day for line in lines)
    requests = usage(since=first, until=last + timedelta(days=1), ledger=ledger, by="request")
    requests = requests[requests["provider"] == provider]
    days, models = requests["time"].dt.date, requests["model"].astype(str).map(dateless)
    key = [days.rename("day"), models.rename("model")]
    recorded = pd.DataFrame(
        {
            "input_tokens": requests["input_tokens"].astype("Int64"),
            "cached_tokens": requests["cache_read_input_tokens"].astype("Int64"),
            "output_tokens": requests["output_tokens"].astype("Int64"),
            "cost": requests["cost"].astype("Float64"),
        }
    )
    unknown = recorded["cost"].isna().groupby(key).any()
    recorded = recorded.groupby(key).sum()
    recorded["cost"] = recorded["cost"].mask(unknown)
    reported = pd.DataFrame(lines, columns=Line._fields)
    reported["cost"] = reported["cost"].astype("Float64")
    reported = reported.astype({name: "Int64" for name in SUMS[:-1]})
    reported = reported.groupby(["day", "model"])[list(SUMS)].sum(min_count=1)
    is_reported = reported.notna().any()
    both = recorded.add_prefix("ledger_").join(reported.add_prefix("report_"), how="outer")
    table: dict[str, Any] = {}
    for name in SUMS:
        # A side that has no row used nothing; a side that never speaks of it says nothing.
        left = both[f"ledger_{name}"].mask(~both.index.isin(recorded.index), 0)
        right = both[f"report_{name}"].fillna(0) if is_reported[name] else both[f"report_{name}"]
        table |= {f"ledger_{name}": left, f"report_{name}": right, f"difference_{name}": right - left}
    return pd.DataFrame(table).sort_index()


def _lines(report: Report) -> tuple[list[Line], str]:
    lines: list[Line] = []
    providers: set[str] = set()
    more = False
    for part in _parts(report):
        if isinstance(part, list):
            found, provider = _of_table(part)
        elif isinstance(part, Mapping) and isinstance(part.get("data"), list):
            found, provider = _of_json(part)
            more = bool(part.get("has_more"))
        else:
            raise ConfigError("This is no usage or cost report of Anthropic or OpenAI.")
        lines += found
        providers.add(provider)
    if more:
        raise ConfigError("The report has more pages: give all of them, as a list.")
    if len(providers) != 1:
        raise ConfigError("Compare one provider's reports at a time.")
    return lines, providers.pop()


def _parts(report: Report) -> Iterable[Any]:
    if isinstance(report, Mapping):
        yield report
    elif isinstance(report, str | os.PathLike):
        yield _file(Path(report).expanduser())
    else:
        for part in report:
            yield from _parts(part)


def _file(path: Path) -> Any:
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The report {path} cannot be read: {error}.") from error
    if text.lstrip().startswith(("{", "[")):
        try:
            return json.loads(text, parse_float=Decimal)
        except ValueError as error:
            raise ConfigError(f"The report {path} is no JSON: {error}.") from error
    import csv

    return list(csv.DictReader(text.splitlines()))


def _of_json(report: Mapping[str, Any]) -> tuple[list[Line], str]:
    lines, provider = [], "anthropic"
    try:
        for bucket in report["data"]:
            if "start_time" in bucket:
                provider, day = "openai", datetime.fromtimestamp(bucket["start_time"], UTC).date()
            else:
                day = _day(bucket["starting_at"])
            for result in bucket["results"]:
                line = (_openai if provider == "openai" else _anthropic)(day, result)
                if line is not None:
                    lines.append(line)
    except (KeyError, TypeError, ValueError, InvalidOperation) as error:
        raise ConfigError(f"The report is not as its provider writes it ({error!r}).") from error
    return lines, provider


def _anthropic(day: date, result: Mapping[str, Any]) -> Line | None:
    model = dateless(result.get("model") or "")
    if "amount" in result:
        # In cents, with a fraction.
        return Line(day, model, cost=Decimal(str(result["amount"])) / 100)
    created = result.get("cache_creation") or {}
    read = int(result.get("cache_read_input_tokens") or 0)
    written = sum(int(created.get(f"ephemeral_{kind}_input_tokens") or 0) for kind in ("5m", "1h"))
    total = int(result["uncached_input_tokens"]) + read + written
    return Line(day, model, total, read, int(result["output_tokens"]))


def _openai(day: date, result: Mapping[str, Any]) -> Line | None:
    if "amount" in result:
        # "gpt-4o-mini-2024-07-18, cached input"
        model = dateless((result.get("line_item") or "").split(",")[0].strip())
        return Line(day, model, cost=Decimal(str(result["amount"]["value"])))
    return Line(
        day,
        dateless(result.get("model") or ""),
        int(result["input_tokens"]),
        int(result.get("input_cached_tokens") or 0),
        int(result["output_tokens"]),
    )


def _of_table(rows: list[Any]) -> tuple[list[Line], str]:
    """The rows of a CSV as the consoles export them."""
    if not rows or not isinstance(rows[0], dict):
        raise ConfigError("This is no usage or cost report of Anthropic or OpenAI.")
    provider = "anthropic" if "usage_date_utc" in rows[0] else "openai"
    try:
        lines = [(_anthropic_row if provider == "anthropic" else _openai_row)(row) for row in rows]
    except (KeyError, TypeError, ValueError, InvalidOperation) as error:
        raise ConfigError(f"The report's columns are not as its provider writes them ({error!r}).") from error
    return lines, provider


def _anthropic_row(row: Mapping[str, str]) -> Line:
    day = _day(row["usage_date_utc"])
    model = dateless(row.get("model_version") or row.get("model") or "")
    if "cost_usd" in row:
        return Line(day, model, cost=Decimal(row["cost_usd"]))
    parts = {
        kind: int(row.get(f"usage_input_tokens_{kind}") or 0)
        for kind in ("cache_write_5m", "cache_write_1h", "cache_read")
    }
    total = int(row["usage_input_tokens_no_cache"]) + sum(parts.values())
    return Line(day, model, total, parts["cache_read"], int(row["usage_output_tokens"]))


def _openai_row(row: Mapping[str, str]) -> Line:
    written = row.get("start_time_iso")
    day = _day(written) if written else datetime.fromtimestamp(int(row["start_time"]), UTC).date()
    if "amount_value" in row:
        model = dateless((row.get("line_item") or "").split(",")[0].strip())
        return Line(day, model, cost=Decimal(row["amount_value"]))
    cached = int(row.get("input_cached_tokens") or 0)
    return Line(day, dateless(row["model"]), int(row["input_tokens"]), cached, int(row["output_tokens"]))


def _day(text: str) -> date:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).date()
