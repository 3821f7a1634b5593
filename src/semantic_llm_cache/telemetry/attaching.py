"""Attaching listeners to one cache or to all, once each, and taking them off again."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from semantic_llm_cache.arguments import kind_of
from semantic_llm_cache.engine.engine import Engine
from semantic_llm_cache.engine.listening import EVERYWHERE, Audience, Listener
from semantic_llm_cache.runtime.fork import fork_safe_lock
from semantic_llm_cache.storage.registry import engines_in_use

__all__ = ["Attachment", "attach", "engines_of"]

_lock = fork_safe_lock(outer=True)


class Attachment:
    """What `instrument` and `log_lookups` return: `close` ends it. Also a context manager.

    Args:
        listener: what listens.
        audience: to whom.
        ended: called once the listener listens to nobody any more.
    """

    def __init__(self, listener: Listener, audience: Audience, ended: Callable[[], None]) -> None:
        self._listener = listener
        self._audience = weakref.ref(audience)
        self._ended = ended
        audience.add(listener)

    @property
    def open(self) -> bool:
        """Whether it has not been closed, and the cache is still there."""
        audience = self._audience()
        return audience is not None and self._listener in audience.listeners

    def close(self) -> None:
        """Stop. A second call does nothing."""
        with _lock:
            audience, was_open = self._audience(), self.open
            if audience is not None and was_open:
                audience.remove(self._listener)
        if was_open:
            self._ended()

    def __enter__(self) -> Attachment:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def attach(
    listener: Listener, cache: Any, known: weakref.WeakKeyDictionary[Audience, Attachment], ended: Callable[[], None]
) -> Attachment:
    """Have a listener listen to a cache and all that is derived from it, or to all caches of the process.

    Args:
        listener: what listens.
        cache: a `SemanticCache`, or an object that has one as `engine`; None means all.
        known: what the listener is attached to already: the same cache gives the same attachment.
        ended: called when the last attachment has been closed.

    Raises:
        TypeError: `cache` is something else.
    """
    audience = EVERYWHERE if cache is None else _engine_of(cache).hook.own
    with _lock:
        found = known.get(audience)
        if found is None or not found.open:

            def closed() -> None:
                if not any(one.open for one in known.values()):
                    ended()

            found = known[audience] = Attachment(listener, audience, closed)
        return found


def _engine_of(cache: Any) -> Engine:
    for one in (cache, getattr(cache, "engine", None)):
        if isinstance(one, Engine):
            return one
    raise TypeError(f"cache= must be a SemanticCache, or None for all caches of the process, not {kind_of(cache)}")


def engines_of(listener: Listener) -> list[Any]:
    """Return the living engines to which a listener listens."""
    return [engine for engine in engines_in_use() if listener in engine.hook.listeners]
