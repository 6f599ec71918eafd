"""A map under way: the questions of a table's rows, each asked once."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from typing import Any

from ..answer_type import AnswerType
from ..backends.base import Backend
from ..errors import ConfigError, PraisonError, StoreError
from ..metering import writer
from ..metering.shared_budget import SharedBudget
from ..runtime import loop
from ..runtime.mailbox import Mailbox
from ..runtime.observable import Observable
from ..runtime.options import Subscriber
from ..runtime.pacer import Pacer
from ..text import shorten
from ..turn import ToolCall
from .answer_file import AnswerFile, KeptAnswer, KeptMap
from .expected import Reservations, first_lines
from .identity import agent_digest, digest_of
from .outcome import BUDGET, DONE, FAILED, KEPT, STOPPED, Outcome, holds_for_all
from .progress import Failure, Progress
from .questions import Questions
from .result import answer_text, result_table
from .table import Table
from .template import Template
from .workers import Workers

log = logging.getLogger(__name__)
LATEST = 5
"""Answers and failures that are shown."""
NAME_CHARACTERS = 60
LABEL_CHARACTERS = 80
TOGETHER_SECONDS = 0.1
"""So long an answer waits for others, to be written with them."""
WRITE_SECONDS = 0.5
"""A map that is stopped waits no longer for the file of answers, which is then written behind the scenes."""


class MapRun(Observable):
    """A map under way, which lives on the background loop; its methods may be called from any thread.
    Observers are called there whenever `progress` has changed. `wait()` or `await` it for the table. With
    several `backends` the rows are asked of each. `most_questions` are asked, all with None; the turns are
    observed by `subscribers`."""

    def __init__(
        self,
        table: Table,
        template: Template,
        backends: Sequence[Backend],
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
        subscribers: Sequence[Subscriber] = (),
        via: Sequence[Backend] | None = None,
    ) -> None:
        super().__init__()
        loop.refuse_at_end()
        self.table, self.template, self.output, self.backends = table, template, output, backends
        self._via = via or backends
        self.file = AnswerFile() if file is None else file
        self.name = shorten(f"map: {' '.join(template.prompt.split())}", NAME_CHARACTERS)
        self.budget = None if budget is None else SharedBudget(budget)
        lines = list[str]()
        self._digests = [agent_digest(each, output, lines.append) for each in backends]
        self.id = digest_of(self._digests, template.prompt)[:16]
        """The same for the same prompt and agents, whatever the rows."""
        self.questions: Questions | None = None
        self.outcomes: dict[str, Outcome] = {}
        """By the keys of `questions`."""
        self.kept_before: KeptMap | None = None
        self._pacer, self._raises, self._most = pacer or Pacer(at_once=concurrency), raises, most_questions
        self._pacer.on_change = self._update
        self._mailbox = Mailbox()
        options = {
            "session": self.name,
            "caller_waits": caller_waits,
            "output": output,
            "budget": self.budget,
            "tags": tags,
            "asker": self._deny,
            "pacer": self._pacer,
            "mailbox": self._mailbox,
        }
        if budget is not None:
            most = min(concurrency, len(table) * len(backends))
            subscribers = [*subscribers, Reservations(budget, most, self.add_line)]
        self._workers = Workers(concurrency, options, self._take, self._show_running, subscribers)
        self._answered: list[tuple[str, Outcome]] = []
        """What is not in the file yet."""
        self._writing: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()
        """Whether no further answers are to come."""
        self._problem: PraisonError | None = None
        self._ended, self._began = "", time.monotonic()
        self.progress = Progress(rows=len(table) * len(backends), budget=budget, lines=tuple(lines))
        self._done: Future[None] = Future()

    def begin(self) -> MapRun:
        """Start, in the caller's context, so that the ledger knows the cell."""
        loop.get().call_soon_threadsafe(lambda: loop.spawn(self._main()))
        return self

    def stop(self) -> None:
        """End it now. What was answered is kept, and the next call goes on."""
        loop.get().call_soon_threadsafe(self._stop)

    def wait(self) -> Any:
        """Block until it is over, and return `result()`. An interrupt stops it and is raised again."""
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

    def result(self) -> Any:
        """The table as it is now, with the answers' columns. Raises what made the map fail."""
        if self._problem is not None:
            raise self._problem.with_traceback(None)
        models = [each.model for each in self.backends] if len(self.backends) > 1 else []
        left = self._ended if self._ended in (BUDGET, FAILED) else STOPPED
        return result_table(self.table, self.questions, self.outcomes, self.output, left, models)

    # On the loop's thread

    async def _main(self) -> None:
        try:
            left, changes = await asyncio.to_thread(self._prepare)
            self._update(**changes)
            agents: list[dict[str, str]] = [{} for _ in self.backends]
            assert self.questions is not None
            for key in left:
                agents[self.questions.agents[key]][key] = self.questions.prompts[key]
            await self._workers.ask(list(zip(self._via, agents, strict=True)))
            if over := self._workers.over_budget:
                self._ended = self._ended or BUDGET
                self.add_line(over)
        except PraisonError as error:
            self._problem = self._problem or error
        except Exception as error:
            log.exception("a map failed")
            self._problem = PraisonError(f"The map failed: {type(error).__name__}: {error}")
        finally:
            await self._end()

    def _prepare(self) -> tuple[list[str], dict[str, Any]]:
        """What is to be asked, and what there is to show."""
        self.questions = asked = Questions(self.table.rows(), self.template, self._digests)
        if self._raises and asked.bad_rows:
            place, why = next(iter(asked.bad_rows.items()))
            raise ConfigError(f"Row {self.table.label(place)}: {why}")
        for key, found in self._find_kept(list(asked.rows)).items():
            self.outcomes[key] = Outcome(status=KEPT, answer=found.answer, model=found.model)
        left = [key for key in asked.rows if key not in self.outcomes][: self._most]
        self.kept_before = self.file.begin(self.id, self.template.prompt, asked.digest)
        lines = first_lines(asked, left, self.kept_before, self.template.prompt, self.backends)
        return left, {
            "kept": sum(len(asked.rows[key]) for key in self.outcomes),
            "questions": len(left),
            "failed": len(asked.bad_rows),
            "lines": (*lines, *self.progress.lines),
            "failures": tuple(self._failure(*each) for each in list(asked.bad_rows.items())[:LATEST]),
        }

    def _find_kept(self, keys: list[str]) -> dict[str, KeptAnswer]:
        found = self.file.find(keys)
        if self.output is None:
            return found
        usable = {}
        for key, kept in found.items():
            # Somebody may have changed what the type's validators take.
            with suppress(PraisonError):
                self.output.load(kept.answer)
                usable[key] = kept
        return usable

    def _deny(self, call: ToolCall) -> bool:
        line = (
            f"{shorten(call.name, 60)} was not run: it asks first, and in a map nobody is asked. "
            'policies={"…": "allow"} in the config lets it run.'
        )
        loop.get().call_soon_threadsafe(self.add_line, line)
        return False

    def _show_running(self) -> None:
        if self._workers.running != self.progress.running:
            self._update(running=self._workers.running)

    def _take(self, key: str, outcome: Outcome) -> None:
        now, changes = self.progress, dict[str, Any]()
        self._pacer.add_tokens(outcome.output_tokens)
        if outcome.status == DONE:
            self._answered.append((key, outcome))
            if self._writing is None:
                self._writing = asyncio.create_task(self._write())
        else:
            self.outcomes[key] = replace(outcome, answer=None)
        if outcome.status in (FAILED, BUDGET):
            assert self.questions is not None
            rows = self.questions.rows[key]
            failure = self._failure(rows[0], outcome.error, outcome.status)
            changes = {
                "failed": now.failed + len(rows),
                "failures": (*now.failures, failure)[-LATEST:],
            }
        self._update(
            running=self._workers.running,
            asked=now.asked + 1,
            spent=now.spent + (outcome.cost or Decimal(0)),
            unpriced=now.unpriced + (outcome.cost is None),
            input_tokens=now.input_tokens + outcome.input_tokens,
            output_tokens=now.output_tokens + outcome.output_tokens,
            **changes,
        )
        if outcome.status == FAILED and (self._raises or holds_for_all(outcome.problem)):
            self._problem = self._problem or outcome.problem or PraisonError(outcome.error)
            self._stop()

    async def _write(self) -> None:
        """Keep the answers, those together that come together; only then they are done."""
        while self._answered:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), TOGETHER_SECONDS)
            # What they cost is on the disk before them.
            await writer.current().wait_until_written()
            batch, self._answered = self._answered, []
            answers = [outcome.kept(key, self.id) for key, outcome in batch]
            self.outcomes.update(batch)
            try:
                await asyncio.to_thread(self.file.put, answers)
            except StoreError as error:
                self.add_line(f"Answers are not kept: {error}")
            self._show(batch)
        self._writing = None

    def _show(self, batch: Sequence[tuple[str, Outcome]]) -> None:
        assert self.questions is not None
        now, rows = self.progress, self.questions.rows
        latest = [
            (self.table.label(rows[key][0]), shorten(answer_text(outcome.answer), LABEL_CHARACTERS))
            for key, outcome in batch[-LATEST:]
        ]
        self._update(
            done=now.done + len(batch),
            kept=now.kept + sum(len(rows[key]) - 1 for key, _ in batch),
            latest=(*now.latest, *latest)[-LATEST:],
        )

    def _failure(self, place: int, why: str, status: str = FAILED) -> Failure:
        return Failure(row=self.table.label(place), status=status, error=shorten(why, 300))

    def add_line(self, line: str) -> None:
        if line not in self.progress.lines:
            self._update(lines=(*self.progress.lines, line))

    def _update(self, **changes: Any) -> None:
        self.progress = self.progress.after(
            time.monotonic() - self._began, held_seconds=self._pacer.held_seconds, **changes
        )
        self.notify()

    def _stop(self) -> None:
        if not self._ended and not self._done.done():
            self._ended = FAILED if self._problem else STOPPED
            self._hurry.set()
            self._workers.stop()

    async def _end(self) -> None:
        self._hurry.set()
        if self._writing is not None:
            await asyncio.wait({self._writing}, timeout=WRITE_SECONDS if self._ended == STOPPED else None)
        has_unpaid = any(each.status == BUDGET for each in self.outcomes.values())
        self._ended = self._ended or (FAILED if self._problem else BUDGET if has_unpaid else DONE)
        self._pacer.on_change = lambda: None
        self._update(running=0, ended=self._ended)
        self._done.set_result(None)
        self._mailbox.close()
