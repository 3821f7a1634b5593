"""What the backends here have in common: the nearest entry is the first of the candidates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from semantic_llm_cache.storage import StorageBackend

if TYPE_CHECKING:
    from semantic_llm_cache.config import CacheEntry
    from semantic_llm_cache.similarity.base import Vector

__all__ = ["CandidateBackend"]


class CandidateBackend(StorageBackend):
    """A backend that finds candidates of its own accord; `find_similar` asks for one."""

    async def find_similar(
        self,
        embedding: Vector | Sequence[float],
        threshold: float,
        namespace: str | None = None,
        *,
        scope: str | None = None,
    ) -> tuple[str, CacheEntry, float] | None:
        """Return the nearest live entry at or above `threshold`, with its similarity."""
        found = await self.find_candidates(embedding, threshold, k=1, namespace=namespace, scope=scope)
        return (found[0].key, found[0].entry, found[0].similarity) if found else None
