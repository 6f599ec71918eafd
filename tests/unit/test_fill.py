"""Braces in prompts."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from praison_nb.notebook.fill import fill

VARIABLES: dict[str, Any] = {
    "x": 3,
    "name": "Ada",
    "rows": [1, 2],
    "df": pd.DataFrame({"a": [1, 2]}),
    "d": {"k": 5},
}


@pytest.mark.parametrize(
    ("prompt", "filled"),
    [
        ("{x} by {name}", "3 by Ada"),
        ("{df.shape} {len(rows)} {rows[1]} {d['k']}", "[2, 1] 2 2 5"),
        ("{ x }", "3"),
    ],
)
def test_filled(prompt: str, filled: str) -> None:
    assert fill(prompt, VARIABLES) == (filled, [])


@pytest.mark.parametrize(
    "prompt",
    [
        '{"a": 1}',
        '{"a": {"b": [1, 2]}}',
        "{k: v for k, v in rows}",
        "{v for v in rows}",
        "a lone { here",
        "} and {",
        "{}",
        "{1, 2}",
        "{x, name}",
        "{'x'}",
        "{3}",
        "{{ x }}",
        "{{x}}",
        "function f() {\n return x\n}",
        "f'{x!r:>10}' {x:.2f",
        "{x if x else name}",
    ],
)
def test_left_alone(prompt: str) -> None:
    assert fill(prompt, VARIABLES) == (prompt, [])


def test_what_is_not_there_is_left_and_said() -> None:
    prompt = "{nobody} {df.nothing} {rows[9]} {x}"
    filled, problems = fill(prompt, VARIABLES)
    assert filled == "{nobody} {df.nothing} {rows[9]} 3"
    assert problems[0] == "{nobody} is left as it is: nobody is not defined"
    assert "AttributeError" in problems[1] and "IndexError" in problems[2]


def test_why_it_could_not_is_one_short_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing:
        def __getattr__(self, name: str) -> Any:
            raise {"exits": SystemExit, "fails": RuntimeError}[name]("401\nfor sk-1234567890" + "!" * 10_000)

    monkeypatch.setenv("OPENAI_API_KEY", "sk-1234567890")
    prompt = "{m.fails} {m.exits}"
    filled, problems = fill(prompt, {"m": Failing()})
    assert filled == prompt
    for name, problem in zip(("fails: RuntimeError", "exits: SystemExit"), problems, strict=True):
        braces, kind = name.split(": ")
        assert problem.startswith(f"{{m.{braces}}} is left as it is: {kind}: 401 for [key]!!")
        assert len(problem) < 300 and "\n" not in problem


def test_a_data_frame_goes_in_as_a_table() -> None:
    assert "2 rows × 1 columns (a: int64)" in fill("{df}", VARIABLES)[0]


def test_filling_leaves_the_variables_as_they_are() -> None:
    variables = {"x": 1}
    fill("{x} {y}", variables)
    assert variables == {"x": 1}
