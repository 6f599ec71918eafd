"""What turns cost: `praison_nb.usage()` is the ledger as a DataFrame, `praison_nb.usage.by("day")` totals.

    import praison_nb

    praison_nb.usage(since="2026-01-01").agent.by("model")
    praison_nb.usage.by("day")          # added up in SQL, however big the ledger is
    praison_nb.usage().agent.plot()

Here are the price table, the ledger, budgets, and what is read out of them.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import pandas as pd


class _Usage(ModuleType):
    """A package that may be called like the function that people look for under its name."""

    def __call__(self, *args: Any, **options: Any) -> pd.DataFrame:
        """The ledger as a DataFrame; see `praison_nb.usage.frame.load`."""
        from .frame import load

        return load(*args, **options)

    def by(self, name: str, **options: Any) -> pd.DataFrame:
        """Totals by "day", "model", "session", "notebook", "user", …, added up in SQL; see
        `praison_nb.usage.totals.by`."""
        from .totals import by

        return by(name, **options)


sys.modules[__name__].__class__ = _Usage
usage = cast(_Usage, sys.modules[__name__])
