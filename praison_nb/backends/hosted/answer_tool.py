"""The custom tool by which a hosted agent gives a typed answer: its arguments are the answer."""

from __future__ import annotations

from typing import Any

from ...answer_type import AnswerType

ANSWER_TOOL = "give_answer"
TAKEN = "The answer is taken. Say nothing more."
"""The tool's result: the session ends its turn."""


def answer_tool(output: AnswerType) -> dict[str, Any]:
    """The tool as the API has it.

    >>> answer_tool(AnswerType(int))["input_schema"]["required"]
    ['value']
    """
    return {
        "type": "custom",
        "name": ANSWER_TOOL,
        "description": f"Give the answer, as a {output.name}. Call it alone, once, when you know the answer.",
        "input_schema": output.schema,
    }


def with_request(prompt: str) -> str:
    """The prompt that wants its answer by the tool."""
    return f"{prompt}\n\nGive the answer by calling {ANSWER_TOOL}."
