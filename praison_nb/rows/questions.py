"""The different questions of a table, each under the key of its answer: a hash of all that decides it."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from typing import Any

from ..answer_type import AnswerType
from ..backends.answer import validate_prompt
from ..backends.base import Backend
from ..errors import ConfigError
from .template import Template

VERSION = 1
"""Of the keys: another one asks everything again."""
_DECIDES_NOTHING = frozenset(
    ("name", "metadata", "api_key", "timeout", "session_title", "asks_stopped_cost", "retries", "output")
)
"""Fields of configs."""


class Questions:
    """What the rows ask of the agents that have these digests: all rows of the first one, then all of the
    next. `keys` are of each row, "" where its prompt cannot be made and `bad_rows` says why, by its place.
    `prompts` and `rows`, which are the places of those that ask it, are by key. `digest` is of the rows'
    values."""

    def __init__(self, rows: Iterable[Mapping[Any, Any]], template: Template, agents: list[str]) -> None:
        self.keys: list[str] = []
        self.prompts: dict[str, str] = {}
        self.rows: dict[str, list[int]] = {}
        self.bad_rows: dict[int, str] = {}
        self.agents: dict[str, int] = {}
        """By key: which agent is asked."""
        values = hashlib.sha256()
        prompts: list[str | ConfigError] = []
        for row in rows:
            values.update(repr(list(row.values())).encode("utf-8", "surrogatepass"))
            try:
                prompts.append(validate_prompt(template.fill(row)))
            except ConfigError as error:
                prompts.append(error)
        self.digest = values.hexdigest()[:16]
        for number, agent in enumerate(agents):
            for prompt in prompts:
                place = len(self.keys)
                if isinstance(prompt, ConfigError):
                    self.keys.append("")
                    self.bad_rows[place] = str(prompt)
                    continue
                key = digest_of(agent, prompt)
                self.keys.append(key)
                self.prompts[key], self.agents[key] = prompt, number
                self.rows.setdefault(key, []).append(place)


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
        return [getattr(value, "__qualname__", type(value).__name__), _source(value), *_captured(value)]
    return str(value)


def _captured(function: Callable[..., Any]) -> list[Any]:
    """Numbers and texts that the function has from around it: its source does not say them. Of other objects
    another process has others, which look different and may be the same."""
    values = []
    for cell in getattr(function, "__closure__", None) or ():
        with suppress(ValueError):  # an empty one
            values.append(cell.cell_contents)
    return [each for each in values if isinstance(each, str | int | float | bool | None)]


def _source(function: Callable[..., Any]) -> str:
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):
        code = getattr(function, "__code__", None)
        return repr((code.co_code, code.co_consts, code.co_names)) if code else type(function).__qualname__
