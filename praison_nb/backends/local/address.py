"""Addresses of servers, and whose they are."""

from __future__ import annotations

import functools
import ipaddress
import re
from urllib.parse import urlsplit

# To listen on all of a machine's addresses; whoever asks means this machine.
_LISTENING = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}
_PORTS = {"https": 443, "http": 80}


def ollama_address(value: str) -> str:
    """Where Ollama is, by its own variable, which may lack scheme, host and port.

    >>> ollama_address("gpu-box"), ollama_address(":11500"), ollama_address("::")
    ('http://gpu-box:11434', 'http://127.0.0.1:11500', 'http://[::1]:11434')
    """
    value = value.strip().strip("\"'").strip()
    scheme, _, rest = value.rpartition("://")
    usual = _PORTS.get(scheme.lower(), 11434)
    place, slash, path = rest.partition("/")
    user, at, place = place.rpartition("@")
    host, _, port = place.rpartition(":") if not _is_ipv6(place) and ":" in place else (place, "", "")
    host = f"[{host.strip('[]')}]" if _is_ipv6(host) else host
    number = int(port) if port.isdecimal() and int(port) < 65536 else usual
    host = _LISTENING.get(host, host)
    return f"{scheme or 'http'}://{user}{at}{host}:{number}{slash}{path}".rstrip("/")


def _is_ipv6(host: str) -> bool:
    if host.startswith("[") != host.endswith("]"):
        # With a port behind it, which would pass for a part of a zone.
        return False
    try:
        return ipaddress.ip_address(host.strip("[]")).version == 6
    except ValueError:
        return False


def host_of(address: str) -> str:
    """Host and port, without a user's name and password."""
    return re.split(r"[/?#]", address.split("://")[-1])[0].rpartition("@")[2]


def is_private(address: str) -> bool:
    """Whether the address is of this machine, or of one in the same house.

    >>> is_private("http://gpu-box:11434"), is_private("http://10.0.0.7:1234/v1"), is_private("https://ollama.com")
    (True, True, False)
    """
    try:
        host = urlsplit(address).hostname or ""
    except ValueError:
        return False
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return "." not in host or host.endswith((".local", ".localhost", ".lan", ".internal", ".home.arpa"))


@functools.lru_cache(maxsize=256)
def is_own(address: str, own: str) -> bool:
    """Whether `address` is at the server whose address is `own`: the same host by the same scheme, or, of a
    public one, a part of its domain.

    >>> is_own("https://eu.api.openai.com/v1", "https://api.openai.com/v1")
    True
    >>> is_own("http://api.openai.com/v1", "https://api.openai.com/v1")
    False
    """
    if not own:
        return False
    try:
        given, known = urlsplit(address), urlsplit(own)
        same_port = (given.port or _PORTS.get(given.scheme)) == (known.port or _PORTS.get(known.scheme))
    except ValueError:
        return False
    host, domain = (given.hostname or "").rstrip("."), known.hostname or ""
    is_part = known.scheme == "https" and host.endswith(f".{domain}")
    return given.scheme == known.scheme and same_port and (host == domain or is_part)
