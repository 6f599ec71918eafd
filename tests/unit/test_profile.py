"""What a prompt says of a table."""

from __future__ import annotations

import datetime
import time
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from praison_nb.notebook.fill import fill
from praison_nb.profile import profile

ROWS = 50_000


def churn(rows: int = ROWS) -> pd.DataFrame:
    random = np.random.default_rng(1)
    tenure = random.integers(0, 72, rows)
    contract = random.choice(["Month-to-month", "One year", "Two year"], rows, p=[0.55, 0.25, 0.2])
    leaves = random.random(rows) < np.clip(0.4 - 0.008 * tenure + 0.2 * (contract == "Month-to-month"), 0, 1)
    frame = pd.DataFrame(
        {
            "customer": [f"{number:05d}" for number in range(rows)],
            "tenure": tenure,
            "contract": contract,
            "monthly": random.normal(64, 9, rows).round(2),
            "joined": pd.Timestamp("2020-01-01") + pd.to_timedelta(random.integers(0, 99, rows), "D"),
            "senior": random.random(rows) < 0.16,
            "churn": np.where(leaves, "Yes", "No"),
        }
    )
    frame.loc[::10, "monthly"] = np.nan
    return frame


def lines(value: Any, prompt: str = "") -> list[str]:
    made = profile(value, prompt)
    assert made is not None
    return made.text.splitlines()


def test_the_first_example_can_be_answered() -> None:
    text, (note,) = fill("Which columns of {df} explain churn best?", {"df": churn()})
    assert "50,000 rows × 7 columns, 10 of 50,000 rows, " in note
    told = text.splitlines()
    assert told[0].endswith("DataFrame, 50,000 rows × 7 columns")
    assert told[1].startswith("customer: ") and told[1].endswith(", all different")
    assert told[2] == "tenure: int64, 0 to 71, mean 35.35"
    assert ", 3 different: Month-to-month 55%, One year 25%, Two year 20%" in told[3]
    assert told[4].startswith("monthly: float64, 5,000 missing, 2") and ", mean 63.97" in told[4]
    assert told[5].endswith("2020-01-01 to 2020-04-08") and told[6] == "senior: bool, True 16%"
    correlated = next(line for line in told if line.startswith("correlation with churn=Yes: "))
    assert correlated.index("tenure -0.") < correlated.index("contract=Month-to-month +0.")
    assert "senior" not in correlated and "monthly" not in correlated
    rows = told[told.index("the first 10 of 50,000 rows:") + 1 :]
    assert rows[0] == "customer,tenure,contract,monthly,joined,senior,churn" and len(rows) == 11
    assert len(text) / 3.5 < 350, "some 300 tokens"
    assert "correlat" not in fill("Describe {df}.", {"df": churn()})[0]


@pytest.mark.parametrize(
    "make", [pa.Table.from_pandas, lambda frame: pa.Table.from_pandas(frame).to_batches()[0]]
)
def test_of_other_libraries(make: Any) -> None:
    told = lines(make(churn()), "churn?")
    assert told[0].startswith("Arrow ") and told[0].endswith("50,000 rows × 7 columns")
    assert told[4].startswith("monthly: double, 5,000 missing, ") and told[2].startswith(
        "tenure: int64, 0 to 71, "
    )
    assert told[8].startswith("correlation with churn=Yes: tenure -0.")


def test_polars() -> None:
    polars = pytest.importorskip("polars")
    told = lines(polars.DataFrame({"a": [1, None] * 30, "b": ["x", "y"] * 30, "c": [[1]] * 60}))
    assert told[:3] == [
        "polars DataFrame, 60 rows × 3 columns",
        "a: Int64, 30 missing, 1 to 1, mean 1",
        "b: String, 2 different: x 50%, y 50%",
    ]
    assert lines(polars.Series("s", range(60)))[1] == "s: Int64, 0 to 59, mean 29.5"


def test_the_index_counts_where_it_says_something() -> None:
    by_both = churn(100).set_index(["contract", "customer"])
    told = lines(by_both)
    assert told[0] == "DataFrame, 100 rows × 5 columns"
    assert told[1].startswith("contract (index): ") and told[2].startswith("customer (index): ")
    assert told[-11].startswith("contract,customer,tenure,")
    by_day = pd.DataFrame({"x": range(60)}, index=pd.date_range("2026-01-01", periods=60))
    assert lines(by_day)[1].endswith(", 2026-01-01 to 2026-03-01")
    pairs = pd.MultiIndex.from_product([["x", "y"], [1, 2]])
    assert lines(pd.DataFrame(np.ones((60, 4)), columns=pairs))[4] == "y / 2: float64, 1 to 1, mean 1"
    assert lines(pd.DataFrame([[1, 2]] * 60, columns=["a", "a"]))[2] == "a: int64, 2 to 2, mean 2"


