"""Fit the probabilities and weights of the judge of answers on the tuning pairs; print the tables of `weights`.

    python -m benchmarks.trust.answers_fit

Only the tuning pairs are read. The cross-validated figures are of the last layer alone: the pairs that no rule settles.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.trust.answer_pairs import AnswerPair, tuning
from semantic_llm_cache.matching.answers.judge import AnswerVerdict, begin
from semantic_llm_cache.matching.answers.meaning import gather, needed, settled
from semantic_llm_cache.matching.answers.weights import SIGNS, Model

PENALTY = 1.0
CAUTION = 2.0  # weight of a pair that differs: calling it the same costs more than the reverse
STEPS = 4000
FOLDS = 20


def evidence(
    pairs: Sequence[AnswerPair], encode: Any
) -> tuple[dict[str, list[bool]], list[tuple[AnswerPair, dict[str, float]]]]:
    """Return which rules apply to pairs that are the same or not, and the features of the pairs left open."""
    rules: dict[str, list[bool]] = defaultdict(list)
    left = []
    for pair in pairs:
        begun = begin(pair.question, pair.fresh, pair.stored)
        if isinstance(begun, AnswerVerdict):
            rules[begun.layer].append(pair.same)
            continue
        texts = None if encode is None else needed(*begun)
        found = gather(*begun, texts, None if texts is None else encode(texts.batch))
        finding = settled(*begun, found)
        if finding is None:
            left.append((pair, found.features))
        else:
            rules[finding.rule].append(pair.same)
    return rules, left


def fit(x: np.ndarray, y: np.ndarray, names: Sequence[str], penalty: float = PENALTY) -> Model:
    """Fit a logistic model whose weights have the signs of `SIGNS`, by accelerated projected gradient."""
    mean, spread = x.mean(0), x.std(0)
    spread[spread < 0.02] = 1.0
    z = np.hstack([np.ones((len(x), 1)), (x - mean) / spread])
    signs = np.array([0, *(SIGNS[name] for name in names)])
    low, high = np.where(signs > 0, 0.0, -np.inf), np.where(signs < 0, 0.0, np.inf)
    shrink = np.array([0.0, *[penalty] * len(names)])
    weight = np.where(y == 1, 1.0, CAUTION)
    step = 1.0 / (0.25 * np.linalg.eigvalsh((z * weight[:, None]).T @ z)[-1] + penalty)
    weights = ahead = np.zeros(z.shape[1])
    speed = 1.0
    for _ in range(STEPS):
        slope = z.T @ (weight * (1.0 / (1.0 + np.exp(-(z @ ahead))) - y)) + shrink * ahead
        new = np.clip(ahead - step * slope, low, high)
        faster = (1.0 + np.sqrt(1.0 + 4.0 * speed * speed)) / 2.0
        ahead = new + (speed - 1.0) / faster * (new - weights)
        weights, speed = new, faster
    scaled = weights[1:] / spread
    return Model(
        round(float(weights[0] - scaled @ mean), 2),
        {name: round(float(w), 2) for name, w in zip(names, scaled, strict=True) if abs(w) >= 0.005},
    )


def cross_validated(x: np.ndarray, y: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Return for each pair the probability by a model that was fitted without it."""
    order = np.random.default_rng(0).permutation(len(y))
    found = np.zeros(len(y))
    for fold in range(FOLDS):
        held = order[fold::FOLDS]
        rest = np.setdiff1d(order, held)
        model = fit(x[rest], y[rest], names)
        found[held] = [model.probability(dict(zip(names, row, strict=True))) for row in x[held]]
    return found


def main(arguments: list[str] | None = None) -> int:
    """Print the tables, with the embedder and without."""
    parser = argparse.ArgumentParser(prog="answers_fit", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--show", action="store_true", help="list the pairs that the rules or the model get wrong")
    options = parser.parse_args(arguments)
    from semantic_llm_cache.similarity import OnnxEmbeddingProvider

    for name, encode in (("WITH_VECTORS", OnnxEmbeddingProvider().encode_batch), ("WITHOUT_VECTORS", None)):
        rules, left = evidence(tuning(), encode)
        print(f"\n{name}: rule, pairs, of them the same")
        for rule, outcomes in sorted(rules.items()):
            print(f"  {rule:12} {len(outcomes):4} {sum(outcomes):4}")
        names = [feature for feature in SIGNS if feature in left[0][1]]
        x = np.array([[features[n] for n in names] for _, features in left])
        y = np.array([pair.same for pair, _ in left], dtype=float)
        p = cross_validated(x, y, names)
        print(
            f"  left open {len(y)}, the same {int(y.sum())}; cross-validated: kept {np.mean(p[y == 1] >= 0.5):.1%}, "
            f"different called the same {np.mean(p[y == 0] >= 0.5):.1%}, Brier {np.mean((p - y) ** 2):.3f}"
        )
        model = fit(x, y, names)
        print(f"{name} = Model({model.intercept}, {dict(model.weights)})")
        if options.show:
            for at in np.argsort(p):
                if (p[at] >= 0.5) != y[at]:
                    pair, features = left[at]
                    print(
                        f"  {p[at]:.2f} {pair.same} {pair[2:]} "
                        + ", ".join(f"{n} {features[n]:.2f}" for n in names if features[n])
                    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
