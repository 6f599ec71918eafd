"""Files of hosted sessions: values go up, what the agent wrote comes back, and prompts have pictures."""

from __future__ import annotations

import base64
import io
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from praison_nb import HostedAgentConfig, errors as e
from praison_nb.backends.hosted import files, uploads
from praison_nb.backends.hosted.files import safe_name
from praison_nb.content import OutputFile
from praison_nb.history import User
from praison_nb.render.html import turn_html
from praison_nb.render.text import turn_text
from praison_nb.runtime import loop
from praison_nb.turn import Turn
from praison_nb.turn_json import from_json, to_json
from servers.hosted import HostedServer, builtin_tool, hang_up, hold, text
from servers.hosted_agent import hosted, sent
from servers.hosted_files import wrote
from servers.waiting import until

CSV = b"city,people\nOslo,700000\n<b>Bergen</b>,290000\n"
BASH = builtin_tool("bash", {"command": "python plot.py"}, result="done")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(files, "LAG_SECONDS", 0.5)


def picture(kind: str = "PNG", size: tuple[int, int] = (30, 20)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, "teal").save(file, format=kind)
    return file.getvalue()


def table(rows: int = 3) -> pd.DataFrame:
    return pd.DataFrame({"city": ["Oslo"] * rows, "people": range(rows)})


def mounts(server: HostedServer) -> dict[str, bytes]:
    """What the sessions' containers have, by its path."""
    return {
        each["mount_path"]: server.files[each["file_id"]].data
        for session in server.sessions.values()
        for each in session.fields["resources"]
    }


def play(agent: Any, prompt: str = "Hi", **options: Any) -> Turn:
    """The turn with all that came after its end."""
    run = agent.begin(prompt, **options)
    run.wait()
    run.settled.result(20)
    return run.turn  # type: ignore[no-any-return]


# Up


