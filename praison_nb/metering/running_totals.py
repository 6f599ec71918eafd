"""The script that has a ledger keep sums of its rows, so that a budget is looked up, not added up. Triggers
do it, whoever writes the file: a kernel with an older version of this package that has it open, or a user by
hand. As what stands in `migrations`, it is never changed.

`totals` has what counts for budgets: what requests that are done cost and turns beyond them, what others may
cost at most, how many turns there are, and how many of them lack a price. `scope` says whose: a session's, a
notebook's and a user's in all, and a user's by the day of UTC and the quarter of an hour, of which the days
of all time zones are made.
"""

from __future__ import annotations

_DAY, _QUARTER = 86_400_000_000, 900_000_000
_SUMS = ("spent", "reserved", "turns", "unpriced")
_PARTS = {
    "requests": (
        "iif({r}.state = 0, coalesce({r}.cost, 0), 0)",
        "iif({r}.state = 0, 0, {r}.reserved)",
        "0",
        "0",
    ),
    "turns": ("{r}.extra_cost", "iif({r}.process = '', 0, {r}.reserved)", "1", "({r}.unpriced > 0)"),
}
_OWNERS = {
    "session_id": "'', l.session_id, 0",
    "notebook": "l.user, l.notebook, 0",
    "user": "l.user, '', 0",
    "day": f"l.user, '', {{r}}.time - {{r}}.time % {_DAY}",
    "quarter": f"l.user, '', {{r}}.time - {{r}}.time % {_QUARTER}",
}
"""By scope: user, name, and beginning."""
_SESSION_SUMS = ("turns", "input_tokens", "output_tokens", "priced", "unpriced", "estimated", "lower_bounds")
_COUNTS = ("turns", "unpriced", "estimated", "lower_bounds")
_INPUT = (
    "uncached_input_tokens",
    "cache_read_input_tokens",
    "cache_write_5m_input_tokens",
    "cache_write_1h_input_tokens",
)
_SESSION_PARTS = (
    "1",
    f"({' + '.join(f'{{r}}.{name}' for name in _INPUT)})",
    "{r}.output_tokens",
    "{r}.priced",
    "({r}.cost IS NULL)",
    "({r}.estimated_cost > 0)",
    "{r}.is_lower_bound",
)
_CHANGING = {
    "requests": "label, time, state, cost, reserved",
    "turns": "label, time, extra_cost, process, reserved, unpriced, output_tokens, priced, cost, "
    f"estimated_cost, is_lower_bound, {', '.join(_INPUT)}",
}
"""The columns that totals are made of."""
_LABEL = "labels l WHERE l.n = {r}.label"
_NAMES = "(SELECT {0}.user AS user, {0}.notebook AS notebook, {0}.session_id AS session_id) l"


def _add(table: str, *rows: tuple[str, str, str]) -> str:
    """Statements that add rows of the table to the totals: the name of a row, its sign, and the source in
    which it and its label `l` are found."""
    of_totals, of_sessions = [], []
    for r, sign, source in rows:
        parts = ", ".join(f"{sign}{part}" for part in _PARTS[table])
        for scope, owner in _OWNERS.items():
            select = f"SELECT '{scope}', {owner}, {parts} FROM {source}"
            of_totals.append(select.format(r=r, table=table))
        parts = ", ".join(f"{sign}{part}" for part in _SESSION_PARTS)
        of_sessions.append(f"SELECT l.session_id, {parts} FROM {source}".format(r=r, table=table))
    added = _upsert("totals", "scope, user, name, began", _SUMS, of_totals)
    return added + _upsert("session_totals", "session_id", _SESSION_SUMS, of_sessions) * (table == "turns")


def _upsert(into: str, keys: str, sums: tuple[str, ...], selects: list[str]) -> str:
    added = ", ".join(f"{name} = {name} + excluded.{name}" for name in sums)
    return f"INSERT INTO {into} {' UNION ALL '.join(selects)} ON CONFLICT ({keys}) DO UPDATE SET {added};"


