"""What is asked for a row, and the key under which its answer is kept: a hash of all that decides it."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from ..answer_type import AnswerType
from ..backends.base import Backend

VERSION = 1
"""Of the keys: another one asks everything again."""
_DECIDES_NOTHING = frozenset(
    ("name", "metadata", "api_key", "timeout", "session_title", "asks_stopped_cost", "retries", "output")
)
"""Fields of configs."""


def digest_of(*parts: Any) -> str:
    """A digest of JSON values."""
    text = json.dumps([VERSION, *parts], sort_keys=True, ensure_ascii=False, default=_text)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def agent_digest(backend: Backend, output: AnswerType | None) -> str:
    """What the answers of an agent depend on besides the prompt: its class, its config with the source of its
    functions, and the type of the answer."""
    config = getattr(backend, "config", None)
    settings = (
        {
            each.name: getattr(config, each.name)
            for each in fields(config)
            if each.name not in _DECIDES_NOTHING
        }
        if is_dataclass(config) and not isinstance(config, type)
        else {}
    )
    return digest_of(type(backend).__name__, backend.model, settings, output and output.schema)


def _text(value: Any) -> Any:
    """What stands for a value that JSON has not."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset | tuple):
        return sorted(map(str, value))
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: getattr(value, each.name) for each in fields(value)}
    if callable(value):
        return [getattr(value, "__qualname__", type(value).__name__), _source(value)]
    return str(value)


def _source(function: Callable[..., Any]) -> str:
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):
        code = getattr(function, "__code__", None)
        return repr((code.co_code, code.co_consts, code.co_names)) if code else type(function).__qualname__