def test_values_are_uploaded_and_mounted(server: HostedServer, tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_bytes(CSV)
    values = [
        table(), table(2), ("cities", table(1)), tmp_path / "data.csv", str(tmp_path / "data.csv"),
        Figure(), ("in/raw.csv", table(1)), ("/data/x.bin", b"\0\1"), ("../up.bin", b"1"),
    ]  # fmt: skip
    agent = hosted(server, resources=values)
    turn = play(agent)
    assert turn.error is None
    there = mounts(server)
    assert list(there) == [
        "/workspace/data.parquet", "/workspace/data-2.parquet", "/workspace/cities.parquet",
        "/workspace/data.csv", "/workspace/data-2.csv", "/workspace/picture.png", "/workspace/in/raw.csv",
        "/data/x.bin", "/workspace/up.bin",
    ]  # fmt: skip
    pd.testing.assert_frame_equal(pd.read_parquet(io.BytesIO(there["/workspace/data.parquet"])), table())
    assert there["/workspace/data.csv"] == CSV and there["/workspace/in/raw.csv"] == b"city,people\nOslo,0\n"
    assert there["/workspace/picture.png"].startswith(b"\x89PNG")
    assert turn.notices[0].startswith(
        "mounted /workspace/data.parquet: DataFrame, 3 rows × 2 columns, as Parquet, "
    )
    # Of what was uploaded only the session's own copies are left, which end with it.
    assert all(file.scope for file in server.files.values()) and len(server.files) == len(values)


def test_what_parquet_does_not_take_is_csv(server: HostedServer) -> None:
    mixed = pd.DataFrame({"x": [1, "one", [2]]})
    agent = hosted(server, resources=[mixed])
    play(agent)
    assert mounts(server) == {"/workspace/data.csv": b"x\n1\none\n[2]\n"}


def test_a_failure_leaves_nothing_on_the_server(server: HostedServer, tmp_path: Path) -> None:
    agent = hosted(server, resources=[table()])
    server.refuse(status=400, method="POST", path="/v1/sessions")
    assert isinstance(play(agent).error, e.RequestRejectedError) and not server.files
    assert play(agent).error is None and len(server.files) == 1


def test_what_cannot_go_up_is_one_line_and_makes_nothing(
    server: HostedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for values, line in [
        ((3,), r"resources\[0\] must be a DataFrame, .*, not int"),
        ((Path("none.csv"),), r"resources\[0\] must be a file that there is"),
        ((tmp_path,), r"resources\[0\] must be a file that there is"),
        ([{"type": "file", "file_id": "f"}] * 1000, "may have 999"),
    ]:
        with pytest.raises(e.ConfigError, match=line):
            HostedAgentConfig(resources=values)
    (tmp_path / "big.csv").write_bytes(CSV)
    agent = hosted(server, resources=[tmp_path / "big.csv"])
    monkeypatch.setattr(uploads, "FILE_BYTES", 20)
    turn = play(agent)
    assert "big.csv is too large: 45 B, and 20 B go up at most." in str(turn.error)
    assert not server.requests
    (tmp_path / "big.csv").unlink()
    assert "There is no file big.csv" in str(play(agent).error) and not server.requests


def test_a_resource_in_mid_session(server: HostedServer) -> None:
    agent = hosted(server)
    assert agent.add_resource(table(), "early.csv") == "/workspace/early.csv"
    play(agent)
    assert agent.add_resource(table(1), name="late") == "/workspace/late.parquet"
    assert agent.add_resource(table(1), name="late") == "/workspace/late-2.parquet"
    assert list(mounts(server)) == [
        "/workspace/early.csv",
        "/workspace/late.parquet",
        "/workspace/late-2.parquet",
    ]
    assert all(file.scope for file in server.files.values())
    assert "mounted /workspace/late-2.parquet: DataFrame, 1 rows" in play(agent).notices[1]
    with pytest.raises(e.ConfigError, match="not int"):
        agent.add_resource(3)
    assert len(server.sessions) == 1


# Down


def test_what_the_agent_wrote_is_shown_and_stays(server: HostedServer, tmp_path: Path) -> None:
    agent = hosted(server)
    server.files_late = 3
    server.script(
        [
            BASH,
            wrote("plot.png", picture()),
            wrote("table.csv", CSV),
            wrote("model.bin", b"\0" * 1500),
            text("Done."),
        ]
    )
    turn = play(agent)
    assert [each.line for each in turn.files] == ["plot.png (91 B)", "table.csv (45 B)", "model.bin (1.5 kB)"]
    shown = turn_html(turn)
    encoded = base64.b64encode(picture()).decode()
    assert f'<img alt="plot.png" title="plot.png" src="data:image/png;base64,{encoded}"' in shown
    assert "<th>city</th><th>people</th>" in shown and "<td>&lt;b&gt;Bergen&lt;/b&gt;</td>" in shown
    assert "wrote plot.png (91 B), table.csv (45 B), model.bin (1.5 kB)" in turn_text(turn)
    again = from_json(to_json(turn))
    assert again.files == turn.files and turn_html(again) == shown
    # What was mounted is not listed, and each file is a turn's once.
    agent.add_resource(table())
    server.script([BASH, text("Nothing new.")])
    assert play(agent).files == ()
    assert [each.name for each in agent.files()] == ["plot.png", "table.csv", "model.bin"]
    other = hosted(server)
    other.resume_session(str(agent.session_id))
    server.script([BASH, wrote("new.csv", CSV), text("One.")])
    assert [each.name for each in play(other).files] == ["new.csv"]


@pytest.mark.parametrize("is_slow", [False, True])
def test_files_are_of_the_turn_that_wrote_them(server: HostedServer, is_slow: bool) -> None:
    """The next turn begins while the session's usage is asked for, or the files are looked for."""
    agent = hosted(server)
    play(agent)
    server.files_late, gate, usage = 1, server.gate(), server.gate()
    if is_slow:
        server.slow_requests[f"/v1/sessions/{agent.session_id}"] = usage
    server.script([BASH, wrote("one.csv", CSV), text("One.")], [hold(gate), BASH, wrote("two.csv", CSV)])
    runs = [agent.begin("one")]
    runs[0].wait()
    if is_slow:
        server.wait_for(lambda: usage.reached)
    runs.append(agent.begin("two"))
    until(runs[0], lambda turn: turn.files)
    usage.open()
    gate.open()
    runs[1].wait()
    for run in runs:
        run.settled.result(20)
    assert [[each.name for each in run.turn.files] for run in runs] == [["one.csv"], ["two.csv"]]


def test_other_sessions_files_are_not_this_ones(server: HostedServer) -> None:
    server.lists_all_files = True
    for name in ("one.csv", "two.csv"):
        server.script([BASH, wrote(name, CSV), text("Done.")])
        agent = hosted(server)
        assert [each.name for each in play(agent).files] == [name]
        assert [each.name for each in agent.files()] == [name]


def test_a_turn_without_a_tool_that_writes_asks_for_no_files(server: HostedServer) -> None:
    agent = hosted(server)
    server.script([builtin_tool("read", {"file_path": "a"}, result="b"), text("Read.")])
    play(agent)
    assert not server.seen("GET", "/v1/files")


def test_a_server_without_files_fails_no_turn(server: HostedServer) -> None:
    agent = hosted(server)
    server.refuse(100, status=404, path="/v1/files")
    server.script([BASH, text("Done.")])
    turn = play(agent)
    assert turn.text == "Done." and turn.error is None and turn.files == ()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("plot.svg", b"<svg onload=alert(1)>"),
        ("page.html", b"<script>alert(1)</script>"),
        ("plot.png", b"<svg onload=alert(1)>"),
        ("large.png", picture(size=(4, 3)) + b"\0" * files.PICTURE_BYTES),
        ('"><script>.png', b"GIF89a" + b"\1\0\1\0\0\0\0;"),
        ("a\n<b>\u202egnp.csv", b'"<script>alert(1)</script>\n'),
        ("wide.csv", b",".join(b"%d" % n for n in range(5000)) + b"\n" * 3),
        ("binary.csv", bytes(range(256)) * 10),
        ("endless.csv", b"<i>x</i>,1\n" * 100_000),
    ],
)
def test_what_is_hostile_is_text(server: HostedServer, name: str, data: bytes) -> None:
    agent = hosted(server)
    server.script([BASH, wrote(name, data), text("Done.")])
    turn = play(agent)
    shown = turn_html(turn)
    assert len(turn.files) == 1 and len(shown) < 100_000
    # The panel's own numbers are bold.
    outputs = shown.partition('class="pnb-panel')[0]
    for tag in ("<script", "<svg", "<b>", "<i>"):
        assert tag not in outputs and (tag == "<b>" or tag not in shown)
    assert ("data:image/gif" in shown) is ("script>.png" in name)


