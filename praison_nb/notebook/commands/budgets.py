"""What `%agent price` and `%agent budget` do."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_UP, Decimal
from typing import Any
from weakref import WeakKeyDictionary

from ...errors import ConfigError, LedgerError
from ...metering import budget, user_prices, writer
from ...metering.origin import current_origin
from ...money import format_cents, parse_usd
from ..arguments import words as split
from ..views.tables import show, table


def price_command(shell: Any, line: str) -> None:
    """`%agent price [MODEL [--input USD --output USD … | --free | --forget]]`."""
    words = split(line)
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
    told = {name: parse_usd(value, f"--{name.replace('_', '-')}") for name, value in options.items()}
    user_prices.save(model, user_prices.Price(**told))
    show(
        shell,
        f"{model} costs ${told['input']:f} in and ${told['output']:f} out per million tokens from now on. "
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
    heads = ["model", "in", "out", "cache read", "cache write", "for 1 h"]
    notes = [f"USD per million tokens, from {user_prices.path()}. Every other model's price is in the table."]
    if rows:
        table(shell, heads, rows, notes)
    else:
        show(shell, "No prices of yours. `%agent price MODEL --input 3 --output 15` sets one, --free none.")


def give_budget(backend: Any) -> None:
    """Give a hosted session that is about to be made the session's budget: its provider minds it too."""
    if hasattr(backend, "set_budget") and not backend.session.id:
        try:
            limit = budget.limits(writer.current(), current_origin()).get("session")
        except LedgerError:
            return
        _mind(backend, limit)


_given: WeakKeyDictionary[Any, tuple[Any, Any]] = WeakKeyDictionary()
"""By backend: the budget that its user gave it, and the one that stands in its place."""


def _mind(backend: Any, limit: Decimal | None) -> None:
    """Have the provider mind `limit` in USD, or the backend's own budget where there is none or that is
    less."""
    told = _budget_of(backend)
    own, given = _given.get(backend, (None, None))
    if told is not given:
        own = told
    least = _least(own, limit)
    if least != told:
        backend.set_budget(least)
        _given[backend] = own, least


def _budget_of(backend: Any) -> Any:
    return getattr(getattr(backend, "config", None), "budget", None)


def _least(own: Any, limit: Decimal | None) -> Any:
    from ...backends.hosted.config import budget_dict

    told = budget_dict(own)
    if limit is None or (told and Decimal(told["max_list_cost"]["amount"]) <= limit * 100):
        return own
    return _cents(limit)


def _cents(limit: Decimal) -> Decimal:
    return limit.quantize(Decimal("0.01"), ROUND_UP)


def budget_command(shell: Any, conversations: Iterable[Any], line: str) -> None:
    """`%agent budget [USD/day | USD/session | USD/notebook | off[/SCOPE]]`."""
    origin, book = current_origin(), writer.current()
    if line.strip():
        limit, scope = budget.parse(line)
        budget.set_limit(book, limit, scope, origin)
        if scope in ("session", ""):
            for conversation in conversations:
                # A session that was made without a budget cannot get one; ours holds for it all the same.
                if _budget_of(conversation.backend) is not None:
                    _mind(conversation.backend, limit)
        if limit is None:
            show(shell, f"No budget for the {scope} any more." if scope else "No budgets any more.")
            return
    limits = budget.limits(book, origin)
    if not limits:
        show(
            shell,
            "No budgets. `%agent budget 5/day` sets one; /session and /notebook too; `%%agent --budget`.",
        )
        return
    spent = budget.most_spent(book, origin, limits)
    rows = [
        [scope, format_cents(limits[scope]), format_cents(used), f"{used / limits[scope]:.0%}"]
        for scope, used in spent.items()
    ]
    note = "Turns stop before the request that would come after. Days are UTC's; each session has its own."
    table(shell, ["budget", "limit", "spent", ""], rows, [note], [float(used) for used in spent.values()])
