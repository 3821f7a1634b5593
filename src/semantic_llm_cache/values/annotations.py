"""What a type annotation says: aliases and wrappers removed, text evaluated, fields and named classes listed."""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
import types
import typing
import weakref
from collections.abc import Callable, Mapping
from typing import Any, get_args, get_origin

__all__ = [
    "LateType",
    "candidates",
    "evaluate",
    "field_types",
    "is_typed_dict",
    "is_union",
    "meaning",
    "named_classes",
    "names_in",
    "open_forms",
    "remember_names",
]

_MOST = 2000
"""Classes that `named_classes` lists at most: an SDK's reply names some hundred."""
_DEEP = 32
"""Aliases of aliases that are followed."""
_WRAPPERS = frozenset({"Annotated", "ClassVar", "Final", "InitVar", "NotRequired", "ReadOnly", "Required", "Unpack"})


# ------------------------------------------------------------------------------ text


def names_in(annotation: Any) -> set[str]:
    """Return the names that the text in an annotation refers to.

    Example:
        >>> sorted(names_in(list["dict[str, City]"]))
        ['City', 'dict', 'str']
    """
    if isinstance(annotation, typing.ForwardRef):
        annotation = annotation.__forward_arg__
    if isinstance(annotation, str):
        try:
            code = compile(annotation, "<annotation>", "eval")
        except (SyntaxError, ValueError):
            return set()
        inner = (names_in(part) for part in code.co_consts if isinstance(part, str))
        return set(code.co_names).union(*inner)
    return set[str]().union(*(names_in(part) for part in get_args(annotation) if not _is_plain(part)))


def _is_plain(part: Any) -> bool:
    return isinstance(part, (int, bytes, type(None))) or part is Ellipsis


def evaluate(annotation: Any, known: Mapping[str, Any], around: Mapping[str, Any]) -> Any:
    """Return an annotation with its text evaluated.

    Args:
        annotation: any annotation, of which the whole or a part may be text.
        known: global names.
        around: local names; they win.

    Raises:
        Exception: a name is unknown (NameError), or the text is no annotation.
    """

    def probe() -> None: ...

    probe.__annotations__ = {"return": annotation}
    # Extras are kept: `meaning` removes them, and Python 3.10 fails on some that it does not know.
    return typing.get_type_hints(probe, dict(known), dict(around), include_extras=True)["return"]


def _names_of(module: Any) -> Mapping[str, Any]:
    return vars(sys.modules[module]) if module in sys.modules else {}


class LateType:
    """An annotation that names what is unknown when its function is decorated; evaluated when it is first needed.

    Args:
        annotation: the annotation.
        known: the function's global names.
        around: local names where the function is decorated; only those that the annotation uses are kept.
        part: takes the wanted part of the evaluated annotation.
    """

    __slots__ = ("_around", "_found", "_known", "_part", "_tries", "annotation")

    def __init__(
        self,
        annotation: Any,
        known: Mapping[str, Any],
        around: Mapping[str, Any],
        part: Callable[[Any], Any] = lambda found: found,
    ) -> None:
        self.annotation = annotation
        self._known = known
        self._around = {name: around[name] for name in names_in(annotation) if name in around}
        self._part = part
        self._found: Any = _UNKNOWN
        self._tries = _TRIES

    @property
    def is_known(self) -> bool:
        """Whether everything that the annotation names exists by now."""
        self.resolved()
        return self._found is not _UNKNOWN

    def resolved(self) -> Any:
        """Return the annotation, evaluated; `Any` as long as it names something unknown."""
        if self._found is _UNKNOWN and self._tries:
            self._tries -= 1
            with contextlib.suppress(Exception):
                self._found = self._part(evaluate(self.annotation, self._known, self._around))
        return Any if self._found is _UNKNOWN else self._found

    def then(self, part: Callable[[Any], Any]) -> LateType:
        """Return a part of this annotation, as late."""
        first = self._part
        return LateType(self.annotation, self._known, self._around, lambda found: part(first(found)))


_UNKNOWN: Any = object()
_TRIES = 100
"""How often a name that may never exist is looked for."""


# ------------------------------------------------------------------------------ meaning


