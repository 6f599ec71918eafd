"""The second place: rows that the ledger cannot take go to a file of this process, and the next one that can
write the ledger takes them in. As in the ledger there are no prompts, answers or keys in it."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, fields
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

from ..process import is_alive, temporary_folder
from ..session import Usage
from .ledger import RequestRow, Row, TurnRow

log = logging.getLogger(__name__)

_KINDS: dict[str, type[TurnRow] | type[RequestRow]] = {"turn": TurnRow, "request": RequestRow}


def _folders() -> list[Path]:
    from platformdirs import user_state_dir

    return [
        Path(user_state_dir("praison_nb", appauthor=False)) / "waiting",
        temporary_folder() / "waiting",
    ]


def _key(ledger: Path) -> str:
    return hashlib.sha256(os.path.realpath(ledger).encode()).hexdigest()[:16]


class Spill:
    """The file of this process beside one ledger, made when there is something to put in it."""

    def __init__(self, ledger: Path) -> None:
        self._ledger = ledger
        self._rows: Sequence[Row] = ()
        self.path: Path | None = None

    def put(self, rows: Sequence[Row], process: str) -> None:
        """Have the file hold `rows`, all that wait. It is at no time without those that it had before and
        that still wait. Raises OSError where there is no place for them."""
        count = len(self._rows)
        if self.path is None or rows[:count] != self._rows:
            before = self.path
            header = json.dumps({"process": process})
            self._try_to_write(_folders(), [header, *map(_dumped, rows)])
            if before is not None:
                before.unlink(missing_ok=True)
        elif len(rows) > count:
            with self.path.open("a", encoding="utf-8") as file:
                file.writelines(f"{_dumped(row)}\n" for row in rows[count:])
        self._rows = rows

    def _try_to_write(self, folders: Sequence[Path], lines: Sequence[str]) -> None:
        for folder in folders:
            # They are taken in in the order of their names.
            path = folder / f"{_key(self._ledger)}-{time.time_ns()}-{uuid4().hex}.jsonl"
            try:
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                if not _is_own(folder):
                    continue
                with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                    file.writelines(f"{line}\n" for line in lines)
            except OSError as error:
                problem = error
                with suppress(OSError):
                    path.unlink()
                continue
            self.path = path
            return
        raise problem

    def remove(self) -> None:
        """There is nothing any more that waits."""
        if self.path is not None:
            with suppress(OSError):
                self.path.unlink()
        self.path, self._rows = None, ()


def left_behind(ledger: Path) -> Iterator[tuple[Path, list[Row]]]:
    """The files of processes that ended, each with its rows in their order."""
    for folder in _folders():
        if not folder.is_dir() or not _is_own(folder):
            continue
        for path in sorted(folder.glob(f"{_key(ledger)}-*.jsonl")):
            try:
                header, *lines = path.read_text("utf-8", "replace").splitlines()
                if not is_alive(json.loads(header)["process"]):
                    yield path, [row for line in lines if (row := _loaded(line)) is not None]
            except (OSError, ValueError, LookupError, TypeError):
                log.warning("%s cannot be read: what it has is not in the ledger", path)


def _is_own(folder: Path) -> bool:
    # In a temporary folder anybody may have made one of this name.
    return not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid()


def _dumped(row: Row) -> str:
    kind = "turn" if isinstance(row, TurnRow) else "request"
    return json.dumps({"kind": kind, **asdict(row)}, default=str)


def _loaded(line: str) -> Row | None:
    # The last line of a process that was killed may be half a one.
    try:
        values: dict[str, Any] = json.loads(line)
        kind = _KINDS[values.pop("kind")]
        for field in fields(kind):
            value = values.get(field.name)
            if field.type in ("Decimal", "Decimal | None") and value is not None:
                values[field.name] = Decimal(value)
        return kind(**{**values, "labels": tuple(values["labels"]), "usage": Usage(**values["usage"])})
    except (ValueError, LookupError, TypeError, ArithmeticError):
        log.warning("a row that waited is damaged")
        return None
