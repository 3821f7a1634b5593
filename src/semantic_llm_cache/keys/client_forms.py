"""Forms of what instances hold besides data: clients of services, and holders such as queues and locks."""

from __future__ import annotations

import functools
import os
import weakref
from typing import Any

from semantic_llm_cache.exceptions import CacheKeyError
from semantic_llm_cache.keys.certificates import client_certificates, is_context
from semantic_llm_cache.keys.known_types import (
    MARKER,
    NEUTRAL_TYPES,
    client_attributes,
    neutral_attributes,
)
from semantic_llm_cache.keys.object_forms import write_name, write_state
from semantic_llm_cache.keys.secret_hashes import secret_hash, secret_key
from semantic_llm_cache.keys.walk import WRITERS, Walk, text, type_name
from semantic_llm_cache.keys.watching import Watch
from semantic_llm_cache.values.introspection import where

__all__ = ["forget_clients", "is_client", "is_neutral", "known_client_form", "write_client", "write_holder"]

DERIVED = {"api_key": "_api_key_provider", "_token_cache": "credentials", "_custom_auth": "credentials"}
"""Attribute -> the attribute it is rebuilt from before each request. If that one is set, only it counts."""

PROXY_VARIABLES = tuple(
    variable
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "netrc")
    for variable in (name, name.upper())
)

_neutral = functools.lru_cache(maxsize=1024)(neutral_attributes)


@functools.lru_cache(maxsize=1024)
def is_client(kind: Any) -> bool:
    """Return whether instances of `kind` are clients of a service, or resources of one."""
    return any(client_attributes(base) is not None for base in kind.__mro__[:-1])


@functools.lru_cache(maxsize=1024)
def is_neutral(kind: Any) -> bool:
    """Return whether a field of exactly this type does not count."""
    return where(kind) in NEUTRAL_TYPES or getattr(kind, MARKER, False) is True


# ------------------------------------------------------------------------------------ clients

_clients: dict[int, tuple[weakref.ref[Any], bytes, Watch]] = {}


def forget_clients() -> None:
    """Forget all remembered clients, for example when a function is registered for a type."""
    _clients.clear()


def known_client_form(value: Any) -> bytes | None:
    """Return the form of a client that was seen before and has not changed since, or None."""
    known = _clients.get(id(value))
    if known is not None and known[0]() is value and known[2].unchanged(value):
        return known[1]
    return None


def write_client(value: Any, kind: Any, out: list[bytes], path: str, depth: int, walk: Walk) -> bool:
    """Write a client: all its state except what `known_types` lists, as one keyed hash because it holds secrets."""
    if not walk.lenient or not is_client(kind):
        return False
    if walk.watch is not None:
        _write_client(value, kind, out, path, depth, walk)  # part of another client, and of that client's watch
        return True
    form = known_client_form(value)
    if form is None:
        written: list[bytes] = []
        watch = Watch(value, kind)
        watch.also(secret_key)
        # A separate walk: the form must not depend on where the client was found.
        _write_client(value, kind, written, path, depth, Walk(True, walk.advice, watch))
        watch.finish()
        form = b"".join(written)
        if not watch.useless:
            key = id(value)
            _clients[key] = (weakref.ref(value, lambda _: _clients.pop(key, None) and None), form, watch)
    out.append(form)
    return True


def _write_client(value: Any, kind: Any, out: list[bytes], path: str, depth: int, walk: Walk) -> None:
    held: list[bytes] = []
    neutral = dict(_neutral(kind) or {})
    for name, source in DERIVED.items():
        if getattr(value, source, None) is not None:
            neutral[name] = source
    write_state(value, held, path, depth, walk, neutral)
    if _is_requests(kind) and value.trust_env:
        _write_environment(held, walk)
    out.append(text(b"K", type_name(kind)))
    out.append(text(b"k", secret_hash(b"".join(held)).encode()))


@functools.lru_cache(maxsize=1024)
def _is_requests(kind: Any) -> bool:
    return any(where(base) == ("requests.sessions", "Session") for base in kind.__mro__)


