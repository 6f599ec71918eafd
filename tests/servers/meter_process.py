"""A process that asks agents and has a clock that can be set. It is forked from one that has imported all, so
that many of them cost little, and may be killed.

    with Processes() as processes:
        process = processes.start()
        process.ask({"step": "s1", …})      # see `Worker.turn`
        process.kill()
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from multiprocessing.connection import wait
from typing import Any, Self

JSON = dict[str, Any]
MODULES = (
    "anthropic.resources",
    "genai_prices.data",
    "httpx2",
    "openai.resources",
    "praison_nb.backends.hosted.agent",
    "praison_nb.backends.local.agent",
    "praison_nb.backends.local.wires.chat",
    "praison_nb.backends.local.wires.messages",
    "praison_nb.backends.local.wires.responses",
)


class Processes:
    """The process that forks, and its children."""

    def __enter__(self) -> Self:
        self._parent = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        return self

    def start(self) -> Process:
        """A process with the environment of now."""
        assert self._parent.stdin and self._parent.stdout
        with socket.create_server(("127.0.0.1", 0)) as listening:
            print(json.dumps([listening.getsockname()[1], dict(os.environ)]), file=self._parent.stdin)
            listening.settimeout(60)
            connection, _ = listening.accept()
        return Process(int(self._parent.stdout.readline()), connection)

    def __exit__(self, *_: object) -> None:
        assert self._parent.stdin and self._parent.stdout
        self._parent.stdin.close()
        self._parent.wait()
        self._parent.stdout.close()


class Process:
    """One of them."""

    def __init__(self, pid: int, connection: socket.socket) -> None:
        self.pid = pid
        self._connection, self._is_over = connection, os.pidfd_open(pid)
        self._stream = connection.makefile("rw", encoding="utf-8")

    def ask(self, task: JSON) -> None:
        """Begin a turn."""
        self._stream.write(json.dumps(task) + "\n")
        self._stream.flush()

    def answer(self) -> JSON:
        """The turn as it ended; {} where the process did."""
        with suppress(ConnectionError):
            return dict(json.loads(self._stream.readline() or "{}"))
        return {}

    def interrupt(self) -> None:
        os.kill(self.pid, signal.SIGINT)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    @property
    def has_answered(self) -> bool:
        """Whether `answer` would not wait."""
        return bool(wait([self._connection], 0))

    def end(self) -> None:
        """Have it end by itself, and wait for that."""
        with suppress(ConnectionError):
            self._stream.close()
        self._connection.close()
        wait([self._is_over])
        os.close(self._is_over)


class Clock:
    """What `time.time` is in these processes."""

    offset = 0.0
    _real = time.time

    @classmethod
    def now(cls) -> float:
        return cls._real() + cls.offset


class Worker:
    """Asks agents, one for each session."""

    def __init__(self) -> None:
        self.agents: dict[str, Any] = {}
        self.offsets: list[float] = []

    def jump(self) -> str:
        """Let time pass."""
        if len(self.offsets) > 1:
            self.offsets.pop(0)
        Clock.offset = self.offsets[0]
        return "later"

    def turn(self, task: JSON) -> JSON:
        """One turn: a prompt to the session's agent, whose clock has the first of `offsets` and after each
        call of its tool the next one. It is stopped after so many events ("stop")."""
        self.offsets = list(task["offsets"])
        Clock.offset = self.offsets[0]
        if (key := task["session"]) not in self.agents:
            self.agents[key] = self._agent(task)
        agent = self.agents[key]
        if "hosted" not in task:
            agent.update_agent(timeout=task["timeout"])
        left = task["stop"]

        def count(event: Any, turn: Any) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                run.stop()

        run = agent.begin(task["prompt"], tags={"step": task["step"]}, subscribers=[count])
        with suppress(KeyboardInterrupt):
            run.wait()
        run.settled.result(60)
        turn = run.turn
        return {
            "cost": None if turn.cost is None else str(turn.cost),
            "input": turn.usage.input_tokens,
            "output": turn.usage.output_tokens,
            "estimated": turn.usage.estimated,
            "stop_reason": turn.stop_reason,
            "notices": turn.notices,
            "text": turn.text,
            "ids": agent.save_ids(),
        }

    def _agent(self, task: JSON) -> Any:
        """A hosted one, of the session of the task's "ids", where it is "hosted"."""
        if "hosted" in task:
            from praison_nb import HostedAgent, HostedAgentConfig

            hosted = HostedAgent(HostedAgentConfig(**task["hosted"]))
            hosted.backoff_seconds = (0.0, 0.01)
            if task["ids"]:
                hosted.restore_ids(task["ids"])
            return hosted
        from praison_nb import LocalAgent, LocalAgentConfig

        config = LocalAgentConfig(**task["config"], api_key="test-key-123", tools=[self.jump])
        return LocalAgent(config=config)


def main() -> None:
    del sys.path[0]
    time.time = Clock.now  # before it is imported by name
    from importlib import import_module

    for name in MODULES:
        import_module(name)
    from praison_nb.backends.hosted import settling
    from praison_nb.backends.local import attempts

    attempts.FIRST_PAUSE = 0.01
    settling.PAUSES = (0.0, 0.01, 0.01, 0.01, 0.01)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        port, environment = json.loads(line)
        if pid := os.fork():
            print(pid, flush=True)
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        sys.stdin.close()
        os.environ.clear()
        os.environ.update(environment)
        worker = Worker()
        with socket.create_connection(("127.0.0.1", port)) as connection:
            stream = connection.makefile("rw", encoding="utf-8")
            for task in stream:
                stream.write(json.dumps(worker.turn(json.loads(task))) + "\n")
                stream.flush()
        return


if __name__ == "__main__":
    main()
