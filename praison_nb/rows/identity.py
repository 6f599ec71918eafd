"""What decides an answer, as a digest that is the same in the next process: values, functions with all that
they use, and agents.

>>> rates = {"EUR": 1.1}
>>> def convert(euros: float) -> float:
...     return euros * rates["EUR"]
>>> before = value_digest(convert)
>>> rates["EUR"] = 1.2
>>> value_digest(convert) == before
False
"""

from __future__ import annotations

import copyreg
import dis
import functools
import hashlib
import inspect
import json
import os
import re
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from ..agent import Agent
from ..answer_type import AnswerType
from ..backends.base import Backend
from ..backends.custom import CustomBackend
from ..events import new_id

VERSION = 1
"""Of the keys: another one asks everything again."""
_DECIDES_NOTHING = frozenset(
    ("name", "metadata", "api_key", "timeout", "session_title", "asks_stopped_cost", "retries", "output")
)
"""Fields of configs."""
_CALLBACKS = ("on_tool_confirmation", "on_custom_tool")
_LOCKS = (type(threading.Lock()), type(threading.RLock()))
_CODE = ("co_code", "co_exceptiontable", "co_names", "co_varnames", "co_argcount", "co_kwonlyargcount")
_OF_PYTHON = re.compile(r"_.*_$|_abc_impl$").match
"""Names of a class's members that Python or a library sets."""
_LIBRARIES = tuple(
    f"{Path(path).resolve()}{os.sep}"
    for path in {*map(sysconfig.get_path, ("stdlib", "purelib", "platlib")), str(Path(__file__).parents[1])}
)


class UnknownIdentity(Exception):
    """Of this value nobody can tell whether the next process has the same."""


def digest_of(*parts: Any) -> str:
    """A digest of JSON values, and of others in them. Raises UnknownIdentity."""
    text = json.dumps([VERSION, *parts], sort_keys=True, ensure_ascii=False, default=_json_value)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def agent_digest(
    backend: Backend, output: AnswerType | None, say: Callable[[str], object] = lambda line: None
) -> str:
    """What the answers of an agent depend on besides the prompt: its class, its config with the functions and
    what they use, or an object's own state, and the type of the answer. Where that cannot be known the digest
    is one that nobody has, and `say` gets a line."""
    schema = output and output.schema
    try:
        return digest_of(type(backend), _settings(backend), schema)
    except (UnknownIdentity, RecursionError) as error:
        what = str(error) if isinstance(error, UnknownIdentity) else "what goes too deep"
        say(
            f"Answers of before are not used, and these will not be: {backend.model} has {what}, of which "
            "nobody can tell later whether it was the same."
        )
        return digest_of(new_id())


def value_digest(value: Any) -> str:
    """A digest of any value. Raises UnknownIdentity."""
    return _Digests().of(value).hex()


def _settings(backend: Backend) -> dict[str, Any]:
    config = getattr(backend, "config", None)
    if is_dataclass(config) and not isinstance(config, type):
        names = [each.name for each in fields(config) if each.name not in _DECIDES_NOTHING]
        settings = {name: getattr(config, name) for name in names} | {"address": backend.address}
        callbacks = {name: getattr(backend, name, None) for name in _CALLBACKS}
        return settings | {name: each for name, each in callbacks.items() if each is not None}
    if isinstance(backend, CustomBackend):
        return {"object": backend.user, "model": backend.model}
    plain = object.__new__(type(backend))
    Backend.__init__(plain)
    own = {name: each for name, each in vars(backend).items() if name not in vars(plain)}
    return {**own, "model": backend.model}


