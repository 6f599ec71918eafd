"""Stand-ins for Anthropic's Message Batches and OpenAI's Batch, which refuse what the real ones refuse.

    with AnthropicBatches() as server:
        server.is_done = True                   # else batches stay under way
        server.spoil = {1: "expired"}           # by the place of a request in its batch: or "errored"
        praison_nb.map(texts, "Label: {value}", agent=server.agent(), batch=True)
        server.batches                          # each as it was sent, by its id

Results come in another order than the requests. `held` keeps the answer to the creation of a batch back.
"""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email import message_from_bytes
from typing import Any

from aiohttp import web
from anthropic.types.messages import MessageBatch
from anthropic.types.messages.batch_create_params import BatchCreateParams as AnthropicCreate
from openai.types.responses import Response

from praison_nb import LocalAgent, LocalAgentConfig
from servers.base import Gate, LoopbackServer
from servers.hosted_types import check_request, check_response

JSON = dict[str, Any]


class BatchServer(LoopbackServer):
    """What both have."""

    model = provider = wire = ""
    prices = Decimal(0), Decimal(0)
    """USD per million tokens of input and output, in a batch."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: dict[str, JSON] = {}
        self.is_done = False
        self.spoil: dict[int, str] = {}
        self.held: Gate | None = None
        self.cost = Decimal(0)
        self.looks = 0

    def agent(self, **config: Any) -> LocalAgent:
        """An agent that asks this server."""
        settings = {"model": self.model, "base_url": f"{self.url}/v1", "provider": self.provider}
        return LocalAgent(LocalAgentConfig(**settings, wire=self.wire, api_key="test-key", **config))

    def answer(self, body: JSON) -> str:
        """The JSON of the answer, by the prompt's length."""
        last = body["messages"][-1]["content"]
        prompt = last if isinstance(last, str) else last[-1]["text"]
        return json.dumps({"value": "good" if len(prompt) % 2 else "bad"})

    def bill(self) -> tuple[int, int]:
        """The tokens of an answer, which are paid."""
        self.cost += (20 * self.prices[0] + 7 * self.prices[1]) / 1_000_000
        return 20, 7

    def refused(self, message: str) -> web.Response:
        return self.error(400, message, {})


