"""Arguments that a HostedAgent's methods do not take, or not so: each is one line, and nothing is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from praison_nb import HostedAgent, LocalAgent, SessionInfo
from praison_nb.errors import ConfigError
from servers.hosted import HostedServer
from servers.hosted_agent import hosted, sent


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda agent: agent.create_vault("crm", metdata={}), r"^HostedAgent\.create_vault.*'metadata'\?"),
        (lambda agent: agent.create_vault("crm", metadata=[1]), "^metadata must be a dict"),
        (lambda agent: agent.delete_vault(None), "^vault_ids: None must be an id or a name"),
        (lambda agent: agent.list_vaults(include_archive=True), "^list_vaults.*'include_archived'"),
        (lambda agent: agent.list_sessions(statusses=["idle"]), "^list_sessions.*'statuses'"),
        (lambda agent: agent.list_agents(archived=True), "^list_agents has no argument archived"),
        (lambda agent: agent.list_environments(archived=True), "^list_environments has no argument archived"),
        (lambda agent: agent.define_outcome("A table"), r"^HostedAgent\.define_outcome: missing.*'rubric'"),
        (lambda agent: agent.define_outcome("A", rubric="r", budgets=3), "^define_outcome.*'budget'"),
        (
            lambda agent: agent.define_outcome("A", rubric="r", is_sent=True),
            "^define_outcome has no argument",
        ),
        (lambda agent: agent.add_resource(b"x", nam="x.bin"), r"^HostedAgent\.add_resource.*'name'\?"),
        (lambda agent: agent.resume_session("sesn_1", sesion="main"), r"^HostedAgent\.resume_session has no"),
        (lambda agent: agent.retrieve_session("sesn_1"), r"takes no arguments\.$"),
        (lambda agent: agent.restore_ids({"tools": 3}), r"^restore_ids takes the dict"),
        (lambda agent: agent.restore_ids({"session_id": 3}), r"^restore_ids takes the dict"),
        (lambda agent: asyncio.run(agent.send_event("sesn_1", 3)), "^event must be a dict"),
        (lambda agent: asyncio.run(agent.create_session()), r"^HostedAgent\.create_session: missing"),
        (lambda agent: agent.interrupt(now=True), r"^HostedAgent\.interrupt has no argument now"),
    ],
)
def test_what_a_method_does_not_take_is_one_line(
    server: HostedServer, call: Callable[[HostedAgent], Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        call(hosted(server))
    assert "\n" not in str(caught.value)
    assert sent(server, "user.message") == [] and server.vaults == {}


def test_local_agents_say_it_too() -> None:
    with pytest.raises(ConfigError, match=r"^LocalAgent\.resume_session has no argument foo"):
        LocalAgent().resume_session("main", foo=1)  # type: ignore[call-arg]


def test_what_a_backend_of_ones_own_adds_to_a_session_is_left_out() -> None:
    info = SessionInfo(id="s-1", status="idle", usage={"input_tokens": 5}, created_at="today")
    assert info == SessionInfo("s-1", "idle", "", {"input_tokens": 5}) and not hasattr(info, "created_at")


async def test_execute_and_stream_take_attachments(server: HostedServer) -> None:
    from PIL import Image

    agent, picture = hosted(server), Image.new("RGB", (30, 20))
    assert (await agent.execute("What?", attachments=[picture])).startswith("What?")
    assert "".join([each async for each in agent.stream("And?", attachments=[picture])]).startswith("And?")
    kinds = [[block["type"] for block in each["content"]] for each in sent(server, "user.message")]
    assert kinds == [["image", "text"]] * 2
    assert await agent.execute("None.", attachments=None) == "None."  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"^attachments takes figures"):
        await agent.execute("What?", attachments=[3])
