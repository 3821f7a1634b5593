"""`reembed_cache`: moves a cache to another embedding model while it is in use."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from semantic_llm_cache.arguments import check_count, check_flag, check_namespace, check_number, check_plain
from semantic_llm_cache.calls.evidence import MASKED_TAG
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.exceptions import EmbeddingUnavailableError
from semantic_llm_cache.redaction import describe
from semantic_llm_cache.storage.contract import StorageBackend
from semantic_llm_cache.storage.key_check import require_key
from semantic_llm_cache.storage.registry import shared_backend

__all__ = ["ReembedReport", "reembed_cache"]

_SCAN = 500
_HOPELESS = 50
"""After so many refused texts, with none accepted, the model counts as broken."""


@dataclass
class ReembedReport:
    """The result of moving a cache to another embedding model.

    Attributes:
        fingerprint: of the new model.
        total: entries in the cache when it began; None when only one namespace is moved.
        read: entries looked at so far.
        moved: entries that have a vector of the new model now; in a dry run, those that would get one.
        current: entries that had one already.
        without_vector: entries that have no vector, and got none.
        unreadable: entries whose text is too long for the new model, or that it cannot read; unchanged.
        refused: entries whose text the new model failed on; unchanged.
        changed: entries that were deleted, replaced by another text, or moved by another program meanwhile.
        characters: of the texts that were embedded, or would be.
        models: number of entries found, by the fingerprint of the model that made their vector.
        dry_run: whether nothing was embedded and written.
    """

    fingerprint: str = ""
    total: int | None = None
    read: int = 0
    moved: int = 0
    current: int = 0
    without_vector: int = 0
    unreadable: int = 0
    refused: int = 0
    changed: int = 0
    characters: int = 0
    models: dict[str, int] = field(default_factory=dict)
    dry_run: bool = False


async def reembed_cache(
    backend: StorageBackend | str,
    embedder: Any = "auto",
    *,
    namespace: str | None = None,
    missing: bool = False,
    batch_size: int = 64,
    pause: float = 0.0,
    rate: float | None = None,
    dry_run: bool = False,
    progress: Callable[[ReembedReport], object] | None = None,
) -> ReembedReport:
    """Give all entries vectors of another embedding model, while the cache is in use.

    Vectors of different models are never compared. A program with the old model finds an entry by meaning until
    it is moved, a program with the new model from then on; both always find it by equal text. So start this, then
    switch the programs to the new model, and run it again for what they stored in between.

    Answers, times and expiry do not change, and no entry counts as used. It may be interrupted and run again:
    entries that already have a vector of the new model are skipped. An entry that is deleted or replaced while its
    text is being embedded is not restored: the storage writes a vector only to an entry that still has this text
    (`StorageBackend.set_vectors`). A backend that does not override that method reads and then writes, so a change
    in between may be lost.

    Args:
        backend: a backend or URL. It is not closed.
        embedder: the new model: an `EmbeddingProvider`, a name (``"onnx"``, ``"openai:text-embedding-3-small"``),
            or a callable from text to vector.
        namespace: move only its entries; None moves all.
        missing: also embed entries without a vector, such as those of a cache used with ``similarity=1``.
        batch_size: texts embedded and entries written at once.
        pause: seconds to rest after each batch.
        rate: entries per second at most; None means no limit.
        dry_run: count only; the model is not loaded.
        progress: called with the report after each batch.

    Raises:
        EmbeddingUnavailableError: the model cannot be used, works here only in fp32 and was
            asked for in 8 bits, or refuses everything.
        CacheBackendError: the storage failed. What was moved stays moved; run it again.
        TypeError, ValueError: naming the argument.

    Example:
        >>> import asyncio
        >>> from semantic_llm_cache import reembed_cache
        >>> from semantic_llm_cache.backends import MemoryBackend
        >>> from semantic_llm_cache.config import CacheEntry
        >>> async def main():
        ...     backend = MemoryBackend()
        ...     await backend.set("k", CacheEntry("2+2?", "4", [1.0, 0.0], embedder="the old model"))
        ...     report = await reembed_cache(backend, "dummy")
        ...     return report.moved, (await backend.get("k")).embedder == report.fingerprint
        >>> asyncio.run(main())
        (1, True)
    """
    from semantic_llm_cache.similarity import check_available

    check_namespace(namespace)
    check_flag(missing, "missing")
    check_flag(dry_run, "dry_run")
    check_count(batch_size, "batch_size", "a number of entries")
    check_plain(progress, "progress")
    pause = check_number(pause, "pause", "seconds, 0 for none", least=0)
    if rate is not None:
        rate = check_number(rate, "rate", "entries a second, more than 0, or None for no bound", above=0)
    target, provider = await require_key(shared_backend(backend)), check_available(embedder)
    report = ReembedReport(provider.fingerprint, dry_run=dry_run)
    if namespace is None:
        report.total = int((await target.get_stats())["size"])
    job = _Move(target, provider, report, pause, rate)
    if not dry_run:
        await job.start()
    batch: list[tuple[str, CacheEntry]] = []
    async for key, entry in target.scan(max(batch_size, _SCAN), namespace):
        report.read += 1
        name = entry.embedder if entry.embedding is not None else ""
        report.models[name] = report.models.get(name, 0) + 1
        if name == report.fingerprint:
            report.current += 1
        elif not entry.prompt or MASKED_TAG in entry.tags or (entry.embedding is None and not missing):
            report.without_vector += 1
        else:
            batch.append((key, entry))
        if len(batch) >= batch_size:
            await job.take(batch)
            batch = []
        if progress is not None and (not batch or report.read % _SCAN == 0):
            progress(report)
    await job.take(batch)
    if progress is not None:
        progress(report)
    return report


class _Move:
    """Moves one cache to another model."""

    def __init__(
        self, backend: StorageBackend, provider: Any, report: ReembedReport, pause: float, rate: float | None
    ) -> None:
        self.backend = backend
        self.provider = provider
        self.report = report
        self.pause = pause
        self.rate = rate
        self._next = 0.0

    async def start(self) -> None:
        """Load the model and test it: a broken one would spoil every entry."""
        from semantic_llm_cache.similarity import self_test

        if not self.provider.loaded:
            await asyncio.to_thread(self.provider.load)
        if getattr(self.provider, "fell_back", False):  # it would replace vectors of machines where 8 bits work
            raise EmbeddingUnavailableError(
                "the embedding model does not work in 8 bits on this machine, which uses fp32 instead. Nothing was "
                "moved: run it on a machine where 8 bits work, or name the model in fp32 (onnx:fp32)"
            )
        self.report.fingerprint = self.provider.fingerprint  # loading may settle it
        await asyncio.to_thread(self_test, self.provider.encode_batch, self.report.fingerprint)

    async def take(self, batch: list[tuple[str, CacheEntry]]) -> None:
        """Embed the texts of a batch and write its entries with their new vectors."""
        report = self.report
        if report.dry_run:
            report.moved += len(batch)
            report.characters += sum(len(entry.prompt) for _, entry in batch)
            return
        readable = await asyncio.to_thread(self._readable, [entry.prompt for _, entry in batch])
        report.unreadable += readable.count(False)
        batch = [item for item, whole in zip(batch, readable, strict=True) if whole]
        if not batch:
            return
        await self._wait(len(batch))
        report.characters += sum(len(entry.prompt) for _, entry in batch)
        vectors = await self._embed([entry.prompt for _, entry in batch])
        await self._write([(*item, vector) for item, vector in zip(batch, vectors, strict=True) if vector is not None])

    def _readable(self, texts: list[str]) -> list[bool]:
        return [bool(self.provider.readable(text)) for text in texts]

    async def _wait(self, count: int) -> None:
        """Keep to the rate and the pauses."""
        now = time.monotonic()
        if self._next > now:
            await asyncio.sleep(self._next - now)
        begun = time.monotonic()
        self._next = max(begun + self.pause, begun + count / self.rate if self.rate is not None else 0.0)

    async def _embed(self, texts: list[str]) -> list[Any]:
        """Return a vector for each text, None for those that the model refuses."""
        try:
            return list(await self.provider.aencode_batch(texts))
        except EmbeddingUnavailableError:
            raise  # not about these texts
        except Exception:
            pass  # one text is at fault: it must not stop the others
        vectors: list[Any] = []
        for text in texts:
            try:
                vectors.append(await self.provider.aencode(text))
            except EmbeddingUnavailableError:
                raise
            except Exception as error:
                vectors.append(None)
                self.report.refused += 1
                if self.report.refused >= _HOPELESS and not self.report.moved and all(v is None for v in vectors):
                    raise EmbeddingUnavailableError(
                        f"{self.report.fingerprint} failed on the first {self.report.refused} texts: {describe(error)}"
                    ) from error
        return vectors

    async def _write(self, items: list[tuple[str, CacheEntry, Any]]) -> None:
        """Write the vectors to those entries whose text is still the embedded one."""
        done = await self.backend.set_vectors(
            [(key, entry.prompt, vector) for key, entry, vector in items], self.report.fingerprint
        )
        self.report.moved += done.count(True)
        self.report.changed += done.count(False)