def test_a_turn_that_somebody_changed_shows_no_markup() -> None:
    bad = OutputFile(id="f", name="a", media_type='image/png;x" onerror="alert(1)', content="AAAA")
    worse = OutputFile(id="f", name="a", media_type="image/png", content='" onerror="alert(1)')
    assert "onerror" not in turn_html(Turn(files=(bad, worse), ended=0.0))


def test_a_download(server: HostedServer, tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    agent = hosted(server)
    server.script([BASH, wrote("../../evil.csv", CSV), wrote("big.bin", b"\0" * 5000), text("Done.")])
    play(agent)
    evil, big = agent.files()
    saved = agent.download(evil, to=here)
    assert saved == here / "evil.csv" and saved.read_bytes() == CSV
    with pytest.raises(e.ConfigError, match="is there already"):
        agent.download(evil.id, to=here)
    (here / "link.csv").symlink_to(here / "elsewhere")
    with pytest.raises(e.ConfigError, match="is there already"):
        agent.download(evil, to=here / "link.csv")
    assert not (here / "elsewhere").exists()
    with pytest.raises(e.ConfigError, match="larger than 1 kB"):
        agent.download("big.bin", to=here, max_bytes=1000)
    # The server may tell another size than it sends.
    lying = OutputFile(id=big.id, name="big.bin", size=1)
    with pytest.raises(e.ConfigError, match="larger than 1 kB"):
        agent.download(lying, to=here, max_bytes=1000)
    assert sorted(os.listdir(here)) == ["evil.csv", "link.csv"]
    assert agent.download("big.bin", to=here / "other.bin").stat().st_size == 5000
    with pytest.raises(e.ConfigError, match=r"no file 'none'. There are: .*big\.bin"):
        agent.download("none")
    with pytest.raises(e.ConfigError, match="cannot be written"):
        agent.download("big.bin", to=here / "no" / "folder.bin")
    with pytest.raises(e.PraisonError, match="does not know the file"):
        agent.download(OutputFile(id="file_9", name="x"), to=here)
    assert not (here / "x").exists()


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("plot.png", "plot.png"), ("/etc/passwd", "passwd"), ("..", "file"), ("", "file"), ("a/..", "file"),
        (".bashrc", "bashrc"), ("con.txt", "_con.txt"), ("a\0b\nc.png", "ab_c.png"), ("..\\..\\x", "x"),
        ("x" * 300 + ".csv", "x" * 116 + ".csv"), ("\udce9.png", "�.png"),
    ],
)  # fmt: skip
def test_a_files_name_is_safe(name: str, safe: str) -> None:
    assert safe_name(name) == safe


