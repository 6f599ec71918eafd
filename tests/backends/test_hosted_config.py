"""HostedAgentConfig: what the API would reject is rejected here first, and what it takes passes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from praison_nb import HostedAgentConfig
from praison_nb.backends.hosted.config import NetworkingConfig, PackagesConfig, budget_dict
from praison_nb.errors import ConfigError

TOOLSET = {"type": "agent_toolset_20260401"}
SCHEMA = {"type": "object", "properties": {}}
CUSTOM = {"type": "custom", "name": "look_up", "description": "Looks up.", "input_schema": SCHEMA}
SERVER = {"type": "url", "name": "docs", "url": "https://example.org/mcp"}
DOCS = {"type": "mcp_toolset", "mcp_server_name": "docs"}
LIMITED = NetworkingConfig(type="limited")


def look_up() -> str:
    """Looks up."""
    return ""


def policy(kind: Any, **more: Any) -> dict[str, Any]:
    return {**TOOLSET, "configs": [{"name": "bash", "permission_policy": {"type": kind}, **more}]}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": ""}, "^name: .*at least 1 character"),
        ({"name": "x" * 257}, "^name: .*at most 256 characters"),
        ({"name": 3}, "^name: .*a valid string"),
        ({"env_name": " "}, "^env_name: .*at least 1 character"),
        ({"system": "x" * 100_001}, "^system: .*at most 100000 characters"),
        ({"system": None}, "^system: .*a valid string"),
        ({"session_title": 7}, "^session_title: .*a valid string"),
        ({"model": ""}, r"^model\.id: .*at least 1 character"),
        ({"model": None}, "^model: .*dictionary"),
        ({"model": {"effort": "low"}}, r"^model\.id: Field required"),
        ({"model": {"id": "m", "effort": "huge"}}, "effort: .*'low', 'medium'"),
        ({"model": {"id": "m", "effort": {"type": "huge"}}}, "effort"),
        ({"model": {"id": "m", "effort": {}}}, "effort"),
        ({"model": {"id": "m", "speed": "slow"}}, "speed: .*'standard' or 'fast'"),
        ({"tools": TOOLSET}, "^tools: .*a list, not dict"),
        ({"tools": "bash"}, "^tools: .*a list, not str"),
        ({"tools": ["bash"]}, "No tool 'bash'. There are run_python"),
        (
            {"tools": [{"type": "bash"}]},
            r"^tools\[0\]: .*a function, a built-in.*agent_toolset_20260401, mcp_toolset or custom",
        ),
        ({"tools": [{"name": "x"}]}, r"^tools\[0\]: .*of type agent_toolset_20260401"),
        ({"tools": [lambda: 1]}, "define a function with def"),
        ({"tools": [look_up, look_up]}, "Two tools are named look_up"),
        ({"tools": [look_up, CUSTOM]}, "tools: two are named look_up"),
        ({"tools": [{**CUSTOM, "name": "with blank"}]}, r"name: .*\[A-Za-z0-9_-\]\{1,128\}"),
        ({"tools": [{**CUSTOM, "name": "x" * 129}]}, r"name: .*\[A-Za-z0-9_-\]\{1,128\}"),
        (
            {"tools": [{**CUSTOM, "description": ""}]},
            r"^tools\[0\].description: .*at least 1 character",
        ),
        ({"tools": [{**CUSTOM, "input_schema": {"type": "array"}}]}, "input_schema.type: .*'object'"),
        (
            {"tools": [{**CUSTOM, "name": f"t{n}"} for n in range(257)]},
            "^tools: .*at most 256 items, not 257",
        ),
        ({"tools": [policy("never")]}, "permission_policy.type: .*'always_allow', 'always_ask' or 'auto'"),
        ({"tools": [policy("auto", name="sudo")]}, r"configs\[0\].name: .*'bash'"),
        (
            {"tools": [{**TOOLSET, "default_config": {"permission_policy": "always_ask"}}]},
            "permission_policy",
        ),
        ({"tools": [DOCS]}, "names docs, which is not in mcp_servers"),
        ({"tools": [{"type": "mcp_toolset"}]}, "mcp_server_name: Field required"),
        ({"mcp_servers": [SERVER]}, "no tool uses docs: add"),
        ({"mcp_servers": [SERVER, SERVER], "tools": [DOCS]}, "two are named docs"),
        ({"mcp_servers": [{**SERVER, "type": "stdio"}], "tools": [DOCS]}, r"^mcp_servers\[0\].type: .*'url'"),
        (
            {"mcp_servers": [{**SERVER, "url": ""}], "tools": [DOCS]},
            r"^mcp_servers\[0\].url: .*at least 1 character",
        ),
        ({"mcp_servers": [SERVER] * 21, "tools": [DOCS]}, "^mcp_servers: .*at most 20 items, not 21"),
        ({"skills": ["xlsx"]}, r"^skills\[0\]: .*dictionary"),
        ({"skills": [{"type": "anthropic"}]}, r"^skills\[0\].skill_id: Field required"),
        ({"multiagent": {"type": "team"}}, "^multiagent: .*type.*'coordinator', 'multiagent_20261001'"),
        ({"multiagent": {"type": "coordinator", "agents": []}}, "agents: .*at least 1 item"),
        ({"metadata": {"a": 1}}, r"^metadata\.a: .*a valid string"),
        ({"metadata": {"a" * 65: ""}}, r"^metadata\.a+…: .*at most 64 characters"),
        ({"metadata": {"a": "x" * 513}}, "512"),
        ({"metadata": {str(n): "" for n in range(17)}}, "^metadata: .*at most 16 items"),
        ({"packages": {"conda": ["x"]}}, r"^packages\.conda: .*'apt', .*'pip'"),
        ({"packages": {"pip": "pandas"}}, r"^packages\.pip: .*a list, not str"),
        ({"packages": PackagesConfig(pip="pandas")}, r"^packages\.pip: .*a list, not str"),
        ({"packages": ["pandas"]}, "^packages: .*dictionary"),
        ({"packages": {"pip": ["x"]}, "networking": LIMITED}, "allow_package_managers"),
        ({"packages": PackagesConfig(npm=["x"]), "networking": "limited"}, "allow_package_managers"),
        ({"networking": "closed"}, "^networking.type: .*'unrestricted' or 'limited'"),
        ({"networking": {"allowed_hosts": []}}, "^networking.type: Field required"),
        ({"networking": {"type": "limited", "allowed_hosts": "a.org"}}, "allowed_hosts: .*a list, not str"),
        (
            {"resources": [{"type": "disk"}]},
            r"^resources\[0\]: .*type.*'file', 'github_repository', 'memory_store'",
        ),
        ({"resources": [{"type": "file"}]}, "file_id: Field required"),
        ({"resources": ["token-abc"]}, r"^resources\[0\]: .*dictionary"),
        (
            {"resources": [{"type": "memory_store", "memory_store_id": "m", "instructions": "x" * 4097}]},
            "instructions: .*at most 4096 characters",
        ),
        ({"resources": [{"type": "file", "file_id": ["token-abc"]}]}, "file_id: .*a valid string"),
        ({"vault_ids": {"vlt_1"}}, "^vault_ids: .*a list, not set"),
        ({"vault_ids": "vlt_1"}, "^vault_ids: .*a list, not str"),
        ({"vault_ids": [""]}, r"^vault_ids\[0\]: .*at least 1 character"),
        ({"budget": 0}, "budget must be USD above 0"),
        ({"budget": -1.0}, "budget"),
        ({"budget": 0.005}, "whole cents"),
        ({"budget": True}, "budget"),
        ({"budget": "much"}, "budget"),
        ({"budget": float("nan")}, "budget"),
        ({"budget": {"amount": "250"}}, "budget must be USD, or"),
        ({"budget": {"type": "limit", "max_list_cost": {"amount": "2.5", "currency": "USD"}}}, "cents"),
        (
            {"budget": {"type": "limit", "max_list_cost": {"amount": "250", "currency": "EUR"}}},
            '"currency": "USD"',
        ),
        ({"base_url": "localhost:80"}, "^base_url: .*https[?]://"),
        ({"timeout": 0}, "^timeout: .*greater than 0"),
        ({"timeout": "1"}, "^timeout: .*number"),
        ({"reconnect_seconds": -1}, "^reconnect_seconds: .*0"),
    ],
)
def test_rejected(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        HostedAgentConfig(**fields)
    assert "\n" not in str(caught.value) and "token-abc" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"tools": [], "system": "", "session_title": "", "metadata": {}},
        {
            "tools": [look_up, TOOLSET, policy("auto"), DOCS, {**CUSTOM, "name": "x-1"}],
            "mcp_servers": [SERVER],
        },
        {"model": {"id": "m", "effort": {"type": "max"}, "speed": "fast"}},
        {
            "networking": NetworkingConfig(type="limited", allow_package_managers=True),
            "packages": {"pip": ["x"]},
        },
        {"networking": {"type": "limited", "allowed_hosts": ["a.org"]}, "packages": {"pip": []}},
        {"packages": PackagesConfig(pip=["a"], go=["b"])},
        {"multiagent": {"type": "coordinator", "agents": ["agent_1", {"type": "self"}]}},
        {"multiagent": {"type": "multiagent_20261001"}},
        {"budget": Decimal("0.01")},
        {"budget": {"type": "limit", "max_list_cost": {"amount": "250", "currency": "USD"}}},
        {"resources": [{"type": "github_repository", "url": "https://example.org/r"}]},
    ],
)
def test_accepted(fields: dict[str, Any]) -> None:
    """And what is sent is what the SDK's types allow."""
    from anthropic.types.beta import agent_create_params, environment_create_params

    from servers.hosted_types import check_request

    config = HostedAgentConfig(**fields)
    check_request(agent_create_params.AgentCreateParams, config.agent_params())
    check_request(environment_create_params.EnvironmentCreateParams, config.environment_params())
    assert "title" in config.session_params() or not config.session_title


def test_a_toolset_of_the_future_passes() -> None:
    assert HostedAgentConfig(tools=[{"type": "agent_toolset_20270101"}]).api_tools[0]["type"].endswith("0101")


def test_secrets_are_not_shown() -> None:
    resource = {
        "type": "github_repository",
        "url": "https://example.org/r",
        "authorization_token": "ghp_1234",
    }
    server = {**SERVER, "url": "https://example.org/mcp?key=abcd"}
    config = HostedAgentConfig(
        api_key="sk-1", resources=[resource], mcp_servers=[server], tools=[DOCS], model="m"
    )
    assert not any(secret in repr(config) for secret in ("sk-1", "ghp_1234", "abcd"))


@pytest.mark.parametrize(
    ("usd", "amount"), [(1, "100"), (0.29, "29"), (Decimal("12.34"), "1234"), (None, None)]
)
def test_budgets_are_whole_cents(usd: Any, amount: str | None) -> None:
    budget = budget_dict(usd)
    assert (budget and budget["max_list_cost"]["amount"]) == amount
