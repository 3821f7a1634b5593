"""Reset threads, locks and native sessions after `fork`: the child has none of the parent's threads."""

from __future__ import annotations

import os
import weakref
from typing import Any, Protocol

__all__ = ["ForkAware", "leak", "reset_in_child"]


class ForkAware(Protocol):
    """An object that must drop its threads, locks and pending work in a forked child."""

    def reset_after_fork(self) -> None:
        """Make the object usable in a process that has just been forked."""


_registered: weakref.WeakSet[Any] = weakref.WeakSet()


def reset_in_child(obj: ForkAware) -> None:
    """Have `obj.reset_after_fork()` called in every process forked from this one, while `obj` lives."""
    _registered.add(obj)


def _in_child() -> None:
    for obj in list(_registered):
        obj.reset_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


def leak(obj: object) -> None:
    """Keep `obj` for the life of the process, module teardown included.

    A native object that owns threads joins them when it is destroyed; in a forked child those threads
    do not exist, and the join would never return.
    """
    import ctypes

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(obj))
