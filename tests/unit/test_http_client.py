"""The HTTP clients of the SDKs' clients."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from praison_nb.backends import http_client
from praison_nb.backends.local import client as local_client
from praison_nb.backends.local.providers import Server
from praison_nb.backends.request_body import Encoder

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


@pytest.mark.parametrize("address", ["http://127.0.0.1:1/v1", "https://127.0.0.1:1/v1"])
async def test_a_server_without_tls_needs_no_certificates(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    read = []
    real = http_client.read_certificates
    monkeypatch.setattr(http_client, "read_certificates", lambda *of: read.append(of) or real(*of))
    for wire in ("chat", "messages"):
        made = local_client.client_of(Server("S", f"{address}/{wire}", "m", wire=wire, api_key="sk-1"))
        tls = local_client.http_client_of(made)._transport._pool._ssl_context
        # Where one led it to TLS after all, it would trust nobody.
        assert tls.verify_mode == ssl.CERT_REQUIRED and tls.check_hostname
    assert len(read) == (2 if address.startswith("https") else 0)


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"role": "user", "content": 'é\u2028\x00\U0001f600"'}], "seed": 10**30, "p": -0.0},
        {"logit_bias": {50: 1}, "stop": ("a", "b")},
        {1: 2},
        {"seed": float("nan")},
        {"user": "\ud800"},
    ],
)
def test_a_body_is_what_the_sdks_would_send(body: Any) -> None:
    made = Encoder().body(body)
    # None: that is left to them.
    assert made is None or made == http_client._httpx(KINDS[0]).Request("POST", "http://a", json=body).content
    assert (made is None) == (list(body) not in (["messages", "seed", "p"], ["logit_bias", "stop"]))
