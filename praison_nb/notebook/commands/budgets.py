"""The commands of `%agent` about money: prices and budgets."""

from __future__ import annotations

import time
from typing import Any

from ...administration import administration
from ...errors import ConfigError
from ...metering import budget, periods, user_prices, writer
from ...metering.origin import current_origin
from ...money import format_cents, parse_usd
from ..arguments import split_words
from ..extension import Extension
from ..views.tables import show, table


def price_command(extension: Extension, rest: str) -> None:
    """`%agent price [MODEL [--input USD --output USD … | --free | --forget]]`."""
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
    if "free" in options:
        user_prices.save(model, user_prices.FREE)
        show(shell, f"{model} is free from now on. It is in {user_prices.path()}.")
        return
    if not {"input", "output"} <= set(options):
        raise ConfigError(
            f"A price needs --input and --output in USD per million tokens ({', '.join(_MORE)} may be "
            "added), or --free, or --forget."
        )
    price = {name: parse_usd(value, f"--{name.replace('_', '-')}") for name, value in options.items()}
    user_prices.save(model, user_prices.Price(**price))
    show(
        shell,
        f"{model} costs ${price['input']:f} in and ${price['output']:f} out per million tokens from now on. "
        f"It is in {user_prices.path()}.",
    )


_MORE = ("--cache-read", "--cache-write", "--cache-write-1h")


def _options(words: list[str]) -> dict[str, str]:
    known = ("--input", "--output", *_MORE)
    options, rest = {}, iter(words)
    for word in rest:
        name, _, value = word.partition("=")
        if name in ("--free", "--forget"):
            options[name[2:]] = ""
        elif name in known:
            options[name[2:].replace("-", "_")] = value or next(rest, "")
        else:
            raise ConfigError(
                f"%agent price has no {word!r:.40}. It has {', '.join(known)}, --free, --forget."
            )
    return options


def _show_prices(shell: Any) -> None:
    rows = []
    for model, price in user_prices.prices().items():
        parts = (price.input, price.output, price.cache_read, price.cache_write, price.cache_write_1h)
        free = price == user_prices.FREE
        rows.append([model, *("free" if free else "" if part is None else f"${part:f}" for part in parts)])
    headers = ["model", "in", "out", "cache read", "cache write", "for 1 h"]
    notes = [f"USD per million tokens, from {user_prices.path()}. Every other model's price is in the table."]
    if rows:
        table(shell, headers, rows, notes)
    else:
        show(shell, "No prices of yours. `%agent price MODEL --input 3 --output 15` sets one, --free none.")


def budget_command(extension: Extension, rest: str) -> None:
    """`%agent budget [USD/SCOPE | off[/SCOPE]]`, of a day, week, month, user, session or notebook."""
    shell, origin, ledger = extension.shell, current_origin(), writer.current()
    if rest:
        limit, scope = budget.parse(rest)
        budget.set_limit(ledger, limit, scope, origin)
        if scope in ("session", ""):
            for conversation in extension.conversations:
                conversation.backend.limit_budget(limit)
        if limit is None:
            left = ", ".join(
                f"{per}: {format_cents(usd)}" for per, usd in budget.limits(ledger, origin).items()
            )
            text = f"No budget for the {scope} any more." if scope else "No budgets any more."
            show(shell, f"{text} What counts still: {left}." if left else text)
            return
    limits = budget.limits(ledger, origin)
    if not limits:
        show(
            shell,
            "No budgets. `%agent budget 5/day` sets one; /week, /month, /user, /session and /notebook too; "
            "`%%agent --budget`.",
        )
        return
    spent = budget.most_spent(ledger, origin, limits, time.time())
    fixed = administration().budgets
    rows = [
        [
            scope,
            format_cents(limits[scope], exact=True)
            + (" (fixed)" if limits[scope] == fixed.get(scope) else ""),
            format_cents(used, exact=True),
            f"{used / limits[scope]:.0%}" if limits[scope] else "100%",
        ]
        for scope, used in spent.items()
    ]
    note = (
        "A request that may cost more than is left is not sent. Days, weeks and months are those of "
        f"{periods.zone_name()}; each session has its own."
    )
    if fixed:
        note += " What is fixed was set by the administrator of this machine."
    table(shell, ["budget", "limit", "spent", ""], rows, [note], [float(used) for used in spent.values()])
