"""What code of the model prints and displays: recorded and bounded while it runs. Nothing waits for input
then, and nothing ends the kernel."""

from __future__ import annotations

import builtins
import getpass
import io
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NoReturn

from ...redaction import redact_value
from ...values import redact_and_truncate, truncate_middle
from .excerpt import Excerpt

SHOWN_CHARACTERS = 2_000_000
"""All that one call displays, its pictures too; what is more shows as a short text, or not at all."""
FIGURES = ("image/", "application/vnd.plotly", "application/vnd.vega", "application/vnd.bokeh")
"""What the kinds of output begin with that are pictures."""
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class NoInputError(EOFError):
    """Nobody answers."""


def _refuse_input(*args: Any, **kwargs: Any) -> NoReturn:
    raise NoInputError("nobody answers here, no input() and no debugger: put the value into the code")


def _refuse_exit(*args: Any, **kwargs: Any) -> NoReturn:
    raise SystemExit("this ends the code, and not the kernel")


def _print_page(page: Any, *args: Any, **kwargs: Any) -> None:
    text = page.get("text/plain", "") if isinstance(page, dict) else str(page)
    sys.stdout.write(f"{_COLOUR.sub('', text).rstrip()}\n")


@contextmanager
def captured(output: Excerpt, shell: Any) -> Iterator[Displayed]:
    """Record what is printed, whoever holds the streams: loggers made by an earlier cell do. `shell` is
    IPython's, or None. Gives what is displayed."""
    displayed = Displayed(output)
    with ExitStack() as stack:

        def replace(holder: Any, name: str, value: Any) -> None:
            stack.callback(setattr, holder, name, getattr(holder, name))
            setattr(holder, name, value)

        stack.callback(_note_truncation, output, displayed)
        for stream in {sys.stdout, sys.stderr}:
            replace(stream, "write", _recording(stream.write, output))
            # The kernel prints with it afterwards.
            replace(stream, "close", lambda: None)
        # The code may put others in their place.
        replace(sys, "stdout", sys.stdout)
        replace(sys, "stderr", sys.stderr)
        replace(sys, "stdin", io.StringIO())
        replace(sys, "breakpointhook", _refuse_input)
        replace(builtins, "input", _refuse_input)
        replace(getpass, "getpass", _refuse_input)
        if shell is not None:
            replace(shell, "ask_exit", _refuse_exit)
            # What `?` says comes in a pager, which only a user has.
            replace(shell.hooks, "show_in_pager", _print_page)
            # In a terminal, displaying is printing.
            if hasattr(shell.display_pub, "register_hook"):
                shell.display_pub.register_hook(displayed.bound)
                stack.callback(shell.display_pub.unregister_hook, displayed.bound)
        # A debugger that was begun would go on with what comes next.
        stack.callback(sys.settrace, sys.gettrace())
        yield displayed


def _recording(write: Callable[[str], Any], output: Excerpt) -> Callable[[str], int]:
    """A stream's `write` that records, and hands on what fits into the excerpt's head."""

    def record(text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        if shown := output.add(text):
            write(shown)
        return len(text)

    return record


class Displayed:
    """What this thread displays, without secrets; other threads display for other cells. `output` records it
    as text, as long as `records`, and counted where it is a picture."""

    def __init__(self, output: Excerpt) -> None:
        self.records = True
        self.is_cut = False
        self._output = output
        self.figures = 0
        self._room = SHOWN_CHARACTERS

    def bound(self, message: dict[str, Any]) -> dict[str, Any] | None:
        """The message as it may be sent, None where it may not."""
        content = message["content"]
        if "data" not in content:
            return message
        content["data"] = {mime: _shown(mime, part) for mime, part in content["data"].items()}
        if _size(content["data"]) > self._room:
            text = truncate_middle(str(content["data"].get("text/plain", "")))
            content["data"], content["metadata"] = {"text/plain": text}, {}
        size = _size(content["data"])
        if size > self._room:
            self.is_cut = True
            return None
        if message["msg_type"] == "display_data":
            self._room -= size
            if any(mime.startswith(FIGURES) for mime in content["data"]):
                self.figures += 1
            elif self.records:
                self._output.add(f"{content['data'].get('text/plain', '')}\n")
        return message


def _shown(mime: str, part: Any) -> Any:
    # Pictures are base64, but for those that are text.
    if mime.startswith("image/") and mime != "image/svg+xml":
        return part
    if isinstance(part, str) and len(part) > SHOWN_CHARACTERS:
        # Of such a thing no more than its text is shown, and that is cut.
        return redact_and_truncate(part) if mime == "text/plain" else part
    return redact_value(part)


def _size(data: dict[str, Any]) -> int:
    return sum(len(part if isinstance(part, str | bytes) else repr(part)) for part in data.values())


def _note_truncation(output: Excerpt, displayed: Displayed) -> None:
    if output.is_long or displayed.is_cut:
        sys.stdout.write("\n[… there was more than is shown here …]\n")
