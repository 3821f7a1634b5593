"""Looking through the stored entries, and deleting some."""

from __future__ import annotations

import heapq
import math
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from time import perf_counter
from typing import Any, NamedTuple

from semantic_llm_cache.calls.evidence import dependency_tags, read_dependencies
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.engine.late import withdraw
from semantic_llm_cache.management.labels import origin_of_entry
from semantic_llm_cache.runtime.yielding import Pace
from semantic_llm_cache.server.operator.caches import Place
from semantic_llm_cache.server.operator.views import SCOPE
from semantic_llm_cache.storage.contract import StorageBackend
from semantic_llm_cache.storage.records import Candidate
from semantic_llm_cache.storage.selection import Selection

__all__ = ["SORTS", "Conditions", "Found", "Page", "delete_matching", "groups", "look_through", "near", "walk"]

_BATCH = 500
_MOST_SECONDS = 5.0


class Conditions(NamedTuple):
    """Which entries are meant: those that meet all conditions that are given.

    Attributes:
        pattern: text in the prompt, in any case.
        tags: labels of which the entry has at least one.
        models: of which the entry's call named one.
        depends_on: names, on one of which the answer rests.
        namespace, scope: equal; `scope` may be the start of the hash.
    """

    pattern: str | None = None
    tags: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()
    namespace: str | None = None
    scope: str | None = None

    @property
    def labels(self) -> list[tuple[str, ...]]:
        """Groups of tags: an entry must have one of each group. The group that the fewest entries have is first."""
        groups = (
            tuple(dependency_tags(read_dependencies(self.depends_on))) if self.depends_on else (),
            self.tags,
            tuple(f"model:{model}" for model in self.models),
        )
        return [group for group in groups if group]

    @property
    def restricts(self) -> bool:
        """Whether there is a condition other than the namespace and the scope."""
        return bool(self.pattern) or bool(self.labels)

    def matcher(self) -> Callable[[CacheEntry], bool]:
        """Return the function that says whether an entry is meant."""
        chosen = [Selection.of(None, group, None) for group in self.labels]
        chosen.append(Selection.of(self.pattern, None, None))
        scope = self.scope

        def matches(entry: CacheEntry) -> bool:
            return (scope is None or entry.scope.startswith(scope)) and all(
                one.matches(entry.prompt, entry.tags) for one in chosen
            )

        return matches


class Found(NamedTuple):
    """An entry, and where it is."""

    place: Place
    key: str
    entry: CacheEntry


class Page(NamedTuple):
    """A page of entries.

    Attributes:
        items: in order.
        matching: how many of the entries looked at match.
        complete: whether all entries were looked at; else the time was up.
    """

    items: list[Found]
    matching: int
    complete: bool


SORTS: dict[str, Callable[[CacheEntry], float]] = {
    "newest": lambda entry: entry.created_at,
    "oldest": lambda entry: -entry.created_at,
    "hits": lambda entry: entry.hit_count,
    "cost": lambda entry: entry.cost_usd if math.isfinite(entry.cost_usd) else 0.0,
    "used": lambda entry: entry.last_accessed or 0.0,
}
"""By which figure a list of entries is sorted, the largest first."""


async def walk(places: Iterable[Place], namespace: str | None) -> AsyncGenerator[Found, None]:
    """Yield all live entries of some backends, and let others run meanwhile."""
    pace = Pace()
    for place in places:
        entries = place.backend.scan(_BATCH, namespace=namespace)
        try:
            async for key, entry in entries:
                yield Found(place, key, entry)
                if pace.over():
                    await pace.rest()
        finally:
            if isinstance(entries, AsyncGenerator):
                await entries.aclose()


