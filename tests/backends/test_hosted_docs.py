"""The blocks of docs/hosted.md about outcomes, sub-agents and vaults run as they are written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from servers.hosted import HostedServer, Tokens, text
from servers.hosted_agent import KEY
from servers.hosted_threads import sub_agent
from servers.hosted_vaults import add_skill, add_store

PAGE = (Path(__file__).parents[2] / "docs" / "hosted.md").read_text()
SECTIONS = ["Outcomes", "Sub-agents", "Vaults, skills, memory"]


def test_the_blocks_run(server: HostedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
    monkeypatch.setenv("CRM_TOKEN", "wk3jv8Qm2tZr")
    names: dict[str, Any] = {}
    exec("from praison_nb import *\nagent = HostedAgent()", names)
    for section in SECTIONS:
        (block,) = re.findall(rf"^## {section}\n\n```python\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE)
        exec(block, names)
    assert names["turn"].stop_reason == "satisfied"
    server.script([sub_agent("reader", usage=Tokens(output=9)), text("Read.")])
    assert names["lead"].begin("Read this.").wait().text == "Read."
    add_skill(server, "Excel", "xlsx", source="anthropic")
    add_store(server, "notes"), add_store(server, "facts")
    assert names["HostedAgent"](config=names["config"]).begin("Hi").wait().text == "Hi"
