"""A map under way: the questions of a table's rows, each asked once, by turns that run side by side."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Generator, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from typing import Any

from ..answer_type import AnswerType, record
from ..backends.base import Backend
from ..backends.session import Session
from ..errors import ConfigError, PraisonError, StoreError
from ..events import Event
from ..metering.shared_budget import SharedBudget
from ..runtime import loop
from ..runtime.mailbox import Mailbox
from ..runtime.observable import Observable
from ..runtime.pacer import Pacer
from ..runtime.run import Run
from ..session import Usage
from ..text import shorten
from ..turn import Turn
from .answer_file import AnswerFile, KeptAnswer
from .outcome import BUDGET, DONE, FAILED, KEPT, STOPPED, Outcome, holds_for_all
from .progress import Failure, Progress
from .question import agent_digest, digest_of
from .table import Table
from .template import Template

log = logging.getLogger(__name__)
LATEST = 5
"""Answers and failures that are shown."""
NAME_CHARACTERS = 60
LABEL_CHARACTERS = 80


class MapRun(Observable):
    """A map under way, which lives on the background loop; its methods may be called from any thread.
    Observers are called there whenever `progress` has changed. `wait()` or `await` it for the table."""

    def __init__(
        self,
        table: Table,
        template: Template,
        backend: Backend,
        *,
        output: AnswerType | None = None,
        concurrency: int = 16,
        pacer: Pacer | None = None,
        budget: Decimal | None = None,
        raises: bool = False,
        file: AnswerFile | None = None,
        tags: Mapping[str, str] | None = None,
        caller_waits: bool = True,
        most_questions: int | None = None,
        via: Backend | None = None,
    ) -> None:
        super().__init__()
        loop.refuse_at_end()
        self.table, self.output, self.backend = table, output, via or backend
        self.file = file or AnswerFile()
        self.name = shorten(f"map: {' '.join(template.prompt.split())}", NAME_CHARACTERS)
        self.budget = None if budget is None else SharedBudget(budget)
        self._template, self._concurrency, self._raises = template, concurrency, raises
        self._pacer = pacer or Pacer()
        self._tags, self._caller_waits, self._most = tags, caller_waits, most_questions
        self._agent = agent_digest(backend, output)
        self.id = digest_of(self._agent, template.prompt)[:16]
        """The same for the same prompt and agent, whatever the rows."""
        self._mailbox = Mailbox()
        self._keys: list[str] = []
        """Of each row; "" where its prompt could not be made."""
        self._prompts: dict[str, str] = {}
        self._rows: dict[str, list[int]] = {}
        self._outcomes: dict[str, Outcome] = {}
        self._bad_rows: dict[int, str] = {}
        self._left: deque[str] = deque()
        self._running: set[Run] = set()
        self._changed = asyncio.Event()
        self._settled = 0
        """How many turns have ended of which a request was admitted."""
        self._written: deque[tuple[str, Outcome]] = deque()
        self._problem: PraisonError | None = None
        self._stopping = False
        self._began = time.monotonic()
        self.progress = Progress(rows=len(table), budget=budget)
        self._done: Future[None] = Future()

    def begin(self) -> MapRun:
        """Start, in the caller's context, so that the ledger knows the cell."""
        loop.get().call_soon_threadsafe(lambda: loop.spawn(self._main()))
        return self

    def add_line(self, line: str) -> None:
        """Have the user read it. On the loop's thread."""
        self._update(lines=(*self.progress.lines, line))

    def stop(self) -> None:
        """End it now. What was answered is kept, and the next call goes on."""
        loop.get().call_soon_threadsafe(self._stop)

    def wait(self) -> Any:
        """Block until it is over, and return the table. An interrupt stops it and is raised again. Raises
        what makes all questions fail."""
        loop.refuse_to_wait()
        for _ in self._mailbox.read(self.stop):
            pass
        return self.result()

    def __await__(self) -> Generator[Any, None, Any]:
        return self._join().__await__()

    async def _join(self) -> Any:
        async for _ in self._mailbox.aread(self.stop):
            pass
        return self.result()

    # On the loop's thread

    async def _main(self) -> None:
        try:
            await asyncio.to_thread(self._prepare)
            await self._ask_all()
        except PraisonError as error:
            self._problem = self._problem or error
        except Exception as error:
            log.exception("a map failed")
            self._problem = PraisonError(f"The map failed: {type(error).__name__}: {error}")
        finally:
            await self._end()

    def _prepare(self) -> None:
        for place, row in enumerate(self.table.rows()):
            try:
                prompt = self._template.fill(row)
            except ConfigError as error:
                self._keys.append("")
                self._bad_rows[place] = str(error)
                continue
            key = digest_of(self._agent, prompt)
            self._keys.append(key)
            self._rows.setdefault(key, []).append(place)
            self._prompts.setdefault(key, prompt)
        for key, found in self._find_kept().items():
            self._outcomes[key] = Outcome(status=KEPT, answer=found.answer, model=found.model)
        left = [key for key in self._rows if key not in self._outcomes]
        self._left.extend(left[: self._most])

    def _find_kept(self) -> dict[str, KeptAnswer]:
        found = self.file.find(list(self._rows))
        if self.output is None:
            return found
        usable = {}
        for key, kept in found.items():
            # Somebody may have changed what the type's validators take.
            with suppress(PraisonError):
                self.output.load(kept.answer)
                usable[key] = kept
        return usable

    async def _ask_all(self) -> None:
        kept = sum(len(self._rows[key]) for key in self._outcomes)
        questions = len(self._left)
        self._update(
            kept=kept, questions=questions, failed=len(self._bad_rows), lines=self._first_lines(kept)
        )
        for place, why in list(self._bad_rows.items())[:LATEST]:
            self._note_failure(place, FAILED, why)
        if not questions:
            return
        workers = min(self._concurrency, questions)
        backends = self._backends(workers)
        writing = asyncio.create_task(self._write())
        try:
            async with asyncio.TaskGroup() as group:
                for backend in backends:
                    group.create_task(self._work(backend))
        finally:
            self._written.append(("", Outcome(status=STOPPED)))
            self._changed.set()
            await writing

    def _first_lines(self, kept: int) -> tuple[str, ...]:
        asked = len(self._left)
        lines = (
            [f"{asked:,} to ask, {kept:,} of {len(self.table):,} rows have their answers."] if kept else []
        )
        if not kept and asked and (before := self.file.count(self.id)):
            lines.append(f"{before:,} answers to this prompt are of other rows.")
        return tuple(lines)

    def _backends(self, count: int) -> list[Backend]:
        if count == 1:
            return [self.backend]
        try:
            return [self.backend.fresh() for _ in range(count)]
        except ConfigError:
            return [self.backend]

    async def _work(self, backend: Backend) -> None:
        is_own = backend is not self.backend
        while self._left and not self._stopping:
            key = self._left.popleft()
            if is_own:
                backend.session = Session()
            else:
                await asyncio.to_thread(backend.reset_session)
            settled = self._settled
            try:
                outcome = await self._ask(backend, self._prompts[key])
            except PraisonError as error:
                # It could not even begin.
                outcome = Outcome(status=FAILED, error=str(error), problem=error)
            if outcome.status == BUDGET and not self._stopping:
                self._left.appendleft(key)
                if settled == self._settled and not any(map(_was_admitted, self._running)):
                    self._update(lines=(*self.progress.lines, outcome.error))
                    self._stopping, self._ended_by = True, BUDGET
                    self._changed.set()
                    return
                # What others have reserved comes free when they end.
                while settled == self._settled and not self._stopping:
                    self._changed.clear()
                    await self._changed.wait()
                continue
            self._take(key, outcome)

    async def _ask(self, backend: Backend, prompt: str) -> Outcome:
        ended = asyncio.Event()

        def observe(event: Event, turn: Turn) -> None:
            if turn.ended is not None:
                ended.set()

        run = backend.begin(
            prompt,
            subscribers=[observe],
            session=self.name,
            caller_waits=self._caller_waits,
            output=self.output,
            budget=self.budget,
            tags=self._tags,
            pacer=self._pacer,
            mailbox=self._mailbox,
        )
        self._running.add(run)
        self._update(running=len(self._running))
        try:
            await ended.wait()
            if not self._stopping:
                # What the backend still learns of its usage.
                await asyncio.shield(asyncio.wrap_future(run.settled))
        finally:
            self._running.discard(run)
            self._settled += _was_admitted(run)
            self._changed.set()
        return Outcome.of(run.turn, is_typed=self.output is not None)

    def _take(self, key: str, outcome: Outcome) -> None:
        self._pacer.add_tokens(outcome.output_tokens)
        now = self.progress
        self._update(
            running=len(self._running),
            asked=now.asked + 1,
            spent=now.spent + (outcome.cost or Decimal(0)),
            unpriced=now.unpriced + (outcome.cost is None),
            input_tokens=now.input_tokens + outcome.input_tokens,
            output_tokens=now.output_tokens + outcome.output_tokens,
        )
        if outcome.status == DONE:
            self._written.append((key, outcome))
            self._changed.set()
            return
        self._outcomes[key] = replace(outcome, answer=None)
        if outcome.status == FAILED:
            rows = self._rows[key]
            self._update(failed=self.progress.failed + len(rows))
            self._note_failure(rows[0], outcome.status, outcome.error)
            if self._raises or holds_for_all(outcome.problem):
                self._problem = self._problem or outcome.problem or PraisonError(outcome.error)
                self._stop()

    async def _write(self) -> None:
        """Keep the answers, those together that come together; only then they are done."""
        is_last = False
        while not is_last:
            if not self._written:
                self._changed.clear()
                await self._changed.wait()
                continue
            batch = [*self._written]
            self._written.clear()
            is_last = any(not key for key, _ in batch)
            answers = [
                KeptAnswer(
                    key=key,
                    answer=outcome.answer,
                    cost=outcome.cost,
                    input_tokens=outcome.input_tokens,
                    output_tokens=outcome.output_tokens,
                    model=outcome.model,
                    map=self.id,
                )
                for key, outcome in batch
                if key
            ]
            try:
                await asyncio.to_thread(self.file.put, answers)
            except StoreError as error:
                if (line := f"Answers are not kept: {error}") not in self.progress.lines:
                    self._update(lines=(*self.progress.lines, line))
            for key, outcome in batch:
                if key:
                    self._finish(key, outcome)

    def _finish(self, key: str, outcome: Outcome) -> None:
        self._outcomes[key] = outcome
        rows, now = self._rows[key], self.progress
        shown = (self.table.label(rows[0]), shorten(_answer_text(outcome.answer), LABEL_CHARACTERS))
        self._update(
            done=now.done + 1,
            kept=now.kept + len(rows) - 1,
            latest=(*now.latest, shown)[-LATEST:],
        )

    def _note_failure(self, place: int, status: str, why: str) -> None:
        failure = Failure(row=self.table.label(place), status=status, error=shorten(why, 300))
        self._update(failures=(*self.progress.failures, failure)[-LATEST:])

    def _update(self, **changes: Any) -> None:
        now = replace(self.progress, **changes)
        seconds = time.monotonic() - self._began
        left = now.questions - now.asked
        seconds_left = expected = None
        if now.asked:
            seconds_left = seconds / now.asked * left
            expected = now.spent + now.spent / now.asked * left if now.unpriced < now.asked else None
        self.progress = replace(
            now,
            seconds=seconds,
            seconds_left=seconds_left,
            expected=expected,
            held_seconds=self._pacer.held_seconds,
        )
        self.notify()

    _ended_by = ""

    def _stop(self) -> None:
        if self._stopping or self._done.done():
            return
        self._stopping, self._ended_by = True, FAILED if self._problem else STOPPED
        self._changed.set()
        for run in list(self._running):
            run.stop()

    async def _end(self) -> None:
        ended = self._ended_by or (FAILED if self._problem else DONE)
        self._update(running=0, ended=ended)
        self._done.set_result(None)
        self._mailbox.close()

    # When it is over

    def result(self) -> Any:
        """The table as it is now, with the answers' columns and `_status`, `_error`, `_cost` (USD) and
        `_tokens`. What a row costs is with the first row that asked it. Raises what stopped the map."""
        if self._problem is not None:
            raise self._problem.with_traceback(None)
        records, statuses, errors, costs, tokens = [], [], [], [], []
        left = STOPPED if self._ended_by in ("", STOPPED) else self._ended_by
        for place, key in enumerate(self._keys):
            outcome = self._outcomes.get(key) or Outcome(status=left)
            if place in self._bad_rows:
                outcome = Outcome(status=FAILED, error=self._bad_rows[place])
            is_first = not key or self._rows[key][0] == place
            records.append(self._record(outcome))
            statuses.append(outcome.status if is_first or outcome.status != DONE else KEPT)
            errors.append(outcome.error)
            costs.append((None if outcome.cost is None else float(outcome.cost)) if is_first else 0.0)
            tokens.append(outcome.input_tokens + outcome.output_tokens if is_first else 0)
        dtypes = self.output.row_columns if self.output else {"text": "string"}
        more: dict[str, list[Any]] = {
            "_status": statuses,
            "_error": errors,
            "_cost": costs,
            "_tokens": tokens,
        }
        return self.table.with_columns(records, dtypes, more)

    def _record(self, outcome: Outcome) -> dict[str, Any]:
        if outcome.answer is None:
            return {}
        if self.output is None:
            return {"text": outcome.answer}
        return record(self.output.load(outcome.answer).value)


def _was_admitted(run: Run) -> bool:
    return bool(run.turn.requests) or run.turn.pending != Usage()


def _answer_text(answer: Any) -> str:
    if isinstance(answer, dict):
        return ", ".join(f"{name}: {value}" for name, value in answer.items())
    return str(answer)
