"""What budgets cost each request: the sums of a day, a month and all time that are read before it is sent, in
ledgers of all sizes; the first time in a process, and again."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

import ledgers
from harness import ROUNDS, Row, own_process

CHECK = """
import json, statistics, sys, time
from decimal import Decimal
from pathlib import Path
from praison_nb import Turn
from praison_nb.metering import budget
from praison_nb.metering.origin import current_origin
from praison_nb.metering.writer import Writer

writer, origin = Writer(Path(sys.argv[1])), current_origin()
for scope in sys.argv[2].split(","):
    budget.set_limit(writer, Decimal(1_000_000), scope, origin)
writer.close()
writer, times = Writer(Path(sys.argv[1])), []
while len(times) < 6 or sum(times) < 300:
    begun = time.perf_counter()
    spent = budget.spent_by_scope(writer, Turn(), origin, time.time())
    times.append((time.perf_counter() - begun) * 1000)
    assert all(each.usd > 0 for each in spent)
budget.set_limit(writer, None, "", origin)
print(json.dumps([times[0], statistics.median(times[1:])]))
"""


def rows() -> Iterator[Row]:
    for turns in (ledgers.FEW, ledgers.SOME, ledgers.MANY):
        for scopes in ("day", "day,month,user"):
            checks = [own_process(CHECK, ledgers.filled(turns), scopes) for _ in range(ROUNDS)]
            first, again = map(statistics.median, zip(*checks, strict=True))
            what = "budget of a day" if scopes == "day" else "budgets of a day, a month and all time"
            note = f"first {first:.2f} ms"
            yield Row(f"check of the {what}, {turns:,} rows", "ms", again, most=0.5, note=note)
