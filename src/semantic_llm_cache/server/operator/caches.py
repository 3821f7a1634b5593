"""The caches that an operator looks after: engines by name, and their backends."""

from __future__ import annotations

from typing import NamedTuple

from semantic_llm_cache.arguments import shown
from semantic_llm_cache.engine.engine import Engine
from semantic_llm_cache.server.operator.errors import Conflict, NotThere
from semantic_llm_cache.storage.contract import StorageBackend
from semantic_llm_cache.storage.key_check import require_key
from semantic_llm_cache.storage.registry import shared_backend

__all__ = ["Caches", "Place"]


class Place(NamedTuple):
    """A backend with its number, by which the API names it.

    Attributes:
        number: its place, from 0.
        backend: the backend.
    """

    number: int
    backend: StorageBackend


class Caches:
    """Engines by name, and the backends, each once."""

    def __init__(self) -> None:
        self.engines: dict[str, Engine] = {}
        self._backends: list[StorageBackend] = []

    def add(self, cache: Engine | StorageBackend | str, name: str | None = None) -> str:
        """Add an engine, or a backend that this process only looks into; return the name of the engine, or its URL.

        Args:
            cache: a `SemanticCache`, a backend, or the URL of one.
            name: of the engine; by default its namespace, with a number if that is taken.

        Raises:
            ValueError: another engine has the name, or the URL cannot be used.
            TypeError: something else.
        """
        if not isinstance(cache, Engine):
            backend = shared_backend(cache, "cache")
            self._use(backend)
            return backend.url
        if cache in self.engines.values():
            return next(known for known, engine in self.engines.items() if engine is cache)
        if name is not None and name in self.engines:
            raise ValueError(f"name={shown(name)} is the name of another cache already")
        chosen = name or self._free_name(cache.namespace)
        self.engines[chosen] = cache
        self._use(cache.backend)
        return chosen

    def _use(self, backend: StorageBackend) -> None:
        if not any(known is backend for known in self._backends):
            self._backends.append(backend)

    def _free_name(self, namespace: str) -> str:
        name, number = namespace, 1
        while name in self.engines:
            number += 1
            name = f"{namespace}-{number}"
        return name

    def engine(self, name: str | None) -> Engine:
        """Return an engine by its name; None means the only one.

        Raises:
            NotThere: there is none of that name.
            Conflict: there are several, or none at all.
        """
        if name is None:
            if len(self.engines) == 1:
                return next(iter(self.engines.values()))
            if not self.engines:
                raise Conflict("this process only looks into a storage: no cache is in use here")
            raise Conflict(f"name one of the caches: {', '.join(self.engines)}")
        found = self.engines.get(name)
        if found is None:
            known = f"known: {', '.join(self.engines)}" if self.engines else "no cache is in use in this process"
            raise NotThere(f"there is no cache of the name {shown(name)}; {known}")
        return found

    def places(self, number: int | None = None) -> list[Place]:
        """Return all backends with their numbers, or the one with this number.

        Raises:
            NotThere: there is none with that number.
        """
        places = [Place(place, backend) for place, backend in enumerate(self._backends)]
        if number is None:
            return places
        if number >= len(places):
            raise NotThere(f"there is no backend {number}; the numbers go from 0 to {len(places) - 1}")
        return [places[number]]

    async def opened(self, number: int | None = None) -> list[Place]:
        """Do `places`, for reading and writing entries.

        Raises:
            NotThere: there is none with that number.
            EncryptionKeyError: one is encrypted, and its key was not given.
            CacheBackendError: one fails.
        """
        places = self.places(number)
        for place in places:
            await require_key(place.backend)
        return places

    def engines_on(self, backend: StorageBackend) -> dict[str, Engine]:
        """Return the engines that use a backend."""
        return {name: engine for name, engine in self.engines.items() if engine.backend is backend}
