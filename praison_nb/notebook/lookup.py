"""Finds what `rows[0]` or `df.shape` names, by reading alone: no code of a value's class runs on the way.

So nothing is evaluated, and objects of unknown classes meet no getattr, isinstance or ==: a property,
`__getattr__`, `__class__`, a metaclass or a key's `__eq__` may do anything, save, fetch or end the kernel.

>>> find([{"age": 34}], "[0]['age']", {}), find(range(10, 20), "[i]", {"i": 3})
(34, 13)
"""

from __future__ import annotations

import datetime
import functools
import os
import re
import sys
from collections import deque, namedtuple
from collections.abc import Callable, Mapping
from types import GenericAlias, GetSetDescriptorType, MemberDescriptorType, MethodType, ModuleType
from typing import Any

NAME = r"[^\W\d]\w*+"
_TEXT = r"'[^'\\{}\n]*+'|\"[^\"\\{}\n]*+\""
_NUMBER = r"-?\d{1,15}+"
_SLICE = rf"(?:{_NUMBER})?:(?:{_NUMBER})?"
# An atomic group, not a possessive one: see redaction/key_values.py.
PATH = rf"(?>(?:\.{NAME}|\[(?:{_SLICE}|{_NUMBER}|{_TEXT}|{NAME})\])*)"
"""What may follow a variable's name: attributes, and items by a number, a text, a slice or a variable."""
_STEP = re.compile(
    rf"\.(?P<attribute>{NAME})|\[(?:(?P<slice>{_SLICE})|(?P<number>{_NUMBER})|(?P<text>{_TEXT})|(?P<name>{NAME}))\]"
)

_MISSING = object()
_SEQUENCES = (str, list, tuple, bytes, bytearray, range, deque)
_CONTAINERS = (*_SEQUENCES, dict, set, frozenset)
_PLAIN = {str, int, float, bool, type(None), datetime.date, datetime.datetime}
_TUPLE_FIELD = type(vars(namedtuple("_", "field"))["field"])

_LISTED: dict[tuple[str, str], tuple[str, ...]] = {
    ("pandas", "DataFrame"): ("shape", "columns", "dtypes", "index", "size", "ndim"),
    ("pandas", "Series"): ("shape", "dtype", "name", "index", "size", "ndim"),
    ("polars", "DataFrame"): ("shape", "columns", "dtypes", "schema", "height", "width"),
    ("polars", "Series"): ("shape", "dtype", "name"),
    ("numpy", "ndarray"): ("shape", "dtype", "size", "ndim"),
    ("pyarrow", "Table"): ("shape", "column_names", "schema", "num_rows", "num_columns"),
    ("pyarrow", "RecordBatch"): ("shape", "column_names", "schema", "num_rows", "num_columns"),
    ("pyarrow", "ChunkedArray"): ("type", "null_count"),
    ("praison_nb", "Turn"): ("text", "tools", "usage", "cost", "seconds", "model", "session", "prompt"),
}
"""Properties that may be read: they are of these very classes, cost little and change nothing."""
_UNABRIDGED: dict[tuple[str, str, str], Callable[[Any], Any]] = {
    # As they are they would be abridged for the eye.
    ("pandas", "DataFrame", "columns"): lambda frame: frame.columns.tolist(),
    ("pandas", "DataFrame", "dtypes"): lambda frame: frame.dtypes.to_string(),
}


class NotAVariable(LookupError):
    """A module, a class or a function, or something in one: no value of the user's."""


def find(value: Any, path: str, variables: Mapping[str, Any]) -> Any:
    """What `path` (as PATH has it) leads to from `value`; names of items are those of `variables`.
    Raises NotAVariable, and KeyError, IndexError, AttributeError or TypeError for what is not there."""
    _refuse_code(value)
    for step in _STEP.finditer(path):
        if step["attribute"]:
            value = _attribute(value, step["attribute"])
        else:
            value = _item(value, _key(step, variables))
        _refuse_code(value)
    return value


def names(path: str, variables: Mapping[str, Any]) -> list[str]:
    """The attributes' and items' names in a path.

    >>> names(".a['b'][0][c]", {"c": "d"})
    ['a', 'b', 'd']
    """
    steps = (step["attribute"] or _key(step, variables) for step in _STEP.finditer(path))
    return [step for step in steps if isinstance(step, str)]


def kind(value: Any) -> str:
    """The name of a value's class."""
    return str(_NAME_OF(type(value)))


def size(value: Any) -> str:
    """How large a value is, "" where that is not known without asking its class.

    >>> size([1, 2]), size({}), size("text"), size(5)
    ('2 items', '0 items', '', '')
    """
    if "shape" in (_listed(value) or ()):
        shape = tuple(value.shape)
        if len(shape) == 2 and kind(value) != "ndarray":
            return f"{shape[0]:,} rows × {shape[1]:,} columns"
        return " × ".join(f"{length:,}" for length in shape) + " items" * (len(shape) == 1)
    container = _base(value, _CONTAINERS)
    if container in (None, str):
        return ""
    length = container.__len__(value)
    return f"{length:,} item{'s' * (length != 1)}"


def _refuse_code(value: Any) -> None:
    """A value that is code, or the process's environment, is not the user's data."""
    cls = type(value)
    if (
        issubclass(cls, ModuleType | type | MethodType | functools.partial | GenericAlias)
        or cls is type(os.environ)
        # Functions of any make are called and have a name: Python's, NumPy's, compiled and wrapped ones.
        or (callable(value) and (_in_class(cls, "__name__") or "__name__" in _own_values(value)))
    ):
        raise NotAVariable(kind(value))


