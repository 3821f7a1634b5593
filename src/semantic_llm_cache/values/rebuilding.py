"""Rebuilds stored models as instances, guided by the caller's own types.

No type is looked up by its stored name: see `values.encoding`.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import types
import typing
from typing import Any, get_args, get_origin

from semantic_llm_cache.exceptions import CacheSerializationError
from semantic_llm_cache.values.encoding import StoredModel, type_name

__all__ = ["rebuild"]


class _Mismatch(Exception):
    """A stored value does not fit the type that the caller holds."""


def rebuild(value: Any, target: Any) -> Any:
    """Turn the `StoredModel`s inside `value` into instances, guided by the type `target`.

    `target` is a type or annotation: a pydantic model, dataclass, attrs class, named tuple or enum,
    unions and the usual generics of them. Values with no `StoredModel` inside come back as they are.

    Raises:
        CacheSerializationError: a stored model for which `target` names no type, or another one.
    """
    try:
        return _rebuild(value, target)
    except _Mismatch as error:
        raise CacheSerializationError(str(error)) from None
    except CacheSerializationError:
        raise
    except Exception as error:  # a model's own validation may raise anything
        raise CacheSerializationError(f"a stored answer does not fit {target!r} ({type(error).__name__})") from error


@functools.lru_cache(maxsize=1024)
def _hints(kind: Any) -> dict[str, Any]:
    if hasattr(kind, "model_fields"):  # pydantic has resolved them
        return {name: info.annotation for name, info in kind.model_fields.items()}
    try:
        # With its own name: a class defined in a function may refer to itself.
        return typing.get_type_hints(kind, localns={kind.__name__: kind})
    except Exception:
        return dict(getattr(kind, "__annotations__", {}))


def _substitute(hint: Any, given: dict[Any, Any]) -> Any:
    """Replace the type variables of a generic type with its arguments."""
    if isinstance(hint, typing.TypeVar):
        return given.get(hint, hint)
    open_ones = getattr(hint, "__parameters__", ()) if given else ()
    return hint[tuple(given.get(one, Any) for one in open_ones)] if open_ones else hint


_AS_THEY_ARE = frozenset({str, int, float, bool, type(None), bytes})


def _rebuild(value: Any, target: Any) -> Any:
    if type(value) in _AS_THEY_ARE:
        return value
    # A `NewType`, or an alias made with the `type` statement, stands for another.
    target = getattr(target, "__supertype__", getattr(target, "__value__", target))
    origin = get_origin(target)
    if origin is typing.Annotated:
        return _rebuild(value, get_args(target)[0])
    if origin in (typing.Union, types.UnionType):
        return _rebuild_union(value, get_args(target))
    if isinstance(value, StoredModel):
        return _rebuild_model(value, origin or target, target)
    kind = type(value)
    args = get_args(target)
    if kind in (list, set, frozenset):
        item_type = args[0] if args else Any
        return kind(_rebuild(item, item_type) for item in value)
    if kind is tuple:
        if args and not (len(args) == 2 and args[1] is Ellipsis) and len(args) == len(value):
            return tuple(_rebuild(item, t) for item, t in zip(value, args, strict=True))
        return tuple(_rebuild(item, args[0] if args else Any) for item in value)
    if kind is dict:
        if typing.is_typeddict(origin or target):
            hints = _hints(origin or target)
            return {key: _rebuild(item, hints.get(key, Any)) for key, item in value.items()}
        key_type, item_type = args if len(args) == 2 else (Any, Any)
        return {_rebuild(key, key_type): _rebuild(item, item_type) for key, item in value.items()}
    return value


def _rebuild_union(value: Any, options: tuple[Any, ...]) -> Any:
    problem: Exception | None = None
    for option in options:
        try:
            return _rebuild(value, option)
        except Exception as error:
            problem = error
    assert problem is not None
    raise problem


def _rebuild_model(value: StoredModel, kind: Any, target: Any) -> Any:
    # A subclass may be stored under a base's annotation; only types the caller has loaded are looked at.
    found = _named(kind, value.type_name) if isinstance(kind, type) else None
    if found is None:
        raise _Mismatch(
            f"a stored {value.type_name} cannot be rebuilt as {target!r}: annotate the function's return type "
            "or pass result_type="
        )
    return _instantiate(found, value, dict(zip(getattr(found, "__parameters__", ()), get_args(target), strict=False)))


def _instantiate(found: Any, value: StoredModel, given: dict[Any, Any]) -> Any:
    if issubclass(found, enum.Enum):
        return found(_rebuild(value["value"], Any))
    hints = _hints(found)
    fields = {name: _rebuild(item, _substitute(hints.get(name, Any), given)) for name, item in value.items()}
    if hasattr(found, "model_construct") and hasattr(found, "model_fields"):
        return _rebuild_pydantic(found, fields, value)
    if dataclasses.is_dataclass(found):
        return _build(found, fields, {f.name: f.name for f in dataclasses.fields(found) if f.init})
    if hasattr(found, "__attrs_attrs__"):
        return _build(found, fields, {a.name: a.alias or a.name.lstrip("_") for a in found.__attrs_attrs__ if a.init})
    return found(**fields)


def _rebuild_pydantic(kind: Any, fields: dict[str, Any], value: StoredModel) -> Any:
    # The fields were validated before they were stored: setting them keeps values that validation would coerce.
    known = kind.model_fields
    unknown = [name for name in fields if name not in known and not name.startswith("_")]
    if unknown or (value.extra and kind.model_config.get("extra") != "allow"):
        raise _Mismatch(f"{kind.__name__} no longer has the fields {sorted([*unknown, *value.extra])}")
    missing = [name for name, info in known.items() if info.is_required() and name not in fields]
    if missing:
        raise _Mismatch(f"{kind.__name__} now needs the fields {missing}")
    unset = {*value.unset, *(name for name in known if name not in fields)}
    for name, info in known.items():
        if name not in fields:
            fields[name] = info.get_default(call_default_factory=True)
    extra = {name: _rebuild(item, Any) for name, item in value.extra.items()}
    private = {name: _rebuild(item, Any) for name, item in value.private.items()}
    built = kind.__new__(kind)
    parts = {
        "__dict__": fields,
        "__pydantic_fields_set__": {*known, *extra} - unset,
        "__pydantic_extra__": extra if kind.model_config.get("extra") == "allow" else None,
        "__pydantic_private__": private if kind.__private_attributes__ else None,
    }
    for name, held in parts.items():
        object.__setattr__(built, name, held)
    return built


def _build(kind: Any, fields: dict[str, Any], arguments: dict[str, str]) -> Any:
    """Make an instance from the fields that `__init__` takes, under its names for them; set the others afterwards."""
    built = kind(**{arguments[name]: item for name, item in fields.items() if name in arguments})
    for name, item in fields.items():
        if name not in arguments:
            object.__setattr__(built, name, item)
    return built


def _named(kind: type, name: str) -> type | None:
    stack = [kind]
    while stack:
        candidate = stack.pop()
        if type_name(candidate) == name:
            return candidate
        try:
            stack.extend(candidate.__subclasses__())
        except TypeError:  # `type` itself
            return None
    return None
