"""Braces in prompts."""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import datetime
import enum
import functools
import importlib.util
import json
import os
import sys
import types
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pydantic
import pytest
from matplotlib.figure import Figure
from PIL import Image

from praison_nb.content import Attachment
from praison_nb.errors import ConfigError
from praison_nb.events import TextDelta
from praison_nb.fold import fold
from praison_nb.notebook.fill import ALL_CHARACTERS, MOST_FIELDS, fill
from praison_nb.turn import Turn
from servers.timing import grows_linearly

Point = collections.namedtuple("Point", "x y")


@dataclasses.dataclass
class Customer:
    name: str
    age: int = 34


class Slotted:
    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 7


class Cached:
    @functools.cached_property
    def rows(self) -> list[int]:
        return [1, 2]


class Model(pydantic.BaseModel):
    name: str


def error_with_a_note() -> Any:
    error: Any = ValueError("x")
    error.note = "said"
    return error


def cached() -> Cached:
    value = Cached()
    _ = value.rows
    return value


VARIABLES: dict[str, Any] = {
    "x": 3,
    "i": 1,
    "pi": 3.14159,
    "name": "Ada",
    "größe": 9,
    "rows": [1, 2, "three"],
    "df": pd.DataFrame({"age": [34, 51], "size": [1, 2], "first name": ["a", "b"]}),
    "d": {"k": 5, "a b": {"c": [7]}, 1: "one", "key": "a column's"},
    "point": Point(1, 2),
    "customer": Customer("Ada"),
    "slotted": Slotted(),
    "cached": cached(),
    "space": types.SimpleNamespace(a=[1, 2]),
    "model": Model(name="Ada"),
    "error": error_with_a_note(),
    "today": datetime.date(2026, 3, 4),
    "price": Decimal("1.50"),
    "array": np.arange(6).reshape(2, 3),
    "table": pa.table({"q": [1, 2]}),
    "braces": "{name} {x}",
}


@pytest.mark.parametrize(
    ("prompt", "filled"),
    [
        ("{x} by {name}", "3 by Ada"),
        ("{x}{name}", "3Ada"),
        ("{ x }", "3"),
        ("({x}), «{x}», issue #{x}: {größe}", "(3), «3», issue #3: 9"),
        (r"R's mean of {x} in C:\data\{name}.csv", r"R's mean of 3 in C:\data\Ada.csv"),
        ("`{x}`\n```\n{name}\n```", "`3`\n```\nAda\n```"),
        (
            "{pi:.2f} {x:05d} {x:>4} {x:,} {pi:.1%} {name!r:>6} {name!s}",
            "3.14 00003    3 3 314.2%  'Ada' Ada",
        ),
        ("{today:%d %B %Y} {price:.1f}", "04 March 2026 1.5"),
        ("{rows[1]} {rows[-1]} {rows[i]} {rows[:2]} {rows[2][0]}", "2 three 2 [1, 2] t"),
        ("""{d['k']} {d["a b"]['c'][0]} {d[1]} {d['key']}""", "5 7 one a column's"),
        ("{df.shape} {df.columns} {df.size} {df['age'][0]}", '[2, 3] ["age", "size", "first name"] 6 34'),
        ("{array.shape} {array.dtype} {array[0]}", "[2, 3] int64 [0 1 2]"),
        ("{table.shape} {table.column_names}", '[2, 1] ["q"]'),
        ("{point.x} {customer.name} {customer.age} {slotted.value}", "1 Ada 34 7"),
        ("{space.a[1]} {cached.rows} {model.name} {error.note}", "2 [1, 2] Ada said"),
        ("{braces}", "{name} {x}"),
    ],
)
def test_filled(prompt: str, filled: str) -> None:
    text, (line,) = fill(prompt, VARIABLES)
    assert text == filled and line.startswith("filled {")


@pytest.mark.parametrize("prompt", ["{df.age}", "{df['age']}"])
def test_a_column(prompt: str) -> None:
    assert "age: int64)\nage\n34\n51" in fill(prompt, VARIABLES)[0]


