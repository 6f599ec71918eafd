"""How a model is asked for a typed answer: by the format of its wire, else by a tool that it must call, else
in words. Where a server refuses one way, the next one is taken, for all later turns too."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Literal

from ...answer_type import AnswerType
from ...errors import PraisonError, RequestRejectedError
from ...events import Event
from ...history import User
from ...tools.tool import Tool
from ..typed import in_words
from .providers import Server
from .wires import ModelRequest, OutputFormat
from .wires.messages_models import model_of
from .wires.reply import Reply, TextParts
from .wires.schemas import strict_schema

Way = Literal["format", "tool", "words"]
_ABOUT_OUTPUT = re.compile(
    r"response_format|json_schema|output_config|output_format|text\.format|structured|schema|tool_choice",
    re.I,
)
_refused: dict[tuple[str, str], set[Way]] = {}
"""By wire and origin: the ways that a server of this process refused."""


class Output:
    """The typed answer of one turn: `output` is asked of `server`, by an agent with `tools`."""

    def __init__(self, output: AnswerType, server: Server, tools: Mapping[str, Tool]) -> None:
        self._output, self._server = output, server
        self._has_tools = bool(tools)
        self._tool_name = "answer" if "answer" not in tools else "give_the_answer"
        self._strict = strict_schema(output.schema)
        self._refused = _refused.setdefault((server.wire, server.origin), set())

    @property
    def way(self) -> Way:
        """How it is asked for now."""
        return next(each for each in (*self._ways(), "words") if each not in self._refused or each == "words")

    def _ways(self) -> Iterator[Way]:
        is_messages = self._server.wire == "messages"
        if not is_messages or self._strict is not None:
            yield "format"
        if self._server.rules.native_tools and (not is_messages or model_of(self._server.model).forced):
            yield "tool"

    def applied(self, asked: ModelRequest) -> ModelRequest:
        """The request that asks for the answer."""
        match self.way:
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
        if not given:
            return
        others = [call for call in reply.calls if call not in given]
        reply.parts = [part for part in reply.parts if part not in given]
        if not others:
            # What was said besides is not the answer, and what was thought led to a call.
            reply.drop_calls()
            yield from reply.add_text(given[-1].call.arguments, TextParts())

    def is_refused(self, problem: PraisonError | None) -> bool:
        """Whether the server refused the way, so that there is another now."""
        way = self.way
        if way == "words" or not isinstance(problem, RequestRejectedError):
            return False
        if not _ABOUT_OUTPUT.search(str(problem)):
            return False
        self._refused.add(way)
        return True
