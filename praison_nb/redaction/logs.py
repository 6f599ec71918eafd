"""No secret in what we and the HTTP libraries log: their lines have whole addresses in them."""

from __future__ import annotations

import contextlib
import logging
from typing import Any

from .hiding import redact

_LOGGERS = frozenset(("praison_nb", "openai", "anthropic", "httpx", "httpx2", "httpcore", "httpcore2"))


def guard() -> None:
    """From now on, whichever handlers there are. A filter would see one logger, and none that it begets."""
    make = logging.getLogRecordFactory()
    if getattr(make, "_redacts", False):
        return

    def make_redacted(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        if record.name.partition(".")[0] in _LOGGERS:
            # What cannot be formatted is logging's own to report.
            with contextlib.suppress(Exception):
                _redact(record)
        return record

    make_redacted._redacts = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(make_redacted)


def _redact(record: logging.LogRecord) -> None:
    message = record.getMessage()
    if (redacted := redact(message)) != message:
        record.msg, record.args = redacted, None
    if record.exc_info:
        traceback = logging.Formatter().formatException(record.exc_info)
        if (redacted := redact(traceback)) != traceback:
            # Formatters take it where there is one. Others would make their own of exc_info.
            record.exc_text, record.exc_info = redacted, None
