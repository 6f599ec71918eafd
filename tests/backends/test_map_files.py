"""Files of answers that are none, cannot be written, or are in use: one line, and no answer is lost."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

import praison_nb
from praison_nb import AnswerFile
from praison_nb.errors import StoreError
from praison_nb.rows import answer_file
from praison_nb.rows.api import begin
from servers.rows import Manners, RowServer


@pytest.fixture(autouse=True)
def own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRAISON_NB_LEDGER", str(tmp_path / "ledger.sqlite"))
    monkeypatch.setattr(answer_file, "_SECONDS", 0.05)


def below_a_file(path: Path) -> Path:
    path.write_text("no folder")
    return path / "answers.sqlite"


def fifo(path: Path) -> Path:
    os.mkfifo(path)
    return path


def folder(path: Path) -> Path:
    path.mkdir()
    return path


def leads_nowhere(path: Path) -> Path:
    path.symlink_to(path.parent / "missing" / "answers.sqlite")
    return path


def newer(path: Path) -> Path:
    AnswerFile(path).put([])
    with sqlite3.connect(path) as file:
        file.execute("PRAGMA user_version=99")
    return path


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (below_a_file, "cannot be written"),
        (fifo, "it is no regular file"),
        (lambda path: Path(os.devnull), "it is no regular file"),
        (folder, "Is a directory"),
        (leads_nowhere, "No such file"),
        (newer, "written by a newer praison_nb"),
    ],
)
def test_what_is_no_file_is_one_line_and_asks_nothing(
    tmp_path: Path, make: Callable[[Path], Path], why: str
) -> None:
    with RowServer() as server:
        with pytest.raises(StoreError, match=why) as caught:
            praison_nb.map(["a"], "Label {value}", agent=server.agent(), answers=make(tmp_path / "own"))
        assert "\n" not in str(caught.value) and "PRAISON_NB_ANSWERS" in str(caught.value)
        assert server.books.requests == 0


def test_a_locked_file_is_waited_for_and_then_said(tmp_path: Path) -> None:
    path = tmp_path / "own.sqlite"
    AnswerFile(path).put([])
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with RowServer() as server:
        with pytest.raises(StoreError, match="was locked by another process"):
            praison_nb.map(["a"], "Label {value}", agent=server.agent(), answers=path)
        other.execute("ROLLBACK")
        assert (
            praison_nb.map(["a"], "Label {value}", agent=server.agent(), answers=path)["text"].notna().all()
        )
        assert server.books.requests == 1
    other.close()


def test_a_full_disk_keeps_the_answers_in_the_frame(tmp_path: Path) -> None:
    with RowServer(Manners(seconds=0.2), lambda prompt: "long " * 5000) as server:
        run = begin(["a", "b"], "Label {value}", agent=server.agent(), answers=tmp_path / "own.sqlite")
        # As large as it is now, and no larger.
        run.file.with_file(lambda file: file.execute("PRAGMA max_page_count=1").fetchone())
        made = run.wait()
    assert list(made["_status"]) == ["done"] * 2 and made["text"].str.len().min() > 20_000
    assert any("the disk is full: make room" in line for line in run.progress.lines)


def test_a_fork_has_the_file_for_itself(tmp_path: Path) -> None:
    file = AnswerFile(tmp_path / "own.sqlite")
    file.put([answer_file.KeptAnswer(key="parent", answer=1)])
    if not (child := os.fork()):
        try:
            file.put([answer_file.KeptAnswer(key="child", answer=2)])
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    file.put([answer_file.KeptAnswer(key="later", answer=3)])
    assert set(file.find(["parent", "child", "later"])) == {"parent", "child", "later"}
