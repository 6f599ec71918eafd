"""The commands of `%agent` about prices."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from ...errors import ConfigError
from ...metering import price_table, user_prices
from ...metering.user_prices import Price
from ...money import parse_usd
from ..arguments import split_words
from ..extension import Extension
from ..views.tables import show, table

_MORE = ("--cache-read", "--cache-write", "--cache-write-1h", "--audio-input", "--audio-output")
_MARKS = ("--free", "--forget")


def price_command(extension: Extension, rest: str) -> None:
    """`%agent price [MODEL [--input USD --output USD … | --free | --forget] [--since DATE]]`."""
    shell, words = extension.shell, split_words(rest)
    if not words:
        _show_prices(shell)
        return
    model, options = words[0], _options(words[1:])
    if model.startswith("-"):
        raise ConfigError(
            "Name the model: %agent price MODEL --input 3 --output 15, in USD per million tokens."
        )
    if "forget" in options:
        user_prices.save(model, None)
        show(shell, f"{model} has no price of yours any more.")
        return
    since = user_prices.parse_since(options.pop("since", "") or _now())
    if "free" in options:
        price, what = replace(user_prices.FREE, since=since), "is free"
    elif {"input", "output"} <= set(options):
        usd = {name: parse_usd(value, f"--{name.replace('_', '-')}") for name, value in options.items()}
        price = _price(usd, since)
        what = f"costs ${price.input:f} in and ${price.output:f} out per million tokens"
    else:
        raise ConfigError(
            f"A price needs --input and --output in USD per million tokens ({', '.join(_MORE)} may be "
            "added), or --free, or --forget."
        )
    user_prices.save(model, price)
    lines = [f"{model} {what}{_where(model)} from {since} on. It is in {user_prices.path()}."]
    if price.is_free and "/" not in model:
        lines.append(
            "That is for servers of your own. For a company's, name it: "
            f"`%agent price openrouter/{model} --free`."
        )
    lines.append("`%usage reprice` shows what turns without a price would cost by it.")
    show(shell, "\n".join(lines))


def prices_command(extension: Extension, rest: str) -> None:
    """`%agent prices [update [URL]]`."""
    shell, words = extension.shell, split_words(rest)
    if not words:
        _show_prices(shell)
    elif words[0] == "update" and len(words) <= 2:
        before = price_table.source()
        after = price_table.update(*words[1:])
        news = "already" if before == after else f"from now on. Before it was {before}"
        show(shell, f"The price table is {after} {news}.")
    else:
        raise ConfigError("It is `%agent prices`, or `%agent prices update [URL]` for a newer table.")


def _where(model: str) -> str:
    prefix, slash, _ = model.partition("/")
    return f" at {prefix}" if slash else ""


def _now() -> str:
    return datetime.fromtimestamp(int(time.time()), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _price(usd: dict[str, Decimal], since: str) -> Price:
    known: dict[str, Any] = {**usd, "since": since}
    return Price(**known)


def _options(words: list[str]) -> dict[str, str]:
    known = ("--input", "--output", *_MORE, "--since")
    options, rest = {}, iter(words)
    for word in rest:
        name, _, value = word.partition("=")
        if name in _MARKS:
            options[name[2:]] = ""
        elif name in known:
            options[name[2:].replace("-", "_")] = value or next(rest, "")
        else:
            raise ConfigError(f"%agent price has no {word!r:.40}. It has {', '.join((*known, *_MARKS))}.")
    return options


def _show_prices(shell: Any) -> None:
    rows = []
    for model, price in user_prices.prices().items():
        parts = (price.input, price.output, price.cache_read, price.cache_write, price.cache_write_1h)
        cells = ("free" if price.is_free else "" if part is None else f"${part:f}" for part in parts)
        rows.append([model, *cells, price.since])
    listed = (
        f"Every other price is from {price_table.source()}; `%agent prices update` fetches a newer table."
    )
    if rows:
        headers = ["model", "in", "out", "cache read", "cache write", "for 1 h", "since"]
        notes = [f"USD per million tokens, from {user_prices.path()}.", listed]
        table(shell, headers, rows, notes, numbers=headers[1:-1])
    else:
        one = "No prices of yours. `%agent price MODEL --input 3 --output 15` sets one, --free none."
        show(shell, f"{one}\n{listed}")
