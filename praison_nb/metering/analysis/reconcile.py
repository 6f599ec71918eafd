"""Compares the ledger with what a provider, or a gateway, reports of usage and cost."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ...money import format_usd
from . import reports
from .report_formats import SEARCH, SESSION_TIME, Line, model_key
from .reports import Source
from .totals import Ledgers

if TYPE_CHECKING:
    import pandas as pd

TOKENS = ("input_tokens", "cached_tokens", "output_tokens")
SUMS = (*TOKENS, "cost")
ALL = "(all models)"
"""In place of a model, where a report does not tell models apart."""
_KEY = ["day", "model"]
_APART = ("openai", "anthropic")
"""Whose costs by model have a line of their own for what is no token."""
_LITTLE = 5e-10
"""USD; half of what is compared."""


def reconcile(report: Source, ledger: Ledgers = None, provider: str | None = None) -> pd.DataFrame:
    """The ledger beside a provider's report, as a DataFrame with one row per day (UTC) and model.

    `report` is a file's path (CSV or JSON, also as .gz), or parsed JSON, of OpenAI's usage or costs,
    Anthropic's usage or cost, OpenRouter's activity, or LiteLLM's spend logs, from the console or the API;
    give a list for several of them, or for a report's pages. Only the days from the first to the last that
    it has are compared, and of the ledger (see `usage`) only what went to the same `provider`, by default the
    report's; for LiteLLM those are servers of your own. Models are matched without their date. A report that
    does not tell models apart is compared as "(all models)". What is no token, and a session's time, has
    lines of its own ("search", "session time"), where the report has them.

    Columns, each with `ledger_`, `report_` and `difference_` (report less ledger) before it: `input_tokens`
    (cached or not), `cached_tokens`, `output_tokens`, and `cost` in USD. <NA> where one side does not say: a
    report of usage has no cost, a ledger none where a request has no price. Then `explanation`, what a
    difference may come from; amounts in other currencies are said there and not added. Raises ConfigError for
    a report that cannot be read, LedgerError for such a ledger.

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

    found = reports.read(report)
    tokens = [line for line in found.lines if line.input_tokens is not None]
    costs = [line for line in found.lines if line.cost is not None]
    recorded = _recorded(found, ledger, provider)
    known = {*recorded["model"]}
    has_models = {
        "tokens": any(line.models for line in tokens) or not tokens,
        "cost": any(line.models or line.kind for line in costs) or not costs,
    }
    if not costs:
        has_models["cost"] = has_models["tokens"]
    elif not tokens:
        has_models["tokens"] = has_models["cost"]
    ledger_sums = _ledger_sums(recorded, has_models, apart=found.provider in _APART)
    report_sums = _report_sums(tokens, costs, known)
    table = _compared(ledger_sums, report_sums)
    table["explanation"] = _explanations(table, recorded, costs, known)
    return table.sort_index().astype({"explanation": pd.StringDtype()})


def _recorded(found: reports.Report, ledger: Ledgers, provider: str | None) -> pd.DataFrame:
    """What the ledger has of these days: its requests, and what turns cost beyond them."""
    import pandas as pd

    from .frame import usage

    period: dict[str, Any] = {"since": min(found.days), "until": max(found.days) + timedelta(days=1)}
    requests = usage(**period, ledger=ledger, by="request", tz="UTC")
    turns = usage(**period, ledger=ledger, tz="UTC")
    turns = turns[turns["extra_cost"] != 0]
    providers = [provider or found.provider] if provider or found.provider != "litellm" else ["litellm", ""]
    requests = requests[requests["provider"].isin(providers)]
    turns = turns[turns["provider"].isin(providers)]
    columns = {
        "day": requests["time"].dt.date,
        "model": requests["model"].astype(str).map(model_key).astype(object),
        "input_tokens": requests["input_tokens"].astype("Int64"),
        "cached_tokens": requests["cache_read_input_tokens"].astype("Int64"),
        "output_tokens": requests["output_tokens"].astype("Int64"),
        "cost": requests["cost"].astype("Float64"),
        "fees": requests["fees"],
        "estimated": requests["estimated"],
        "is_open": requests["state"] != "done",
        "is_lower_bound": requests["is_lower_bound"] & (requests["state"] == "done"),
        "is_request": True,
    }
    extra = {
        "day": turns["time"].dt.date,
        "model": SESSION_TIME,
        **dict.fromkeys(TOKENS, 0),
        "cost": turns["extra_cost"].astype("Float64"),
        "fees": 0.0,
        "estimated": False,
        "is_open": False,
        "is_lower_bound": False,
        "is_request": False,
    }
    parts = [pd.DataFrame(each) for each in (columns, extra)]
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)


def _ledger_sums(recorded: pd.DataFrame, has_models: dict[str, bool], *, apart: bool) -> pd.DataFrame:
    import pandas as pd

    used = recorded[recorded["is_request"]]
    tokens = used if has_models["tokens"] else used.assign(model=ALL)
    costs = recorded
    if not has_models["cost"]:
        costs = recorded.assign(model=ALL)
    elif apart:
        fees = used[used["fees"] != 0]
        costs = pd.concat(
            [
                recorded.assign(cost=recorded["cost"] - recorded["fees"]),
                fees.assign(model=SEARCH, cost=fees["fees"].astype("Float64")),
            ]
        )
    cost = costs.groupby(_KEY)["cost"].sum()
    cost = cost.mask(costs["cost"].isna().groupby([costs["day"], costs["model"]]).any())
    return tokens.groupby(_KEY)[list(TOKENS)].sum().join(cost, how="outer")