def _json_value(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value_digest(value)


class _Digests:
    """Digests of values that may hold each other."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[bytes, Any]] = {}
        """By id, with the value, whose id is no other one's then."""
        self._open: dict[int, int] = {}

    def of(self, value: Any) -> bytes:
        kind = type(value)
        if value is None or kind in (bool, int, float, complex, str):
            return _hash(kind.__name__, repr(value).encode())
        if kind in (bytes, bytearray):
            return _hash(kind.__name__, value)
        if (known := self._known.get(id(value))) is not None:
            return known[0]
        if (place := self._open.get(id(value))) is not None:
            return _hash("within", str(place).encode())
        self._open[id(value)] = len(self._open)
        try:
            made = _hash(kind.__qualname__, *self._parts(value))
        finally:
            del self._open[id(value)]
        self._known[id(value)] = made, value
        return made

    def _all(self, values: Iterable[Any]) -> list[bytes]:
        return [self.of(each) for each in values]

    def _parts(self, value: Any) -> list[bytes]:
        """Of what the value consists, in an order that is always the same."""
        match value:
            case list() | tuple() if type(value) in (list, tuple):
                return self._all(value)
            case dict() if type(value) is dict:
                return self._all(each for pair in value.items() for each in pair)
            case set() | frozenset() if type(value) in (set, frozenset):
                return sorted(self._all(value))
            case FunctionType():
                return self._function(value)
            case Agent():
                return [self.of(value.backend)]
            case Backend():
                output = value.output_type
                return self._all((type(value), _settings(value), output and output.schema))
            case MethodType():
                return self._all((value.__func__, value.__self__))
            case type():
                return self._class(value)
            case ModuleType():
                return self._module(value)
            case BuiltinFunctionType() if isinstance(value.__self__, ModuleType | None):
                return self._all((value.__module__, value.__qualname__))
        if isinstance(value, _LOCKS):
            return []
        if isinstance(wrapped := getattr(value, "__wrapped__", None), FunctionType):
            # functools.cache and the like.
            return [self.of(wrapped)]
        return self._reduced(value)

    def _reduced(self, value: Any) -> list[bytes]:
        """As a pickle would have it, which an object's own `__getstate__` may say."""
        try:
            reduced = value.__reduce_ex__(4)
        except Exception:
            raise UnknownIdentity(f"a {type(value).__module__}.{type(value).__qualname__}") from None
        if isinstance(reduced, str):
            return self._all((type(value), reduced))
        make, arguments, state, items, pairs = (*reduced, None, None, None)[:5]
        # The class is among the arguments.
        how = "new" if make is copyreg.__newobj__ else make  # type: ignore[attr-defined]
        return self._all((how, arguments, state, list(items or ()), list(pairs or ())))

    def _function(self, function: FunctionType) -> list[bytes]:
        code = function.__code__
        name = self._all((function.__module__, function.__qualname__))
        shown = self._all((function.__qualname__, function.__name__, function.__doc__))
        is_library, wrapped = _is_library(code.co_filename), getattr(function, "__wrapped__", None)
        if wrapped is not None and is_library:
            return [*name, self.of(wrapped)]
        held: list[Any] = [function.__defaults__, function.__kwdefaults__]
        for cell in function.__closure__ or ():
            try:
                held.append(cell.cell_contents)
            except ValueError:
                held.append("empty")
        if is_library:
            return [*name, *self._all(held)]
        used = {
            name: _used_of(function.__globals__[name], code)
            for name in _globals(code)
            if name in function.__globals__
        }
        # Not the source, which may have been edited since: what runs.
        codes = [[getattr(part, each) for each in _CODE] for part in _codes(code)]
        constants = [
            [each for each in part.co_consts if not isinstance(each, CodeType)] for part in _codes(code)
        ]
        return [*shown, *self._all((_annotations(function), codes, constants, held, used))]

    def _class(self, kind: type) -> list[bytes]:
        name = self._all((kind.__module__, kind.__qualname__))
        path = getattr(sys.modules.get(kind.__module__), "__file__", None)
        if _is_library(path) or (path is None and kind.__module__ != "__main__"):
            return name
        functions = {
            key: inspect.unwrap(each)
            for key, each in ((key, _function_of(value)) for key, value in vars(kind).items())
            if isinstance(each, FunctionType)
        }
        values = {
            key: (value.fget, value.fset, value.fdel) if isinstance(value, property) else value
            for key, value in vars(kind).items()
            if not _OF_PYTHON(key) and _function_of(value) is None
        }
        return [name[1], *self._all((kind.__bases__, functions, values, _annotations(kind)))]

    def _module(self, module: ModuleType) -> list[bytes]:
        path = getattr(module, "__file__", None)
        if path is None or _is_library(path):
            return self._all((module.__name__, str(getattr(module, "__version__", ""))))
        try:
            return self._all((module.__name__, Path(path).read_bytes()))
        except OSError:
            raise UnknownIdentity(f"the module {module.__name__}") from None


def _hash(kind: str, *parts: bytes) -> bytes:
    made = hashlib.sha256(kind.encode())
    for part in parts:
        made.update(len(part).to_bytes(8, "big"))
        made.update(part)
    return made.digest()


@functools.cache
def _is_library(path: str | None) -> bool:
    """Whether the file is of Python or of an installed package: its name says what it does."""
    if path is None:
        return False
    return path.startswith("<frozen") or str(Path(path).resolve()).startswith(_LIBRARIES)


def _function_of(member: Any) -> Any:
    """The function that a member of a class is, None for what is none."""
    function = getattr(member, "__func__", member)
    return function if isinstance(function, FunctionType) else None


def _annotations(value: Any) -> dict[str, str]:
    """What it says of types, without addresses of this process."""
    own = vars(value).get("__annotations__", {}) if isinstance(value, type) else value.__annotations__
    return {name: re.sub(r" at 0x[0-9a-f]+", "", str(each)) for name, each in own.items()}


def _globals(code: CodeType) -> list[str]:
    """The names that it looks up around itself, functions within it too."""
    loads = ("LOAD_GLOBAL", "LOAD_NAME")
    return sorted(
        {each.argval for part in _codes(code) for each in dis.get_instructions(part) if each.opname in loads}
    )


def _used_of(value: Any, code: CodeType) -> Any:
    """Of a module of the user's, the members that code names; else the value."""
    path = getattr(value, "__file__", None)
    if not isinstance(value, ModuleType) or path is None or _is_library(path):
        return value
    names = sorted({name for part in _codes(code) for name in part.co_names if name in vars(value)})
    return {name: vars(value)[name] for name in names} or value


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from _codes(each)
