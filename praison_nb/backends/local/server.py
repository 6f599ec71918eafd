"""Where the requests of an agent go."""

from __future__ import annotations

from dataclasses import dataclass, field

from ... import redaction
from ...metering.price_table import provider_at
from ..config_base import check_address
from ..sdk_errors import Where
from .address import host_of, is_private
from .rules import STRICTEST, WireName
from .wires.base import Rules


@dataclass(frozen=True, slots=True)
class Server:
    """Where the requests of an agent go, and what is asked of them there.

    - `base_url` ends where a wire's path begins; `model` is the name that the server knows.
    - `context` is how many tokens it takes, None where only the price table may know.
    - `provider` is whose server it is, "" for an address that is nobody's we know: then its rules are the
      strictest, and its prices are not known (`prices` is "").
    - `runs_here` is what it is, where it runs by itself on a machine of one's own ("ollama"), else "".
    """

    name: str
    base_url: str = field(repr=False)
    model: str
    key_variable: str = ""
    prices: str = ""
    api_key: str = field(default="", repr=False)
    provider: str = ""
    wire: WireName = "chat"
    rules: Rules = STRICTEST["chat"]
    context: int | None = None
    runs_here: str = ""

    def __post_init__(self) -> None:
        redaction.register(self.api_key, self.key_variable or f"the key for {self.name}")
        check_address(self.base_url, "base_url")
        redaction.register_address(self.base_url)

    @property
    def payee(self) -> str:
        """Who is paid, by the meter's names: whose address it is by the table of providers here, else by
        that of prices; a name of `metering.prices.LOCAL` where it is nobody, "" where it is not known.

        >>> from praison_nb.backends.local.providers import resolve
        >>> resolve("ollama/qwen3").payee, resolve("ollama/gpt-oss:120b-cloud").payee
        ('ollama', 'ollama-cloud')
        """
        if self.runs_here:
            if self.model.endswith(("-cloud", ":cloud")):
                return f"{self.runs_here}-cloud"
            return self.runs_here if is_private(self.base_url) else ""
        return self.prices or ("" if is_private(self.base_url) else provider_at(self.base_url))

    @property
    def where(self) -> Where:
        """For error messages."""
        variable = self.key_variable or "api_key="
        return Where(self.name, self.base_url, self.model, variable)

    @property
    def origin(self) -> str:
        """Whose opaque items may be sent to it: "PROVIDER/MODEL", at an address that is nobody's we know
        "HOST/MODEL".

        >>> from praison_nb.backends.local.providers import resolve
        >>> resolve("mistral/mistral-small-latest", api_key="k").origin
        'mistral/mistral-small-latest'
        """
        return f"{self.provider or host_of(self.base_url)}/{self.model}"
