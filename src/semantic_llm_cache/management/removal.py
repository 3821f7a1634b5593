"""Removing entries across the caches of the process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from semantic_llm_cache.arguments import check_namespace, check_tags, check_text
from semantic_llm_cache.calls.evidence import dependency_tags, read_dependencies
from semantic_llm_cache.engine.late import withdraw
from semantic_llm_cache.engine.state import state_of
from semantic_llm_cache.storage.contract import StorageBackend
from semantic_llm_cache.storage.key_check import require_key
from semantic_llm_cache.storage.registry import backends_in_use, shared_backend

__all__ = ["clear_cache", "invalidate"]


async def _each(backend: StorageBackend | str | None, action: Callable[[StorageBackend], Awaitable[int]]) -> int:
    """Run `action` on every chosen backend, even if one fails; then raise the first error. Return the sum."""
    count = 0
    problem: Exception | None = None
    for target in backends_in_use() if backend is None else [shared_backend(backend)]:
        try:
            count += await action(target)
        except Exception as error:
            problem = problem or error
    if problem is not None:
        raise problem
    return count


async def clear_cache(namespace: str | None = None, *, backend: StorageBackend | str | None = None) -> int:
    """Remove all entries, or those of one namespace; return how many. An encrypted cache needs no key for this.

    Args:
        namespace: None means all.
        backend: a backend or URL; None means every backend in use in this process.
    """

    check_namespace(namespace)

    async def clear(target: StorageBackend) -> int:
        count = await target.clear(namespace)
        state_of(target).drop_pending()
        return count

    return await _each(backend, clear)


async def invalidate(
    pattern: str | None = None,
    namespace: str | None = None,
    *,
    tags: str | Iterable[str] | None = None,
    depends_on: str | Iterable[str] | None = None,
    backend: StorageBackend | str | None = None,
) -> int:
    """Remove entries whose prompt contains `pattern` and that have any of `tags` or rest on any of `depends_on`.

    Returns how many.

    Args:
        pattern: part of the prompt, in any case; None does not restrict.
        namespace: None means all.
        tags: one label or several; None does not restrict.
        depends_on: names of documents, tools and the like, as in the option; whatever their versions.
        backend: a backend or URL; None means every backend in use in this process.

    Raises:
        ValueError: no pattern, tags or depends_on; use `clear_cache` to remove everything.
    """
    check_namespace(namespace)
    names = None if tags is None else check_tags(tags)
    if depends_on is not None:
        names = (*(names or ()), *dependency_tags(read_dependencies(depends_on)))
    if pattern is None and names is None:
        raise ValueError("invalidate() needs a pattern, tags= or depends_on=; to remove everything use clear_cache()")
    check_text(pattern, "pattern")
    if pattern == "":
        raise ValueError('pattern="" would match every prompt; to remove everything use clear_cache()')

    async def remove(target: StorageBackend) -> int:
        await require_key(target)  # without it nothing would match
        if names is not None:
            await withdraw(target, names)  # first: a call in flight may store its answer at any moment
        return await target.invalidate(pattern, tags=names, namespace=namespace)

    return await _each(backend, remove)
