"""`python -m praison_nb.backends.embedded` fetches the embedded model before it is needed."""

from __future__ import annotations

import asyncio
import sys

from ...errors import EmbeddedModelError
from ...events import Activity
from .fetch import SMOLLM2, fetch


async def fetch_ahead() -> None:
    """Fetch the model and say how far it is."""
    async for step in fetch(SMOLLM2):
        sys.stdout.write(f"{step.text if isinstance(step, Activity) else f'the model is here: {step}'}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    try:
        asyncio.run(fetch_ahead())
    except EmbeddedModelError as error:
        sys.exit(str(error))
