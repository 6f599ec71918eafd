"""A conversation over one wire, request by request, as the loop of a LocalAgent makes them: for tests of what
a wire sends and reads, with nothing else between it and the server.

    talk = Talk("messages", server.base_url, "claude-opus-4-8", tools=[Tool.of(add)])
    reply = talk.ask("Add them.")
    talk.run_tools()
    reply = talk.ask()
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx2

from praison_nb.backends.local.wires import ModelRequest, Rules, wire
from praison_nb.backends.local.wires.reply import Reply
from praison_nb.history import Call, Item, Result, User, from_json, to_json

RULES = Rules(ids="[A-Za-z0-9_-]{1,64}", assistant_after_tool=False, plain_schemas=False)


class Refused(Exception):
    """The server did not answer with 200."""


class Talk:
    """One conversation. `fields` are those of ModelRequest; `history` grows with each reply."""

    def __init__(self, name: str, base_url: str, model: str, key: str = "test-key", **fields: Any) -> None:
        self.wire, self.base_url, self.key = wire(name), base_url, key
        self.history: list[Item] = []
        self.fields: dict[str, Any] = {
            "origin": f"provider/{model}",
            "rules": RULES,
            **fields,
            "model": model,
        }

    def ask(self, prompt: str | None = None, **fields: Any) -> Reply:
        """One request, and the whole reply. Raises Refused."""
        if prompt is not None:
            self.history.append(User(text=prompt))
        asked = ModelRequest(**{**self.fields, **fields, "history": tuple(self.history)})
        reader = self.wire.reader(asked)
        for event in self._events(self.wire.request(asked)):
            list(reader.read(event))
        list(reader.end())
        self.history += reader.reply.items
        return reader.reply

    def run_tools(self, result: Callable[[Call], str] = lambda call: f"{call.name} did it") -> None:
        """A result for each call that has none."""
        done = {item.call_id for item in self.history if isinstance(item, Result)}
        calls = [item for item in self.history if isinstance(item, Call) and item.id not in done]
        self.history += [Result(call_id=call.id, text=result(call)) for call in calls]

    def restart(self) -> None:
        """The history as a new kernel has it from the store."""
        rows = json.loads(json.dumps([to_json(item) for item in self.history]))
        self.history = [item for row in rows for item in from_json(row)]

    def _events(self, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        headers = {"authorization": f"Bearer {self.key}", "anthropic-version": "2023-06-01"}
        url, body = f"{self.base_url}/{self.wire.path}", {**body, "stream": True}
        with (
            # Without TLS, whose certificates take 40 ms to read.
            httpx2.Client(trust_env=False, verify=False, timeout=120) as client,
            client.stream("POST", url, json=body, headers=headers) as response,
        ):
            if response.status_code != 200:
                raise Refused(response.read().decode())
            for line in response.iter_lines():
                if line.startswith("data: {"):
                    yield json.loads(line.removeprefix("data: "))