async def look_through(
    places: list[Place], conditions: Conditions, sort: str = "newest", offset: int = 0, limit: int = 50
) -> Page:
    """Return some of the entries that match, in order. Looks at entries for 5 seconds at most."""
    matches, figure = conditions.matcher(), SORTS[sort]
    best: list[tuple[float, int, Place, str]] = []  # not the entries, which may be large
    matching, complete = 0, True
    end = perf_counter() + _MOST_SECONDS
    async with aclosing(walk(places, conditions.namespace)) as entries:
        async for found in entries:
            if perf_counter() > end:
                complete = False
                break
            if not matches(found.entry):
                continue
            matching += 1
            item = (figure(found.entry), -matching, found.place, found.key)
            if len(best) < offset + limit:
                heapq.heappush(best, item)
            else:
                heapq.heappushpop(best, item)
    best.sort(key=lambda item: item[:2], reverse=True)
    return Page(await _read([(place, key) for *_, place, key in best[offset:]]), matching, complete)


async def _read(wanted: list[tuple[Place, str]]) -> list[Found]:
    """Return the entries under some keys, in order; those that are gone meanwhile are left out."""
    read: dict[tuple[int, str], CacheEntry | None] = {}
    for place in {place.number: place for place, _ in wanted}.values():
        keys = [key for one, key in wanted if one.number == place.number]
        for key, entry in zip(keys, await place.backend.get_many(keys, touch=False), strict=True):
            read[place.number, key] = entry
    found = [(place, key, read[place.number, key]) for place, key in wanted]
    return [Found(place, key, entry) for place, key, entry in found if entry is not None]


async def near(
    places: list[Place], vector: Any, embedder: str, limit: int, namespace: str | None
) -> list[tuple[Place, Candidate]]:
    """Return the entries nearest to a vector, over all scopes, nearest first."""
    found: list[tuple[Place, Candidate]] = []
    for place in places:
        candidates = await place.backend.find_candidates(
            vector, 0.0, k=limit, namespace=namespace, scope=None, embedder=embedder
        )
        found += [(place, candidate) for candidate in candidates]
    found.sort(key=lambda one: -one[1].similarity)
    return found[:limit]


async def delete_matching(places: list[Place], conditions: Conditions, *, dry_run: bool) -> int:
    """Delete the entries that match; return how many. With `dry_run`, only count them.

    Raises:
        CacheBackendError: the storage fails; some may be deleted then.
    """
    matches, count = conditions.matcher(), 0
    for place in places:
        if not dry_run:
            # Each entry that matches has one label of each group; so one group is enough.
            await withdraw(place.backend, next(iter(conditions.labels), ()))
        if not dry_run and len(conditions.labels) <= 1 and conditions.scope is None:
            tags = conditions.labels[0] if conditions.labels else None
            count += await place.backend.invalidate(conditions.pattern, tags=tags, namespace=conditions.namespace)
            continue
        keys = [found.key async for found in walk([place], conditions.namespace) if matches(found.entry)]
        count += len(keys) if dry_run else await _delete(place.backend, keys)
    return count


async def _delete(backend: StorageBackend, keys: list[str]) -> int:
    return sum([await backend.delete_many(keys[at : at + _BATCH]) for at in range(0, len(keys), _BATCH)])


async def groups(places: list[Place], namespace: str | None, limit: int) -> dict[str, Any]:
    """Return how many entries and hits each scope has, most entries first: who asks, as far as entries show it.

    Looks at entries for 5 seconds at most; ``complete`` says whether these were all.
    """
    counts: dict[tuple[str, str, str, str], list[float]] = {}
    complete, end = True, perf_counter() + _MOST_SECONDS
    async with aclosing(walk(places, namespace)) as entries:
        async for found in entries:
            if perf_counter() > end:
                complete = False
                break
            entry, origin = found.entry, origin_of_entry(found.entry)
            name = (entry.namespace, origin.function, origin.model, entry.scope[:SCOPE])
            sums = counts.setdefault(name, [0, 0, 0.0])
            sums[0] += 1
            sums[1] += entry.hit_count
            sums[2] += entry.cost_usd * entry.hit_count
    largest = heapq.nlargest(limit, counts.items(), key=lambda item: item[1][0])
    return {
        "scopes": [
            {
                "namespace": name,
                "function": function,
                "model": model,
                "scope": scope,
                "entries": int(sums[0]),
                "hits": int(sums[1]),
                "saved_usd": sums[2],
            }
            for (name, function, model, scope), sums in largest
        ],
        "total": len(counts),
        "complete": complete,
    }
