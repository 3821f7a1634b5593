"""The canonical form of a call: one byte string for one meaning, the same in every process.

The form is written down in ``docs/keys.md`` and pinned by golden keys in the tests. A change of form
is a change of `KEY_VERSION`: old entries then simply miss.

Only values whose meaning is in what they hold have a form. Anything else (a client, a lock, a
callback) raises `CacheKeyError` naming the argument and the ways out, because a key that silently
leaves something out serves one caller's answer to another.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import functools
import hashlib
import hmac
import math
import os
import re
import sys
import types
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, get_args, get_origin

from semantic_llm_cache.exceptions import CacheKeyError

__all__ = [
    "KEY_VERSION",
    "canonical",
    "digest",
    "fingerprint_instance",
    "held_fields",
    "is_registered",
    "known_late",
    "register_fingerprint",
    "secret_hash",
]

KEY_VERSION = 1
_DIGEST_BYTES = 20
_MAX_DEPTH = 64

_registry: dict[type, Callable[[Any], Any] | None] = {}


def register_fingerprint(kind: type, function: Callable[[Any], Any] | None) -> None:
    """Say what counts of a type when one of its instances is an argument or a field of `self`.

    Args:
        kind: the type; its subclasses follow unless they are registered themselves.
        function: takes an instance and returns what counts of it: strings, numbers, dates, and lists,
            dicts and dataclasses of them. None: instances do not count at all.

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
    _registry[kind] = function


def secret_hash(secret: str | bytes) -> str:
    """Return a keyed hash of a credential: tells two apart, tells nothing of either.

    The key is ``SEMANTIC_LLM_CACHE_SECRET`` when set, so that processes sharing a cache can keep their
    hashes apart from everybody else's.
    """
    key = os.environ.get("SEMANTIC_LLM_CACHE_SECRET", "semantic-llm-cache credential").encode()
    data = secret.encode("utf-8", "surrogatepass") if isinstance(secret, str) else secret
    return hmac.new(key, data, hashlib.sha256).hexdigest()[:32]


def digest(*parts: Any) -> str:
    """Return the hex digest (BLAKE2b, 160 bits) of the canonical form of `parts`."""
    return hashlib.blake2b(canonical(parts), digest_size=_DIGEST_BYTES).hexdigest()


def canonical(value: Any, name: str = "value") -> bytes:
    """Return the canonical form of `value`.

    Raises:
        CacheKeyError: something inside has no stable form; the message says where, starting at `name`.
    """
    out: list[bytes] = []
    _write(value, out, name, 0, _ARGUMENT)
    return b"".join(out)


@dataclasses.dataclass(frozen=True)
class _Place:
    """Where a value sits decides what the built-in registry may leave out, and what the error advises."""

    lenient: bool
    advice: str


_ARGUMENT = _Place(
    False,
    "leave it out with ignore=, give the key yourself with key_func=, or say what counts of it with "
    "register_fingerprint()",
)
_FIELD = _Place(
    True,
    "define __cache_scope__(self) returning what tells two instances apart, or leave the instance out "
    'with ignore=("self",)',
)


def _text(tag: bytes, data: bytes) -> bytes:
    return b"%s%d:%s" % (tag, len(data), data)


def _write(value: Any, out: list[bytes], path: str, depth: int, place: _Place) -> None:
    if depth > _MAX_DEPTH:
        raise CacheKeyError(f"{path} is nested more than {_MAX_DEPTH} levels deep or holds itself: {place.advice}")
    kind = type(value)
    writer = _WRITERS.get(kind) or known_late(kind, _LATE_WRITERS, _WRITERS)
    if writer is not None:
        writer(value, out, path, depth, place)
        return
    if _registry and _write_registered(value, kind, out, path, depth, place):
        return
    if hasattr(kind, "__cache_scope__"):
        out.append(_text(b"o", _name(kind)))
        _write(value.__cache_scope__(), out, f"{path}.__cache_scope__()", depth + 1, place)
        return
    if _write_known(value, kind, out, path, depth, place):
        return
    if place.lenient and _write_field_registry(value, kind, out, path, depth, place):
        return
    raise CacheKeyError(
        f"{path} is a {kind.__module__}.{kind.__qualname__}, which has no stable fingerprint: {place.advice}"
    )


def is_registered(kind: type) -> bool:
    """Tell whether `register_fingerprint` says what counts of this type."""
    return bool(_registry) and any(base in _registry for base in kind.__mro__[:-1])


