"""The online policy on streams of labelled prompts, beside a fixed threshold and vCache's rule.

    python -m benchmarks.trust.online_eval --data PATH [--seeds 20] [--json FILE]

Seed s shuffles the stream by numpy's default_rng(s) and seeds the policy's draws. Hits are exact repeats
plus near answers, as a share of all requests; wrong answers are given as a share of all requests and of
the near hits. The fixed threshold is the lowest of a grid whose wrong share, known afterwards, meets the
bound in the median: nobody knows it beforehand.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.trust.stream import Outcome, Stream, load_streams, run_online, run_threshold
from benchmarks.trust.vcache_rule import run_vcache
from semantic_llm_cache.matching.guards import GuardSet, resolve_guards
from semantic_llm_cache.matching.online import CandidateView, OnlinePolicy

STREAMS = ("clinc150", "qqp", "drift", "drift_back", "repeats", "paws")
VCACHE_ON = ("clinc150", "qqp")  # it bounds no share of hits, and it is slow to run
BOUNDS = (0.01, 0.02, 0.05)
THRESHOLDS = tuple(np.round(np.arange(0.52, 1.0, 0.02), 2).tolist())


def _row(policy: str, bound: float, kind: str, outcomes: list[Outcome]) -> dict[str, Any]:
    """Median and worst over the runs."""
    shares = [o.wrong_per_hit if kind == "per hit" else o.wrong_rate for o in outcomes]
    return {
        "policy": policy,
        "kind": kind,
        "bound": bound,
        "hits": statistics.median(o.hit_rate for o in outcomes),
        "hits_least": min(o.hit_rate for o in outcomes),
        "near": statistics.median(o.near / o.requests for o in outcomes),
        "exact": statistics.median(o.exact / o.requests for o in outcomes),
        "wrong": statistics.median(o.wrong_rate for o in outcomes),
        "wrong_most": max(o.wrong_rate for o in outcomes),
        "wrong_running_most": max(o.worst for o in outcomes),
        "wrong_per_hit": statistics.median(o.wrong_per_hit for o in outcomes),
        "wrong_per_hit_most": max(o.wrong_per_hit for o in outcomes),
        "explored": statistics.median(o.explored / o.requests for o in outcomes),
        "alarms": statistics.mean(o.alarms for o in outcomes),
        "seeds": len(outcomes),
        "broken": sum(share > bound for share in shares),
    }


def _runs(stream: Stream, seeds: Iterable[int], run: Callable[[np.ndarray, int], Outcome]) -> list[Outcome]:
    return [run(stream.order(np.random.default_rng(seed)), seed) for seed in seeds]


def evaluate(
    stream: Stream,
    seeds: int,
    baseline_seeds: int,
    floor: float,
    guards: GuardSet | None,
    report: Callable[[dict[str, Any]], None],
) -> list[dict[str, Any]]:
    """Return the rows of one stream's table, handing each to `report` as it comes."""
    rows: list[dict[str, Any]] = []

    def add(row: dict[str, Any]) -> None:
        rows.append(row)
        report(row)

    few = range(baseline_seeds)
    fixed = {
        threshold: _runs(stream, few, lambda order, _, t=threshold: run_threshold(stream, t, order))
        for threshold in THRESHOLDS
    }
    for kind, setting in (("all", "max_error"), ("per hit", "max_error_per_hit")):
        for bound in BOUNDS:
            add(
                _row(
                    "online",
                    bound,
                    kind,
                    _runs(
                        stream,
                        range(seeds),
                        lambda order, seed, s=setting, b=bound: run_online(
                            stream,
                            OnlinePolicy(
                                floor=floor, seed=seed, extra_features=guards.names if guards else 0, **{s: b}
                            ),
                            order,
                            guards=guards,
                        ),
                    ),
                )
            )
            meets = [
                threshold
                for threshold, outcomes in fixed.items()
                if statistics.median(o.wrong_rate if kind == "all" else o.wrong_per_hit for o in outcomes) <= bound
            ]
            if meets:
                add(_row(f"threshold {min(meets):.2f}", bound, kind, fixed[min(meets)]))
            if kind == "all" and stream.name in VCACHE_ON:
                add(
                    _row(
                        "vCache's rule",
                        bound,
                        kind,
                        _runs(stream, few, lambda order, seed, b=bound: run_vcache(stream, b, order, seed)),
                    )
                )
    return rows


