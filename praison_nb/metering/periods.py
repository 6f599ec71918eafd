"""When days, weeks and months begin: in UTC, as providers bill, or in the time zone that is chosen.

>>> began("month", 1_767_312_000.0)  # 2026-01-02
1767225600000000
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from ..administration import administration
from ..errors import ConfigError

PERIODS = ("day", "week", "month")


def zone_name() -> str:
    """The name of the zone that counts: the administrator's, that of PRAISON_NB_TIMEZONE, or UTC."""
    return administration().timezone or os.environ.get("PRAISON_NB_TIMEZONE") or "UTC"


def zone() -> tzinfo:
    """The zone that counts. Raises ConfigError where there is none of its name."""
    name = zone_name()
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise ConfigError(
            f"There is no time zone {name!r:.40}: PRAISON_NB_TIMEZONE (or the administrator) names one such "
            "as Europe/Berlin."
        ) from None


def began(period: str, now: float) -> int:
    """Microseconds since 1970 at which the day, week or month began that `now` (seconds) is in; 0 for what
    is no period. Weeks begin on Monday. Raises ConfigError for a zone that there is not."""
    if period not in PERIODS:
        return 0
    day = datetime.fromtimestamp(now, zone()).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if period == "week":
        day -= timedelta(days=day.weekday())
    elif period == "month":
        day = day.replace(day=1)
    return int(day.timestamp()) * 1_000_000
