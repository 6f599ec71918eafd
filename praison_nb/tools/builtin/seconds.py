"""A limit of time that the model gives with its call."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

SHORTEST = 0.1
LONGEST = 3600.0

Seconds = Annotated[float, Field(allow_inf_nan=False)]
"""A parameter's type. A limit that is no number would never come."""


def limited(seconds: float) -> float:
    """`seconds`, or the next that we allow.

    >>> limited(-1), limited(5), limited(1e9)
    (0.1, 5, 3600.0)
    """
    return min(max(seconds, SHORTEST), LONGEST)
