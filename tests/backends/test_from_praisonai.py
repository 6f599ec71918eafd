"""Every block of docs/from-praisonai.md runs, in order, as in the cells of one notebook."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from servers.hosted import HostedServer
from servers.openai import OpenAIServer

PAGE = Path(__file__).parents[2] / "docs" / "from-praisonai.md"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_every_block_runs(
    server: HostedServer,
    openai_server: OpenAIServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
    monkeypatch.setenv("ANTHROPIC_API_KEY", server.api_key)
    monkeypatch.setenv("OPENAI_BASE_URL", openai_server.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "test-key")
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    for number, block in enumerate(blocks):
        code = compile(block, f"block {number}", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        if inspect.isawaitable(result := eval(code, names)):
            await result
    # The servers say what they hear.
    assert names["answer"] == "Which columns would you look at first?"
    assert names["text"] == "And of Peru?" and str(names["result"]) == "What is 17 * 23?"
    printed = capsys.readouterr().out
    for text in ("And of Japan?", "And of Peru?", "[{'text': 'Hello!', 'type': 'text'}]", "What is 17 * 23?"):
        assert text in printed
    assert names["agent"].chat_history[-1] == {"role": "assistant", "content": "And of Peru?"}
    assert names["brief"].backend.config.system == "Answer in one word."