@pytest.mark.parametrize(
    "prompt",
    [
        '{"a": 1}',
        '{"a": {"b": [1, 2]}}',
        '{"x": {"rows": [{"name": 1}]}}',
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
        "{{{x}}}",
        "{% if x %}{{ x }}{% endif %}",
        "function f() {\n return x\n}",
        "{x if x else name}",
        "f'{x!r:>10}' {x:.2f",
        'print(f"{x} and {name:>10}", rf"{x}")\nprint(F"""{name}""")',
        r"\frac{x}{name} \sqrt[3]{x} \sum_{i}^{x} a_{i} e^{x} \text{name} \{x\}",
        "echo ${x} ${name}",
        "`${x}`",
        "a{x:1} {x: 1} {x:50%} {name: string} {x:0.5} {x: d} p{x:red;i:1}",
        "{x:{i}} {x:1000000000} {x:>1000000000} {x:.1000000000f} {x:%1000000000Y}",
        "{x=} {x!x} {name!} {x:} {x.} {x[} {x[]}",
        "{x + 1} {x := 4} {-x} {not x} {x < 4} {(x)} {*rows}",
        "{lambda: x} {await x} {yield x} {[x for x in rows]} {f'{x}'} {rows[x + 1]} {rows[len(rows)]}",
        "{rows[exit()]} {len(rows)} {name.upper()} {name .upper}",
        "{id} {type} {print} {list} {exit} {None} {True} {__name__} {__builtins__} {_} {__import__}",
        "{nobody.shape} <b>{nobody}</b> /users/{nobody} {nobody:>3} {nobody!r}",
    ],
)
def test_left_alone(prompt: str) -> None:
    assert fill(prompt, VARIABLES) == (prompt, [])


def test_what_is_not_there_is_left_and_said() -> None:
    prompt = "{nobody} {df.nothing} {rows[9]} {x}"
    filled, lines = fill(prompt, VARIABLES)
    assert filled == "{nobody} {df.nothing} {rows[9]} 3"
    assert lines[0] == "{nobody} is left as it is: nobody is not defined"
    assert "no column 'nothing'" in lines[1] and "IndexError" in lines[2]
    assert lines[3:] == ["filled {x}: int, 1 character sent"]
    lines = fill(" ".join(f"{{nobody{number}}}" for number in range(30)), VARIABLES)[1]
    assert len(lines) == 4 and lines[-1] == "… and 27 more are left as they are"


def test_a_call_of_a_tables_is_said() -> None:
    prompt = "{df.head()} {df['age'].mean():.2f} {rows.copy()} {{df.head()}}"
    filled, lines = fill(prompt, VARIABLES)
    assert filled == prompt and [line.partition(" is left as it is: ")[0] for line in lines] == [
        "{df.head()}",
        "{df['age'].mean():.2f}",
    ]
    assert "fill in a variable that has it" in lines[0]


class Recording:
    """Everything that looking at an object could run."""

    def __init__(self, ran: list[str]) -> None:
        object.__setattr__(self, "ran_here", ran)
        object.__setattr__(self, "own", "own value")
        object.__setattr__(self, "masked", "the text below the mask")

    def __getattribute__(self, name: str) -> Any:
        object.__getattribute__(self, "ran_here").append(name)
        return object.__getattribute__(self, name)

    def __getattr__(self, name: str) -> Any:
        return self.ran_here

    def __getitem__(self, key: Any) -> Any:
        return self.ran_here

    def __len__(self) -> int:
        return len(self.ran_here)

    @property
    def __class__(self) -> Any:
        self.ran_here.append("__class__")
        return dict

    @property
    def save(self) -> str:
        self.ran_here.append("save")
        return "saved"

    @property
    def masked(self) -> str:
        return "***"

    @masked.setter
    def masked(self, value: str) -> None: ...

    def __str__(self) -> str:
        return "its text"


class Shadowing(Recording):
    @property
    def __dict__(self) -> Any:
        self.ran_here.append("__dict__")
        return {"own": "theirs"}


RAN: list[str] = []


class Noting(type):
    def __getattribute__(cls, name: str) -> Any:
        RAN.append(name)
        return type.__getattribute__(cls, name)

    def __instancecheck__(cls, instance: Any) -> bool:
        RAN.append("instancecheck")
        return True


class Descriptor:
    def __get__(self, instance: Any, owner: Any) -> Any:
        RAN.append("__get__")
        return "got"


class OfNoting(metaclass=Noting):
    computed = Descriptor()

    def __init__(self) -> None:
        self.own = 5

    def __class_getitem__(cls, key: Any) -> Any:
        RAN.append("__class_getitem__")


class Dict(dict[Any, Any]):
    def __getitem__(self, key: Any) -> Any:
        RAN.append("__getitem__")
        return "theirs"

    def __missing__(self, key: Any) -> Any:
        RAN.append("__missing__")
        return "made up"

    items = keys = get = __iter__ = __getitem__  # type: ignore[assignment]


