"""How often the index finds the nearest of real prompts, and what a search costs beside a numpy scan.

    python -m benchmarks.trust.recall --data PATH [--cache FOLDER]

Nine prompts in ten of a file are stored, one in ten is asked: by the cosine of the nearest stored one, the share of
questions for which it, or one as near, is found. A search gets the lower edge of the band as its threshold. The
file is not part of the project: `--data` is a folder with clinc150.jsonl and qqp_stream.jsonl.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.trust.stream import Array, embed
from semantic_llm_cache.index import VectorIndex

BANDS = ((0.5, 0.6), (0.6, 0.7), (0.7, 0.8), (0.8, 0.9), (0.9, 1.01))


def measure(name: str, vectors: Array) -> list[str]:
    """Return the lines of a table for the vectors of one file."""
    order = np.random.default_rng(0).permutation(len(vectors))
    asked = max(1, len(order) // 10)
    rows, queries = vectors[order[asked:]], vectors[order[:asked]]
    index = VectorIndex()
    began = time.perf_counter()
    index.add_many(list(range(len(rows))), rows)
    index.indexer.wait(600)
    built = time.perf_counter() - began
    best = np.array([float((rows @ query).max()) for query in queries])
    lines = [f"{name}: {len(rows):,} stored, {index.indexed:,} of them in lists after {built:.1f} s"]
    for low, high in BANDS:
        some = queries[(best >= low) & (best < high)]
        cosines = best[(best >= low) & (best < high)]
        if not len(some):
            continue
        found, ours, theirs = 0, [], []
        for query, cosine in zip(some, cosines.tolist(), strict=True):
            start = time.perf_counter()
            hits = index.search(query, 1, low)
            middle = time.perf_counter()
            (rows @ query).argmax()
            ours.append(middle - start)
            theirs.append(time.perf_counter() - middle)
            found += bool(hits) and hits[0][1] >= cosine - 2e-6
        ratio = statistics.median(ours) / statistics.median(theirs)
        lines.append(
            f"  nearest at {low:.1f} to {min(high, 1.0):.1f}: found {found} of {len(some)} ({found / len(some):.2%}), "
            f"{1e6 * statistics.median(ours):.0f} us, {ratio:.2f}x a numpy scan"
        )
    return lines


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Recall of the index on real prompts.")
    parser.add_argument("--data", type=Path, required=True, help="folder with clinc150.jsonl and qqp_stream.jsonl")
    parser.add_argument("--cache", type=Path, help="folder to keep embeddings in between runs")
    arguments = parser.parse_args()
    for name in ("clinc150", "qqp_stream"):
        path = arguments.data / f"{name}.jsonl"
        if not path.is_file():
            print(f"--data: {path} is missing; the labelled prompts are not part of this project", file=sys.stderr)
            return 2
        texts = sorted({json.loads(line)["prompt"] for line in path.open(encoding="utf-8")})
        print("\n".join(measure(name, embed(texts, name, arguments.cache))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
