"""How a HostedAgent works, and that as the API wants it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import Any, Literal, TypeGuard

from ...answer_type import AnswerType
from ...errors import ConfigError
from ...tools.builtin.registry import resolve
from ...tools.tool import Tool
from ..config_base import Config, Fields
from .answer_tool import ANSWER_TOOL, answer_tool
from .budget import budget_dict
from .uploads import check_resources

AGENT_TOOLSET = "agent_toolset_20260401"
"""The runtime's own tools: bash, edit, read, write, glob, grep, web_fetch, web_search."""


@dataclass(frozen=True, kw_only=True)
class NetworkingConfig(Fields):
    """What the agent's container may reach. The last three are for type="limited" only.

    >>> NetworkingConfig(type="limited", allowed_hosts=["example.org"]).to_dict()["allowed_hosts"]
    ['example.org']
    """

    type: Literal["unrestricted", "limited"] = "unrestricted"
    allowed_hosts: Sequence[str] = ()
    allow_mcp_servers: bool = False
    allow_package_managers: bool = False

    def to_dict(self) -> dict[str, Any]:
        """As the API has it."""
        if self.type != "limited":
            return {"type": self.type}
        return {
            "type": "limited",
            "allowed_hosts": _plain(self.allowed_hosts),
            "allow_mcp_servers": self.allow_mcp_servers,
            "allow_package_managers": self.allow_package_managers,
        }


@dataclass(frozen=True, kw_only=True)
class PackagesConfig(Fields):
    """What is installed in the agent's container, as each package manager writes it ("pandas==2.2.3").

    >>> PackagesConfig(pip=["pandas"]).to_dict()
    {'pip': ['pandas']}
    """

    pip: Sequence[str] = ()
    npm: Sequence[str] = ()
    apt: Sequence[str] = ()
    cargo: Sequence[str] = ()
    gem: Sequence[str] = ()
    go: Sequence[str] = ()

    def to_dict(self) -> dict[str, list[str]]:
        """As the API has it; managers without packages are left out."""
        return {name: _plain(value) for name, value in vars(self).items() if value}


