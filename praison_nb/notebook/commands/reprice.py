"""`%usage reprice`: prices for what had none."""

from __future__ import annotations

from typing import Any

from ...metering import reprice, writer
from ...metering.reprice import Change
from ...money import format_usd, mark_usd
from ..views.tables import show, table


def reprice_command(shell: Any, *, is_confirmed: bool) -> None:
    """Show what would change, or change it."""
    book = writer.current()
    book.flush()
    with book.lock:
        changes = reprice.planned(book.ledger)
        if is_confirmed and changes:
            reprice.apply(book.ledger, changes)
    if not changes:
        show(
            shell,
            "Nothing to price: every request has a price, or none is known yet. "
            "`%agent price MODEL --input … --output …` sets one.",
        )
        return
    groups: dict[tuple[str, ...], list[Change]] = {}
    for change in changes:
        key = (change.label("model"), change.label("provider"), _source(change))
        groups.setdefault(key, []).append(change)
    rows = [
        [
            model,
            provider or "—",
            f"{len(group):,}",
            f"{sum(each.usage.input_tokens for each in group):,}",
            f"{sum(each.usage.output_tokens for each in group):,}",
            mark_usd(
                reprice.total(group),
                estimated=any(each.usage.estimated for each in group),
                is_lower_bound=any(each.cost.is_lower_bound for each in group),
            ),
            source,
        ]
        for (model, provider, source), group in groups.items()
    ]
    whole = format_usd(reprice.total(changes))
    note = f"{whole} more is in the ledger now." if is_confirmed else f"It would be {whole} more: "
    if not is_confirmed:
        note += "`%usage reprice --yes` notes it. What has a price keeps it."
    headers = ["model", "provider", "requests", "in", "out", "cost", "by"]
    table(shell, headers, rows, [note], numbers=("requests", "in", "out", "cost"))


def _source(change: Change) -> str:
    return " · ".join(filter(None, (change.cost.source, change.cost.price_source)))
