"""The different questions of a table, each under the key of its answer: a hash of all that decides it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from ..backends.answer import validate_prompt
from ..errors import ConfigError
from .identity import digest_of
from .template import Template


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
