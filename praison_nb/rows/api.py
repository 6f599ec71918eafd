"""`praison_nb.map`: a prompt over the rows of a table."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from ..answer_type import AnswerType
from ..backends import as_backend, choose, create
from ..backends.arguments import checked_arguments
from ..backends.base import Backend
from ..backends.catalog import backend_for_model
from ..errors import ConfigError
from ..money import parse_usd
from ..runtime import loop
from ..runtime.pacer import RETRIES, Pacer
from . import view
from .answer_file import AnswerFile
from .async_code import is_async
from .batch import MOST_IN_A_BATCH, BatchAgent, batch_server
from .batch_queue import Batches
from .executor import RemoteWorkers, pool_of
from .mapping import MapRun
from .parcel import pack
from .plan import PlanRun
from .remote import remote
from .table import Table
from .template import Template

MOST_CONCURRENT = 1024


def map(
    frame: Any,
    prompt: str,
    *,
    agent: Any = None,
    output: Any = None,
    concurrency: int = 16,
    rpm: float | None = None,
    tpm: float | None = None,
    retries: int = RETRIES,
    budget: Decimal | float | str | None = None,
    on_error: Literal["record", "raise"] = "record",
    parallel_tools: bool = False,
    answers: str | os.PathLike[str] | None = None,
    tags: Mapping[str, str] | None = None,
    plan: bool = False,
    executor: Any = None,
    batch: bool = False,
) -> Any:
    """Ask `prompt` for each row of `frame`, and return the table with the answers' columns.

    `frame` is a DataFrame or Series of pandas or polars, a table of Arrow's, or any iterable of dicts or
    values. The prompt has the rows' values as `{column}`; of values without a name the column is "value".
    `agent` is a backend, an Agent, or a model's name. `output` is the type of the answers, as `Backend.begin`
    has it: its fields are columns, with dtypes; without it the column is "text". Behind them are `_status`
    ("done", "kept", "failed", "stopped", "budget"), `_error`, `_cost` (USD) and `_tokens`.

    The same question is asked once. Answers are kept in a file (`answers`, or PRAISON_NB_ANSWERS, or one
    beside the ledger): what was answered before, by the same model in the same way, costs nothing.

    `concurrency` requests are under way at once, at most `rpm` requests and `tpm` tokens a minute; where the
    server wants a pause all wait. Each is sent again up to `retries` times. `budget` in USD is never passed.
    What fails is its row's alone; with `on_error="raise"` it ends the map, and is raised. The agent's
    functions run one at a time where the map is called, with `parallel_tools` on threads.

    A list of agents is asked one beside the other: the table is there once for each, with its `_model`.
    `plan=True` asks a sample only, keeps its answers, and returns a Plan: what the whole may cost. A tool
    that asks is refused, unless the agent has an `on_tool_confirmation`.

    With an `executor` the rows are asked by its workers, `concurrency` in all: a `dask.distributed.Client`,
    any executor of concurrent.futures, or "dask" for a cluster on this machine. Keys do not go there: each
    worker reads the variable that the key is from. Functions run there too.

    With `batch` Anthropic's Message Batches or OpenAI's Batch answer within a day at half the price; the
    agent has no tools. Stop leaves a batch at its provider, and the next call of the same map takes it up.

    In code that awaits, which is an `async def`, a notebook's cell with an `await` outside of functions, or
    an argument of asyncio's functions, it returns a coroutine, which asks nothing before it is awaited: by
    `await`, `asyncio.gather`, `asyncio.create_task`, … It leaves the caller's loop free, and Stop works while
    it runs. Raises ConfigError, and what makes all rows fail.

    >>> import praison_nb
    >>> from praison_nb import ScriptedBackend
    >>> from praison_nb.events import TextDelta
    >>> agent = ScriptedBackend([TextDelta(text='{"value": 5}')])
    >>> frame = praison_nb.map(["Good.", "Fine."], "Stars for {value}?", agent=agent, output=int)
    >>> frame["value_answer"].tolist(), frame["value_answer"].dtype
    ([5, 5], Int64Dtype())
    """
    run = prepare(
        frame,
        prompt,
        agent=agent,
        output=output,
        concurrency=concurrency,
        rpm=rpm,
        tpm=tpm,
        retries=retries,
        budget=budget,
        on_error=on_error,
        parallel_tools=parallel_tools,
        answers=answers,
        tags=tags,
        plan=plan,
        executor=executor,
        batch=batch,
    )
    show = None if plan else view.show
    if is_async(sys._getframe(1)):
        return _awaited(run, show)
    if show is not None:
        show(run, False)
    return run.begin().wait()


async def _awaited(run: MapRun, show: Callable[[MapRun, bool], object] | None) -> Any:
    if show is not None:
        show(run, True)
    return await run.begin()


def begin(frame: Any, prompt: str, **options: Any) -> MapRun:
    """Start what `map` does, and return it under way: `wait()` or `await` it for the table."""
    return prepare(frame, prompt, **options).begin()


@checked_arguments()
def prepare(
    frame: Any,
    prompt: str,
    *,
    agent: Any = None,
    output: Any = None,
    concurrency: int = 16,
    rpm: float | None = None,
    tpm: float | None = None,
    retries: int = RETRIES,
    budget: Decimal | float | str | None = None,
    on_error: str = "record",
    parallel_tools: bool = False,
    answers: str | os.PathLike[str] | None = None,
    tags: Mapping[str, str] | None = None,
    plan: bool = False,
    executor: Any = None,
    batch: bool = False,
) -> MapRun:
    """What `map` does, before it begins. Raises ConfigError."""
    if not isinstance(prompt, str):
        raise ConfigError(f"prompt must be a text with {{column}}s, not {prompt!r:.60}.")
    if on_error not in ("record", "raise"):
        raise ConfigError(f'on_error must be "record" or "raise", not {on_error!r:.40}.')
    _check_number("concurrency", concurrency, 1, MOST_CONCURRENT)
    _check_number("retries", retries, 0, 100)
    for name, value in (("rpm", rpm), ("tpm", tpm)):
        if value is not None and (
            isinstance(value, bool) or not isinstance(value, int | float) or value <= 0
        ):
            raise ConfigError(f"{name} must be a number above 0, not {value!r:.40}.")
    agents = agent if isinstance(agent, list | tuple) else [agent]
    if not agents:
        raise ConfigError("agent must name a model at least.")
    if len(agents) > 1 and (batch or executor is not None):
        raise ConfigError("A batch, and an executor, have one agent: map each model by itself.")
    if batch and executor is not None:
        raise ConfigError("batch=True is the provider's own work: leave executor= out.")
    table, backends = Table(frame), [backend_of(each) for each in agents]
    file = AnswerFile(None if answers is None else Path(answers).expanduser())
    workers = batches = None
    if executor is not None:
        workers = RemoteWorkers(pool_of(executor), pack(backends[0], retries), concurrency)
    elif batch and not plan:
        batches, concurrency = Batches(batch_server(backends[0]), file), MOST_IN_A_BATCH
    via = remote(backends[0], workers) if workers else BatchAgent(backends[0], batches) if batches else None
    run = (PlanRun if plan else MapRun)(
        table,
        Template(prompt, table.columns),
        backends,
        output=backends[0].output_type if output is None else AnswerType.of(output),
        concurrency=concurrency,
        pacer=Pacer(rpm, tpm, retries, at_once=concurrency),
        budget=None if budget is None else parse_usd(budget, "budget"),
        raises=on_error == "raise",
        file=file,
        tags=tags,
        caller_waits=not parallel_tools,
        via=None if via is None else [via],
    )
    if batches is not None:
        batches.say = run.add_line
        run.on_change(lambda: batches.end() if run.progress.ended else None)
    if workers is not None:
        run.on_change(lambda: loop.spawn(workers.close()) if run.progress.ended else None)
    return run


def backend_of(agent: Any) -> Backend:
    """The backend that `agent` is or names. Raises ConfigError."""
    if agent is None:
        return choose()
    if isinstance(agent, str):
        return create(backend_for_model(agent) or "local", model=agent)
    return as_backend(agent)


def _check_number(name: str, value: Any, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ConfigError(f"{name} must be a number from {least} to {most:,}, not {value!r:.40}.")
