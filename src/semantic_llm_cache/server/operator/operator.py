"""`Operator`: what whoever runs the caches sees of them, and may change."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any

from semantic_llm_cache.engine.engine import Engine
from semantic_llm_cache.engine.listening import EVERYWHERE, Audience, Event, Listener
from semantic_llm_cache.exceptions import CacheNotFoundError, EmbeddingUnavailableError, EncryptionKeyError
from semantic_llm_cache.management.feedback import Report, report
from semantic_llm_cache.metrics.learned import kept_summary
from semantic_llm_cache.metrics.stats import get_stats
from semantic_llm_cache.redaction import describe
from semantic_llm_cache.server.operator import entries, figures, health, views, whatif
from semantic_llm_cache.server.operator.audit import AuditLog, Record
from semantic_llm_cache.server.operator.caches import Caches, Place
from semantic_llm_cache.server.operator.entries import Conditions
from semantic_llm_cache.server.operator.errors import Conflict, Invalid, NotThere, TextHidden, Unavailable
from semantic_llm_cache.server.operator.history import History
from semantic_llm_cache.server.operator.settings import Change, Settings
from semantic_llm_cache.similarity.base import unit
from semantic_llm_cache.similarity.cache import shared_embedder
from semantic_llm_cache.storage.contract import StorageBackend
from semantic_llm_cache.storage.registry import engines_in_use

__all__ = ["Operator"]

_REFRESH = 5.0
_ELSEWHERE = ("gone", "replaced")  # the entry may be in another backend
NO_TRAFFIC = (
    "No cache is in use in this process, so there is no live traffic here: only what is stored can be shown. To see "
    "traffic, run the server, or add the cache of your program with operator.add(cache)."
)


class _Recorder(Listener):
    """Passes calls on to a history."""

    def __init__(self, history: History) -> None:
        self._history = history

    def ended(self, event: Event) -> None:
        """Record a call."""
        self._history.record(event.lookup, sum(event.tokens))


class Operator:
    """Watches caches, looks into what they store, and changes their settings while they are in use.

    Everything that is kept about calls is of this process; what is stored, the running totals, the changed settings
    and the audit log are in the backend, and the same for all processes on it.

    Args:
        caches: engines to listen to, or backends (objects or URLs) to look into.
        show_text: whether prompts and answers may be shown.
        embedder: for searches by meaning where no engine is in use; as for `SemanticCache`.
        clock: wall time in seconds.

    Raises:
        TypeError, ValueError: a cache cannot be used.

    Example:
        >>> from semantic_llm_cache import SemanticCache
        >>> operator = Operator()
        >>> operator.add(SemanticCache("memory://"), "main")
        'main'
    """

    def __init__(
        self,
        *caches: Engine | StorageBackend | str,
        show_text: bool = True,
        embedder: Any = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.show_text = show_text
        self.draining = False
        """Set it when the server is about to stop: `readiness` then says no."""
        self.history = History(clock=clock)
        self.caches = Caches()
        self.settings = Settings(self.caches)
        self.clock = clock
        self._embedder = embedder
        self._recorder = _Recorder(self.history)
        self._started = clock()
        self.audit = AuditLog(self.worker, clock)
        for one in caches:
            self.add(one)

    @property
    def worker(self) -> str:
        """The name of this process among the workers of a server."""
        return f"{os.getpid()}"

    @property
    def live(self) -> bool:
        """Whether this process sees calls: it has a cache in use, or has recorded some."""
        return bool(self.caches.engines) or self.history.count > 0

    @property
    def hint(self) -> str | None:
        """How to see live traffic, where there is none to see."""
        return None if self.live else NO_TRAFFIC

    def add(self, cache: Engine | StorageBackend | str, name: str | None = None) -> str:
        """Look after another cache: listen to its calls and to those of all that is derived from it.

        Args:
            cache: a `SemanticCache`, or a backend or its URL to look into.
            name: of the cache; by default its namespace, with a number if that is taken. Settings that were changed are
                kept under it, so give each cache of a service the same name in all processes.

        Returns:
            The name, or the URL of a backend.

        Raises:
            ValueError: another cache has the name, or the URL cannot be used.
            TypeError: something else.
        """
        if isinstance(cache, Engine):
            self._listen(cache.hook.own)
        return self.caches.add(cache, name)

    def add_all(self) -> None:
        """Look after all caches of this process; listen to those made later too."""
        self._listen(EVERYWHERE)
        for engine in engines_in_use():
            self.caches.add(engine)

    def _listen(self, audience: Audience) -> None:
        if self._recorder not in audience.listeners:
            audience.add(self._recorder)

    def close(self) -> None:
        """Stop listening."""
        for audience in (EVERYWHERE, *(engine.hook.own for engine in self.caches.engines.values())):
            audience.remove(self._recorder)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Operator]:
        """Take over settings that other processes have changed, every 5 seconds, while the block runs."""
        await self.settings.refresh()
        task = asyncio.create_task(self._refresh())
        try:
            yield self
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _refresh(self) -> None:
        while True:
            await asyncio.sleep(_REFRESH)
            await self.settings.refresh()

    # ------------------------------------------------------------------------------ figures

    async def stats(self, namespace: str | None = None) -> dict[str, Any]:
        """Return the figures: of this process (``process``); of all processes so far by namespace (``total``), and
        together (``summary``).

        Raises:
            CacheBackendError: a storage fails.
        """
        total: dict[str, dict[str, float]] = {}
        sizes, categories = [], []
        for place in self.caches.places():
            stats = await place.backend.get_stats()
            sizes.append({"number": place.number, "url": place.backend.url, "size": int(stats.get("size", 0))})
            for space, counts in (await place.backend.get_counters()).items():
                if namespace in (None, space):
                    sums = total.setdefault(space, {})
                    for name, value in counts.items():
                        sums[name] = sums.get(name, 0) + value
            categories += await kept_summary(place.backend, namespace)
        process = get_stats(namespace)
        shown = process["categories"] or categories
        if not self.show_text:  # their labels are words of prompts
            shown = [{**one, "label": ""} for one in shown]
        return {
            "worker": self.worker,
            "started_at": self._started,
            "uptime": max(0.0, self.clock() - self._started),
            "live": self.live,
            "hint": self.hint,
            "process": {name: value for name, value in process.items() if name != "categories"},
            "total": total,
            "summary": figures.summary(total.values()),
            "backends": sizes,
            "categories": shown,
        }

    # ------------------------------------------------------------------------------ entries

    async def look_through(
        self, conditions: Conditions, sort: str, offset: int, limit: int, backend: int | None = None
    ) -> dict[str, Any]:
        """Return a page of entries: see `entries.look_through`.

        Raises:
            TextHidden: a search in prompts, where these are hidden.
        """
        if conditions.pattern:
            self.need_text("searching in prompts")
        page = await entries.look_through(await self.caches.opened(backend), conditions, sort, offset, limit)
        return {
            "entries": [
                views.entry_in_short(
                    found.key, found.entry, found.place.number, found.place.backend.clock(), text=self.show_text
                )
                for found in page.items
            ],
            "matching": page.matching,
            "complete": page.complete,
        }

    async def search(
        self, text: str, limit: int, namespace: str | None = None, backend: int | None = None
    ) -> dict[str, Any]:
        """Return the entries nearest in meaning to a text, over all scopes, each with its ``similarity``.

        Raises:
            TextHidden: prompts are hidden.
            Conflict: there is no embedder.
            Unavailable: the embedder fails.
        """
        self.need_text("searching by meaning")
        embedder = self._searcher()
        try:
            if not embedder.loaded:
                await asyncio.to_thread(embedder.load)
            vector = unit(await embedder.aencode(text))
        except Exception as error:  # whatever the embedder's own code raises
            raise Unavailable(f"the embedder failed: {describe(error)}") from error
        found = await entries.near(await self.caches.opened(backend), vector, embedder.fingerprint, limit, namespace)
        return {
            "embedder": embedder.fingerprint,
            "entries": [
                {
                    **views.entry_in_short(one.key, one.entry, place.number, place.backend.clock(), text=True),
                    "similarity": one.similarity,
                }
                for place, one in found
            ],
        }

    def _searcher(self) -> Any:
        engines = sorted(self.caches.engines.values(), key=lambda engine: engine.similarity >= 1)
        try:
            if self._embedder is None and engines:
                return engines[0].need_embedder()
            return shared_embedder("auto" if self._embedder is None else self._embedder)
        except EmbeddingUnavailableError as error:
            raise Conflict(f"a search by meaning needs the model that the entries were stored with: {error}") from error

    async def find(self, key: str, backend: int | None = None) -> entries.Found:
        """Return the entry under a key.

        Raises:
            NotThere: there is none.
        """
        for place in await self.caches.opened(backend):
            (entry,) = await place.backend.get_many([key], touch=False)
            if entry is not None:
                return entries.Found(place, key, entry)
        raise NotThere("there is no entry under this key")

    async def show(self, key: str, backend: int | None = None) -> dict[str, Any]:
        """Return an entry in full. Raises NotThere."""
        place, key, entry = await self.find(key, backend)
        return views.entry_in_full(key, entry, place.number, place.backend.clock(), text=self.show_text)

    async def delete(self, key: str, who: str, backend: int | None = None) -> None:
        """Delete an entry. Raises NotThere."""
        for place in await self.caches.opened(backend):
            if await place.backend.delete(key):
                await self.audit.add(place.backend, who, "delete", key)
                return
        raise NotThere("there is no entry under this key")

    async def invalidate(self, conditions: Conditions, who: str, *, dry_run: bool, backend: int | None = None) -> int:
        """Delete the entries that match; return how many. With `dry_run`, only count them.

        Raises:
            Conflict: no condition is given.
            TextHidden: a dry run with a pattern, where prompts are hidden: it would be a search in them.
        """
        if dry_run and conditions.pattern:
            self.need_text("counting by a pattern")
        if not conditions.restricts:
            raise Conflict("give a pattern, tags, models or depends_on: a namespace or a scope only narrows these")
        places = await self.caches.opened(backend)
        count = await entries.delete_matching(places, conditions, dry_run=dry_run)
        if not dry_run:
            asked = {name: value for name, value in conditions._asdict().items() if value}
            await self.audit.add(self._home(places), who, "invalidate", f"{count} entries", new=asked)
        return count

    async def export(self, namespace: str | None, who: str, backend: int | None = None) -> AsyncIterator[entries.Found]:
        """Return an iterator over all entries. Raises TextHidden."""
        self.need_text("an export")
        places = await self.caches.opened(backend)
        await self.audit.add(self._home(places), who, "export", "all entries", new={"namespace": namespace})
        return entries.walk(places, namespace)

    async def groups(self, namespace: str | None, limit: int) -> dict[str, Any]:
        """Return entries and hits by scope: see `entries.groups`."""
        return await entries.groups(await self.caches.opened(), namespace, limit)

    # ------------------------------------------------------------------------------ changes

    async def change(self, name: str | None, values: Mapping[str, Any], reset: Iterable[str], who: str) -> Change:
        """Change settings of a cache: see `Settings.change`. Raises Invalid for a value that cannot be used."""
        try:
            change = await self.settings.change(name, values, reset, who, self.clock())
        except EncryptionKeyError:  # the storage is at fault, not the value
            raise
        except (ValueError, TypeError) as error:
            raise Invalid(str(error)) from error
        engine = self.caches.engine(change.name)
        await self.audit.add(engine.backend, who, "settings", change.name, old=change.old, new=change.new)
        return change

    async def report(self, id: str, *, right: bool, who: str) -> Report:
        """Report that an answer was right or wrong, by the id of the call or the key of the entry.

        Raises:
            NotThere: no entry is known to hold that answer.
            CacheBackendError: a storage fails.
        """
        places = self.caches.places()
        done: Report | None = None
        problem = "there is no backend to look in"
        for place in places:  # another one may hold the entry
            try:
                found = await report(id, right=right, backend=place.backend)
            except (ValueError, CacheNotFoundError) as error:
                problem = str(error).removeprefix("lookup=")
                continue
            if done is None or done.outcome in _ELSEWHERE:
                done = found
            if done.outcome not in _ELSEWHERE:
                break
        if done is None:
            raise NotThere(problem)
        verdict = "right" if right else "wrong"
        self.history.judged(id, verdict)
        await self.audit.add(self._home(places), who, "report", id, new={"verdict": verdict, "outcome": done.outcome})
        return done

    async def audit_log(self, limit: int) -> list[Record]:
        """Return the last changes, newest first; of all processes on these backends."""
        backends: list[StorageBackend | None] = [place.backend for place in self.caches.places()]
        found = [record for one in backends or [None] for record in await self.audit.read(one, limit)]
        unique = {(record.at, record.action, record.target): record for record in found}
        return sorted(unique.values(), key=lambda record: -record.at)[:limit]

    @staticmethod
    def _home(places: list[Place]) -> StorageBackend | None:
        return places[0].backend if places else None

    # ------------------------------------------------------------------------------ the rest

    async def health(self) -> list[dict[str, Any]]:
        """Return what is known of each backend: see `health.backend_health`."""
        return list(await asyncio.gather(*(health.backend_health(place) for place in self.caches.places())))

    async def readiness(self) -> tuple[bool, bool]:
        """Return whether requests can be served, and whether all storage works."""
        ready, whole = await health.readiness(self.caches)
        return ready and not self.draining, whole

    async def what_if(self, similarity: float, namespace: str | None = None) -> dict[str, Any]:
        """Return what a threshold would have changed: see `whatif.what_if`."""
        return await whatif.what_if(self.history, similarity, namespace)

    def need_text(self, what: str) -> None:
        """Raise TextHidden if prompts and answers are hidden."""
        if not self.show_text:
            raise TextHidden(f"{what} would show prompts or answers, which are hidden on this server")
