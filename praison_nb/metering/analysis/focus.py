"""The ledger as charges of FOCUS 1.2, the FinOps Open Cost and Usage Specification: a row for each request,
and one for what a turn cost beyond its requests. Costs add up to those of the ledger."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from ..tags import decoded
from . import keys

if TYPE_CHECKING:
    import pandas as pd

_COSTS = ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost")


def charges(requests: pd.DataFrame, turns: pd.DataFrame) -> pd.DataFrame:
    """Charges of `usage(by="request")` and `usage()`. What has no price has a cost of 0, which FOCUS wants,
    and False in `x_CostIsKnown`.

    >>> import tempfile
    >>> from praison_nb import usage
    >>> path = usage.example(f"{tempfile.mkdtemp()}/sample.sqlite", turns=50)
    >>> turns = usage(ledger=path)
    >>> table = charges(usage(ledger=path, by="request"), turns)
    >>> bool(abs(table["BilledCost"].sum() - turns["known_cost"].sum()) < 1e-9)
    True
    """
    import pandas as pd

    beyond = turns[turns["extra_cost"] != 0]
    parts = [
        _charges(requests, requests["cost"], "Tokens", "model usage"),
        _charges(beyond, beyond["extra_cost"], "Sessions", "session time"),
    ]
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)


def _charges(frame: pd.DataFrame, cost: pd.Series[Any], unit: str, what: str) -> pd.DataFrame:
    import pandas as pd

    # FOCUS has its times in UTC.
    times = frame["time"].dt.tz_convert("UTC")
    # A period is in whole seconds, and not empty.
    seconds = frame["seconds"].astype("float64").fillna(0.0).clip(lower=1.0).map(math.ceil)
    ends = times + pd.to_timedelta(seconds, unit="s")
    month = keys.begun(times, "month")
    provider = frame["provider"].astype(str).replace("", "own server")
    count: Any = frame["input_tokens"] + frame["output_tokens"] if unit == "Tokens" else 1
    model, tier = frame["model"].astype(str), frame["service_tier"].astype(str)
    columns: dict[str, Any] = dict.fromkeys(_COSTS, cost.astype("float64").fillna(0.0))
    columns |= {
        "BillingAccountId": provider,
        "BillingAccountName": provider,
        "BillingCurrency": "USD",
        "BillingPeriodStart": _iso(month),
        "BillingPeriodEnd": _iso(month + pd.offsets.MonthBegin(1)),
        "ChargeCategory": "Usage",
        "ChargeClass": None,
        "ChargeDescription": f"{what}: " + model,
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodStart": _iso(times),
        "ChargePeriodEnd": _iso(ends),
        "ConsumedQuantity": count,
        "ConsumedUnit": unit,
        "InvoiceIssuerName": provider,
        "PricingCategory": "Standard",
        "PricingQuantity": count,
        "PricingUnit": unit,
        "ProviderName": provider,
        "PublisherName": provider,
        "ResourceId": frame["session_id"].astype(str),
        "ResourceName": frame["session"].astype(str),
        "ResourceType": "Session",
        "ServiceCategory": "AI and Machine Learning",
        "ServiceSubcategory": "Generative AI",
        "ServiceName": model,
        "SkuId": model,
        "SkuPriceId": model + ("/" + tier).where(tier != "", ""),
        "Tags": [json.dumps(decoded(text)) for text in frame["tags"].astype(str)],
        "x_CostIsKnown": cost.notna(),
        "x_CostSource": frame["cost_source"].astype(str),
        "x_IsEstimated": frame["estimated"],
        "x_InputTokens": frame["input_tokens"],
        "x_CachedInputTokens": frame["cache_read_input_tokens"],
        "x_OutputTokens": frame["output_tokens"],
        "x_User": frame["user"].astype(str),
        "x_Notebook": frame["notebook"].astype(str),
        "x_Cell": frame["cell"].astype(str),
    }
    return pd.DataFrame(columns, index=frame.index)[sorted(columns)]


def _iso(times: pd.Series[Any]) -> pd.Series[Any]:
    written: pd.Series[Any] = times.dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    return written