def meaning(target: Any) -> Any:
    """Return what an annotation stands for: a class, a generic, a union or a `Literal`; `Any` if that is unknown.

    Aliases, `NewType`, `Annotated`, `Final`, `Required` and the like are removed. A type variable means its bound
    or its constraints.

    Example:
        >>> meaning(typing.Annotated[typing.NewType("Town", dict[str, int]), "a note"])
        dict[str, int]
    """
    if isinstance(target, LateType):
        target = target.resolved()
    try:
        return _meaning(target) if _key(target) is target else _meaning.__wrapped__(target)
    except _UnknownName:
        return Any


class _UnknownName(Exception):
    """An alias names something that does not exist, or not yet."""


@functools.lru_cache(maxsize=2048)
def _meaning(target: Any) -> Any:
    for _ in range(_DEEP):
        simpler = _simpler(target)
        if simpler is target:
            return target
        target = simpler
    return Any


def _simpler(target: Any) -> Any:
    if isinstance(target, (str, typing.ForwardRef)):
        return Any  # where it was written, the name is unknown
    if isinstance(target, type) and get_origin(target) is None:  # `list[int]` is a type before Python 3.11
        return target
    if hasattr(target, "__supertype__"):
        return target.__supertype__
    if hasattr(target, "__value__"):
        return _of_alias(target)
    if hasattr(target, "__constraints__"):
        return _of_variable(target)
    origin = get_origin(target)
    if origin is not None and _name(origin) in _WRAPPERS:
        return get_args(target)[0]
    if type(target).__name__ == "InitVar":
        return target.type
    if type(target).__name__ == "TypeAdapter":  # pydantic's
        return getattr(target, "_type", Any)
    return target


def _name(origin: Any) -> str:
    return getattr(origin, "__name__", None) or getattr(origin, "_name", None) or ""


def _of_alias(target: Any) -> Any:
    """Return the value of a `type` statement or `TypeAliasType`, with its arguments put in."""
    alias = get_origin(target) or target
    value = alias.__value__
    if names_in(value):
        module = getattr(alias, "__module__", None)
        try:
            value = evaluate(value, _names_of(module), {alias.__name__: alias})
        except Exception as error:  # a name that exists for type checkers only, or is defined later
            raise _UnknownName from error
    return _with_arguments(value, dict(zip(alias.__type_params__, get_args(target), strict=False)))


def _of_variable(variable: Any) -> Any:
    bound = getattr(variable, "__bound__", None)
    if bound is not None:
        return bound
    constraints = getattr(variable, "__constraints__", ())
    return typing.Union[constraints] if constraints else Any  # noqa: UP007 - a tuple


def _with_arguments(hint: Any, given: Mapping[Any, Any]) -> Any:
    """Replace type variables with the arguments given for them."""
    if not given:
        return hint
    try:
        if hint in given:
            return given[hint]
    except TypeError:  # unhashable metadata of an `Annotated`
        return hint
    open_ones = getattr(hint, "__parameters__", ())
    return hint[tuple(given.get(one, one) for one in open_ones)] if open_ones and get_origin(hint) is not None else hint


def is_union(target: Any) -> bool:
    """Return whether a meaning is a union."""
    return get_origin(target) in (typing.Union, types.UnionType)


def is_typed_dict(kind: Any) -> bool:
    """Return whether a class is a `TypedDict`, of `typing` or of `typing_extensions`."""
    return isinstance(kind, type) and issubclass(kind, dict) and hasattr(kind, "__required_keys__")


# ------------------------------------------------------------------------------ classes


def candidates(target: Any) -> list[type]:
    """Return the classes that an annotation gives to a stored model, subclasses aside; none if it is open."""
    if get_origin(target) is typing.Literal:
        return list({type(choice) for choice in get_args(target)})
    kind = get_origin(target) or target
    if not isinstance(kind, type) or is_union(target) or kind in (Any, object):
        return []
    return [kind]


def open_forms(kind: type) -> list[type]:
    """Return the forms of a pydantic generic that leave its type open: of ``Reply[City]``, ``Reply`` and ``Reply[T]``.

    Some SDKs make their parsed replies as instances of those.
    """
    origin = _generic_of(kind).get("origin")
    if origin is None:
        return []
    return [one for one in (origin, *origin.__subclasses__()) if one is not kind and _is_open(one, origin)]


