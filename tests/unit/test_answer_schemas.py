"""Random types of answers: their schemas are what servers take, and their values come back as they were."""

from __future__ import annotations

import json
import random
from typing import Any

import jsonschema
import pytest

from praison_nb.answer_type import AnswerType
from praison_nb.backends.local.wires.schemas import plain_schema, strict_schema
from servers.answer_kinds import made
from servers.chat_rules import refusal
from servers.format_rules import anthropic_refusal, openai_refusal


def as_object(output: AnswerType, value: Any) -> Any:
    """The JSON that a model gives for the value."""
    data = output.adapter.dump_python(value, mode="json")
    return {"value": data} if output.is_wrapped else data


@pytest.mark.parametrize("seeds", [range(30), pytest.param(range(30, 200), marks=pytest.mark.slow)], ids=str)
def test_all_ways_and_back(seeds: range) -> None:
    for seed in seeds:
        chance = random.Random(seed)
        kind, value_of = made(chance)
        output = AnswerType(kind)
        jsonschema.Draft202012Validator.check_schema(output.schema)
        strict = strict_schema(output.schema)
        if strict is not None:
            assert openai_refusal("x", strict) is None, (seed, strict)
            assert "Circular" in (anthropic_refusal(strict) or "Circular"), (seed, strict)
        plain = plain_schema(output.schema)
        tool = {"type": "function", "function": {"name": "answer", "parameters": plain}}
        body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "tools": [tool]}
        assert refusal(body, "gemini") is None, (seed, plain)
        validators = [jsonschema.Draft202012Validator(each) for each in (output.schema, strict) if each]
        for _ in range(3):
            value = value_of(chance)
            data = as_object(output, value)
            # What the strict one has to leave out of the whole one it never contradicts.
            for validator in validators:
                validator.validate(data)
            text = json.dumps(data, ensure_ascii=chance.random() < 0.5)
            for each in (text, f"```json\n{text}\n```", f"Here it is: {text} That is all."):
                answer = output.parse(each)
                assert answer.value == value, (seed, each)
            json.dumps(answer.data, allow_nan=False)
            assert output.load(json.loads(json.dumps(answer.data))).value == value, (seed, text)
        assert len(answer.frame) == len(answer.records)
