"""Forms of enums, classes, `typing` objects, arrays, secrets, and instances by all they hold."""

from __future__ import annotations

import dataclasses
import enum
import functools
import inspect
import re
import types
import weakref
from collections.abc import Collection, Mapping
from typing import Any, get_args, get_origin

from semantic_llm_cache.keys.captures import Captures
from semantic_llm_cache.keys.functions import AttributeCell, cells_of, importable_name, is_wrapper_of_cache
from semantic_llm_cache.keys.known_types import AS_TEXT, SENTINELS
from semantic_llm_cache.keys.plain_forms import content_base, is_plain_path, write_content, write_str
from semantic_llm_cache.keys.secret_hashes import secret_hash
from semantic_llm_cache.keys.walk import FIELD_ADVICE, WRITERS, Walk, text, type_name
from semantic_llm_cache.values.introspection import answers_for_itself, defines, hides_state, own_state, where

__all__ = [
    "class_captures",
    "write_array",
    "write_class",
    "write_enum",
    "write_name",
    "write_secret",
    "write_state",
    "write_structured",
    "write_typing",
]

_ALIAS: Any = types.GenericAlias  # list[int]: an instance of `type` in Python 3.10 only


# ----------------------------------------------------------------------------------- classes

_MOST_CLASSES = 1024  # a closure may refer back to the class, and would then never be freed on its own
_class_captures: weakref.WeakKeyDictionary[type, Captures] = weakref.WeakKeyDictionary()


@functools.lru_cache(maxsize=1024)
def _made_bases(kind: Any) -> tuple[type, ...]:
    """Return the bases, itself included, that cannot be imported by name because a function made them at run time."""
    return tuple(base for base in kind.__mro__ if base.__module__ != "builtins" and importable_name(base) is None)


def class_captures(kind: Any) -> Captures | None:
    """Return what distinguishes two classes of the same name: what their methods close over, and their data.

    None for a class that can be imported by its name: the name identifies it.
    """
    made = _made_bases(kind)
    if not made:
        return None
    found = _class_captures.get(kind)
    if found is None:
        cells = {
            f"{base.__qualname__}.{name}": cell
            for base in made
            for member_name, member in vars(base).items()
            for name, cell in _cells_of_member(base, member_name, member).items()
        }
        if len(_class_captures) >= _MOST_CLASSES:
            _class_captures.clear()
        found = _class_captures[kind] = Captures(cells, _form_inside)
    return found or None


def _cells_of_member(owner: type, name: str, member: Any) -> dict[str, Any]:
    """Return the variables behind an attribute of a class, or the attribute itself if it is data."""
    kind: Any = type(member)
    found = [member, *(getattr(member, part, None) for part in ("__func__", "fget", "fset", "func"))]
    functions = [function for function in found if type(function) is types.FunctionType]
    if functions:
        # A cached function counts its own closure.
        cells = [cells_of(function) for function in functions if not is_wrapper_of_cache(function)]
        return {
            f"{name}.{variable}": cell for each in cells for variable, cell in each.items() if variable != "__class__"
        }
    if (name[:2] == name[-2:] == "__") or name == "_abc_impl" or issubclass(owner, enum.Enum):
        return {}
    if hasattr(kind, "cache_lookup") or (_is_of_c(kind) and hasattr(kind, "__get__")):
        return {}
    return {name: AttributeCell(owner, name)}


def _is_of_c(kind: Any) -> bool:
    return not kind.__flags__ & _HEAP_TYPE or where(kind) == ("_collections", "_tuplegetter")


_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: made at run time, as all classes written in Python are


def _form_inside(value: Any, name: str) -> bytes:
    out: list[bytes] = []
    Walk(True, FIELD_ADVICE).write(value, out, name, 0)
    return b"".join(out)


def write_name(kind: Any, out: list[bytes], path: str, depth: int, walk: Walk) -> None:
    """Append a type's name and, for one made at run time, what `class_captures` returns."""
    out.append(text(b"o", type_name(kind)))
    captures = class_captures(kind)
    if captures is not None:
        walk.cannot_watch()
        out.append(b"C")
        walk.write(captures.now().forms, out, path, depth + 1)