class AnthropicBatches(BatchServer):
    model, provider, wire = "claude-haiku-4-5", "anthropic", "messages"
    prices = Decimal("0.5"), Decimal("2.5")

    def routes(self, router: web.UrlDispatcher) -> None:
        router.add_post("/v1/messages/batches", self._create)
        router.add_get("/v1/messages/batches", self._list)
        router.add_get("/v1/messages/batches/{id}", self._get)
        router.add_get("/v1/messages/batches/{id}/results", self._results)

    async def _create(self, request: web.Request) -> web.StreamResponse:
        requests = check_request(AnthropicCreate, await request.json())["requests"]
        ids = [each["custom_id"] for each in requests]
        if not ids or not all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", each) for each in ids):
            return self.refused("requests.0.custom_id: String should match pattern '^[a-zA-Z0-9_-]{1,64}$'")
        if len(set(ids)) < len(ids):
            return self.refused("requests: custom_id must be unique")
        if any(each["params"].get("stream") for each in requests):
            return self.refused("requests.0.params.stream: Input should be False")
        batch = f"msgbatch_{len(self.batches) + 1:04}"
        self.batches[batch] = {"requests": requests, "created": time.time()}
        if self.held is not None:
            await self.held.passed()
        return web.json_response(self._shown(batch))

    def _shown(self, batch: str) -> JSON:
        kept = self.batches[batch]
        created = datetime.fromtimestamp(kept["created"], UTC)
        count = len(kept["requests"])
        counts = dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0)
        counts["succeeded" if self.is_done else "processing"] = count
        shown = {
            "id": batch,
            "type": "message_batch",
            "archived_at": None,
            "cancel_initiated_at": None,
            "created_at": created.isoformat(),
            "ended_at": created.isoformat() if self.is_done else None,
            "expires_at": (created + timedelta(days=1)).isoformat(),
            "processing_status": "ended" if self.is_done else "in_progress",
            "request_counts": counts,
            "results_url": f"{self.url}/v1/messages/batches/{batch}/results" if self.is_done else None,
        }
        return check_response(MessageBatch, shown)

    async def _list(self, request: web.Request) -> web.Response:
        data = [self._shown(each) for each in reversed(self.batches)]
        ids = [each["id"] for each in data] or [None]
        return web.json_response({"data": data, "has_more": False, "first_id": ids[0], "last_id": ids[-1]})

    async def _get(self, request: web.Request) -> web.Response:
        self.looks += 1
        self.changed()
        return web.json_response(self._shown(request.match_info["id"]))

    async def _results(self, request: web.Request) -> web.Response:
        requests = self.batches[request.match_info["id"]]["requests"]
        lines = []
        for place, each in reversed([*enumerate(requests)]):
            result: JSON = {"type": self.spoil.get(place, "succeeded")}
            if result["type"] == "errored":
                error = {"type": "invalid_request_error", "message": "max_tokens: too many"}
                result["error"] = {"type": "error", "error": error, "request_id": None}
            if result["type"] == "succeeded":
                tokens_in, tokens_out = self.bill()
                result["message"] = {
                    "id": f"msg_{place}",
                    "type": "message",
                    "role": "assistant",
                    "model": each["params"]["model"],
                    "content": [{"type": "text", "text": self.answer(each["params"])}],
                    "stop_reason": "end_turn",
                    "stop_sequence": None,
                    "usage": {
                        "input_tokens": tokens_in,
                        "output_tokens": tokens_out,
                        "service_tier": "batch",
                    },
                }
            lines.append(json.dumps({"custom_id": each["custom_id"], "result": result}))
        return web.Response(text="\n".join(lines) + "\n", content_type="application/x-jsonl")


_LINE = {"custom_id", "method", "url", "body"}


