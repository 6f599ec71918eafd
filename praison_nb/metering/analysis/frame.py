"""`praison_nb.usage`: the ledger as a pandas DataFrame, and totals of it."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ...errors import ConfigError
from ...money import PICO
from ..schema import LABELS, STATES, TOKENS
from . import sample, totals
from .filters import Filter, Tags, Time, TimeZone, to_zone
from .keys import LEDGER
from .read import NULL, labels, rows
from .totals import Ledgers, ledger_paths

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

ENDS = ("status", "stop_reason", "error")
TABLES = {"turn": "turns", "request": "requests"}


class UsageReader:
    """What turns used and cost, from the ledger. `praison_nb.usage` is one of these: call it for the rows, or
    ask it for totals with `by`. `example` writes a sample ledger to try them on.

    >>> import tempfile
    >>> from praison_nb import usage
    >>> path = usage.example(f"{tempfile.mkdtemp()}/sample.sqlite", turns=50)
    >>> frame = usage(ledger=path)
    >>> len(frame), str(frame["cost"].dtype)
    (50, 'Float64')
    >>> int(usage.by("day", ledger=path)["turns"].sum())
    50
    """

    def __call__(
        self,
        since: Time = None,
        until: Time = None,
        session: str | None = None,
        model: str | None = None,
        notebook: str | None = None,
        ledger: Ledgers = None,
        by: Literal["turn", "request"] = "turn",
        *,
        provider: str | None = None,
        user: str | None = None,
        tags: Tags = None,
        tz: TimeZone = None,
    ) -> pd.DataFrame:
        """The ledger as a DataFrame, oldest first: one row per turn, or with `by="request"` one per request
        to a model.

        `since` (included) and `until` (not included) are dates, datetimes or ISO text, how long ago ("24h",
        "7d", "2w"), or "today", "yesterday", "week" or "month". `session` is a conversation's name,
        `notebook` a path, `provider` and `user` a name, `tags` {"study": "churn"} or "study=churn". `tz`,
        such as "Europe/Berlin", is the zone of all times and days; without it the one that was chosen
        (PRAISON_NB_TIMEZONE), or UTC. `ledger` is a file, or a list of them; without it the one that this
        process writes.

        Columns: `time` (when it began); `user`, `notebook`, `cell`, `session`, `session_id`, `backend`,
        `provider`, `model`, `cost_source`, `status`, `stop_reason`, `error`, `service_tier`, `tags`,
        `price_source` (categories); the five disjoint token counts of `praison_nb.Usage`, and as
        `input_tokens` the sum of those that are input; `reasoning_output_tokens`, a part of the output;
        `estimated` (whether a part was not counted by the server); `cost` in USD, <NA> where a part has no
        price; `is_lower_bound` (whether it may have cost more); `fees` in USD, the part of the cost that is
        not for tokens; `seconds` and `first_text_seconds` (<NA> where no text came). Turns also have
        `requests` and `unpriced_requests` (counts), `known_cost` (USD of what has a price), `estimated_cost`
        (USD for estimated tokens), and of hosted sessions what the provider says of the whole session so far:
        `list_cost` (USD) and `active_seconds`; and `extra_cost` (USD), what they cost beyond their requests,
        such as a session's time. Requests have a `state` ("done", "running", or "unknown" where the kernel
        was killed) and what is `reserved` (USD), the most that one costs which is not done. `turn` numbers
        the turns; a request has its turn's number. Of several ledgers `ledger` says which.

        The frame's `.agent` says more: `by("model")`, `dearest()`, `outliers()`, `burn_rate()`, `forecast()`
        and `plot()`. Raises ConfigError for an argument that cannot be, LedgerError where the ledger cannot
        be read.
        """
        if by not in TABLES:
            raise ConfigError(f"by must be 'turn' or 'request', not {by!r:.40}.")
        import pandas as pd

        names = {"session": session, "model": model, "notebook": notebook, "provider": provider, "user": user}
        zone = to_zone(tz)
        wanted = Filter.of(since, until, zone, tags, **names)
        paths = ledger_paths(ledger)
        if len(paths) == 1:
            frame = _frame(paths[0], TABLES[by], wanted)
        else:
            frames = [_frame(path, TABLES[by], wanted).assign(**{LEDGER: str(path)}) for path in paths]
            frame = pd.concat(frames, ignore_index=True).sort_values("time", kind="stable", ignore_index=True)
            # Those of one ledger are not those of the other.
            named = {*LABELS, "state", LEDGER} & {*frame}
            frame = frame.astype(dict.fromkeys(named, "category"))
        return frame if zone is UTC else frame.assign(time=frame["time"].dt.tz_convert(zone))

    by = staticmethod(totals.by)
    example = staticmethod(sample.example)


usage = UsageReader()


def _frame(path: Path, table: str, wanted: Filter) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    from . import accessor  # noqa: F401  (registers `.agent`)

    numbers = rows(path, table, wanted)
    # Of those that stand in the frame as they are, where all is the same may be one number, read-only.
    for name in {*numbers} & {
        "n",
        "turn",
        "time",
        *TOKENS,
        "reasoning_output_tokens",
        "requests",
        "unpriced",
    }:
        numbers[name] = np.require(numbers[name], requirements="W")
    label = numbers["label"]
    columns: dict[str, Any] = {"time": pd.DatetimeIndex(numbers["time"].view("M8[us]")).tz_localize("UTC")}
    columns["turn"] = numbers["n"] if table == "turns" else numbers["turn"]
    columns |= _categories(path, label, numbers.get("turn"))
    columns["input_tokens"] = sum((numbers[name] for name in TOKENS[:-1]), np.zeros(len(label), np.int64))
    columns |= {name: numbers[name] for name in TOKENS}
    columns["reasoning_output_tokens"] = numbers["reasoning_output_tokens"]
    columns["estimated"] = numbers["estimated"].astype(bool)
    columns["is_lower_bound"] = numbers["is_lower_bound"].astype(bool)
    columns["fees"] = numbers["fees"] / PICO
    columns["cost"] = _float(numbers["cost"], PICO)
    columns["seconds"] = _float(numbers["duration"], 1e6)
    columns["first_text_seconds"] = _float(numbers["first_text"], 1e6)
    if table == "turns":
        columns["requests"] = numbers["requests"]
        columns["unpriced_requests"] = numbers["unpriced"]
        columns["known_cost"] = numbers["priced"] / PICO
        columns["estimated_cost"] = numbers["estimated_cost"] / PICO
        columns["extra_cost"] = numbers["extra_cost"] / PICO
        columns["list_cost"] = _float(numbers["list_cost"], PICO)
        columns["active_seconds"] = _float(numbers["active"], 1e6)
    else:
        columns["state"] = pd.Categorical.from_codes(numbers["state"], pd.Index(STATES))
        columns["reserved"] = numbers["reserved"] / PICO
    frame = pd.DataFrame(columns, copy=False)
    return frame if frame["time"].is_monotonic_increasing else frame.sort_values("time", ignore_index=True)


def _float(counts: np.ndarray[Any, Any], unit: float) -> Any:
    """Whole numbers, so many of them to the `unit`, as a nullable column of floats."""
    import pandas as pd

    missing = counts == NULL
    values = counts / unit
    values[missing] = 0.0
    return pd.arrays.FloatingArray(values, missing)


def _categories(path: Path, label: np.ndarray[Any, Any], turn: np.ndarray[Any, Any] | None) -> dict[str, Any]:
    """The columns of names. How a request's turn ended stands with the turn."""
    import numpy as np

    known = labels(path)
    if turn is None:
        return _named(known, label, LABELS)
    turns = rows(path, "turns", Filter())
    # A user may have taken away a turn, or a label, by hand: 0 is no label's number.
    at = np.zeros(int(max(turns["n"].max(initial=0), turn.max(initial=0))) + 1, np.int64)
    at[turns["n"]] = turns["label"]
    return _named(known, label, LABELS) | _named(known, at[turn], ENDS)


def _named(
    known: list[tuple[Any, ...]], label: np.ndarray[Any, Any], names: tuple[str, ...]
) -> dict[str, Any]:
    import numpy as np
    import pandas as pd

    used = np.bincount(label, minlength=max((row[0] for row in known), default=0) + 1) > 0
    known = [row for row in known if used[row[0]]]
    numbers = [row[0] for row in known]
    columns = {}
    for name in names:
        index = LABELS.index(name) + 1
        codes, categories = pd.factorize(np.array([row[index] for row in known], object), sort=True)
        by_label = np.full(len(used), -1, np.min_scalar_type(-max(len(categories), 1)))
        by_label[numbers] = codes
        dtype = pd.CategoricalDtype(pd.Index(categories))
        columns[name] = pd.Categorical.from_codes(by_label[label], dtype=dtype, validate=False)
    return columns
