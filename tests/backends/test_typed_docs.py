"""The blocks of docs/typed-answers.md run as they are written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from servers.openai import OpenAIServer, reply

PAGE = (Path(__file__).parents[2] / "docs" / "typed-answers.md").read_text()


def test_the_blocks_run(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {"__name__": "page"}
    with OpenAIServer("openai") as server:
        monkeypatch.setenv("OPENAI_API_KEY", "test-key")
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        server.script(reply('{"label": "good", "stars": 4}'), reply('{"value": [{"label": "bad"}]}'))
        for block in (first, second):
            exec(compile(block, "page", "exec", dont_inherit=True), names)
    assert names["review"].stars == 4 and names["reviews"][0].label == "bad"
