"""The ledger as a pandas DataFrame."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ...errors import ConfigError
from .. import writer
from ..schema import LABELS, TOKENS, LedgerError, default_path
from .read import NULL, Filter, labels, moment, rows

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

ENDS = ("status", "stop_reason", "error")
SHOWN = {"turn": "turns", "request": "requests"}


def load(
    since: Any = None,
    until: Any = None,
    session: str | None = None,
    model: str | None = None,
    notebook: str | None = None,
    ledger: str | os.PathLike[str] | None = None,
    by: Literal["turn", "request"] = "turn",
) -> pd.DataFrame:
    """The ledger as a DataFrame, one row a turn, or with `by="request"` one row a request to a model.

    `since` (included) and `until` (not included) are dates, datetimes or ISO text, in UTC where they name no
    zone; `session` is a conversation's name. `ledger` is a file, else the one that is written now.

    Columns: `time` (UTC, when it began); `user`, `notebook`, `cell`, `session`, `session_id`, `backend`,
    `provider`, `model`, `cost_source`, `status`, `stop_reason`, `error` (categories); the five disjoint token
    counts of `praison_nb.Usage`, and their sum `input_tokens`; `estimated`; `cost` in USD, <NA> where a part
    has no price; `seconds` and `first_text_seconds` (<NA> where no text came); for turns also `requests`,
    `unpriced_requests`, `known_cost`, and of hosted sessions `list_cost` and `active_seconds` so far.
    `turn` numbers the turns; a request has its turn's.

    `.agent.by("model")`, `.agent.plot()` and `.agent.forecast()` say more. Raises LedgerError, ConfigError.
    """
    if by not in SHOWN:
        raise ConfigError(f"by must be 'turn' or 'request', not {by!r:.40}.")
    path = current(ledger)
    told = {"session": session, "model": model, "notebook": notebook}
    wanted = Filter(
        moment(since, "since"), moment(until, "until"), {name: text for name, text in told.items() if text}
    )
    return _frame(path, SHOWN[by], wanted)


def current(ledger: str | os.PathLike[str] | None) -> Path:
    """The ledger's file; what waits for the one that is written now is in it."""
    path = default_path() if ledger is None else Path(ledger).expanduser()
    if path == default_path():
        book = writer.current()
        book.flush()
        if not path.exists() and not book.problem:
            with book.lock:
                book.ledger.write([])
        if book.problem and not path.is_file():
            raise LedgerError(book.problem)
    return path


def _frame(path: Path, table: str, wanted: Filter) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    from . import accessor  # noqa: F401  (registers `.agent`)

    numbers = rows(path, table, wanted)
    label = numbers["label"]
    columns: dict[str, Any] = {"time": pd.DatetimeIndex(numbers["time"].view("M8[us]")).tz_localize("UTC")}
    columns["turn"] = numbers["n"] if table == "turns" else numbers["turn"]
    columns |= _categories(path, label, numbers.get("turn"))
    columns["input_tokens"] = sum((numbers[name] for name in TOKENS[:-1]), np.zeros(len(label), np.int64))
    columns |= {name: numbers[name] for name in TOKENS}
    columns["estimated"] = numbers["estimated"].astype(bool)
    columns["cost"] = _float(numbers["cost"], 1e12)
    columns["seconds"] = _float(numbers["duration"], 1e6)
    columns["first_text_seconds"] = _float(numbers["first_text"], 1e6)
    if table == "turns":
        columns["requests"] = numbers["requests"]
        columns["unpriced_requests"] = numbers["unpriced"]
        columns["known_cost"] = numbers["priced"] / 1e12
        columns["list_cost"] = _float(numbers["list_cost"], 1e12)
        columns["active_seconds"] = _float(numbers["active"], 1e6)
    frame = pd.DataFrame(columns, copy=False)
    return frame if frame["time"].is_monotonic_increasing else frame.sort_values("time", ignore_index=True)


def _float(whole: np.ndarray[Any, Any], unit: float) -> Any:
    """Whole numbers of a unit as a nullable column of floats."""
    import pandas as pd

    missing = whole == NULL
    values = whole / unit
    values[missing] = 0.0
    return pd.arrays.FloatingArray(values, missing)


def _categories(path: Path, label: np.ndarray[Any, Any], turn: np.ndarray[Any, Any] | None) -> dict[str, Any]:
    """The columns of names. How a request's turn ended stands with the turn."""
    import numpy as np

    told = labels(path)
    if turn is None:
        return _named(told, label, LABELS)
    turns = rows(path, "turns", Filter())
    at = np.zeros(int(turns["n"].max(initial=0)) + 1, np.int64)
    at[turns["n"]] = turns["label"]
    return _named(told, label, LABELS) | _named(told, at[turn], ENDS)


def _named(
    told: list[tuple[Any, ...]], label: np.ndarray[Any, Any], names: tuple[str, ...]
) -> dict[str, Any]:
    import numpy as np
    import pandas as pd

    used = np.bincount(label, minlength=max((row[0] for row in told), default=0) + 1) > 0
    told = [row for row in told if used[row[0]]]
    numbers = [row[0] for row in told]
    columns = {}
    for name in names:
        index = LABELS.index(name) + 1
        codes, categories = pd.factorize(np.array([row[index] for row in told], object), sort=True)
        by_label = np.zeros(len(used), np.min_scalar_type(-max(len(categories), 1)))
        by_label[numbers] = codes
        dtype = pd.CategoricalDtype(pd.Index(categories))
        columns[name] = pd.Categorical.from_codes(by_label[label], dtype=dtype, validate=False)
    return columns
