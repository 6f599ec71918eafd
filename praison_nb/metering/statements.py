"""All SQL about the ledger's rows but that of analyses: another engine has to know these statements."""

from __future__ import annotations

from collections.abc import Iterable

from .schema import DONE, LABELS, RUNNING, TOKENS, UNKNOWN

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


def sums(names: Iterable[str], *, by_time: bool) -> tuple[str, str]:
    """Two queries, for rows with these labels, and `by_time` from a time on: of requests, what those cost
    that are done and what the others may; of turns, what they cost beyond their requests, what those that run
    may cost still but for one, how many there are, and how many of them lack a price. Values: those of the
    labels, the time, and the ids (a JSON list) of rows to leave out; for turns the id of the one first."""
    labels = f"(SELECT n FROM labels WHERE {' AND '.join(f'{name} = ?' for name in names)})"
    # Of a time the index of times is the right one, else that of the labels: "+" hides the other from SQLite.
    rest = f"+r.label IN {labels} AND r.time >= ?" if by_time else f"r.label IN {labels} AND +r.time >= ?"
    rest += " AND r.id NOT IN (SELECT value FROM json_each(?))"
    of_requests = (
        f"SELECT coalesce(sum(CASE WHEN r.state = {DONE} THEN r.cost END), 0), "
        f"coalesce(sum(CASE WHEN r.state != {DONE} THEN r.reserved END), 0) FROM requests r WHERE {rest}"
    )
    of_turns = (
        "SELECT coalesce(sum(r.extra_cost), 0), "
        "coalesce(sum(CASE WHEN r.process != '' AND r.id != ? THEN r.reserved END), 0), "
        f"count(*), coalesce(sum(r.unpriced > 0), 0) FROM turns r WHERE {rest}"
    )
    return of_requests, of_turns


MOST_OF_SESSIONS = (
    "SELECT l.session_id, sum(t.priced) FROM turns t JOIN labels l ON l.n = t.label "
    "WHERE l.user = ? AND l.notebook = ? GROUP BY l.session_id ORDER BY 2 DESC LIMIT 1"
)
"""The session of a notebook that spent most."""

SESSION_TOTALS = (
    "SELECT l.session_id, count(*), sum(t.uncached_input_tokens + t.cache_read_input_tokens + "
    "t.cache_write_5m_input_tokens + t.cache_write_1h_input_tokens), sum(t.output_tokens), sum(t.priced), "
    "sum(t.cost IS NULL), max(t.estimated_cost) > 0, max(t.is_lower_bound) "
    "FROM turns t JOIN labels l ON l.n = t.label WHERE l.session_id != ''{} GROUP BY l.session_id"
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
