"""The ledger as a DataFrame: its columns, its totals, its pictures, its exports."""

from __future__ import annotations

import inspect
import io
import pydoc
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import praison_nb
from praison_nb import usage
from praison_nb.errors import ConfigError, LedgerError
from praison_nb.metering.analysis import export, read
from praison_nb.metering.ledger import Ledger, TurnRow
from praison_nb.metering.schema import LABELS
from praison_nb.session import Usage

NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ledger") / "made.sqlite"
    return usage.example(path, turns=600, days=40, until=NOW)


@pytest.fixture(scope="module")
def frame(ledger: Path) -> pd.DataFrame:
    return usage(ledger=ledger)


def turn(path: Path, number: int, **more: Any) -> None:
    """One more turn in a ledger."""
    labels = {
        "user": "ann",
        "model": "m",
        "status": "idle",
        "stop_reason": "end_turn",
        **more.pop("labels", {}),
    }
    told = {
        "time": datetime(2026, 1, 1, tzinfo=UTC).timestamp() + number,
        "duration": 1.0,
        "first_text": None,
        "requests": 1,
        "unpriced": 0,
        "usage": Usage(uncached_input_tokens=number),
        "cost": Decimal(number),
        "priced": Decimal(number),
    }
    book = Ledger(path)
    row = TurnRow(id=f"t{number}", labels=tuple(labels.get(n, "") for n in LABELS), **{**told, **more})
    book.write([row])
    book.close()


def test_proper_dtypes(frame: pd.DataFrame) -> None:
    assert len(frame) == 600 and frame["time"].is_monotonic_increasing
    assert str(frame["time"].dtype) == "datetime64[us, UTC]"
    assert {str(frame[name].dtype) for name in LABELS} == {"category"}
    assert {str(frame[name].dtype) for name in ("input_tokens", "output_tokens", "requests")} == {"int64"}
    assert str(frame["cost"].dtype) == "Float64" and str(frame["estimated"].dtype) == "bool"
    assert frame["cost"].isna().sum() == (frame["model"] == "llama3.2").sum() > 0
    assert (frame["input_tokens"] >= frame["cache_read_input_tokens"]).all()
    # It is the user's own: nothing is read-only.
    frame = frame.copy()
    frame.loc[0, "output_tokens"] = 1
    frame["input_tokens"].to_numpy(copy=True)[0] = 1


def test_one_row_a_request(ledger: Path, frame: pd.DataFrame) -> None:
    requests = usage(ledger=ledger, by="request")
    assert len(requests) == frame["requests"].sum()
    sums = requests.groupby("turn")["output_tokens"].sum()
    assert (sums.to_numpy() == frame.set_index("turn").loc[sums.index, "output_tokens"].to_numpy()).all()
    assert {*requests["status"].cat.categories} == {"idle", "error"}
    assert abs(requests["cost"].sum() - frame["known_cost"].sum()) < 1e-9


@pytest.mark.parametrize("by", ["turn", "request"])
def test_filters(ledger: Path, by: Any) -> None:
    everything = usage(ledger=ledger, by=by)
    some = usage(ledger=ledger, by=by, since="2026-03-01", until=date(2026, 3, 8), model="gpt-4o-mini")
    wanted = everything[
        (everything["time"] >= "2026-03-01")
        & (everything["time"] < "2026-03-08")
        & (everything["model"] == "gpt-4o-mini")
    ]
    assert 0 < len(some) == len(wanted)
    assert (some["input_tokens"].to_numpy() == wanted["input_tokens"].to_numpy()).all()
    notebook = everything["notebook"].iloc[0]
    there = usage(ledger=ledger, by=by, notebook=notebook, session="main", since=datetime(2026, 3, 1))
    assert {*there["notebook"]} == {notebook} and {*there["session"]} == {"main"}
    assert usage(ledger=ledger, by=by, model="none of these").empty


