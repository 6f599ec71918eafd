"""What turns use and cost: prices, budgets, and the ledger that keeps it."""
