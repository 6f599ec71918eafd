"""The batches of Anthropic and of OpenAI: made, looked for, waited for and read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar, Protocol

from .client import client_of
from .providers import Server
from .transport import address_of

JSON = dict[str, Any]
Results = dict[str, tuple[JSON | None, Any]]
"""By the requests' ids: the answer, or None and the error, as the server has it or as a line."""
CLOCK_SECONDS = 300.0
"""A server's clock may differ by so much."""
PROVIDERS = ("anthropic", "openai")
"""Whose servers have batches."""
MARK = "praison_nb"
FIND_SECONDS = 5.0
"""Between two looks at a batch that may be ours."""


class Api(Protocol):
    """One provider's."""

    most_requests: ClassVar[int]
    most_bytes: ClassVar[int]

    async def create(self, mark: str, bodies: Mapping[str, JSON]) -> str:
        """Send the bodies, by the requests' ids, as one batch, and return its id."""
        ...

    async def find(self, mark: str, at: float, ids: set[str], known: set[str]) -> str:
        """The id of the batch with this mark, or with these requests, that was sent `at` (seconds since 1970)
        or a little later, "" where there is none. `known` are ids of others."""
        ...

    async def has_ended(self, batch: str) -> tuple[bool, str]:
        """Whether nothing more comes of it, and why it has no answers, "" where it has."""
        ...

    async def results(self, batch: str) -> Results:
        """What came of it."""
        ...


class Anthropic:
    """Message Batches."""

    most_requests: ClassVar[int] = 100_000
    most_bytes: ClassVar[int] = 250_000_000

    def __init__(self, server: Server) -> None:
        self._server, self._client = server, client_of(server)

    def _url(self, path: str = "") -> str:
        return address_of(self._server, "messages/batches") + path

    async def _get(self, path: str, **params: Any) -> JSON:
        client: Any = self._client
        made: JSON = await client.get(self._url(path), cast_to=object, options={"params": params})
        return made

    async def create(self, mark: str, bodies: Mapping[str, JSON]) -> str:
        """See Api. It takes no mark."""
        client: Any = self._client
        requests = [{"custom_id": each, "params": body} for each, body in bodies.items()]
        made = await client.post(self._url(), cast_to=object, body={"requests": requests})
        return str(made["id"])

    async def find(self, mark: str, at: float, ids: set[str], known: set[str]) -> str:
        """See Api. What is in a batch is seen when it has ended: one of the same time and size is waited
        for."""
        after = ""
        while True:
            page = await self._get("", limit=100, **({"after_id": after} if after else {}))
            for each in page["data"]:
                created = datetime.fromisoformat(each["created_at"]).timestamp()
                if created < at - CLOCK_SECONDS:
                    return ""
                if each["id"] in known or sum(each["request_counts"].values()) != len(ids):
                    continue
                while not (await self.has_ended(each["id"]))[0]:  # noqa: ASYNC110  (it is the server's)
                    await asyncio.sleep(FIND_SECONDS)
                if set(await self.results(each["id"])) == ids:
                    return str(each["id"])
            if not page.get("has_more"):
                return ""
            after = page["last_id"]

    async def has_ended(self, batch: str) -> tuple[bool, str]:
        """See Api."""
        return (await self._get(f"/{batch}"))["processing_status"] == "ended", ""

    async def results(self, batch: str) -> Results:
        """See Api."""
        client: Any = self._client
        answer = await client.get(
            self._url(f"/{batch}/results"),
            cast_to=object,
            options={"headers": {"X-Stainless-Raw-Response": "true"}},
        )
        found: Results = {}
        for line in _lines(answer.http_response.text):
            result = line["result"]
            match result["type"]:
                case "succeeded":
                    found[line["custom_id"]] = result["message"], None
                case "errored":
                    found[line["custom_id"]] = None, result["error"]
                case kind:
                    found[line["custom_id"]] = None, f"It was {kind} in the batch {batch}: map again."
        return found


class OpenAI:
    """Batch."""

    most_requests: ClassVar[int] = 50_000
    most_bytes: ClassVar[int] = 195_000_000

    def __init__(self, server: Server) -> None:
        self._server = server
        self._client: Any = client_of(server)
        self._endpoint = "/v1/responses" if server.wire == "responses" else "/v1/chat/completions"

    async def create(self, mark: str, bodies: Mapping[str, JSON]) -> str:
        """See Api."""
        lines = (
            {"custom_id": each, "method": "POST", "url": self._endpoint, "body": body}
            for each, body in bodies.items()
        )
        data = "".join(f"{json.dumps(line)}\n" for line in lines).encode()
        file = await self._client.files.create(file=(f"{mark}.jsonl", data), purpose="batch")
        made = await self._client.batches.create(
            input_file_id=file.id,
            endpoint=self._endpoint,
            completion_window="24h",
            metadata={MARK: mark},
        )
        return str(made.id)

    async def find(self, mark: str, at: float, ids: set[str], known: set[str]) -> str:
        """See Api."""
        async for each in self._client.batches.list(limit=100):
            if each.created_at < at - CLOCK_SECONDS:
                break
            if (each.metadata or {}).get(MARK) == mark:
                return str(each.id)
        return ""

    async def has_ended(self, batch: str) -> tuple[bool, str]:
        """See Api."""
        now = await self._client.batches.retrieve(batch)
        why = ""
        if now.status == "failed":
            reported = [each.message or "" for each in (now.errors and now.errors.data) or []]
            why = f"The batch {batch} was refused: {'; '.join(reported[:3])}"
        elif now.status in ("expired", "cancelled"):
            why = f"It was {now.status} in the batch {batch}: map again."
        return now.status in ("failed", "completed", "expired", "cancelled"), why

    async def results(self, batch: str) -> Results:
        """See Api."""
        now = await self._client.batches.retrieve(batch)
        found: Results = {}
        for file in (now.output_file_id, now.error_file_id):
            if not file:
                continue
            for line in _lines((await self._client.files.content(file)).text):
                response = line.get("response") or {}
                if response.get("status_code") == 200:
                    found[line["custom_id"]] = response["body"], None
                else:
                    reported = line.get("error") or (response.get("body") or {}).get("error")
                    found[line["custom_id"]] = None, {"error": reported}
        return found


def _lines(text: str) -> Iterable[JSON]:
    return (json.loads(line) for line in text.split("\n") if line.strip())


def api_of(server: Server) -> Api:
    """The server's."""
    return Anthropic(server) if server.wire == "messages" else OpenAI(server)
