"""Functions as tools, and values as text."""

from __future__ import annotations

import datetime
import functools
import json
import warnings
from collections import deque
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pydantic import BaseModel, Field, TypeAdapter

from praison_nb.errors import ConfigError
from praison_nb.tools.mending import tool_name
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


class Point(BaseModel):
    x: int
    label: str = ""


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
        (Point, "Tool Point: a model calls functions, and this is a class: define a function with def"),
        (größe, "Tool größe: models' servers take names of"),
        (lambda: 1, "which a lambda has not: define a function with def"),
        (functools.partial(lambda x: x, 1), "which a lambda has not: define a function with def"),
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


@functools.lru_cache
def cached(n: int, unit: str = "m") -> str:
    """Measure.

    Args:
        n: How many.
    """
    return f"{n} {unit}"


class Shop:
    @functools.cache  # noqa: B019
    def price(self, item: str) -> str:
        return f"{item}: 1"


@pytest.mark.parametrize(
    ("function", "name", "parameters", "result"),
    [
        (cached, "cached", ["n", "unit"], "2 m"),
        (functools.partial(cached, unit="km"), "cached", ["n"], "2 km"),
        (functools.partial(plot, "bar"), "plot", ["columns", "bins"], "bar None 10"),
        (functools.lru_cache(functools.partial(cached, 3)), "cached", ["unit"], "3 m"),
        (functools.partial(functools.partial(plot, bins=3), columns=["x"]), "plot", ["kind"], "bar ['x'] 3"),
        (Shop().price, "price", ["item"], "pen: 1"),
    ],
)
def test_what_a_function_is_wrapped_in(function: Any, name: str, parameters: list[str], result: str) -> None:
    tool = Tool.of(function)
    assert (tool.name, list(tool.schema["properties"])) == (name, parameters)
    given = {"n": 2, "kind": "bar", "item": "pen"}
    arguments = {each: given[each] for each in tool.schema.get("required", ())}
    assert tool.bind(json.dumps(arguments))() == result
    if function is cached:
        assert tool.description == "Measure." and tool.schema["properties"]["n"]["description"] == "How many."
    with pytest.raises(ToolArgumentError, match="Unexpected keyword argument"):
        tool.bind(json.dumps({**arguments, "self": 1, "exponent": 1}))()


def typed(n: int, names: list[str], about: str = "x", limit: int | None = 5, *, deep: bool = True) -> Any:
    return n, names, about, limit, deep


@pytest.mark.parametrize(
    ("arguments", "result"),
    [
        ('"{\\"n\\": 1, \\"names\\": []}"', (1, [], "x", 5, True)),
        (json.dumps(json.dumps('{"n": 1, "names": []}')), (1, [], "x", 5, True)),
        ('{"n": "1", "names": ["a\nb\tc"]}', (1, ["a\nb\tc"], "x", 5, True)),
        ('{"n": 1, "names": "[\\"a\\"]"}', (1, ["a"], "x", 5, True)),
        ("{'n': 1, 'names': [], 'deep': False,}", (1, [], "x", 5, False)),
        ('```json\n{"n": 1, "names": []}\n```', (1, [], "x", 5, True)),
        ('{"n": 1.0, "names": [], "about": null, "deep": null}', (1, [], "x", 5, True)),
        ('{"n": 1, "names": [], "about": 7, "limit": null}', (1, [], "7", None, True)),
        ('{"n": 1, "names": [], "limit": "", "deep": "false"}', (1, [], "x", 5, False)),
        ('{"n": 1, "names": [], "about": "{\\"a\\": 1}"}', (1, [], '{"a": 1}', 5, True)),
        ('{"n": 1, "names": [], "about": 3.10}', (1, [], "3.10", 5, True)),
        ('{"n": 1, "names": ["a", 1e400]}', (1, ["a", "1e400"], "x", 5, True)),
        ("""{"n": 1, "names": "['a']"}""", (1, ["a"], "x", 5, True)),
        ('{"n": 1, "names": [], "about": "\\d+\\.\\w"}', (1, [], "\\d+\\.\\w", 5, True)),
    ],
)
def test_arguments_are_mended_where_they_mean_one_thing(arguments: str, result: Any) -> None:
    assert Tool.of(typed).bind(arguments)() == result


def nested(points: list[Point], sides: Literal[3, 4] = 3, mode: Literal["1", "2"] = "1") -> Any:
    return [(point.x, point.label) for point in points], sides, mode


@pytest.mark.parametrize(
    ("arguments", "result"),
    [
        ('{"points": [{"x": "1", "label": 2.50}]}', ([(1, "2.50")], 3, "1")),
        ('{"points": ["{\\"x\\": 1}"]}', ([(1, "")], 3, "1")),
        ('{"points": [], "sides": "4", "mode": 2}', ([], 4, "2")),
    ],
)
def test_what_lies_within_arguments_is_mended(arguments: str, result: Any) -> None:
    assert Tool.of(nested).bind(arguments)() == result


@pytest.mark.parametrize("arguments", ["", "  ", "null", "None", "[]", "{}", '"{}"'])
def test_no_arguments(arguments: str) -> None:
    assert Tool.of(one).bind(arguments)() == 1


