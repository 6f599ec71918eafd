"""PraisonAI's own Agent on our backends, in an environment of its own with the package from the registry."""

from __future__ import annotations

import json
import os
import subprocess
import venv
from pathlib import Path

import pytest

from servers.hosted import HostedServer
from servers.openai import OpenAIServer

ROOT = Path(__file__).parents[2]
ENVIRONMENT = ROOT / "build" / "praisonai-environment"
PYTHON = ENVIRONMENT / "bin" / "python"
SCRIPT = """
import contextlib, io, json, os, sys
from praisonaiagents import Agent
from praisonaiagents.managed import ManagedBackendProtocol
from praison_nb import HostedAgent, HostedAgentConfig, LocalAgent, LocalAgentConfig

kind, url, key = sys.argv[1:]
if kind == "hosted":
    backend = HostedAgent(config=HostedAgentConfig(base_url=url, api_key=key))
else:
    backend = LocalAgent(config=LocalAgentConfig(model="m", base_url=url, api_key=key))
agent = Agent(name="tester", backend=backend)
answer = agent.start("Hello!")
with contextlib.redirect_stdout(io.StringIO()) as printed:
    streamed = str(agent.start("Hello again!", stream=True))
print("RESULT" + json.dumps({
    "is_backend": isinstance(backend, ManagedBackendProtocol),
    "answer": answer,
    "streamed": streamed,
    "printed": printed.getvalue(),
    "history": len(agent.chat_history),
    "session": backend.retrieve_session(),
}))
"""


@pytest.fixture(scope="module")
def python() -> Path:
    """The environment's Python; it is made once and kept for the next run."""
    done = ENVIRONMENT / "done"
    if not done.exists():
        venv.create(ENVIRONMENT, with_pip=True, clear=True)
        install = [PYTHON, "-m", "pip", "install", "-q", "praisonaiagents==1.7.17", "-e", ROOT]
        subprocess.run(install, check=True)
        done.touch()
    return PYTHON


@pytest.mark.slow(reason="installs praisonaiagents and all that it needs")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["hosted", "local"])
def test_their_agent_runs_on_our_backends(python: Path, tmp_path: Path, kind: str) -> None:
    quiet = {"PRAISONAI_TELEMETRY_DISABLED": "true", "DO_NOT_TRACK": "true", "HOME": str(tmp_path)}
    with HostedServer() as hosted, OpenAIServer() as openai:
        url, key = (hosted.url, hosted.api_key) if kind == "hosted" else (openai.base_url, "test-key")
        done = subprocess.run(
            [python, "-c", SCRIPT, kind, url, key],
            capture_output=True,
            text=True,
            env={**os.environ, **quiet},
            cwd=tmp_path,
        )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.split("RESULT")[1])
    assert result["is_backend"] is True
    assert "Hello!" in result["answer"] and "Hello again!" in result["streamed"]
    assert "Hello again!" in result["printed"] and result["history"] == 4
    assert result["session"]["status"] == "idle" and result["session"]["usage"]["input_tokens"] > 0
    assert "Traceback" not in done.stderr