def _write_environment(out: list[bytes], walk: Walk) -> None:
    """Append the proxies that `requests` reads from the environment at each request."""
    if walk.watch is not None:
        walk.watch.also(_proxies)
    WRITERS[tuple](_proxies(), out, "environment", 0, walk)


def _proxies() -> tuple[str | None, ...]:
    return tuple(map(os.environ.get, PROXY_VARIABLES))


# ------------------------------------------------------------------------------------ holders


def write_holder(value: Any, kind: Any, out: list[bytes], path: str, depth: int, walk: Walk) -> bool:
    """Write what instances and clients hold besides data: not counted, or counted by its current content."""
    if not walk.lenient:
        return False
    if is_neutral(kind):
        out.append(b"n")
        return True
    special = _SPECIAL.get(where(kind))
    if special is not None:
        walk.cannot_watch()
        special(value, kind, out, path, depth, walk)
        return True
    if is_context(kind):
        try:
            found = client_certificates(value)
        except CacheKeyError as error:
            raise CacheKeyError(f"{path} {error}: {walk.advice}") from None
        out.append(text(b"o", type_name(kind)))
        # An unverified server may have been anybody.
        settings = (int(value.verify_mode), bool(value.check_hostname))
        WRITERS[tuple]((*found, *settings), out, path, depth, walk)
        return True
    neutral = _neutral(kind)
    if neutral is None:
        return False
    write_state(value, out, path, depth, walk, neutral)
    return True


def _write_variable(value: Any, kind: Any, out: list[bytes], path: str, depth: int, walk: Walk) -> None:
    write_name(kind, out, path, depth, walk)
    walk.write(value.name, out, path, depth + 1)
    try:
        now = value.get()
    except LookupError:
        out.append(b"?")
    else:
        walk.write(now, out, f"{path}.get()", depth + 1)


def _write_reference(value: Any, kind: Any, out: list[bytes], path: str, depth: int, walk: Walk) -> None:
    write_name(kind, out, path, depth, walk)
    walk.write(value(), out, f"{path}()", depth + 1)


def _write_weak_mapping(value: Any, kind: Any, out: list[bytes], path: str, depth: int, walk: Walk) -> None:
    write_name(kind, out, path, depth, walk)
    walk.write(dict(value.items()), out, path, depth + 1)


def _write_weak_set(value: Any, kind: Any, out: list[bytes], path: str, depth: int, walk: Walk) -> None:
    write_name(kind, out, path, depth, walk)
    walk.write(set(value), out, path, depth + 1)


def _write_simple_queue(value: Any, kind: Any, out: list[bytes], path: str, depth: int, walk: Walk) -> None:
    if not value.empty():
        walk.refuse(path, kind, "holds what Python cannot read")
    write_name(kind, out, path, depth, walk)


def _write_items(value: Any, kind: Any, out: list[bytes], path: str, depth: int, walk: Walk) -> None:
    write_name(kind, out, path, depth, walk)
    walk.write([(str(name), item) for name, item in value.items()], out, path, depth + 1)


_SPECIAL: dict[tuple[str, str], Any] = {
    ("_contextvars", "ContextVar"): _write_variable,
    ("weakref", "ReferenceType"): _write_reference,
    ("weakref", "WeakMethod"): _write_reference,
    ("weakref", "WeakValueDictionary"): _write_weak_mapping,
    ("weakref", "WeakKeyDictionary"): _write_weak_mapping,
    ("_weakrefset", "WeakSet"): _write_weak_set,
    ("_queue", "SimpleQueue"): _write_simple_queue,
    ("multidict._multidict", "CIMultiDict"): _write_items,
    ("multidict._multidict", "MultiDict"): _write_items,
    ("multidict._multidict", "CIMultiDictProxy"): _write_items,
    ("multidict._multidict", "MultiDictProxy"): _write_items,
    ("multidict._multidict_py", "CIMultiDict"): _write_items,
    ("multidict._multidict_py", "MultiDict"): _write_items,
}
