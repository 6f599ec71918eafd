"""Functions as tools, and values as text."""

from __future__ import annotations

import functools
from typing import Any, Literal

import pandas as pd
import pytest

from praison_nb.errors import ConfigError
from praison_nb.tools import Tool, ToolArgumentError
from praison_nb.values import LIMIT, describe


def plot(kind: Literal["bar", "line"], columns: list[str] | None = None, *, bins: int = 10) -> str:
    """Plot columns.

    Parameters
    ----------
    kind : str
        What to draw.
    bins : int
        How many.
    """
    return f"{kind} {columns} {bins}"


def test_schema_from_signature_and_docstring() -> None:
    tool = Tool.of(plot)
    assert tool.description == "Plot columns."
    properties = tool.schema["properties"]
    assert properties["kind"] == {"enum": ["bar", "line"], "type": "string", "description": "What to draw."}
    assert properties["bins"] == {"default": 10, "type": "integer", "description": "How many."}
    assert tool.schema["required"] == ["kind"] and tool.schema["additionalProperties"] is False


def test_a_function_without_types_takes_anything() -> None:
    def loose(x, y=2):  # type: ignore[no-untyped-def]
        return x, y

    assert Tool.of(loose).bind('{"x": [1]}')() == ([1], 2)


def test_methods() -> None:
    class Box:
        def look(self, inside: int) -> int:
            return inside

    assert Tool.of(Box().look).bind('{"inside": 3}')() == 3


def test_arguments_are_checked_and_text_becomes_numbers() -> None:
    assert Tool.of(plot).bind('{"kind": "bar", "bins": "4"}')() == "bar None 4"
    with pytest.raises(ToolArgumentError, match="kind: Input should be 'bar' or 'line'"):
        Tool.of(plot).bind('{"kind": "pie"}')()


def test_a_function_within_another_is_checked_too() -> None:
    def inner(count: int) -> int:
        return count

    with pytest.raises(ToolArgumentError, match="count: Input should be a valid integer"):
        Tool.of(inner).bind('{"count": "many"}')()


def test_a_validation_error_of_the_functions_own_is_not_blamed_on_the_arguments() -> None:
    from pydantic import TypeAdapter

    def inner() -> None:
        TypeAdapter(int).validate_python("x")

    with pytest.raises(RuntimeError):
        Tool.of(inner).bind("{}")()


def frame_only(df: pd.DataFrame) -> None: ...


def positional(x: int, /) -> None: ...


@pytest.mark.parametrize("function", [frame_only, positional, lambda: 1, functools.partial(plot), 3])
def test_what_a_model_cannot_call(function: Any) -> None:
    with pytest.raises(ConfigError):
        Tool.of(function)


def test_a_table_is_told_compactly() -> None:
    frame = pd.DataFrame({"tenure": range(1000), "churn": [0.5] * 1000})
    text = describe(frame)
    assert "1,000 rows × 2 columns" in text and "tenure: int64" in text
    assert len(text.splitlines()) < 15 and len(text) < 500
    wide = pd.DataFrame([[0] * 500], columns=[f"c{i}" for i in range(500)])
    assert len(describe(wide)) < 2000 and "500 columns" in describe(wide)
    assert "x: int64" in describe(pd.Series([1], name="x"))


def test_values_are_bounded() -> None:
    assert len(describe("x" * 1_000_000)) < LIMIT + 100
    assert len(describe(list(range(100_000)))) < LIMIT + 100
    assert describe(None) == "None" and describe((1, "ä")) == '[1, "ä"]' and describe({1: object}) != ""
