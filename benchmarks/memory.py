"""Memory per entry at 100,000, payload (prompt and answer) apart; and 10,000 scopes of 10 against one.

Each measurement is the growth of the resident memory of a fresh process. What our stores keep besides
the vector (384 numbers, 1,536 bytes, float32: what is weighed at the end) is the overhead: keys, entries, index.
"""

from __future__ import annotations

import sys

from benchmarks.harness import Bench, Figure, at_most
from benchmarks.peers import Worker


def run(bench: Bench) -> None:
    """Measure memory and SQLite, one scope and many."""
    total = bench.size(100_000, 1000)
    for store in ("memory", "sqlite"):
        name = "SQLite" if store == "sqlite" else store
        taken = {}
        for scopes in (1, total // 10):
            bench.say(f"{name}, {scopes} scopes")
            with Worker(sys.executable, "run_memory", bench.folder / "memory.log") as worker:
                taken[scopes] = worker.ask("measure", store=store, scopes=scopes, per_scope=total // scopes)
        one, many = taken[1], taken[total // 10]
        bench.value(
            f"{name}, per entry of {total:,} in one scope", one["bytes"], "B",
            at_most(1.25 * one["index"] + 512, "B"),
            note=f"{one['index']:,.0f} of them vectors and index; "
            f"{one['objects']:.2f} objects per entry for the garbage collector, "
            f"a full collection takes {one['collect_s'] * 1000:.0f} ms",
        )  # fmt: skip
        ratio = many["bytes"] / one["bytes"]
        bench.add(
            Figure(
                bench.subset, f"{name}, per entry in {total // 10:,} scopes of 10", many["bytes"], "B", "one scope",
                one["bytes"], ratio, ratio, ratio, at_most(1.5),
                f"{many['objects']:.2f} objects per entry, a full collection takes {many['collect_s'] * 1000:.0f} ms",
            )
        )  # fmt: skip
