"""Locks that a fork waits for, so that the child finds no half-changed or locked structure."""

from __future__ import annotations

import gc
import os
import threading
import weakref
from typing import Any, cast

__all__ = ["fork_safe_lock"]

_outer: weakref.WeakSet[Any] = weakref.WeakSet()
_inner: weakref.WeakSet[Any] = weakref.WeakSet()
_held: list[Any] = []


def fork_safe_lock(*, outer: bool = False, reentrant: bool = False) -> threading.Lock:
    """Return a lock that is free in a forked child, with what it guards in a consistent state.

    Args:
        outer: True if the lock may be held while another of these is taken; inner locks may not.
        reentrant: whether a thread that holds the lock may take it again.
    """
    lock = threading.RLock() if reentrant else threading.Lock()
    (_outer if outer else _inner).add(lock)
    return cast(threading.Lock, lock)


def _all(locks: weakref.WeakSet[Any]) -> list[Any]:
    while True:
        try:
            return list(locks)
        except RuntimeError:  # another thread made one meanwhile
            continue


_collecting = False


def _before_fork() -> None:
    # Until the locks are released, this thread must not try to take one: no finalizer may run.
    global _collecting
    _collecting = gc.isenabled()
    gc.disable()
    for lock in [*_all(_outer), *_all(_inner)]:  # in the order in which threads take them
        lock.acquire()
        _held.append(lock)


def _after_fork() -> None:
    while _held:
        _held.pop().release()
    if _collecting:
        gc.enable()


# Registered before our other hooks (see `runtime.background`), so that it runs last before a fork and first after it.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
