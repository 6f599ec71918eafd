"""The ledger's rows under the attribute names of OpenTelemetry's GenAI conventions, for tools that know them.
What the conventions have no name for is under `praison_nb.`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

ATTRIBUTES = {
    "time": "timestamp",
    "user": "user.name",
    "notebook": "praison_nb.notebook",
    "cell": "praison_nb.cell",
    "session": "praison_nb.session",
    "session_id": "gen_ai.conversation.id",
    "backend": "praison_nb.backend",
    "provider": "gen_ai.provider.name",
    "model": "gen_ai.response.model",
    "stop_reason": "gen_ai.response.finish_reasons",
    "error": "error.type",
    "status": "praison_nb.status",
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cache_read_input_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_creation_input_tokens": "gen_ai.usage.cache_creation.input_tokens",
    "cache_write_5m_input_tokens": "praison_nb.usage.cache_creation_5m.input_tokens",
    "cache_write_1h_input_tokens": "praison_nb.usage.cache_creation_1h.input_tokens",
    "reasoning_output_tokens": "gen_ai.usage.reasoning.output_tokens",
    "uncached_input_tokens": "praison_nb.usage.uncached.input_tokens",
    "estimated": "praison_nb.usage.estimated",
    "cost": "praison_nb.cost.usd",
    "cost_source": "praison_nb.cost.source",
    "price_source": "praison_nb.cost.price_source",
    "fees": "praison_nb.cost.fees_usd",
    "estimated_cost": "praison_nb.cost.estimated_usd",
    "is_lower_bound": "praison_nb.cost.is_lower_bound",
    "reserved": "praison_nb.cost.reserved_usd",
    "state": "praison_nb.state",
    "service_tier": "praison_nb.service_tier",
    "tags": "praison_nb.tags",
    "seconds": "gen_ai.client.operation.duration",
    "first_text_seconds": "gen_ai.response.time_to_first_chunk",
    "requests": "praison_nb.requests",
    "unpriced_requests": "praison_nb.unpriced_requests",
    "known_cost": "praison_nb.cost.known_usd",
    "list_cost": "praison_nb.session.list_cost.usd",
    "active_seconds": "praison_nb.session.active_seconds",
    "turn": "praison_nb.turn",
}
"""Our column → the attribute. All input tokens, cached or not, are in `gen_ai.usage.input_tokens`."""


def renamed(frame: pd.DataFrame) -> pd.DataFrame:
    """`frame` (of `praison_nb.usage()`) with the attributes' names."""
    more = frame.assign(
        cache_creation_input_tokens=frame["cache_write_5m_input_tokens"]
        + frame["cache_write_1h_input_tokens"]
    )
    operation = "invoke_agent" if "requests" in frame else "chat"
    named = more[[name for name in ATTRIBUTES if name in more]].rename(columns=ATTRIBUTES)
    return named.assign(**{"gen_ai.operation.name": operation})


def write(frame: pd.DataFrame, path: str, kind: str) -> Path:
    """Write `frame` as "csv" or "parquet" under those names and return the file. Raises ConfigError."""
    file = Path(path).expanduser()
    try:
        if kind == "csv":
            renamed(frame).to_csv(file, index=False)
        else:
            renamed(frame).to_parquet(file, index=False)
    except ImportError:
        raise ConfigError(
            "Parquet needs pyarrow: pip install 'praison-nb[analysis]', or write --csv."
        ) from None
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror or error}.") from error
    return file