def _generic_of(kind: Any) -> Any:
    return getattr(kind, "__pydantic_generic_metadata__", None) or {}


def _is_open(kind: Any, origin: Any) -> bool:
    known = _generic_of(kind)
    if kind is origin:
        return True
    return known.get("origin") is origin and all(hasattr(one, "__constraints__") for one in known["args"])


@functools.lru_cache(maxsize=1024)
def _hints(kind: Any) -> dict[str, Any]:
    if hasattr(kind, "model_fields"):  # pydantic has resolved them
        return {name: info.annotation for name, info in kind.model_fields.items()}
    around = {kind.__name__: kind, **_local.get(kind, {})}  # a class in a function may refer to itself
    try:
        return typing.get_type_hints(kind, localns=around, include_extras=True)
    except Exception:
        return {name: hint for base in reversed(kind.__mro__) for name, hint in _one_by_one(base, around).items()}


def _one_by_one(base: type, around: Mapping[str, Any]) -> dict[str, Any]:
    """Return the annotations of one class; `Any` for those that name something unknown."""
    found: dict[str, Any] = {}
    for name, annotation in inspect.get_annotations(base).items():
        try:
            found[name] = evaluate(annotation, _names_of(base.__module__), around)
        except Exception:
            found[name] = Any
    return found


_local: weakref.WeakKeyDictionary[type, dict[str, Any]] = weakref.WeakKeyDictionary()
"""For classes defined in a function: the names that their annotations use, which only its frame knew."""


def remember_names(target: Any, around: Callable[[], Mapping[str, Any]]) -> None:
    """Keep the local names that the fields of local classes use, for `field_types`. Call it while they are known.

    Args:
        target: the annotation that names the classes.
        around: returns local names; called only when they are needed.
    """
    waiting, most = [target], _DEEP
    while waiting and most:
        one, most = meaning(waiting.pop()), most - 1
        waiting.extend(part for part in get_args(one) if not _is_plain(part))
        if isinstance(one, type) and "<locals>" in one.__qualname__ and one not in _local:
            used = set[str]().union(*(names_in(hint) for hint in inspect.get_annotations(one).values()))
            names = around() if used else {}
            _local[one] = {name: names[name] for name in used if name in names}
            waiting.extend(_local[one].values())


def field_types(kind: Any, arguments: tuple[Any, ...] = ()) -> dict[str, Any]:
    """Return the annotations of a class's fields, with the type arguments put in.

    Args:
        kind: a model, dataclass, attrs class, named tuple or `TypedDict`.
        arguments: of the generic, in the order of its type parameters.
    """
    given = dict(zip(getattr(kind, "__parameters__", ()), arguments, strict=False)) if arguments else {}
    hints = _hints(kind)
    return {name: _with_arguments(hint, given) for name, hint in hints.items()} if given else hints


def named_classes(target: Any) -> dict[str, type]:
    """Return the classes that an annotation names, in its arguments and in the fields of those classes, by full name.

    The full name is ``module.qualname``.
    """
    return _named_classes(target) if _key(target) is target else _named_classes.__wrapped__(target)


def _key(annotation: Any) -> Any:
    try:
        hash(annotation)
    except TypeError:  # the metadata of an `Annotated`
        return id(annotation)
    return annotation


@functools.lru_cache(maxsize=256)
def _named_classes(target: Any) -> dict[str, type]:
    found: dict[str, type] = {}
    waiting, seen = [target], dict[Any, Any]()
    while waiting and len(found) < _MOST:
        one = waiting.pop()
        key = _key(one)
        if key in seen:
            continue
        seen[key] = one  # kept, so that no other object gets its id
        one = meaning(one)
        waiting.extend(part for part in get_args(one) if not _is_plain(part))
        for kind in [form for first in candidates(one) for form in (first, *open_forms(first))]:
            if kind.__module__ == "builtins" or found.get(f"{kind.__module__}.{kind.__qualname__}") is kind:
                continue
            found.setdefault(f"{kind.__module__}.{kind.__qualname__}", kind)
            waiting.extend(field_types(kind).values())
            waiting.extend(getattr(kind, "__orig_bases__", ()))
            waiting.extend(_generic_of(kind).get("args", ()))
    return found
