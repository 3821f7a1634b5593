"""A walk through a value that writes its canonical form."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from semantic_llm_cache.exceptions import CacheKeyError
from semantic_llm_cache.keys.functions import module_name
from semantic_llm_cache.values.introspection import known_late

if TYPE_CHECKING:
    from semantic_llm_cache.keys.watching import Watch

__all__ = [
    "ARGUMENT_ADVICE",
    "FIELD_ADVICE",
    "LATE_WRITERS",
    "LEAVES",
    "WRITERS",
    "Walk",
    "text",
    "type_name",
]

MAX_DEPTH = 64

LEAVES = frozenset({str, int, float, bool, type(None), bytes})

Writer = Callable[..., None]
Attempt = Callable[..., bool]
WRITERS: dict[type, Writer] = {}
"""Writers by exact type. Called with the value, the output, the value's path, the depth, and the walk."""
LATE_WRITERS: dict[tuple[str, str], Writer] = {}
"""The same by module and name, so that a module is not imported unless such a value exists."""

ARGUMENT_ADVICE = (
    "leave it out with ignore=, give the key yourself with key_func=, or say what counts of it with "
    "register_fingerprint()"
)
FIELD_ADVICE = (
    "define __cache_scope__(self) returning what tells two instances apart, say what counts of a type with "
    'register_fingerprint(), or leave the instance out with ignore=("self",)'
)


def text(tag: bytes, data: bytes) -> bytes:
    """Return a tag, the length of the data, and the data."""
    return b"%s%d:%s" % (tag, len(data), data)


def type_name(kind: type) -> bytes:
    """Return module and qualified name of a type."""
    return f"{module_name(kind.__module__)}.{kind.__qualname__}".encode("utf-8", "surrogatepass")


_label = operator.itemgetter(0)


class Walk:
    """Writes forms; knows where the walk began and which objects it is inside.

    Args:
        lenient: whether the walk is inside an instance or a client, where locks, loggers and the like do not count.
        advice: what errors tell the user to do.
        watch: records what is read, or None.
    """

    __slots__ = ("advice", "lenient", "open", "watch")

    chain: ClassVar[tuple[Attempt, ...]] = ()
    """Tried in turn on a type without its own writer. Each returns whether it wrote the form."""
    instance_chain: ClassVar[tuple[Attempt, ...]] = ()
    """The same for the `self` of a method. If none of them knows it, `write_all` writes it."""
    write_all: ClassVar[Callable[..., None]]

    def __init__(self, lenient: bool, advice: str, watch: Watch | None = None) -> None:
        self.lenient = lenient
        self.advice = advice
        self.watch = watch
        self.open: dict[int, int] = {}

    def inside(self) -> Walk:
        """Return this walk as it continues inside a function or an instance."""
        if self.lenient:
            return self
        inner = Walk(True, self.advice, self.watch)
        inner.open = self.open
        return inner

    def write(self, value: Any, out: list[bytes], path: str, depth: int) -> None:
        """Append the form of `value`.

        Raises:
            CacheKeyError: it has none; `path` says where it is.
        """
        kind = type(value)
        if depth > MAX_DEPTH:
            self._too_deep(path)
        watch = self.watch
        before = watch.enter(value, kind) if watch is not None else 0
        writer = WRITERS.get(kind) or known_late(kind, LATE_WRITERS, WRITERS)
        if writer is not None:
            writer(value, out, path, depth, self)
        else:
            for attempt in self.chain:
                if attempt(value, kind, out, path, depth, self):
                    break
            else:
                self.refuse(path, kind)
        if watch is not None:
            watch.leave(before)

    def write_instance(self, value: Any, out: list[bytes], path: str, depth: int) -> None:
        """Append the form of the `self` of a method; if its class is unknown, all that it holds."""
        kind = type(value)
        if depth > MAX_DEPTH:
            self._too_deep(path)
        before = self.watch.enter(value, kind) if self.watch is not None else 0
        if not any(attempt(value, kind, out, path, depth, self) for attempt in self.instance_chain):
            self.write_all(value, out, path, depth, self)
        if self.watch is not None:
            self.watch.leave(before)

    def _too_deep(self, path: str) -> None:
        raise CacheKeyError(f"{path} is nested more than {MAX_DEPTH} levels deep or holds itself: {self.advice}")

    def write_children(self, children: list[tuple[str, Any]], out: list[bytes], path: str, depth: int) -> None:
        """Append the number of items, then label and form of each, sorted by label."""
        out.append(b"d%d:" % len(children))
        for label, child in sorted(children, key=_label):
            data = str.encode(label, "utf-8", "surrogatepass")
            if type(label) is not str:  # names of fields: a subclass of str may hold anything
                self.refuse(f"name of a field of {path}", type(label))
            out.append(b"s%d:%s" % (len(data), data))
            if type(child) in LEAVES:
                WRITERS[type(child)](child, out)
                continue
            self.write(child, out, f"{path}.{label}" if label.isidentifier() else f"{path}: {label}", depth + 1)

    def again(self, value: Any, out: list[bytes]) -> bool:
        """Return whether the walk is already inside this object; its position is then its form."""
        place = self.open.get(id(value))
        if place is None:
            self.open[id(value)] = len(self.open)
            return False
        out.append(b"@%d;" % place)
        return True

    def done(self, value: Any) -> None:
        """Record that the walk has left an object for which `again` returned False."""
        del self.open[id(value)]

    def cannot_watch(self) -> None:
        """Record that what is read here may change without being noticed."""
        if self.watch is not None:
            self.watch.useless = True

    def refuse(self, path: str, kind: type, why: str = "has no stable fingerprint") -> None:
        """Raise the error for a value without a form."""
        raise CacheKeyError(f"{path} is a {kind.__module__}.{kind.__qualname__}, which {why}: {self.advice}")