class List(list[Any]):
    def __getitem__(self, key: Any) -> Any:
        RAN.append("__getitem__")
        return "theirs"


class Colliding:
    """A key that is asked whether it equals the text "k"."""

    def __hash__(self) -> int:
        return hash("k")

    def __eq__(self, other: object) -> bool:
        RAN.append("__eq__")
        return False


class Frame(pd.DataFrame):
    @property
    def shape(self) -> Any:
        RAN.append("shape")
        return (0, 0)


class Colour(enum.Enum):
    RED = 1


def called() -> str:
    RAN.append("called")
    return "called"


def lazily_imported() -> types.ModuleType:
    spec = importlib.util.find_spec("this")
    assert spec and spec.loader
    spec.loader = importlib.util.LazyLoader(spec.loader)
    lazy = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(lazy)
    return lazy


async def coroutine() -> None: ...


OTHERS: dict[str, Any] = {
    "recording": Recording(RAN),
    "shadowing": Shadowing(RAN),
    "noting": OfNoting(),
    "OfNoting": OfNoting,
    "Colour": Colour,
    "colour": Colour.RED,
    "dict_of_theirs": Dict(k="k's own"),
    "list_of_theirs": List(["own item"]),
    "default": collections.defaultdict(called, k=1),
    "colliding": {Colliding(): "theirs", "k": "k's own"},
    "mixed": pd.DataFrame([[1, 2]], columns=pd.Index([Colliding(), "k"], dtype=object)),
    "frame": Frame({"a": [1]}),
    "called": called,
    "partial": functools.partial(called),
    "kept": functools.cache(called),
    "method": Recording(RAN).__str__,
    "wrapped": np.vectorize(called),
    "ufunc": np.sin,
    "lazy": lazily_imported(),
    "os": os,
    "environment": os.environ,
    "modules": {"os": os, "called": called, "all": [os]},
    "space": types.SimpleNamespace(os=os, called=called),
    "path": Path("/tmp"),
    "error": ValueError("x"),
    "name": "Ada",
    "df": pd.DataFrame({"a": [1]}),
    "numbers": (number for number in (1, 2)),
    "array_of_theirs": np.array([1]).view(type("Array", (np.ndarray,), {"shape": property(called)})),
    "spoofed": type("DataFrame", (), {"__module__": "pandas", "shape": property(called)})(),
    "spoofed_array": type("ndarray", (), {"__module__": "numpy", "__getitem__": called})(),
}


@pytest.mark.parametrize(
    "field",
    [
        *("recording.save", "recording.masked", "recording.nothing", "recording[0]", "recording['k']"),
        *("recording.__class__", "recording.__dict__", "recording._x", "shadowing.own"),
        *("noting.computed", "OfNoting", "OfNoting.computed", "OfNoting['k']", "Colour", "Colour.RED"),
        *("colour.value", "dict_of_theirs['m']", "default['m']", "mixed['k']", "mixed.k", "frame.shape"),
        *("called", "called.attribute", "called()", "partial", "partial.func", "kept", "method", "wrapped"),
        *("ufunc", "lazy", "lazy.s", "os", "os.environ", "os.environ['HOME']", "os.sep", "environment"),
        *("environment['HOME']", "modules['os']", "modules['os'].environ", "modules['called']"),
        *("modules['all'][0].sep", "space.os", "space.os.sep", "space.called", "path.parent", "path.cwd"),
        *("error.args", "name.upper", "name.__len__", "df.to_csv", "df.style", "df.T", "df.a.values"),
        *("df.__class__", "numbers.gi_frame", "array_of_theirs.shape", "spoofed.shape", "spoofed_array[0]"),
        *("recording.save()", "__import__('os').getcwd()", "called.__globals__['os']"),
    ],
)
def test_looking_runs_nothing(field: str) -> None:
    RAN.clear()
    modules = set(sys.modules)
    text, lines = fill(f"{{{field}}}", OTHERS)
    assert text == f"{{{field}}}" and not any(line.startswith("filled") for line in lines)
    assert RAN == [] and "this" not in set(sys.modules) - modules


@pytest.mark.parametrize(
    ("field", "filled"),
    [
        ("recording.own", "own value"),
        ("noting.own", "5"),
        ("dict_of_theirs['k']", "k's own"),
        ("list_of_theirs[0]", "own item"),
        ("colliding['k']", "k's own"),
        ("default['k']", "1"),
        ("recording!s", "its text"),
    ],
)
def test_what_stands_in_the_object_is_read_without_its_class(field: str, filled: str) -> None:
    RAN.clear()
    text, (line,) = fill(f"{{{field}}}", OTHERS)
    assert text == filled and line.startswith("filled")
    assert RAN == []


