"""How a LocalAgent works."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..config_base import Config
from .declared import asking, declared
from .providers import is_embedded

SMALL_MODELS_TOKENS = 1000
"""So long an answer of the small embedded model may be, unless `options` has another `max_tokens`: it may
repeat itself until its context is full, which takes minutes."""


@dataclass(frozen=True, kw_only=True)
class LocalAgentConfig(Config):
    """How a LocalAgent works.

    `model` names the server too: by its provider's prefix, such as "mistral/…" or "ollama/…", or by a name
    that says whose it is, such as "gpt-5.6-terra" or "claude-sonnet-5-5"; "embedded" is a small model in a
    process of ours, "gguf:PATH" your own GGUF file, "hf:OWNER/REPO" one of the Hugging Face Hub. `base_url`
    (or `api_base`) is another server, which gets the name whole and speaks `wire`: "chat" (completions),
    "responses" or "messages"; `provider` says whose it is: its rules, its key, its prices. Nobody's without.
    Keys come from the provider's variable or `api_key`; they and addresses, which may hold a password, are
    never shown, and neither is what is secret in `options["extra_headers"]`.

    `tools` are Python functions, and names of built-in tools: "run_python", "inspect", "read_file",
    "write_file", "list_files", "execute_command". A dict as hosted agents have it will do too: a `custom`
    tool, which the agent's `on_custom_tool` answers, or a toolset, of which bash, read, write and glob are
    those built-in ones. `policies` says of a tool, by its name, whether it is to
    "allow", "ask" or "deny"; without a word functions are allowed, and of ours those ask that change
    something. `tool_choice` is "auto", "required" or a tool's name, for the first request of each turn.
    `max_turns` bounds the requests of one turn. `timeout` is for how many seconds nothing new of an answer
    may come, 600 without it; connecting has ten of its own. `effort` is how long the model thinks before it
    answers: "none", "low", "medium", "high" or "xhigh", as far as the provider has that; "" leaves it to the
    provider. With `asks_stopped_cost` OpenRouter is asked what a request cost that was stopped; else that is
    estimated. `options` goes into each request as it is (temperature, seed, max_tokens, …). `working_dir` is
    where file tools and commands work and where a relative "gguf:" path begins. `metadata` is yours: it is
    kept and never sent. A local session has no title, so `session_title` is only kept. `output` is the type
    of all answers, as `Backend.begin` has it, unless a turn has its own.

    Raises ConfigError, naming the field and what it takes, for what cannot work and for a field that there is
    not.

    >>> config = LocalAgentConfig(model="ollama/llama3.2", tools=["read_file"], options={"temperature": 0})
    >>> config
    LocalAgentConfig(name='agent', model='ollama/llama3.2', ..., options={'temperature': 0}, output=None)
    >>> LocalAgentConfig(max_turns=0)
    Traceback (most recent call last):
    praison_nb.errors.ConfigError: max_turns must be a number from 1, not 0.
    """

    name: str = "agent"
    model: str = "gpt-4o-mini"
    system: str = ""
    tools: Sequence[Callable[..., Any] | str | Mapping[str, Any]] = ()
    policies: Mapping[str, str] = field(default_factory=dict)
    tool_choice: str = "auto"
    max_turns: int = 25
    metadata: Mapping[str, Any] = field(default_factory=dict)
    working_dir: str = ""
    session_title: str = ""
    api_key: str | None = field(default=None, repr=False)
    base_url: str | None = field(default=None, repr=False)
    api_base: str | None = field(default=None, repr=False)
    provider: str = ""
    wire: str = ""
    effort: str = ""
    timeout: float | None = None
    asks_stopped_cost: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    output: Any = None

    def __post_init__(self) -> None:
        if isinstance(self.policies, Mapping) and (asked := asking(self._listed)):
            object.__setattr__(self, "policies", {**asked, **self.policies})
        super().__post_init__()

    @property
    def local_tools(self) -> Any:
        """`tools` as they run here."""
        return declared(self.tools) if self._listed else self.tools

    @property
    def _listed(self) -> Collection[Any]:
        """`tools` where that is a list; what is none is refused when they are resolved."""
        is_list = isinstance(self.tools, Collection) and not isinstance(self.tools, str)
        return self.tools if is_list else ()

    @property
    def address(self) -> str | None:
        """`base_url`, by either of its names."""
        return self.base_url or self.api_base

    @property
    def runs_embedded(self) -> bool:
        """Whether the model runs in a process of ours."""
        return is_embedded(self.model) and not self.address and not self.provider

    @property
    def request_options(self) -> dict[str, Any]:
        """What goes into each request: `options`, and for the small model a limit on its repetitions."""
        is_small = self.runs_embedded and not self.model.startswith(("gguf:", "hf:"))
        return {**({"max_tokens": SMALL_MODELS_TOKENS} if is_small else {}), **self.options}

    @property
    def model_file(self) -> str:
        """`model`, a relative "gguf:" path taken from `working_dir`."""
        if not self.model.startswith("gguf:"):
            return self.model
        path = os.path.expanduser(self.model.removeprefix("gguf:"))
        return f"gguf:{os.path.join(self.working_dir or '', path)}"

    def _checked(self, local_tools: Iterable[str]) -> tuple[Any, dict[str, Any]]:
        from .validate import LocalSettings

        return LocalSettings, {**vars(self), "tools": list(local_tools), "wire": self.wire or None}
