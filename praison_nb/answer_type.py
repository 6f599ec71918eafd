"""The type that an answer is to have: its JSON schema for the model, and the value that the model's text is.

>>> from typing import Literal
>>> label = AnswerType(Literal["good", "bad"])
>>> label.parse('{"value": "good"}').value
'good'
>>> label.schema["required"]
['value']
"""

from __future__ import annotations

import functools
import json
import math
import re
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin, get_type_hints, is_typeddict

from . import redaction
from .errors import ConfigError, InvalidAnswerError
from .json_in_text import json_in
from .schema_columns import columns_of, resolved
from .text import describe_exception, replace_surrogates, shorten, strip_control_chars

if TYPE_CHECKING:
    import pandas
    from pydantic import TypeAdapter

_MOST_PROBLEMS = 5
_REASON_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class Answer:
    """A typed answer: the `value`, the same as JSON holds it (`data`), and the name of its `type`. Read back
    from a file, the value is the data. `given` is the JSON that the model wrote, of which the type makes the
    value again."""

    type: str
    data: Any
    value: Any
    columns: Mapping[str, str] = field(default_factory=dict, compare=False)
    given: Any = field(default=None, compare=False, repr=False)

    @property
    def records(self) -> list[dict[str, Any]]:
        """Its rows: those of a list, else one. What has no fields is the column "value".

        >>> Answer("int", 3, 3).records
        [{'value': 3}]
        """
        values = self.value if isinstance(self.value, list | tuple | set | frozenset) else [self.value]
        return [record(each) for each in values]

    @property
    def frame(self) -> pandas.DataFrame:
        """The rows, with a column for each field."""
        return frame_of(self.records, self.columns)


def record(value: Any) -> dict[str, Any]:
    """The columns of one value: its fields, or "value"."""
    data = _any_adapter().dump_python(value)
    if not isinstance(data, dict):
        data = {"value": data}
    return {str(name): each.value if isinstance(each, Enum) else each for name, each in data.items()}


@functools.cache
def _any_adapter() -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(Any)


def frame_of(
    records: Sequence[Mapping[str, Any]], columns: Mapping[str, str], index: Any = None
) -> pandas.DataFrame:
    """The records as a DataFrame that has the `columns` with these dtypes ("" is pandas' own), and what else
    the records have."""
    import pandas as pd

    names = dict.fromkeys([*columns, *(name for each in records for name in each)])
    made = {}
    for name in names:
        values: Any = pd.Series([each.get(name) for each in records], dtype=object, index=index)
        try:
            dtype = columns.get(name)
            made[name] = values.astype(dtype) if dtype else values.infer_objects()
        except (TypeError, ValueError, OverflowError):
            # A number that the dtype has no room for.
            made[name] = values
    return pd.DataFrame(made, index=range(len(records)) if index is None else index)


class AnswerType:
    """A type of answers: a pydantic model, a dataclass, a TypedDict, Literal, an Enum, int, bool, … or a list
    of these. `name` is how people call it. `schema` is the JSON schema of an object: what is none by itself
    is the field "value" of one. `columns` are the dtypes of a frame's columns, by their names, "" where
    pandas' own will do. Raises ConfigError for what no JSON stands for."""

    def __init__(self, kind: Any) -> None:
        from pydantic import TypeAdapter

        self._kind = kind
        bare = _bare(kind)
        name = bare.__name__ if isinstance(bare, type) and not get_args(bare) else str(bare)
        self.name = shorten(re.sub(r"\b(\w+\.)+", "", name), 60)
        try:
            if isinstance(kind, str | types.FunctionType):
                raise TypeError(f"it is a {'text' if isinstance(kind, str) else 'function'}")
            self.adapter = TypeAdapter[Any](_supported(kind))
            schema = self.adapter.json_schema()
            if odd := [each for each in _choices(self.adapter.core_schema) if not _is_plain(each)]:
                raise TypeError(f"no JSON is {odd[0]!r:.60}")
            fields = self.adapter.json_schema(by_alias=False)
        except Exception as error:
            # Whatever pydantic, or the user's own type, makes of it.
            reason = shorten(describe_exception(error).splitlines()[0], 200)
            raise ConfigError(
                f"{self.name} is no type of answers ({reason}): use a pydantic model, a dataclass, Literal, "
                "an Enum, int, bool, or a list of one."
            ) from None
        root = resolved(schema, schema)
        self.is_wrapped = root.get("type") != "object" or not root.get("properties")
        self.is_list = root.get("type") == "array"
        rows = resolved(fields, fields)
        rows = resolved(rows.get("items", rows) if self.is_list else rows, fields)
        self.columns = columns_of(rows, fields)
        self.schema = _wrapped(schema) if self.is_wrapped else _with_defs(root, schema)

    def __repr__(self) -> str:
        return f"AnswerType({self.name})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AnswerType) and (self._kind, self.schema) == (other._kind, other.schema)

    def __hash__(self) -> int:
        return hash(self.name)

    def __reduce__(self) -> tuple[Any, ...]:
        return AnswerType, (self._kind,)

    def __deepcopy__(self, memo: dict[int, Any]) -> AnswerType:
        return self

    @classmethod
    def of(cls, kind: Any) -> AnswerType:
        """`kind` as one, whatever it is. Raises ConfigError."""
        return kind if isinstance(kind, cls) else cls(kind)

    @property
    def identifier(self) -> str:
        """The name as APIs take it: letters, digits and underscores."""
        return re.sub(r"\W+", "_", self.name, flags=re.ASCII).strip("_")[:60] or "answer"

    @property
    def row_columns(self) -> Mapping[str, str]:
        """The dtypes of the columns of one answer; a list is one value there."""
        return {"value": ""} if self.is_list else self.columns

    def load(self, data: Any) -> Answer:
        """The answer that was `Answer.given`. Raises InvalidAnswerError where the type is another."""
        return self.parse(json.dumps({"value": data} if self.is_wrapped else data))

    def parse(self, text: str) -> Answer:
        """The answer that a model's text is. Raises InvalidAnswerError, whose message tells the model what is
        wrong with it."""
        from pydantic import ValidationError

        problem: Exception | None = None
        for candidate in self._candidates(text):
            try:
                value = self.adapter.validate_json(json.dumps(candidate))
                data = _finite(self.adapter.dump_python(value, mode="json"))
                return Answer(self.name, data, value, self.columns, given=candidate)
            except Exception as error:
                # Of a validator of the user's own too, and of a value that JSON has no form for.
                problem = problem or error
        if isinstance(problem, ValidationError):
            reason = f": {_explained(problem)}"
        else:
            what = "text without JSON" if text.strip() else "empty"
            reason = f": {describe_exception(problem)}" if problem else f", but {what}"
        # A name of a field, or what a validator says, may be the model's own text.
        line = strip_control_chars(redaction.redact(f"The answer is no {self.name}{reason}"))
        raise InvalidAnswerError(shorten(line, _REASON_CHARACTERS)) from None

    def _candidates(self, text: str) -> Iterator[Any]:
        """The JSON that the text is or has in it, the likelier reading first."""
        data: Any = None
        for data in json_in(text):
            if self.is_wrapped and isinstance(data, dict) and list(data) == ["value"]:
                yield data["value"]
            yield data
        if self.is_wrapped and text.strip() and not isinstance(data, dict | list):
            # One word, as it is.
            yield replace_surrogates(text.strip())


