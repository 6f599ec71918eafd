"""The ledger beside what providers and gateways report."""

from __future__ import annotations

import gzip
import json
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import praison_nb
from praison_nb.errors import ConfigError
from praison_nb.metering.ledger import Ledger, RequestRow, TurnRow
from praison_nb.metering.schema import LABELS
from praison_nb.session import Usage

DAY = date(2026, 1, 1)
AT = datetime(2026, 1, 1, 23, 59, tzinfo=UTC).timestamp()


def note(path: Path, provider: str, model: str, usage: Usage, cost: str | None, **more: Any) -> None:
    """One more request in a ledger, in a turn of its own that cost `extra_cost` beyond it."""
    labels = tuple({"provider": provider, "model": model}.get(name, "") for name in LABELS)
    extra = Decimal(more.pop("extra_cost", 0))
    usd = None if cost is None else Decimal(cost)
    common: dict[str, Any] = {
        "labels": labels,
        "time": AT,
        "duration": 1.0,
        "first_text": None,
        "usage": usage,
    }
    with closing(Ledger(path)) as book:
        key = f"{provider} {model} {len(book.read('SELECT n FROM turns'))}"
        priced = (usd or Decimal(0)) + extra
        turn = TurnRow(
            id=key, **common, requests=1, unpriced=usd is None, cost=priced, priced=priced, extra_cost=extra
        )
        book.write([turn, RequestRow(id=key, turn=key, **common, cost=usd, **more)])


ANTHROPIC_USAGE = {
    "data": [
        {
            "starting_at": "2026-01-01T00:00:00Z",
            "ending_at": "2026-01-02T00:00:00Z",
            "results": [
                {
                    "uncached_input_tokens": 100,
                    "cache_creation": {"ephemeral_1h_input_tokens": 3, "ephemeral_5m_input_tokens": 7},
                    "cache_read_input_tokens": 50,
                    "output_tokens": 20,
                    "model": "claude-sonnet-4-5-20250929",
                }
            ],
        }
    ],
    "has_more": False,
}
ANTHROPIC_COST = {
    "data": [
        {
            "starting_at": "2026-01-01T00:00:00Z",
            "results": [
                {
                    "amount": "12.5",
                    "currency": "USD",
                    "model": "claude-sonnet-4-5",
                    "token_type": "output_tokens",
                },
                {"amount": "7.5", "currency": "USD", "model": "claude-sonnet-4-5", "token_type": "uncached"},
            ],
        }
    ]
}
OPENAI_USAGE = {
    "object": "page",
    "data": [
        {
            "start_time": 1767225600,
            "results": [
                {
                    "input_tokens": 160,
                    "output_tokens": 25,
                    "input_cached_tokens": 50,
                    "model": "gpt-4o-mini-2024-07-18",
                }
            ],
        }
    ],
}
OPENAI_COST = {
    "data": [
        {
            "start_time": 1767225600,
            "results": [
                {"amount": {"value": 0.15, "currency": "usd"}, "line_item": "gpt-4o-mini-2024-07-18, input"},
                {"amount": {"value": 0.05, "currency": "usd"}, "line_item": "gpt-4o-mini-2024-07-18, output"},
            ],
        }
    ]
}
ANTHROPIC_CSV = """usage_date_utc,model_version,workspace,usage_input_tokens_no_cache,\
usage_input_tokens_cache_write_5m,usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,usage_output_tokens
2026-01-01,claude-sonnet-4-5-20250929,Default,100,7,3,50,20
"""
OPENAI_CSV = """start_time,start_time_iso,amount_value,amount_currency,line_item
1767225600,2026-01-01T00:00:00+00:00,0.15,usd,"gpt-4o-mini-2024-07-18, input"
1767225600,2026-01-01T00:00:00+00:00,0.05,usd,"gpt-4o-mini-2024-07-18, output"
"""


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A ledger in which each provider's model used 160 in (50 cached) and 20 out, for 0.20 USD."""
    path = tmp_path / "recorded.sqlite"
    used = Usage(
        uncached_input_tokens=100,
        cache_read_input_tokens=50,
        cache_write_5m_input_tokens=10,
        output_tokens=20,
    )
    for provider, model in (("anthropic", "claude-sonnet-4-5"), ("openai", "gpt-4o-mini")):
        note(path, provider, model, used, "0.2")
    return path


