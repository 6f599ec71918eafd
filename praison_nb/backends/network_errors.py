"""Why a server was not reached; certificates and proxies are named by the variables that set them."""

from __future__ import annotations

import errno
import functools
import ipaddress
import os
import re
import socket
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import urlsplit
from urllib.request import proxy_bypass

from ..errors import ConfigError, PraisonError, TurnTimeoutError, UnreachableError
from ..redaction import redact
from ..text import shorten


def explain(
    error: BaseException, server: str, base_url: str, excerpt: Callable[[str], str]
) -> PraisonError | None:
    """The PraisonError of an exception that the network raised, None of another one. `base_url` is the
    server's; `excerpt` makes one line of what an exception says."""
    chain = list(causes(error))
    names = {kind.__name__ for each in chain for kind in type(each).__mro__}
    text = " ".join(str(each) for each in chain)[:4000]
    reason = excerpt(str(chain[-1])) or type(chain[-1]).__name__
    address, proxy = _USER.sub("//", base_url), proxy_of(base_url)
    own = {kind.__name__ for kind in type(error).__mro__}
    if not own & _NETWORK and not isinstance(error, OSError):
        return None
    if is_out_of_files(chain):
        return UnreachableError(out_of_files(server))
    if "SSLCertVerificationError" in names or "CERTIFICATE_VERIFY_FAILED" in text:
        return UnreachableError(_certificate(server, reason))
    if "SSLError" in names or "[SSL:" in text:
        return UnreachableError(
            f"{server} at {address} does not speak TLS as it should ({reason}). Is it http:// in place of "
            "https://, or is a proxy in between?"
        )
    if re.search(r"\b407\b|Proxy Authentication", text):
        return UnreachableError(proxy_wants_password(base_url))
    if "ProxyError" in names:
        return UnreachableError(f"The proxy of {proxy or 'the environment'} does not let through: {reason}.")
    via = f" It was asked through the proxy of {proxy}." if proxy else ""
    if "ConnectTimeout" in names:
        return TurnTimeoutError(
            f"No connection to {server} at {address} in time.{via} Is the address right?",
            is_retryable=True,
        )
    if own & _TIMEOUTS or isinstance(error, TimeoutError):
        return TurnTimeoutError(
            f"{server} did not answer in time.{via} Ask again, or give more time with timeout=… (seconds).",
            is_retryable=True,
        )
    if names & _CUT or isinstance(chain[-1], ConnectionResetError | BrokenPipeError):
        return UnreachableError(
            f"The connection to {server} was cut in mid-answer; the text so far is kept. Ask again.{via}",
            is_retryable=True,
        )
    cause = chain[-1]
    # Neither will be there a second later: a name that does not exist, a program here that does not run.
    is_unknown = isinstance(cause, socket.gaierror) and cause.errno != socket.EAI_AGAIN
    is_down = isinstance(cause, ConnectionRefusedError) and is_loopback(urlsplit(base_url).hostname or "")
    return UnreachableError(
        f"Cannot reach {server} at {address} ({reason}).{via} Is it running, is the address right?",
        is_retryable=not (is_unknown or is_down),
    )


_NETWORK = {"APIConnectionError", "APITimeoutError", "TransportError", "RetryableError"}
_TIMEOUTS = {"APITimeoutError", "TimeoutException"}
_NO_FILES = (errno.EMFILE, errno.ENFILE)
_CUT = {"RemoteProtocolError", "ReadError", "IncompleteRead"}
_USER = re.compile(r"//[^/\s]*@")


def causes(error: BaseException) -> Iterator[BaseException]:
    """The exception, and what it came of, down to the first one (which httpcore has as its context only)."""
    each: BaseException | None = error
    for _ in range(20):
        if each is None:
            return
        yield each
        each = each.__cause__ or each.__context__


def is_out_of_files(chain: Iterable[BaseException]) -> bool:
    """Whether this process can open no more files, and so no connection. It is asked, too: a resolver that
    cannot read its settings says that there is no such name."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno in _NO_FILES
    return any(isinstance(each, OSError) and each.errno in _NO_FILES for each in chain)


def out_of_files(server: str) -> str:
    """What to do then."""
    return (
        f"{server} was not reached: this process has as many files and connections open as it may. "
        "Close some, restart the kernel, or raise the limit (`ulimit -n`) before it starts."
    )


def _certificate(server: str, reason: str) -> str:
    unread = next((name for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE") if os.environ.get(name)), "")
    if os.environ.get("SSL_CERT_FILE"):
        advice = "SSL_CERT_FILE is set: is the certificate of the server's issuer in that file?"
    else:
        also = f" ({unread} is not read here)" if unread else ""
        advice = (
            "Where the server, or a proxy before it, has an issuer of its own, set SSL_CERT_FILE to a file "
            f"with the issuer's certificate{also}."
        )
    return f"The certificate of {server} cannot be verified ({reason}). {advice}"


def proxy_wants_password(base_url: str) -> str:
    """What to do where a proxy answers 407."""
    variable = proxy_of(base_url) or "the environment"
    return (
        f"The proxy of {variable} wants a user and a password (407): write them into its address, as in "
        "http://USER:PASSWORD@HOST:PORT."
    )


def proxy_of(base_url: str) -> str:
    """The variable whose proxy requests to this address go through, "" where there is none."""
    url = urlsplit(base_url)
    host = url.hostname or ""
    if is_loopback(host) or proxy_bypass(host):
        return ""
    names = [f"{scheme}_proxy" for scheme in (url.scheme, "all")]
    either = [each for name in names for each in (name, name.upper())]
    # The capital ones are those that people write.
    return next((name.upper() for name in either if os.environ.get(name)), "")


def unusable(error: Exception) -> PraisonError:
    """The error for settings of the network with which no client can be made."""
    if is_out_of_files(causes(error)):
        return UnreachableError(out_of_files("The server"))
    if isinstance(error, OSError):
        names = ["SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"]
    else:
        names = ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"]
    found = [name for name in names if os.environ.get(name) or os.environ.get(name.lower())]
    what = shorten(redact(" ".join(str(error).split())), 200)
    which = " or ".join(found) or "the network's variables"
    return ConfigError(f"The setting of {which} cannot be used: {what} Correct it, or take it out.")


@functools.lru_cache(maxsize=64)
def is_loopback(host: str) -> bool:
    """Whether this name or address is this machine.

    >>> is_loopback("localhost"), is_loopback("::1"), is_loopback("example.org")
    (True, True, False)
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified
