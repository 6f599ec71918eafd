"""Sessions of several notebooks and kernels, and a store that is held by others or damaged in part."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from praison_nb import store
from servers.hosted import HostedServer
from servers.kernel import Kernel
from servers.openai import OpenAIServer, chunk
from stored import stored_bytes

A, B = "/home/somebody/a.ipynb", "/home/somebody/b.ipynb"
CONVERSATIONS = "get_ipython().magics_manager.registry['AgentMagics'].extension.conversations"


def local(server: OpenAIServer, notebook: str, **more: str) -> Kernel:
    key = {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": "sk-test-1234567890"}
    return Kernel(env={**key, "JPY_SESSION_NAME": notebook, **more})


@pytest.fixture
def a(openai_server: OpenAIServer) -> Iterator[Kernel]:
    with local(openai_server, A) as kernel:
        yield kernel


@pytest.fixture
def b(openai_server: OpenAIServer) -> Iterator[Kernel]:
    with local(openai_server, B) as kernel:
        yield kernel


def said(server: OpenAIServer) -> list[str]:
    """What the last request said, without the system prompt."""
    return [m["content"] for m in server.bodies[-1]["messages"] if m["role"] != "system"]


def names() -> dict[str, str]:
    """The names of all sessions that are not archived, by notebook; several sorted."""
    known = sorted((each.notebook, each.name) for each in store.current().all() if not each.is_archived)
    return {key[-7]: " ".join(name for book, name in known if book == key) for key, _ in known}


def browse(kernel: Kernel, name: str, session_id: str, action: str) -> str:
    """Choose the session in the table, do what a button does, and return what the table says."""
    return kernel.run(
        f"import praison_nb\nt = praison_nb.sessions()\nt.chosen.value = ({name!r}, {session_id!r})\n"
        f"t._run_action(t.{action})\nprint(t.message.value, len(t.question.children))"
    ).text


# A name means this notebook's conversation


@pytest.mark.parametrize("command", ["forget", "forget main", "delete main", "archive main", "rename main x"])
def test_a_name_is_never_another_notebooks(a: Kernel, b: Kernel, command: str) -> None:
    a.run("%%agent\nof a")
    error = b.run(f"%agent {command}").error
    assert "This notebook has no session 'main'" in error and len(error.splitlines()) == 1
    b.run("import praison_nb\nw = praison_nb.chat()")
    assert "Nothing is stored of session 'main' yet." in b.run(f"%agent {command}").error
    assert names() == {"a": "main"}
    # By its id one is meant for certain.
    (one,) = store.current().all()
    assert b.run(f"%agent {command.split()[0]} {one.id} {'x' * command.startswith('rename')}").ok
    assert names() == ({"a": "x"} if command.startswith("rename") else {})


def test_the_table_ends_nothing_that_has_not_begun(a: Kernel, b: Kernel, openai_server: OpenAIServer) -> None:
    a.run("%%agent\nof a")
    b.run("%%agent\nof b")
    b.run("%agent reset")
    for action in ("_archive", "_ask_to_delete"):
        assert "Nothing is stored of session 'main' yet. 0" in browse(b, "main", "", action)
    assert "Nothing is stored of session 'main' yet." in b.run("%agent delete main").error
    assert names() == {"a": "main", "b": "main"}
    # What reset kept is this notebook's: it comes back by its name.
    assert "2 messages" in b.run("%agent resume main").text
    b.run("%%agent\nmore")
    assert said(openai_server) == ["of b", "of b", "more"]


def test_a_hosted_session_of_another_notebook_is_not_archived() -> None:
    with HostedServer() as server:
        env = {"ANTHROPIC_API_KEY": server.api_key, "ANTHROPIC_BASE_URL": server.url}
        with (
            Kernel(env={**env, "JPY_SESSION_NAME": A}) as one,
            Kernel(env={**env, "JPY_SESSION_NAME": B}) as two,
        ):
            assert one.run("%%agent\nof a").ok
            two.run("import praison_nb\nw = praison_nb.chat()")
            assert not two.run("%agent archive main").ok and not two.run("%agent delete main").ok
            (session,) = server.sessions.values()
            assert not session.archived_at and one.run("%%agent\nmore").answers == ["more"]


@pytest.mark.parametrize("by", ["open", "resume"])
def test_another_notebooks_session_gets_a_free_name(
    a: Kernel, b: Kernel, openai_server: OpenAIServer, by: str
) -> None:
    a.run("%%agent\nof a")
    (theirs,) = store.current().all()
    b.run("%%agent\nof b")
    # Taken by what is stored, and by what lives.
    b.restart()
    if by == "open":
        assert "'main' goes on here with %%agent -s main-2." in browse(b, "main", theirs.id, "_open")
    else:
        assert "goes on with %%agent -s main-2" in b.run(f"%agent resume {theirs.id}").text
    b.run("%%agent -s main\nmore of b")
    assert said(openai_server) == ["of b", "of b", "more of b"]
    b.run("%%agent -s main-2\nof a in b")
    assert said(openai_server) == ["of a", "of a", "of a in b"]
    b.restart()
    b.run("%%agent -s main\nstill b")
    assert said(openai_server)[-3:] == ["more of b", "more of b", "still b"]
    b.run("%%agent -s main-2\nstill a")
    assert said(openai_server)[-3:] == ["of a in b", "of a in b", "still a"]
    assert names() == {"a": "main", "b": "main main-2"}
    # Where its name is free it keeps it.
    a.run("%%agent -s alone\nfive")
    assert "goes on with %%agent -s alone." in b.run("%agent resume alone").text


# Two kernels with one session


def test_what_one_kernel_deletes_no_other_brings_back(a: Kernel, openai_server: OpenAIServer) -> None:
    with local(openai_server, A) as other:
        other.run("%%agent -s w\none")
        gate = openai_server.gate()
        openai_server.script([chunk({"content": "the secret word"}), gate])
        other.run("%%agent -s w --bg -o run\ntwo")
        openai_server.wait_for(lambda: gate.reached)
        assert a.run("%agent delete w").ok and store.current().all() == []
        gate.open()
        assert other.run("await run").ok
        # It goes on where it lives, and nobody keeps it.
        assert other.run("%%agent -s w\nthree").ok and len(said(openai_server)) > 2
        assert "Nothing is stored of session 'w' yet." in other.run("%agent delete w").error
    assert store.current().all() == [] and b"secret" not in stored_bytes(store.default_path())
    a.run("%%agent -s w\nfour")
    assert said(openai_server) == ["four"] and names() == {"a": "w"}


def test_what_one_kernel_archives_or_renames_stays_so(a: Kernel, openai_server: OpenAIServer) -> None:
    with local(openai_server, A) as other:
        other.run("%%agent -s ended\none")
        other.run("%%agent -s old\ntwo")
        a.run("%agent archive ended")
        a.run("%agent rename old new")
        assert "is archived already" in a.run("%agent archive ended").error
        other.run("%%agent -s ended\nthree")
        other.run("%%agent -s old\nfour")
        assert names() == {"a": "new"}
        # It is known there by the new name too, and is the same conversation.
        other.run("%%agent -s new\nfive")
        assert said(openai_server) == ["two", "two", "four", "four", "five"]
        assert names() == {"a": "new"}
    a.run("%agent resume ended")
    a.run("%%agent -s ended\nsix")
    assert said(openai_server) == ["one", "one", "three", "three", "six"]
    assert names() == {"a": "ended new"}


# A store that is held by another process, or damaged in part


def test_a_locked_store_holds_up_no_cell(a: Kernel, openai_server: OpenAIServer) -> None:
    a.run("%%agent -s q\nbefore")
    with closing(sqlite3.connect(store.default_path(), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        begun = time.monotonic()
        cells = [a.run(f"%%agent -s q\n{number}") for number in range(4)]
        took = time.monotonic() - begun
        assert all(cell.ok for cell in cells) and took < 8, took
        told = ["is locked by another process" in cell.text for cell in cells]
        assert told == [True, False, False, False]
        assert "is locked by another process" in a.run("%agent delete q").error
        other.execute("ROLLBACK")
    assert a.run("%%agent -s q\nafter").ok
    a.restart()
    a.run("%%agent -s q\nlast")
    assert said(openai_server)[0::2] == ["before", "0", "1", "2", "3", "after", "last"]


@pytest.mark.parametrize(
    "damage", ["history SET messages='{bad'", "history SET messages='5'", "sessions SET options='[]'"]
)
def test_a_damaged_row_costs_no_answer(a: Kernel, openai_server: OpenAIServer, damage: str) -> None:
    a.run("%%agent -s q\none")
    a.restart()
    store.current().change(lambda connection: connection.execute(f"UPDATE {damage}"))
    cell = a.run("%%agent -s q\ntwo")
    assert cell.ok and said(openai_server) == ["two"] and "damaged" in cell.text
    a.restart()
    cell = a.run("%%agent -s q\nthree")
    assert cell.ok and said(openai_server) == ["two", "two", "three"] and "damaged" not in cell.text


# Names, and where the store is


def test_a_conversation_that_starts_over_stays_so(a: Kernel, openai_server: OpenAIServer) -> None:
    a.run("%%agent\none")
    assert a.run(f"c = {CONVERSATIONS}\nc.start_over(c.find('main'))").ok
    a.restart()
    a.run("%%agent\ntwo")
    assert said(openai_server) == ["two"] and len(store.current().all()) == 2


def test_a_name_is_one_word_with_or_without_quotes(a: Kernel, openai_server: OpenAIServer) -> None:
    assert a.run('%%agent -s "quoted"\none').ok and names() == {"a": "quoted"}
    for cell in ('%%agent -s "my research"\none', '%agent chat -s "my research"'):
        error = a.run(cell).error
        assert "A session's name is one word" in error and len(error.splitlines()) == 1
    assert len(openai_server.bodies) == 1


def test_names_that_look_like_keys_stay(a: Kernel, openai_server: OpenAIServer) -> None:
    columns = "Join pk_customer_id with sk_date_key"
    a.run(f'%%agent -s q --system "{columns}"\n{columns}')
    a.restart()
    a.run("%%agent -s q\nmore")
    assert said(openai_server) == [columns, columns, "more"]
    assert openai_server.bodies[-1]["messages"][0]["content"] == columns


def test_a_relative_store_stays_where_it_is(openai_server: OpenAIServer, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    with local(openai_server, A, PRAISON_NB_SESSIONS="mine.sqlite") as kernel:
        kernel.run(f"%cd -q {tmp_path}")
        kernel.run("%%agent -s one\none")
        kernel.run("%cd -q sub")
        kernel.run("%%agent -s two\ntwo")
    assert [path.relative_to(tmp_path).name for path in tmp_path.rglob("mine.sqlite")] == ["mine.sqlite"]


def test_a_conversation_goes_on_when_its_backend_becomes_the_default(
    a: Kernel, openai_server: OpenAIServer
) -> None:
    assert a.run("%%agent -s research\none").ok
    a.run("%agent use local")
    assert a.run("%%agent -s research\ntwo").ok
    assert said(openai_server) == ["one", "one", "two"]
