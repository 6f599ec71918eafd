"""A Hugging Face Hub with one repository, as its own library asks for it.

with Hub({"tiny-Q4_K_M.gguf": data}) as hub:
    hub.use(monkeypatch, tmp_path)      # HF's settings name this Hub and a cache of this folder
    hub.cut_at(1000)                    # the next download ends after 1,000 bytes of the file
    pause = hub.pause_at(1000)          # downloads stop there until pause.open()
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from aiohttp import web

from servers.base import Gate, LoopbackServer, Recorded, abort

REPO = "somebody/tiny-GGUF"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
CHUNK = 1 << 16


class Hub(LoopbackServer):
    """`files` by their names. With `token` the repository is its owner's alone; `gated` says that others may
    have it who agreed to its terms."""

    def __init__(self, files: Mapping[str, bytes], *, token: str = "", gated: bool = False) -> None:
        super().__init__()
        self.files, self.token, self.gated = dict(files), token, gated
        self._ends: list[int] = []
        self._pause: tuple[int, Gate] | None = None

    def use(self, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
        """Have huggingface_hub, in processes that this one starts, know this Hub alone."""
        for name in list(os.environ):
            if name.startswith(("HF_", "HUGGING")) or name.upper().endswith("_PROXY"):
                monkeypatch.delenv(name)
        monkeypatch.setenv("HF_ENDPOINT", self.url)
        monkeypatch.setenv("HF_HOME", str(home))

    def cut_at(self, offset: int) -> None:
        """End the next download after `offset` bytes of it, as a lost connection does."""
        self._ends.append(offset)

    def pause_at(self, offset: int) -> Gate:
        """Stop each download after `offset` bytes of it until the gate opens."""
        gate = self.gate()
        self._pause = (offset, gate)
        return gate

    @property
    def downloads(self) -> list[Recorded]:
        """The downloads so far."""
        return [each for each in list(self.requests) if each.path.startswith("/store/")]

    @property
    def ranges(self) -> list[str]:
        """The Range of each download, "" for a whole one."""
        return [each.headers.get("Range", "") for each in self.downloads]

    def routes(self, router: web.UrlDispatcher) -> None:
        router.add_get(f"/api/models/{REPO}", self._info)
        router.add_route("HEAD", f"/{REPO}/resolve/{{revision}}/{{name:.+}}", self._resolve)
        router.add_get("/store/{name:.+}", self._download)

    def _refusal(self, request: web.Request) -> web.Response | None:
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            code = "GatedRepo" if self.gated else "RepoNotFound"
            return web.Response(status=403 if self.gated else 401, headers={"X-Error-Code": code})
        return None

    async def _info(self, request: web.Request) -> web.Response:
        if refusal := self._refusal(request):
            return refusal
        siblings = [{"rfilename": name} for name in self.files]
        return web.json_response({"id": REPO, "modelId": REPO, "sha": COMMIT, "siblings": siblings})

    async def _resolve(self, request: web.Request) -> web.Response:
        if refusal := self._refusal(request):
            return refusal
        name = request.match_info["name"]
        headers = {"X-Repo-Commit": COMMIT}
        if name not in self.files:
            return web.Response(status=404, headers={"X-Error-Code": "EntryNotFound", **headers})
        # Big files are kept elsewhere, and known by their SHA-256.
        data = self.files[name]
        linked = {"X-Linked-Size": str(len(data)), "X-Linked-ETag": f'"{hashlib.sha256(data).hexdigest()}"'}
        location = self.url.replace("127.0.0.1", "localhost") + f"/store/{name}?signature=s3cret"
        return web.Response(status=302, headers={**headers, **linked, "Location": location})

    async def _download(self, request: web.Request) -> web.StreamResponse:
        data, start = self.files[request.match_info["name"]], 0
        if asked := request.headers.get("Range"):
            start = int(asked.removeprefix("bytes=").rstrip("-"))
        response = web.StreamResponse(status=206 if asked else 200)
        if asked:
            response.headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        response.content_length = len(data) - start
        await response.prepare(request)
        end = self._ends.pop(0) if self._ends else None
        for offset in range(start, len(data), CHUNK):
            chunk = data[offset : offset + CHUNK]
            if end is not None and offset - start + len(chunk) > end:
                await response.write(chunk[: end - (offset - start)])
                await abort(request, reset=False)
                return response
            if self._pause is not None and offset + len(chunk) > self._pause[0]:
                await self._pause[1].passed()
            await response.write(chunk)
        return response
