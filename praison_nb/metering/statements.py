"""All SQL about the ledger's rows but that of analyses: another engine has to know these statements."""

from __future__ import annotations

import functools
from collections.abc import Iterable

from .schema import DAY, DONE, LABELS, RUNNING, TOKENS, UNKNOWN

TURN_COLUMNS = (
    "time",
    "duration",
    "first_text",
    "requests",
    "unpriced",
    *TOKENS,
    "estimated",
    "cost",
    "priced",
    "list_cost",
    "active",
    "reasoning_output_tokens",
    "fees",
    "is_lower_bound",
    "estimated_cost",
    "extra_cost",
    "elsewhere",
    "reserved",
)
REQUEST_COLUMNS = (
    "time",
    "duration",
    "first_text",
    *TOKENS,
    "estimated",
    "cost",
    "reasoning_output_tokens",
    "fees",
    "is_lower_bound",
    "state",
    "reserved",
)


def _set(names: Iterable[str]) -> str:
    return ", ".join(f"{name} = excluded.{name}" for name in names)


PUT_TURN = (
    f"INSERT INTO turns (id, label, process, {', '.join(TURN_COLUMNS)}) "
    f"VALUES (?, ?, ?{', ?' * len(TURN_COLUMNS)}) "
    f"ON CONFLICT (id) DO UPDATE SET {_set(('label', 'process', *TURN_COLUMNS))}"
)
PUT_REQUEST = (
    f"INSERT INTO requests (id, label, turn, {', '.join(REQUEST_COLUMNS)}) "
    f"VALUES (?, ?, (SELECT n FROM turns WHERE id = ?){', ?' * len(REQUEST_COLUMNS)}) "
    f"ON CONFLICT (id) DO UPDATE SET {_set(('label', *REQUEST_COLUMNS))} WHERE requests.state != {DONE}"
)
"""A request that is done stays as it is."""
SETTLE = (
    f"UPDATE requests SET id = ? WHERE id = ? AND state != {DONE} "
    "AND NOT EXISTS (SELECT 1 FROM requests WHERE id = ?)"
)
"""Give the row that began under one id the id that it ends with."""
DROP = f"DELETE FROM requests WHERE id = ? AND state != {DONE}"
ADD_LABEL = (
    f"INSERT INTO labels ({', '.join(LABELS)}) VALUES (?{', ?' * (len(LABELS) - 1)}) ON CONFLICT DO NOTHING"
)
GET_LABEL = f"SELECT n FROM labels WHERE {' AND '.join(f'{name} = ?' for name in LABELS)}"

# Kernels that were killed

PROCESSES = "SELECT DISTINCT process FROM turns WHERE process != ''"
MARK_UNKNOWN = (
    f"UPDATE requests SET state = {UNKNOWN} "
    f"WHERE state = {RUNNING} AND turn IN (SELECT n FROM turns WHERE process = ?)"
)
TURNS_OF_PROCESS = (
    f"SELECT t.n, {', '.join(f'l.{name}' for name in LABELS)} "
    "FROM turns t JOIN labels l ON l.n = t.label WHERE t.process = ?"
)
END_TURN = "UPDATE turns SET label = ?, process = '' WHERE n = ?"
NOT_DONE = (
    "SELECT r.state, r.time, l.notebook, l.session, l.model, r.uncached_input_tokens, r.cost, r.reserved "
    f"FROM requests r JOIN labels l ON l.n = r.label WHERE r.state != {DONE} AND l.user = ? "
    "ORDER BY r.state, r.time DESC"
)

# Budgets

LIMITS = "SELECT per, key, usd FROM budgets"
PUT_LIMIT = (
    "INSERT INTO budgets (per, key, usd) VALUES (?, ?, ?) "
    "ON CONFLICT (per, key) DO UPDATE SET usd = excluded.usd"
)
DELETE_LIMIT = "DELETE FROM budgets WHERE per = ? AND key = ?"


_LATE = "(SELECT value FROM json_each(?{}))"


