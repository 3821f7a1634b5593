"""Changing the threshold and the TTL of caches in use, in all processes on one backend.

A change is kept in the backend, next to the value that the cache was set up with. A process that starts later takes
it over only if it was set up with the same value: who edits the configuration has the last word.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from semantic_llm_cache.engine.engine import Engine
from semantic_llm_cache.redaction import describe
from semantic_llm_cache.runtime.breaker import logger
from semantic_llm_cache.server.operator.caches import Caches
from semantic_llm_cache.server.operator.errors import Conflict
from semantic_llm_cache.storage.key_check import require_key

__all__ = ["CHANGEABLE", "Change", "Settings"]

CHANGEABLE = ("similarity", "ttl")
_PREFIX = "operator:settings:"


class Change(NamedTuple):
    """A change that was made.

    Attributes:
        name: of the cache.
        old, new: the settings before and after.
    """

    name: str
    old: dict[str, Any]
    new: dict[str, Any]


class Settings:
    """The settings of the caches that can change while they are in use."""

    def __init__(self, caches: Caches) -> None:
        self._caches = caches
        self._lock = asyncio.Lock()
        self._known: dict[str, dict[str, Any]] = {}
        self._alone: set[str] = set()  # changed in this process only: their backend keeps no state

    def view(self, name: str, engine: Engine) -> dict[str, Any]:
        """Return a cache's settings as plain data: those that can change, and what else decides."""
        options = engine.options
        changed = self._known.get(name, {})
        return {
            "name": name,
            "namespace": engine.namespace,
            "backend": next(place.number for place in self._caches.places() if place.backend is engine.backend),
            "enabled": engine.enabled,
            "mode": options.mode,
            "current": _values(engine.similarity, engine.ttl),
            "configured": _values(engine.decider.similarity, options.ttl),
            "changed_at": changed.get("at"),
            "changed_by": changed.get("by"),
            "shared": name not in self._alone,
            "changeable": [] if engine.decider.bounded else list(CHANGEABLE),
            "max_error": options.max_error,
            "max_error_per_hit": options.max_error_per_hit,
            "guards": list(engine.decider.guards.names) if engine.similarity < 1 else [],
            "categories": {
                category: {**rule.changes, "max_error": rule.max_error}
                for category, rule in options.category_rules.items()
            },
        }

    async def change(
        self, name: str | None, values: Mapping[str, Any], reset: Iterable[str], who: str, now: float
    ) -> Change:
        """Change settings of a cache, in this process at once, in others when they look next.

        Args:
            name: of the cache; None means the only one.
            values: the new values by name.
            reset: names that go back to what was configured.
            who: for the record.
            now: wall seconds.

        Raises:
            NotThere, Conflict: see `Caches.engine`; or nothing is to change.
            ValueError, TypeError, EmbeddingUnavailableError: see `Engine.adjust`. Nothing has changed then.
            CacheBackendError: the change could not be kept. Nothing has changed then.
        """
        engine = self._caches.engine(name)
        known = next(key for key, value in self._caches.engines.items() if value is engine)
        back = [one for one in reset if one not in values]
        if not values and not back:
            raise Conflict("nothing is to change: give a value, or name one to reset")
        async with self._lock:
            # Another process may have changed something since: its change must not be undone.
            with contextlib.suppress(ValueError, TypeError, KeyError):  # what is kept cannot be read: it is replaced
                await self._refresh(known, engine)
            before, old = dict(engine.changes), _values(engine.similarity, engine.ttl)
            await asyncio.to_thread(engine.adjust, **_configured(engine, back), **values)
            earlier = self._known.get(known, {}).get("changed", {})
            changed = {one: value for one, value in earlier.items() if one not in back}
            changed.update({one: engine.changes[one] for one in values})
            record = {
                "version": secrets.token_hex(8),
                "changed": changed,
                "configured": _values(engine.decider.similarity, engine.options.ttl),
                "at": now,
                "by": who,
            }
            try:
                await self._keep(known, engine, record if changed else None)
            except BaseException:
                engine.adjust(**{**_configured(engine, CHANGEABLE), **before})
                raise
            if changed:
                self._known[known] = record
            else:
                self._known.pop(known, None)
            return Change(known, old, _values(engine.similarity, engine.ttl))

    async def _keep(self, name: str, engine: Engine, record: dict[str, Any] | None) -> None:
        """Write a change to the backend, and find out whether it keeps such things."""
        await require_key(engine.backend)
        await engine.backend.set_state(_PREFIX + name, None if record is None else json.dumps(record).encode())
        if record is not None and await engine.backend.get_state(_PREFIX + name) is None:
            self._alone.add(name)
        else:
            self._alone.discard(name)

    async def refresh(self) -> None:
        """Take over what other processes have changed, or an earlier one. Never raises."""
        for name, engine in list(self._caches.engines.items()):
            try:
                async with self._lock:
                    await self._refresh(name, engine)
            except Exception as error:
                logger.debug("semantic-llm-cache: settings could not be read: %s", describe(error))

    async def _refresh(self, name: str, engine: Engine) -> None:
        if name in self._alone:
            return
        value = await engine.backend.get_state(_PREFIX + name)
        record = json.loads(value) if value else None
        if record is not None and not isinstance(record, dict):
            raise ValueError("the record of a change must be an object")
        if (record or {}).get("version") == self._known.get(name, {}).get("version"):
            return
        if record is not None and record["configured"] != _values(engine.decider.similarity, engine.options.ttl):
            return  # the configuration was edited since
        values = {**_configured(engine, CHANGEABLE), **(record["changed"] if record else {})}
        if engine.decider.bounded:
            values.pop("similarity")
        await asyncio.to_thread(engine.adjust, **values)
        if record is None:
            self._known.pop(name, None)
        else:
            self._known[name] = record


def _configured(engine: Engine, names: Iterable[str]) -> dict[str, Any]:
    configured = {"similarity": engine.decider.similarity, "ttl": engine.options.ttl}
    return {name: configured[name] for name in names}


def _values(similarity: float, ttl: Any) -> dict[str, Any]:
    return {"similarity": similarity, "ttl": "a function" if callable(ttl) else ttl}