class Odd:
    """Cannot be compared or counted."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (pd.Categorical(["a", "b", "a", "a"] * 15, categories=["a", "b", "c"]), "2 different: a 75%, b 25%"),
        ([["a"], ["b", "c"]] * 30, "values are list"),
        ([{"a": 1}] * 60, "values are dict"),
        ([Odd() for _ in range(60)], "c: object"),
        ([None] * 60, "all missing"),
        (pd.array([1, None] * 30, dtype="Int64"), "30 missing, 1 to 1, mean 1"),
        (pd.array([True, None] * 30, dtype="boolean"), "30 missing, True 100%"),
        ([True, None, False] * 20, "20 missing, True 50%"),
        ([np.inf, -np.inf] * 30, "-inf to inf, mean nan"),
        ([datetime.date(2026, 1, 1), datetime.date(2026, 1, 2)] * 30, "2026-01-01 to 2026-01-02"),
        (pd.date_range("2026-01-01", periods=60, tz="Europe/Berlin"), "2026-01-01 00:00:00+01:00 to "),
        (pd.to_timedelta(range(60), "D"), "0 days to 59 days"),
        (pd.period_range("2020-01", periods=60, freq="M"), "2020-01 to 2024-12"),
        (pd.interval_range(0, 60), "all different"),
        (np.array([1 + 2j] * 60), "1 different: (1+2j) 100%"),
        ([1, "a", None] * 20, "20 missing, 2 different: 1 50%, a 50%"),
        (pd.arrays.SparseArray([0, 1] * 30), "0 to 1, mean 0.5"),
        (["x" * 100, "y"] * 30, f"2 different: {'x' * 31}… 50%, y 50%"),
    ],
)
def test_columns(values: Any, told: str) -> None:
    frame = pd.DataFrame({"c": pd.Series(values), "churn": range(60)})
    text = lines(frame, "churn")
    assert told in text[1], text[1]


def test_values_without_a_hash_take_no_longer() -> None:
    """pandas would compare each of them with all others."""
    frame = pd.DataFrame({"c": [[number] for number in range(50_000)], "churn": range(50_000)})
    before = time.process_time()
    assert lines(frame, "churn by c?")[1] == "c: object, values are list"
    assert time.process_time() - before < 5


@pytest.mark.parametrize("before", ["", "x" * 7, "x" * 9, "x" * 10, "x" * 11, "x" * 14, "x" * 15])
@pytest.mark.parametrize("quote", ["'", '"'])
def test_what_is_cut_within_a_secret_hides_nothing_else(before: str, quote: str) -> None:
    value = f"{before}{{{quote}password{quote}: {quote}hunter2hunter2{quote}, {quote}b{quote}: 1}}"
    text, _ = fill("{df}", {"df": pd.DataFrame({"a": [value] * 60, "b": ["it's 6\""] * 60})})
    assert "hunter2" not in text and "password" in text
    assert "b: str, 1 different: it's 6\" 100%" in text and text.count(',"it\'s 6"""') == 10


def test_a_time_with_a_zone_is_whole() -> None:
    times = pd.date_range("2026-01-01 00:00:00.000001", periods=60, tz="Europe/Berlin")
    assert lines(pd.DataFrame({"a": times}))[-1] == "2026-01-10 00:00:00.000001+01:00"


def test_small_and_empty_ones() -> None:
    assert lines(pd.DataFrame({"a": [1, 2]})) == ["DataFrame, 2 rows × 1 columns (a: int64)", "a", "1", "2"]
    assert lines(churn(0))[0].startswith("DataFrame, 0 rows × 7 columns (customer: ")
    assert lines(pd.DataFrame())[0] == "DataFrame, 0 rows × 0 columns ()"
    many = lines(pd.DataFrame(columns=[f"column {number}" for number in range(3000)]))
    assert many[0] == "DataFrame, 0 rows × 3,000 columns" and "2,9" in many[-1]
    assert profile([1, 2]) is None and profile("text") is None


def test_wide_ones_are_bounded_and_a_named_column_is_there() -> None:
    random = np.random.default_rng(2)
    frame = pd.DataFrame(random.random((2_000, 3_000))).add_prefix("feature_")
    frame["churn rate"] = frame["feature_7"] + random.random(2_000) / 2
    made = profile(frame, "What explains the churn rate?")
    assert made is not None and len(made.text) < 2_500
    assert "churn rate: float64, 0." in made.text and "more columns" in made.text
    assert "correlation with churn rate: feature_7 +0." in made.text
    assert made.note.startswith("3 of 2,000 rows, ") and made.note.endswith(" of 3,001 columns")


def test_large_ones_take_no_longer() -> None:
    rows = 10_000_000
    frame = pd.DataFrame({"a": np.arange(rows), "b": np.arange(rows) % 2 == 0})
    begun = time.thread_time()
    first = profile(frame, "b")
    assert first is not None and time.thread_time() - begun < 3
    head, *columns = first.text.splitlines()
    assert head.startswith("DataFrame, 10,000,000 rows × 2 columns; what is said of columns is by 500,000 ")
    assert columns[1] == "b: bool, True 50%" and first.note == "10 of 10,000,000 rows"
    assert profile(frame, "b") == first, "the same prompt each time"


def test_no_half_of_a_secret_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "secret-of-the-environment")
    frame = pd.DataFrame({"key": ["secret-of-the-environment"] * 60, "n": range(60)})
    text, (note,) = fill("{frame}", {"frame": frame})
    assert "secret" not in text and "without SOME_TOKEN" in note


def test_several_in_a_list_or_dict() -> None:
    text, (note,) = fill("{frames}", {"frames": {"one": churn(100), "two": churn(200)}})
    assert "['one'] DataFrame, 100 rows" in text and "['two'] DataFrame, 200 rows" in text
    assert text.count("tenure: int64") == 2 and "rows" not in note