def _difference(report: Any, recorded: Path) -> dict[str, Any]:
    table = praison_nb.reconcile(report, ledger=recorded)
    ((day, _),) = table.index
    assert day == date(2026, 1, 1)
    return {
        name.removeprefix("difference_"): value for name, value in table.iloc[0].items() if "diff" in name
    }


def test_reconcile_with_anthropics_reports(recorded: Path, tmp_path: Path) -> None:
    told = _difference(ANTHROPIC_USAGE, recorded)
    assert (told["input_tokens"], told["cached_tokens"], told["output_tokens"]) == (0, 0, 0)
    assert told["cost"] is pd.NA
    assert abs(_difference(ANTHROPIC_COST, recorded)["cost"]) < 1e-12
    both = _difference([ANTHROPIC_USAGE, ANTHROPIC_COST], recorded)
    assert both["input_tokens"] == 0 and abs(both["cost"]) < 1e-12
    file = tmp_path / "export.csv"
    file.write_text(ANTHROPIC_CSV)
    assert _difference(file, recorded)["input_tokens"] == 0


def test_reconcile_with_openais_reports(recorded: Path, tmp_path: Path) -> None:
    told = _difference(OPENAI_USAGE, recorded)
    assert (told["input_tokens"], told["cached_tokens"], told["output_tokens"]) == (0, 0, 5)
    file = tmp_path / "costs.csv"
    file.write_text(OPENAI_CSV)
    for report in (OPENAI_COST, file):
        assert abs(_difference(report, recorded)["cost"]) < 1e-12


def test_reconcile_shows_what_only_one_side_has(recorded: Path) -> None:
    report = {
        "data": [
            {
                "start_time": 1767225600,
                "results": [{"input_tokens": 1, "output_tokens": 2, "model": "gpt-4o"}],
            }
        ]
    }
    table = praison_nb.reconcile(report, ledger=recorded)
    assert [model for _, model in table.index] == ["gpt-4o", "gpt-4o-mini"]
    assert [*table["difference_input_tokens"]] == [1, -160]
    assert [*table["ledger_output_tokens"]] == [0, 20]


@pytest.mark.parametrize(
    ("report", "says"),
    [
        ({"data": [], "has_more": False}, "speaks of no usage"),
        ({**ANTHROPIC_USAGE, "has_more": True}, "has more pages"),
        ([ANTHROPIC_USAGE, OPENAI_USAGE], "one provider's reports"),
        ({"rows": []}, "no usage or cost report"),
        (
            {"data": [{"starting_at": "2026-01-01T00:00:00Z", "results": [{}]}]},
            "not as its provider writes it",
        ),
        ("/no/such/report.json", "cannot be read"),
    ],
)
def test_a_report_that_cannot_be_read(recorded: Path, report: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        praison_nb.reconcile(report, ledger=recorded)


# As they are exported

SECONDS = 1767225600
COSTS = (
    "start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,line_item,project_id\n"
    f"{SECONDS},{SECONDS + 86400},2026-01-01T00:00:00+00:00,x,0.2,usd,,\n"
    f"{SECONDS - 86400},{SECONDS},2025-12-31T00:00:00+00:00,x,,,,\n"
)
USED = (
    "start_time,end_time,start_time_iso,num_model_requests,model,input_tokens,output_tokens,input_cached_tokens\n"
    f"{SECONDS},{SECONDS + 86400},2026-01-01T00:00:00+00:00,1.0,gpt-4o-mini-2024-07-18,160.0,20.0,50.0\n"
    f"{SECONDS + 86400},{SECONDS + 172800},2026-01-02T00:00:00+00:00,,,,,\n"
)


def rows(report: Any, ledger: Path, **how: Any) -> dict[str, dict[str, Any]]:
    """The table's rows of the day, by model; None for what is not known."""
    table = praison_nb.reconcile(report, ledger=ledger, **how)
    assert {day for day, _ in table.index} == {DAY}
    known = table.astype(object).where(table.notna(), None).to_dict("records")
    return {model: row for (_, model), row in zip(table.index, known, strict=True)}


def written(path: Path, data: str | bytes) -> Path:
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text,
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace(",", ";"),
        lambda text: text.replace(",", "\t"),
        lambda text: text.encode("utf-16"),
        lambda text: gzip.compress(text.encode()),
        lambda text: text + "\n",
    ],
    ids=["plain", "BOM", "Windows", "semicolons", "tabs", "UTF-16", "gz", "empty line"],
)
def test_a_csv_however_it_was_saved(recorded: Path, tmp_path: Path, change: Any) -> None:
    whole = rows(written(tmp_path / "costs.csv", change(COSTS)), recorded)["(all models)"]
    assert (
        whole["difference_cost"] == pytest.approx(0, abs=1e-12) and whole["difference_input_tokens"] is None
    )
    used = rows(written(tmp_path / "used.csv", change(USED)), recorded)["gpt-4o-mini"]
    assert [used[f"difference_{name}_tokens"] for name in ("input", "cached", "output")] == [0, 0, 0]


