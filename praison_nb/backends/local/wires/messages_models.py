"""How Claude models differ in what a request may ask of them: thinking, effort, forced calls, lengths.

https://platform.claude.com/docs/en/build-with-claude/thinking and …/effort have the facts. A model that is
not in the table is asked as most of today's are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ....errors import ConfigError
from .base import Effort


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What a model takes.

    - `thinks`: without being asked to.
    - `off`: the type of `thinking` that turns it off, "" where nothing does.
    - `forced`: whether it can be made to call a tool.
    - `binds`: it refuses thinking whose past has changed since.
    - `budgets`: it takes a number of tokens in place of an effort, and then begins every reply by thinking.
    - `xhigh`: what its highest useful effort is named.
    - `longest`: tokens of the longest answer that is asked for, its thinking included. Most could do 128,000;
      that much of the context would have to be free.
    """

    thinks: bool = False
    off: str = "disabled"
    forced: bool = True
    binds: bool = False
    budgets: bool = False
    xhigh: str = "xhigh"
    longest: int = 64_000


_MODELS: tuple[tuple[str, Model], ...] = (
    (r"(fable|mythos)-5[-.]\d(?!\d)|opus-5[-.]5", Model(thinks=True, off="", forced=False, binds=True)),
    (r"sonnet-5[-.]5", Model(thinks=True, off="between_tools", forced=False, binds=True)),
    (r"fable|mythos", Model(thinks=True, off="")),
    (r"(opus|sonnet|haiku)-5", Model(thinks=True)),
    (r"(opus|sonnet)-4[-.]6", Model(xhigh="max")),
    (r"opus-4[-.][78]", Model()),
    (r"claude-3[-.]5", Model(longest=8192)),
    (r"claude-3-(haiku|opus|sonnet)", Model(longest=4096)),
    (r"opus-4(?![-.]5)", Model(budgets=True, longest=32_000)),
    (r"(opus|sonnet|haiku)-4|claude-(3|4)", Model(budgets=True)),
    # What may come. The last one is of models that are not Anthropic's: their context may be small.
    (r"claude", Model(binds=True)),
    (r"", Model(longest=8192)),
)
_BUDGETS = {"low": 2048, "medium": 8192, "high": 16_384, "xhigh": 24_576}
# Today's models leave the text of their thinking out unless they are asked for it. It costs the same, and
# whoever waits sees that something happens.
_ADAPTIVE = {"type": "adaptive", "display": "summarized"}


def model_of(name: str) -> Model:
    """What is known of the model.

    >>> model_of("claude-sonnet-4-6").xhigh, model_of("claude-fable-5-20260609").forced
    ('max', True)
    """
    return next(model for pattern, model in _MODELS if re.search(pattern, name))


def thinking(name: str, effort: Effort, *, forced: bool, mid_turn: bool) -> dict[str, Any]:
    """The fields of the request for `effort`. A call can be `forced` only of a model that does not think.
    `mid_turn`: the model goes on from calls that it made without thinking. Raises ConfigError.

    >>> thinking("claude-opus-4-8", "high", forced=False, mid_turn=False)["output_config"]
    {'effort': 'high'}
    """
    model = model_of(name)
    if forced and not model.forced:
        raise ConfigError(f'{name} cannot be made to call a tool: leave tool_choice at "auto".')
    if effort == "none" and not model.off:
        raise ConfigError(f"{name} always thinks: effort must be low, medium, high or xhigh, not none.")
    if effort == "none" or forced:
        asked = effort or model.thinks
        return {"thinking": {"type": model.off}} if asked and model.off else {}
    if model.budgets:
        budget = {"type": "enabled", "budget_tokens": _BUDGETS[effort]} if effort else None
        return {"thinking": budget} if budget and not mid_turn else {}
    if not effort:
        return {"thinking": _ADAPTIVE} if model.thinks else {}
    return {"thinking": _ADAPTIVE, "output_config": {"effort": model.xhigh if effort == "xhigh" else effort}}