def write_class(value: Any, kind: type, out: list[bytes], path: str, depth: int, walk: Walk) -> bool:
    """Write a class: its name, and the fields of a model, as another shape is another question."""
    if not issubclass(kind, type) or kind is _ALIAS:
        return False
    out.append(text(b"y", type_name(value)))
    schema = value.model_json_schema if defines(value, "model_json_schema") else None
    if callable(schema) and hasattr(value, "model_fields"):
        try:
            described = schema()
        except Exception as error:
            walk.refuse(path, value, f"has no JSON schema ({type(error).__name__})")
        walk.cannot_watch()
        walk.write(described, out, path, depth + 1)
    elif importable_name(value) is None:
        _write_local_class(value, out, path, depth, walk)
    return True


def _write_local_class(value: type, out: list[bytes], path: str, depth: int, walk: Walk) -> None:
    """Append what distinguishes two classes of the same name: bases, annotations, closures."""
    if walk.again(value, out):
        return
    walk.cannot_watch()
    try:
        annotations = inspect.get_annotations(value)
    except Exception as error:
        walk.refuse(path, value, f"has annotations that cannot be read ({type(error).__name__})")
    walk.write([base for base in value.__bases__ if base is not object], out, f"{path}.__bases__", depth + 1)
    walk.write(annotations, out, f"{path}.__annotations__", depth + 1)
    captures = class_captures(value)
    walk.write(None if captures is None else captures.now().forms, out, path, depth + 1)
    walk.done(value)


# ------------------------------------------------------------------------------------ typing


def write_typing(value: Any, kind: type, out: list[bytes], path: str, depth: int, walk: Walk) -> bool:
    """Write `list[Item]` and similar types, which callers ask for as an answer's type."""
    parts: Any
    if where(kind)[0] not in ("typing", "types", "typing_extensions") and kind is not _ALIAS:
        return False
    origin = get_origin(value)
    if origin is not None:
        parts = (origin, list(get_args(value)))
    elif kind.__module__ != "typing":
        return False
    elif kind.__qualname__ in ("_SpecialForm", "_TypedCacheSpecialForm", "_LiteralSpecialForm", "_AnyMeta"):
        parts = value._name
    elif kind.__qualname__ == "TypeVar":
        parts = (value.__name__, value.__bound__, value.__constraints__)
    elif kind.__qualname__ == "ForwardRef":
        parts = value.__forward_arg__
    elif kind.__qualname__ == "NewType":
        parts = (value.__module__, value.__qualname__, value.__supertype__)
    else:
        return False
    walk.cannot_watch()
    out.append(text(b"G", type_name(kind) if origin is None else b""))
    walk.write(parts, out, path, depth + 1)
    return True


# ----------------------------------------------------------------------- enums, secrets, arrays

_OF_ENUMS = ("_name_", "__objclass__", "_sort_order_", "_inverted_")


def write_enum(value: Any, kind: type, out: list[bytes], path: str, depth: int, walk: Walk) -> bool:
    """Write an enum member: type, name, value, and what else it holds."""
    if not issubclass(kind, enum.Enum):
        return False
    if answers_for_itself(kind):
        walk.refuse(path, kind, "holds what Python cannot read")
    if walk.again(value, out):
        return True
    write_name(kind, out, path, depth, walk)
    write_str(value._name_ or "", out)
    state = [(name, item) for name, item in own_state(value, kind).items() if name not in _OF_ENUMS]
    walk.write_children(state, out, path, depth)
    base = content_base(kind)
    if base is not None:
        write_content(value, base, out, path, depth, walk)
    walk.done(value)
    return True


@functools.lru_cache(maxsize=1024)
def _is_secret(kind: Any) -> bool:
    return any(where(base) == ("pydantic.types", "_SecretBase") for base in kind.__mro__)


def write_secret(value: Any, kind: type, out: list[bytes], path: str, depth: int, walk: Walk) -> bool:
    """Write a pydantic secret as a keyed hash."""
    if not _is_secret(kind):
        return False
    walk.cannot_watch()
    held: list[bytes] = []
    walk.write(value.get_secret_value(), held, path, depth + 1)
    write_name(kind, out, path, depth, walk)
    out.append(text(b"k", secret_hash(b"".join(held)).encode()))
    rest = [(name, item) for name, item in own_state(value, kind).items() if name != "_secret_value"]
    walk.write_children(rest, out, path, depth)
    return True


def _shape_of(dtype: Any) -> Any:
    """Describe a numpy dtype in plain values, with names, titles, offsets, sizes and metadata."""
    if dtype.metadata is not None:
        return ("metadata", dict(dtype.metadata), _plain_shape_of(dtype))
    return _plain_shape_of(dtype)


