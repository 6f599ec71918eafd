"""What this user made on servers of hosted agents: a small file beside the ledger, so that the next kernel
uses it again. It holds ids, names and digests, no key and no configuration.

Where the file cannot be used, all is made anew by each kernel, and the log says why.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ... import storage
from ...errors import StoreError
from ...metering.schema import default_path as ledger_path
from ...runtime import loop
from ...text import replace_surrogates

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

log = logging.getLogger(__name__)
PATIENCE_SECONDS = 5.0
"""Another process may hold the file so long."""
PAUSE_SECONDS = 0.05
"""Between two looks at a lock that another process has."""

# Only ever append: a file in the world has run those before.
MIGRATIONS = [
    """
    CREATE TABLE made (
        server TEXT NOT NULL, workspace TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL,
        name TEXT NOT NULL, notebook TEXT NOT NULL, digest TEXT NOT NULL, version INTEGER,
        created REAL NOT NULL, PRIMARY KEY (server, workspace, kind, id, digest)
    )
    """,
]
SPEC = storage.DatabaseSpec(
    name="record of hosted agents",
    variable="PRAISON_NB_LEDGER",
    error=StoreError,
    pragma="secure_delete=ON",
    cannot_be="used",
    when_busy="is locked by another process",
    consequence=" Until then each kernel makes its own agents.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """An agent's version, an environment or a session that was made. `digest` is of the configuration that
    it was made with, `created` in seconds since 1970."""

    kind: str
    id: str
    name: str = ""
    notebook: str = ""
    digest: str = ""
    version: int | None = None
    created: float = field(default_factory=time.time)


_NAMES = [each.name for each in fields(Made)]
_FIELDS = ", ".join(_NAMES)


def digest_of(configuration: Any) -> str:
    """A short digest, the same for the same configuration in every process.

    >>> digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1}), len(digest_of({}))
    (True, 10)
    """
    text = json.dumps(configuration, sort_keys=True, default=str)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:10]


@dataclass(frozen=True, slots=True)
class Workspace:
    """The records of one workspace of one server. Which workspace it is, only the key says: `key` is its
    fingerprint."""

    server: str
    key: str

    @classmethod
    def of(cls, client: AsyncAnthropic) -> Workspace:
        """The workspace that the client's key is for."""
        url, key = client.base_url, client.api_key or client.auth_token or ""
        port = "" if url.port is None else f":{url.port}"
        fingerprint = hashlib.sha256(b"praison_nb workspace\0" + key.encode()).hexdigest()[:12]
        return cls(f"{url.scheme}://{url.host}{port}{url.path.rstrip('/')}", fingerprint)

    async def find(self, kind: str, **values: str) -> list[Made]:
        """What was made of the kind and has these values, the last one first."""
        where = " AND ".join(f"{name}=?" for name in ("server", "workspace", "kind", *values))
        return await self._read(where, [self.server, self.key, kind, *values.values()])

    async def find_with_other_keys(self, name: str, notebook: str) -> list[Made]:
        """The agents that were made with other keys of the server, perhaps in the same workspace."""
        where = "server=? AND workspace!=? AND kind='agent' AND name=? AND notebook=?"
        return await self._read(where, [self.server, self.key, name, notebook])

    async def add(self, made: Made) -> None:
        """Note what was made."""
        values = [getattr(made, name) for name in _NAMES]
        insert = f"INSERT OR REPLACE INTO made (server, workspace, {_FIELDS}) VALUES (?,?,?,?,?,?,?,?,?)"
        await self._write(insert, [self.server, self.key, *values])

    async def forget(self, kind: str, made_id: str) -> None:
        """Note that it is gone, or archived."""
        where = "server=? AND workspace=? AND kind=? AND id=?"
        await self._write(f"DELETE FROM made WHERE {where}", [self.server, self.key, kind, made_id])

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """While this is entered nobody else does, in any process of this user: what one makes the next one
        finds."""
        name = digest_of([self.server, self.key])
        async with _locks.setdefault((loop.get(), name), asyncio.Lock()):
            lock = await _acquired(_path().with_name(f"hosted-{name}.lock"))
            try:
                yield
            finally:
                if lock is not None:
                    lock.release()

    async def _read(self, where: str, values: Sequence[Any]) -> list[Made]:
        select = f"SELECT {_FIELDS} FROM made WHERE {where} ORDER BY created DESC, version DESC"
        rows = await _execute(select, values)
        return [Made(**dict(zip(_NAMES, row, strict=True))) for row in rows]

    async def _write(self, statement: str, values: Sequence[Any]) -> None:
        await _execute(statement, values)


_locks: dict[tuple[asyncio.AbstractEventLoop, str], asyncio.Lock] = {}


def _path() -> Path:
    return ledger_path().parent / "hosted.sqlite"


async def _acquired(path: Path) -> Any:
    """The lock of the file, None where there can be none. It is polled for: who waits on a thread of the pool
    would keep it from those who have the lock."""
    from filelock import FileLock, Timeout

    lock = FileLock(path)
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire(blocking=False)
            return lock
        except Timeout:
            await asyncio.sleep(PAUSE_SECONDS)
        except (OSError, NotImplementedError) as error:
            log.warning("no lock for %s: %s", path, error)
            return None


async def _execute(statement: str, values: Sequence[Any]) -> list[Any]:
    def run() -> list[Any]:
        path = _path()
        try:
            with closing(storage.connect(path, SPEC, MIGRATIONS, PATIENCE_SECONDS)) as connection:
                return connection.execute(statement, replace_surrogates(values)).fetchall()
        except (StoreError, sqlite3.Error, ValueError) as error:
            log.warning("%s", SPEC.explain(error, path))
            return []

    return await asyncio.to_thread(run)
