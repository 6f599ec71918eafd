"""The ledger's tables, as they came to be. Only ever append: a ledger in the world has run those before, so
nothing here is made of names that may change.

A request is a row from the moment it is sent. Its `state` is 0 done, 1 running, 2 unknown (its kernel was
killed, or nobody counted it); while it is not done, `cost` is that of its estimated input and `reserved`
the most that it may cost. A turn's `process` is that of its kernel, "" once it is over. `extra_cost` is what
a turn cost beyond its requests: a turn's `priced` is that and the sum of its requests' costs. `elsewhere` is
what its session had cost before in no row of the ledger, NULL where nobody knows. `reserved` is what a turn
that runs may cost at most beyond all requests that it has made.

`changes_of_old_turns` counts changes of turns that had begun a day before, whoever makes them: what is kept
of them elsewhere is true as long as there are none.
"""

from __future__ import annotations

from .running_totals import LABELS_COME_AND_GO, RUNNING_TOTALS

_LABELS_1 = (
    "user, notebook, cell, session, session_id, backend, provider, model, cost_source, status, stop_reason, "
    "error"
)
_LABELS_2 = f"{_LABELS_1}, service_tier, tags, price_source"
_COUNTS = (
    "uncached_input_tokens INTEGER NOT NULL, cache_read_input_tokens INTEGER NOT NULL, "
    "cache_write_5m_input_tokens INTEGER NOT NULL, cache_write_1h_input_tokens INTEGER NOT NULL, "
    "output_tokens INTEGER NOT NULL"
)

_IS_OLD = "old.time < (strftime('%s', 'now') - 86400) * 1000000"


def _labels(name: str, columns: str) -> str:
    texts = ", ".join(f"{column} TEXT NOT NULL DEFAULT ''" for column in columns.split(", "))
    return f"CREATE TABLE {name} (n INTEGER PRIMARY KEY, {texts}, UNIQUE ({columns}))"


MIGRATIONS = [
    f"""
    {_labels("labels", _LABELS_1)};
    CREATE INDEX labels_of_a_session ON labels (session_id);
    CREATE TABLE turns (
        n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, label INTEGER NOT NULL REFERENCES labels,
        time INTEGER NOT NULL, duration INTEGER NOT NULL, first_text INTEGER,
        requests INTEGER NOT NULL, unpriced INTEGER NOT NULL, {_COUNTS}, estimated INTEGER NOT NULL,
        cost INTEGER, priced INTEGER NOT NULL, list_cost INTEGER, active INTEGER
    );
    CREATE INDEX turns_by_time ON turns (time);
    CREATE INDEX turns_by_label ON turns (label);
    CREATE TABLE requests (
        n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, label INTEGER NOT NULL REFERENCES labels,
        turn INTEGER NOT NULL REFERENCES turns, time INTEGER NOT NULL, duration INTEGER, first_text INTEGER,
        {_COUNTS}, estimated INTEGER NOT NULL, cost INTEGER
    );
    CREATE INDEX requests_by_time ON requests (time);
    CREATE TABLE budgets (per TEXT NOT NULL, key TEXT NOT NULL, usd INTEGER NOT NULL, PRIMARY KEY (per, key));
    """,
    # Labels that are new make new rows different: the old table's key does not know them.
    f"""
    {_labels("new_labels", _LABELS_2)};
    INSERT INTO new_labels (n, {_LABELS_1}) SELECT n, {_LABELS_1} FROM labels;
    DROP TABLE labels;
    ALTER TABLE new_labels RENAME TO labels;
    CREATE INDEX labels_of_a_session ON labels (session_id);
    ALTER TABLE requests ADD COLUMN state INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE requests ADD COLUMN reserved INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE requests ADD COLUMN fees INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE requests ADD COLUMN is_lower_bound INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE requests ADD COLUMN reasoning_output_tokens INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE turns ADD COLUMN fees INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE turns ADD COLUMN is_lower_bound INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE turns ADD COLUMN reasoning_output_tokens INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE turns ADD COLUMN estimated_cost INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE turns ADD COLUMN extra_cost INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE turns ADD COLUMN process TEXT NOT NULL DEFAULT '';
    CREATE INDEX requests_by_label ON requests (label);
    CREATE INDEX requests_by_turn ON requests (turn);
    CREATE INDEX requests_not_done ON requests (state) WHERE state != 0;
    CREATE INDEX turns_under_way ON turns (process) WHERE process != '';
    UPDATE turns SET extra_cost =
        priced - (SELECT coalesce(sum(r.cost), 0) FROM requests r WHERE r.turn = turns.n);
    CREATE INDEX turns_with_extra_cost ON turns (time) WHERE extra_cost != 0;
    """,
    """
    ALTER TABLE turns ADD COLUMN elsewhere INTEGER;
    ALTER TABLE turns ADD COLUMN reserved INTEGER NOT NULL DEFAULT 0;
    """,
    RUNNING_TOTALS,
    f"""
    {LABELS_COME_AND_GO}
    CREATE TABLE changes_of_old_turns (n INTEGER NOT NULL);
    INSERT INTO changes_of_old_turns VALUES (0);
    CREATE TRIGGER old_turns_change AFTER UPDATE ON turns WHEN {_IS_OLD}
        BEGIN UPDATE changes_of_old_turns SET n = n + 1; END;
    CREATE TRIGGER old_turns_go AFTER DELETE ON turns WHEN {_IS_OLD}
        BEGIN UPDATE changes_of_old_turns SET n = n + 1; END;
    """,
]
