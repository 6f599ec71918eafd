"""HostedAgentConfig: what the API would reject is rejected here first, and what it takes passes."""

from __future__ import annotations

import copy
import pickle
from decimal import Decimal
from typing import Any

import pytest

from praison_nb import HostedAgent, HostedAgentConfig, LocalAgent, LocalAgentConfig
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
        ({"name": ""}, "^name must not be empty"),
        ({"name": "x" * 257}, "^name may have 256 characters at most, not 257"),
        ({"name": 3}, "^name must be text, not 3"),
        ({"env_name": " "}, "^env_name must not be empty"),
        ({"system": "x" * 100_001}, "^system may have 100,000 characters at most, not 100,001"),
        ({"system": None}, "^system must be text, not None"),
        ({"session_title": 7}, "^session_title must be text, not 7"),
        ({"model": ""}, "^model must not be empty"),
        ({"model": None}, "^model must be a model's name, or a dict as the API has it, not None"),
        ({"model": {"effort": "low"}}, r"^model\.id is missing"),
        ({"model": {"id": "m", "effort": "huge"}}, "effort must be 'low', 'medium', .*, not 'huge'"),
        ({"model": {"id": "m", "effort": {"type": "huge"}}}, "effort"),
        ({"model": {"id": "m", "effort": {}}}, "effort"),
        ({"model": {"id": "m", "speed": "slow"}}, "speed must be 'standard' or 'fast', not 'slow'"),
        ({"tools": TOOLSET}, "^tools must be a list, not dict"),
        ({"tools": "bash"}, "^tools must be a list, not str"),
        ({"tools": ["bash"]}, "No tool 'bash'. There are run_python"),
        (
            {"tools": [{"type": "bash"}]},
            r"^tools\[0\].type must be one of 'agent_toolset_20260401', 'mcp_toolset', 'custom', not 'bash'",
        ),
        ({"tools": [{"name": "x"}]}, r"^tools\[0\].type must be one of 'agent_toolset_20260401'"),
        ({"tools": [lambda: 1]}, "define a function with def"),
        ({"tools": [look_up, look_up]}, "Two tools are named look_up"),
        ({"tools": [look_up, CUSTOM]}, "tools: two are named look_up"),
        (
            {"tools": [{**CUSTOM, "name": "with blank"}]},
            "name must be 1 to 128 letters, .*, not 'with blank'",
        ),
        ({"tools": [{**CUSTOM, "name": "x" * 129}]}, "name must be 1 to 128 letters, .*, not 'x{59}…'"),
        (
            {"tools": [{**CUSTOM, "description": ""}]},
            r"^tools\[0\].description must not be empty",
        ),
        (
            {"tools": [{**CUSTOM, "input_schema": {"type": "array"}}]},
            "input_schema.type must be 'object', not 'array'",
        ),
        (
            {"tools": [{**CUSTOM, "name": f"t{n}"} for n in range(257)]},
            "^tools may have 256 entries at most, not 257",
        ),
        (
            {"tools": [policy("never")]},
            "permission_policy.type must be 'always_allow', 'always_ask' or 'auto', not 'never'",
        ),
        ({"tools": [policy("auto", name="sudo")]}, r"configs\[0\].name must be 'bash', .*, not 'sudo'"),
        (
            {"tools": [{**TOOLSET, "default_config": {"permission_policy": "always_ask"}}]},
            "permission_policy must be a dict, not 'always_ask'",
        ),
        ({"tools": [DOCS]}, "names docs, which is not in mcp_servers"),
        ({"tools": [{"type": "mcp_toolset"}]}, "mcp_server_name is missing"),
        ({"mcp_servers": [SERVER]}, "no tool uses docs: add"),
        ({"mcp_servers": [SERVER, SERVER], "tools": [DOCS]}, "two are named docs"),
        (
            {"mcp_servers": [{**SERVER, "type": "stdio"}], "tools": [DOCS]},
            r"^mcp_servers\[0\].type must be 'url'\.$",
        ),
        (
            {"mcp_servers": [{**SERVER, "url": ""}], "tools": [DOCS]},
            r"^mcp_servers\[0\].url must not be empty",
        ),
        ({"mcp_servers": [SERVER] * 21, "tools": [DOCS]}, "^mcp_servers may have 20 entries at most, not 21"),
        ({"skills": [5]}, r"^skills\[0\] must be a dict, not 5"),
        ({"skills": [{"type": "anthropic"}]}, r"^skills\[0\].skill_id is missing"),
        (
            {"multiagent": {"type": "team"}},
            "^multiagent.type must be one of 'coordinator', 'multiagent_20261001', not 'team'",
        ),
        ({"multiagent": {"type": "coordinator", "agents": []}}, "^multiagent.agents must not be empty"),
        ({"metadata": {"a": 1}}, r"^metadata\.a must be text, not 1"),
        ({"metadata": {"a" * 65: ""}}, r"^a key of metadata may have 64 characters at most, not 65"),
        ({"metadata": {"a": "x" * 513}}, "512"),
        ({"metadata": {str(n): "" for n in range(17)}}, "^metadata may have 16 entries at most, not 17"),
        ({"packages": {"conda": ["x"]}}, "^a key of packages must be 'apt', .* or 'pip', not 'conda'"),
        ({"packages": {"pip": "pandas"}}, r"^packages\.pip must be a list, not 'pandas'"),
        ({"packages": PackagesConfig(pip="pandas")}, r"^packages\.pip must be a list, not 'pandas'"),
        ({"packages": ["pandas"]}, "^packages must be a dict, not list"),
        ({"packages": {"pip": ["x"]}, "networking": LIMITED}, "allow_package_managers"),
        ({"packages": PackagesConfig(npm=["x"]), "networking": "limited"}, "allow_package_managers"),
        ({"networking": "closed"}, "^networking.type must be 'unrestricted' or 'limited', not 'closed'"),
        ({"networking": {"allowed_hosts": []}}, "^networking.type is missing"),
        (
            {"networking": {"type": "limited", "allowed_hosts": "a.org"}},
            "allowed_hosts must be a list, not 'a.org'",
        ),
        (
            {"resources": [{"type": "disk"}]},
            r"^resources\[0\].type must be one of 'file', 'github_repository', 'memory_store'\.$",
        ),
        ({"resources": [{"type": "file"}]}, "file_id is missing"),
        ({"resources": ["token-abc"]}, r"^resources\[0\] must be a file that there is: check its path\.$"),
        ({"resources": [5]}, r"^resources\[0\] must be a DataFrame, a figure, .*, not int\.$"),
        ({"resources": "data.csv"}, r"^resources must be a list, not str\.$"),
        (
            {"resources": [{"type": "memory_store", "memory_store_id": "m", "instructions": "x" * 4097}]},
            "instructions may have 4,096 characters at most, not 4,097",
        ),
        ({"resources": [{"type": "file", "file_id": ["token-abc"]}]}, "file_id must be text, not list"),
        ({"vault_ids": {"vlt_1"}}, "^vault_ids must be a list, not set"),
        ({"vault_ids": "vlt_1"}, "^vault_ids must be a list, not 'vlt_1'"),
        ({"vault_ids": [""]}, r"^vault_ids\[0\] must not be empty"),
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
        ({"base_url": "localhost:80"}, r"^base_url must begin with http:// or https://\.$"),
        ({"timeout": 0}, "^timeout must be a number above 0, not 0"),
        ({"timeout": "1"}, "^timeout must be a number, not '1'"),
        ({"modle": "m"}, "^No such field: modle: did you mean 'model'[?]$"),
        ({"colour": "red"}, "^No such field: colour. There are name, model, system"),
        ({"model": {"id": "m", "speed": "fsat"}}, "not 'fsat': did you mean 'fast'[?]$"),
        ({"model": {"id": "m", "efort": "low"}}, "^model has no 'efort': did you mean 'effort'[?]$"),
        ({"tools": [{**DOCS, "type": "mcp_tools"}]}, "not 'mcp_tools': did you mean 'mcp_toolset'[?]$"),
        ({"tools": [5]}, r"^tools\[0\] must be a function, the name of a built-in tool, or a dict .*, not 5"),
        ({"networking": {"type": "limited", "allow_hosts": []}}, "did you mean 'allowed_hosts'[?]$"),
        ({"networking": NetworkingConfig(type="limited", allow_mcp_servers="no")}, "True or False, not 'no'"),
        ({"mcp_servers": [{**SERVER, "type": "token-abc"}]}, r"^mcp_servers\[0\].type must be 'url'\.$"),
        ({"timeout": "sk-proj-abcdefgh12345678"}, r"^timeout must be a number, not '\[key\]'"),
        ({"api_key": 5}, "^api_key must be text, not int"),
        ({"vault_ids": "v" * 5000}, "^vault_ids must be a list, not 'v{59}…'"),
        ({"reconnect_seconds": -1}, "^reconnect_seconds must be a number from 0, not -1"),
    ],
)
def test_rejected(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        HostedAgentConfig(**fields)
    assert "\n" not in str(caught.value) and "token-abc" not in str(caught.value)
    assert caught.value.__context__ is None


def test_fields_are_given_by_name() -> None:
    with pytest.raises(ConfigError, match="takes its fields by name"):
        HostedAgentConfig("claude-sonnet-4-6")
    with pytest.raises(ConfigError, match=r"pypi\. There are pip, npm"):
        PackagesConfig(pypi=["pandas"])


@pytest.mark.parametrize(
    ("agent", "config"), [(HostedAgent, HostedAgentConfig), (LocalAgent, LocalAgentConfig)]
)
def test_what_agents_take_for_a_config(agent: Any, config: Any) -> None:
    """Both the same: the config, or nothing."""
    made = config(model="m")
    assert agent(config=made).config is made
    assert agent(config=None).config == agent().config == config()
    other = LocalAgentConfig() if agent is HostedAgent else HostedAgentConfig()
    for wrong in ("m", 5, [], "", config, other, {}, {"model": "m"}, {5: "m"}):
        with pytest.raises(ConfigError, match=f"^config must be a {config.__name__}, not ") as caught:
            agent(config=wrong)
        assert f"{config.__name__}(**config) makes one" in str(caught.value) or not isinstance(wrong, dict)
    with pytest.raises(ConfigError, match="modle: did you mean 'model'"):
        agent().update_agent(modle="m")


@pytest.mark.parametrize("config", [HostedAgentConfig(), LocalAgentConfig()])
def test_each_field_is_checked(config: Any) -> None:
    model, values = config._checked([])
    assert {*values} - {*model.model_fields} <= {"policies", "working_dir", "budget", "output"}


def test_a_copy_and_a_pickle_of_a_config_are_the_same() -> None:
    config = HostedAgentConfig(model="m", packages=PackagesConfig(pip=["pandas"]))
    assert pickle.loads(pickle.dumps(config)) == copy.copy(config) == copy.deepcopy(config) == config


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
