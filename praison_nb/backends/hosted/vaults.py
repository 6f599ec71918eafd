"""Vaults: what a session's agent may log in with, kept by the server. A credential goes there and never comes
back; from then on it is a secret in all texts of this process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ... import redaction
from ...errors import ConfigError
from ..arguments import check_options
from . import names
from .base import HostedBase
from .client import all_pages

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

PUBLIC = frozenset(
    (
        "type", "mcp_server_url", "secret_name", "networking", "injection_location", "expires_at",
        "client_id", "token_endpoint", "resource", "scope",
    )
)  # fmt: skip
"""What in a credential is no secret, and neither is what is in it."""


class VaultMethods(HostedBase):
    """What one asks about vaults and their credentials. A vault is named by its id or its name."""

    def create_vault(self, name: str, metadata: Mapping[str, str] | None = None) -> str:
        """Make a vault and return its id, for `vault_ids` of a config."""
        more = _metadata(metadata)

        async def create(client: AsyncAnthropic) -> str:
            vaults = client.with_options(max_retries=0).beta.vaults
            return (await vaults.create(display_name=name, **more)).id

        return self._ask(create)

    def list_vaults(self, limit: int | None = None, **options: Any) -> list[dict[str, Any]]:
        """The vaults on the server, as dicts. `options` are the API's filters (include_archived)."""

        async def listed(client: AsyncAnthropic) -> list[dict[str, Any]]:
            check_options("list_vaults", options, client.beta.vaults.list)
            return [_public(each) async for each in all_pages(client.beta.vaults.list(**options), limit)]

        return self._ask(listed)

    def delete_vault(self, vault: str) -> None:
        """Delete a vault with its credentials."""

        async def delete(client: AsyncAnthropic) -> None:
            await client.beta.vaults.delete(await names.find(client, names.VAULT, vault))

        self._ask(delete, _label(vault))

    def create_credential(
        self,
        vault: str,
        auth: Mapping[str, Any],
        *,
        name: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Put a credential into a vault, and return it as the server shows it: without its secret. `auth` is
        as the API has it, one of

        - `{"type": "static_bearer", "token": …, "mcp_server_url": …}`,
        - `{"type": "mcp_oauth", "access_token": …, "mcp_server_url": …}`, with `expires_at` and `refresh`,
        - `{"type": "environment_variable", "secret_name": …, "secret_value": …, "networking": {"type":
          "limited", "allowed_hosts": […]}}`.

        Raises ConfigError where it is none, without a word of the secret."""
        if not isinstance(auth, Mapping):
            raise ConfigError("auth must be a dict with a type, as the API has it.")
        for secret in _secrets(auth):
            redaction.register(secret, "a vault's credential", may_be_word=True)
        from ..validation import check
        from .validate import CredentialSettings

        check(CredentialSettings, {"auth": dict(auth)}, ["auth"])
        more: Any = {"display_name": name} if name else {}
        more |= _metadata(metadata)

        async def create(client: AsyncAnthropic) -> dict[str, Any]:
            vault_id = await names.find(client, names.VAULT, vault)
            credentials = client.with_options(max_retries=0).beta.vaults.credentials
            given: Any = auth
            return _public(await credentials.create(vault_id, auth=given, **more))

        return self._ask(create, _label(vault))

    def list_credentials(self, vault: str, limit: int | None = None) -> list[dict[str, Any]]:
        """The credentials of a vault, as dicts without their secrets."""

        async def listed(client: AsyncAnthropic) -> list[dict[str, Any]]:
            pages = client.beta.vaults.credentials.list(await names.find(client, names.VAULT, vault))
            return [_public(each) async for each in all_pages(pages, limit)]

        return self._ask(listed, _label(vault))

    def delete_credential(self, vault: str, credential_id: str) -> None:
        """Delete a credential of a vault."""

        async def delete(client: AsyncAnthropic) -> None:
            vault_id = await names.find(client, names.VAULT, vault)
            await client.beta.vaults.credentials.delete(credential_id, vault_id=vault_id)

        self._ask(delete, f"the credential {credential_id} of {_label(vault)}")


def _metadata(metadata: Any) -> dict[str, Any]:
    if metadata is not None and not isinstance(metadata, Mapping):
        raise ConfigError("metadata must be a dict of texts.")
    return {"metadata": dict(metadata)} if metadata else {}


def _secrets(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if name not in PUBLIC:
                yield from _secrets(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _secrets(inner)
    elif isinstance(value, str):
        yield value


def _public(resource: Any) -> dict[str, Any]:
    made: dict[str, Any] = redaction.redact_value(resource.to_dict(mode="json"))
    return made


def _label(vault: str) -> str:
    return f"the vault {vault}"
