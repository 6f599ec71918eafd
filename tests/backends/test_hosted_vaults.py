"""Vaults and their credentials; skills, memory stores and vaults by name; titles and metadata of sessions."""

from __future__ import annotations

import logging
import traceback
from typing import Any

import pytest

from praison_nb import HostedAgent, HostedAgentConfig, errors as e
from servers.hosted import HostedServer
from servers.hosted_agent import KEY, calls, hosted, play
from servers.hosted_vaults import add_skill, add_store

SECRET = "wk3jv8Qm2tZr"
URL = "https://crm.example.com/mcp"
BEARER = {"type": "static_bearer", "token": SECRET, "mcp_server_url": URL}
OAUTH = {
    "type": "mcp_oauth",
    "access_token": SECRET,
    "mcp_server_url": URL,
    "refresh": {
        "refresh_token": SECRET + "2",
        "client_id": "notebook",
        "token_endpoint": "https://example.com/token",
        "token_endpoint_auth": {"type": "client_secret_post", "client_secret": SECRET + "3"},
    },
}
VARIABLE = {
    "type": "environment_variable",
    "secret_name": "CRM_TOKEN",
    "secret_value": SECRET,
    "networking": {"type": "limited", "allowed_hosts": ["crm.example.com"]},
}


@pytest.mark.parametrize("auth", [BEARER, OAUTH, VARIABLE], ids=lambda auth: auth["type"])
def test_a_secret_goes_in_and_never_comes_out(
    server: HostedServer, auth: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    agent = hosted(server)
    vault = agent.create_vault("crm")
    made = agent.create_credential("crm", auth, name="The CRM")
    assert made["vault_id"] == vault and made["auth"]["type"] == auth["type"]
    (stored,) = server.seen("POST", f"/v1/vaults/{vault}/credentials")
    assert stored.json["auth"] == auth
    # The server's own words have it.
    with pytest.raises(e.PraisonError, match="already") as raised:
        agent.create_credential(vault, auth)
    shown = [made, agent.list_vaults(), agent.list_credentials("crm"), agent, agent.config]
    texts = [*map(repr, shown), caplog.text, "".join(traceback.format_exception(raised.value))]
    assert all(SECRET not in text for text in texts)
    agent.delete_credential("crm", made["id"])
    assert agent.list_credentials(vault) == []
    agent.delete_vault("crm")
    assert agent.list_vaults() == []


@pytest.mark.parametrize(
    ("auth", "said"),
    [
        ({**BEARER, "type": "bearer"}, "type must be one of"),
        ({"token": SECRET, "mcp_server_url": URL}, "type is missing"),
        ({**BEARER, "token": ["wk3jv8", SECRET]}, "token must be text, not list"),
        ({"type": "static_bearer", "tokn": SECRET, "mcp_server_url": URL}, "tokn"),
        ({**VARIABLE, "networking": None}, "networking must be a dict"),
        (SECRET, "auth must be a dict"),
    ],
)
def test_what_is_no_credential(server: HostedServer, auth: Any, said: str) -> None:
    with pytest.raises(e.ConfigError, match=said) as raised:
        hosted(server).create_credential("vlt_1", auth)
    assert SECRET not in str(raised.value) and "\n" not in str(raised.value)
    assert calls(server, "POST", "/v1/vaults/vlt_1/credentials") == 0


# By name


def test_names_are_looked_up_once(server: HostedServer) -> None:
    server.page_size = 1
    skill, notes = add_skill(server, "Tidy tables"), add_store(server, "notes")
    add_skill(server, "Excel", "xlsx", source="anthropic")
    agent = hosted(
        server,
        skills=["Tidy tables", "xlsx", "skill_abc", {"type": "custom", "skill_id": "skill_def"}],
        memory_stores=["notes", {"memory_store_id": add_store(server, "facts"), "access": "read_only"}],
    )
    agent.update_agent(vault_ids=[hosted(server).create_vault("crm")])
    play(agent)
    agent.reset_session()
    play(agent)
    skills = [(each["type"], each["skill_id"]) for each in agent.retrieve_agent()["skills"]]
    others = [("anthropic", "xlsx"), ("custom", "skill_abc"), ("custom", "skill_def")]
    assert skills == [("custom", skill), *others]
    for session in server.sessions.values():
        stores = [each for each in session.fields["resources"] if each["type"] == "memory_store"]
        assert [each["memory_store_id"] for each in stores] == [notes, "memstore_000002"]
        assert [each["access"] for each in stores] == ["read_write", "read_only"]
        assert session.fields["vault_ids"] == ["vlt_000001"]
    # A page each, and nothing for the second session.
    assert calls(server, "GET", "/v1/skills") == 4 and calls(server, "GET", "/v1/memory_stores") == 2
    # A version of the agent has ids too, and the other skill is all that is asked for.
    add_skill(server, "Words", "docx", source="anthropic")
    agent.update_agent(skills=["docx"])
    assert [each["skill_id"] for each in agent.retrieve_agent()["skills"]] == ["docx"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"skills": ["Tidy table"]}, "skills: 'Tidy table' is not there: did you mean 'Tidy tables'?"),
        ({"memory_stores": ["note"]}, "memory_stores: 'note' is not there: did you mean 'notes'?"),
        ({"vault_ids": ["crm"]}, "vault_ids: 'crm' is not there, by id or by name"),
        ({"memory_stores": ["twice"]}, "give the id of one, of memstore_000002, memstore_000003"),
    ],
)
def test_a_name_that_there_is_not(server: HostedServer, fields: dict[str, Any], said: str) -> None:
    add_skill(server, "Tidy tables")
    for name in ("notes", "twice", "twice"):
        add_store(server, name)
    turn, _ = play(hosted(server, **fields))
    assert said in str(turn.error) and "\n" not in str(turn.error)
    assert not server.agents and not server.sessions