class OpenAIBatches(BatchServer):
    model, provider, wire = "gpt-4o-mini", "openai", "chat"
    prices = Decimal("0.075"), Decimal("0.3")

    def __init__(self) -> None:
        super().__init__()
        self.files: dict[str, str] = {}

    def routes(self, router: web.UrlDispatcher) -> None:
        router.add_post("/v1/files", self._upload)
        router.add_get("/v1/files/{id}/content", self._content)
        router.add_post("/v1/batches", self._create)
        router.add_get("/v1/batches", self._list)
        router.add_get("/v1/batches/{id}", self._get)

    async def _upload(self, request: web.Request) -> web.Response:
        # The body was read when the request was recorded.
        head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
        form = message_from_bytes(head + await request.read())
        parts = {
            str(each.get_param("name", header="content-disposition")): each for each in form.get_payload()
        }
        if parts["purpose"].get_payload() != "batch":
            return self.refused("Invalid value for 'purpose'.")
        data = parts["file"].get_payload(decode=True)
        file = f"file-{len(self.files) + 1}"
        self.files[file] = data.decode()
        shown = {"id": file, "object": "file", "bytes": len(data), "created_at": int(time.time())}
        named = {"filename": "batch.jsonl", "purpose": "batch", "status": "processed"}
        return web.json_response({**shown, **named})

    async def _create(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if set(body) - {"input_file_id", "endpoint", "completion_window", "metadata"}:
            return self.refused("Unrecognized request argument supplied.")
        if body["completion_window"] != "24h":
            return self.refused("Invalid value for 'completion_window'.")
        batch = f"batch_{len(self.batches) + 1:04}"
        lines = [json.loads(line) for line in self.files[body["input_file_id"]].splitlines()]
        self.batches[batch] = {**body, "requests": lines, "created": int(time.time())}
        if self.held is not None:
            await self.held.passed()
        return web.json_response(self._shown(batch))

    def _problem(self, kept: JSON) -> str:
        lines = kept["requests"]
        if any(set(line) != _LINE or line["method"] != "POST" for line in lines):
            return "A line is missing required fields."
        if any(line["url"] != kept["endpoint"] for line in lines):
            return "The URL provided for this line does not match the batch endpoint."
        if len({line["custom_id"] for line in lines}) < len(lines):
            return "The custom_id for this request is a duplicate of another."
        return "Streaming is not supported." if any(line["body"].get("stream") for line in lines) else ""

    def _shown(self, batch: str) -> JSON:
        kept = self.batches[batch]
        problem = self._problem(kept)
        has_expired = "expired" in self.spoil.values()
        status = "failed" if problem else "in_progress"
        if self.is_done and not problem:
            status = "expired" if has_expired else "completed"
        errors = {"object": "list", "data": [{"code": "invalid", "message": problem}]} if problem else None
        return {
            "id": batch,
            "object": "batch",
            "endpoint": kept["endpoint"],
            "errors": errors,
            "input_file_id": kept["input_file_id"],
            "completion_window": "24h",
            "status": status,
            "output_file_id": f"{batch}-output" if status in ("completed", "expired") else None,
            "error_file_id": f"{batch}-error" if status in ("completed", "expired") else None,
            "created_at": kept["created"],
            "metadata": kept.get("metadata"),
        }

    async def _list(self, request: web.Request) -> web.Response:
        data = [self._shown(each) for each in reversed(self.batches)]
        return web.json_response({"object": "list", "data": data, "has_more": False})

    async def _get(self, request: web.Request) -> web.Response:
        self.looks += 1
        self.changed()
        return web.json_response(self._shown(request.match_info["id"]))

    async def _content(self, request: web.Request) -> web.Response:
        batch, _, kind = request.match_info["id"].rpartition("-")
        lines = []
        for place, each in reversed([*enumerate(self.batches[batch]["requests"])]):
            spoiled = self.spoil.get(place, "")
            if bool(spoiled) != (kind == "error"):
                continue
            response: JSON | None = None
            error = {"code": "batch_expired", "message": "This request could not be executed in time."}
            if spoiled == "errored":
                said = {"message": "Invalid value.", "type": "invalid_request_error", "code": None}
                response = {"status_code": 400, "request_id": "r", "body": {"error": said}}
            elif not spoiled:
                body = self._answered(place, each["body"])
                response = {"status_code": 200, "request_id": "r", "body": body}
            made = {"id": f"batch_req_{place}", "custom_id": each["custom_id"], "response": response}
            lines.append(json.dumps({**made, "error": None if response else error}))
        return web.Response(text="\n".join(lines), content_type="application/jsonl")

    def _answered(self, place: int, body: JSON) -> JSON:
        tokens_in, tokens_out = self.bill()
        message = {"role": "assistant", "content": self.answer(body), "refusal": None}
        used = {"prompt_tokens": tokens_in, "completion_tokens": tokens_out}
        return {
            "id": f"chatcmpl-{place}",
            "object": "chat.completion",
            "created": 1,
            "model": body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {**used, "total_tokens": tokens_in + tokens_out},
        }


class ResponsesBatches(OpenAIBatches):
    """OpenAI's with the endpoint of Responses."""

    wire = "responses"

    def _problem(self, kept: JSON) -> str:
        if kept["endpoint"] != "/v1/responses":
            return "Invalid value for 'endpoint'."
        if any("messages" in line["body"] or "input" not in line["body"] for line in kept["requests"]):
            return "Missing required parameter: 'input'."
        return super()._problem(kept)

    def _answered(self, place: int, body: JSON) -> JSON:
        tokens_in, tokens_out = self.bill()
        text = {"type": "output_text", "text": self.answer({"messages": body["input"]}), "annotations": []}
        message = {"id": f"msg_{place}", "type": "message", "role": "assistant", "status": "completed"}
        shown = {
            "id": f"resp_{place}",
            "object": "response",
            "created_at": 1,
            "status": "completed",
            "model": body["model"],
            "output": [{**message, "content": [text]}],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": {
                "input_tokens": tokens_in,
                "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
                "output_tokens": tokens_out,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": tokens_in + tokens_out,
            },
        }
        return check_response(Response, shown)