def test_bad_questions_get_one_line(ledger: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"since must be a date, such as '2026-01-31', or how long ago.*not 'soon'"
    ):
        usage(ledger=ledger, since="soon")
    with pytest.raises(ConfigError, match="by must be 'turn' or 'request', not 'word'"):
        usage(ledger=ledger, by="word")
    with pytest.raises(ConfigError, match=r"model must be text, not \['gpt-4o'\]"):
        usage(ledger=ledger, model=["gpt-4o"])
    with pytest.raises(LedgerError, match="There is no ledger"):
        usage(ledger=tmp_path / "none.sqlite")
    with pytest.raises(LedgerError, match="There is no ledger"):
        usage.by("day", ledger=tmp_path / "none.sqlite")
    with pytest.raises(ConfigError, match="no totals by 'shoe'"):
        usage.by("shoe", ledger=ledger)
    (tmp_path / "text").write_text("no database" * 1000)
    with pytest.raises(LedgerError, match="is damaged, or no ledger"):
        usage(ledger=tmp_path / "text")
    assert not (tmp_path / "none.sqlite").exists()


@pytest.mark.parametrize("days", [0, 1])
def test_a_sample_of_less_than_a_day(tmp_path: Path, days: int) -> None:
    end = datetime(2026, 3, 2, 23, 59, tzinfo=UTC)
    times = usage(ledger=usage.example(tmp_path / "l.sqlite", turns=5, days=days, until=end))["time"]
    assert len(times) == 5 and ((end - timedelta(days=days) <= times) & (times <= end)).all()


def test_before_the_first_turn_there_is_an_empty_frame() -> None:
    frame = usage()
    assert frame.empty and "cost" in frame and frame.agent.by("model").empty
    assert usage.by("day").empty and usage(by="request").empty
    assert frame.agent.forecast(NOW).month_end == 0
    frame.agent.plot().savefig(io.BytesIO())


@pytest.mark.parametrize(
    "key",
    ["model", "day", "hour", "week", "month", "session", "cell", "notebook", "user", "provider", "error"],
)
def test_totals_in_sql_and_of_a_frame_are_the_same(ledger: Path, frame: pd.DataFrame, key: str) -> None:
    by_sql, of_frame = usage.by(key, ledger=ledger), frame.agent.by(key)
    assert [*of_frame.columns[-4:]] == [
        "p50_seconds",
        "p95_seconds",
        "p50_first_text_seconds",
        "p95_first_text_seconds",
    ]
    of_frame = of_frame[by_sql.columns]
    of_frame.index = of_frame.index.astype(by_sql.index.dtype)
    if key not in ("day", "hour", "week", "month"):
        by_sql, of_frame = by_sql.sort_index(), of_frame.sort_index()
    pd.testing.assert_frame_equal(by_sql, of_frame, check_dtype=False, check_freq=False, rtol=1e-12)
    assert by_sql["turns"].sum() == 600


def test_totals_computed_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    cached = Usage(uncached_input_tokens=25, cache_read_input_tokens=75, output_tokens=10)
    turn(path, 1, usage=cached, cost=Decimal("0.5"), priced=Decimal("0.5"), duration=2.0, first_text=0.5)
    turn(path, 2, usage=cached, cost=Decimal("0.1"), priced=Decimal("0.1"), duration=4.0)
    failed = {"status": "error", "stop_reason": "error", "error": "ServerError"}
    turn(path, 3, usage=Usage(), cost=Decimal("0.3"), priced=Decimal("0.3"), labels=failed)
    turn(path, 4, usage=Usage(output_tokens=1), cost=None, priced=Decimal("0.05"), unpriced=1)
    (row,) = (row for _, row in usage(ledger=path).agent.by("model").iterrows())
    assert {name: row[name] for name in ("turns", "successes", "failures", "without_price")} == {
        "turns": 4,
        "successes": 3,
        "failures": 1,
        "without_price": 1,
    }
    assert (row["input_tokens"], row["cached_tokens"], row["output_tokens"]) == (200, 150, 21)
    assert row["cache_hit_ratio"] == 0.75 and abs(row["cost"] - 0.95) < 1e-12
    assert abs(row["cost_per_success"] - 0.95 / 3) < 1e-12
    assert row["p50_seconds"] == 1.5 and row["p50_first_text_seconds"] == 0.5
    nothing_known = usage(ledger=path, since="2026-01-01T00:00:04").agent.by("model")
    assert nothing_known["cost"].iloc[0] == 0.05