def test_the_last_answer() -> None:
    turn = fold(Turn(), TextDelta(text="It is {x}."))
    variables = {"_": turn, "answer": turn, "x": 1, "_i": "code", "Out": {1: turn}, "exit": exit}
    assert fill("{_.text} {answer.text}", variables, {"_": turn})[0] == "It is {x}. It is {x}."
    prompt = "{_} {_i} {Out} {Out[1].text} {exit}"
    assert fill(prompt, variables, {name: variables[name] for name in ("_", "Out", "exit")}) == (prompt, [])
    assert fill("{_} {_.text}", {"_": "a text"}) == ("{_} {_.text}", [])


def test_a_value_whose_text_fails_is_left_in_one_short_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing:
        def __init__(self, error: type[BaseException]) -> None:
            self.error = error

        def __str__(self) -> str:
            raise self.error("401\nfor sk-1234567890" + "!" * 10_000)

        def __format__(self, spec: str) -> str:
            raise self.error(spec)

    monkeypatch.setenv("OPENAI_API_KEY", "sk-1234567890")
    errors = {error.__name__: Failing(error) for error in (RuntimeError, SystemExit, asyncio.CancelledError)}
    prompt = " ".join(f"{{{name}}}" for name in errors)
    filled, lines = fill(prompt, errors)
    assert filled == prompt
    for name, line in zip(errors, lines, strict=True):
        assert line.startswith(f"{{{name}}} is left as it is: {name}: 401 for [key]!!")
        assert len(line) < 300 and "\n" not in line
    assert "SystemExit: >9" in fill("{SystemExit:>9}", errors)[1][0]
    assert "unsupported format" in fill("{x:.2f}", {"x": []})[1][0]
    with pytest.raises(KeyboardInterrupt):
        fill("{stop}", {"stop": Failing(KeyboardInterrupt)})


def test_every_fill_is_said_with_its_type_and_size() -> None:
    frame = pd.DataFrame({f"c{column}": range(7043) for column in range(21)})
    text, (line,) = fill("{frame}", {"frame": frame})
    assert line == (
        "filled {frame}: DataFrame, 7,043 rows × 21 columns, 10 of 7,043 rows, "
        f"{len(text):,} characters sent"
    )
    (line,) = fill("{x} {rows} {x}, {a} {s}", {"x": 1, "rows": [1], "a": np.ones((2, 3)), "s": frame["c1"]})[
        1
    ]
    assert line.startswith(
        "filled {x}: int, 1 character sent, 2 times; {rows}: list, 1 item, 3 characters sent"
    )
    assert "{a}: ndarray, 2 × 3, " in line and "{s}: Series, 7,043 items, " in line
    many = {f"v{number}": number for number in range(30)}
    (line,) = fill(" ".join(f"{{{name}}}" for name in many), many)[1]
    assert line.count("character") == 10 and line.endswith("; … and 20 more")


def test_secrets_are_hidden_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "secret-of-the-environment")
    variables = {
        "copy": "is secret-of-the-environment",
        "api_key": "abcdefgh",
        "config": {"api_key": "ijklmnop", "model": "m"},
        "which": "api_key",
        "client": types.SimpleNamespace(password="qrstuvwx"),
        "late": "x" * 9_990 + "secret-of-the-environment" + "x" * 20_000,
    }
    text, (line,) = fill(
        "{copy} {copy!r:>40} {api_key} {config} {config['api_key']} {config[which]} {client.password}",
        variables,
    )
    assert not any(secret in text for secret in ("secret-of", "abcdefgh", "ijklmnop", "qrstuvwx"))
    assert text.count("[key]") == 7 and '"model": "m"' in text
    assert "{copy}: str, 8 characters sent, without SOME_TOKEN" in line
    assert "{api_key}: str, 5 characters sent, without api_key" in line
    # It is hidden before the middle is cut out, so that no half of it stays.
    assert "secret" not in fill("{late}", variables)[0]


def test_values_are_bounded_each_and_together() -> None:
    variables: dict[str, Any] = {"long": "x" * 1_000_000, **{f"v{n}": n for n in range(2 * MOST_FIELDS)}}
    assert len(fill("{long}", variables)[0]) < 20_100
    text, lines = fill("{long} " * 1000, variables)
    assert len(text) < ALL_CHARACTERS + 30_000
    assert lines[0] == "{long} is left as it is: a prompt has 200,000 characters of 1,000 values at most"
    text, lines = fill("".join(f"{{v{n}}} " for n in range(2 * MOST_FIELDS)), variables)
    assert text.count("{") == MOST_FIELDS and len(lines) == 5