@dataclass(frozen=True, kw_only=True)
class HostedAgentConfig(Config):
    """How a HostedAgent works.

    `model` is a name, or the API's object `{"id": …, "effort": …, "speed": …}`. `tools` holds Python
    functions and names of built-in tools ("run_python", "read_file", …), which run here, and the API's
    own dicts (`{"type": "agent_toolset_20260401"}`, an `mcp_toolset`, a `custom` tool). For those that run
    here `policies` says "allow", "ask" or "deny" by the tool's name, and `working_dir` is where file tools
    and commands work. `mcp_servers`, `multiagent` and `resources` are as the API has them; `resources` may
    be DataFrames, figures, pictures and Paths too, or pairs of a name and one of these, which are uploaded
    and mounted in /workspace. `skills` are names, ids or the API's dicts, `memory_stores` and `vault_ids`
    names or ids; a memory store may be a dict `{"memory_store_id": …, "access": "read_only", "instructions":
    …}`. `title` (also `session_title`) is the sessions', `metadata` the agent's and the sessions': strings to
    strings.

    `packages` is a PackagesConfig or `{"pip": ["pandas"]}`. `networking` is a NetworkingConfig, the API's
    dict, or the word "unrestricted" or "limited". `budget` is the most that one session may cost at list
    price, in USD (or the API's object); a session at its budget stops.

    The agent is made once: a notebook's, by its `name`, and a version of it for each configuration.
    `agent_id` uses one that there is, by its id or name, at `agent_version` or its latest one, and as it is:
    model, system, tools, mcp_servers and skills that are given here count for these sessions alone.
    `environment_id` uses an environment that there is, by its id or name.

    The key comes from `api_key` or ANTHROPIC_API_KEY; `base_url` or ANTHROPIC_BASE_URL lead to another
    server with the same API. `console_url` is where that one shows a session, with `{session_id}` in it; the
    panel leads there. `timeout` is of one request, in seconds; None leaves it to the SDK (ten minutes). A
    turn whose connection is lost is taken up again for `reconnect_seconds`, counted from the last time that
    the server answered. `output` is the type of all answers, as `Backend.begin` has it, unless a turn has its
    own.

    Raises ConfigError, naming the field and what it takes, for what the API would reject and for a field that
    there is not.

    >>> config = HostedAgentConfig(model={"id": "claude-sonnet-4-6", "effort": "high"}, budget=2.5)
    >>> config.model_name, config.session_params()["budget"]["max_list_cost"]["amount"]
    ('claude-sonnet-4-6', '250')
    >>> HostedAgentConfig(modle="claude-sonnet-4-6")
    Traceback (most recent call last):
    praison_nb.errors.ConfigError: No such field: modle: did you mean 'model'?
    """

    name: str = "agent"
    model: str | Mapping[str, Any] = "claude-sonnet-4-6"
    system: str = "You are a helpful assistant."
    description: str = ""
    tools: Sequence[Callable[..., Any] | str | Mapping[str, Any]] = ({"type": AGENT_TOOLSET},)
    policies: Mapping[str, str] = field(default_factory=dict)
    working_dir: str = ""
    # What may hold somebody's token is kept out of the repr.
    mcp_servers: Sequence[Mapping[str, Any]] = field(default=(), repr=False)
    skills: Sequence[str | Mapping[str, Any]] = ()
    multiagent: Mapping[str, Any] | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    agent_id: str = ""
    agent_version: int | None = None
    env_name: str = "praison_nb"
    environment_id: str = ""
    packages: PackagesConfig | Mapping[str, Sequence[str]] | None = None
    networking: NetworkingConfig | Mapping[str, Any] | str = "unrestricted"
    title: str = ""
    session_title: str = "praison_nb session"
    resources: Sequence[Any] = field(default=(), repr=False)
    memory_stores: Sequence[str | Mapping[str, Any]] = ()
    vault_ids: Sequence[str] = ()
    budget: float | Decimal | Mapping[str, Any] | None = None
    api_key: str | None = field(default=None, repr=False)
    base_url: str | None = field(default=None, repr=False)
    console_url: str = ""
    timeout: float | None = None
    reconnect_seconds: float = 300.0
    output: Any = None

    _of_others = " What runs elsewhere has a permission_policy in its toolset."

    def __post_init__(self) -> None:
        super().__post_init__()
        budget_dict(self.budget)

    def _checked(self, local_tools: Iterable[str]) -> tuple[Any, dict[str, Any]]:
        from .validate import HostedSettings

        resources = self.resources
        if isinstance(resources, Sequence) and not isinstance(resources, str | bytes):
            resources = check_resources(resources)
        given = {
            "resources": resources,
            "tools": self.api_tools,
            "networking": self.networking_dict,
            "packages": self.packages_dict,
        }
        return HostedSettings, {**vars(self), **given}

    @property
    def model_name(self) -> str:
        """The model's name alone."""
        return self.model if isinstance(self.model, str) else str(self.model["id"])

    @property
    def local_tools(self) -> list[Callable[..., Any] | str]:
        """Those of `tools` that run here."""
        if isinstance(self.tools, str | bytes | Mapping) or not isinstance(self.tools, Sequence):
            raise ConfigError(f"tools must be a list, not {type(self.tools).__name__}.")
        return [tool for tool in self.tools if _runs_here(tool)]

    @property
    def api_tools(self) -> list[dict[str, Any]]:
        """All tools as the API has them, those that run here as custom tools."""
        return self.tools_for(self.output)

    def tools_for(self, output: AnswerType | None) -> list[dict[str, Any]]:
        """The tools as the API has them, with the one that gives an answer of this type."""
        local = iter(resolve(self.local_tools).values())
        tools = [custom_tool(next(local)) if _runs_here(tool) else _plain(tool) for tool in self.tools]
        if output is not None and self.has_room_for_answers:
            tools.append(answer_tool(output))
        return tools

    @property
    def declares_answers(self) -> bool:
        """Whether sessions are given the tool for typed answers: not where its name is taken, nor where the
        tools are those of somebody's agent."""
        has_own = not self.agent_id or _plain(self.tools) != _plain(type(self).tools)
        return has_own and self.has_room_for_answers

    @property
    def has_room_for_answers(self) -> bool:
        """Whether no tool has the name of the one for typed answers."""
        return all(tool.get("name") != ANSWER_TOOL for tool in self.tools_for(None))

    @property
    def networking_dict(self) -> dict[str, Any]:
        """`networking` as the API has it."""
        if isinstance(self.networking, str):
            return {"type": self.networking}
        networking = self.networking
        return networking.to_dict() if isinstance(networking, NetworkingConfig) else _plain(networking)

    @property
    def packages_dict(self) -> dict[str, Any]:
        """`packages` as the API has them."""
        packages = self.packages or {}
        return packages.to_dict() if isinstance(packages, PackagesConfig) else _plain(packages)

    @property
    def memory_resources(self) -> list[dict[str, Any]]:
        """`memory_stores` as a session's resources."""
        dicts = [{"memory_store_id": each} if isinstance(each, str) else each for each in self.memory_stores]
        return [{"type": "memory_store", **each} for each in dicts]

    def agent_params(self) -> dict[str, Any]:
        """The parameters that create the agent; what is empty is left out."""
        params = {
            "name": self.name,
            "model": self.model if isinstance(self.model, str) else dict(self.model),
            "system": self.system,
            "description": self.description,
            "tools": self.api_tools,
            "mcp_servers": [dict(server) for server in self.mcp_servers],
            "skills": [_plain(skill) for skill in self.skills],
            "multiagent": dict(self.multiagent) if self.multiagent else None,
            "metadata": dict(self.metadata),
        }
        return {key: value for key, value in params.items() if value}

    def overrides(self) -> dict[str, Any]:
        """What is given here of the agent that `agent_id` names, as a session takes it; {} without one."""
        if not self.agent_id:
            return {}
        params = self.agent_params()
        return {
            name: params.get(name, None if name == "system" else [])
            for name, default in ((each.name, each.default) for each in fields(self))
            if name in OVERRIDABLE and _plain(getattr(self, name)) != _plain(default)
        }

    def environment_params(self) -> dict[str, Any]:
        """The parameters that create the environment."""
        config = {"type": "cloud", "networking": self.networking_dict}
        if packages := self.packages_dict:
            config["packages"] = packages
        return {"name": self.env_name, "config": config}

    def session_params(self) -> dict[str, Any]:
        """The parameters that create a session, but for its agent and environment."""
        params = {
            "title": self.title or self.session_title,
            "vault_ids": list(self.vault_ids),
            "budget": budget_dict(self.budget),
        }
        return {key: value for key, value in params.items() if value}


OVERRIDABLE = ("model", "system", "tools", "mcp_servers", "skills")
"""What a session may have otherwise than its agent."""
AGENT_FIELDS = frozenset(
    ("name", "model", "system", "description", "tools", "mcp_servers", "skills", "multiagent", "metadata")
)


def names_of(tools: Iterable[Any]) -> frozenset[str]:
    """The names of those of the tools that run here."""
    return frozenset(
        tool if isinstance(tool, str) else getattr(tool, "__name__", "") for tool in tools if _runs_here(tool)
    )


def _plain(value: Any) -> Any:
    """A mapping as a dict, a sequence as a list; what is neither is not what the API takes."""
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


def _runs_here(tool: Any) -> TypeGuard[Callable[..., Any] | str]:
    return callable(tool) or isinstance(tool, str)


def custom_tool(tool: Tool) -> dict[str, Any]:
    """A tool that runs here as the API's custom tool."""
    return {
        "type": "custom",
        "name": tool.name,
        "description": tool.description or f"The Python function {tool.name}.",
        "input_schema": tool.schema,
    }
