"""What a cell shows of a map over rows: how far it is, and when it is over its first rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ...errors import PraisonError
from ...events import new_id
from ...money import format_usd
from ...render.html import error_html, facts_html, notes_html
from ...render.items import table_item
from ...render.markdown import NO_FORMULAS
from ...render.panel import Badge, Fact, heading, panel
from ...render.table import answer_part, columns_of, records_table, table_html
from ...render.text import panel_line
from ...render.visible import one_line
from ...rows.progress import Progress
from ...runtime import loop
from ...session import Status
from ...text import shorten, strip_control_chars
from .shown import NOTHING

if TYPE_CHECKING:
    from ...rows.mapping import MapRun

INTERVAL_SECONDS = 0.5
"""However many rows are answered meanwhile."""
HEAD = 10
"""Rows of the frame that stay."""


class MapSubject:
    """A map under way. `show` has an output follow it; `notes` are lines that are shown with it,
    and `keep` is called with the table before the output that stays is shown."""

    interval = INTERVAL_SECONDS

    def __init__(
        self, run: MapRun, notes: Iterable[str] = (), keep: Callable[[Any], object] = lambda frame: None
    ) -> None:
        self._run: MapRun | None = run
        self.notes, self._keep = tuple(notes), keep
        self.id = new_id()
        self.name, self.model = run.name, ", ".join(each.model for each in run.backends)
        self.settled: Future[None] = Future()
        self._still: dict[str, str] | None = None
        self.error = ""
        self._progress = run.progress

    def show(self, output: Callable[[], object]) -> None:
        """Have the output follow it from now on, called on the loop's thread."""

        def refresh() -> None:
            if self.settled.done():
                return
            if (run := self._run) is not None:
                self._progress = run.progress
            output()
            if self._progress.ended:
                self.settled.set_result(None)

        # It may be over by now, and what stays of it made.
        if (run := self._run) is not None:
            run.on_change(refresh)
        loop.get().call_soon_threadsafe(refresh)

    def now(self) -> ShownMap:
        return ShownMap(self._progress, self)

    def mark_shown(self, call: Any) -> None:
        """A map asks nothing."""

    def click(self, message: dict[str, Any]) -> None:
        if message.get("kind") == "stop" and self._run is not None:
            self._run.stop()

    def still(self) -> dict[str, str]:
        """The first rows of the table, made once: a map holds all of its answers, and outputs stay known."""
        if self._still is None and self._run is not None:
            try:
                frame = self._run.result()
                self._keep(frame)
                self._still = head(frame)
            except PraisonError as error:
                self._still, self.error = NOTHING, f"{type(error).__name__}: {error}"
            self._run = None
        return self._still or NOTHING


