"""A turn whose answer is to have a type: the text is parsed, and asked for once more where it does not fit.

>>> from praison_nb import ScriptedBackend
>>> from praison_nb.events import TextDelta
>>> ScriptedBackend([TextDelta(text='{"value": 42}')]).begin("How many?", output=int).wait().value
42
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, cast

from ..answer_type import Answer, AnswerType
from ..errors import InvalidAnswerError
from ..events import AnswerParsed, Event, Notice, TurnFailed, TurnFinished
from ..runtime.run import Run
from ..turn import Message, Turn
from .session import Session

TypedPrompt = Callable[[str, AnswerType, Session], str]
Events = Callable[[str, Session, Run], AsyncIterator[Event]]


def in_words(prompt: str, output: AnswerType) -> str:
    """The prompt for an agent that learns of the type by nothing else.

    >>> print(in_words("How many?", AnswerType(int)).splitlines()[-1])
    {"type": "object", "properties": {"value": {"type": "integer"}}, "required": ["value"]}
    """
    schema = json.dumps(output.schema, ensure_ascii=False)
    request = f"Answer with JSON alone that follows this schema:\n{schema}"
    return prompt if prompt.endswith(request) else f"{prompt}\n\n{request}"


async def typed_events(
    prompt: str, session: Session, run: Run, events: Events, typed_prompt: TypedPrompt
) -> AsyncIterator[Event]:
    """The events of the turn, and before its end AnswerParsed, or the error after two tries. The first one
    has the `typed_prompt` of the backend, which asks for `run.output` in its own way; the second asks in
    words: a server may take no notice of any other."""
    output = cast(AnswerType, run.output)
    for is_last in (False, True):
        before, problem = len(run.turn.items), None
        asked = in_words(prompt, output) if is_last else typed_prompt(prompt, output, session)
        async with aclosing(_with_end(events(asked, session, run))) as stream:
            async for event in stream:
                if not isinstance(event, TurnFinished) or run.turn.ended is not None:
                    yield event
                    continue
                found = _answer(event, output, run.turn, before)
                if isinstance(found, Answer):
                    yield AnswerParsed(answer=found)
                elif found is not None:
                    problem = found
                    # With the same limit it would be cut off again.
                    if is_last or event.stop_reason == "max_tokens":
                        yield TurnFailed(error=found)
                        continue
                    yield Notice(text=f"{_sentence(found)} It was asked once more.")
                    if session.settles_late:
                        # The next try has it in its count.
                        break
                    continue
                yield event
        if problem is None or run.turn.ended is not None:
            return
        if len(run.turn.items) > before:
            # What was sent is in the conversation.
            run.attachments = ()
            prompt = f"{_sentence(problem)} Answer again, with JSON that fits and nothing else."


async def _with_end(events: AsyncIterator[Event]) -> Any:
    """The events, and the end that some leave to us."""
    has_ended = False
    async with aclosing(cast(Any, events)) as stream:
        async for event in stream:
            has_ended = has_ended or isinstance(event, TurnFinished | TurnFailed)
            yield event
    if not has_ended:
        yield TurnFinished()


def _answer(
    end: TurnFinished, output: AnswerType, turn: Turn, before: int
) -> Answer | InvalidAnswerError | None:
    """The answer, or why there is none; nothing for a turn that was ended before it was to answer."""
    if end.stop_reason not in ("end_turn", "max_tokens"):
        return None
    texts = [item.text for item in turn.items[before:] if isinstance(item, Message) and item.text.strip()]
    try:
        return output.parse(texts[-1] if texts else "")
    except InvalidAnswerError as problem:
        if end.stop_reason == "max_tokens":
            return InvalidAnswerError(f"The answer was cut off before it was a whole {output.name}.")
        return problem


def _sentence(problem: InvalidAnswerError) -> str:
    return f"{str(problem).removesuffix('.')}."
