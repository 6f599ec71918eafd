"""Environments of the hosted test server, and what all its resources share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from aiohttp import web
from anthropic.types.beta import (
    BetaEnvironment,
    BetaEnvironmentDeleteResponse,
    environment_create_params,
    environment_update_params,
)

from .hosted_types import check_request, check_response

if TYPE_CHECKING:
    from .hosted import HostedServer

Resource = dict[str, Any]
PACKAGE_MANAGERS = ("apt", "cargo", "gem", "go", "npm", "pip")


def add_routes(server: HostedServer) -> None:
    """Add the environments' endpoints to the server."""
    environments = server.environments

    def environment_of(request: web.Request) -> Resource:
        environment: Resource = found(environments, request.match_info["id"], "environment")
        return environment

    async def create_environment(request: web.Request) -> Any:
        body = check_request(environment_create_params.EnvironmentCreateParams, await server.body(request))
        if server.name_conflict and any(each["name"] == body["name"] for each in environments.values()):
            return server.error(server.name_conflict, "an environment of this name exists already", {})
        now = server.now()
        environment = {
            "type": "environment",
            "id": server.new_id("env"),
            "name": body["name"],
            "description": body.get("description"),
            "config": environment_config(body.get("config") or {"type": "cloud"}, {}),
            "metadata": metadata(body.get("metadata"), {}),
            "created_at": now,
            "updated_at": now,
            "archived_at": None,
        }
        environments[environment["id"]] = environment
        return check_response(BetaEnvironment, environment)

    async def retrieve_environment(request: web.Request) -> Any:
        return check_response(BetaEnvironment, environment_of(request))

    async def update_environment(request: web.Request) -> Any:
        environment = environment_of(request)
        body = check_request(environment_update_params.EnvironmentUpdateParams, await server.body(request))
        if environment["archived_at"]:
            raise web.HTTPBadRequest(text="the environment is archived")
        changes = {key: body[key] for key in ("name", "description") if key in body}
        if body.get("config"):
            changes["config"] = environment_config(body["config"], environment["config"])
        changes["metadata"] = metadata(body.get("metadata"), environment["metadata"])
        environment.update(changes, updated_at=server.now())
        return check_response(BetaEnvironment, environment)

    async def list_environments(request: web.Request) -> Any:
        newest = without_archived(request, reversed(environments.values()))
        return server.page(request, BetaEnvironment, newest, 20, 100)

    async def archive_environment(request: web.Request) -> Any:
        environment = environment_of(request)
        environment["archived_at"] = environment["archived_at"] or server.now()
        return check_response(BetaEnvironment, environment)

    async def delete_environment(request: web.Request) -> Any:
        used = {session.fields["environment_id"] for session in server.sessions.values()}
        if environment_of(request)["id"] in used:
            raise web.HTTPConflict(text="sessions use the environment; archive it")
        gone = environments.pop(environment_of(request)["id"])
        return check_response(
            BetaEnvironmentDeleteResponse, {"id": gone["id"], "type": "environment_deleted"}
        )

    server.route("POST", "/v1/environments", create_environment)
    server.route("GET", "/v1/environments", list_environments)
    server.route("GET", "/v1/environments/{id}", retrieve_environment)
    server.route("POST", "/v1/environments/{id}", update_environment)
    server.route("DELETE", "/v1/environments/{id}", delete_environment)
    server.route("POST", "/v1/environments/{id}/archive", archive_environment)


def found(store: dict[str, Any], key: str, kind: str) -> Any:
    if key not in store:
        raise web.HTTPNotFound(text=f"{kind} {key} was not found")
    return store[key]


def without_archived(request: web.Request, resources: Iterable[Resource]) -> list[Resource]:
    """The resources, without those that are archived unless the request includes them."""
    wanted = request.query.get("include_archived") == "true"
    return [each for each in resources if wanted or not each["archived_at"]]


def environment_of_session(key: str, environments: dict[str, Resource]) -> Resource:
    environment: Resource = found(environments, key, "environment")
    if environment["archived_at"]:
        raise web.HTTPBadRequest(text="the environment is archived; a new session cannot use it")
    return environment


def present(params: Resource) -> Resource:
    return {key: value for key, value in params.items() if value is not None}


def metadata(patch: dict[str, str | None] | None, current: dict[str, str]) -> dict[str, str]:
    """The metadata after a patch: a key of None goes, any other is set."""
    merged = {key: value for key, value in (current | (patch or {})).items() if value is not None}
    if len(merged) > 16 or any(len(key) > 64 or len(value) > 512 for key, value in merged.items()):
        text = "metadata: at most 16 keys of up to 64 characters, with values of up to 512"
        raise web.HTTPBadRequest(text=text)
    return merged


def environment_config(params: Resource, current: Resource) -> Resource:
    """The whole configuration; what a request leaves out stays as it is, or is the default when new."""
    if params["type"] == "self_hosted":
        return {"type": "self_hosted"}
    networking = params.get("networking") or current.get("networking") or {"type": "unrestricted"}
    if networking["type"] == "limited":
        closed = {"allow_mcp_servers": False, "allow_package_managers": False, "allowed_hosts": []}
        networking = closed | present(networking)
    packages = {"type": "packages", **{manager: [] for manager in PACKAGE_MANAGERS}}
    packages |= current.get("packages", {}) | present(params.get("packages") or {})
    asks_for_any = any(packages[manager] for manager in PACKAGE_MANAGERS)
    if asks_for_any and networking["type"] == "limited" and not networking["allow_package_managers"]:
        text = "config.packages: limited networking needs allow_package_managers to be true"
        raise web.HTTPBadRequest(text=text)
    return {"type": "cloud", "networking": networking, "packages": packages}