def _write_registered(value: Any, kind: type, out: list[bytes], path: str, depth: int, place: _Place) -> bool:
    for base in kind.__mro__[:-1]:
        if base in _registry:
            function = _registry[base]
            if function is None:
                out.append(b"n")
            else:
                out.append(_text(b"r", _name(base)))
                _write(function(value), out, path, depth + 1, place)
            return True
    return False


def _name(kind: type) -> bytes:
    return f"{kind.__module__}.{kind.__qualname__}".encode("utf-8", "surrogatepass")


def _write_str(value: str, out: list[bytes], *_: Any) -> None:
    data = value.encode("utf-8", "surrogatepass")
    out.append(b"s%d:%s" % (len(data), data))


def _write_float(value: float, out: list[bytes], *_: Any) -> None:
    if value == 0:
        value = 0.0  # -0.0 asks nothing else
    out.append(_text(b"f", (b"nan" if math.isnan(value) else repr(float(value)).encode())))


def _write_int(value: int, out: list[bytes], *_: Any) -> None:
    out.append(b"i%x;" % value if value >= 0 else b"i-%x;" % -value)


def _write_sequence(tag: bytes) -> Any:
    def write(value: Any, out: list[bytes], path: str, depth: int, place: _Place) -> None:
        out.append(b"%s%d:" % (tag, len(value)))
        for i, item in enumerate(value):
            if type(item) in _LEAVES:  # these cannot fail, so they need no path
                _WRITERS[type(item)](item, out)
            else:
                _write(item, out, f"{path}[{i}]", depth + 1, place)

    return write


def _write_set(value: Any, out: list[bytes], path: str, depth: int, place: _Place) -> None:
    members = []
    for item in value:
        member: list[bytes] = []
        _write(item, member, f"member of {path}", depth + 1, place)
        members.append(b"".join(member))
    out.append(b"S%d:" % len(members))
    out.extend(sorted(members))


def _write_mapping(value: Mapping[Any, Any], out: list[bytes], path: str, depth: int, place: _Place) -> None:
    pairs = []
    for key, item in value.items():
        name: list[bytes] = []
        content: list[bytes] = []
        if type(key) is str:
            _write_str(key, name)
        else:
            _write(key, name, f"key of {path}", depth + 1, place)
        if type(item) in _LEAVES:
            _WRITERS[type(item)](item, content)
        else:
            _write(item, content, f"{path}[{key!r}]" if isinstance(key, (str, int)) else path, depth + 1, place)
        pairs.append((b"".join(name), b"".join(content)))
    out.append(b"d%d:" % len(pairs))
    for pair in sorted(pairs):
        out.extend(pair)


def _write_repr(tag: bytes) -> Any:
    def write(value: Any, out: list[bytes], *_: Any) -> None:
        out.append(_text(tag, str(value).encode()))

    return write


def _write_time(tag: bytes) -> Any:
    def write(value: Any, out: list[bytes], *_: Any) -> None:
        zone = getattr(value.tzinfo, "key", "") if value.tzinfo is not None else ""
        out.append(_text(tag, f"{value.isoformat()}|{zone}|{value.fold}".encode()))

    return write


_LEAVES = frozenset({type(None), bool, int, float, str, bytes})
_SEQUENCE = _write_sequence(b"l")
_WRITERS: dict[type, Any] = {
    type(None): lambda value, out, *_: out.append(b"n"),
    bool: lambda value, out, *_: out.append(b"T" if value else b"F"),
    int: _write_int,
    float: _write_float,
    str: _write_str,
    bytes: lambda value, out, *_: out.append(_text(b"b", value)),
    bytearray: lambda value, out, *_: out.append(_text(b"b", bytes(value))),
    list: _SEQUENCE,
    tuple: _write_sequence(b"t"),
    set: _write_set,
    frozenset: _write_set,
    dict: _write_mapping,
    complex: _write_repr(b"c"),
    range: _write_repr(b"g"),
    dt.datetime: _write_time(b"m"),
    dt.time: _write_time(b"h"),
    dt.date: _write_repr(b"a"),
    dt.timedelta: lambda value, out, *_: out.append(b"e%d,%d,%d;" % (value.days, value.seconds, value.microseconds)),
}
# By where they are defined: whoever has a value of these has imported them, and nobody else need wait for that.
_LATE_WRITERS: dict[tuple[str, str], Any] = {
    ("decimal", "Decimal"): _write_repr(b"D"),
    ("uuid", "UUID"): _write_repr(b"u"),
}


