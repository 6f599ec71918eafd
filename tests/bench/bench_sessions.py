"""Ten thousand sessions: their list, their table, and what a turn costs while two such tables are open."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from harness import Measured, MeasuredKernel, Row, in_turns, median, servers

COUNT = 10_000
FILL = f"""
import praison_nb
from praison_nb import store
from praison_nb.store import StoredSession, upsert_session
sessions = [StoredSession(id=f"local-{{n}}", name=f"name-{{n}}", notebook="/a/b.ipynb", last_used=n)
            for n in range({COUNT})]
store.current().change(lambda connection: [upsert_session(each)(connection) for each in sessions])
"""
EMPTY = """
import anywidget

class Empty(anywidget.AnyWidget):
    _esm = "export default { render() {} }"

Empty()
"""
QUIET = 1.0
"""Seconds after which nothing comes any more of what a turn changes."""


def rows() -> Iterator[Row]:
    with servers() as where, MeasuredKernel(where.env) as other, MeasuredKernel(where.env) as kernel:
        empty = other.measure(EMPTY).cpu * 1e3
        kernel.do("%%agent\n1 chunks")
        alone = _turns(kernel)
        kernel.do(f"{FILL}\ntables = []")
        for name, code, *beside in (
            ("%agent sessions", "%agent sessions"),
            ("sessions()", "tables.append(praison_nb.sessions())\ntables[-1]", empty, "an empty AnyWidget"),
        ):
            first, *more = (kernel.measure(code) for _ in range(6))
            again = median(more).cpu * 1e3
            work = f"{name} of {COUNT:,}"
            note = f"again {again:.0f} ms"
            yield Row(f"{work}, CPU", "ms", first.cpu * 1e3, *beside, most=50, note=note)
            yield Row(f"{work}, IOPub", "kB", first.size / 1000, most=100)
        kernel.do("for each in tables[2:]:\n    each.close()")
        turns = _turns(kernel)
    work = f"turn while two tables of {COUNT:,} sessions are open"
    yield Row(f"{work}, CPU", "ms", turns.cpu * 1e3, alone.cpu * 1e3, "without tables")
    yield Row(f"{work}, IOPub", "kB", turns.size / 1000, alone.size / 1000, "without tables")


def _turns(kernel: MeasuredKernel) -> Measured:
    """A cell with a turn, and all that comes of it."""
    return median(in_turns({"turn": partial(kernel.measure, "%%agent\n1 chunks", QUIET)})["turn"])