def test_a_decimal_comma_is_refused_in_one_line(recorded: Path, tmp_path: Path) -> None:
    german = COSTS.replace(",", ";").replace("0.2", "0,2")
    with pytest.raises(ConfigError, match=r"'0,2' is no number\. Export it with a decimal point"):
        praison_nb.reconcile(written(tmp_path / "de.csv", german), ledger=recorded)
    with pytest.raises(ConfigError, match=r"Line 2 of the report .* not as many columns as the first"):
        praison_nb.reconcile(written(tmp_path / "de.csv", COSTS.replace("0.2", "0,2")), ledger=recorded)
    with pytest.raises(ConfigError, match=r"'1\.5' is no number of tokens"):
        praison_nb.reconcile(written(tmp_path / "x.csv", USED.replace("160.0", "1.5")), ledger=recorded)


def test_hourly_buckets_on_pages_in_one_file(recorded: Path, tmp_path: Path) -> None:
    pages = [
        {
            "data": [
                {
                    "start_time": SECONDS + 3600 * hour,
                    "results": [
                        {
                            "input_tokens": 80,
                            "output_tokens": 10,
                            "input_cached_tokens": 25,
                            "model": "gpt-4o-mini",
                        }
                    ],
                }
            ],
            "has_more": hour == 22,
        }
        for hour in (22, 23)
    ]
    for text in (json.dumps(pages), "\n".join(map(json.dumps, pages))):
        row = rows(written(tmp_path / "pages.json", text), recorded)["gpt-4o-mini"]
        assert row["difference_input_tokens"] == 0 and row["explanation"] == ""
    with pytest.raises(ConfigError, match="more pages"):
        praison_nb.reconcile(pages[:1], ledger=recorded)
    # All pages of the costs do not stand for those of the usage.
    with pytest.raises(ConfigError, match="more pages"):
        praison_nb.reconcile([pages[0], OPENAI_COST], ledger=recorded)


def test_a_day_without_usage_is_compared_too(recorded: Path) -> None:
    report = {"data": [{"start_time": SECONDS, "end_time": SECONDS + 86400, "results": []}]}
    row = rows(report, recorded)["gpt-4o-mini"]
    assert row["ledger_input_tokens"] == 160 and row["report_input_tokens"] is None


def test_what_does_not_tell_models_apart_is_compared_in_all(recorded: Path) -> None:
    note(recorded, "openai", "gpt-4o", Usage(output_tokens=5), "0.1")
    result = {"input_tokens": 160, "output_tokens": 25, "input_cached_tokens": 50, "model": None}
    used = {"data": [{"start_time": SECONDS, "results": [result]}]}
    cost = {"data": [{"start_time": SECONDS, "results": [{"amount": {"value": 0.3, "currency": "usd"}}]}]}
    row = rows([used, cost], recorded)["(all models)"]
    assert row["difference_output_tokens"] == 0 and row["difference_cost"] == pytest.approx(0, abs=1e-12)
    by_model = rows([OPENAI_USAGE, cost], recorded)
    assert by_model["gpt-4o-mini"]["difference_input_tokens"] == 0
    assert by_model["gpt-4o-mini"]["report_cost"] is None
    assert by_model["(all models)"]["difference_cost"] == pytest.approx(0, abs=1e-12)


