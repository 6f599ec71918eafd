"""Which rows of a ledger are wanted: from when to when, and of whom."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from ...errors import ConfigError
from .. import periods
from ..tags import checked, decoded, parse_all

Time = str | date | None
Tags = str | Mapping[str, str] | None
TimeZone = str | tzinfo | None

_SPAN = re.compile(r"(\d{1,6}) ?(min|h|d|w)")
_UNITS = {"min": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows: from `since` on and before `until` (microseconds since 1970), with these labels, tags."""

    since: int | None = None
    until: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, since: Time, until: Time, zone: tzinfo, tags: Tags = None, **names: str | None) -> Filter:
        """By times (see `to_microseconds`), tags and labels, each None where all are wanted. Raises
        ConfigError."""
        chosen = {name: text for name, text in names.items() if text}
        for name, text in chosen.items():
            if not isinstance(text, str):
                raise ConfigError(f"{name} must be text, not {text!r:.40}.")
        wanted = parse_all(tags.split(",")) if isinstance(tags, str) else checked(tags)
        begin, end = to_microseconds(since, "since", zone), to_microseconds(until, "until", zone)
        return cls(begin, end, chosen, wanted)

    def where(self, label: str = "t.label") -> tuple[str, list[Any]]:
        """As SQL over a table `t` whose label is in the column `label`, with its values."""
        clauses, values = ["1"], list[Any]()
        for operator, time in ((">=", self.since), ("<", self.until)):
            if time is not None:
                clauses.append(f"t.time {operator} ?")
                values.append(time)
        if self.labels or self.tags:
            named = [f"{name} = ?" for name in self.labels]
            named += ["instr(',' || tags || ',', ?) > 0" for _ in self.tags]
            clauses.append(f"{label} IN (SELECT n FROM labels WHERE {' AND '.join(named)})")
            values += [*self.labels.values(), *(f",{name}={value}," for name, value in self.tags.items())]
        return " AND ".join(clauses), values

    def matches(self, named: Mapping[str, str]) -> bool:
        """Whether labels are those that are wanted."""
        tags = decoded(named.get("tags", ""))
        return self.labels.items() <= named.items() and self.tags.items() <= tags.items()


def to_zone(tz: TimeZone) -> tzinfo:
    """A time zone by its name; with None the one that is chosen, UTC where none is. Raises ConfigError."""
    if tz is None:
        return periods.zone()
    if isinstance(tz, tzinfo):
        return tz
    try:
        return UTC if tz == "UTC" else ZoneInfo(tz)
    except (ValueError, TypeError, OSError, KeyError):
        raise ConfigError(f"There is no time zone {tz!r:.40}: name one such as Europe/Berlin.") from None


def is_span(text: str) -> bool:
    """Whether it says how long ago, as "7d" does."""
    return _SPAN.fullmatch(text) is not None


def to_microseconds(value: Time, name: str, zone: tzinfo = UTC) -> int | None:
    """A time as microseconds since 1970: a date, a datetime or ISO text, in `zone` where it names none; how
    long ago ("30min", "24h", "7d", "2w"); or "today", "yesterday", "week" or "month", when that began. Raises
    ConfigError.

    >>> to_microseconds("2026-01-01", "since"), to_microseconds(None, "since")
    (1767225600000000, None)
    """
    if value is None:
        return None
    try:
        moment = _moment(value, zone)
        return round((moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp() * 1_000_000)
    except (TypeError, ValueError, OverflowError):
        raise ConfigError(
            f"{name} must be a date, such as '2026-01-31', or how long ago, such as '7d' or '24h', not "
            f"{value!r:.60}."
        ) from None


def _moment(value: object, zone: tzinfo) -> datetime:
    now = datetime.now(zone)
    if isinstance(value, str):
        text = value.strip().lower()
        if span := _SPAN.fullmatch(text):
            # Of time that passed, not of the clock on the wall.
            return datetime.now(UTC) - timedelta(**{_UNITS[span[2]]: int(span[1])})
        today = now.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
        named = {
            "today": today,
            "yesterday": today - timedelta(days=1),
            "week": today - timedelta(days=today.weekday()),
            "month": today.replace(day=1),
        }
        return named[text] if text in named else datetime.fromisoformat(value.strip())
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)
    raise TypeError