def _key(step: re.Match[str], variables: Mapping[str, Any]) -> Any:
    if step["slice"]:
        return slice(*(int(end) if end else None for end in step["slice"].split(":")))
    if step["number"]:
        return int(step["number"])
    if step["text"]:
        return step["text"][1:-1]
    key = variables.get(step["name"], _MISSING)
    if key is _MISSING:
        raise NameError(f"{step['name']} is not defined")
    if type(key) not in (int, str):
        raise TypeError(f"{step['name']} is a {kind(key)}: items have a number or a text")
    return key


def _item(value: Any, key: Any) -> Any:
    """An item of a built-in container, whatever a subclass makes of it; a column; a row of an array."""
    if issubclass(type(value), dict):
        return _in_dict(value, key)
    if sequence := _base(value, _SEQUENCES):
        return sequence.__getitem__(value, key)
    library, name = _class_of(value) if _listed(value) else ("", "")
    if name == "ndarray" and not isinstance(key, str):
        return value[key]
    if library == "pandas" and not isinstance(key, slice):
        if _are_plain(value.columns if name == "DataFrame" else value.index):
            return value[key]
        raise TypeError("its labels are not all texts, numbers or times")
    if name in ("DataFrame", "Table", "RecordBatch") and isinstance(key, str):
        return value[key]
    raise TypeError(f"items of a {kind(value)} are not filled")


def _in_dict(value: dict[Any, Any], key: Any) -> Any:
    # A look-up would ask keys of other types whether they are equal.
    for each, item in dict.items(value):
        if type(each) is type(key) and each == key:
            return item
    raise KeyError(key)


def _are_plain(labels: Any) -> bool:
    """Whether labels of pandas are compared by no code of their own."""
    levels = getattr(labels, "levels", [labels])
    return all(each.dtype.kind != "O" or set(map(type, each.tolist())) <= _PLAIN for each in levels)


def _attribute(value: Any, name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError("names that begin with _ are not filled")
    if (listed := _listed(value)) is None:
        return _of_instance(value, name)
    library, of = _class_of(value)
    if name in listed:
        read = _UNABRIDGED.get((library, of, name))
        return read(value) if read else getattr(value, name)
    if (library, of) == ("pandas", "DataFrame") and not _in_class(type(value), name):
        if _are_plain(value.columns) and name in value.columns:
            return value[name]
        raise AttributeError(f"there is no column {name!r}")
    columns = " and columns" if of == "DataFrame" else ""
    raise AttributeError(f"of a {of} only {', '.join(listed)}{columns} are filled")


def _of_instance(value: Any, name: str) -> Any:
    """What stands in the object itself: an entry of its `__dict__`, a slot, a named tuple's field."""
    in_class = _class_attribute(type(value), name)
    if type(in_class) is _TUPLE_FIELD:
        return in_class.__get__(value)
    if type(in_class) is MemberDescriptorType and _in_class(in_class.__objclass__, "__slots__"):
        return in_class.__get__(value)
    # Where the class computes it, what lies below may be another value: a masked password's own text.
    if in_class is _MISSING or not any(_in_class(type(in_class), each) for each in ("__set__", "__delete__")):
        own = _own_values(value)
        if name in own:
            return own[name]
    raise AttributeError(f"{name!r} does not stand in the {kind(value)} itself")


def _own_values(value: Any) -> dict[str, Any]:
    """The texts and values of an object's `__dict__`, which is taken past whatever its class calls so."""
    descriptor = _class_attribute(type(value), "__dict__")
    if type(descriptor) not in (GetSetDescriptorType, MemberDescriptorType):
        return {}
    return {key: each for key, each in dict.items(descriptor.__get__(value)) if type(key) is str}


_NAME_OF, _MODULE_OF, _MRO_OF, _DICT_OF = (
    vars(type)[name].__get__ for name in ("__name__", "__module__", "__mro__", "__dict__")
)
"""Of a class, past its metaclass."""


def _class_attribute(cls: type, name: str) -> Any:
    return next((_DICT_OF(each)[name] for each in _MRO_OF(cls) if name in _DICT_OF(each)), _MISSING)


def _in_class(cls: type, name: str) -> bool:
    return _class_attribute(cls, name) is not _MISSING


def _base(value: Any, classes: tuple[type, ...]) -> Any:
    return next((each for each in classes if issubclass(type(value), each)), None)


def _class_of(value: Any) -> tuple[str, str]:
    """The library and the name of a value's class."""
    return _module_of(value).partition(".")[0], kind(value)


def _module_of(value: Any) -> str:
    module = _MODULE_OF(type(value))
    return module if type(module) is str else ""


def _listed(value: Any) -> tuple[str, ...] | None:
    """The properties that may be read of a value; None for one of another class, subclasses included."""
    listed = _LISTED.get(_class_of(value))
    if listed is None:
        return None
    # A class says itself where it comes from: it is looked for there. A module's values are read as they
    # are: one that is loaded late would load.
    module = sys.modules.get(_module_of(value))
    if module is None or not issubclass(type(module), ModuleType):
        return None
    held: Mapping[str, Any] = vars(ModuleType)["__dict__"].__get__(module)
    return listed if held.get(kind(value)) is type(value) else None