# Titles and metadata


def test_a_session_has_a_title_and_metadata(server: HostedServer) -> None:
    agent = hosted(server, title="Churn", metadata={"team": "data"})
    play(agent)
    (session,) = server.sessions.values()
    assert session.fields["title"] == "Churn" and session.fields["metadata"]["team"] == "data"
    agent.rename("Churn, July")
    assert session.fields["title"] == agent.session.title == "Churn, July"
    assert agent.retrieve_session()["title"] == "Churn, July"
    other = hosted(server)
    other.rename("August", session_id=session.id)
    assert session.fields["title"] == "August" and other.session.title == ""
    other.rename("The next one")
    play(other)
    assert other.retrieve_session()["title"] == "The next one"
    with pytest.raises(e.ConfigError, match="title"):
        agent.rename(" ")


def test_a_session_of_somebodys_agent_has_metadata(server: HostedServer) -> None:
    first = hosted(server, name="theirs")
    play(first)
    play(hosted(server, agent_id="theirs", metadata={"team": "data"}))
    assert [each.fields["metadata"].get("team") for each in server.sessions.values()] == [None, "data"]
    assert "team" not in first.retrieve_agent()["metadata"]


@pytest.mark.parametrize(
    "fields",
    [
        {"metadata": {f"k{n}": "" for n in range(17)}},
        {"metadata": {"k" * 65: ""}},
        {"metadata": {"k": "v" * 513}},
        {"metadata": {"k": 1}},
        {"title": None},
        {"memory_stores": "notes"},
        {"memory_stores": ["n"] * 9},
        {"memory_stores": [{"memory_store_id": "n", "access": "all"}]},
        {"skills": [""]},
    ],
)
def test_what_a_config_cannot_have(fields: dict[str, Any]) -> None:
    with pytest.raises(e.ConfigError) as raised:
        HostedAgent(HostedAgentConfig(api_key=KEY, **fields))
    assert next(iter(fields)) in str(raised.value) and "\n" not in str(raised.value)
