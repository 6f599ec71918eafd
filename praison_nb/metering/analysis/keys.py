"""What totals can be by: periods, the ledger's labels, tags; one, or several at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...errors import ConfigError
from ..schema import LABELS
from ..tags import decoded

if TYPE_CHECKING:
    import pandas as pd

PERIODS = ("hour", "day", "week", "month")
KEYS = (*PERIODS, *LABELS)
TAG = "tag:"
"""Before a tag's name, in the name of a key."""
LEDGER = "ledger"
"""The file, where there are several."""


def names(by: str | Sequence[str], known: Sequence[str] = KEYS) -> list[str]:
    """The names of keys, of which `by` is one, with commas between, or a list. Raises ConfigError for one
    that there is not.

    >>> names("day,model"), names(["tag:study"])
    (['day', 'model'], ['tag:study'])
    """
    if not isinstance(by, str) and not (
        isinstance(by, Sequence) and all(isinstance(name, str) for name in by)
    ):
        raise ConfigError(f"Totals are by a name or a list of names, not {by!r:.40}.")
    found = list(dict.fromkeys(part.strip() for part in (by.split(",") if isinstance(by, str) else by)))
    for name in found or [""]:
        if name not in known and name not in (*KEYS, LEDGER) and not name.startswith(TAG):
            raise ConfigError(
                f"There are no totals by {name!r:.40}. There are by {', '.join(KEYS)}, and tag:NAME; several "
                "with commas between."
            )
    return found


def values(frame: pd.DataFrame, name: str) -> pd.Series[Any]:
    """What each row of `frame`, which has a `time` and the labels, is counted to."""
    if name in PERIODS:
        return begun(frame["time"], name)
    if name.startswith(TAG):
        tag = name.removeprefix(TAG)
        return frame["tags"].astype(str).map(lambda text: decoded(text).get(tag, ""))
    return frame[name]


def begun(times: pd.Series[Any], period: str) -> pd.Series[Any]:
    """When the period began that each time is in, in the times' zone. Weeks begin on Monday."""
    import numpy as np
    import pandas as pd

    zone = times.dt.tz
    wall = times.dt.tz_localize(None)
    if period == "hour":
        # An hour may be there twice.
        hours: pd.Series[Any] = times - (wall - wall.dt.floor("h"))
        return hours
    days = wall.dt.floor("D")
    if period != "day":
        back = wall.dt.day_of_week if period == "week" else wall.dt.day - 1
        days = days - pd.to_timedelta(back, unit="D")
    # Somewhere midnight is the hour that is there twice, or not at all.
    begins: pd.Series[Any] = days.dt.tz_localize(
        zone, ambiguous=np.ones(len(days), bool), nonexistent="shift_forward"
    )
    return begins