def test_a_group_in_which_nothing_has_a_price_costs_na_and_not_0(ledger: Path, frame: pd.DataFrame) -> None:
    for table in (frame.agent.by("model"), usage.by("model", ledger=ledger)):
        assert table.loc["llama3.2", "cost"] is pd.NA
        assert table.loc["llama3.2", "without_price"] == table.loc["llama3.2", "turns"]
        assert [*table.index][-1] == "llama3.2"


def test_the_accessor_is_for_our_frames() -> None:
    with pytest.raises(AttributeError, match=r"of praison_nb\.usage\(\)"):
        pd.DataFrame({"a": [1]}).agent  # noqa: B018


def test_a_forecast_says_how_it_was_made(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    for day in (1, 2, 3, 4):
        at = datetime(2026, 4, day, 9, tzinfo=UTC).timestamp()
        turn(path, day, time=at, cost=Decimal(2), priced=Decimal(2))
    told = usage(ledger=path).agent.forecast(datetime(2026, 4, 5, tzinfo=UTC))
    # Four days of $2, and 26 days of April are left.
    assert (told.per_day, told.month_so_far, told.month_end) == (2.0, 8.0, 60.0)
    assert (told.low, told.high) == (60.0, 60.0)
    assert "the mean of the last 4 whole days (UTC)" in str(told) and "26.0 days left" in told.method
    turn(path, 9, time=datetime(2026, 4, 4, 10, tzinfo=UTC).timestamp(), cost=None, unpriced=1)
    assert "1 turns without a price" in str(
        usage(ledger=path).agent.forecast(datetime(2026, 4, 5, tzinfo=UTC))
    )


def test_pictures(frame: pd.DataFrame) -> None:
    figure = frame.agent.plot()
    titles = [axes.get_title() for axes in figure.axes]
    unpriced = frame["cost"].isna().sum()
    assert titles == [
        f"Cost by day, USD · {unpriced} turns without a price left out",
        "Most expensive cells, USD",
        "Input from the cache, %",
        "Seconds to the first text, and of the whole turn",
    ]
    bars = sum(bar.get_height() for bar in figure.axes[0].patches)
    assert abs(bars - frame["cost"].sum()) < 1e-9
    assert figure.get_facecolor()[3] == 0 and figure.axes[0].get_facecolor()[3] == 0
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_exports_have_opentelemetrys_names(frame: pd.DataFrame, tmp_path: Path) -> None:
    assert {*frame.columns} <= {*export.ATTRIBUTES}
    for kind, load in (("csv", pd.read_csv), ("parquet", pd.read_parquet)):
        told = load(export.write(frame, str(tmp_path / f"turns.{kind}"), kind))
        total = told["gen_ai.usage.input_tokens"].sum()
        assert total == frame["input_tokens"].sum()
        assert told["gen_ai.usage.cache_write.input_tokens"].sum() == (
            frame["cache_write_5m_input_tokens"].sum() + frame["cache_write_1h_input_tokens"].sum()
        )
        assert (told["praison_nb.cost.usd"].isna() == frame["cost"].isna()).all()
    documented = (Path(__file__).parents[2] / "docs" / "usage.md").read_text()
    for ours, theirs in export.ATTRIBUTES.items():
        assert f"| `{ours}` | `{theirs}` |" in documented


def test_with_and_without_the_extra_the_same_rows_come(
    ledger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = shutil.copy(ledger, tmp_path / "copy.sqlite")
    turn(ledger, 9999, fees=Decimal("0.5"), active=7.0, unpriced=1, cost=None)
    monkeypatch.setattr(read, "WORTH_ADBC", 1)
    found = []
    by_adbc = read._by_adbc

    def noted(*told: Any) -> Any:
        found.append(by_adbc(*told))
        return found[-1]

    monkeypatch.setattr(read, "_by_adbc", noted)
    tables = "turns", "requests"
    fast = [read.rows(ledger, table, read.Filter()) for table in tables]
    for module in ("adbc_driver_sqlite", "pyarrow"):
        monkeypatch.setitem(sys.modules, module, None)
    slow = [read.rows(ledger, table, read.Filter()) for table in tables]
    assert [each is None for each in found] == [False, False, True, True]
    cells = sum(len(column) for query in found[0] for column in query)
    assert cells < 0.6 * sum(map(len, fast[0].values())), "columns that hardly vary are not read: 0.55"
    with closing(sqlite3.connect(ledger)) as connection:
        for table, one, other in zip(tables, fast, slow, strict=True):
            for name, column in other.items():
                plain = connection.execute(f"SELECT coalesce({name}, {read.NULL}) FROM {table} ORDER BY n")
                assert [*column] == [*one[name]] == [value for (value,) in plain], name


# The file of old turns


def test_old_turns_are_kept_and_new_ones_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "WORTH_KEEPING", 50)
    path = usage.example(tmp_path / "l.sqlite", turns=100, until=NOW)
    plain = usage(ledger=path)
    assert read.old_turns(path).exists()
    assert usage(ledger=path).equals(plain)
    turn(path, 9999, time=datetime.now(UTC).timestamp())
    assert read.old_turns(path).exists()
    again = usage(ledger=path)
    assert len(again) == 101
    pd.testing.assert_frame_equal(
        again.iloc[:100][["time", "input_tokens", "cost"]], plain[["time", "input_tokens", "cost"]]
    )
    assert (
        len(usage(ledger=path, model="gpt-4o", since="2026-03-01"))
        == ((plain["model"] == "gpt-4o") & (plain["time"] >= "2026-03-01")).sum()
    )
    for frame in (plain, again):
        frame.loc[0, ["output_tokens", "unpriced_requests"]] = -1
    assert usage(ledger=path)["output_tokens"].iloc[0] >= 0


def test_an_old_turn_that_goes_on_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "WORTH_KEEPING", 50)
    path = usage.example(tmp_path / "l.sqlite", turns=100, until=NOW)
    turn(path, 1, labels={"status": "running"}, duration=60.0)
    for seconds in (90_000.0, 100_000.0):
        usage(ledger=path)
        assert read.old_turns(path).exists()
        # Taken up again, it still began when it began.
        turn(path, 1, duration=seconds)
        frame = usage(ledger=path)
        last = frame[frame["turn"] == frame["turn"].max()].iloc[0]
        assert (last["seconds"], last["status"]) == (seconds, "idle") and len(frame) == 101


