"""Money: always USD, and always a Decimal. How it is shown, read, and kept as a whole number."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from .errors import ConfigError

MAX_USD = 1_000_000
"""The most that a user can set as a budget, or as a price of a million tokens."""
PICO = 10**12
"""Picodollars in a dollar. Databases keep these, since they add whole numbers exactly."""
_NOTHING = Decimal(0)


def format_usd(cost: Decimal | None) -> str:
    """A cost in USD with four digits, and as many more as a small one needs for two of its own; "—" when it
    is not known.

    >>> format_usd(Decimal("0.03124")), format_usd(None), format_usd(Decimal("0.00000151"))
    ('$0.0312', '—', '$0.0000015')
    >>> format_usd(Decimal("-1E-28"))
    '$0.0000'
    """
    return "—" if cost is None else _dollars(cost, 4)


def format_cents(amount: Decimal | float, *, exact: bool = False) -> str:
    """An amount of USD to the cent; with `exact`, four digits where it is not in whole cents. What is less
    than a cent is shown as what it is.

    >>> format_cents(1234.5), format_cents(Decimal("0.105"), exact=True), format_cents(Decimal("0.0031"))
    ('$1,234.50', '$0.1050', '$0.0031')
    """
    is_whole = not amount * 100 % 1
    return _dollars(Decimal(str(amount)), 2 if is_whole or not (exact or amount < 0.01) else 4)


def mark_usd(cost: Decimal | None, *, estimated: bool = False, is_lower_bound: bool = False) -> str:
    """A cost with its marks: "~" where it is of an estimate, "≥" where something of it has no price.

    >>> mark_usd(Decimal("0.5"), estimated=True), mark_usd(Decimal("0.5"), is_lower_bound=True)
    ('~$0.5000', '≥ $0.5000')
    """
    text = format_usd(cost)
    return text if cost is None else mark(text, estimated=estimated, is_lower_bound=is_lower_bound)


def mark(amount: str, *, estimated: bool, is_lower_bound: bool) -> str:
    """An amount with the marks that `mark_usd` has."""
    return ("≥ " if is_lower_bound else "") + ("~" if estimated else "") + amount


def _dollars(amount: Decimal, digits: int) -> str:
    # What is left of sums that cancel out is no amount, and has no sign.
    amount = round(amount, 12) + 0
    if 0 < abs(amount) < Decimal("0.00095"):
        # Not beyond what the ledger keeps.
        digits = min(12, 1 - amount.adjusted())
    return f"${amount:,.{digits}f}"


def read_usd(value: Any) -> Decimal | None:
    """The amount that a number or text from outside stands for, None where it is none that can be paid.

    >>> read_usd(0.25), read_usd("-1"), read_usd("NaN"), read_usd(True)
    (Decimal('0.25'), None, None, None)
    """
    try:
        amount = Decimal(str(value)) if isinstance(value, int | float | str) else None
    except InvalidOperation:
        return None
    return amount if amount is not None and amount.is_finite() and amount >= 0 else None


def parse_usd(text: Any, name: str) -> Decimal:
    """`text` as USD; `name` is what it is for. Raises ConfigError where it is no number from 0 to MAX_USD.

    >>> parse_usd("$0.50", "--budget")
    Decimal('0.50')
    """
    amount = read_usd(str(text).strip().lstrip("$"))
    if amount is None or amount > MAX_USD:
        raise ConfigError(f"{name} must be a number of USD from 0 to {MAX_USD:,}, not {str(text)!r:.40}.")
    return amount


def to_pico(amount: Decimal) -> int:
    """USD in picodollars, rounded."""
    return round(amount * PICO)


def from_pico(count: int) -> Decimal:
    """Picodollars in USD.

    >>> from_pico(to_pico(Decimal("0.0123456789")))
    Decimal('0.0123456789')
    """
    return (Decimal(count) / PICO).normalize() + 0 if count else _NOTHING
