"""Answers from documents that change: how many hits are unsafe, with and without `depends_on`.

    python -m benchmarks.trust.evidence [--requests 2000] [--seed 1]

A stream of questions about documents. Each question asks for one document's facts in one of several wordings, retrieves
that document and some neighbours, and gets an answer that quotes the versions it was made from. Between requests,
documents change. A hit is unsafe if a document that its answer quotes has changed since.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
from collections.abc import Sequence
from typing import Any

from semantic_llm_cache import SemanticCache, last_lookup
from semantic_llm_cache.backends import MemoryBackend

TOPICS = (
    "refunds", "shipping to Norway", "gift cards", "damaged parcels", "student discounts", "invoices", "passwords",
    "warranty repairs", "newsletters", "loyalty points", "spare parts", "store opening hours", "data export",
    "two-factor login", "family plans", "phone support", "battery recycling", "price matching", "pre-orders", "rentals",
)  # fmt: skip
WORDINGS = (
    "What is the policy for {}?", "What's the policy for {}?", "Tell me the policy for {}",
    "What is your policy for {}?", "what is the policy for {}", "Please tell me the policy for {}.",
)  # fmt: skip


async def run(requests: int, seed: int, mode: str) -> dict[str, int]:
    """Send the stream through one cache; `mode` is "none", "versions" or "version_of"."""
    draw = random.Random(seed)
    versions = {f"doc:{i}": 1 for i in range(len(TOPICS))}
    options: dict[str, Any] = {"version_of": lambda name: versions[name]} if mode == "version_of" else {}
    engine = SemanticCache(MemoryBackend(), similarity=0.9, ttl=None, **options)
    counts = {"requests": requests, "calls": 0, "hits": 0, "unsafe": 0, "changes": 0}

    def rests_on(prompt: str, docs: Sequence[str]) -> Any:
        return {name: versions[name] for name in docs} if mode == "versions" else docs if mode == "version_of" else ()

    @engine.cache(ignore=("docs",), depends_on=rests_on)
    async def answer(prompt: str, docs: Sequence[str]) -> str:
        counts["calls"] += 1
        return json.dumps({name: versions[name] for name in docs})

    for _ in range(requests):
        if draw.random() < 0.1:
            versions[draw.choice(list(versions))] += 1
            counts["changes"] += 1
        topic = draw.randrange(len(TOPICS))
        docs = [f"doc:{(topic + step) % len(TOPICS)}" for step in range(3)]
        said = json.loads(await answer(draw.choice(WORDINGS).format(TOPICS[topic]), docs))
        lookup = last_lookup()
        if lookup is not None and lookup.hit:
            counts["hits"] += 1
            counts["unsafe"] += any(versions[name] != version for name, version in said.items())
    return counts


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="evidence", description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(argv)
    print(f"{'':12} {'requests':>9} {'changes':>8} {'calls':>6} {'hits':>6} {'unsafe':>7}")
    for mode in ("none", "versions", "version_of"):
        counts = asyncio.run(run(args.requests, args.seed, mode))
        print(
            f"{mode:12} {counts['requests']:>9} {counts['changes']:>8} {counts['calls']:>6} {counts['hits']:>6} "
            f"{counts['unsafe']:>7}"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
