"""Questions of those who pay: several keys, tags, time zones, several ledgers, what is dear, how fast."""

from __future__ import annotations

import doctest
import json
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from praison_nb import LocalAgent, LocalAgentConfig, ScriptedBackend, usage
from praison_nb.errors import ConfigError
from praison_nb.events import TextDelta
from praison_nb.metering import tags
from praison_nb.metering.analysis import export, focus
from praison_nb.metering.ledger import Ledger, RequestRow, TurnRow
from praison_nb.metering.schema import LABELS
from praison_nb.session import Usage

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


def note(path: Path, at: datetime, costs: list[str], seconds: float = 60.0, **labels: str) -> None:
    """One more turn in a ledger, with a request each `seconds`."""
    names = {"model": "m", "status": "idle", "stop_reason": "end_turn", **labels}
    texts = tuple(names.get(name, "") for name in LABELS)
    used = Usage(uncached_input_tokens=10, output_tokens=5, reasoning_output_tokens=2)
    common: dict[str, Any] = {"labels": texts, "duration": seconds, "first_text": None}
    paid = sum(map(Decimal, costs), Decimal(0))
    with closing(Ledger(path)) as book:
        key = str(len(book.read("SELECT n FROM turns")))
        total = sum((used for _ in costs), Usage())
        turn = TurnRow(
            id=key,
            time=at.timestamp(),
            requests=len(costs),
            unpriced=0,
            usage=total,
            cost=paid,
            priced=paid,
            **common,
        )
        requests = [
            RequestRow(
                id=f"{key} {n}",
                turn=key,
                time=at.timestamp() + n * seconds,
                usage=used,
                cost=Decimal(cost),
                **common,
            )
            for n, cost in enumerate(costs)
        ]
        book.write([turn, *requests])


