"""What a fresh kernel has imported when the first turn shows its first text."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from servers.kernel import Kernel
from servers.openai import OpenAIServer, reply

WORD = "zqxj"
WATCH = f"""
import json, sys
_thread, _found, _before = get_ipython().kernel.iopub_thread, [], sorted(sys.modules)
def _send(message, *args, _send=_thread.send_multipart, **options):
    if not _found and any(b"{WORD}" in bytes(part) for part in message):
        _found.append(sorted(sys.modules))
    return _send(message, *args, **options)
_thread.send_multipart = _send
"""
LOAD = """
%load_ext praison_nb
_callbacks = get_ipython().events.callbacks["post_run_cell"]
# Where no thread runs ahead.
_callbacks[:] = [each for each in _callbacks if each.__name__ != "_preload"]
"""
SDK = """
import json, sys
from openai import AsyncOpenAI
AsyncOpenAI(api_key="sk-1")
print(json.dumps(sorted(sys.modules)))
"""
NOT_YET = (
    "backends.custom", "backends.embedded", "backends.hosted", "backends.legacy", "backends.local.batch_api",
    "backends.local.wires.messages", "backends.local.wires.responses", "backends.scripted",
    "metering.analysis", "metering.open_requests", "metering.reprice", "notebook.cell_comparison",
    "notebook.cell_map", "notebook.commands", "notebook.complete", "notebook.views.live",
    "notebook.views.map", "notebook.widgets", "render.transcript", "rows",
)  # fmt: skip
"""Ours, with all below them, which only other turns and commands need."""
BUT = {"notebook.commands", "notebook.commands.sessions", "notebook.commands.tools", "rows", "rows.view"}


def test_what_is_there_when_the_first_text_is_shown(server: OpenAIServer) -> None:
    env = {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": "sk-test-1234567890"}
    server.script(reply(WORD))
    with Kernel(env=env, load=False, start=True) as kernel:
        assert kernel.run(WATCH).ok and kernel.run(LOAD).ok
        assert kernel.run("%%agent\nHi").answers == [WORD]
        before, there = map(set, json.loads(kernel.run("print(json.dumps([_before, *_found]))").text))
    done = subprocess.run([sys.executable, "-c", SDK], capture_output=True, text=True, check=True)
    sdk = set(json.loads(done.stdout))
    # Of the SDK nothing but what importing it brings: no resources, and no models for them.
    assert not [name for name in there - sdk if name.startswith("openai.")]
    # The prices of a server of nobody's are not looked up: no genai_prices.
    brought = packages(there) - packages(before) - packages(sdk) - sys.stdlib_module_names
    assert brought == {"praison_nb", "filelock", "markdown_it", "mdurl", "psutil"}
    own = {name.removeprefix("praison_nb.") for name in there if name.startswith("praison_nb.")}
    assert not [name for name in own - BUT if f"{name}.".startswith(tuple(f"{each}." for each in NOT_YET))]


def packages(modules: Iterable[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


def test_what_is_not_there_yet_is_still_called_so() -> None:
    package = Path(__file__).parents[2] / "praison_nb"
    for name in (*NOT_YET, *BUT):
        path = package / name.replace(".", "/")
        assert path.is_dir() or path.with_suffix(".py").is_file(), name
