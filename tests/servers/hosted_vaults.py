"""Vaults with credentials, memory stores and skills of the hosted test server. What is secret is never given
back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web
from anthropic.types.beta import (
    BetaManagedAgentsDeletedVault,
    BetaManagedAgentsMemoryStore,
    BetaManagedAgentsVault,
    BetaSkill,
    vault_create_params,
)
from anthropic.types.beta.vaults import (
    BetaManagedAgentsCredential,
    BetaManagedAgentsDeletedCredential,
    credential_create_params,
)

from .hosted_resources import Resource, found, metadata, without_archived
from .hosted_types import check_request, check_response

if TYPE_CHECKING:
    from .hosted import HostedServer

SKILLS_BETA = "skills-2025-10-02"
MEMORY_BETAS = ("agent-memory-2026-07-22", "managed-agents-2026-04-01")
MOST_CREDENTIALS = 20
KEYS = ("secret_name", "mcp_server_url")
"""Which of them a vault has once."""
SECRETS = ("token", "access_token", "secret_value")


def add_routes(server: HostedServer) -> None:
    """Add their endpoints to the server."""

    def vault_of(request: web.Request) -> Resource:
        vault: Resource = found(server.vaults, request.match_info["id"], "vault")
        return vault

    async def create_vault(request: web.Request) -> Any:
        body = check_request(vault_create_params.VaultCreateParams, await server.body(request))
        vault = {
            **_new(server, "vault", "vlt"),
            "display_name": body["display_name"],
            "metadata": metadata(body.get("metadata"), {}),
        }
        server.vaults[vault["id"]] = vault
        server.credentials[vault["id"]] = {}
        return check_response(BetaManagedAgentsVault, vault)

    async def list_vaults(request: web.Request) -> Any:
        vaults = without_archived(request, server.vaults.values())
        return server.page(request, BetaManagedAgentsVault, vaults, 20, 100)

    async def delete_vault(request: web.Request) -> Any:
        gone = server.vaults.pop(vault_of(request)["id"])
        return check_response(BetaManagedAgentsDeletedVault, {"id": gone["id"], "type": "vault_deleted"})

    async def create_credential(request: web.Request) -> Any:
        vault, data = vault_of(request), await server.body(request)
        body = check_request(credential_create_params.CredentialCreateParams, data)
        there, auth = server.credentials[vault["id"]], dict(body["auth"])
        key = auth.get("secret_name") or auth["mcp_server_url"]
        taken = [each["auth"].get(name) for each in there.values() for name in KEYS]
        if key in taken:
            # As a careless server has it.
            return server.error(409, f"the vault has a credential for {key} already: {data}", {})
        if len(there) >= MOST_CREDENTIALS:
            raise web.HTTPBadRequest(text=f"a vault has {MOST_CREDENTIALS} credentials at most")
        shown = {name: value for name, value in auth.items() if name not in (*SECRETS, "refresh")}
        if auth["type"] == "environment_variable":
            shown.setdefault("injection_location", {"body": True, "header": True})
        credential = {
            **_new(server, "vault_credential", "vcrd"),
            "vault_id": vault["id"],
            "auth": shown,
            "display_name": body.get("display_name"),
            "metadata": metadata(body.get("metadata"), {}),
        }
        there[credential["id"]] = credential
        return check_response(BetaManagedAgentsCredential, credential)

    async def list_credentials(request: web.Request) -> Any:
        credentials = list(server.credentials[vault_of(request)["id"]].values())
        return server.page(request, BetaManagedAgentsCredential, credentials, 20, 100)

    async def delete_credential(request: web.Request) -> Any:
        there = server.credentials[vault_of(request)["id"]]
        gone = found(there, request.match_info["credential"], "credential")
        del there[gone["id"]]
        return check_response(
            BetaManagedAgentsDeletedCredential, {"id": gone["id"], "type": "vault_credential_deleted"}
        )

    async def list_stores(request: web.Request) -> Any:
        stores = without_archived(request, server.memory_stores.values())
        return server.page(request, BetaManagedAgentsMemoryStore, stores, 20, 100)

    async def list_skills(request: web.Request) -> Any:
        return server.page(request, BetaSkill, list(server.skills.values()), 20, 1000)

    server.route("POST", "/v1/vaults", create_vault)
    server.route("GET", "/v1/vaults", list_vaults)
    server.route("DELETE", "/v1/vaults/{id}", delete_vault)
    server.route("POST", "/v1/vaults/{id}/credentials", create_credential)
    server.route("GET", "/v1/vaults/{id}/credentials", list_credentials)
    server.route("DELETE", "/v1/vaults/{id}/credentials/{credential}", delete_credential)
    server.route("GET", "/v1/memory_stores", list_stores, MEMORY_BETAS)
    server.route("GET", "/v1/skills", list_skills, (SKILLS_BETA,))


def add_store(server: HostedServer, name: str) -> str:
    """A memory store that somebody made; its id."""
    store = {**_new(server, "memory_store", "memstore"), "name": name, "description": "", "metadata": {}}
    server.memory_stores[store["id"]] = store
    return str(store["id"])


def add_skill(server: HostedServer, name: str, skill_id: str = "", source: str = "custom") -> str:
    """A skill that somebody made, or with the source "anthropic" one that comes with the API; its id."""
    now = server.now()
    skill = {
        "type": "skill",
        "id": skill_id or server.new_id("skill"),
        "display_name": name,
        "source": {"type": source},
        "latest_version_id": "1",
        "created_at": now,
        "updated_at": now,
    }
    server.skills[skill["id"]] = skill
    return skill["id"]


def check_attached(server: HostedServer, body: dict[str, Any]) -> None:
    """Answer 404 where a session would have a vault or a memory store that there is not."""
    for vault in body.get("vault_ids") or ():
        found(server.vaults, vault, "vault")
    stores = [each for each in body.get("resources") or () if each["type"] == "memory_store"]
    for store in stores:
        found(server.memory_stores, store["memory_store_id"], "memory store")
    if len(stores) > 8:
        raise web.HTTPBadRequest(text="resources: at most 8 memory stores")


def _new(server: HostedServer, kind: str, prefix: str) -> dict[str, Any]:
    now = server.now()
    fields = {"type": kind, "id": server.new_id(prefix), "archived_at": None}
    return {**fields, "created_at": now, "updated_at": now}
