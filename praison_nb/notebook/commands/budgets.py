"""The command of `%agent` about budgets."""

from __future__ import annotations

import time

from ...administration import administration
from ...metering import budget, periods, writer
from ...metering.origin import current_origin
from ...money import format_cents
from ..extension import Extension
from ..views.tables import show, table


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
    shares = {scope: float(used / limits[scope]) if limits[scope] else 1.0 for scope, used in spent.items()}
    rows = [
        [
            scope,
            format_cents(limits[scope], exact=True)
            + (" (fixed)" if limits[scope] == fixed.get(scope) else ""),
            format_cents(used, exact=True),
            f"{int(shares[scope] * 100)}%",
        ]
        for scope, used in spent.items()
    ]
    note = (
        "A request that may cost more than is left is not sent. Days, weeks and months are those of "
        f"{periods.zone_name()}; each session has its own."
    )
    if fixed:
        note += " What is fixed was set by the administrator of this machine."
    table(shell, ["budget", "limit", "spent", ""], rows, [note], [*shares.values()], full=1.0)
