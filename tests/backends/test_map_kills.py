"""Maps whose process is killed, and the servers' moods: what was answered is not asked again."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

import praison_nb
from praison_nb import AnswerFile
from praison_nb.errors import PraisonError, RateLimitError, ServerError
from praison_nb.rows.api import begin
from servers import forked
from servers.rows import Manners, RowServer

ROWS = 60
SCRIPT = """
import sys, praison_nb
from praison_nb import LocalAgent, LocalAgentConfig
settings = {"base_url": sys.argv[1], "provider": "openai", "wire": "chat", "api_key": "k"}
config = LocalAgentConfig(model="gpt-4o-mini", **settings)
rows = [f"Text number {row}." for row in range(int(sys.argv[2]))]
praison_nb.map(rows, "Label: {value}", agent=LocalAgent(config), concurrency=8)
print("mapped")
"""


@pytest.fixture(autouse=True)
def own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRAISON_NB_LEDGER", str(tmp_path / "ledger.sqlite"))


@pytest.mark.parametrize(
    "point",
    [5, 40, *(pytest.param(point, marks=pytest.mark.slow) for point in range(0, 54, 3))],
)
def test_after_a_kill_no_row_is_asked_again_whose_answer_was_kept(point: int) -> None:
    with RowServer(Manners(seconds=0.02)) as server:
        with forked.script(SCRIPT, f"{server.url}/v1", str(ROWS)):
            server.wait_for(lambda: sum(server.books.accepted.values()) >= point)
        server.wait_for(lambda: not server.books.at_once)
        kept, before = len(AnswerFile()), Counter(server.books.accepted)
        rows = [f"Text number {row}." for row in range(ROWS)]
        made = praison_nb.map(rows, "Label: {value}", agent=server.agent())
        assert (made["_status"] == "kept").sum() == kept and (made["_status"] == "done").sum() == ROWS - kept
        again = server.books.accepted - before
        assert sum(again.values()) == ROWS - kept and len(server.books.accepted) == ROWS
        # Each request was in the ledger before it was sent.
        assert len(praison_nb.usage(by="request")) >= server.books.requests


def test_two_processes_may_map_the_same_rows_at_once() -> None:
    with RowServer(Manners(seconds=0.01)) as server:
        arguments = SCRIPT, f"{server.url}/v1", str(ROWS)
        with forked.script(*arguments) as one, forked.script(*arguments) as other:
            assert [each.stdout.read() for each in (one, other)] == ["mapped\n"] * 2
        assert len(AnswerFile()) == ROWS and len(server.books.accepted) == ROWS
        ledger = praison_nb.usage(by="request")
        assert len(ledger) == server.books.requests
        assert float(ledger["cost"].sum()) == pytest.approx(float(server.books.cost), abs=1e-9)


@pytest.mark.parametrize("headers", [{"Retry-After": "0.05"}, {"retry-after-ms": "50"}, {}])
def test_a_refusal_for_now_is_waited_for(headers: dict[str, str]) -> None:
    with RowServer() as server:
        server.refuse(3, status=429, headers=headers)
        made = praison_nb.map(["a", "b", "c", "d"], "Label {value}", agent=server.agent())
        assert list(made["_status"]) == ["done"] * 4 and len(server.requests) == 7


class Refusing(RowServer):
    """Takes neither formats nor tools, and keeps all who ask waiting for each other."""

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        await asyncio.sleep(0.05)
        if "response_format" in body:
            return self.error(400, "response_format is not supported.", {})
        if body.get("tools"):
            return self.error(400, "This model does not support tools.", {})
        return await super()._complete(request)


def test_what_a_server_refuses_of_many_at_once_is_each_ones_own_refusal() -> None:
    with Refusing(answer=lambda prompt: 5) as server:
        rows = [f"Text {row}" for row in range(8)]
        made = praison_nb.map(rows, "Stars {value}", agent=server.agent(), output=int)
        assert list(made["_error"]) == [""] * 8
        assert sum("response_format" in each.json for each in server.requests) == 8


def test_a_server_that_never_recovers_costs_its_rows_after_the_retries() -> None:
    with RowServer() as server:
        server.refuse(1000, status=500)
        made = praison_nb.map(["a", "b"], "Label {value}", agent=server.agent(), retries=1)
        assert list(made["_status"]) == ["failed"] * 2 and made["_error"].str.contains("500").all()
        assert len(server.requests) == 4
        options: dict[str, Any] = {"retries": 0, "on_error": "raise", "concurrency": 1}
        with pytest.raises(ServerError):
            praison_nb.map(["a", "b"], "Label {value}", agent=server.agent(), **options)
        assert len(server.requests) == 5


def test_a_pause_is_seen_while_it_lasts() -> None:
    with RowServer() as server:
        server.refuse(1, status=429, headers={"Retry-After": "30"})
        run = begin(["a"], "Label {value}", agent=server.agent())
        server.wait_for(lambda: run.progress.held_seconds > 20)
        run.stop()
        assert list(run.wait()["_status"]) == ["stopped"]


def test_a_server_that_wants_a_pause_of_hours_is_asked_no_more() -> None:
    with RowServer() as server:
        server.refuse(1000, status=429, headers={"Retry-After": "7200"})
        with pytest.raises(RateLimitError, match="7200 s"):
            praison_nb.map([f"Text {row}" for row in range(100)], "Label {value}", agent=server.agent())
        assert len(server.requests) <= 32


@pytest.mark.parametrize("status", [401, 402, 404])
def test_what_all_would_meet_is_raised(status: int) -> None:
    with RowServer() as server:
        server.refuse(1000, status=status, message="The model gpt-4o-mini does not exist.")
        with pytest.raises(PraisonError):
            praison_nb.map([f"Text {row}" for row in range(100)], "Label {value}", agent=server.agent())
        assert len(server.requests) <= 32


def test_requests_a_minute_are_so_many() -> None:
    with RowServer() as server:
        run = begin(["a", "b", "c", "d"], "Label {value}", agent=server.agent(), rpm=600)
        run.wait()
    assert run.progress.seconds >= 0.3


def test_a_map_is_one_line_of_the_usage() -> None:
    with RowServer() as server:
        praison_nb.map(["a", "b", "c"], "Label {value}", agent=server.agent())
    table = praison_nb.usage.by("session")
    assert list(table.index) == ["map: Label {value}"] and table["turns"].tolist() == [3]
    assert len(praison_nb.usage(session="map: Label {value}")) == 3


def test_a_file_that_cannot_be_written_loses_no_answer(tmp_path: Path) -> None:
    with RowServer(Manners(seconds=0.5)) as server:
        run = begin(["a", "b"], "Label {value}", agent=server.agent(), answers=tmp_path / "own.sqlite")
        server.wait_for(lambda: server.books.at_once == 2)
        run.file.close()
        (tmp_path / "own.sqlite").unlink()
        (tmp_path / "own.sqlite").mkdir()
        for name in ("own.sqlite-wal", "own.sqlite-shm"):
            if (tmp_path / name).exists():
                os.unlink(tmp_path / name)
        made = run.wait()
    assert list(made["_status"]) == ["done"] * 2 and made["text"].notna().all()
    assert any(line.startswith("Answers are not kept: The answer file") for line in run.progress.lines)
