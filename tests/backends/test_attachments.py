"""Pictures and documents of prompts, on each wire, against servers that refuse what the real ones refuse."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from matplotlib.figure import Figure
from PIL import Image

from praison_nb import Agent, LocalAgent, LocalAgentConfig, ScriptedBackend
from praison_nb.backends.local import rules
from praison_nb.content import PICTURE_BYTES, attach, attach_all, sniff
from praison_nb.errors import ConfigError, PraisonError
from praison_nb.history import User, from_json, to_json, with_attachments
from praison_nb.store.sessions import Store, append_messages
from servers.messages import MessagesServer
from servers.openai import OpenAIServer
from servers.responses import ResponsesServer

PDF = b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n"
SERVERS: dict[str, Any] = {
    "chat": lambda: OpenAIServer(rules="openai"),
    "responses": ResponsesServer,
    "messages": MessagesServer,
}


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[Any]:
    with SERVERS[request.param]() as server:
        server.wire = request.param
        yield server


def agent_on(server: Any, **fields: Any) -> LocalAgent:
    provider = "anthropic" if server.wire == "messages" else "openai"
    return LocalAgent(
        LocalAgentConfig(
            **{
                "model": "claude-opus-4-8" if server.wire == "messages" else "gpt-4o",
                "provider": provider,
                "wire": server.wire,
                "base_url": server.base_url,
                "api_key": "test-key-123",
                **fields,
            }
        )
    )


def content_of(server: Any, place: int = -1) -> list[dict[str, Any]]:
    """The content of a message of the user in the last request."""
    body = server.bodies[-1]
    users = [each for each in body.get("messages") or body["input"] if each["role"] == "user"]
    content = users[place]["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def pictures_in(content: list[dict[str, Any]]) -> list[bytes]:
    found = []
    for part in content:
        match part:
            case {"image_url": {"url": url}} | {"image_url": url}:
                found.append(base64.b64decode(url.partition(",")[2]))
            case {"type": "image", "source": {"data": data}}:
                found.append(base64.b64decode(data))
    return found


def figure() -> Figure:
    made = Figure()
    made.add_subplot().plot([1, 2, 3])
    return made


def test_a_figure_and_a_picture_go_up(server: Any, tmp_path: Path) -> None:
    agent = Agent("eyes", agent_on(server))
    Image.new("CMYK", (30, 20)).save(tmp_path / "photo.jpg")
    text = agent.start("What is this?", attachments=[figure(), tmp_path / "photo.jpg"])
    size = (tmp_path / "photo.jpg").stat().st_size
    assert text == f"What is this?\n\n[figure, 640×480]\n\n[picture photo.jpg, {size} B]"
    content = content_of(server)
    assert [sniff(each) for each in pictures_in(content)] == ["image/png", "image/jpeg"]
    assert content[-1]["text"] == text == agent.turn.prompt  # type: ignore[union-attr]


def test_a_later_turn_and_a_later_kernel_have_it_too(server: Any, tmp_path: Path) -> None:
    agent = agent_on(server)
    agent.begin("What is this?", attachments=[Image.new("RGB", (30, 20))]).wait()
    agent.begin("And now?").wait()
    first = content_of(server, 0)
    assert len(pictures_in(first)) == 1
    path = tmp_path / "sessions.sqlite"
    store = Store(path)
    rows = [to_json(item) for item in agent.session.messages]
    store.enqueue(append_messages("s", "t", rows))
    store.flush()
    restored = agent_on(server)
    restored.session.messages[:] = [each for row in store.history("s") for each in from_json(row)]
    store.close()
    restored.begin("Still there?").wait()
    assert pictures_in(content_of(server, 0)) == pictures_in(first)


def test_a_document(server: Any, tmp_path: Path) -> None:
    (tmp_path / "paper.pdf").write_bytes(PDF)
    (tmp_path / "note.txt").write_text("Residuals are small: naïve.")
    agent = agent_on(server)
    turn = agent.begin("Read.", attachments=[tmp_path / "note.txt"]).wait()
    assert "naïve" in json.dumps(content_of(server), ensure_ascii=False)
    assert "[text note.txt, 28 B]" in turn.prompt
    turn = agent.begin("And this.", attachments=[tmp_path / "paper.pdf"]).wait()
    if server.wire == "chat":
        line = "takes no documents on its chat wire: [document paper.pdf, 48 B] was not sent"
        assert line in str(turn.error)
        assert len(server.bodies) == 1
        return
    assert turn.error is None
    part = content_of(server)[0]
    encoded = base64.b64encode(PDF).decode()
    if server.wire == "messages":
        source = {"type": "base64", "media_type": "application/pdf", "data": encoded}
        assert part.items() >= {"type": "document", "source": source, "title": "paper.pdf"}.items()
    else:
        assert part == {
            "type": "input_file",
            "filename": "paper.pdf",
            "file_data": f"data:application/pdf;base64,{encoded}",
        }


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "F", "I", "YCbCr", "HSV", "I;16"]
)
def test_a_picture_of_any_mode(mode: str) -> None:
    picture = attach(Image.new(mode, (4, 3)), "x")
    assert picture is not None and picture.label == "[picture x, 4×3]"
    assert Image.open(io.BytesIO(base64.b64decode(picture.data))).size == (4, 3)


def test_a_server_that_only_reads_gets_no_picture(tmp_path: Path) -> None:
    with OpenAIServer(rules="deepseek") as server:
        fields = {"model": "deepseek-chat", "provider": "deepseek", "base_url": server.base_url}
        agent = LocalAgent(LocalAgentConfig(api_key="test-key-123", **fields))  # type: ignore[arg-type]
        picture = attach(Image.new("RGB", (3, 2)), "tiny")
        assert picture is not None
        # Said to another model before.
        agent.session.messages.append(User(text=f"See {picture.label}", attachments=(picture,)))
        assert agent.begin("And?").wait().error is None
        assert server.bodies[-1]["messages"][0]["content"] == "See [picture tiny, 3×2]"
        turn = agent.begin("This?", attachments=[picture]).wait()
        assert "takes no pictures" in str(turn.error) and len(server.bodies) == 1
        (tmp_path / "a.txt").write_text("one")
        turn = agent.begin("This?", attachments=[tmp_path / "a.txt"]).wait()
        assert turn.error is None and "\none\n\nThis?" in server.bodies[-1]["messages"][-1]["content"]


def test_a_chat_template_gets_texts_only() -> None:
    assert rules.EMBEDDED.attachments == {"text"}


def test_an_estimate_does_not_count_base64(server: Any) -> None:
    noise = Image.frombytes("RGB", (600, 600), Random(1).randbytes(600 * 600 * 3))
    started: list[int] = []
    agent = agent_on(server)

    def observe(event: Any, turn: Any) -> None:
        if type(event).__name__ == "RequestStarted":
            started.append(event.input_tokens)

    agent.begin("What?", attachments=[noise], subscribers=[observe]).wait()
    assert len(str(server.bodies[-1])) > 20_000
    assert 480 < started[0] < 700


def test_a_long_conversation_sends_the_latest_pictures() -> None:
    picture = attach(Image.new("RGB", (3, 2)))
    assert picture is not None
    large = replace(picture, data="A" * 5_000_000)
    history = [User(text=str(n), attachments=(large,)) for n in range(8)]
    kept = with_attachments(history, {"picture"})
    assert [bool(item.attachments) for item in kept if isinstance(item, User)] == [False] * 3 + [True] * 5


def test_what_cannot_be_sent_is_one_line(tmp_path: Path) -> None:
    backend = ScriptedBackend([])
    (tmp_path / "fake.png").write_bytes(b"<svg onload=alert(1)>")
    (tmp_path / "large.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * PICTURE_BYTES)
    (tmp_path / "wide.gif").write_bytes(b"GIF89a" + (9000).to_bytes(2, "little") + b"\1\0" + b"\0" * 20)
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    (tmp_path / "empty.pdf").write_bytes(b"")
    for value, line in {
        tmp_path / "fake.png": "fake.png is no png: its content is something else.",
        tmp_path / "large.png": "large.png is too large: 3.9 MB, and 3.9 MB are sent at most.",
        tmp_path / "wide.gif": "wide.gif has 9,000×1 pixels; a side may have 8,000: make it smaller.",
        tmp_path / "latin.txt": "latin.txt is no text in UTF-8: save it as such.",
        tmp_path / "empty.pdf": "empty.pdf is empty.",
        tmp_path / "none.png": "attachments takes figures, pictures and Paths of files",
        "plot.png": "not str 'plot.png'",
        3: "not int",
    }.items():
        with pytest.raises(ConfigError) as caught:
            backend.begin("Hi", attachments=[value])
        assert line in str(caught.value) and "\n" not in str(caught.value)
    bad = Figure()
    bad.suptitle("$\\frac{$")
    with pytest.raises(ConfigError, match=r"^The Figure cannot be drawn: ValueError: .*frac"):
        backend.begin("Hi", attachments=[bad])
    with pytest.raises(ConfigError, match="must be a list"):
        backend.begin("Hi", attachments="plot.png")
    with pytest.raises(ConfigError, match="scripted backends"):
        backend.begin("Hi", attachments=[figure()])
    picture = attach(Image.new("RGB", (3, 2)))
    assert picture is not None
    with pytest.raises(PraisonError, match="20 MB"):
        attach_all("", [replace(picture, data="A" * 9_000_000)] * 3)
