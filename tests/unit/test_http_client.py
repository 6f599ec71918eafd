"""The HTTP clients of the SDKs' clients."""

from __future__ import annotations

from pathlib import Path

import anthropic
import openai
import pytest

from praison_nb.backends import http_client

KINDS = (openai.DefaultAsyncHttpxClient, anthropic.DefaultAsyncHttpxClient)


async def test_the_machines_certificates_are_read_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clients = [http_client.client(kind) for kind in KINDS * 2]
    assert len({id(client._transport._pool._ssl_context) for client in clients}) == 1
    for client in clients:
        await client.aclose()
    # A variable that a user sets later counts from then on, and what it says is checked each time.
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    for kind in KINDS:
        with pytest.raises(FileNotFoundError):
            http_client.client(kind)
