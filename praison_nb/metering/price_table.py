"""The price table: that of genai-prices, or a newer one that the user fetched (`%agent prices update`).

Nothing here asks a network but `update`, and nothing but the user calls that.
"""

from __future__ import annotations

import functools
import json
import os
import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from ..imports import rare_collections
from ..storage import data_folder, replacing

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot

SECONDS = 20.0
"""For a newer table to come."""


def path() -> Path:
    """Where a table that was fetched is kept: in the user's data directory, or `PRAISON_NB_PRICE_TABLE`."""
    return _path(os.environ.get("PRAISON_NB_PRICE_TABLE"), data_folder())


@functools.lru_cache(maxsize=1)
def _path(named: str | None, folder: Path) -> Path:
    return Path(named).expanduser() if named else folder / "price-table.json"


def snapshot() -> DataSnapshot:
    """The table that counts: the newer one of the package's and the user's."""
    return _current()[0]


def source() -> str:
    """Which table that is, and its date: "genai-prices 0.2.3 (2026-11-20)"."""
    return _current()[1]


def is_listed(model: str, provider: str) -> bool:
    """Whether the table has that model of that provider."""
    return _is_listed(model, provider, version())


@functools.lru_cache(maxsize=1024)
def _is_listed(model: str, provider: str, version: object) -> bool:
    # The table remembers what it knows, and looks through all of itself for the rest.
    try:
        snapshot().find_provider_model(model, None, provider, None)
    except LookupError:
        return False
    return True


def provider_id(name: str) -> str:
    """The table's id for a provider's name, "" where it knows none."""
    try:
        return str(snapshot().find_provider(None, name, None).id)
    except LookupError:
        return ""


def provider_at(address: str) -> str:
    """The table's id for the provider whose address this is, "" for an address of nobody's.

    >>> provider_at("https://api.z.ai/api/paas/v4"), provider_at("http://127.0.0.1:8000/v1")
    ('zai', '')
    """
    for provider in snapshot().providers:
        match = re.match(provider.api_pattern, address)
        # A pattern says how an address begins: its host may be longer.
        if match and (
            match[0][-1:] in "./:" or address[match.end() : match.end() + 1] in ("", "/", ":", "?")
        ):
            return str(provider.id)
    return ""


def update(url: str = "") -> str:
    """Fetch the newest table from genai-prices' own address, or `url`, keep it, and return its `source`.
    Raises ConfigError where there is none to be had; the table that was stays."""
    import httpx2
    from genai_prices.update_prices import DEFAULT_UPDATE_URL

    address, file = url or DEFAULT_UPDATE_URL, path()
    try:
        answer = httpx2.get(address, timeout=SECONDS, follow_redirects=True)
        answer.raise_for_status()
        text = answer.text
        _read(text)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ConfigError(f"No newer price table: {reason:.200}. {source()} goes on to count.") from error
    try:
        with replacing(file) as new:
            new.write(text.encode())
    except OSError as error:
        raise ConfigError(f"The price table cannot be kept in {file}: {error}.") from error
    return source()


def version() -> tuple[Path, int] | None:
    """Of a table that was fetched the file and when it was written, None where only the package's counts."""
    file = path()
    try:
        return file, os.stat(file).st_mtime_ns
    except OSError:
        return None


def _current() -> tuple[DataSnapshot, str]:
    fetched = version()
    return _bundled() if fetched is None else _fetched(*fetched)


@functools.lru_cache(maxsize=2)
def _fetched(file: Path, stamp: int) -> tuple[DataSnapshot, str]:
    """The table in the file, where it is newer than the package's and can be read."""
    bundled, name = _bundled()
    try:
        found = _read(file.read_text("utf-8"))
    except Exception:
        return bundled, name
    if _newest(found) < _newest(bundled):
        return bundled, name
    day = datetime.fromtimestamp(stamp / 1e9, UTC).date()
    return found, f"genai-prices, fetched {day}"


@functools.cache
@rare_collections()
def _bundled() -> tuple[DataSnapshot, str]:
    import genai_prices
    from genai_prices.data import providers
    from genai_prices.data_snapshot import DataSnapshot

    found = DataSnapshot(providers=providers, from_auto_update=False)
    return found, f"genai-prices {genai_prices.__version__} ({_newest(found)})"


def _read(text: str) -> DataSnapshot:
    from genai_prices.data_snapshot import DataSnapshot

    # The package has no public reader for what it fetches.
    from genai_prices.types import _providers_from_raw

    found = DataSnapshot(providers=_providers_from_raw(json.loads(text)), from_auto_update=True)
    if not any(provider.models for provider in found.providers):
        raise ValueError("it holds no prices")
    return found


def _newest(table: DataSnapshot) -> date:
    """The day of the newest price that counts by now: the table itself has no date."""
    today = datetime.now(UTC).date()
    days = (
        getattr(price.constraint, "start_date", None)
        for provider in table.providers
        for model in provider.models
        for price in _dated(model.prices)
    )
    return max((day for day in days if day is not None and day <= today), default=date.min)


def _dated(prices: Any) -> Any:
    return prices if isinstance(prices, list) else ()