def test_other_libraries_frames_by_their_lists() -> None:
    """Whatever is in the lists is there in the libraries that are here."""
    from praison_nb.notebook.lookup import _LISTED

    here = {
        "DataFrame": VARIABLES["df"],
        "Series": VARIABLES["df"]["age"],
        "ndarray": VARIABLES["array"],
        "Table": VARIABLES["table"],
        "RecordBatch": VARIABLES["table"].to_batches()[0],
        "ChunkedArray": VARIABLES["table"]["q"],
        "Turn": Turn(),
    }
    checked = 0
    for (library, name), attributes in _LISTED.items():
        for attribute in attributes if library != "polars" else ():
            assert fill(f"{{v.{attribute}}}", {"v": here[name]})[1][0].startswith("filled"), attribute
            checked += 1
    assert checked > 25


def test_filling_leaves_the_variables_as_they_are() -> None:
    variables = {"x": 1, "d": collections.defaultdict(int)}
    fill("{x} {y} {d['a']}", variables)
    assert variables == {"x": 1, "d": {}}


NESTED = json.dumps([{"a": {"b": ["{x}", "{{x}}", "{rows[0]}"]}}])


@pytest.mark.parametrize(
    "make",
    [
        lambda n: "{" * n,
        lambda n: "{" * n + "}" * n,
        lambda n: "{x} " * n,
        lambda n: "{x}" * n,
        lambda n: "{x" + "[0]" * n + "}",
        lambda n: "{x" + "." * n,
        lambda n: "{x['" * n,
        lambda n: "{" + "a" * n,
        lambda n: "{" + " " * n,
        lambda n: "{x:" * n,
        lambda n: "f'{x}" * n,
        lambda n: "\\a[" * n + "{x}",
        lambda n: "{nobody} " * n,
        lambda n: NESTED * (n // 50),
        lambda n: "{long}" * n,
        lambda n: "".join(f"{{x:>{k % 1000}}} {{n{k}}}" for k in range(n)),
    ],
)
def test_a_longer_prompt_takes_longer_by_its_length(make: Callable[[int], str]) -> None:
    variables = {"x": 3, "rows": [1], "long": "y" * 100_000}
    assert grows_linearly(lambda prompt: fill(prompt, variables), make, 4_000, 4)


# Pictures and documents


def test_a_picture_is_attached_and_named(tmp_path: Path) -> None:
    figure = Figure(figsize=(4, 3), dpi=100)
    note, picture = tmp_path / "note.txt", Image.new("RGB", (30, 20))
    note.write_text("Small.")
    variables = {"fig": figure, "axes": [figure.subplots()], "photo": picture, "note": note}
    attached: list[Attachment] = []
    text, notes = fill("{fig}, {axes[0]}, { photo } and {note}; {fig}", variables, attachments=attached)
    assert text == (
        "[figure fig, 400×300], [figure axes[0], 400×300], [picture photo, 30×20] and [text note.txt, 6 B]; "
        "[figure fig, 400×300]"
    )
    assert [each.name for each in attached] == ["fig.png", "axes[0].png", "photo.png", "note.txt"]
    assert "{fig}: Figure, sent as a picture, 2 times; " in notes[0]


def test_what_is_wanted_as_text_is_text(tmp_path: Path) -> None:
    (tmp_path / "plot.png").write_bytes(b"no picture, and never read")
    attached: list[Attachment] = []
    variables = {"there": tmp_path / "plot.png", "target": tmp_path / "new.png", "name": "plot.png"}
    prompt = "Overwrite {there!s}, write {target}, read {name} and plot.png"
    text, _ = fill(prompt, variables, attachments=attached)
    assert text == f"Overwrite {variables['there']}, write {variables['target']}, read plot.png and plot.png"
    # A system prompt has no pictures.
    assert fill("{there}", variables)[0] == str(variables["there"])
    assert attached == []


def test_a_picture_that_cannot_be_sent_stops_the_prompt(tmp_path: Path) -> None:
    (tmp_path / "plot.png").write_bytes(b"<svg>")
    with pytest.raises(ConfigError, match=r"plot\.png is no png"):
        fill("{plot}", {"plot": tmp_path / "plot.png"}, attachments=[])
