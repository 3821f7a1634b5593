"""Who may use the admin API and the dashboard: whoever has the token, and without a token only this machine.

Three attacks are refused besides a missing token: a page of another site that sends requests from the
operator's browser (CSRF), a name of that site that points to 127.0.0.1 (DNS rebinding), and a reverse proxy on
this machine behind which everybody looks local.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

__all__ = ["COOKIE", "Access", "AccessDenied", "Caller", "check_exposure", "is_loopback"]

COOKIE = "semantic_llm_cache_admin"
"""The cookie in which a browser keeps `Access.session`. Set it HttpOnly, SameSite=Strict."""

_SHORTEST = 16
_FORWARDED = frozenset({"forwarded", "via", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip"})
_HELP = "make one with: python -c 'import secrets; print(secrets.token_urlsafe())'"


class Caller(NamedTuple):
    """Who sends a request.

    Attributes:
        name: of the token; ``"local"`` for a request without one from this machine.
        address: IP address, "" where it is not known.
        by: ``"token"``, ``"cookie"`` or ``"loopback"``.
    """

    name: str
    address: str
    by: str

    def __str__(self) -> str:
        return f"{self.name} from {self.address}" if self.address else self.name


class AccessDenied(Exception):
    """A request is refused: with status 401 or 403, and a sentence for the caller."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class Access:
    """Decides who may use the admin API and the dashboard.

    Args:
        token: the bearer token; or several, as a mapping from the name of a person or program (for the audit log) to
            its token. None: only requests from this machine are allowed.
        hosts: names under which the server is reached, without port; empty allows all with a token, and without one
            only names of this machine.

    Raises:
        ValueError: a token is shorter than 16 characters, or has characters that no header can hold.
        TypeError: a token is not text.

    Example:
        >>> Access("a-token-of-enough-length").session("a wrong token") is None
        True
    """

    def __init__(self, token: str | Mapping[str, str] | None = None, *, hosts: Iterable[str] = ()) -> None:
        if token is not None and not token:
            raise ValueError(f"the admin token is empty: it must have {_SHORTEST} or more characters; {_HELP}")
        given = {} if token is None else {"token": token} if isinstance(token, str) else dict(token)
        for name, one in given.items():
            _check_token(name, one)
        self._tokens = {name: one.encode() for name, one in given.items()}
        self._sessions = {name: _session(one) for name, one in self._tokens.items()}
        self.hosts = frozenset(host.lower() for host in hosts)

    @property
    def has_token(self) -> bool:
        """Whether a token is needed."""
        return bool(self._tokens)

    def session(self, token: str) -> str | None:
        """Return the value of the cookie for whoever has this token; None if the token is wrong."""
        name = _matching(self._tokens, token.encode("utf-8", "surrogatepass"))
        return None if name is None else self._sessions[name].decode()

    def check(self, request: HTTPConnection) -> Caller:
        """Return who sends a request.

        Raises:
            AccessDenied: the request is refused.
        """
        address = _address(request)
        if not self._tokens:
            self._check_local(request, address)
            _check_same_site(request, self.hosts)
            return Caller("local", address, "loopback")
        self._check_host(request)
        given = request.headers.get("authorization")
        if given is not None:
            scheme, _, token = given.partition(" ")
            name = _matching(self._tokens, token.strip().encode("utf-8", "surrogatepass"))
            if scheme.lower() == "bearer" and name is not None:
                return Caller(name, address, "token")
            raise AccessDenied(401, "the token is wrong: send 'Authorization: Bearer TOKEN' with the admin token")
        cookie = request.cookies.get(COOKIE)
        name = None if cookie is None else _matching(self._sessions, cookie.encode("utf-8", "surrogatepass"))
        if name is None:
            raise AccessDenied(401, "send 'Authorization: Bearer TOKEN' with the admin token")
        _check_same_site(request, self.hosts)
        return Caller(name, address, "cookie")

    def check_origin(self, request: HTTPConnection) -> None:
        """Check where a request comes from, but not who sends it: for the form that takes the token.

        Raises:
            AccessDenied: a page of another site has sent it, or it does not come from where requests are allowed.
        """
        if self._tokens:
            self._check_host(request)
        else:
            self._check_local(request, _address(request))
        _check_same_site(request, self.hosts)

    def _check_host(self, request: HTTPConnection) -> None:
        if self.hosts and _host(request) not in self.hosts:
            raise AccessDenied(403, "the Host header names another server than this one")

    def _check_local(self, request: HTTPConnection, address: str) -> None:
        if not is_loopback(address):
            raise AccessDenied(403, "without an admin token, only requests from this machine are allowed: set a token")
        if any(name in _FORWARDED or name.startswith("x-forwarded-") for name in request.headers):
            raise AccessDenied(403, "the request came through a proxy: set an admin token to use the API that way")
        host = _host(request)
        if host not in self.hosts and not is_loopback(host):
            raise AccessDenied(403, "the Host header does not name this machine: use localhost, or set an admin token")


def check_exposure(host: str, access: Access) -> None:
    """Raise ValueError if a server on this address would offer its admin API to others without a token.

    Args:
        host: the address or name to listen on.
        access: the rules.
    """
    if not access.has_token and not is_loopback(host):
        raise ValueError(
            f"host={host!r} can be reached from other machines, so the admin API and the dashboard need a token; "
            f"{_HELP}"
        )


def is_loopback(host: str) -> bool:
    """Return whether an address or name is this machine's own: ``127.0.0.0/8``, ``::1``, ``localhost``.

    Example:
        >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
        (True, True, False)
    """
    name = host.lower().removeprefix("[").removesuffix("]").removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (address if mapped is None else mapped).is_loopback


def _check_token(name: str, token: object) -> None:
    which = "token" if name == "token" else f"token of {name!r}"
    if not isinstance(token, str):
        raise TypeError(f"the admin {which} must be text, not a {type(token).__name__}")
    if len(token) < _SHORTEST or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError(f"the admin {which} must have {_SHORTEST} or more ASCII characters and no spaces; {_HELP}")


def _session(token: bytes) -> bytes:
    return hmac.new(token, b"semantic-llm-cache session", hashlib.sha256).hexdigest().encode()


def _matching(known: Mapping[str, bytes], given: bytes) -> str | None:
    """Return the name of the equal value. Compares all of them in constant time."""
    found = None
    for name, one in known.items():
        if hmac.compare_digest(one, given):
            found = name
    return found


def _address(request: HTTPConnection) -> str:
    return request.client.host if request.client is not None else ""


def _host(request: HTTPConnection) -> str:
    return _name_in(f"//{request.headers.get('host', '')}")


def _name_in(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def _check_same_site(request: HTTPConnection, hosts: frozenset[str] = frozenset()) -> None:
    """Refuse what a page of another site has sent: such a request carries the cookie, or comes from this machine.

    Raises:
        AccessDenied: it comes from another site.
    """
    headers = request.headers
    visit = request.scope.get("method") == "GET" and headers.get("sec-fetch-mode") == "navigate"  # follows a link
    if headers.get("sec-fetch-site", "none") not in ("same-origin", "none") and not visit:
        raise AccessDenied(403, "the request comes from a page of another site")
    origin = headers.get("origin")
    if origin is not None and _place(origin) != headers.get("host", "").lower() and _name_in(origin) not in hosts:
        raise AccessDenied(403, "the Origin header names another site")


def _place(origin: str) -> str:
    """Return host and port of an origin in lower case; "" for ``null`` and what is no origin."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""
