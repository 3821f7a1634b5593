"""A backend that can look for an entry by key, and else by vector, in one step.

Two steps are two trips to a thread or a server. The engine takes one where it expects a near hit: a text that was
answered by meaning before, whose vector it knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeGuard

if TYPE_CHECKING:
    from semantic_llm_cache.config import CacheEntry
    from semantic_llm_cache.storage.contract import Candidate, StorageBackend

__all__ = ["OneStep", "takes_one_step"]


class OneStep(Protocol):
    """What such a backend has besides the methods of `StorageBackend`.

    Attributes:
        one_step: False in a subclass that changes how entries are looked up.
    """

    one_step: bool

    async def get_or_find(
        self, key: str, embedding: Any, threshold: float, *, k: int, scope: str, embedder: str
    ) -> tuple[CacheEntry | None, list[Candidate]]:
        """Return what `get` does, and if that is None, what `find_candidates` does. Fails as they do."""
        ...


def takes_one_step(backend: StorageBackend) -> TypeGuard[OneStep]:
    """Return whether a backend looks by key and by vector in one step. What wraps another backend does not."""
    return getattr(type(backend), "one_step", False) is True
