"""The judge of answers on labelled pairs of answers, by kind; and on rows of answers that several models gave.

    python -m benchmarks.trust.answers_eval [--half held-out] [--pairs FILE] [--no-embedder] [--show]
    python -m benchmarks.trust.answers_eval --prose FILE [--rows 60]

Pairs: our own (`answer_pairs`), or a JSONL file with question, fresh, stored, same and, if wanted, kind. `same kept`
is the share of pairs that are the same and are called so, at a probability of 0.5; `called the same` is that of the
others.

Rows: a JSONL file with "question" and "answers", one instruction answered by several models. Two answers of one row
count as the same (open tasks make that too strict), an answer of the row whose question is nearest as different. Beside
the judge stands the rule that it replaced: short answers equal as text, long ones by a cosine of 0.85.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.trust.answer_pairs import AnswerPair, held_out, load_pairs, tuning
from semantic_llm_cache.matching.answers import AnswerJudge, light
from semantic_llm_cache.matching.answers.measure import judge_errors, reliability
from semantic_llm_cache.similarity.base import EmbeddingProvider

CUTS = (0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9)
COSINES = (0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
SHORT = 80


def report_pairs(pairs: Sequence[AnswerPair], embedder: EmbeddingProvider | None, show: bool) -> None:
    """Print the shares by kind, the judge's errors, and how reliable its probabilities are."""
    judge = AnswerJudge(embedder)
    began = time.perf_counter()
    verdicts = [judge.compare_now(pair.question, pair.fresh, pair.stored) for pair in pairs]
    took = (time.perf_counter() - began) / len(pairs)
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for pair, verdict in zip(pairs, verdicts, strict=True):
        for kind in (pair.kind, "all"):
            row = counts[kind]
            row[0 if pair.same else 2] += 1
            row[1 if pair.same else 3] += verdict.same
        if show and verdict.same != pair.same:
            print(f"  {verdict.probability:.2f} {pair.same} {tuple(pair[2:])} ({verdict.layer}: {verdict.reason})")
    print(f"{'kind':16} {'same kept':>18} {'called the same':>18}")
    for kind, (same, kept, different, wrong) in counts.items():
        print(f"{kind:16} {_share(kept, same):>18} {_share(wrong, different):>18}")
    found = judge_errors([v.probability for v in verdicts], [p.same for p in pairs])
    print(
        f"soft errors: different as same {found.false_same:.3f} ({found.false_same_interval[0]:.3f} to "
        f"{found.false_same_interval[1]:.3f}), same as different {found.false_different:.3f} "
        f"({found.false_different_interval[0]:.3f} to {found.false_different_interval[1]:.3f}); "
        f"Brier {found.brier:.3f}; {1000 * took:.0f} ms a pair"
    )
    for low, high, count, said, true in reliability([v.probability for v in verdicts], [p.same for p in pairs]):
        print(f"  said {low:.1f} to {high:.1f}: {count:4} pairs, on average {said:.2f}, the same in {true:.2f}")


def _share(part: int, of: int) -> str:
    return f"{part}/{of} = {part / of:.1%}" if of else "-"


def report_rows(path: Path, rows: int, embedder: EmbeddingProvider) -> None:
    """Print how often answers of one row, and of the nearest other row, are called the same, at several cuts."""
    table = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()][:rows]
    questions = embedder.encode_batch([row["question"] for row in table])
    near = questions @ questions.T
    np.fill_diagonal(near, -1.0)
    judge = AnswerJudge(embedder)
    said: dict[bool, list[float]] = {True: [], False: []}
    cosine: dict[bool, list[float]] = {True: [], False: []}
    for at, row in enumerate(table):
        answers = row["answers"]
        others = table[int(near[at].argmax())]["answers"]
        for i in range(len(answers) - 1):
            for same, pair in ((True, (answers[i], answers[i + 1])), (False, (answers[i], others[i]))):
                said[same].append(judge.compare_now(row["question"], *pair).probability)
                cosine[same].append(_old_rule(embedder, *pair))
    print(f"{len(table)} rows, {len(said[True])} pairs of one row, as many with the nearest other row")
    for name, values, cuts in (("judge", said, CUTS), ("rule before: cosine", cosine, COSINES)):
        for cut in cuts:
            shares = [np.mean(np.array(values[same]) >= cut) for same in (True, False)]
            print(f"{name:20} from {cut:.2f}: one row {shares[0]:6.1%}, nearest other row {shares[1]:6.1%}")


def _old_rule(embedder: EmbeddingProvider, ours: str, theirs: str) -> float:
    if light(ours) == light(theirs):
        return 1.0
    if min(len(ours), len(theirs)) <= SHORT:
        return 0.0
    a, b = embedder.encode_batch([ours, theirs])
    return float(a @ b)


def main(arguments: list[str] | None = None) -> int:
    """Run one of the two reports."""
    parser = argparse.ArgumentParser(prog="answers_eval", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--half", choices=("tuning", "held-out"), default="held-out")
    parser.add_argument("--pairs", type=Path, help="other labelled pairs, JSONL")
    parser.add_argument("--prose", type=Path, help="rows of answers to one question, JSONL")
    parser.add_argument("--rows", type=int, default=1000, help="rows of --prose to read")
    parser.add_argument("--no-embedder", action="store_true")
    parser.add_argument("--show", action="store_true", help="list the pairs that the judge gets wrong")
    options = parser.parse_args(arguments)
    embedder: Any = None
    if not options.no_embedder:
        from semantic_llm_cache.similarity import OnnxEmbeddingProvider

        embedder = OnnxEmbeddingProvider()
    if options.prose is not None:
        report_rows(options.prose, options.rows, embedder)
        return 0
    pairs = load_pairs(options.pairs) if options.pairs else tuning() if options.half == "tuning" else held_out()
    report_pairs(pairs, embedder, options.show)
    return 0


if __name__ == "__main__":
    sys.exit(main())
