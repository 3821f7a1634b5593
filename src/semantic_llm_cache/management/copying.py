"""`copy_cache`: copies every entry of one backend into another; may be repeated."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from semantic_llm_cache.arguments import check_count, check_flag, check_namespace, check_plain
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.exceptions import CacheSerializationError
from semantic_llm_cache.metrics.learned import STATES
from semantic_llm_cache.redaction import describe
from semantic_llm_cache.storage.contract import StorageBackend
from semantic_llm_cache.storage.key_check import require_key
from semantic_llm_cache.storage.notes import NOTES
from semantic_llm_cache.storage.registry import shared_backend

__all__ = ["CopyReport", "copy_cache"]

_MOST_FAILURES = 100
_PROBE_SECONDS = 60.0
_PROBE = "semantic-llm-cache:copy"


@dataclass
class CopyReport:
    """The result of a copy.

    Attributes:
        total: entries of the source when it began; None when only one namespace is copied.
        read: entries read so far.
        copied: entries written, `replaced` ones among them.
        replaced: written in place of another one under the same key: an older one, or any with ``overwrite=True``.
        there: left out, because the destination has the same entry.
        newer: left out, because the destination has a newer one under the same key.
        expired: left out, because they expired before they could be written.
        failed: not written, because the destination cannot hold them; the first are in `failures`.
        failures: pairs of a key and a reason, 100 at most.
        counters: namespaces whose counters were raised in the destination.
        states: named states (what error budgets have learned) written.
        dry_run: whether nothing was written; the counts are then what would have been written.
    """

    total: int | None = None
    read: int = 0
    copied: int = 0
    replaced: int = 0
    there: int = 0
    newer: int = 0
    expired: int = 0
    failed: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)
    counters: int = 0
    states: int = 0
    dry_run: bool = False


async def copy_cache(
    src: StorageBackend | str,
    dst: StorageBackend | str,
    *,
    namespace: str | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
    batch_size: int = 500,
    progress: Callable[[CopyReport], object] | None = None,
) -> CopyReport:
    """Copy all live entries of `src` into `dst`, with all their data.

    An entry keeps its key, scope, embedding, tags, aliases, kind, costs, hits and time of expiry. Counters of
    namespaces are copied too: where the source's is higher, the destination's is raised to it. What error budgets have
    learned (`max_error`) is copied only where the destination has nothing under the same name yet.

    It may be repeated: an entry that `dst` already has, as new or newer, is left alone. So an interrupted copy can
    be run again, and a later run adds what is new. Both caches may be in use during the copy; what another program
    writes to `dst` between the check and the write of a batch may be replaced by the source's entry of the same key.
    Entries deleted in `src` are not deleted in `dst`.

    Args:
        src, dst: backends or URLs. They are not closed.
        namespace: copy only its entries; None copies all.
        overwrite: replace newer entries too.
        dry_run: count only, write nothing.
        batch_size: entries held in memory and written at once.
        progress: called with the report after each batch.

    Raises:
        ValueError: `src` and `dst` are the same place, or a bad `batch_size`.
        CacheBackendError: a backend failed. What was written stays; run the copy again.

    Example:
        >>> import asyncio
        >>> from semantic_llm_cache import copy_cache
        >>> from semantic_llm_cache.backends import MemoryBackend
        >>> from semantic_llm_cache.config import CacheEntry
        >>> async def main():
        ...     old, new = MemoryBackend(), MemoryBackend()
        ...     await old.set("k", CacheEntry("2+2?", "4", ttl=60))
        ...     first, again = await copy_cache(old, new), await copy_cache(old, new)
        ...     return first.copied, again.copied, again.there
        >>> asyncio.run(main())
        (1, 0, 1)
    """
    check_namespace(namespace)
    check_flag(overwrite, "overwrite")
    check_flag(dry_run, "dry_run")
    check_count(batch_size, "batch_size", "a number of entries")
    check_plain(progress, "progress")
    source, target = await require_key(shared_backend(src, "src")), await require_key(shared_backend(dst, "dst"))
    if await _are_one(source, target, ask=not dry_run):
        raise ValueError(f"src and dst are the same place, {source.url}: name another destination")
    report = CopyReport(dry_run=dry_run)
    if namespace is None:
        report.total = int((await source.get_stats())["size"])
    job = _Copy(source, target, report, overwrite)
    batch: list[tuple[str, CacheEntry]] = []
    async for item in source.scan(batch_size, namespace):
        if item[1].namespace == _PROBE:
            continue
        batch.append(item)
        if len(batch) >= batch_size:
            await job.take(batch)
            batch = []
            if progress is not None:
                progress(report)
    await job.take(batch)
    await job.raise_counters(namespace)
    await job.copy_states(namespace)
    if progress is not None:
        progress(report)
    return report


class _Copy:
    """A copy under way."""

    def __init__(self, source: StorageBackend, target: StorageBackend, report: CopyReport, overwrite: bool) -> None:
        self.source = source
        self.target = target
        self.report = report
        self.overwrite = overwrite

    async def take(self, batch: list[tuple[str, CacheEntry]]) -> None:
        """Write the entries of a batch that the destination lacks."""
        if not batch:
            return
        report = self.report
        report.read += len(batch)
        present = await self.target.get_many([key for key, _ in batch], touch=False)
        now = self.source.clock()
        wanted, replaced = [], set()
        for (key, entry), other in zip(batch, present, strict=True):
            if entry.is_expired(now):
                report.expired += 1
            elif other is None:
                wanted.append((key, entry))
            # An entry that got another vector since is not the same; which of the two is newer is unknown.
            elif other.created_at == entry.created_at and (other.embedder == entry.embedder or not self.overwrite):
                report.there += 1
            elif other.created_at > entry.created_at and not self.overwrite:
                report.newer += 1
            else:
                wanted.append((key, entry))
                replaced.add(key)
        written = wanted if report.dry_run else await self._write(wanted)
        report.copied += len(written)
        report.replaced += sum(key in replaced for key, _ in written)

    async def _write(self, items: list[tuple[str, CacheEntry]]) -> list[tuple[str, CacheEntry]]:
        """Write entries and return those that the destination can hold."""
        if not items:
            return []
        try:
            await self.target.set_many(items)
            return items
        except (CacheSerializationError, ValueError, TypeError):
            pass  # one entry is at fault; writing the others again does no harm
        written = []
        for key, entry in items:
            try:
                await self.target.set(key, entry)
            except (CacheSerializationError, ValueError, TypeError) as error:
                self.report.failed += 1
                if len(self.report.failures) < _MOST_FAILURES:
                    self.report.failures.append((key, describe(error)))
            else:
                written.append((key, entry))
        return written

    async def raise_counters(self, namespace: str | None) -> None:
        """Raise the destination's counters to the source's: unlike adding, this can be repeated."""
        ours = await self.source.get_counters()
        theirs = await self.target.get_counters()
        for name, counters in ours.items():
            if namespace is not None and name != namespace:
                continue
            known = theirs.get(name, {})
            missing = {n: value - known.get(n, 0.0) for n, value in counters.items() if value > known.get(n, 0.0)}
            if missing:
                self.report.counters += 1
                if not self.report.dry_run:
                    await self.target.add_counters(name, missing)

    async def copy_states(self, namespace: str | None) -> None:
        """Copy the named states that the destination lacks."""
        if namespace is None:
            # The clusters of prompts describe the calls of one program, and the notes concern calls in flight there.
            names = [name for name in await self.source.list_states() if not name.startswith((STATES, NOTES))]
        else:
            # online:NAMESPACE:BOUND:BOUND:MODEL, where a namespace or a model may hold colons too
            bound = "(?:[0-9.e+-]+|None)"
            of_namespace = re.compile(f"online:{re.escape(namespace)}:{bound}:{bound}:")
            names = await self.source.list_states(f"online:{namespace}:")
            names = [name for name in names if of_namespace.match(name)]
        for name in names:
            value = await self.source.get_state(name)
            if value is None or (not self.overwrite and await self.target.get_state(name) is not None):
                continue
            self.report.states += 1
            if not self.report.dry_run:
                await self.target.set_state(name, value)


async def _are_one(source: StorageBackend, target: StorageBackend, *, ask: bool) -> bool:
    """Return whether two backends are the same place, by two spellings of a path or two names of a server."""
    if source is target:
        return True
    if type(source) is not type(target) or source.in_process:
        return False
    ours, theirs = getattr(source, "db_path", None), getattr(target, "db_path", None)
    if ours is not None and theirs is not None:
        return _same_file(ours, theirs)
    if not ask:
        return False
    # Server names prove nothing. An entry written to one and found in the other does.
    key = f"{_PROBE}:{os.urandom(16).hex()}"
    await target.set(key, CacheEntry("", None, ttl=_PROBE_SECONDS, created_at=target.clock(), namespace=_PROBE))
    try:
        return await source.get(key) is not None
    finally:
        await target.delete(key)


def _same_file(ours: str, theirs: str) -> bool:
    try:
        return os.path.samefile(ours, theirs)
    except OSError:  # one of them is not there yet
        return os.path.realpath(ours) == os.path.realpath(theirs)
