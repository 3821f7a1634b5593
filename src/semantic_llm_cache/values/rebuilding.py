"""Rebuilds stored models as instances, guided by the caller's own types.

No type is looked up by its stored name: see `values.encoding`.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import typing
from typing import Any, get_args, get_origin

from semantic_llm_cache.exceptions import CacheSerializationError
from semantic_llm_cache.values.annotations import (
    candidates,
    field_types,
    is_typed_dict,
    is_union,
    meaning,
    named_classes,
    open_forms,
)
from semantic_llm_cache.values.encoding import Encoded, StoredModel, thaw, type_name

__all__ = ["AsStored", "NoSuchType", "rebuild", "revived"]


class NoSuchType(CacheSerializationError):
    """A stored model is of a type that the caller's annotation does not name.

    Attributes:
        type_name: the full name of the type.
    """

    def __init__(self, text: str, type_name: str = "") -> None:
        super().__init__(text)
        self.type_name = type_name


class AsStored:
    """As a target: the answer is plain data, in which nothing has to be rebuilt, so it need not be looked through."""


def rebuild(value: Any, target: Any) -> Any:
    """Turn the `StoredModel`s inside `value` into instances, guided by the type `target`.

    `target` is a type or annotation: a pydantic model, dataclass, attrs class, named tuple or enum,
    unions, aliases and the usual generics of them. Where it leaves the type open (`Any`, a free type
    variable), any class counts that it names elsewhere. Values with no `StoredModel` inside come back as they are.

    Raises:
        CacheSerializationError: a stored model for which `target` names no type, or another one.
    """
    if target is AsStored or type(value) in _AS_THEY_ARE:
        return value
    try:
        target = meaning(target)
        return _Rebuilder(target).value(value, target)
    except CacheSerializationError:
        raise
    except Exception as error:  # a model's own validation may raise anything
        raise CacheSerializationError(f"a stored answer does not fit {target!r} ({type(error).__name__})") from error


def revived(held: Any, target: Any) -> Any:
    """Return a fresh value of a stored answer for one reader: `thaw`, then `rebuild`.

    Raises:
        CacheSerializationError: it cannot be read, or does not fit `target`.
    """
    value = thaw(held)
    return value if type(held) is Encoded and held.plain else rebuild(value, target)


_AS_THEY_ARE = frozenset({str, int, float, bool, type(None), bytes})


class _Rebuilder:
    """Rebuilds one answer.

    Args:
        target: the annotation of the whole answer.
    """

    __slots__ = ("_target",)

    def __init__(self, target: Any) -> None:
        self._target = target

    def value(self, value: Any, target: Any) -> Any:
        kind = type(value)
        if kind in _AS_THEY_ARE:
            return value
        target = meaning(target)
        if is_union(target):
            return self._union(value, get_args(target))
        if isinstance(value, StoredModel):
            return self._model(value, target)
        if kind in (list, set, frozenset):
            args = get_args(target)
            item_type = args[0] if args else Any
            return kind(self.value(item, item_type) for item in value)
        if kind is tuple:
            return tuple(map(self.value, value, _item_types(get_args(target), len(value))))
        return self._mapping(value, target) if kind is dict else value

    def _mapping(self, value: dict[Any, Any], target: Any) -> dict[Any, Any]:
        origin, args = get_origin(target), get_args(target)
        if is_typed_dict(origin or target):
            hints = field_types(origin or target, args)
            return {key: self.value(item, hints.get(key, Any)) for key, item in value.items()}
        key_type, item_type = args if len(args) == 2 else (Any, Any)
        return {self.value(key, key_type): self.value(item, item_type) for key, item in value.items()}

    def _union(self, value: Any, options: tuple[Any, ...]) -> Any:
        problem: Exception | None = None
        for option in options:
            try:
                return self.value(value, option)
            except Exception as error:
                problem = error
        if isinstance(value, StoredModel) and isinstance(problem, NoSuchType) and problem.type_name == value.type_name:
            problem = _no_such_type(value, typing.Union[options])  # noqa: UP007 - a tuple
        assert problem is not None
        raise problem

    def _model(self, value: StoredModel, target: Any) -> Any:
        if isinstance(target, type) and type_name(target) == value.type_name:
            return self._instance(target, value, get_args(target))
        # A subclass may be stored under a base's annotation; only types the caller has loaded are looked at.
        kinds = candidates(target)
        found = next(filter(None, (_fitting(kind, value.type_name) for kind in kinds)), None)
        if found is None and not kinds:
            found = named_classes(self._target).get(value.type_name)
        if found is None:
            raise _no_such_type(value, target)
        return self._instance(found, value, get_args(target))

    def _instance(self, found: Any, value: StoredModel, arguments: tuple[Any, ...]) -> Any:
        if value.adapted:
            return _adapter(found).validate_python(value["value"])
        if issubclass(found, enum.Enum):
            return found(self.value(value["value"], Any))
        hints = field_types(found, arguments)
        fields = {name: self.value(item, hints.get(name, Any)) for name, item in value.items()}
        if hasattr(found, "model_construct") and hasattr(found, "model_fields"):
            extra = {name: self.value(item, Any) for name, item in value.extra.items()}
            private = {name: self.value(item, Any) for name, item in value.private.items()}
            return _rebuild_pydantic(found, fields, value, extra, private)
        if dataclasses.is_dataclass(found):
            return _build(found, fields, {f.name: f.name for f in dataclasses.fields(found) if f.init})
        if hasattr(found, "__attrs_attrs__"):
            return _build(
                found, fields, {a.name: a.alias or a.name.lstrip("_") for a in found.__attrs_attrs__ if a.init}
            )
        return found(**fields)


def _no_such_type(value: StoredModel, target: Any) -> NoSuchType:
    return NoSuchType(f"a stored {value.type_name} cannot be rebuilt as {_shown(target)}", value.type_name)


def _shown(target: Any) -> str:
    text = type_name(target) if isinstance(target, type) and get_origin(target) is None else repr(target)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


_LONGEST = 200


def _item_types(args: tuple[Any, ...], count: int) -> list[Any]:
    """Return the annotations of the items of a tuple, from its own arguments."""
    if len(args) == 2 and args[1] is Ellipsis:
        return [args[0]] * count
    inner = [get_args(meaning(arg)) if _is_unpacked(arg) else None for arg in args]
    types: list[Any] = []
    for arg, within in zip(args, inner, strict=True):
        if within is None:
            types.append(arg)
        elif len(within) == 2 and within[1] is Ellipsis:
            types += [within[0]] * (count - len(args) + 1)
        else:
            types += within
    return types if len(types) == count else [args[0] if args else Any] * count


def _is_unpacked(arg: Any) -> bool:
    return getattr(arg, "__unpacked__", False) is True or getattr(get_origin(arg), "_name", "") == "Unpack"


def _rebuild_pydantic(
    kind: Any, fields: dict[str, Any], value: StoredModel, extra: dict[str, Any], private: dict[str, Any]
) -> Any:
    # The fields were validated before they were stored: setting them keeps values that validation would coerce.
    known = kind.model_fields
    unknown = [name for name in fields if name not in known and not name.startswith("_")]
    if unknown or (extra and kind.model_config.get("extra") != "allow"):
        raise CacheSerializationError(f"{kind.__name__} no longer has the fields {sorted([*unknown, *extra])}")
    missing = [name for name, info in known.items() if info.is_required() and name not in fields]
    if missing:
        raise CacheSerializationError(f"{kind.__name__} now needs the fields {missing}")
    unset = {*value.unset, *(name for name in known if name not in fields)}
    for name, info in known.items():
        if name not in fields:
            fields[name] = info.get_default(call_default_factory=True)
    built = kind.__new__(kind)
    parts: dict[str, Any] = {"__dict__": fields, "__pydantic_fields_set__": {*known, *extra} - unset}
    if not getattr(kind, "__pydantic_root_model__", False):  # root models have no such slots
        parts["__pydantic_extra__"] = extra if kind.model_config.get("extra") == "allow" else None
        parts["__pydantic_private__"] = private if kind.__private_attributes__ else None
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


@functools.lru_cache(maxsize=256)
def _adapter(kind: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _fitting(kind: type, name: str) -> type | None:
    found = _named(kind, name)
    return found if found is not None else next((one for one in open_forms(kind) if type_name(one) == name), None)


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
