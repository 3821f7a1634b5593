"""The canonical form of a call: one byte string for one meaning, the same in every process.

The form is written down in ``docs/keys.md`` and pinned by golden keys in the tests. A change of form
is a change of `KEY_VERSION`: old entries then simply miss.

Anything unknown counts, or raises an error that names it and says what to do. Only what `known_types`
names exactly is left out. A key that silently left something out could serve one caller's answer to
another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import semantic_llm_cache.keys.plain_forms  # noqa: F401 - defines the forms of strings, numbers, lists and the like
from semantic_llm_cache.keys.walk import ARGUMENT_ADVICE, FIELD_ADVICE, Walk, text, type_name
from semantic_llm_cache.values.introspection import defines

try:
    from _blake2 import blake2b  # that of `hashlib`, which takes 1 ms to import because it also loads OpenSSL
except ImportError:  # pragma: no cover - another Python than CPython
    from hashlib import blake2b

__all__ = [
    "KEY_VERSION",
    "canonical",
    "canonical_field",
    "digest",
    "fingerprint_instance",
    "is_registered",
    "register_fingerprint",
]

KEY_VERSION = 2
_DIGEST_BYTES = 20

_registry: dict[type, Callable[[Any], Any] | None] = {}


def register_fingerprint(kind: type, function: Callable[[Any], Any] | None) -> None:
    """Register what counts of a type when one of its instances is an argument or a field of `self`.

    Args:
        kind: the type; its subclasses follow unless they are registered themselves.
        function: takes an instance and returns what counts of it: strings, numbers, dates, and lists,
            dicts and dataclasses of them. With None, instances do not count at all.

    Raises:
        TypeError: `kind` is not a type or `function` not callable.

    Example:
        >>> class Tenant:
        ...     def __init__(self, name):
        ...         self.name = name
        >>> register_fingerprint(Tenant, lambda tenant: tenant.name)
    """
    if not isinstance(kind, type):
        raise TypeError(f"register_fingerprint: kind={kind!r} must be a type")
    if function is not None and not callable(function):
        raise TypeError(f"register_fingerprint: function={function!r} must be callable or None")
    from semantic_llm_cache.keys.client_forms import forget_clients

    _registry[kind] = function
    forget_clients()


def is_registered(kind: type) -> bool:
    """Return whether a function for this type was given to `register_fingerprint`."""
    return bool(_registry) and any(base in _registry for base in kind.__mro__[:-1])


def digest(*parts: Any) -> str:
    """Return the hex digest (BLAKE2b, 160 bits) of the canonical form of `parts`."""
    return blake2b(canonical(parts), digest_size=_DIGEST_BYTES).hexdigest()


def canonical(value: Any, name: str = "value") -> bytes:
    """Return the canonical form of `value`.

    Raises:
        CacheKeyError: something inside has no stable form; the message says where, starting at `name`.
    """
    out: list[bytes] = []
    Walk(False, ARGUMENT_ADVICE).write(value, out, name, 0)
    return b"".join(out)


def canonical_field(value: Any, name: str = "value", advice: str = FIELD_ADVICE) -> bytes:
    """Return the form of a value inside an instance or a closure, where clients count but locks do not.

    Raises:
        CacheKeyError: as `canonical`, ending in `advice`.
    """
    out: list[bytes] = []
    Walk(True, advice).write(value, out, name, 0)
    return b"".join(out)


def fingerprint_instance(value: Any, name: str = "self", advice: str = FIELD_ADVICE) -> bytes:
    """Return the canonical form of a `self`: its type and all it holds.

    Uses the first of: a registered function for its type, its `__cache_scope__()`, the state of a client, and all
    it holds (fields, `vars`, slots, and the content of a subclass of a plain type).

    Raises:
        CacheKeyError: naming the field that has no stable fingerprint.
    """
    out: list[bytes] = []
    Walk(True, advice).write_instance(value, out, name, 0)
    return b"".join(out)


def _write_registered(value: Any, kind: type, out: list[bytes], path: str, depth: int, walk: Walk) -> bool:
    if not _registry:
        return False
    for base in kind.__mro__[:-1]:
        if base in _registry:
            walk.cannot_watch()
            function = _registry[base]
            if function is None:
                out.append(b"n")
            else:
                out.append(text(b"r", type_name(base)))
                walk.write(function(value), out, path, depth + 1)
            return True
    return False


def _write_scoped(value: Any, kind: type, out: list[bytes], path: str, depth: int, walk: Walk) -> bool:
    if not defines(kind, "__cache_scope__"):
        return False
    walk.cannot_watch()
    out.append(text(b"o", type_name(kind)))
    walk.write(value.__cache_scope__(), out, f"{path}.__cache_scope__()", depth + 1)
    return True


def _load_chains() -> None:
    """Import the forms of all else. Most calls hold only strings and numbers, and need none of them."""
    from semantic_llm_cache.keys.client_forms import write_client, write_holder
    from semantic_llm_cache.keys.function_forms import write_callable_object, write_function
    from semantic_llm_cache.keys.object_forms import (
        write_array,
        write_class,
        write_enum,
        write_secret,
        write_state,
        write_structured,
        write_typing,
    )

    Walk.chain = (
        _write_registered, _write_scoped, write_class, write_enum, write_secret, write_array, write_typing,
        write_function, write_client, write_holder, write_structured, write_callable_object,
    )  # fmt: skip
    Walk.instance_chain = (_write_registered, _write_scoped, write_class, write_enum, write_array, write_client)
    Walk.write_all = staticmethod(write_state)


def _write_first(value: Any, kind: type, out: list[bytes], path: str, depth: int, walk: Walk) -> bool:
    _load_chains()
    return any(attempt(value, kind, out, path, depth, walk) for attempt in Walk.chain)


def _write_first_instance(value: Any, kind: type, out: list[bytes], path: str, depth: int, walk: Walk) -> bool:
    _load_chains()
    return any(attempt(value, kind, out, path, depth, walk) for attempt in Walk.instance_chain)


Walk.chain = (_write_first,)
Walk.instance_chain = (_write_first_instance,)
