"""The user's own prices, in a JSON file that they may edit: USD per million tokens by model, or "free".

    {
      "my-model": {"input": 3, "output": 15, "cache_read": 0.3, "since": "2026-11-01"},
      "ollama/llama3.2": "free"
    }

`PRAISON_NB_PRICES` names another file. A key counts for the model as the server names it, with or without
its provider's prefix and its date, so "gpt-4o-mini" counts for "gpt-4o-mini-2024-07-18" too. One with a
prefix counts at that provider's only; a name alone that is free, at servers of one's own: what is free here
is not so elsewhere. `since` is when the price was set, or will begin.
"""

from __future__ import annotations

import functools
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..money import parse_usd
from ..session import Usage
from ..storage import replacing
from . import price_table
from .model_names import dateless

_FIELDS = ("input", "output", "cache_read", "cache_write", "cache_write_1h", "audio_input", "audio_output")
_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """USD per million tokens. Tokens of a cache, and of sound, cost what others cost, where no price of their
    own is given. `since` is a date or time in ISO 8601, "" where nobody said when."""

    input: Decimal
    output: Decimal
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None
    cache_write_1h: Decimal | None = None
    audio_input: Decimal | None = None
    audio_output: Decimal | None = None
    since: str = ""

    @property
    def is_free(self) -> bool:
        """Whether nothing costs anything."""
        return not any(getattr(self, field) for field in _FIELDS)

    @property
    def began(self) -> float:
        """`since` in seconds since 1970; a time without a zone is one of UTC."""
        if not self.since:
            return 0.0
        since = datetime.fromisoformat(self.since)
        return (since if since.tzinfo else since.replace(tzinfo=UTC)).timestamp()

    def cost(self, usage: Usage) -> Decimal:
        """USD for `usage`.

        >>> Price(Decimal(3), Decimal(15)).cost(Usage(uncached_input_tokens=1000, output_tokens=100))
        Decimal('0.0045')
        """
        write = self.input if self.cache_write is None else self.cache_write
        heard, spoken = usage.audio_input_tokens, usage.audio_output_tokens
        parts = (
            (usage.uncached_input_tokens - heard, self.input),
            (heard, self.input if self.audio_input is None else self.audio_input),
            (spoken, self.output if self.audio_output is None else self.audio_output),
            (usage.cache_read_input_tokens, self.input if self.cache_read is None else self.cache_read),
            (usage.cache_write_5m_input_tokens, write),
            (
                usage.cache_write_1h_input_tokens,
                write if self.cache_write_1h is None else self.cache_write_1h,
            ),
            (usage.output_tokens - spoken, self.output),
        )
        return sum((tokens * price for tokens, price in parts), Decimal(0)) / _MILLION


FREE = Price(Decimal(0), Decimal(0))

_known: tuple[tuple[Path, int, int] | None, dict[str, Price]] = (None, {})
problem = ""
"""What is wrong with the file as it is now, "" where nothing is; prices in it do not count until then."""


def path() -> Path:
    """The file, which need not exist."""
    environment = map(os.environ.get, ("PRAISON_NB_PRICES", "XDG_CONFIG_HOME", "HOME"))
    return _path(*environment)


@functools.lru_cache(maxsize=1)
def _path(named: str | None, *_: str | None) -> Path:
    if named:
        return Path(named).expanduser()
    from platformdirs import user_config_dir

    return Path(user_config_dir("praison_nb", appauthor=False)) / "prices.json"


def find(model: str, provider: str = "") -> tuple[str, Price] | None:
    """The user's price for `model` of `provider` (its id in the price table or here, "" for nobody's), and
    the key that it has in the file; None where there is none yet. A file that cannot be read counts as none
    and sets `problem`."""
    now = time.time()
    prices = {key: price for key, price in _current().items() if price.began <= now}
    for name in (model, dateless(model)) if prices else ():
        for key, price in prices.items():
            prefix, _, own = key.partition("/")
            if own == name and _is_of(prefix, provider):
                return key, price
        if name in prices:
            return name, prices[name]
    return None


def version() -> object:
    """What is another one once other prices count: the file has changed, or one of them has begun."""
    prices, now = _current(), time.time()
    return _known[0], sum(price.began <= now for price in prices.values())


def _is_of(prefix: str, provider: str) -> bool:
    """Whether a prefix means this provider: what is free on a machine of one's own is not so elsewhere."""
    if prefix == provider or provider == f"{prefix}-cloud":
        return True
    return price_table.provider_id(prefix) == provider


def prices() -> dict[str, Price]:
    """All of the file's prices by model. Raises ConfigError where the file cannot be understood."""
    file = path()
    try:
        data = json.loads(file.read_text("utf-8"), parse_float=Decimal)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"The price file {file} cannot be read ({error}): mend it, or move it away."
        ) from error
    if not isinstance(data, dict):
        raise ConfigError(f'The price file {file} must hold {{"MODEL": {{"input": 3, "output": 15}}, …}}.')
    return {model: _price(model, value) for model, value in data.items()}


def save(model: str, price: Price | None) -> None:
    """Set the price of `model` in the file, or take it out with None. Raises ConfigError."""
    file, known = path(), prices()
    known.pop(model, None)
    if price is not None:
        known[model] = price
    text = json.dumps({name: _plain(known[name]) for name in sorted(known)}, indent=2) + "\n"
    try:
        with replacing(file) as new:
            new.write(text.encode())
    except OSError as error:
        raise ConfigError(f"The price file {file} cannot be written: {error}.") from error


def _current() -> Mapping[str, Price]:
    global _known, problem
    file = path()
    try:
        about = file.stat()
        stamp = (file, about.st_mtime_ns, about.st_size)
    except OSError:
        problem = ""
        return {}
    known = _known
    if known[0] != stamp:
        try:
            known, problem = (stamp, prices()), ""
        except ConfigError as error:
            known, problem = (stamp, {}), str(error)
        _known = known
    return known[1]


def _price(model: str, value: Any) -> Price:
    if value == "free":
        return FREE
    if not isinstance(value, dict) or not {"input", "output"} <= set(value) <= {*_FIELDS, "since"}:
        raise ConfigError(
            f'The price of {model!r} in {path()} must be "free", or have "input" and "output" in USD per '
            f"million tokens ({', '.join(_FIELDS[2:])} may be added)."
        )
    since = parse_since(value.get("since", ""))
    known = {field: parse_usd(value[field], f"{field} of {model!r}") for field in value if field != "since"}
    return Price(**known, since=since)


def parse_since(text: Any) -> str:
    """A date or time in ISO 8601. Raises ConfigError where `text` is none."""
    try:
        if isinstance(text, str) and Price(Decimal(0), Decimal(0), since=text).began >= 0:
            return text
    except (ValueError, OverflowError):
        pass
    raise ConfigError(f"A price's since must be a date as 2026-11-01, not {text!r:.40}.")


def _plain(price: Price) -> Any:
    if price == FREE:
        return "free"
    values = {field: getattr(price, field) for field in _FIELDS}
    known = {field: _number(value) for field, value in values.items() if value is not None}
    return {**known, **({"since": price.since} if price.since else {})}


def _number(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)
