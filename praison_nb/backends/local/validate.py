"""What the fields of a LocalAgentConfig may hold. To be imported when there is something to check."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field, model_validator

from ...text import did_you_mean
from ..validation import Address, Filled, Seconds, Text
from .providers import PROVIDERS
from .rules import WireName
from .wires.base import Effort


def _is_known(provider: str) -> str:
    if provider and provider not in PROVIDERS:
        hint = did_you_mean(provider, PROVIDERS)
        raise ValueError(f"provider must be one of {', '.join(PROVIDERS)}, not {provider!r:.60}{hint}")
    return provider


class LocalSettings(BaseModel):
    """The fields; `tools` are the names of the tools."""

    name: Text
    model: Filled
    system: Text
    tools: list[str]
    tool_choice: Text
    max_turns: Annotated[int, Field(strict=True, ge=1)]
    metadata: dict[str, Any]
    session_title: Text
    api_key: Text | None
    base_url: Address | None
    api_base: Address | None
    provider: Annotated[Text, AfterValidator(_is_known)]
    wire: WireName | None
    effort: Effort
    timeout: Seconds | None
    asks_stopped_cost: Annotated[bool, Field(strict=True)]
    options: dict[str, Any]

    @model_validator(mode="after")
    def _chooses_a_tool(self) -> LocalSettings:
        known = ["auto", "required", "none", *self.tools]
        if self.tool_choice not in known:
            hint = did_you_mean(self.tool_choice, known)
            names = ", ".join(known)
            raise ValueError(f"tool_choice must be one of {names}, not {self.tool_choice!r:.60}{hint}")
        return self