def known_late(kind: type, late: Mapping[tuple[str, str], Any], known: dict[type, Any]) -> Any:
    """Return what `late` has for a type, by module and name, and enter it in `known`; None if it has nothing."""
    where = (kind.__module__, kind.__qualname__)
    found = late.get(where)
    if found is not None and getattr(sys.modules.get(where[0]), where[1], None) is kind:
        known[kind] = found
        return found
    return None


def _fields_of(value: Any, kind: type) -> dict[str, Any] | None:
    """Return the fields of a dataclass, pydantic model, attrs instance or named tuple, else None."""
    if dataclasses.is_dataclass(kind):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(kind)}
    if hasattr(kind, "model_fields") and hasattr(kind, "model_dump"):
        fields = held_fields(value)
        fields.update(getattr(value, "__pydantic_extra__", None) or {})
        private = getattr(value, "__pydantic_private__", None) or {}
        fields.update(private)
        return fields
    if hasattr(kind, "__attrs_attrs__"):
        return {a.name: getattr(value, a.name) for a in kind.__attrs_attrs__}
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        return dict(zip(kind._fields, value, strict=True))
    return None


def held_fields(value: Any) -> dict[str, Any]:
    """Return what an instance holds in its `__dict__`, less what a `cached_property` has worked out."""
    kind = type(value)
    return {
        name: item
        for name, item in getattr(value, "__dict__", {}).items()
        if type(getattr(kind, name, None)) is not functools.cached_property
    }


def _write_fields(
    kind: type, fields: Mapping[str, Any], out: list[bytes], path: str, depth: int, place: _Place
) -> None:
    out.append(_text(b"o", _name(kind)))
    out.append(b"d%d:" % len(fields))
    for name in sorted(fields):
        _write_str(name, out)
        _write(fields[name], out, f"{path}.{name}", depth + 1, place)


_ALIAS: Any = types.GenericAlias  # list[int], an instance of `type` to Python 3.10 alone


def _write_known(value: Any, kind: type, out: list[bytes], path: str, depth: int, place: _Place) -> bool:
    if isinstance(value, enum.Enum):
        out.append(_text(b"E", _name(kind)))
        _write_str(value.name if value.name is not None else str(value.value), out)
        return True
    if isinstance(value, type) and kind is not _ALIAS:
        out.append(_text(b"y", _name(value)))
        schema = getattr(value, "model_json_schema", None)
        if callable(schema) and hasattr(value, "model_fields"):
            # A response model asks for its fields: another shape under the same name is another question.
            try:
                described = schema()
            except Exception:
                described = None
            _write(described, out, path, depth + 1, place)
        return True
    if hasattr(value, "get_secret_value") and kind.__module__.split(".")[0] == "pydantic":
        secret = value.get_secret_value()
        out.append(_text(b"k", secret_hash(secret if isinstance(secret, (str, bytes)) else str(secret)).encode()))
        return True
    fields = _fields_of(value, kind)
    if fields is not None:
        _write_fields(kind, fields, out, path, depth, place)
        return True
    pathlib = sys.modules.get("pathlib")
    if pathlib is not None and isinstance(value, pathlib.PurePath):
        out.append(_text(b"p", str(value).encode("utf-8", "surrogatepass")))
        return True
    for base in kind.__mro__[:-1]:
        where = (base.__module__, base.__qualname__)
        if where in _AS_TEXT or where in _SENTINELS:
            out.append(_text(b"o", _name(base)))
            if where in _AS_TEXT:
                _write_str(str(value), out)
            return True
    if isinstance(value, re.Pattern):
        out.append(_text(b"o", _name(kind)))
        _write((value.pattern, value.flags), out, path, depth, place)
        return True
    if isinstance(value, types.SimpleNamespace):
        _write_fields(kind, vars(value), out, path, depth, place)
        return True
    if isinstance(value, deque):
        out.append(_text(b"o", _name(kind)))
        _SEQUENCE(value, out, path, depth, place)
        return True
    origin = get_origin(value)
    if origin is not None:  # list[Item] and the like, asked for as an answer's type
        out.append(_text(b"G", str(origin).encode()))
        _SEQUENCE(get_args(value), out, path, depth, place)
        return True
    if kind.__module__ == "numpy" and hasattr(value, "dtype") and hasattr(value, "tobytes"):
        if value.dtype.hasobject:
            return False
        out.append(_text(b"N", f"{value.dtype.str}{value.shape}".encode()))
        out.append(_text(b"b", value.tobytes()))
        return True
    for base in (bool, int, float, str, bytes, dict, list, tuple, set, frozenset):
        if isinstance(value, base):  # subclasses of the plain types count with their name
            out.append(_text(b"o", _name(kind)))
            _WRITERS[base](value, out, path, depth, place)
            return True
    if isinstance(value, Mapping):
        out.append(_text(b"o", _name(kind)))
        _write_mapping(value, out, path, depth, place)
        return True
    return False