def _plain_shape_of(dtype: Any) -> Any:
    if dtype.subdtype is not None:
        return ("array", _shape_of(dtype.subdtype[0]), dtype.subdtype[1])
    if dtype.names is None:
        return dtype.str
    fields = []
    for name in dtype.names:
        inner, offset, *title = dtype.fields[name]
        fields.append((name, _shape_of(inner), offset, title))
    return ("fields", fields, dtype.itemsize, dtype.alignment)


@functools.lru_cache(maxsize=1024)
def _array_base(kind: Any) -> Any:
    return next((base for base in kind.__mro__ if where(base) in (("numpy", "ndarray"), ("numpy", "generic"))), None)


def write_array(value: Any, kind: Any, out: list[bytes], path: str, depth: int, walk: Walk) -> bool:
    """Write a numpy array or scalar, also of a subclass: type, dtype, shape, bytes, and what else it holds."""
    base = _array_base(kind)
    if base is None:
        return False
    walk.cannot_watch()
    if value.dtype.hasobject:
        walk.refuse(path, kind, "holds objects")
    own = where(kind)[0] == "numpy" and base.__name__ == "generic"
    if not own and hides_state(kind, base):
        walk.refuse(path, kind, "holds what Python cannot read")
    write_name(kind, out, path, depth, walk)
    walk.write_children([] if own else list(own_state(value, kind, base).items()), out, path, depth)
    plain = value.view(base) if base.__name__ == "ndarray" else value
    walk.write((_shape_of(value.dtype), tuple(value.shape)), out, path, depth + 1)
    out.append(text(b"N", plain.tobytes()))
    return True


# ---------------------------------------------------------------------- instances, by all they hold


def write_structured(value: Any, kind: Any, out: list[bytes], path: str, depth: int, walk: Walk) -> bool:
    """Write an instance that is made to hold data: all of it counts."""
    if where(kind) in SENTINELS:
        out.append(text(b"o", type_name(kind)))
        return True
    if kind is re.Pattern:
        out.append(text(b"o", type_name(kind)))
        WRITERS[type(value.pattern)](value.pattern, out)
        WRITERS[int](value.flags, out)
        return True
    base = content_base(kind)
    if where(kind) in AS_TEXT:
        out.append(text(b"o", type_name(kind)))  # everything else it holds is computed from its text
        write_content(value, base, out, path, depth, walk)
        return True
    if is_plain_path(kind):
        write_content(value, base, out, path, depth, walk)
        return True
    known = base is not None or _holds_data(kind)
    if known:
        write_state(value, out, path, depth, walk)
    return known


@functools.lru_cache(maxsize=1024)
def _holds_data(kind: Any) -> bool:
    return (
        defines(kind, "__dataclass_fields__")
        or defines(kind, "__attrs_attrs__")
        or _is_model(kind)
        or issubclass(kind, (types.SimpleNamespace, Mapping))
    )


@functools.lru_cache(maxsize=1024)
def _is_model(kind: Any) -> bool:
    return defines(kind, "model_dump") and hasattr(kind, "model_fields")


def _state_of(value: Any, kind: Any, base: Any) -> dict[str, Any]:
    state = own_state(value, kind, base)
    if _is_model(kind):
        for part in ("__pydantic_extra__", "__pydantic_private__"):
            state.update(getattr(value, part, None) or {})
    for name in _field_names(kind):
        # A field that was never set is read from the class.
        if name not in state and hasattr(value, name) and not isinstance(getattr(kind, name, None), property):
            state[name] = getattr(value, name)
    if base is tuple and hasattr(kind, "_fields"):
        state["_fields"] = kind._fields
    return state


@functools.lru_cache(maxsize=1024)
def _field_names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind)) if defines(kind, "__dataclass_fields__") else ()


def write_state(
    value: Any,
    out: list[bytes],
    path: str,
    depth: int,
    walk: Walk,
    neutral: Collection[str] = (),
) -> None:
    """Append the type's name, then all that an instance holds: dict, slots, and the content of a plain base.

    Args:
        value: the instance.
        out, path, depth, walk: as for every writer.
        neutral: names of attributes that do not count.
    """
    if walk.again(value, out):
        return
    kind: Any = type(value)
    base = content_base(kind) or object
    if hides_state(kind, base):
        walk.refuse(path, kind, "holds what Python cannot read")
    write_name(kind, out, path, depth, walk)
    state = _state_of(value, kind, base)
    if walk.watch is not None:
        walk.watch.need(item for name, item in state.items() if name != "_fields")
    walk.write_children([pair for pair in state.items() if pair[0] not in neutral], out, path, depth)
    if base is not object:
        write_content(value, base, out, path, depth, walk)
    walk.done(value)
