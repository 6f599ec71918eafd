"""The table of a map's answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..answer_type import AnswerType, record
from .outcome import DONE, FAILED, KEPT, Outcome
from .questions import Questions
from .table import Table


def result_table(
    table: Table,
    questions: Questions | None,
    outcomes: Mapping[str, Outcome],
    output: AnswerType | None,
    left: str,
    models: Sequence[str],
) -> Any:
    """The table with the answers' columns and `_status`, `_error`, `_cost` (USD) and `_tokens`. What a
    question costs is with the first row that asks it; `left` is the status of those that were not asked. With
    `models` the table is there once for each, which is in `_model`."""
    times = max(1, len(models))
    keys = questions.keys if questions else [""] * (len(table) * times)
    rows, bad_rows = (questions.rows, questions.bad_rows) if questions else ({}, {})
    records, own = [], dict[str, list[Any]](_status=[], _error=[], _cost=[], _tokens=[])
    for place, key in enumerate(keys):
        outcome = outcomes.get(key) or Outcome(status=left)
        if place in bad_rows:
            outcome = Outcome(status=FAILED, error=bad_rows[place])
        is_first = not key or rows[key][0] == place
        records.append(_record(outcome, output))
        own["_status"].append(outcome.status if is_first or outcome.status != DONE else KEPT)
        own["_error"].append(outcome.error)
        cost = None if outcome.cost is None else float(outcome.cost)
        own["_cost"].append(cost if is_first else 0.0)
        own["_tokens"].append(outcome.input_tokens + outcome.output_tokens if is_first else 0)
    if models:
        own = {"_model": [model for model in models for _ in range(len(table))], **own}
    dtypes = output.row_columns if output else {"text": "string"}
    return table.with_columns(records, dtypes, own, times)


def answer_text(answer: Any) -> str:
    """An answer in a line."""
    if isinstance(answer, dict):
        return ", ".join(f"{name}: {value}" for name, value in answer.items())
    return str(answer)


def _record(outcome: Outcome, output: AnswerType | None) -> dict[str, Any]:
    # None may be an answer.
    if outcome.status not in (DONE, KEPT):
        return {}
    return {"text": outcome.answer} if output is None else record(output.load(outcome.answer).value)