# By name of module and class anywhere in the MRO, so that nothing is imported to know them.
_AS_TEXT = {
    ("datetime", "timezone"), ("zoneinfo", "ZoneInfo"), ("fractions", "Fraction"),
    ("ipaddress", "_BaseAddress"), ("ipaddress", "_BaseNetwork"), ("httpx", "URL"), ("httpx2", "URL"),
    ("yarl", "URL"), ("yarl._url", "URL"), ("pydantic.networks", "_BaseUrl"),
    ("pydantic.networks", "_BaseMultiHostUrl"), ("pydantic_core._pydantic_core", "Url"),
    ("pydantic_core._pydantic_core", "MultiHostUrl"),
}  # fmt: skip
_SENTINELS = {
    ("builtins", "ellipsis"), ("openai", "NotGiven"), ("openai", "Omit"), ("openai._types", "NotGiven"),
    ("openai._types", "Omit"), ("anthropic", "NotGiven"), ("anthropic", "Omit"),
    ("anthropic._types", "NotGiven"), ("anthropic._types", "Omit"),
}  # fmt: skip


# ------------------------------------------------------------------- the usual fields of `self`

_UNCOUNTED = {
    ("_thread", "lock"), ("_thread", "RLock"), ("_thread", "_local"), ("_thread", "_localdummy"),
    ("threading", "Lock"), ("threading", "RLock"), ("threading", "_RLock"), ("threading", "Condition"),
    ("threading", "Event"), ("threading", "Semaphore"), ("threading", "BoundedSemaphore"),
    ("threading", "Barrier"), ("threading", "Thread"), ("threading", "local"),
    ("asyncio.locks", "Lock"), ("asyncio.locks", "Condition"), ("asyncio.locks", "Event"),
    ("asyncio.locks", "Semaphore"), ("asyncio.locks", "BoundedSemaphore"), ("asyncio.queues", "Queue"),
    ("asyncio.events", "AbstractEventLoop"), ("_asyncio", "Task"), ("_asyncio", "Future"),
    ("anyio._core._synchronization", "Lock"), ("anyio._core._synchronization", "Semaphore"),
    ("anyio._core._synchronization", "CapacityLimiter"),
    ("logging", "Logger"), ("logging", "LoggerAdapter"), ("logging", "Handler"),
    ("structlog._config", "BoundLoggerLazyProxy"), ("loguru._logger", "Logger"),
    ("concurrent.futures._base", "Executor"), ("concurrent.futures._base", "Future"),
    ("queue", "Queue"), ("_queue", "SimpleQueue"), ("_contextvars", "ContextVar"),
    ("weakref", "ReferenceType"), ("weakref", "WeakValueDictionary"), ("weakref", "WeakKeyDictionary"),
    ("weakref", "WeakSet"),
    ("semantic_llm_cache.engine.engine", "Engine"), ("semantic_llm_cache.storage.contract", "StorageBackend"),
    ("semantic_llm_cache.similarity.base", "EmbeddingProvider"),
    ("opentelemetry.trace", "Tracer"), ("tenacity", "BaseRetrying"),
}  # fmt: skip

_CREDENTIALS = ("api_key", "auth_token", "admin_api_key", "_api_key")
_ADDRESSES = ("base_url", "_base_url", "organization", "project", "api_version", "_api_version")


def _write_field_registry(value: Any, kind: type, out: list[bytes], path: str, depth: int, place: _Place) -> bool:
    for base in kind.__mro__[:-1]:
        where = (base.__module__, base.__qualname__)
        if where in _UNCOUNTED:
            out.append(b"n")
            return True
    return _write_client_like(value, kind, out, path, depth, place)