def cost(stream: Stream) -> dict[str, float]:
    """Return the p50 and p99 in microseconds of a decision and of learning from it, 16 candidates each."""
    from benchmarks.trust.stream import Store

    policy = OnlinePolicy(max_error=0.02, floor=0.5, seed=0)
    store = Store(stream)
    decide, observe = [], []
    for row in stream.order(np.random.default_rng(0)).tolist()[:6000]:
        views = [
            CandidateView(str(i), cosine, stream.answers[i], stream.prompts[i])
            for i, cosine in store.near(row, 16, 0.5)
        ]
        start = time.perf_counter()
        decision = policy.decide(stream.prompts[row], views)
        if len(views) == 16:
            decide.append(time.perf_counter() - start)
        if decision.action != "serve":
            if decision.key is not None:
                start = time.perf_counter()
                policy.observe(decision, decision.answer == stream.answers[row])
                observe.append(time.perf_counter() - start)
            store.add(row)
    return {
        "decide_p50_us": 1e6 * float(np.percentile(decide, 50)),
        "decide_p99_us": 1e6 * float(np.percentile(decide, 99)),
        "observe_p50_us": 1e6 * float(np.percentile(observe, 50)),
        "observe_p99_us": 1e6 * float(np.percentile(observe, 99)),
        "state_bytes": float(len(policy.to_bytes())),
    }


HEAD = (
    "policy           bound  of       hits (least)     exact  wrong/requests (most, running)  wrong/near hit (most)"
    "  explored  alarms  broken"
)


def line(row: dict[str, Any]) -> str:
    """Format a row for people."""
    return (
        f"{row['policy']:15}  {row['bound']:4.0%}   {row['kind']:7}  {row['hits']:5.1%} ({row['hits_least']:5.1%})"
        f"    {row['exact']:5.1%}  {row['wrong']:6.2%} ({row['wrong_most']:6.2%}, {row['wrong_running_most']:6.2%})"
        f"        {row['wrong_per_hit']:6.2%} ({row['wrong_per_hit_most']:6.2%})"
        f"      {row['explored']:5.1%}   {row['alarms']:5.2f}   {row['broken']}/{row['seeds']}"
    )


def main(arguments: list[str] | None = None) -> int:
    """Run the evaluation; exit status 1 when the online policy broke a bound."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the labelled prompts")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--baseline-seeds", type=int, default=3, help="seeds for threshold and vCache's rule")
    parser.add_argument("--streams", default=",".join(STREAMS))
    parser.add_argument("--floor", type=float, default=0.5, help="similarity= of the policy")
    parser.add_argument("--guards", action="store_true", help="with the guards' verdicts as features")
    parser.add_argument("--part", type=int, default=0, help="1: the rows after those reported on")
    parser.add_argument("--cache", type=Path, help="folder to keep the embeddings in between runs")
    parser.add_argument("--json", type=Path, help="write all rows there")
    options = parser.parse_args(arguments)
    guards = resolve_guards("default") if options.guards else None
    everything: dict[str, Any] = {
        "seeds": options.seeds,
        "floor": options.floor,
        "part": options.part,
        "guards": options.guards,
    }
    broken = 0
    names = options.streams.split(",")
    for stream in load_streams(options.data, names, options.part, options.cache):
        print(f"\n{stream.name}: {len(stream.prompts):,} rows, seeds 0..{options.seeds - 1}, floor {options.floor:g}")
        print(HEAD)
        rows = evaluate(
            stream,
            options.seeds,
            min(options.baseline_seeds, options.seeds),
            options.floor,
            guards,
            lambda row: print(line(row), flush=True),
        )
        everything[stream.name] = rows
        broken += sum(row["broken"] for row in rows if row["policy"] == "online")
        if stream.name == "clinc150":
            everything["cost"] = cost(stream)
            print("cost:", ", ".join(f"{name} {value:,.0f}" for name, value in everything["cost"].items()))
    print(f"\nbounds broken by the online policy: {broken}")
    if options.json:
        options.json.write_text(json.dumps(everything, indent=1) + "\n", encoding="utf-8")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
