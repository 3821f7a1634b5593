"""Stored answers as tagged JSON: no pickle, no import by a stored name.

Plain JSON values stand for themselves. Everything else is an object whose key ``"$"`` names
the type and whose ``"v"`` holds the value, so that the type is kept. A dict
that would look like a tag, or whose keys are not all strings, is tagged itself.

Models (pydantic, dataclasses, attrs classes) and enums are written with their type's *name* and their
fields. The name is never imported: `loads` gives a `StoredModel`, a dict of the fields, and `rebuild`
turns that into an instance of a type which the *caller* holds, taken from the function's return
annotation or `result_type=`.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import enum
import functools
import math
from typing import TYPE_CHECKING, Any

from semantic_llm_cache.exceptions import CacheSerializationError
from semantic_llm_cache.values.introspection import defines, held_fields, known_late
from semantic_llm_cache.values.json_pieces import read, write
from semantic_llm_cache.values.odd_text import escape, unescape

if TYPE_CHECKING:
    import json

__all__ = ["Encoded", "StoredModel", "dumps", "freeze", "is_immutable", "loads", "same", "thaw", "type_name"]

_TAG = "$"
_SCALARS = frozenset({str, int, float, bool, type(None)})
_IMMUTABLE = _SCALARS | {bytes}


_MOST_KEPT = 16_384  # characters of text of which the value is kept, too
_UNREAD: Any = object()
_TAGGED: Any = object()


class Encoded:
    """An answer in its stored form, decoded for each reader, so that no reader can change it."""

    __slots__ = ("_value", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._value = _UNREAD

    def decode(self) -> Any:
        """Return a fresh value."""
        value = self._value
        if value is _TAGGED:
            return loads(self.text)
        if value is _UNREAD:
            value = loads(self.text)
            if len(self.text) > _MOST_KEPT or not _is_plain(value):
                self._value = _TAGGED
                return value
            self._value = value
        return _copied(value)  # which takes a quarter of the time of reading the text again

    @property
    def plain(self) -> bool:
        """Whether it is known to hold only types that JSON has: then there is nothing to rebuild."""
        return self._value is not _UNREAD and self._value is not _TAGGED

    def __reduce__(self) -> tuple[Any, ...]:
        return Encoded, (self.text,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Encoded) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"Encoded({len(self.text)} characters)"


class StoredModel(dict):  # type: ignore[type-arg]
    """The fields of a stored model, dataclass or enum (`{"value": ...}`), and the name of its type.

    For a pydantic model also what it holds besides its fields: `extra` ones, `private` ones, and the names
    of those that were `unset`, left at their defaults. `adapted` ones are of other types that pydantic writes
    and validates (URLs, and those with `__get_pydantic_core_schema__`): `{"value": ...}` is what it wrote.
    """

    def __init__(
        self,
        type_name: str,
        fields: dict[str, Any],
        extra: dict[str, Any] | None = None,
        private: dict[str, Any] | None = None,
        unset: tuple[str, ...] = (),
        adapted: bool = False,
    ) -> None:
        super().__init__(fields)
        self.type_name = type_name
        self.extra = extra or {}
        self.private = private or {}
        self.unset = unset
        self.adapted = adapted

    def __eq__(self, other: object) -> bool:
        return dict.__eq__(self, other) is True and self.type_name == getattr(other, "type_name", self.type_name)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:  # type: ignore[override]
        # An enum may be a member of a set or a key. A stored form does not change between writing and reading.
        return hash((self.type_name, repr(dict(self))))


def is_immutable(value: Any) -> bool:
    """Return whether `value` may be given to many readers without a copy."""
    kind = type(value)
    if kind in _IMMUTABLE:
        return True
    return kind is tuple and all(is_immutable(item) for item in value)


def freeze(value: Any) -> Any:
    """Return `value` itself when it is immutable, else an `Encoded`. Raises CacheSerializationError."""
    if type(value) is Encoded or is_immutable(value):
        return value
    return Encoded(dumps(value))


def thaw(value: Any) -> Any:
    """Undo `freeze`: a fresh value for an `Encoded`, anything else as it is."""
    return value.decode() if type(value) is Encoded else value


def _is_plain(value: Any) -> bool:
    kind = type(value)
    if kind is dict:
        return all(type(key) is str for key in value) and all(map(_is_plain, value.values()))
    return all(map(_is_plain, value)) if kind is list else kind in _SCALARS


def _copied(value: Any) -> Any:
    """Return a copy of a plain value."""
    kind = type(value)
    if kind is dict:
        return {key: item if type(item) in _SCALARS else _copied(item) for key, item in value.items()}
    if kind is list:
        return [item if type(item) in _SCALARS else _copied(item) for item in value]
    return value


# ------------------------------------------------------------------------------ writing


def dumps(value: Any) -> str:
    """Return `value` as tagged JSON text, which always has a UTF-8 encoding.

    Raises:
        CacheSerializationError: a value of a type that has no stored form; the message says where.

    Example:
        >>> dumps({"at": (1, 2)})
        '{"at":{"$":"tuple","v":[1,2]}}'
    """
    if type(value) is Encoded:
        return value.text
    try:
        return escape(write(_encode(value, "answer")))
    except RecursionError:
        raise CacheSerializationError("the answer refers to itself or is nested too deeply") from None
    except ValueError:  # a whole number of more digits than Python writes
        raise CacheSerializationError("the answer cannot be written: a number has too many digits") from None


def _tag(name: str, value: Any) -> dict[str, Any]:
    return {_TAG: name, "v": value}


def type_name(kind: type) -> str:
    """Return the name under which a model of this type is stored."""
    return f"{kind.__module__}.{kind.__qualname__}"


def _encode(value: Any, where: str) -> Any:
    kind = type(value)
    if kind in (str, int, bool, type(None)):
        return value
    if kind is float:
        return value if math.isfinite(value) else _tag("float", repr(value))
    if kind is list:
        return [_encode(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if kind is dict:
        if _TAG not in value and all(type(key) is str for key in value):
            return {key: _encode(item, f"{where}[{_shown(key)}]") for key, item in value.items()}
        return _tag(
            "dict",
            [[_encode(k, f"key of {where}"), _encode(v, f"{where}[{_shown(k)}]")] for k, v in value.items()],
        )
    encoder = _ENCODERS.get(kind) or known_late(kind, _LATE_ENCODERS, _ENCODERS)
    if encoder is not None:
        return encoder(value, where)
    return _encode_model(value, kind, where)


def _shown(key: Any) -> str:
    """Return a key for an error message: a name, not text that may be a part of the answer."""
    return repr(key) if type(key) is int or (type(key) is str and len(key) <= 40 and key.isidentifier()) else "..."


def _encode_items(name: str) -> Any:
    def encode(value: Any, where: str) -> Any:
        return _tag(name, [_encode(item, f"{where}[{i}]") for i, item in enumerate(value)])

    return encode


def _encode_set(name: str) -> Any:
    def encode(value: Any, where: str) -> Any:
        items = [_encode(item, f"member of {where}") for item in value]
        # Sorted, so that equal sets have equal text whatever the hash seed.
        import json

        return _tag(name, sorted(items, key=lambda item: json.dumps(item, sort_keys=True)))

    return encode


def _encode_time(name: str) -> Any:
    def encode(value: Any, where: str) -> Any:
        zone = value.tzinfo
        if zone is not None and not isinstance(zone, dt.timezone):
            key = getattr(zone, "key", None)  # zoneinfo.ZoneInfo
            if not isinstance(key, str):
                raise CacheSerializationError(f"{where} has a time zone of type {type(zone).__name__}")
            return _tag(name, [value.replace(tzinfo=None).isoformat(), key, value.fold])
        return _tag(name, value.isoformat())

    return encode


_ENCODERS: dict[type, Any] = {
    tuple: _encode_items("tuple"),
    set: _encode_set("set"),
    frozenset: _encode_set("frozenset"),
    bytes: lambda value, where: _tag("bytes", base64.b64encode(value).decode("ascii")),
    bytearray: lambda value, where: _tag("bytearray", base64.b64encode(value).decode("ascii")),
    complex: lambda value, where: _tag("complex", [repr(value.real), repr(value.imag)]),
    dt.datetime: _encode_time("datetime"),
    dt.time: _encode_time("time"),
    dt.date: lambda value, where: _tag("date", value.isoformat()),
    dt.timedelta: lambda value, where: _tag("timedelta", [value.days, value.seconds, value.microseconds]),
}
# By their module: who has such a value has imported it, and others need not wait for the import.
_PATHS = ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")
_ADDRESSES = ("IPv4Address", "IPv6Address", "IPv4Interface", "IPv6Interface", "IPv4Network", "IPv6Network")


def _encode_text(name: str) -> Any:
    return lambda value, where: _tag(name, _encode(str(value), where))


_LATE_ENCODERS: dict[tuple[str, str], Any] = {
    **{(module, name): _encode_text(name) for module in ("pathlib", "pathlib._local") for name in _PATHS},
    **{("ipaddress", name): _encode_text(name) for name in _ADDRESSES},
    ("decimal", "Decimal"): lambda value, where: _tag("Decimal", str(value)),
    ("uuid", "UUID"): lambda value, where: _tag("UUID", value.hex),
}


def _model_fields(value: Any) -> dict[str, Any] | None:
    """Return the fields of a model instance, or None when it is no model."""
    kind = type(value)
    if dataclasses.is_dataclass(kind):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(kind)}
    if hasattr(kind, "model_fields") and hasattr(kind, "model_dump"):  # pydantic 2
        return held_fields(value)
    if hasattr(kind, "__attrs_attrs__"):
        return {a.name: getattr(value, a.name) for a in kind.__attrs_attrs__}
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        return dict(zip(kind._fields, value, strict=True))
    return None


def _as_stored(value: Any, kind: type, where: str) -> StoredModel:
    if isinstance(value, StoredModel):
        return value
    if isinstance(value, enum.Enum):
        return StoredModel(type_name(kind), {"value": value.value})
    fields = _model_fields(value)
    if fields is None and defines(kind, "__get_pydantic_core_schema__"):
        return _as_pydantic_writes(value, kind, where)
    if fields is None:
        raise CacheSerializationError(
            f"{where} is a {type_name(kind)}, which has no stored form: return plain data, a dataclass or "
            "a pydantic model"
        )
    extra = getattr(value, "__pydantic_extra__", None) or {}
    given = getattr(value, "__pydantic_fields_set__", None)
    unset = () if given is None else tuple(name for name in (*fields, *extra) if name not in given)
    return StoredModel(type_name(kind), fields, extra, getattr(value, "__pydantic_private__", None), unset)


def _as_pydantic_writes(value: Any, kind: type, where: str) -> StoredModel:
    from pydantic import TypeAdapter  # loaded: it defines the type, or made it possible

    try:
        written = TypeAdapter(kind).dump_python(value, mode="json", warnings="error")
    except Exception as error:  # the type's own code
        raise CacheSerializationError(f"{where} is a {type_name(kind)}, which pydantic cannot write") from error
    return StoredModel(type_name(kind), {"value": written}, adapted=True)


def _encode_model(value: Any, kind: type, where: str) -> Any:
    stored = _as_stored(value, kind, where)
    tagged: dict[str, Any] = {_TAG: "adapted" if stored.adapted else "model", "t": stored.type_name}
    for name, held in (("v", stored), ("x", stored.extra), ("p", stored.private)):
        if held or name == "v":
            tagged[name] = {field: _encode(item, f"{where}.{field}") for field, item in held.items()}
    if stored.unset:
        tagged["u"] = list(stored.unset)
    return tagged


# ------------------------------------------------------------------------------ reading


def loads(text: str) -> Any:
    """Return the value that `dumps` wrote; models come as `StoredModel`.

    Raises:
        CacheSerializationError: text that `dumps` cannot have written.
    """
    try:
        return _decode(read(unescape(text), _decoder()))
    except CacheSerializationError:
        raise
    except Exception as error:  # a damaged value may make a constructor raise anything
        raise CacheSerializationError(f"a stored answer cannot be read ({type(error).__name__})") from error


def _no_constant(name: str) -> Any:
    raise CacheSerializationError(f"a stored answer holds {name}, which is not JSON")


@functools.cache
def _decoder() -> json.JSONDecoder:
    """Return the one decoder: `json.loads` would make one on every call."""
    import json

    return json.JSONDecoder(parse_constant=_no_constant)


def _decode(value: Any) -> Any:
    kind = type(value)
    if kind is list:
        return [_decode(item) for item in value]
    if kind is not dict:
        return value
    if _TAG not in value:
        return {key: _decode(item) for key, item in value.items()}
    name = value[_TAG]
    if name in ("model", "adapted"):
        if not isinstance(value["t"], str):
            raise CacheSerializationError("a stored model has no type name")
        fields, extra, private = (
            {key: _decode(item) for key, item in value.get(part, {}).items()} for part in ("v", "x", "p")
        )
        unset = tuple(map(str, value.get("u", ())))
        return StoredModel(value["t"], fields, extra, private, unset, name == "adapted")
    decoder = _DECODERS.get(name)
    if decoder is None:
        raise CacheSerializationError(f"a stored answer has the unknown type tag {name!r}")
    return decoder(value["v"])


def _decode_time(kind: Any) -> Any:
    def decode(value: Any) -> Any:
        if isinstance(value, str):
            return kind.fromisoformat(value)
        from zoneinfo import ZoneInfo

        text, zone, fold = value
        return kind.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)

    return decode


def _decode_decimal(text: Any) -> Any:
    from decimal import Decimal

    return Decimal(text)


def _decode_uuid(text: Any) -> Any:
    from uuid import UUID

    return UUID(hex=text)


def _decode_named(module: str, name: str) -> Any:
    def decode(text: Any) -> Any:
        import importlib  # of a module named here, not in the data

        return getattr(importlib.import_module(module), name)(_decode(text))

    return decode


_DECODERS: dict[str, Any] = {
    **{name: _decode_named("pathlib", name) for name in _PATHS},
    **{name: _decode_named("ipaddress", name) for name in _ADDRESSES},
    "float": float,
    "dict": lambda pairs: {_decode(key): _decode(item) for key, item in pairs},
    "tuple": lambda items: tuple(_decode(item) for item in items),
    "set": lambda items: {_decode(item) for item in items},
    "frozenset": lambda items: frozenset(_decode(item) for item in items),
    "bytes": lambda text: base64.b64decode(text, validate=True),
    "bytearray": lambda text: bytearray(base64.b64decode(text, validate=True)),
    "complex": lambda parts: complex(float(parts[0]), float(parts[1])),
    "datetime": _decode_time(dt.datetime),
    "time": _decode_time(dt.time),
    "date": dt.date.fromisoformat,
    "timedelta": lambda parts: dt.timedelta(*parts),
    "Decimal": _decode_decimal,
    "UUID": _decode_uuid,
}


def same(one: Any, other: Any) -> bool:
    """Return whether two values are equal and of equal types all the way down."""
    kind = type(one)
    if kind is not type(other):
        return False
    if kind in _IMMUTABLE and kind is not float:
        return bool(one == other)
    if kind is float:
        return bool(one == other or (one != one and other != other))
    if isinstance(one, dict):
        return len(one) == len(other) and all(
            same(k1, k2) and same(v1, v2) for (k1, v1), (k2, v2) in zip(one.items(), other.items(), strict=True)
        )
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, (set, frozenset)):
        return bool(one == other) and sorted(map(_type_of, one)) == sorted(map(_type_of, other))
    if isinstance(one, (float, complex)) or type(one).__module__ == "decimal":
        return repr(one) == repr(other) or one == other  # not a number is not equal to itself
    fields = None if isinstance(one, enum.Enum) else _model_fields(one)
    if fields is not None:
        others = _model_fields(other)
        return others is not None and same(fields, others) and same(_beside(one), _beside(other))
    return bool(one == other)


def _beside(model: Any) -> tuple[Any, ...]:
    return tuple(getattr(model, f"__pydantic_{part}__", None) for part in ("extra", "private", "fields_set"))


def _type_of(value: Any) -> str:
    return type_name(type(value))