def test_a_turn_that_becomes_old_this_second_is_not_kept_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read, "WORTH_KEEPING", 50)
    path = usage.example(tmp_path / "l.sqlite", turns=100, until=NOW)
    second = int(read.time.time())
    turn(path, 9999, time=second + 0.5 - read.OLD_SECONDS, duration=1.0)
    with monkeypatch.context() as patch:
        patch.setattr(read.time, "time", lambda: second + 0.9)
        usage(ledger=path)
    assert read.old_turns(path).exists()
    turn(path, 9999, time=second + 0.5 - read.OLD_SECONDS, duration=2.0)
    assert usage(ledger=path)["seconds"].iloc[-1] == 2.0


def test_a_file_of_old_turns_by_a_clock_that_was_ahead_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read, "WORTH_KEEPING", 50)
    path = usage.example(tmp_path / "l.sqlite", turns=100, days=1, until=datetime.now(UTC))
    ahead = datetime.now(UTC).timestamp() + 2 * read.OLD_SECONDS
    with monkeypatch.context() as patch:
        patch.setattr(read.time, "time", lambda: ahead)
        usage(ledger=path)
    assert read.old_turns(path).exists()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE turns SET output_tokens = -1")
    assert (usage(ledger=path)["output_tokens"] == -1).all()


