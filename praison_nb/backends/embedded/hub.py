"""GGUF files of the Hugging Face Hub: fetched by its own library, with the user's own settings (HF_HOME,
HF_TOKEN, HF_ENDPOINT, proxies), into its own cache, where other tools find them too."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections import deque
from collections.abc import AsyncGenerator
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from ...errors import EmbeddedModelError
from ...events import Activity

EXTRA: Final = 'pip install "praison-nb[hf]"'
"""What brings all that a model of the Hub needs."""

_SCRIPT: Final = Path(__file__).with_name("hub_fetch.py")
_NAME: Final = re.compile(r"hf:([\w.-]+/[\w.-]+)(?::(\S+))?")
_ADDRESS: Final = re.compile(r"\w+://\S+")
_fetched: dict[str, Path] = {}


async def fetch(model: str) -> AsyncGenerator[Activity | Path, None]:
    """Activities while the file of "hf:OWNER/REPO[:QUANT]" is being fetched, if it has to be, and last its
    Path, the first one's of a split model. Stopped half-way, the next call goes on from there. Raises
    EmbeddedModelError."""
    found = _NAME.fullmatch(model)
    if found is None:
        raise EmbeddedModelError(f"Say hf:OWNER/REPO, or hf:OWNER/REPO:Q4_K_M, not {model!r:.100}.")
    # The Hub is asked once in a kernel: a conversation stays with its file.
    if (known := _fetched.get(model)) is not None and known.exists():
        yield known
        return
    if find_spec("huggingface_hub") is None:
        raise EmbeddedModelError(f"Models of the Hub need huggingface_hub: {EXTRA}")
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", str(_SCRIPT)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "HF_HUB_DISABLE_PROGRESS_BARS": "1", "PYTHONIOENCODING": "utf-8"},
        # What interrupts the kernel's group is no matter of its. It ends by its next line when we are gone.
        start_new_session=True,
    )
    assert child.stdin is not None and child.stdout is not None
    others: deque[str] = deque(maxlen=1)
    try:
        child.stdin.write(json.dumps({"repo": found[1], "quant": found[2] or ""}).encode() + b"\n")
        child.stdin.close()
        async for raw in child.stdout:
            line = _line(raw)
            if text := line.get("activity"):
                yield Activity(text=text)
            elif path := line.get("path"):
                _fetched[model] = Path(path)
            elif error := line.get("error"):
                raise EmbeddedModelError(f"The model {model} cannot be fetched: {error}.")
            else:
                others.extend(line.values())
        code = await child.wait()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if model not in _fetched:
        why = next(iter(others), f"exit code {code}")
        raise EmbeddedModelError(f"The model {model} cannot be fetched: {_ADDRESS.sub('[address]', why)}.")
    yield _fetched[model]


def _line(raw: bytes) -> dict[str, str]:
    """What the script told, or another line of its process."""
    text = raw.decode(errors="replace").strip()
    try:
        line = json.loads(text)
    except ValueError:
        line = None
    return line if isinstance(line, dict) else {"other": text} if text else {}
