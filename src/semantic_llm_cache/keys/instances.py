"""Tokens of instances: what the `self` of a cached method holds, as something hashable that is quick to make."""

from __future__ import annotations

import dataclasses
import enum
import functools
from collections.abc import Iterable
from typing import Any

from semantic_llm_cache.keys.client_forms import is_client, is_neutral, known_client_form
from semantic_llm_cache.keys.fingerprint import is_registered
from semantic_llm_cache.keys.object_forms import class_captures
from semantic_llm_cache.keys.plain_forms import content_base, plain_token
from semantic_llm_cache.keys.walk import LEAVES
from semantic_llm_cache.values.introspection import defines, hides_state, own_slots

__all__ = ["instance_token"]

_TEXT = frozenset({str})
_MEMO_FIELD = 16  # larger containers in fields are not remembered, to keep the memo small
_MEMO_DEPTH = 3


@functools.lru_cache(maxsize=1024)
def _readable(kind: Any) -> tuple[bool, tuple[tuple[str, Any], ...]]:
    """Return whether `__dict__` and slots are all that counts of an instance, and its slots.

    They are not all if a C type or a plain type holds something else, in pydantic's models (private fields),
    or if a class defined inside a function closes over something.
    """
    whole = not (
        content_base(kind)
        or hides_state(kind)
        or class_captures(kind)
        or issubclass(kind, enum.Enum)
        or (defines(kind, "model_dump") and hasattr(kind, "model_fields"))
        # A field that was never set is read from the class.
        or (defines(kind, "__dataclass_fields__") and not all(field.init for field in dataclasses.fields(kind)))
    )
    return whole, own_slots(kind)


def instance_token(instance: Any, ignored: bool) -> Any:
    """Return something hashable that is equal only for instances with the same fingerprint, or None."""
    kind: Any = type(instance)
    if ignored:
        return kind
    if issubclass(kind, type):
        return None if class_captures(instance) else instance
    if is_registered(kind):
        return None
    if defines(kind, "__cache_scope__"):
        held = plain_token(instance.__cache_scope__())
        return None if held is None else (kind, held)
    whole, slots = _readable(kind)
    if not whole or is_client(kind):
        return None
    fields = getattr(instance, "__dict__", None)
    if fields and not _TEXT.issuperset(map(type, fields)):
        return None
    if fields is not None and not slots:
        types = tuple(map(type, fields.values()))
        if LEAVES.issuperset(types):
            return (kind, tuple(fields.items()), types)
    items = list((fields or {}).items())
    for name, slot in slots:
        try:
            items.append((name, slot.__get__(instance, kind)))
        except AttributeError:
            continue  # a slot not set
    tokens = _field_tokens(value for _, value in items)
    return None if tokens is None else (kind, tuple(name for name, _ in items), tokens)


def _field_tokens(values: Iterable[Any], depth: int = 0) -> tuple[Any, ...] | None:
    tokens = []
    for value in values:
        token = _field_token(value, depth)
        if token is None:
            return None
        tokens.append(token)
    return tuple(tokens)


def _field_token(value: Any, depth: int) -> Any:
    """Return a hashable stand-in for what a field holds: plain values, small containers, clients; else None."""
    kind: Any = type(value)
    if kind in LEAVES:
        return (kind, value)
    if kind in (list, tuple, dict):
        if len(value) > _MEMO_FIELD or depth > _MEMO_DEPTH:
            return None
        names = tuple(value) if kind is dict else ()
        if not all(type(name) is str for name in names):
            return None
        held = _field_tokens(value.values() if kind is dict else value, depth + 1)
        return None if held is None else (kind, names, held)
    if is_registered(kind) or defines(kind, "__cache_scope__"):
        return None
    if is_client(kind):
        form = known_client_form(value)
        return None if form is None else (is_client, form)
    return (kind,) if is_neutral(kind) else None