def _triggers(table: str) -> str:
    """Those for rows of the table that come, change and go; and, as a user may do it by hand whose notebook
    has another name, for labels that change."""
    old, new = ("old", "-", _LABEL), ("new", "", _LABEL)
    renamed = [
        ("r", sign, f"{{table}} r, {_NAMES.format(row)} WHERE r.label = new.n")
        for row, sign in (("old", "-"), ("new", ""))
    ]
    return f"""
    CREATE TRIGGER {table}_come AFTER INSERT ON {table} BEGIN {_add(table, new)} END;
    CREATE TRIGGER {table}_change AFTER UPDATE OF {_CHANGING[table]} ON {table}
        BEGIN {_add(table, old, new)} END;
    CREATE TRIGGER {table}_go AFTER DELETE ON {table} BEGIN {_add(table, old)} END;
    CREATE TRIGGER labels_of_{table} AFTER UPDATE OF user, notebook, session_id ON labels
        BEGIN {_add(table, *renamed)} END;
    """


def _sum(part: str, name: str) -> str:
    if name in _COUNTS:
        return f"sum({part}) AS {name}"
    # sum() fails where it is beyond 64 bits; what is added up like this becomes a float there.
    return f"(sum({part} >> 32) * 4294967296 + sum({part} & 4294967295)) AS {name}"


def _first() -> str:
    """The sums of the rows that there are. By label each table is read in its own order and sorted: in that
    of the index each row would be looked up."""
    label, sums = "JOIN labels l ON l.n = r.label", ", ".join(_sum(f"r.{name}", name) for name in _SUMS)
    quarters, labels = "", []
    for table, parts in _PARTS.items():
        own, of_session = ", ".join(map(_sum, parts, _SUMS)), _SESSION_PARTS if table == "turns" else "0" * 7
        select = f"SELECT 'quarter', {_OWNERS['quarter']}, {own} FROM {table} r {label} GROUP BY 2, 4"
        quarters += _upsert("totals", "scope, user, name, began", _SUMS, [select])
        more = ", ".join(
            f"{_sum(each, name)}_of_session" for each, name in zip(of_session, _SESSION_SUMS, strict=True)
        )
        labels.append(f"SELECT r.label, {own}, {more} FROM {table} r NOT INDEXED GROUP BY 1")
    of_sessions = ", ".join(_sum(f"r.{name}_of_session", name) for name in _SESSION_SUMS)
    into = {scope: f"INSERT INTO totals SELECT '{scope}', {_OWNERS[scope]}, {sums}" for scope in _OWNERS}
    return f"""
    {quarters}
    INSERT INTO totals SELECT 'day', r.user, '', r.began - r.began % {_DAY}, {sums}
        FROM totals r WHERE r.scope = 'quarter' GROUP BY 2, 4;
    INSERT INTO totals SELECT 'user', r.user, '', 0, {sums} FROM totals r WHERE r.scope = 'day' GROUP BY 2;
    CREATE TEMP TABLE by_label AS {" UNION ALL ".join(labels)};
    {into["session_id"]} FROM by_label r {label} GROUP BY 3;
    {into["notebook"]} FROM by_label r {label} GROUP BY 2, 3;
    INSERT INTO session_totals SELECT l.session_id, {of_sessions} FROM by_label r {label}
        WHERE r.turns > 0 GROUP BY 1;
    DROP TABLE by_label;
    """.format(r="r")


RUNNING_TOTALS = f"""
    CREATE TABLE totals (
        scope TEXT NOT NULL, user TEXT NOT NULL, name TEXT NOT NULL, began INTEGER NOT NULL,
        {" INTEGER NOT NULL, ".join(_SUMS)} INTEGER NOT NULL, PRIMARY KEY (scope, user, name, began)
    ) WITHOUT ROWID;
    CREATE TABLE session_totals (
        session_id TEXT PRIMARY KEY NOT NULL, {" INTEGER NOT NULL, ".join(_SESSION_SUMS)} INTEGER NOT NULL
    ) WITHOUT ROWID;
    {_first()} {_triggers("requests")} {_triggers("turns")}
"""

LABELS_COME_AND_GO = "".join(
    f"CREATE TRIGGER labels_{kind}_of_{table} AFTER {what} ON labels "
    f"WHEN EXISTS (SELECT 1 FROM {table} WHERE label = {row}.n) BEGIN "
    + _add(table, ("r", sign, f"{table} r, {_NAMES.format(row)} WHERE r.label = {row}.n"))
    + " END;"
    for table in _PARTS
    for kind, what, row, sign in (("come", "INSERT", "new", ""), ("go", "DELETE", "old", "-"))
)
"""Rows whose labels a user takes away by hand are nobody's, until there are labels of that number again."""
