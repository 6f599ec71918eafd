"""The line of a magic in words."""

from __future__ import annotations

import itertools
import shlex
from argparse import Namespace
from typing import Any

from IPython.core.magic_arguments import parse_argstring

from ..errors import ConfigError

Named = tuple[str | None, str | None]
"""A backend and a model, as -b and -m name them."""


def parse_arguments(magic: Any, line: str) -> Namespace:
    """The arguments of `magic`, made with magic_arguments, in `line`. Raises ConfigError; UsageError for an
    option that there is not."""
    try:
        arguments: Namespace = parse_argstring(magic, line)
    except ValueError as error:
        raise _unclosed(line) from error
    if (name := getattr(arguments, "out", None)) and not name.isidentifier():
        raise ConfigError(f"-o takes the name of a variable, not {name!r:.60}.")
    return arguments


def split_words(line: str) -> list[str]:
    """The words of `line`, in which quotes keep blanks. Raises ConfigError."""
    try:
        return shlex.split(line)
    except ValueError as error:
        raise _unclosed(line) from error


def unquoted(text: str | None) -> str | None:
    """IPython's argument splitting keeps the quotes."""
    if text and len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1]
    return text


def named_agents(arguments: Namespace) -> list[Named]:
    """What -b and -m name, with commas between: each model on each backend."""
    backends, models = (
        [each.strip() or None for each in (unquoted(text) or "").strip(", ").split(",")]
        for text in (arguments.backend, arguments.model)
    )
    return list(itertools.product(backends, models))


def _unclosed(line: str) -> ConfigError:
    return ConfigError(f"A quote is not closed in: {line.strip():.100} (an apostrophe needs quotes around).")
