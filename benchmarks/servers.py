"""What the subsets that measure servers have in common: sizes, new vectors, the processor time of a server."""

from __future__ import annotations

import itertools
import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.data import ANSWER, EMBEDDER, Filling, Matrix, clustered
from benchmarks.harness import Bench
from semantic_llm_cache.config import CacheEntry

LOADED_SIZES = (10_000, 100_000)


def sizes(bench: Bench) -> tuple[int, ...]:
    """Return how many entries to measure with: those of SERVER_SIZES in the environment, or 10,000 and 100,000."""
    if bench.quick:
        return (200,)
    named = os.environ.get("SERVER_SIZES", "")
    return tuple(int(size) for size in named.split(",")) if named else LOADED_SIZES


def strangers(count: int) -> Matrix:
    """Return unit vectors of shape (count, 384) that are near nothing of a `Filling`: what a miss asks and stores."""
    return clustered(count, seed=21)


def fresh_items(filling: Filling, rows: Matrix) -> Iterator[tuple[str, CacheEntry]]:
    """Yield new keys and entries without end, with these vectors in turn."""
    for number, row in enumerate(itertools.cycle(rows)):
        prompt = f"What is new in version {number}?"
        yield filling.request(prompt).key, CacheEntry(
            prompt, ANSWER, row, ttl=3600.0, namespace="bench", scope=filling.scope_hash, embedder=EMBEDDER,
            duration_ms=900.0,
        )  # fmt: skip


def processor_seconds(pids: Sequence[int]) -> float:
    """Return the processor time, in seconds, that processes have taken so far (Linux)."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def per_call(
    bench: Bench, pids: Callable[[], list[int]], call: Callable[[Any], Awaitable[object]], items: Sequence[Any]
) -> float:
    """Return the processor seconds that a server's processes take for a call, called with all items one by one."""

    async def all_of_them() -> None:
        for item in items:
            await call(item)

    before = processor_seconds(pids())
    bench.run(all_of_them())
    return (processor_seconds(pids()) - before) / len(items)


def report_server_time(bench: Bench, what: str, near: float, exact: float, put: float) -> None:
    """Add the line of what one core of the server can do."""
    bench.value(
        f"{what}, server's processor time for a near hit", near, "s",
        note=f"for an exact hit {1e6 * exact:.0f} us, for a put {1e6 * put:.0f} us; one call at a time",
    )  # fmt: skip
