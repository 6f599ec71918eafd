"""The file of answers: what was asked once, of the same model in the same way, is not asked again.

>>> import tempfile
>>> file = AnswerFile(Path(tempfile.mkdtemp()) / "answers.sqlite")
>>> file.put([KeptAnswer(key="k", answer={"label": "good"}, cost=Decimal("0.002"))])
>>> file.find(["k", "other"])["k"].answer, len(file)
({'label': 'good'}, 1)
>>> file.forget(), len(file)
(1, 0)
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from .. import storage
from ..errors import StoreError
from ..metering.schema import default_path as ledger_path, network_of
from ..money import from_pico, to_pico
from ..storage import KeptConnection, absolute

R = TypeVar("R")
_MOST_VALUES = 500
"""Of one query: SQLite's oldest limit is 999."""
_SECONDS = 30.0

# Only ever append: a file in the world has run those before.
_MIGRATIONS = [
    """
    CREATE TABLE answers (
        key TEXT PRIMARY KEY, answer TEXT NOT NULL, cost INTEGER, input_tokens INTEGER NOT NULL,
        output_tokens INTEGER NOT NULL, model TEXT NOT NULL, map TEXT NOT NULL, time REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX answers_of_a_map ON answers (map);
    CREATE TABLE maps (id TEXT PRIMARY KEY, prompt TEXT NOT NULL, rows TEXT NOT NULL, time REAL NOT NULL);
    CREATE TABLE batches (mark TEXT PRIMARY KEY, id TEXT NOT NULL, time REAL NOT NULL) WITHOUT ROWID;
    CREATE TABLE batch_requests (id TEXT PRIMARY KEY, mark TEXT NOT NULL) WITHOUT ROWID;
    """,
]
_FILE = storage.DatabaseSpec(
    name="answer file",
    variable="PRAISON_NB_ANSWERS",
    error=StoreError,
    # A kernel may be killed without the loss of an answer; a machine that loses its power may lose some.
    pragma="synchronous=NORMAL",
    cannot_be="written",
    when_busy=f"was locked by another process for {_SECONDS:.0f} s",
)


def default_path() -> Path:
    """The file that counts now: `PRAISON_NB_ANSWERS`, or a file beside the ledger."""
    named = os.environ.get("PRAISON_NB_ANSWERS")
    return absolute(Path(named).expanduser()) if named else ledger_path().parent / "answers.sqlite"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAnswer:
    """An answer by its `key`: JSON data, what it cost in USD (None: nobody knows), and its tokens. `map`
    names the maps of one prompt over one kind of rows."""

    key: str
    answer: Any
    cost: Decimal | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    model: str = ""
    map: str = ""
    time: float = field(default_factory=time.time)


@dataclass(frozen=True, slots=True)
class KeptMap:
    """How many `answers` of a map there are, and what one cost on average in USD (None: not known). `before`
    is the prompt of the last other map over the same rows, which has so many `answers_before`."""

    answers: int
    mean_cost: Decimal | None
    before: str
    answers_before: int