def test_without_a_session_there_are_none(server: HostedServer) -> None:
    assert hosted(server).files() == [] and not server.requests


# Prompts


def test_a_prompt_has_pictures_and_documents(server: HostedServer, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("Small.")
    (tmp_path / "paper.pdf").write_bytes(b"%PDF-1.4\n")
    values = [Figure(), tmp_path / "note.txt", tmp_path / "paper.pdf"]
    agent = hosted(server)
    turn = play(agent, "Look.", attachments=values)
    assert turn.error is None
    assert turn.prompt == "Look.\n\n[figure, 640×480]\n\n[text note.txt, 6 B]\n\n[document paper.pdf, 9 B]"
    content = sent(server, "user.message")[-1]["content"]
    assert [each["type"] for each in content] == ["image", "document", "document", "text"]
    assert content[-1]["text"] == turn.prompt == turn.text
    assert [item.text for item in _messages(agent)] == [turn.prompt, turn.prompt]


def _messages(agent: Any) -> list[Any]:
    from praison_nb.runtime import loop

    return loop.run_sync(lambda: agent.read_messages(agent.session))


def test_a_message_that_may_have_arrived_is_not_sent_twice(server: HostedServer) -> None:
    agent = hosted(server)
    play(agent, "First")
    server.script([hang_up(), text("Seen.")])
    turn = play(agent, "Look.", attachments=[Figure()])
    assert turn.text == "Seen." and len(sent(server, "user.message")) == 2


def test_a_table_that_cannot_be_written_is_one_line() -> None:
    class Shy:
        def __str__(self) -> str:
            raise ValueError("no text")

    for name in ("shy.csv", "shy.parquet", ""):
        with pytest.raises(e.ConfigError, match=r"^(shy\.\w+|The table) cannot be (CSV|Parquet): ") as caught:
            uploads.prepare(pd.DataFrame({"a": [Shy()]}), name)
        assert "\n" not in str(caught.value)


def test_the_agent_is_told_what_was_mounted_and_the_prompt_stays_the_user_s(server: HostedServer) -> None:
    agent = hosted(server, resources=[("cities", table())])
    server.replay = 1000
    server.script([text("one")], [text("two")], [text("three")], [text("four")])
    assert play(agent, "First").text == "one"
    agent.add_resource(b"x", name="late.bin")
    server.refuse(1, status=400, method="POST", path=f"/v1/sessions/{agent.session_id}/events", message="no")
    assert agent.begin("refused").wait().error is not None
    turn = agent.define_outcome("Second", rubric="It is.").wait()
    assert (turn.prompt, turn.text) == ("Second", "two") and play(agent, "Third").text == "three"
    told = [each["content"][0]["text"] for each in sent(server, "user.message")]
    cities = "/workspace/cities.parquet: DataFrame, 3 rows × 2 columns, as Parquet, "
    assert told[0].startswith(f"[Files in your container, read-only: {cities}")
    assert told[0].endswith("]\n\nFirst") and told[1] == "Third"
    (outcome,) = sent(server, "user.define_outcome")
    assert outcome["description"].startswith(
        "[Files in your container, read-only: /workspace/late.bin: bytes"
    )
    other = hosted(server)
    other.resume_session(agent.session_id or "")
    assert play(other, "Fourth").text == "four"
    items = loop.run_sync(lambda: other.read_messages(other.session))
    assert [each.text for each in items if isinstance(each, User)] == ["First", "Second", "Third", "Fourth"]