def _finite(data: Any) -> Any:
    """`data` with texts for the numbers that JSON has not, which are read as those numbers."""
    if isinstance(data, float) and not math.isfinite(data):
        return "NaN" if math.isnan(data) else "Infinity" if data > 0 else "-Infinity"
    if isinstance(data, dict):
        return {name: _finite(each) for name, each in data.items()}
    return [_finite(each) for each in data] if isinstance(data, list) else data


def _explained(error: Any) -> str:
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    lines = [f"{'.'.join(map(str, each['loc'])) or 'value'}: {each['msg']}" for each in problems]
    more = [f"{len(lines) - _MOST_PROBLEMS} more"] if len(lines) > _MOST_PROBLEMS else []
    return "; ".join([*lines[:_MOST_PROBLEMS], *more])


def _wrapped(schema: Mapping[str, Any]) -> dict[str, Any]:
    inner = {name: each for name, each in schema.items() if name != "$defs"}
    return _with_defs({"type": "object", "properties": {"value": inner}, "required": ["value"]}, schema)


def _with_defs(root: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    return {**root, "$defs": schema["$defs"]} if "$defs" in schema else dict(root)


def _supported(kind: Any) -> Any:
    """`kind` with the TypedDicts that pydantic takes: before Python 3.12 not those of typing."""
    import typing_extensions

    if is_typeddict(kind):
        names = get_type_hints(kind, include_extras=True)
        required = {
            name: typing_extensions.Required[_supported(hint)]
            if name in kind.__required_keys__
            else typing_extensions.NotRequired[_supported(hint)]
            for name, hint in names.items()
        }
        return typing_extensions.TypedDict(kind.__name__, required)  # type: ignore[operator]
    if get_origin(kind) in (Union, types.UnionType):
        return Union[tuple(map(_supported, get_args(kind)))]  # noqa: UP007
    if get_origin(kind) in (list, dict, tuple, set, frozenset):
        return get_origin(kind)[tuple(map(_supported, get_args(kind)))]
    return kind


def _bare(kind: Any) -> Any:
    """`kind` without what Annotated says of it besides."""
    holder = type("_", (), {"__annotations__": {"kind": kind}})
    return kind if isinstance(kind, str) or not get_args(kind) else get_type_hints(holder)["kind"]


def _choices(part: Any) -> Iterator[Any]:
    """The values of all Enums and Literals in a schema of pydantic's; an Enum without any is one itself."""
    if isinstance(part, list | tuple):
        for each in part:
            yield from _choices(each)
    elif isinstance(part, Mapping):
        kind = part.get("type")
        yield from part["members"] if kind == "enum" else part["expected"] if kind == "literal" else ()
        if kind == "is-instance" and isinstance(part["cls"], type) and issubclass(part["cls"], Enum):
            yield part["cls"]
        for name, each in part.items():
            if name not in ("default", "metadata", "serialization"):
                yield from _choices(each)


def _is_plain(choice: Any) -> bool:
    value = choice.value if isinstance(choice, Enum) else choice
    return value is None or isinstance(value, str | int | float)
