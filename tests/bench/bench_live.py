"""What a streamed answer costs in a cell: `%%agent` plain, in a widget, and in a page with the extension; a
bare loop over the SDK with print; and chatlas.

    python tests/bench/bench_live.py

One loopback server streams the same answer, in chunks of four characters, to one kernel after the other. All
IOPub frames of the cell are counted; CPU is that of the kernel's process. chatlas runs in an environment of
its own, made on first use in the user's cache.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Self

sys.path.insert(0, str(Path(__file__).parents[1]))

import psutil
from jupyter_client.manager import KernelManager

from servers.openai import OpenAIServer, reply

ROOT = Path(__file__).parents[2]
CHUNKS = (5_000, 20_000)
BARE = """
from openai import OpenAI
with OpenAI() as client, client.chat.completions.create(
    model="gpt-4o-mini", messages=[{"role": "user", "content": "Go"}], stream=True
) as stream:
    for chunk in stream:
        if chunk.choices:
            print(chunk.choices[0].delta.content or "", end=""%s)
"""
CHATLAS = """
import os
from chatlas import ChatOpenAICompletions
chat = ChatOpenAICompletions(model="gpt-4o-mini", base_url=os.environ["OPENAI_BASE_URL"], api_key="sk-bench")
_ = chat.chat("Go")
"""
PAGE = "%%agent, extension"
WAYS = {
    "print(end='')": ("", BARE % "", False),
    "print(end='', flush=True)": ("", BARE % ", flush=True", False),
    "%%agent, plain": ("%load_ext praison_nb", "%%agent -m gpt-4o-mini\nGo", False),
    "%%agent, widget": (
        "%load_ext praison_nb\n%config AgentMagics.live = 'widget'",
        "%%agent -m gpt-4o-mini\nGo",
        False,
    ),
    PAGE: ("%load_ext praison_nb", "%%agent -m gpt-4o-mini\nGo", False),
    "chatlas": ("import chatlas", CHATLAS, True),
}


@dataclass
class Weight:
    """What one cell cost."""

    messages: int
    bytes: int
    seconds: float
    cpu: float

    def __str__(self) -> str:
        return f"{self.messages:>9,} {self.bytes / 1000:>10,.0f} {self.seconds:>8.2f} {self.cpu:>8.2f}"


class Kernel:
    """A kernel of one Python, whose cells are weighed."""

    def __init__(self, python: str, env: dict[str, str]) -> None:
        self._python, self._env = python, {**os.environ, **env}

    def __enter__(self) -> Self:
        self._manager = KernelManager(kernel_name="python3")
        self._manager.kernel_spec.argv[0] = self._python
        self._manager.start_kernel(env=self._env)
        self._client = self._manager.blocking_client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=60)
        self._process = psutil.Process(self._manager.provisioner.pid)
        return self

    def __exit__(self, *exc: object) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)
        self._manager.cleanup_resources()

    def weigh(self, code: str) -> Weight:
        """Run a cell to its end. Raises RuntimeError with its traceback when it fails."""
        before, started = self._cpu(), time.perf_counter()
        msg_id, messages, size = self._client.execute(code), 0, 0
        while True:
            frames = self._client.iopub_channel.socket.recv_multipart()
            message = self._client.session.deserialize(self._client.session.feed_identities(frames)[1])
            messages, size = messages + 1, size + sum(map(len, frames))
            if message["msg_type"] == "error":
                raise RuntimeError("\n".join(message["content"]["traceback"]))
            ours = message["parent_header"].get("msg_id") == msg_id
            if ours and message["content"].get("execution_state") == "idle":
                self._client.get_shell_msg(timeout=60)
                return Weight(messages, size, time.perf_counter() - started, self._cpu() - before)

    def announce(self) -> None:
        """Do as a page of JupyterLab with the extension does."""
        session, opened = self._client.session, {"version": 1}
        content = {"comm_id": "praison-nb", "target_name": "praison-nb", "data": opened}
        self._client.shell_channel.send(session.msg("comm_open", content))

    def _cpu(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)


def chatlas_python() -> str:
    """The Python of an environment that has chatlas, openai and ipykernel."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "praison_nb-tests" / "chatlas"
    python = cache / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not (cache / "made").exists():
        venv.create(cache, with_pip=True, clear=True)
        packages = ["chatlas", "openai", "ipykernel", "ipywidgets"]
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
        (cache / "made").touch()
    return str(python)


def main() -> None:
    """Weigh every way with every length and print a table."""
    other = chatlas_python()
    with tempfile.TemporaryDirectory() as folder, OpenAIServer() as server:
        env = {
            "OPENAI_BASE_URL": server.base_url,
            "OPENAI_API_KEY": "sk-bench",
            "PYTHONPATH": str(ROOT),
            "PRAISON_NB_LEDGER": str(Path(folder) / "ledger.sqlite"),
        }
        print(f"{'':28} {'chunks':>7} {'messages':>9} {'kB':>10} {'wall s':>8} {'CPU s':>8}")
        for name, (setup, cell, elsewhere) in WAYS.items():
            own = {key: value for key, value in env.items() if key != "PYTHONPATH"}
            with Kernel(other if elsewhere else sys.executable, own if elsewhere else env) as kernel:
                for chunks in (10, *CHUNKS):
                    text = "".join(f"{n:03d} " for n in range(1000)) * (chunks // 1000 or 1)
                    server.script(reply(text[: chunks * 4], usage=(9, chunks), size=4))
                    if chunks == 10:
                        # The first turn loads what the others find loaded.
                        kernel.weigh(setup)
                        if name == PAGE:
                            kernel.announce()
                        kernel.weigh(cell)
                        continue
                    print(f"{name:28} {chunks:>7,} {kernel.weigh(cell)}", flush=True)


if __name__ == "__main__":
    main()
