"""The online policy where answers are prose: judged by the judge of answers, by an oracle, and by judges that err.

    python -m benchmarks.trust.prose_eval --data PATH [--seeds 3] [--rows 10000] [--judges oracle,judge] [--error 0.05]

Each row's label of clinc150 is worded by `wordings`, differently for each call; an answer is right when its label is
the row's. Seed s shuffles the stream, draws the wordings and seeds the policy. Judges:

- oracle: knows the labels;
- judge: `AnswerJudge` with the package's embedder, the row's prompt as the question, and its measured `judge_error`;
- flip: the oracle, turned round with the probability `--error` in both directions, with `judge_error` set to that;
- flip-untold: the same, with `judge_error` 0;
- bytes: the judge, but answers vote by their bytes, as they did before clusters.
"Blind" is the share of the wrong answers served that the judge, asked about them, calls right: these no budget can see.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.trust.stream import Outcome, Store, Stream, load_streams
from benchmarks.trust.wordings import prose
from semantic_llm_cache.matching.answers import AnswerJudge
from semantic_llm_cache.matching.answers.weights import JUDGE_ERROR
from semantic_llm_cache.matching.online import CandidateView, OnlinePolicy
from semantic_llm_cache.similarity.base import EmbeddingProvider

BOUNDS = (0.01, 0.02, 0.05)
JUDGES = ("oracle", "judge", "bytes", "flip", "flip-untold")
OTHERS = 3
SURE = 0.9

Judge = Callable[[int, int, str, str], float]
"""Takes the rows and the texts of a fresh and a stored answer; returns the probability that they say the same."""


class Remembering(EmbeddingProvider):
    """Embeds each text once."""

    def __init__(self) -> None:
        from semantic_llm_cache.similarity import OnnxEmbeddingProvider

        self._provider = OnnxEmbeddingProvider()
        self._vectors: OrderedDict[str, Any] = OrderedDict()

    @property
    def fingerprint(self) -> str:
        return self._provider.fingerprint

    def encode_batch(self, texts: Sequence[str]) -> Any:
        new = list(dict.fromkeys(text for text in texts if text not in self._vectors))
        if new:
            self._vectors.update(zip(new, self._provider.encode_batch(new), strict=True))
        return np.stack([self._vectors[text] for text in texts])


class Counted:
    """A judge, and how often it erred.

    Args:
        judge: returns the probability that two answers say the same.
        labels: the truth.
    """

    def __init__(self, judge: Judge, labels: Sequence[str]) -> None:
        self._judge = judge
        self._labels = labels
        self.same = self.different = self.false_same = self.false_different = 0
        self.served_wrong = self.blind = 0
        self.seconds = 0.0

    def miss(self, row: int, other: int, fresh: str, stored: str) -> None:
        """Note whether it would have seen that an answer served is wrong."""
        self.served_wrong += 1
        self.blind += self._judge(row, other, fresh, stored) >= 0.5

    def __call__(self, row: int, other: int, fresh: str, stored: str) -> float:
        began = time.perf_counter()
        said = self._judge(row, other, fresh, stored)
        self.seconds += time.perf_counter() - began
        if self._labels[row] == self._labels[other]:
            self.same += 1
            self.false_different += said < 0.5
        else:
            self.different += 1
            self.false_same += said >= 0.5
        return said


def make_judge(name: str, stream: Stream, embedder: EmbeddingProvider | None, error: float, seed: int) -> Judge:
    """Return one of `JUDGES`."""
    labels = stream.answers
    if name in ("judge", "bytes"):
        judge = AnswerJudge(embedder)
        return lambda row, other, fresh, stored: judge.compare_now(stream.prompts[row], fresh, stored).probability
    draw = random.Random(f"errors {seed}")
    flips = error if name.startswith("flip") else 0.0
    return lambda row, other, fresh, stored: float((labels[row] == labels[other]) != (draw.random() < flips))


def run(stream: Stream, policy: OnlinePolicy, order: Any, judge: Judge, seed: int, clusters: bool) -> Outcome:
    """Run the policy over the stream in `order`, as the engine does, with each answer in words of its own."""
    store, outcome = Store(stream), Outcome()
    draw, taken = random.Random(f"wordings {seed}"), set[str]()
    texts: dict[int, str] = {}
    for row in order.tolist():
        outcome.requests += 1
        if stream.prompts[row] in store.texts:
            outcome.exact += 1
            policy.count_exact()
            continue
        views = [
            CandidateView(str(i), cosine, texts[i], stream.prompts[i])
            for i, cosine in store.near(row, 16, policy.reach)
        ]
        decision = policy.decide(stream.prompts[row], views)
        if decision.action == "serve":
            assert decision.key is not None
            right = stream.answers[int(decision.key)] == stream.answers[row]
            outcome.served(right)
            outcome.mark()
            if not right and isinstance(judge, Counted):
                fresh = prose(stream.answers[row], random.Random(f"unasked {seed} {row}"), set())
                judge.miss(row, int(decision.key), fresh, texts[int(decision.key)])
            continue
        outcome.explored += decision.action == "explore"
        texts[row] = prose(stream.answers[row], draw, taken)
        store.add(row)
        if decision.key is None:
            continue
        rival = int(decision.key)
        same = judge(row, rival, texts[row], texts[rival])
        policy.observe(decision, same)
        if clusters:
            _join(policy, views, decision.answer, (row, rival), same, texts, judge)
    outcome.alarms = policy.summary()["alarms"]
    return outcome


def _join(
    policy: OnlinePolicy,
    views: Sequence[CandidateView],
    proposed: str,
    rows: tuple[int, int],
    same: float,
    texts: dict[int, str],
    judge: Judge,
) -> None:
    row, rival = rows
    if same >= 0.5:
        policy.join(texts[row], texts[rival])
        return
    tried = {proposed}
    for view in views:
        name = policy.cluster(view.answer)
        if name in tried:
            continue
        tried.add(name)
        if judge(row, int(view.key), texts[row], view.answer) >= SURE:
            policy.join(texts[row], view.answer)
            return
        if len(tried) > OTHERS:
            return


def evaluate(stream: Stream, names: Sequence[str], seeds: range, error: float) -> list[dict[str, Any]]:
    """Return one row per judge and bound; print each as it comes."""
    embedder = Remembering() if {"judge", "bytes"} & set(names) else None
    rows = []
    print(
        "judge        bound  hits (least)     wrong (most)     broken  judged wrongly: different, same  blind  s/order"
    )
    for name in names:
        told: Any = {"oracle": 0.0, "judge": JUDGE_ERROR, "bytes": JUDGE_ERROR, "flip": error, "flip-untold": 0.0}[name]
        for bound in BOUNDS:
            outcomes, counts = [], []
            for seed in seeds:
                judge = Counted(make_judge(name, stream, embedder, error, seed), stream.answers)
                policy = OnlinePolicy(max_error=bound, floor=0.5, seed=seed, judge_error=told)
                order = stream.order(np.random.default_rng(seed))
                outcomes.append(run(stream, policy, order, judge, seed, name != "bytes"))
                counts.append(judge)
            rows.append(row := _row(name, bound, outcomes, counts))
            print(
                f"{name:12} {bound:4.0%}  {row['hits']:6.1%} ({row['hits_least']:6.1%})  {row['wrong']:6.2%} "
                f"({row['wrong_most']:6.2%})  {row['broken']}/{row['seeds']}    {row['false_same']:6.2%} of "
                f"{row['different']:,}, {row['false_different']:6.2%} of {row['same']:,}  {row['blind']:.0%}  "
                f"{row['seconds']:.0f}",
                flush=True,
            )
    return rows


def _row(name: str, bound: float, outcomes: list[Outcome], counts: list[Counted]) -> dict[str, Any]:
    different, same = sum(c.different for c in counts), sum(c.same for c in counts)
    return {
        "judge": name,
        "bound": bound,
        "hits": statistics.median(o.hit_rate for o in outcomes),
        "hits_least": min(o.hit_rate for o in outcomes),
        "wrong": statistics.median(o.wrong_rate for o in outcomes),
        "wrong_most": max(o.wrong_rate for o in outcomes),
        "broken": sum(o.wrong_rate > bound for o in outcomes),
        "seeds": len(outcomes),
        "different": different,
        "same": same,
        "false_same": sum(c.false_same for c in counts) / max(1, different),
        "false_different": sum(c.false_different for c in counts) / max(1, same),
        "blind": sum(c.blind for c in counts) / max(1, sum(c.served_wrong for c in counts)),
        "seconds": statistics.mean(c.seconds for c in counts),
    }


def main(arguments: list[str] | None = None) -> int:
    """Run the evaluation; exit status 1 when a bound was broken."""
    parser = argparse.ArgumentParser(prog="prose_eval", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with the labelled prompts")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--rows", type=int, default=10_000, help="of each order, only so many requests")
    parser.add_argument("--judges", default="oracle,judge")
    parser.add_argument("--error", type=float, default=0.05, help="of the judges that err")
    parser.add_argument("--part", type=int, default=0, help="1: the rows after those reported on")
    parser.add_argument("--cache", type=Path, help="folder to keep the prompts' embeddings in between runs")
    parser.add_argument("--json", type=Path, help="write all rows there")
    options = parser.parse_args(arguments)
    stream = next(load_streams(options.data, ["clinc150"], options.part, options.cache))
    whole = stream.order
    stream.order = lambda rng: whole(rng)[: options.rows]
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    print(f"clinc150 in prose: {min(options.rows, len(stream.prompts)):,} rows, seeds {seeds[0]}..{seeds[-1]}")
    rows = evaluate(stream, options.judges.split(","), seeds, options.error)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return 1 if any(row["broken"] for row in rows if row["judge"] != "flip-untold") else 0


if __name__ == "__main__":
    sys.exit(main())
