"""Files of the hosted test server: what is uploaded and mounted, and what a session's agent wrote.

    server.script([builtin_tool("bash", …, result="done"), wrote("plot.png", png), text("See the plot.")])

As on the API a file that was uploaded cannot be downloaded, a mounted one is a copy with another id, and what
an agent wrote is listed only a while after it was written: `server.files_late` more requests find nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from email import message_from_bytes
from email.policy import HTTP
from typing import TYPE_CHECKING, Any

from aiohttp import web
from anthropic.types.beta import BetaDeletedFile, BetaFileMetadata

from .hosted_resources import found
from .hosted_session import Session, Step
from .hosted_types import check_response

if TYPE_CHECKING:
    from .hosted import HostedServer

FILES_BETA = "files-api-2025-04-14"
SESSIONS_BETA = "managed-agents-2026-04-01"
MOST_FILES = 999
KINDS = {".png": "image/png", ".csv": "text/csv", ".jpg": "image/jpeg", ".parquet": "application/x-parquet"}


@dataclass
class File:
    """A file; `scope` is the session that it belongs to, `late` how many requests do not see it yet."""

    metadata: dict[str, Any]
    data: bytes
    scope: str = ""
    late: int = 0


def wrote(name: str, data: bytes) -> Step:
    """The agent writes a file to /mnt/session/outputs."""

    async def play(session: Session) -> None:
        add_file(session.server, name, data, session.id, downloadable=True, late=session.server.files_late)

    return play


def add_file(
    server: HostedServer, name: str, data: bytes, scope: str = "", *, downloadable: bool, late: int = 0
) -> dict[str, Any]:
    metadata = {
        "type": "file",
        "id": server.new_id("file"),
        "filename": name,
        "mime_type": KINDS.get(name[name.rfind(".") :], "application/octet-stream"),
        "size_bytes": len(data),
        "created_at": server.now(),
        "downloadable": downloadable,
        **({"scope": {"type": "session", "id": scope}} if scope else {}),
    }
    server.files[metadata["id"]] = File(metadata, data, scope, late)
    server.changed()
    return check_response(BetaFileMetadata, metadata)


def mount(server: HostedServer, scope: str, params: Mapping[str, Any], others: list[Any]) -> dict[str, Any]:
    """The resource of a session for a file that was uploaded. `others` are those it has."""
    path = params.get("mount_path") or f"/mnt/session/uploads/{params['file_id']}"
    if not path.startswith("/"):
        raise web.HTTPBadRequest(text="resources: mount_path must be absolute")
    if any(each.get("mount_path") == path for each in others):
        raise web.HTTPBadRequest(text=f"resources: two are mounted at {path}")
    if sum(each["type"] == "file" for each in others) >= MOST_FILES:
        raise web.HTTPBadRequest(text=f"resources: at most {MOST_FILES} files")
    file = found(server.files, params["file_id"], "file")
    copy = add_file(server, file.metadata["filename"], file.data, scope, downloadable=False)
    now = server.now()
    return {
        "type": "file",
        "id": server.new_id("sesrsc"),
        "file_id": copy["id"],
        "mount_path": path,
        "created_at": now,
        "updated_at": now,
    }


def add_routes(server: HostedServer) -> None:
    """Add the endpoints of files, and of the resources of a session."""

    def file_of(request: web.Request) -> File:
        file: File = found(server.files, request.match_info["id"], "file")
        return file

    def session_of(request: web.Request) -> Session:
        session: Session = found(server.sessions, request.match_info["id"], "session")
        return session

    async def upload(request: web.Request) -> Any:
        # The body is read already, for the record.
        head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
        form = message_from_bytes(head + await request.read(), policy=HTTP)
        parts = {part.get_param("name", header="content-disposition"): part for part in form.iter_parts()}
        if (part := parts.get("file")) is None or not (name := part.get_filename()):
            raise web.HTTPBadRequest(text="file: a file is required")
        if not 1 <= len(name) <= 255 or any(each in '<>:"|?*\\/' or each < " " for each in name):
            raise web.HTTPBadRequest(text="file: the filename is 1 to 255 characters, without a path")
        return add_file(server, name, part.get_payload(decode=True), downloadable=False)

    async def list_files(request: web.Request) -> Any:
        scope = request.query.get("scope_id", "")
        if scope and SESSIONS_BETA not in request.headers["anthropic-beta"].split(","):
            raise web.HTTPBadRequest(text="scope_id: Extra inputs are not permitted")
        listed = []
        for file in reversed(server.files.values()):
            if file.scope == scope or (file.scope and server.lists_all_files):
                file.late -= 1
                if file.late < 0:
                    listed.append(file.metadata)
        return server.page(request, BetaFileMetadata, listed, 20, 1000)

    async def retrieve(request: web.Request) -> Any:
        return check_response(BetaFileMetadata, file_of(request).metadata)

    async def content(request: web.Request) -> web.StreamResponse:
        file = file_of(request)
        if not file.metadata["downloadable"]:
            raise web.HTTPBadRequest(text="File is not downloadable: only files that agents made are")
        stream = await server.stream(request, "application/octet-stream")
        await stream.write(file.data)
        return stream.response

    async def delete(request: web.Request) -> Any:
        file = file_of(request)
        del server.files[file.metadata["id"]]
        return check_response(BetaDeletedFile, {"id": file.metadata["id"], "type": "file_deleted"})

    async def add_resource(request: web.Request) -> Any:
        session, body = session_of(request), await server.body(request)
        if body["type"] != "file":
            raise web.HTTPBadRequest(text="type: only a file can be added to a session")
        made = mount(server, session.id, body, session.fields["resources"])
        session.fields["resources"] = [*session.fields["resources"], made]
        return made

    async def list_resources(request: web.Request) -> Any:
        return server.page(request, None, session_of(request).fields["resources"], 20, 1000)

    server.route("POST", "/v1/files", upload, (FILES_BETA,))
    server.route("GET", "/v1/files", list_files, (FILES_BETA,))
    server.route("GET", "/v1/files/{id}", retrieve, (FILES_BETA,))
    server.route("GET", "/v1/files/{id}/content", content, (FILES_BETA,))
    server.route("DELETE", "/v1/files/{id}", delete, (FILES_BETA,))
    server.route("POST", "/v1/sessions/{id}/resources", add_resource)
    server.route("GET", "/v1/sessions/{id}/resources", list_resources)
