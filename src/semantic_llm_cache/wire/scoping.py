"""What of a request's address and headers counts, and what `scope=` adds."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import SplitResult, urlsplit

from semantic_llm_cache.exceptions import CacheKeyError
from semantic_llm_cache.keys.fingerprint import canonical
from semantic_llm_cache.keys.secret_hashes import secret_hash
from semantic_llm_cache.wire.neutral import CREDENTIALS, HEADERS, MEMBERS, QUERY_CREDENTIALS, VALUES, is_sdk_build
from semantic_llm_cache.wire.strict import Bypass

__all__ = [
    "check_neutral_headers",
    "check_scope",
    "counting",
    "host_of",
    "scope_given",
    "scope_of_address",
    "scope_of_headers",
]

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_UNSAFE = re.compile(r"[\x00-\x20\x7f]")
_MEMBER = re.compile(r"[ \t]*([^=;, \t]+)=[A-Za-z0-9._~%+/=:|-]*[ \t]*")
"""One member, with a value in which no server can see another separator."""
_PLAIN, _AGENT, _HOST, _MEMBERS, _VALUE = range(5)


def check_neutral_headers(names: Iterable[str]) -> frozenset[str]:
    """Return the names of headers that a caller declares neutral, in lower case.

    Raises:
        TypeError: a string, or something that is not a collection of names.
        ValueError: a name that no header can have, or one that carries a credential.
    """
    if isinstance(names, (str, bytes)) or not isinstance(names, Iterable):
        raise TypeError(f"neutral_headers={names!r} must be a collection of header names, such as ('x-my-trace',)")
    found = set()
    for name in names:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError(f"neutral_headers: {name!r} is not the name of a header, such as 'x-my-trace'")
        if name.lower() in CREDENTIALS:
            raise ValueError(
                f"neutral_headers: {name!r} carries a credential ({CREDENTIALS[name.lower()]}); to share answers "
                "between credentials, use share_across_keys=True"
            )
        found.add(name.lower())
    return frozenset(found)


@lru_cache(maxsize=1024)
def _rule(given: str) -> tuple[str, int | None]:
    """Return a header's name in lower case, and how it is read; None: it is left out."""
    name = given.lower()
    if name in HEADERS:
        return name, None
    if name in MEMBERS:
        return name, _MEMBERS
    if name in VALUES:
        return name, _VALUE
    return name, {"user-agent": _AGENT, "host": _HOST}.get(name, _PLAIN)


def counting(headers: Iterable[tuple[str, str]], neutral: frozenset[str]) -> list[str]:
    """Return names and values, in turn, of the headers that may count, as they came."""
    kept: list[str] = []
    for given, value in headers:
        name, rule = _rule(given)
        if rule is None or name in neutral or (rule == _VALUE and value.lower() in VALUES[name][0]):
            continue
        kept += (name, value)
    return kept


def scope_of_headers(
    headers: Iterable[tuple[str, str]], share_across_keys: bool, neutral: frozenset[str], host: str | None = None
) -> dict[str, list[str]]:
    """Return what counts of the headers: all but those known not to matter.

    Any header may name a tenant or carry a key, so one that is not known counts, and values count as keyed hashes.
    Headers of one name keep their order.

    Args:
        headers: names and values, as they came.
        share_across_keys: leave credentials out.
        neutral: further names that are left out, in lower case.
        host: of the URL, with its port: a ``host`` header that says the same adds nothing.

    Raises:
        Bypass: a body in a coding that is not read here.

    Example:
        >>> list(scope_of_headers([("X-Tenant", "7"), ("Accept-Encoding", "gzip")], False, frozenset()))
        ['x-tenant']
    """
    kept: dict[str, list[str]] = {}
    for given, value in headers:
        name, rule = _rule(given)
        if rule is None or name in neutral or (share_across_keys and name in CREDENTIALS):
            continue
        if rule != _PLAIN:
            counts = _counts(name, rule, value, host)
            if counts is None:
                continue
            value = counts
        kept.setdefault(name, []).append(secret_hash(value))
    return kept


def _counts(name: str, rule: int, value: str, host: str | None) -> str | None:
    """Return what counts of a header's value; None where it does not count."""
    if rule == _MEMBERS:
        return _members(name, value)
    if rule == _AGENT:
        return None if is_sdk_build(value) else value
    if rule == _HOST:
        return None if value.lower() == host else value
    if value.lower() in VALUES[name][0]:
        return None
    if name == "content-encoding":
        raise Bypass("the body is compressed")
    if name == "content-type" and "charset" in value.lower():
        raise Bypass("the body is not in UTF-8")
    return value


def _members(name: str, value: str) -> str | None:
    separator, neutral = MEMBERS[name]
    if '"' in value:  # a quoted value may hold separators
        return value
    kept = []
    for part in value.split(separator):
        member = _MEMBER.fullmatch(part)
        if member is None or member[1] not in neutral:
            kept.append(part.strip(" \t"))
    return separator.join(kept) if any(kept) else None


def scope_of_address(url: str, share_across_keys: bool) -> dict[str, Any]:
    """Return what counts of a URL: scheme, host, port, path, query and user info; the last two as keyed hashes.

    The query counts as it is written, its order included: servers differ in which of two equal names they take. A
    fragment never leaves the client, and does not count.

    Raises:
        Bypass, ValueError: a URL with control characters or spaces, or a port that is not a number.
    """
    if "?" not in url and "@" not in url:
        return {"url": _address(url)}
    parts = _split(url)
    found: dict[str, Any] = {"url": _as_url(parts)}
    query = []
    for pair in parts.query.split("&") if parts.query else ():
        if share_across_keys and pair.partition("=")[0] in QUERY_CREDENTIALS:
            continue
        query.append(secret_hash(pair))
    if query:
        found["query"] = query
    user = parts.netloc.rpartition("@")[0]
    if "@" in parts.netloc and not share_across_keys:
        found["user"] = secret_hash(user)
    return found


def host_of(url: str) -> str:
    """Return host and port of a URL as a ``host`` header says them, in lower case.

    Example:
        >>> host_of("https://me:s3cret@Gateway:8443/v1")
        'gateway:8443'
    """
    return urlsplit(url).netloc.rpartition("@")[2].lower()


@lru_cache(maxsize=256)
def _address(url: str) -> str:
    return _as_url(_split(url))


def _split(url: str) -> SplitResult:
    if _UNSAFE.search(url):  # which `urlsplit` would silently remove
        raise Bypass("the URL holds control characters")
    return urlsplit(url)


def _as_url(parts: SplitResult) -> str:
    return f"{parts.scheme}://{parts.hostname}:{parts.port}{parts.path}"


def scope_given(scope: Any) -> Any:
    """Return what `scope=` says of this call.

    Raises:
        Bypass: the callable raised. Who asks is then not known.
    """
    try:
        return scope() if callable(scope) else scope
    except Exception as error:  # its message may hold a secret
        raise Bypass(f"scope= raised {type(error).__name__}") from None


def check_scope(given: Any) -> None:
    """Raise `Bypass` if what `scope=` says has no stable form. The message names no key: one may name a caller."""
    try:
        canonical(given)
    except CacheKeyError:
        raise Bypass(
            "scope= holds a value that cannot be compared: give texts, numbers, or lists and mappings of them"
        ) from None
