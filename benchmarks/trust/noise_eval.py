"""The online policy with a model that answers the same prompt differently each time, and what `noise=` gains.

    python -m benchmarks.trust.noise_eval --data PATH [--seeds 4] [--rows 10000] [--others 0.1] [--uneven]

Each label of clinc150 has a usual answer. A fresh answer is that one, or with the probability `--others` one of three
others, which the judge calls different from it. With `--uneven` a quarter of the labels have all of this, four times as
much. A stored answer counts as wrong only when its label is another one. Seed s shuffles the stream and seeds the rest.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from benchmarks.trust.stream import Outcome, Store, Stream, load_streams
from semantic_llm_cache.matching.online import CandidateView, OnlinePolicy

BOUNDS = (0.01, 0.02, 0.05)


class Model:
    """Answers rows of a stream: with the label, and which of its four answers."""

    def __init__(self, stream: Stream, others: float, uneven: bool, seed: int) -> None:
        self._stream = stream
        self._others = others
        self._uneven = uneven
        self._draw = random.Random(f"answers {seed}")

    def __call__(self, row: int) -> tuple[str, int]:
        """Return a fresh answer."""
        label, others = self._stream.answers[row], self._others
        if self._uneven:
            others = 4 * others if crc32(label.encode()) % 4 == 0 else 0.0
        return label, self._draw.randint(1, 3) if self._draw.random() < others else 0


def run(stream: Stream, policy: OnlinePolicy, order: Any, model: Model) -> tuple[Outcome, int]:
    """Run the policy over the stream in `order`; return what came of it, and how many calls were made twice."""
    store, outcome, twice = Store(stream), Outcome(), 0
    answers: dict[int, tuple[str, int]] = {}
    for row in order.tolist():
        outcome.requests += 1
        if stream.prompts[row] in store.texts:
            outcome.exact += 1
            policy.count_exact()
            continue
        near = store.near(row, 16, policy.reach)
        views = [CandidateView(str(i), cosine, str(answers[i]), stream.prompts[i]) for i, cosine in near]
        decision = policy.decide(stream.prompts[row], views)
        if decision.action == "serve":
            assert decision.key is not None
            outcome.served(answers[int(decision.key)][0] == stream.answers[row])
            outcome.mark()
            continue
        answers[row] = model(row)
        store.add(row)
        if decision.key is not None:
            policy.observe(decision, answers[row] == answers[int(decision.key)])
            if decision.twice:
                policy.observe_noise(decision, model(row) == answers[row])
                twice += 1
    return outcome, twice


def main(arguments: list[str] | None = None) -> int:
    """Run the evaluation; exit status 1 when a bound was broken."""
    parser = argparse.ArgumentParser(prog="noise_eval", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with the labelled prompts")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--rows", type=int, default=10_000, help="of each order, only so many requests")
    parser.add_argument("--others", type=float, default=0.1, help="share of fresh answers that are not the usual one")
    parser.add_argument("--uneven", action="store_true", help="the noise of a quarter of the labels only")
    parser.add_argument("--cache", type=Path, help="folder to keep the prompts' embeddings in between runs")
    options = parser.parse_args(arguments)
    stream = next(load_streams(options.data, ["clinc150"], 0, options.cache))
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    broken = 0
    print("noise=     bound  hits (least)     wrong (most)     broken  calls made twice (most)")
    for noise in (None, "measure"):
        for bound in BOUNDS:
            found = []
            for seed in seeds:
                policy = OnlinePolicy(max_error=bound, floor=0.5, seed=seed, noise=noise)
                order = stream.order(np.random.default_rng(seed))[: options.rows]
                found.append(run(stream, policy, order, Model(stream, options.others, options.uneven, seed)))
            hits, wrong = [o.hit_rate for o, _ in found], [o.wrong_rate for o, _ in found]
            twice = [count / o.requests for o, count in found]
            passed = sum(share > bound for share in wrong)
            broken += passed
            print(
                f"{noise or 'None':9}  {bound:5.0%}  {statistics.median(hits):6.1%} ({min(hits):6.1%})  "
                f"{statistics.median(wrong):6.2%} ({max(wrong):6.2%})  {passed}/{len(found)}     "
                f"{statistics.median(twice):6.2%} ({max(twice):6.2%})",
                flush=True,
            )
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
