"""The SDKs' HTTP clients as we use them: what is asked of one server goes to no other."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from ..redaction import logs

if TYPE_CHECKING:
    import httpx2

MOST_REDIRECTS = 5


def client(kind: type[httpx2.AsyncClient], **options: Any) -> httpx2.AsyncClient:
    """A client of the SDK's own `kind` that follows redirects to the same scheme, host and port only; any
    other 3xx is the answer. It logs no secrets."""
    logs.guard()
    return _same_origin(kind)(**options)  # type: ignore[arg-type]


@functools.cache
def _same_origin(kind: type[httpx2.AsyncClient]) -> type[httpx2.AsyncClient]:
    class SameOriginClient(kind):  # type: ignore[valid-type, misc]
        async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
            options["follow_redirects"] = False
            response: httpx2.Response = await super().send(request, **options)
            for _ in range(MOST_REDIRECTS):
                following = response.next_request
                if following is None or _origin(following.url) != _origin(request.url):
                    break
                await response.aclose()
                request = following
                response = await super().send(request, **options)
            return response

    return SameOriginClient


def _origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    """Scheme, host and port: the URL of openai's SDK before 3.0, which is httpx's, has no `origin`."""
    return url.scheme, url.host, url.port