class ShownMap:
    """A map at one moment."""

    text, waiting, is_whole = "", (), False

    def __init__(self, progress: Progress, subject: MapSubject) -> None:
        self._progress, self._subject = progress, subject
        self._made = time.monotonic()

    @property
    def is_over(self) -> bool:
        return bool(self._progress.ended)

    @property
    def urgent(self) -> object:
        return self._progress.ended, len(self._progress.lines), bool(self._progress.failures)

    @property
    def _badge(self) -> Badge:
        now = self._progress
        if now.ended:
            return Badge(Status.ERROR if now.ended == "failed" else Status.IDLE)
        return Badge(Status.RUNNING, activity="the server wants a pause" if now.held_seconds >= 0.5 else "")

    @property
    def label(self) -> str:
        return str(self._badge)

    @property
    def line(self) -> str:
        return panel_line(self.panel())

    def answer(self) -> dict[str, str]:
        return self._subject.still() if self.is_over else NOTHING

    def below(self, *, background: bool) -> dict[str, str]:
        now, made = self._progress, self.panel()
        # Made of the frame, and with it the error.
        error = self._subject.error if self.answer() is NOTHING and background else ""
        tables = [failures(now)] if now.ended else [latest(now), failures(now)]
        lines = [strip_control_chars(line) for line in made["notices"]]
        text = [each[1] for each in tables if each] + [f"note: {line}" for line in lines]
        html = "".join(each[0] for each in tables if each) + notes_html(lines)
        html += error_html(error) if error else ""
        return {
            "text/html": f'<div class="{NO_FORMULAS}">{html}{facts_html(self._badge, made)}</div>',
            "text/plain": "\n".join([*filter(None, [error]), *text, panel_line(made)]),
        }

    def items(self) -> list[dict[str, Any]]:
        tables = {"latest": latest(self._progress), "failures": failures(self._progress)}
        return [table_item(name, each[0]) for name, each in tables.items() if each]

    def panel(self, hint: str = "") -> dict[str, Any]:
        now = self._progress
        seconds = now.seconds if now.ended else now.seconds + time.monotonic() - self._made
        settled = now.done + now.kept + now.failed
        return {
            **panel(self._badge, self._facts(seconds)),
            "clock": 1,
            "elapsed": seconds,
            "stoppable": True,
            "hint": hint if not now.ended else "",
            "notices": [one_line(line) for line in (*self._subject.notes, *now.lines)],
            "budget": {
                "spent": settled / now.rows if now.rows else 1.0,
                "title": f"{settled:,} of {now.rows:,} rows",
            },
        }

    def _facts(self, seconds: float) -> list[Fact]:
        now = self._progress
        how = {
            "stopped": "stopped by you after ",
            "budget": "the budget is reached after ",
            "failed": "failed after ",
        }.get(now.ended, "")
        rest = ", the answers so far are kept" if now.ended == "stopped" else ""
        facts = [
            heading(self._subject.name, self._subject.model),
            Fact(f"{how}{seconds:.1f} s{rest}"),
            Fact("", f"{now.done + now.kept:,}", f" of {now.rows:,} rows", "rows that have their answers"),
            Fact("kept ", f"{now.kept:,}", "", "answered before, or by another row that asks the same"),
            Fact("failed ", f"{now.failed:,}"),
        ]
        if not now.ended:
            facts.append(Fact("running ", f"{now.running:,}"))
        if now.done:
            facts.append(Fact("", f"{now.rows_per_second:.1f}", " rows/s"))
        facts.append(self._spent())
        if not now.ended and now.expected is not None:
            facts.append(Fact("expected ", f"~{format_usd(now.expected)}", "", "by what answers cost so far"))
        if not now.ended and now.seconds_left is not None:
            facts.append(Fact("", f"~{duration(now.seconds_left)}", " left"))
        facts += [Fact("in ", f"{now.input_tokens:,}"), Fact("out ", f"{now.output_tokens:,}")]
        return facts

    def _spent(self) -> Fact:
        now = self._progress
        of = f" of {format_usd(now.budget)}" if now.budget is not None else ""
        if now.asked and now.unpriced == now.asked:
            return Fact("spent ", format_usd(None), of, "no list price for this model")
        least, title = ("≥ ", "a part of it has no price") if now.unpriced else ("", "")
        return Fact("spent ", least + format_usd(now.spent), of, title)


def duration(seconds: float) -> str:
    """About so long, in words.

    >>> duration(8), duration(100), duration(7300)
    ('8 s', '2 min', '2.0 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def latest(progress: Progress) -> tuple[str, str] | None:
    """The last answers as a table, HTML and text."""
    return _table(["row", "answer"], [list(each) for each in progress.latest])


def failures(progress: Progress) -> tuple[str, str] | None:
    """What failed last, and why."""
    rows = [[each.row, each.status, each.error] for each in progress.failures]
    return _table(["row", "status", "reason"], rows)


def head(frame: Any) -> dict[str, str]:
    """The first rows of a frame of pandas or polars as an output."""
    first, count = frame.head(HEAD), len(frame)
    if hasattr(first, "to_dicts"):
        records = first.to_dicts()
    else:
        names = [str(name) for name in first.columns]
        columns = [_plain(first.iloc[:, place].tolist()) for place in range(len(names))]
        index = [] if type(first.index).__name__ == "RangeIndex" else [_plain(first.index.tolist())]
        names = ["", *names] if index else names
        records = [dict(zip(names, row, strict=True)) for row in zip(*index, *columns, strict=True)]
    if not records:
        return NOTHING
    for record in records:
        if (cost := record.get("_cost")) is not None:
            record["_cost"] = format_usd(Decimal(str(cost)))
    html, text = records_table(records, count, "… {} more rows are in the frame")
    return {"text/html": answer_part(html), "text/plain": text}


def _plain(values: list[Any]) -> list[Any]:
    return [None if type(each).__name__ in ("NAType", "NaTType") or each != each else each for each in values]


def _table(headers: list[str], rows: list[list[str]]) -> tuple[str, str] | None:
    if not rows:
        return None
    rows = [[shorten(cell, 300) for cell in row] for row in rows]
    return table_html(headers, rows), "\n".join(columns_of([headers, *rows]))
