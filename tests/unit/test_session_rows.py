"""The table of sessions: which ones it shows, and that ten thousand are no more work than a few."""

from __future__ import annotations

import sqlite3

import pytest
from IPython.core.interactiveshell import InteractiveShell

from praison_nb import store
from praison_nb.metering import writer
from praison_nb.notebook import load
from praison_nb.notebook.commands.table import run_command
from praison_nb.notebook.conversations.registry import Conversations
from praison_nb.notebook.widgets.sessions.rows import ORDERS, SHOWN_ROWS, listing
from praison_nb.session import Status
from praison_nb.store import StoredSession, upsert_session

COUNT = 700


@pytest.fixture
def many() -> Conversations:
    def fill(connection: sqlite3.Connection) -> None:
        for number in range(COUNT):
            session = StoredSession(
                id=f"id-{number:05}",
                name=f"name-{number}",
                notebook=f"/home/a/{number % 7}.ipynb",
                model="gpt-4o-mini" if number % 2 else "Claude",
                backend="local",
                last_used=1.7e9 + number,
                status=Status.ERROR if number == 3 else Status.IDLE,
            )
            upsert_session(session)(connection)

    store.current().change(fill)
    return Conversations()


def test_the_last_ones_are_shown_and_the_rest_is_counted(many: Conversations) -> None:
    found = listing(many)
    assert [row.id for row in found.rows] == [f"id-{COUNT - 1 - n:05}" for n in range(SHOWN_ROWS)]
    assert found.more == COUNT - SHOWN_ROWS and not found.is_empty


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (f"name-{COUNT - 1}", 1),
        ("CLAUDE 5.ipynb", COUNT // 14),
        ("error", 1),
        ("· local", COUNT),
        ("2023-11", COUNT),
        ("nothing", 0),
    ],
)
def test_each_word_of_a_text_is_looked_for_in_all(many: Conversations, text: str, count: int) -> None:
    found = listing(many, text=text)
    assert len(found.rows) + found.more == count


@pytest.mark.parametrize("order", ORDERS)
def test_every_order_is_one_of_all(many: Conversations, order: str) -> None:
    first = {"last used": f"name-{COUNT - 1}", "session": "name-0", "status": "name-3"}.get(order)
    found = listing(many, order=order)
    assert found.more == COUNT - SHOWN_ROWS and (first is None or found.rows[0].name == first)


def test_a_session_of_many_notebooks_is_one(many: Conversations) -> None:
    newest = [
        StoredSession(id="everywhere", name="e", notebook=f"/{number}.ipynb", last_used=1.8e9)
        for number in range(3 * SHOWN_ROWS)
    ]
    store.current().change(lambda connection: [upsert_session(each)(connection) for each in newest])
    found = listing(many)
    assert [row.id for row in found.rows[:2]] == ["everywhere", f"id-{COUNT - 1:05}"]
    assert len({row.id for row in found.rows}) == SHOWN_ROWS and found.more == COUNT + 1 - SHOWN_ROWS


def test_archived_ones_are_shown_where_they_are_asked_for(many: Conversations) -> None:
    store.current().archive("id-00007")
    assert listing(many).more == COUNT - SHOWN_ROWS - 1
    (row,) = listing(many, archived=True, text="archived").rows
    assert row.id == "id-00007"


def test_only_what_is_shown_is_added_up(many: Conversations, monkeypatch: pytest.MonkeyPatch) -> None:
    writer.current().ledger.write([])
    asked: list[int] = []
    read = writer.Writer.read

    def count(self: writer.Writer, query: str, values: object = ()) -> object:
        asked.append(len(values))  # type: ignore[arg-type]
        return read(self, query, values)  # type: ignore[arg-type]

    monkeypatch.setattr(writer.Writer, "read", count)
    listing(many)
    assert asked == [SHOWN_ROWS]


def test_the_output_is_no_longer_for_more(many: Conversations) -> None:
    shell = InteractiveShell()
    shown: list[dict[str, str]] = []
    shell.display_pub.publish = shown.append
    extension = load(shell)
    run_command(extension, "sessions")
    run_command(extension, "sessions nothing")
    data, none = shown
    assert f"… and {COUNT - SHOWN_ROWS:,} more: `%agent sessions TEXT`" in data["text/plain"]
    assert sum(map(len, data.values())) < 22_000 and none == {"text/plain": "No sessions match."}
