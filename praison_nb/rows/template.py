"""The prompt of each row: `{column}` is the row's value there.

>>> Template("Label {text:.2}.", ["text", "language"]).fill({"text": "Hiya", "language": "english"})
'Label Hi.'
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import ConfigError
from ..redaction import redact
from ..text import describe_exception, did_you_mean, replace_surrogates, shorten
from ..values import value_text

MISSING = "(missing)"
_WORD = re.compile(r"(?<!\{)\{([A-Za-z_]\w*)\}(?!\})")


class Template:
    """A prompt with `{column}`s. Braces that name no column stay as they are, but for a lone word in them,
    which is a mistake that thousands of prompts would have. Raises ConfigError for one, and for a prompt that
    names no column."""

    def __init__(self, prompt: str, columns: Sequence[Any]) -> None:
        self._columns = {str(column): column for column in columns}
        # The longest first: of "a" and "a:b" the latter is meant by {a:b}.
        names = "|".join(map(re.escape, sorted(self._columns, key=len, reverse=True)))
        self._field = re.compile(rf"(?<!\{{)\{{[ \t]*({names})[ \t]*(?::([^{{}}\n]{{1,50}}))?\}}(?!\}})")
        self.prompt = replace_surrogates(prompt)
        unknown = next((name for name in _WORD.findall(prompt) if name not in self._columns), None)
        known = shorten(", ".join(f"{{{name}}}" for name in self._columns), 300) or "none"
        if unknown is not None:
            hint = did_you_mean(unknown, self._columns) or f". There are {known}."
            raise ConfigError(f"The prompt names {{{unknown}}}, which is no column{hint}")
        if not self._columns or not self._field.search(prompt):
            raise ConfigError(
                f"The prompt names no column, so all rows would ask the same. There are {known}."
            )

    def fill(self, row: Mapping[Any, Any]) -> str:
        """The prompt for a row, of which the template's columns are looked at. Raises ConfigError for a
        format that a value does not take."""

        def text(field: re.Match[str]) -> str:
            value, spec = row[self._columns[field[1]]], field[2]
            if _is_missing(value):
                return MISSING
            try:
                made = format(value, spec) if spec else value_text(value)
            except (ValueError, TypeError) as error:
                reason = describe_exception(error)
                raise ConfigError(f"{field[0]} cannot be filled with {value!r:.60}: {reason}") from None
            return replace_surrogates(redact(made))

        return self._field.sub(text, self.prompt)


def _is_missing(value: Any) -> bool:
    # NaN and NaT are not themselves; of pandas' NA nobody knows, and of an array there are many answers.
    try:
        return value is None or bool(value != value)
    except (TypeError, ValueError):
        return type(value).__name__ == "NAType"