def one() -> int:
    return 1


@pytest.mark.parametrize(
    "arguments",
    [
        '{"n": 1, "names": ["a" "b"]}',
        "{'n': 1, 'names': [], 'about': 'it''s'}",
        '{"n": 1, "names": [], "about": "C:\\new\\project"}',
        '{"n": 1, "names": [], "about": "(\\w) \\1"}',
        '{"n": 1, "names": []}{"n": 2, "names": []}',
    ],
)
def test_what_may_be_read_in_several_ways_is_not_guessed(arguments: str) -> None:
    with pytest.raises(ToolArgumentError, match=r"^The arguments are not JSON"):
        Tool.of(typed).bind(arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        '{"n": null, "names": []}',
        '{"n": 1, "names": [true]}',
        '{"n": 1, "names": [null]}',
        '{"n": 1, "names": "a"}',
        '{"n": 1.5, "names": []}',
        '{"n": 1, "names": null}',
    ],
)
def test_arguments_that_may_mean_several_things_go_back(arguments: str) -> None:
    with pytest.raises(ToolArgumentError, match=r"^The arguments do not fit"):
        Tool.of(typed).bind(arguments)()


def test_a_function_that_has_begun_is_not_called_again() -> None:
    calls = []

    def check(text: str = "x") -> int:
        calls.append(text)
        return TypeAdapter(int).validate_python(text)

    with pytest.raises(RuntimeError):
        Tool.of(check).bind('{"text": "null"}')()
    assert calls == ["null"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("functions.run_python", "run_python"),
        ("functions.look:0", "look"),
        ("default_api:look", "look"),
        ("Run-Python", "run_python"),
        ("look()", "look"),
        ("look.run_python", "look.run_python"),
        ("overlook", "overlook"),
        ("", ""),
    ],
)
def test_the_tool_that_a_name_means(name: str, meant: str) -> None:
    assert tool_name(name, ["look", "run_python"]) == meant


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


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (
            {"mean": np.float64(1.5), "n": np.int64(3), "yes": np.bool_(True)},
            '{"mean": 1.5, "n": 3, "yes": true}',
        ),
        (
            {"at": pd.Timestamp("2026-01-02"), "no": pd.NaT, "na": pd.NA},
            '{"at": "2026-01-02T00:00:00", "no": null, "na": null}',
        ),
        ([np.array([1.5, 2]), np.datetime64("2026-01-02")], '[[1.5, 2.0], "2026-01-02"]'),
        ({np.int64(3): {1}, (1, 2): Decimal("0.1")}, '{"3": [1], "(1, 2)": "0.1"}'),
        ({"i": pd.Index([1, 2]), "c": pd.Categorical(["a", None])}, '{"i": [1, 2], "c": ["a", NaN]}'),
        (
            [pd.array([1, None], dtype="Int64"), pd.date_range("2026-01-02", periods=1), pa.array([1, None])],
            '[[1, null], ["2026-01-02T00:00:00"], [1, null]]',
        ),
        ([MappingProxyType({"a": np.int64(1)}), deque([1]), {"a": 1}.values()], '[{"a": 1}, [1], [1]]'),
        (
            [datetime.date(2026, 1, 2), Path("a"), {"x": {"y": np.int8(1)}}],
            '["2026-01-02", "a", {"x": {"y": 1}}]',
        ),
    ],
)
def test_values_within_dicts_and_lists_are_json(value: object, text: str) -> None:
    assert described(value) == text


def test_a_list_that_is_too_deep_for_json_is_bounded() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert described({"deep": deep}).startswith("{'deep': [[[")


def test_what_is_missing_is_no_empty_text() -> None:
    lines = described(pd.DataFrame({"s": ["", None], "n": [1, 2]})).splitlines()[-2:]
    assert lines == [",1", "NaN,2"]
    lines = described(pa.table({"s": ["", None], "n": [1, 2]})).splitlines()[-2:]
    assert lines == [",1", "null,2"]


def test_several_tables() -> None:
    frame = pd.DataFrame({"a": [1]})
    assert described([frame, frame["a"]]).count("DataFrame, 1 rows") == 2
    assert described({"train": frame}).startswith("['train'] DataFrame, 1 rows")
    many = described([frame] * 50)
    assert many.count("DataFrame") == 10 and many.endswith("[… 40 more]")
    assert "DataFrame, 1 rows" in described({"frame": frame, "n": 1})


def wide_arrow() -> Any:
    return pa.table({f"col{n}": list(range(50)) for n in range(40)})


def wide_polars() -> Any:
    return pytest.importorskip("polars").DataFrame({f"col{n}": list(range(50)) for n in range(40)})


@pytest.mark.parametrize("make", [wide_arrow, wide_polars, lambda: wide_arrow().to_batches()[0]])
def test_tables_of_other_libraries(make: Any) -> None:
    head, names, *rows = described(make()).splitlines()
    assert "50 rows × 40 columns" in head and head.lower().count("int64") == 40 and "col39" in head
    assert names.split(",") == [f"col{n}" for n in range(40)]
    assert len(rows) == 10 and rows[-1] == ",".join(["9"] * 40)
