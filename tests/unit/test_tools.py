"""Functions as tools, and values as text."""

from __future__ import annotations

import functools
import json
import warnings
from typing import Annotated, Any, Literal

import pandas as pd
import pytest
from pydantic import Field

from praison_nb.errors import ConfigError
from praison_nb.tools.tool import Tool, ToolArgumentError
from praison_nb.values import VALUE_CHARACTERS, redact_and_truncate, value_text


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


def several(*numbers: int) -> None: ...


def misspelt(a: int, b: pd.DataFrme) -> None: ...  # type: ignore[name-defined]


def half(a: int, b: "int or") -> None: ...  # type: ignore[valid-type]  # noqa: F722


def pattern(a: int, b: Annotated[str, Field(pattern="(")]) -> None: ...


def pattern_of_default(a: int, b: str = Field(pattern="(")) -> None: ...


def returns(a: int) -> pd.DataFrme: ...  # type: ignore[name-defined]


def größe(x: int) -> None: ...


class Callable:
    def __call__(self, x: int) -> None: ...


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (frame_only, "Tool frame_only: a model cannot give the parameter df. Use types that JSON has"),
        (positional, "Tool positional: a model gives arguments by name, and x is positional-only."),
        (several, "Tool several: a model gives arguments by name, and *numbers has none for them"),
        (misspelt, "Tool misspelt: a model cannot give the parameter b. "),
        (misspelt, "has no attribute 'DataFrme'"),
        (half, "Tool half: a model cannot give the parameter b. "),
        (pattern, "Tool pattern: a model cannot give the parameter b. "),
        (pattern, "unclosed group"),
        (pattern_of_default, "Tool pattern_of_default: a model cannot give the parameter b. "),
        (returns, "Tool returns: a model cannot give its parameters. "),
        (max, "Tool max: a model"),
        (int, "Tool int: a model"),
        (größe, "Tool größe: models' servers take names of"),
        (lambda: 1, "which a lambda has not: define a function with def"),
        (functools.partial(plot), "which a partial has not: define a function with def"),
        (Callable(), "which a Callable has not: define a function with def"),
        (3, "must be a Python function, not int"),
    ],
)
def test_what_a_model_cannot_call(function: Any, told: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Tool.of(function)
    assert told in str(raised.value) and "\n" not in str(raised.value) and len(str(raised.value)) < 400


NOT_JSON = [float("nan"), float("-inf"), pd.DataFrame({"a": [1]}), object()]


@pytest.mark.parametrize("default", NOT_JSON, ids=lambda default: type(default).__name__)
def test_a_default_that_json_has_not_is_used_and_not_told(default: Any) -> None:
    def untyped(x: Any = default) -> Any:
        return x

    def typed(x: float = default) -> Any:
        return x

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for function in (untyped, typed):
            tool = Tool.of(function)
            assert "default" not in tool.schema["properties"]["x"] and "required" not in tool.schema
            json.dumps(tool.schema, allow_nan=False)
            assert repr(tool.bind("{}")()) == repr(default)


@pytest.mark.parametrize("arguments", ["[" * 100_000, '{"a": ' * 100_000, "{", "[1]"])
def test_arguments_that_are_no_json_object(arguments: str) -> None:
    with pytest.raises(ToolArgumentError, match=r"^The arguments "):
        Tool.of(plot).bind(arguments)


def described(value: object) -> str:
    return redact_and_truncate(value_text(value))


def test_a_table_is_told_compactly() -> None:
    frame = pd.DataFrame({"tenure": range(1000), "churn": [0.5] * 1000})
    text = described(frame)
    assert "1,000 rows × 2 columns" in text and "tenure: int64" in text
    assert len(text.splitlines()) < 15 and len(text) < 500
    wide = pd.DataFrame([[0] * 500], columns=[f"c{i}" for i in range(500)])
    assert len(described(wide)) < 2000 and "500 columns" in described(wide)
    assert "x: int64" in described(pd.Series([1], name="x"))


def test_values_are_bounded() -> None:
    assert len(described("x" * 1_000_000)) < VALUE_CHARACTERS + 100
    assert len(described(list(range(100_000)))) < VALUE_CHARACTERS + 100
    assert described(None) == "None" and described((1, "ä")) == '[1, "ä"]' and described({1: object}) != ""