class AnswerFile:
    """The answers in the file at `path`, by default the one that counts now: PRAISON_NB_ANSWERS, or
    answers.sqlite beside the ledger. `len()` is their number. May be used by any thread. All methods raise
    StoreError.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from praison_nb import AnswerFile
    >>> file = AnswerFile(Path(tempfile.mkdtemp()) / "answers.sqlite")
    >>> file.forget("Label {text}.")  # how many there were
    0
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = absolute(path) if path else default_path()
        self._lock = threading.Lock()
        self._kept = KeptConnection(self.path, self._open)

    def __repr__(self) -> str:
        return f"AnswerFile({str(self.path)!r}): {len(self):,} answers, {self.bytes / 1e6:.1f} MB"

    def _open(self) -> sqlite3.Connection:
        journal = "delete" if network_of(self.path) else "wal"
        return storage.connect(self.path, _FILE, _MIGRATIONS, _SECONDS, journal)

    def find(self, keys: Sequence[str]) -> dict[str, KeptAnswer]:
        """Those of the keys that were answered."""
        found: dict[str, KeptAnswer] = {}

        def work(connection: sqlite3.Connection) -> None:
            for first in range(0, len(keys), _MOST_VALUES):
                some = keys[first : first + _MOST_VALUES]
                marks = ",".join("?" * len(some))
                rows = connection.execute(
                    "SELECT key, answer, cost, input_tokens, output_tokens, model, map, time FROM answers "
                    f"WHERE key IN ({marks})",
                    some,
                )
                for key, answer, cost, *rest in rows:
                    usd = None if cost is None else from_pico(cost)
                    tokens_in, tokens_out, model, name, at = rest
                    found[key] = KeptAnswer(
                        key=key,
                        answer=json.loads(answer),
                        cost=usd,
                        input_tokens=tokens_in,
                        output_tokens=tokens_out,
                        model=model,
                        map=name,
                        time=at,
                    )

        self.with_file(work)
        return found

    def put(self, answers: Iterable[KeptAnswer]) -> None:
        """Keep these answers; when it returns a killed process loses none of them."""
        rows = [
            (
                each.key,
                json.dumps(each.answer, ensure_ascii=False),
                None if each.cost is None else to_pico(each.cost),
                each.input_tokens,
                each.output_tokens,
                each.model,
                each.map,
                each.time,
            )
            for each in answers
        ]
        statement = "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        self.with_file(lambda file: storage.transact(file, lambda c: c.executemany(statement, rows)))

    def begin(self, map: str, prompt: str, rows: str) -> KeptMap:
        """Note that a map begins, over rows of which `rows` is a digest, and return what was kept of it and
        of others before."""

        def work(connection: sqlite3.Connection) -> KeptMap:
            before = connection.execute(
                "SELECT maps.prompt, COUNT(answers.key) FROM maps JOIN answers ON answers.map = maps.id "
                "WHERE rows = ? AND maps.id <> ? GROUP BY maps.id ORDER BY maps.time DESC LIMIT 1",
                (rows, map),
            ).fetchone()
            count, priced, cost = connection.execute(
                "SELECT COUNT(*), COUNT(cost), TOTAL(cost) FROM answers WHERE map = ?", (map,)
            ).fetchone()
            connection.execute(
                "INSERT OR REPLACE INTO maps VALUES (?, ?, ?, ?)", (map, prompt, rows, time.time())
            )
            mean = from_pico(int(cost) // priced) if priced else None
            return KeptMap(count, mean, *(before or ("", 0)))

        return self.with_file(lambda file: storage.transact(file, work))

    def forget(self, prompt: str | None = None) -> int:
        """Delete the answers to a map's prompt, whoever gave them, or with None all, and return how many
        there were."""

        def work(connection: sqlite3.Connection) -> int:
            which = "" if prompt is None else " WHERE map IN (SELECT id FROM maps WHERE prompt = ?)"
            values = () if prompt is None else (prompt,)
            deleted = storage.transact(
                connection, lambda c: c.execute(f"DELETE FROM answers{which}", values).rowcount
            )
            connection.execute("VACUUM")
            return deleted

        return self.with_file(work)

    def __len__(self) -> int:
        return self.with_file(lambda c: int(c.execute("SELECT COUNT(*) FROM answers").fetchone()[0]))

    @property
    def bytes(self) -> int:
        """How large the file is."""
        names = (self.path, Path(f"{self.path}-wal"))
        return sum(each.stat().st_size for each in names if each.exists())

    def close(self) -> None:
        """Let go of the file; the next use opens it again."""
        with self._lock:
            self._kept.close()

    def with_file(self, work: Callable[[sqlite3.Connection], R]) -> R:
        """`work(connection)`. Raises StoreError."""
        with self._lock:
            try:
                return work(self._kept.get())
            except (sqlite3.Error, OSError, ValueError) as error:
                _FILE.reraise(error, self.path)