@functools.cache
def spent(names: tuple[str, ...], *, by_time: bool) -> str:
    """A query for rows with these labels, and `by_time` from a time on: of requests and turns, what those
    cost that are done (turns: beyond their requests), and what the others may; how many turns there are, and
    how many of them lack a price. It is looked up, however many rows there are. Values: user and name of the
    totals, the time, the ids (a JSON list) of requests and of turns to leave out, and of one turn of which
    only what it may cost is left out."""
    keys = "user = ?1 AND name = ?2 AND began"
    if by_time:
        # Whole days of UTC, and quarters of an hour before the first one of them.
        day = f"(?3 + {DAY - 1}) / {DAY} * {DAY}"
        totals = [
            f"FROM totals WHERE scope = 'quarter' AND {keys} >= ?3 AND began < {day}",
            f"FROM totals WHERE scope = 'day' AND {keys} >= {day}",
        ]
    else:
        totals = [f"FROM totals WHERE scope = '{names[-1]}' AND {keys} = 0"]
    found = {"user": "l.user = ?1", "notebook": "l.notebook = ?2", "session_id": "l.session_id = ?2"}
    # Few rows are late: they come first, and then their labels.
    chosen = " AND ".join(found[name] for name in names)
    late = f"CROSS JOIN labels l ON l.n = r.label WHERE {chosen} AND r.time >= ?3"
    is_late = f"r.id IN {_LATE.format(5)}"
    parts = [
        *(f"SELECT spent, reserved, turns, unpriced {each}" for each in totals),
        f"SELECT iif(r.state = {DONE}, -coalesce(r.cost, 0), 0), iif(r.state = {DONE}, 0, -r.reserved), 0, 0 "
        f"FROM requests r {late} AND r.id IN {_LATE.format(4)}",
        f"SELECT iif({is_late}, -r.extra_cost, 0), iif(r.process = '', 0, -r.reserved), -({is_late}), "
        f"-({is_late} AND r.unpriced > 0) FROM turns r {late} "
        "AND r.id IN (SELECT value FROM json_each(?5) UNION ALL SELECT ?6)",
    ]
    sums = ", ".join(f"coalesce(sum({name}), 0)" for name in ("spent", "reserved", "turns", "unpriced"))
    return f"SELECT {sums} FROM ({' UNION ALL '.join(parts)})"


MOST_OF_SESSIONS = (
    "SELECT coalesce(max(spent), 0) FROM totals WHERE scope = 'session_id' AND user = '' AND began = 0 "
    "AND name IN (SELECT session_id FROM labels WHERE user = ? AND notebook = ?)"
)
"""What the session of a notebook spent that spent most."""

SESSION_TOTALS = (
    "SELECT session_id, turns, input_tokens, output_tokens, priced, unpriced, estimated, lower_bounds "
    "FROM session_totals WHERE session_id != '' AND turns > 0{}"
)
"""With a place for what else must hold."""

TURNS_OF_SESSION = (
    "SELECT t.id, t.priced, t.active, t.cache_write_1h_input_tokens, t.uncached_input_tokens + "
    "t.cache_read_input_tokens + t.cache_write_5m_input_tokens + t.cache_write_1h_input_tokens, "
    "t.output_tokens, t.fees, t.process, t.elsewhere FROM turns t "
    "WHERE t.label IN (SELECT n FROM labels WHERE session_id = ?)"
)

PARTS_OF_THREAD = (
    f"SELECT r.id, t.id, {', '.join(f'r.{name}' for name in TOKENS)}, r.cost "
    "FROM requests r JOIN turns t ON t.n = r.turn WHERE r.id >= ? AND r.id < ? ORDER BY r.n"
)

# Prices that come later

UNPRICED = (
    f"SELECT r.n, r.turn, r.time, r.estimated, {', '.join(f'r.{name}' for name in TOKENS)}, "
    f"{', '.join(f'l.{name}' for name in LABELS)} FROM requests r JOIN labels l ON l.n = r.label "
    f"WHERE r.cost IS NULL AND r.state = {DONE} ORDER BY r.n"
)
PRICE_REQUEST = (
    "UPDATE requests SET cost = :usd, fees = :fees, is_lower_bound = :bound, label = :label "
    "WHERE n = :request AND cost IS NULL"
)
PRICE_TURN = """
    UPDATE turns SET
        priced = priced + iif(cost IS NULL, :usd, 0),
        extra_cost = extra_cost - iif(cost IS NULL, 0, :usd),
        unpriced = max(0, unpriced - (cost IS NULL)), fees = fees + :fees,
        is_lower_bound = max(is_lower_bound, :bound), estimated_cost = estimated_cost + :estimated,
        cost = iif(cost IS NULL AND unpriced = 1, priced + :usd, cost)
    WHERE n = :turn
"""
"""Where the provider's own word is the turn's cost, it has the request in it already."""
LABELS_OF_TURN = (
    f"SELECT {', '.join(f'l.{name}' for name in LABELS)} FROM turns t "
    "JOIN labels l ON l.n = t.label WHERE t.n = ?"
)
SOURCES_OF_TURN = (
    "SELECT DISTINCT l.cost_source FROM requests r JOIN labels l ON l.n = r.label WHERE r.turn = ?"
)
LABEL_TURN = "UPDATE turns SET label = ? WHERE n = ?"
