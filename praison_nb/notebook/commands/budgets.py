"""The command of `%agent` about budgets."""

from __future__ import annotations

from ...metering import budget, writer
from ...metering.origin import current_origin
from ...money import format_cents
from ..extension import Extension
from ..views.tables import show, table


def budget_command(extension: Extension, rest: str) -> None:
    """`%agent budget [USD/day | USD/session | USD/notebook | off[/SCOPE]]`."""
    shell, origin, ledger = extension.shell, current_origin(), writer.current()
    if rest:
        limit, scope = budget.parse(rest)
        budget.set_limit(ledger, limit, scope, origin)
        if scope in ("session", ""):
            for conversation in extension.conversations:
                conversation.backend.limit_budget(limit)
        if limit is None:
            show(shell, f"No budget for the {scope} any more." if scope else "No budgets any more.")
            return
    limits = budget.limits(ledger, origin)
    if not limits:
        show(
            shell,
            "No budgets. `%agent budget 5/day` sets one; /session and /notebook too; `%%agent --budget`.",
        )
        return
    spent = budget.most_spent(ledger, origin, limits)
    rows = [
        [scope, format_cents(limits[scope]), format_cents(used), f"{used / limits[scope]:.0%}"]
        for scope, used in spent.items()
    ]
    note = "Turns stop before the request that would come after. Days are UTC's; each session has its own."
    table(shell, ["budget", "limit", "spent", ""], rows, [note], [float(used) for used in spent.values()])