def _write_client_like(value: Any, kind: type, out: list[bytes], path: str, depth: int, place: _Place) -> bool:
    for base in kind.__mro__[:-1]:
        where = (base.__module__, base.__qualname__)
        if where[1] in ("BaseClient", "APIClient") and where[0].endswith("_base_client"):
            _write_client(value, kind, out, path, depth, place)  # openai, anthropic and their kin
            return True
        if where in _HTTP_CLIENTS:
            _write_client(value, kind, out, path, depth, place)
            return True
        if where[1] in ("SyncAPIResource", "AsyncAPIResource"):
            # `client.chat.completions`: beside its client it holds only that client's methods
            out.append(_text(b"o", _name(kind)))
            _write(value._client, out, f"{path}._client", depth + 1, place)
            return True
    return False


_TRANSPORT_HEADERS = {"accept", "accept-encoding", "connection", "content-type", "user-agent"}
_HTTP_CLIENTS = {
    ("httpx._client", "BaseClient"), ("httpx2._client", "BaseClient"), ("requests.sessions", "Session"),
    ("aiohttp.client", "ClientSession"), ("ollama._client", "BaseClient"),
}  # fmt: skip


def _write_client(value: Any, kind: type, out: list[bytes], path: str, depth: int, place: _Place) -> None:
    facts: dict[str, str] = {}
    for name in _ADDRESSES:
        found = getattr(value, name, None)
        kind_of = type(found)
        # By type: under some of these names other SDKs have something else.
        if isinstance(found, str) or (kind_of.__module__, kind_of.__qualname__) in _AS_TEXT:
            facts[name] = str(found)
    for name in _CREDENTIALS:
        found = getattr(value, name, None)
        if isinstance(found, (str, bytes)):
            facts[name] = secret_hash(found)
    for holder in (value, getattr(value, "_client", None)):
        if holder is None:
            continue
        headers = getattr(holder, "headers", None)
        if isinstance(headers, Mapping):
            facts.setdefault("base_url", str(getattr(holder, "base_url", "")))
        # Any header or parameter may carry a key or name a tenant, so all count, and none as it is.
        for attribute in ("headers", "_custom_headers", "params", "_custom_query"):
            found = getattr(holder, attribute, None)
            for name, item in found.items() if isinstance(found, Mapping) else ():
                if str(name).lower() not in _TRANSPORT_HEADERS:
                    facts[f"{attribute} {str(name).lower()}"] = secret_hash(str(item))
        auth = getattr(holder, "auth", None)
        if auth is not None and not callable(getattr(type(holder), "auth", None)):
            held = auth if isinstance(auth, tuple) else getattr(auth, "__dict__", {})
            facts["auth"] = secret_hash(repr((type(auth).__qualname__, held)))
    _write_fields(kind, facts, out, path, depth, place)


def fingerprint_instance(value: Any, name: str = "self") -> bytes:
    """Return the canonical form of a `self`: its type and what it holds.

    In order: a registered function for its type, its `__cache_scope__()`, its fields (dataclass,
    pydantic, attrs, `vars`, slots).

    Raises:
        CacheKeyError: naming the field that has no stable fingerprint.
    """
    kind = type(value)
    out: list[bytes] = []
    if is_registered(kind) or hasattr(kind, "__cache_scope__"):
        _write(value, out, name, 0, _FIELD)
        return b"".join(out)
    if _write_client_like(value, kind, out, name, 0, _FIELD):
        return b"".join(out)
    fields = {**held_fields(value), **(_fields_of(value, kind) or {})}
    for base in kind.__mro__[:-1]:
        slots = base.__dict__.get("__slots__", ())
        for slot in (slots,) if isinstance(slots, str) else slots:
            if slot.startswith("__"):
                if slot.endswith("__"):
                    continue  # __dict__, __weakref__, and what pydantic keeps for itself
                slot = f"_{base.__name__.lstrip('_')}{slot}"
            if hasattr(value, slot):
                fields.setdefault(slot, getattr(value, slot))
    _write_fields(kind, fields, out, name, 0, _FIELD)
    for base in (int, float, str, bytes, dict, list, tuple, set, frozenset):
        if isinstance(value, base):  # a subclass of a plain type is also what that type holds
            _WRITERS[base](value, out, name, 0, _FIELD)
    return b"".join(out)