def _report_sums(tokens: list[Line], costs: list[Line], known: set[str]) -> pd.DataFrame:
    import pandas as pd

    dollars = [line for line in costs if line.currency == "USD"]
    used = pd.DataFrame(
        [[line.day, _model(line, known), *line[3:6]] for line in tokens], columns=[*_KEY, *TOKENS]
    )
    summed = used.astype(dict.fromkeys(TOKENS, "Int64")).groupby(_KEY)[list(TOKENS)].sum(min_count=1)
    # Decimals, since the sum of many is to be right.
    paid: dict[tuple[Any, str], Decimal] = {}
    for line in dollars:
        key = (line.day, _model(line, known))
        paid[key] = paid.get(key, Decimal(0)) + (line.cost or 0)
    index = pd.MultiIndex.from_tuples(list(paid), names=_KEY) if paid else summed.index[:0]
    cost = pd.Series([float(value) for value in paid.values()], index=index, name="cost", dtype="Float64")
    both = summed.join(cost, how="outer")
    # Where all is in other currencies, there is a row to say so.
    for line in costs:
        if line.currency != "USD" and (key := (line.day, _model(line, known))) not in both.index:
            both.loc[key, :] = pd.NA
    return both


def _model(line: Line, known: set[str]) -> str:
    if line.kind:
        return line.kind
    return next((name for name in line.models if name in known), next(iter(line.models), ALL))


def _compared(ledger_sums: pd.DataFrame, report_sums: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    both = ledger_sums.add_prefix("ledger_").join(report_sums.add_prefix("report_"), how="outer")
    table: dict[str, Any] = {}
    for name in SUMS:
        left, right = both[f"ledger_{name}"], both[f"report_{name}"]
        # A side without a row used nothing; a side that never speaks of it says nothing.
        left = left.mask(~both.index.isin(ledger_sums.index), 0)
        right = (
            right.mask(~both.index.isin(report_sums.index), 0) if report_sums[name].notna().any() else right
        )
        table |= {f"ledger_{name}": left, f"report_{name}": right, f"difference_{name}": right - left}
    return pd.DataFrame(table)


def _explanations(
    table: pd.DataFrame, recorded: pd.DataFrame, costs: list[Line], known: set[str]
) -> list[str]:
    """What the difference of each row may come from, "" where there is none."""
    of_model = dict(list(recorded.groupby(_KEY)))
    of_day = dict(list(recorded.groupby("day")))
    rows_of_table = table.astype(object).where(table.notna(), None).to_dict("records")
    explanations: list[str] = []
    for (day, model), row in zip(table.index, rows_of_table, strict=True):
        rows = of_day.get(day) if model == ALL else of_model.get((day, model))
        lines = [line for line in costs if line.day == day and _model(line, known) == model]
        parts = [f"{amount} {currency} not added" for currency, amount in _foreign(lines).items()]
        is_unknown = rows is not None and bool(rows["cost"].isna().any())
        if is_unknown or any(abs(row[f"difference_{name}"] or 0) > _LITTLE for name in SUMS):
            parts += _reasons(model, row, rows, lines)
        explanations.append("; ".join(parts))
    return explanations


def _foreign(lines: list[Line]) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for line in lines:
        if line.currency != "USD":
            found[line.currency] = found.get(line.currency, Decimal(0)) + (line.cost or 0)
    return found


def _reasons(model: str, row: Mapping[Any, Any], rows: pd.DataFrame | None, lines: list[Line]) -> list[str]:
    parts = [model] if model in (SEARCH, SESSION_TIME) else []
    if elsewhere := sum((line.elsewhere for line in lines), Decimal(0)):
        parts.append(f"{format_usd(elsewhere)} of it paid to the model's own provider")
    if rows is None:
        return parts or ["not in the ledger"]
    reported = {row[f"report_{name}"] for name in SUMS}
    if 0 in reported and not reported - {0, None}:
        parts.append("not in the report")
    if model == ALL:
        parts += [
            f"{what} {format_usd(Decimal(repr(float(usd))))} in the ledger"
            for what, usd in (
                (SEARCH, rows["fees"].sum()),
                (SESSION_TIME, rows.loc[~rows["is_request"], "cost"].sum()),
            )
            if usd
        ]
    estimated = rows[rows["estimated"]]
    if len(estimated):
        cost = Decimal(repr(float(estimated["cost"].sum())))
        parts.append(f"{_requests(len(estimated))} estimated (~{format_usd(cost)})")
    for what, which in (
        ("unpriced", rows["cost"].isna() & ~rows["is_open"]),
        ("never counted to their end", rows["is_open"]),
        ("a lower bound", rows["is_lower_bound"]),
    ):
        if count := int(which.sum()):
            parts.append(f"{_requests(count)} {what}")
    tokens = [row[f"difference_{name}"] for name in SUMS if name != "cost"]
    if not parts and None not in tokens and not any(tokens):
        parts.append("another price")
    if not parts:
        is_more = any((row[f"difference_{name}"] or 0) > 0 for name in SUMS)
        parts.append("a part is not in the ledger" if is_more else "a part is not in the report")
    return parts


def _requests(count: int) -> str:
    return "1 request" if count == 1 else f"{count:,} requests"