def test_a_file_of_old_turns_that_is_another_ledgers_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read, "WORTH_KEEPING", 50)
    path = usage.example(tmp_path / "l.sqlite", turns=100, until=NOW)
    assert len(usage(ledger=path)) == 100
    # Turns are taken out by hand; a damaged file; another ledger in its place.
    connection = sqlite3.connect(path)
    connection.execute("DELETE FROM requests")
    connection.execute("DELETE FROM turns WHERE n = 7")
    connection.commit()
    connection.close()
    assert len(usage(ledger=path)) == 99
    read.old_turns(path).write_bytes(b"\x93NUMPY")
    assert len(usage(ledger=path)) == 99
    np.save(read.old_turns(path), np.ones((3, 3)))
    assert len(usage(ledger=path)) == 99
    path.unlink()
    usage.example(path, turns=60, until=NOW, seed=2)
    assert len(usage(ledger=path)) == 60


def test_an_old_turn_that_is_changed_by_hand_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it is changed while the file is being made."""
    monkeypatch.setattr(read, "WORTH_KEEPING", 50)
    path = usage.example(tmp_path / "l.sqlite", turns=100, until=NOW)
    usage(ledger=path)
    keep = read._keep

    def change(tokens: int) -> None:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE turns SET output_tokens = ? WHERE n = 7", (tokens,))

    def late(*kept: Any) -> None:
        change(2)
        keep(*kept)

    monkeypatch.setattr(read, "_keep", late)
    change(1)
    assert read.rows(path, "turns", read.Filter())["output_tokens"][6] == 1
    assert read.rows(path, "turns", read.Filter())["output_tokens"][6] == 2


@pytest.mark.parametrize("gone", ["n = (SELECT max(label) FROM turns)", "1"], ids=["one", "all"])
def test_what_a_user_took_away_by_hand_is_nobodys(tmp_path: Path, gone: str) -> None:
    path = usage.example(tmp_path / "l.sqlite", turns=30, until=NOW)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"DELETE FROM labels WHERE {gone}")
        labels = [n for (n,) in connection.execute("SELECT n FROM labels")]
        named = [n in labels for (n,) in connection.execute("SELECT label FROM turns ORDER BY time")]
        connection.execute("DELETE FROM turns WHERE n = (SELECT max(turn) FROM requests)")
        last = 30 - connection.execute("SELECT count(*) FROM turns").fetchone()[0]
    frame, requests = usage(ledger=path), usage(ledger=path, by="request")
    for name in ("user", "model", "status"):
        assert [*frame[name].notna()] == named[: 30 - last]
    assert pd.isna(requests["status"].iloc[-1])


@pytest.mark.parametrize("size", [0, 1, 30, 500, -30])
def test_a_file_of_old_turns_that_was_cut_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(read, "WORTH_KEEPING", 50)
    path = usage.example(tmp_path / "l.sqlite", turns=100, until=NOW)
    usage(ledger=path)
    read.old_turns(path).write_bytes(read.old_turns(path).read_bytes()[:size])
    assert len(usage(ledger=path)) == 100


# Names


def test_the_name_is_an_object_that_help_and_completion_show() -> None:
    code = (
        "import praison_nb; first = praison_nb.usage; import praison_nb.metering.prices; "
        "assert praison_nb.usage is first and callable(first); from praison_nb import usage, reconcile; "
        "import sys; print('pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    assert praison_nb.usage is usage and {"by", "example"} <= {*dir(usage)}
    shown = pydoc.render_doc(usage, renderer=pydoc.plaintext)
    for function, name in ((usage, "since"), (usage.by, "name"), (usage.example, "path")):
        assert next(iter(inspect.signature(function).parameters)) == name
        assert inspect.cleandoc(inspect.getdoc(function) or "").split("\n")[0] in shown
