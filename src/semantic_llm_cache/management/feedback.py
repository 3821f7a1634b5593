"""Feedback: people report whether an answer was right, and the cache learns from it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from semantic_llm_cache.arguments import shown
from semantic_llm_cache.calls.identity import Place, looks_like_id, read_id
from semantic_llm_cache.calls.lookup import Lookup
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.engine.access import entry_under
from semantic_llm_cache.engine.learning import Verdict
from semantic_llm_cache.engine.state import state_of
from semantic_llm_cache.exceptions import CacheBackendError, CacheNotFoundError
from semantic_llm_cache.storage.contract import StorageBackend
from semantic_llm_cache.storage.key_check import require_key
from semantic_llm_cache.storage.records import Candidate
from semantic_llm_cache.storage.registry import backends_in_use, engines_in_use, shared_backend

__all__ = ["Report", "report", "report_right", "report_wrong"]


class Report(NamedTuple):
    """What a report has done.

    Attributes:
        outcome: ``"evicted"`` (a wrong answer), ``"aliased"`` (a right near hit: its prompt is now stored with the
            answer), ``"counted"`` (a right answer, nothing else to do), ``"gone"`` (the entry has expired, or was
            removed or evicted), or ``"replaced"`` (a newer answer lies under its key, which was left alone).
        key: of the entry.
        namespace: of the entry; None when it is gone and this process does not know the call.
    """

    outcome: str
    key: str
    namespace: str | None

    @property
    def changed(self) -> bool:
        """True when an entry was evicted or stored."""
        return self.outcome in ("evicted", "aliased")


async def report_wrong(lookup: Lookup | str, *, backend: StorageBackend | str | None = None) -> bool:
    """Report that an answer was wrong: its entry is evicted, and a near pair is not matched again.

    The online policy, if there is one, learns from it. Counted in `get_stats()["reported_wrong"]`.

    Only the entry that held that very answer is evicted: one that was stored under the same key since is left alone.

    Args:
        lookup: which answer: the `Lookup` of the call, its `Lookup.id`, or the key of an entry. A `Lookup` comes from
            ``with_lookup``, `last_lookup()`, `on_event` or `CacheContext.lookups`; the answer of a miss can be reported
            once it is stored. A bare key names whatever lies under it now.
        backend: where the entry is: a backend or its URL. None looks in the backends that this process uses.

    The process that made the call remembers its last 1,000 near hits, and learns as much from their ids as from the
    `Lookup`s. Another process evicts and counts; its error budget, if it has one for this namespace, learns
    that this answer was wrong, but not for which prompt.

    Returns:
        True when an entry was evicted; False when it is gone, or was replaced by a newer answer.

    Raises:
        CacheNotFoundError: no entry holds the answer of that call: it was not stored.
        ValueError: the text is neither an id nor the key of an entry, or several backends have an entry of that key.
        TypeError: an argument of another type.
        CacheBackendError: the storage fails.

    Example:
        >>> import asyncio
        >>> from semantic_llm_cache import cache
        >>> @cache(backend="memory://")
        ... async def ask(prompt: str) -> str:
        ...     return "5"
        >>> async def main():
        ...     answer, lookup = await ask.with_lookup("2 + 2?")
        ...     return await report_wrong(lookup.id)
        >>> asyncio.run(main())
        True
    """
    return (await report(lookup, right=False, backend=backend)).changed


async def report_right(lookup: Lookup | str, *, backend: StorageBackend | str | None = None) -> bool:
    """Report that an answer was right: a near pair becomes aliases of one answer.

    The online policy, if there is one, learns from it. Counted in `get_stats()["reported_right"]`.

    Args:
        lookup, backend: see `report_wrong`. An id does not hold the prompt. So another process than the one that made
            the call stores no alias for it: it counts, and its error budget learns that the answer was right. A pickled
            `Lookup` holds the prompt.

    Returns:
        True when the prompt has been stored as an alias.

    Raises:
        CacheNotFoundError, ValueError, TypeError, CacheBackendError: see `report_wrong`.
    """
    return (await report(lookup, right=True, backend=backend)).changed


async def report(lookup: Lookup | str, *, right: bool, backend: StorageBackend | str | None = None) -> Report:
    """Do `report_wrong` or `report_right`, and return all that was done. Takes and raises the same."""
    subject = _subject(lookup)
    places = [shared_backend(backend)] if backend is not None else _backends(subject)
    known = _recent(subject, places)
    found = await _find(subject, places)
    entry = found.entry
    namespace = known.namespace if known is not None else None if entry is None else entry.namespace
    if namespace is None:
        return Report(found.state, subject.key, None)
    near = subject.near if known is None else known.outcome == "near"
    verdict = Verdict(right, subject.key, near, namespace, entry, known)
    engines = _engines(known, found.backend, namespace)
    engine = engines[0] if engines else None
    for one in engines:
        one.learning.remember(verdict)
    if engine is not None:
        await engine.learn(verdict)
    else:
        await found.backend.add_counters(namespace, {"reported_right" if right else "reported_wrong": 1})
    if entry is None:
        return Report(found.state, subject.key, namespace)
    outcome = "counted"
    if not right:
        gone = await found.backend.delete_stored(subject.key, entry.created_at)
        outcome = "evicted" if gone else "gone"  # or replaced, just now
    elif near and known is not None and engine is not None:
        if await engine.store_alias(known, Candidate(subject.key, entry, known.similarity or 0.0)):
            outcome = "aliased"
    return Report(outcome, subject.key, namespace)


# -------------------------------------------------------------------------------------- what is reported on


class _Subject(NamedTuple):
    """What a report is about.

    Attributes:
        key: of the entry.
        place: the entry with its time; None for a bare key.
        near: whether it was a near hit, as far as the id says.
        id: of the call, if there is one.
        lookup: the record that was given.
    """

    key: str
    place: Place | None = None
    near: bool = False
    id: str = ""
    lookup: Lookup | None = None


def _subject(given: Any) -> _Subject:
    if isinstance(given, Lookup):
        if given._place is None:
            raise CacheNotFoundError(f"{_NOTHING} (the lookup is a {given.outcome})")
        return _Subject(given._place.key, given._place, given.outcome == "near", given.id, given)
    if not isinstance(given, str):
        raise TypeError(
            f"lookup={shown(given)} must be a Lookup, such as last_lookup() returns, its id, or the key of an entry"
        )
    if not given:
        raise ValueError("lookup='' must be the id of a call or the key of an entry")
    if not looks_like_id(given):
        return _Subject(given)
    near, place = read_id(given)
    if place is None:
        raise CacheNotFoundError(_NOTHING)
    return _Subject(place.key, place, near, given)


_NOTHING = "there is nothing to report on: no entry is known to hold the answer of this call"


def _recent(subject: _Subject, places: Iterable[StorageBackend]) -> Lookup | None:
    """Return what this process knows of the call."""
    given = subject.lookup
    if given is not None and given.handle:
        return given
    for backend in places if subject.id else ():
        found = state_of(backend).near_hit(subject.id)
        if found is not None:
            return found
    return given


# -------------------------------------------------------------------------------------- where it is


class _Found(NamedTuple):
    """Where an entry is.

    Attributes:
        backend: the backend that has it, or that would.
        entry: None when there is none that holds the answer.
        state: ``"there"``, ``"gone"`` or ``"replaced"``.
    """

    backend: StorageBackend
    entry: CacheEntry | None
    state: str


def _backends(subject: _Subject) -> list[StorageBackend]:
    """Return the backends to look in: that of the call, where its engine lives, else all that are in use."""
    engine = _engine_of(subject.lookup)
    return [engine.backend] if engine is not None else backends_in_use()


async def _find(subject: _Subject, places: list[StorageBackend]) -> _Found:
    """Find the entry that a report is about.

    Raises:
        CacheBackendError: a storage fails, and the entry is in no other.
        ValueError: a bare key that no entry has, or entries in several backends.
    """
    other: StorageBackend | None = None
    failed: CacheBackendError | None = None
    having: list[_Found] = []
    for backend in places:
        try:
            await require_key(backend)
            if backend.in_process:
                entry = await entry_under(backend, subject.key)
            else:
                (entry,) = await backend.get_many([subject.key], touch=False)
        except CacheBackendError as error:
            failed = error
            continue
        if entry is None:
            continue
        if subject.place is None:
            having.append(_Found(backend, entry, "there"))
        elif subject.place.holds(entry.created_at):
            return _Found(backend, entry, "there")
        other = backend
    if len(having) == 1:
        return having[0]
    if having:
        urls = ", ".join(found.backend.url for found in having)
        raise ValueError(
            f"lookup={shown(subject.key)} is the key of entries in {len(having)} backends: say which with backend= "
            f"({urls})"
        )
    if failed is not None:
        raise failed
    if subject.place is None:
        raise ValueError(f"lookup={shown(subject.key)} is neither the id of a call nor the key of an entry")
    return _Found(other or places[0], None, "gone" if other is None else "replaced")


# -------------------------------------------------------------------------------------- who learns


def _engine_of(lookup: Lookup | None) -> Any:
    """Return the engine that made a call, if it lives in this process."""
    return lookup.handle[0]() if lookup is not None and lookup.handle else None


def _engines(lookup: Lookup | None, backend: StorageBackend, namespace: str) -> list[Any]:
    """Return the engines that are to learn: that of the call, and the others for the namespace on this backend.

    The first counts the report. Their error budget is one, so only the first tells it.
    """
    own = _engine_of(lookup)
    fitting = [one for one in engines_in_use() if one.namespace == namespace and one.backend is backend]
    if own is not None and own.backend is backend and own not in fitting:
        fitting.append(own)
    return sorted(fitting, key=lambda one: (one is not own, not one.decider.bounded))