def costs_of(table: pd.DataFrame) -> dict[Any, float]:
    return {key: round(float(cost), 9) for key, cost in table["cost"].items()}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A turn over the new year (UTC), and some of two studies."""
    made = tmp_path / "l.sqlite"
    note(made, NEW_YEAR - timedelta(seconds=90), ["1", "2", "4"], tags="step=1,study=churn", user="ann")
    note(made, NEW_YEAR + timedelta(hours=6), ["8"], model="n", tags="study=churn", provider="openai")
    note(made, NEW_YEAR + timedelta(hours=7), ["16"], model="n", tags="study=pricing,x=study=churn")
    return made


def test_money_is_of_the_day_of_its_request(path: Path) -> None:
    days = usage.by("day", ledger=path)
    assert [*days["cost"]] == [3.0, 28.0] and [*days["turns"]] == [1, 2]
    assert [*days["reasoning_tokens"]] == [4, 6]
    assert usage.by("model", since="2026-01-01", ledger=path).loc["m", "cost"] == 4
    assert usage.by("model", until="2026-01-01", ledger=path)["cost"].sum() == 3
    assert usage.by(ledger=path)["cost"].sum() == 31


def test_days_of_a_time_zone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    days = usage.by("day", ledger=path, tz="America/Los_Angeles")
    assert [str(day) for day in days.index] == ["2025-12-31 00:00:00-08:00"] and [*days["cost"]] == [31.0]
    assert usage.by("hour", ledger=path, tz="Asia/Kolkata").index[0] == pd.Timestamp("2026-01-01 05:00+0530")
    frame = usage(ledger=path, tz="Asia/Kathmandu", since="2026-01-01T05:44")
    assert str(frame["time"].dt.tz) == "Asia/Kathmandu" and len(frame) == 2
    assert [*usage(ledger=path, tz="Asia/Tokyo").agent.by("day")["cost"]] == [31.0]
    monkeypatch.setenv("PRAISON_NB_TIMEZONE", "America/Los_Angeles")
    assert len(usage.by("day", ledger=path)) == 1
    with pytest.raises(ConfigError, match="no time zone 'Mars'"):
        usage.by("day", ledger=path, tz="Mars")


def test_a_day_that_has_no_midnight_and_an_hour_that_is_there_twice(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    for hour in (3, 5, 20):  # Beirut's 26 March 2023 began at 1 o'clock.
        note(path, datetime(2023, 3, 25, 20, tzinfo=UTC) + timedelta(hours=hour - 3), ["1"])
    assert [*usage.by("day", ledger=path, tz="Asia/Beirut")["turns"]] == [1, 2]
    for minutes in (0, 60):  # Berlin's 2 o'clock of 25 October 2026.
        note(path, datetime(2026, 10, 25, 0, 30, tzinfo=UTC) + timedelta(minutes=minutes), ["1"])
    assert len(usage.by("hour", ledger=path, since="2026-10-25", tz="Europe/Berlin")) == 2


def test_two_keys_at_once(path: Path) -> None:
    for table in (usage.by(["day", "model"], ledger=path), usage.by("day, model", ledger=path)):
        assert table.index.names == ["day", "model"]
        assert [(str(day.date()), model, cost) for (day, model), cost in costs_of(table).items()] == [
            ("2025-12-31", "m", 3),
            ("2026-01-01", "n", 24),
            ("2026-01-01", "m", 4),
        ]
    of_requests = usage(ledger=path, by="request").agent.by(["day", "model"])
    assert costs_of(of_requests) == costs_of(usage.by(["day", "model"], ledger=path))
    for wrong in ("day,shoe", [], ["day", 3], 3):
        with pytest.raises(ConfigError, match=r"otals are by|no totals by"):
            usage.by(wrong, ledger=path)  # type: ignore[arg-type]


def test_totals_by_a_tag_and_only_those_with_one(path: Path) -> None:
    assert costs_of(usage.by("tag:study", ledger=path)) == {"pricing": 16, "churn": 15}
    assert costs_of(usage.by("tag:step", ledger=path)) == {"": 24, "1": 7}
    by_both = costs_of(usage.by(["tag:study", "model"], ledger=path))
    assert by_both == {("pricing", "n"): 16, ("churn", "n"): 8, ("churn", "m"): 7}
    assert costs_of(usage(ledger=path).agent.by(["tag:study", "model"])) == by_both
    for wanted in ("study=churn", {"study": "churn"}):
        assert usage.by(ledger=path, tags=wanted)["cost"].sum() == 15
        assert len(usage(ledger=path, tags=wanted)) == 2
    assert usage(ledger=path, tags="study=Churn").empty and usage(ledger=path, tags="study=chur").empty
    assert len(usage(ledger=path, provider="openai")) == len(usage(ledger=path, user="ann")) == 1


def test_since_says_how_long_ago(tmp_path: Path) -> None:
    path, now = tmp_path / "l.sqlite", datetime.now(UTC)
    for hours in (1, 25, 24 * 8, 24 * 15):
        note(path, now - timedelta(hours=hours), ["1"])
    found = [len(usage(ledger=path, since=since)) for since in ("30min", "24h", "7d", "2w", "3 w")]
    assert found == [0, 1, 2, 3, 4]
    assert usage.by(since="7d", until="24h", ledger=path)["turns"].sum() == 1
    yesterday = usage(ledger=path, since="yesterday")["time"]
    assert (yesterday >= pd.Timestamp(now.date(), tz="UTC") - timedelta(days=1)).all()
    for wrong in ("7 parsecs", "d", "-7d", ""):
        with pytest.raises(ConfigError, match="since must be a date"):
            usage(ledger=path, since=wrong)


def test_several_ledgers_at_once(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.sqlite"
    note(other, NEW_YEAR, ["32"], model="o", tags="study=churn")
    both = usage(ledger=[path, other])
    assert both["known_cost"].sum() == 63 and both["time"].is_monotonic_increasing
    assert str(both["model"].dtype) == "category" and {*both["model"]} == {"m", "n", "o"}
    assert {*both["ledger"]} == {str(path), str(other)}
    assert costs_of(usage.by("tag:study", ledger=[path, other])) == {"churn": 47, "pricing": 16}
    assert costs_of(usage.by("ledger", ledger=(path, other))) == {str(path): 31, str(other): 32}
    assert costs_of(both.agent.by("ledger")) == {str(path): 31, str(other): 32}
    for wrong, says in (([path, path], "twice"), ([], "empty")):
        with pytest.raises(ConfigError, match=says):
            usage(ledger=wrong)
    with pytest.raises(ConfigError, match="for several ledgers"):
        usage.by("ledger", ledger=path)


def test_the_dearest_cells_and_what_is_out_of_the_ordinary(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    for number in range(9):
        note(path, NEW_YEAR, [f"1.0{number}"], notebook="/a.ipynb", cell=f"c{number % 2}")
    note(path, NEW_YEAR, ["5"], notebook="/a.ipynb", cell="c9")
    note(path, NEW_YEAR, ["50"], model="seldom")
    frame = usage(ledger=path)
    assert costs_of(frame.agent.dearest(2)) == {("/a.ipynb", "c0"): 5.2, ("/a.ipynb", "c9"): 5}
    (found,) = (row for _, row in frame.agent.outliers().iterrows())
    assert (found["cell"], found["cost"]) == ("c9", 5) and found["usual_cost"] == pytest.approx(1.045)
    assert frame.agent.outliers(factor=1000).empty and frame[:0].agent.outliers().empty


def test_the_burn_rate_of_the_running_hour(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    for minutes, cost in ((5, "1"), (50, "2"), (80, "4")):
        note(path, NEW_YEAR + timedelta(minutes=90 - minutes), [cost])
    rate = usage(ledger=path).agent.burn_rate(NEW_YEAR + timedelta(minutes=90))
    assert (rate.so_far, rate.per_hour, rate.hour_end) == (1, 3, 2.5)
    assert str(rate).startswith("$1.00 in the running hour, $3.00 in the last 60 minutes")
    assert usage(ledger=path)[:0].agent.burn_rate().per_hour == 0
    marked = usage(ledger=path).assign(estimated=True, is_lower_bound=True)
    line = str(marked.agent.burn_rate(NEW_YEAR + timedelta(minutes=90)))
    assert line.startswith("≥ ~$1.00 in the running hour, ≥ ~$3.00 in") and "≥ ~$2.50 at its end" in line


def test_focus_charges_add_up(path: Path, tmp_path: Path) -> None:
    note(path, NEW_YEAR, ["0.5"], session_id="s")
    with closing(Ledger(path)) as book:
        book.change("UPDATE turns SET extra_cost = 250000000000, priced = 750000000000 WHERE n = 4", ())
    turns = usage(ledger=path, tz=ZoneInfo("Asia/Tokyo"))
    table = focus.charges(usage(ledger=path, by="request", tz=ZoneInfo("Asia/Tokyo")), turns)
    loaded = pd.read_csv(export.write(table, str(tmp_path / "focus.csv"), "focus"))
    assert loaded["BilledCost"].sum() == loaded["EffectiveCost"].sum() == 31.75
    mandatory = {
        *("BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd"),
        *("BillingPeriodStart", "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargePeriodEnd"),
        *("ChargePeriodStart", "ContractedCost", "EffectiveCost", "InvoiceIssuerName", "ListCost"),
        *(
            "PricingQuantity",
            "PricingUnit",
            "ProviderName",
            "PublisherName",
            "ServiceCategory",
            "ServiceName",
        ),
    }
    assert mandatory <= {*loaded.columns}
    assert all(name in mandatory or name[0].isupper() or name.startswith("x_") for name in loaded.columns)
    # What must not be empty of usage, and what must not be where there is a resource or an SKU.
    needed = {*mandatory, "ConsumedQuantity", "ConsumedUnit", "SkuId", "SkuPriceId", "Tags"} - {"ChargeClass"}
    assert loaded[sorted(needed)].notna().all(axis=None) and loaded["ChargeClass"].isna().all()
    assert {*loaded["PricingCategory"]} == {"Standard"}
    assert (loaded["ResourceId"].notna() <= loaded["ResourceType"].notna()).all()
    assert {*loaded["BillingPeriodStart"]} == {"2025-12-01T00:00:00Z", "2026-01-01T00:00:00Z"}
    assert {*loaded["BillingPeriodEnd"]} == {"2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"}
    assert json.loads(loaded["Tags"][0]) == {"step": "1", "study": "churn"}
    assert loaded.loc[loaded["PricingUnit"] == "Sessions", "BilledCost"].tolist() == [0.25]


def test_json_has_the_rows_too(path: Path, tmp_path: Path) -> None:
    rows = json.loads(export.write(usage(ledger=path), str(tmp_path / "turns.json"), "json").read_text())
    assert [row["praison_nb.cost.usd"] for row in rows] == [7, 8, 16]
    assert (
        rows[0]["timestamp"].startswith("2025-12-31T23:58:30") and rows[0]["gen_ai.usage.input_tokens"] == 30
    )
    assert rows[0]["gen_ai.usage.reasoning.output_tokens"] == 6


# Tags of turns


def test_a_turn_has_the_tags_of_its_agent_its_notebook_and_its_own() -> None:
    config = LocalAgentConfig(
        model="m",
        base_url="http://127.0.0.1:9/v1",
        metadata={"team": "a", "study": "x", "n": 3, "list": [1], "bad name": "x", "comma": "a,b"},
    )
    tags.of_notebook({"study": "churn", "step": "1"})
    try:
        LocalAgent(config=config).begin("Hi", tags={"step": "2"}).wait()
        ScriptedBackend([TextDelta(text="Hello")]).begin("Hi").wait()
        assert [*usage()["tags"]] == ["n=3,step=2,study=churn,team=a", "step=1,study=churn"]
    finally:
        tags.of_notebook(dict.fromkeys(("study", "step"), ""))
    assert tags.of_notebook() == {}


@pytest.mark.parametrize("wrong", [{"a b": "c"}, {"a": "b,c"}, {"a": "b\nc"}, ["a=b"], {"a": "x" * 400}])
def test_tags_that_cannot_be(wrong: Any) -> None:
    backend = ScriptedBackend([TextDelta(text="Hello")])
    with pytest.raises(ConfigError, match=r"tag"):
        backend.begin("Hi", tags=wrong)
    assert usage().empty


def test_the_page_about_it_shows_what_is_so() -> None:
    page = Path(__file__).parents[2] / "docs" / "usage.md"
    result = doctest.testfile(str(page), module_relative=False)
    assert result.attempted > 4 and result.failed == 0
