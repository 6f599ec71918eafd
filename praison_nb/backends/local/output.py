"""How a model is asked for a typed answer: by the format of its wire, else by a tool that it must call, else
in words. Where a server refuses one way, the next one is taken, for all later turns like this one too."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal

from ...answer_type import AnswerType
from ...errors import PraisonError, RequestRejectedError
from ...events import Event
from ...history import User
from ...tools.tool import Tool
from ..typed import in_words
from .config import LocalAgentConfig
from .providers import Server
from .wires import ModelRequest, OutputFormat
from .wires.messages_models import model_of
from .wires.reply import Reply, TextParts
from .wires.schemas import strict_schema

Way = Literal["format", "tool", "words"]
_ABOUT_OUTPUT = re.compile(
    r"response.?(format|mime|schema)|json.?schema|output.?(config|format)|text\.format|structured|\bschema\b"
    r"|tool.?choice|thinking may not",
    re.I,
)
_ABOUT_TOOLS = re.compile(r"\b(tool|function)", re.I)
_ABOUT_SCHEMA = re.compile(r"\bschema\b", re.I)
_FORMATS = {"responses": "text", "messages": "output_config"}
_refused: dict[tuple[Any, ...], set[Way]] = {}
"""By what was asked: the ways that a server of this process refused."""


class Output:
    """The typed answer of one turn: `output` is asked of `server`, by an agent with `tools`, as its `config`
    says."""

    def __init__(
        self, output: AnswerType, server: Server, tools: Mapping[str, Tool], config: LocalAgentConfig
    ) -> None:
        self._output, self._server, self._config = output, server, config
        self._tool_name = "answer" if "answer" not in tools else "give_the_answer"
        self._strict = strict_schema(output.schema)
        # Some take no format beside tools, and some not every schema.
        asked = (server.wire, server.base_url, server.model, bool(tools))
        self._refused = _refused.setdefault(asked, set())
        self._refused_schema = _refused.setdefault((*asked, json.dumps(output.schema)), set())
        self._has_tools = bool(tools)
        self._way: Way = "words"
        """Of the last request: what others are refused meanwhile is not its own refusal."""

    @property
    def way(self) -> Way:
        """How it is asked for now."""
        refused = self._refused | self._refused_schema
        return next((each for each in self._ways() if each not in refused), "words")

    def _ways(self) -> Iterator[Way]:
        wire, options = self._server.wire, self._config.options
        if _has_format(options, wire):
            return
        if wire != "messages" or self._strict is not None:
            yield "format"
        # Whoever thinks can seldom be made to call a tool.
        is_thinking = self._config.effort not in ("", "none") or "thinking" in options
        can_be_forced = not is_thinking and (wire != "messages" or model_of(self._server.model).forced)
        if self._server.rules.native_tools and can_be_forced:
            yield "tool"

    def applied(self, asked: ModelRequest) -> ModelRequest:
        """The request that asks for the answer."""
        self._way = self.way
        match self._way:
            case "format":
                schema = self._output.schema if self._strict is None else self._strict
                form = OutputFormat(self._output.identifier, schema, strict=self._strict is not None)
                return replace(asked, output=form)
            case "tool":
                choice = "required" if asked.tools else self._tool_name
                return replace(asked, tools=[*asked.tools, self._tool()], tool_choice=choice)
        # Where the user's own words are last: results of tools come behind them.
        places = [place for place, item in enumerate(asked.history) if isinstance(item, User)]
        history = list(asked.history)
        if places:
            last = history[places[-1]]
            assert isinstance(last, User)
            history[places[-1]] = replace(last, text=in_words(last.text, self._output))
        return replace(asked, history=history)

    def _tool(self) -> Tool:
        about = f"Give the answer, as a {self._output.name}. Call it alone, and last."
        return Tool(self._tool_name, about, self._output.schema, json.dumps)

    def answer_by_tool(self, reply: Reply) -> Iterator[Event]:
        """Make the call that gives the answer its text. Beside other calls it came too early, and is left
        out."""
        given = [call for call in reply.calls if call.name == self._tool_name]
        if not given or self._way != "tool":
            return
        others = [call for call in reply.calls if call not in given]
        for call in given:
            reply.drop_call(call)
        if not others:
            # What was said besides is not the answer, and what was thought led to a call.
            reply.drop_calls()
            yield from reply.add_text(given[-1].call.arguments, TextParts())

    def is_refused(self, problem: PraisonError | None) -> bool:
        """Whether the server refused the way, so that there is another now."""
        way, reason = self._way, str(problem)
        if way == "words" or not isinstance(problem, RequestRejectedError):
            return False
        is_about_tool = way == "tool" and not self._has_tools and _ABOUT_TOOLS.search(reason)
        if not is_about_tool and not _ABOUT_OUTPUT.search(reason):
            return False
        (self._refused_schema if _ABOUT_SCHEMA.search(reason) else self._refused).add(way)
        return True


def _has_format(options: Mapping[str, Any], wire: str) -> bool:
    """Whether the user asks for a format of their own, which wins."""
    if wire == "chat" or "response_format" in options:
        return "response_format" in options
    form = options.get(_FORMATS[wire])
    return isinstance(form, Mapping) and "format" in form