def test_differences_are_explained_by_line(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    sonnet = "claude-sonnet-4-20250514"
    note(path, "anthropic", sonnet, Usage(output_tokens=5), "0.13", fees=Decimal("0.03"), extra_cost="0.02")
    note(path, "anthropic", sonnet, Usage(output_tokens=5, estimated=True), "0.1")
    note(path, "anthropic", "claude-new", Usage(output_tokens=5), None)
    results = [
        {"amount": "25", "currency": "USD", "cost_type": "tokens", "model": sonnet},
        {"amount": "4", "currency": "USD", "cost_type": "web_search", "model": None},
        {"amount": "3", "currency": "USD", "cost_type": "session_usage", "model": None},
        {"amount": "7", "currency": "EUR", "cost_type": "tokens", "model": sonnet},
        {
            "amount": "1",
            "currency": "USD",
            "cost_type": "tokens",
            "description": "Claude Opus 4.5 Usage - Input",
        },
    ]
    found = rows({"data": [{"starting_at": "2026-01-01T00:00:00Z", "results": results}]}, path)
    told = {name: (row["difference_cost"], row["explanation"]) for name, row in found.items()}
    assert told.pop("claude-sonnet-4") == (
        pytest.approx(0.05),
        "0.07 EUR not added; 1 request estimated (~$0.1000)",
    )
    assert told.pop("search") == (pytest.approx(0.01), "search")
    assert told.pop("session time") == (pytest.approx(0.01), "session time")
    assert told.pop("claude-new") == (None, "not in the report; 1 request unpriced")
    assert told.pop("claude-opus-4-5") == (pytest.approx(0.01), "not in the ledger")
    assert not told
    whole = {"amount": "33", "currency": "USD", "cost_type": None, "model": None}
    row = rows({"data": [{"starting_at": "2026-01-01T00:00:00Z", "results": [whole]}]}, path)["(all models)"]
    assert "search $0.0300 in the ledger; session time $0.0200 in the ledger" in row["explanation"]
    assert "1 request estimated" in row["explanation"] and "1 request unpriced" in row["explanation"]


def test_a_report_in_another_currency_is_not_added(recorded: Path, tmp_path: Path) -> None:
    row = rows(written(tmp_path / "c.csv", COSTS.replace("usd", "eur")), recorded)["(all models)"]
    assert row["report_cost"] is None and "0.2 EUR not added" in row["explanation"]


@pytest.mark.parametrize(
    ("shown", "model"),
    [
        ("Claude Haiku 4.5", "claude-haiku-4-5-20251001"),
        ("Claude Sonnet 4", "claude-sonnet-4-20250514"),
        ("Claude Sonnet 3.7", "claude-3-7-sonnet-20250219"),
        ("Claude 3.5 Haiku", "claude-3-5-haiku-latest"),
        ("Claude Opus 4.6 (Fast)", "claude-opus-4-6"),
    ],
)
def test_display_names(tmp_path: Path, shown: str, model: str) -> None:
    path = tmp_path / "l.sqlite"
    note(path, "anthropic", model, Usage(output_tokens=5), "0.12")
    text = (
        "usage_date_utc,model,workspace,token_type,cost_usd,list_price_usd,cost_type\n"
        f"2026-01-01,{shown},Default,input_no_cache,0.12,0.12,token\n"
    )
    (row,) = rows(written(tmp_path / "cost.csv", text), path).values()
    assert abs(row["difference_cost"]) < 1e-12


def test_openrouters_activity(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    slug = "meta-llama/llama-3.3-70b-instruct"
    note(path, "openrouter", slug, Usage(uncached_input_tokens=194, output_tokens=2), "0.0001")
    text = (
        "generation_id,created_at,cost_total,byok_usage_inference,tokens_prompt,tokens_completion,tokens_cached,"
        "model_permaslug,variant\n"
        f"gen-1,2026-01-01 12:00:00.000,0.0001,0,194,2,0,{slug},standard\n"
    )
    row = rows(written(tmp_path / "a.csv", text), path)[slug]
    assert row["difference_input_tokens"] == 0 and abs(row["difference_cost"]) < 1e-12
    row = rows(written(tmp_path / "b.csv", text.replace("0.0001", "0.0002")), path)[slug]
    assert row["explanation"] == "another price"
    with pytest.raises(ConfigError, match="'1e400' is no number"):
        praison_nb.reconcile(written(tmp_path / "c.csv", text.replace("0.0001", "1e400")), ledger=path)
    day = {
        "date": "2026-01-01 00:00:00",
        "model": slug,
        "model_permaslug": f"{slug}-2025-04-14",
        "usage": 0.00005,
        "byok_usage_inference": 0.00015,
        "prompt_tokens": 194,
        "completion_tokens": 2,
    }
    row = rows({"data": [day]}, path)[slug]
    assert row["report_cost"] == pytest.approx(0.0002)
    assert row["explanation"].startswith("$0.00015 of it paid to the model's own provider")


def test_litellms_logs(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    note(path, "", "fast", Usage(uncached_input_tokens=100, output_tokens=10), "0.0045")
    log = {
        "request_id": "chatcmpl-1",
        "startTime": "2026-01-01T12:00:00.123Z",
        "spend": 0.0045,
        "prompt_tokens": 100,
        "completion_tokens": 10,
        "model": "azure/gpt-4o",
        "model_group": "fast",
        "metadata": {"user_api_key": None},
    }
    daily = {
        "date": "2026-01-01",
        "metrics": {"spend": 0.0045},
        "breakdown": {
            "models": {"fast": {"metrics": {"spend": 0.0045, "prompt_tokens": 100, "completion_tokens": 10}}}
        },
    }
    summed = {"startTime": "2026-01-01", "spend": 0.0045, "users": {}, "models": {"fast": 0.0045}}
    csv = ",".join(log) + "\n" + ",".join(str(value) for value in log.values()) + "\n"
    pages = {"data": [log], "total": 1, "page": 1, "total_pages": 1}
    for report in (
        [log],
        pages,
        [summed],
        {"results": [daily], "metadata": {"has_more": False}},
        written(tmp_path / "logs.csv", csv),
    ):
        row = rows(report, path)["fast"]
        assert abs(row["difference_cost"]) < 1e-12 and row["explanation"] == ""
        assert row["difference_input_tokens"] in (0, None)
    with pytest.raises(ConfigError, match="more pages"):
        praison_nb.reconcile({**pages, "total_pages": 2}, ledger=path)
    note(path, "openai", "gpt-4o", Usage(uncached_input_tokens=100, output_tokens=10), "0.0045")
    row = rows([{**log, "model_group": "", "model": "gpt-4o"}], path, provider="openai")["gpt-4o"]
    assert row["difference_input_tokens"] == 0


def test_a_spreadsheet_has_rounded_the_seconds(recorded: Path, tmp_path: Path) -> None:
    text = COSTS.replace(f"{SECONDS},{SECONDS + 86400},", "1.77E+09,1.77E+09,")
    row = rows(written(tmp_path / "costs.csv", text), recorded)["(all models)"]
    assert row["difference_cost"] == pytest.approx(0, abs=1e-12)


def test_what_is_no_token_and_no_money_is_left_out(recorded: Path) -> None:
    images = {"object": "organization.usage.images.result", "images": 3, "num_model_requests": 1}
    nothing = {"amount": None, "line_item": None}
    for result in (images, nothing):
        table = rows({"data": [{"start_time": SECONDS, "results": [result]}]}, recorded)
        assert table["gpt-4o-mini"]["report_cost"] is table["gpt-4o-mini"]["report_input_tokens"] is None
