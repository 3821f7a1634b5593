"""vCache's rule, written from the paper (Schroeder et al. 2025, arXiv 2502.03771), to compare with.

Each stored entry has a record of (cosine, was the answer right) pairs, of the prompts it was nearest to
and that were explored. A logistic curve L(s; t) = 1 / (1 + exp(-g (s - t))) is fitted to the record. For
a new prompt whose nearest entry is at cosine s, the model is called with probability

    min over e in (0, 1) of  1 - d / (1 - (1 - e) L(s; t'(e)))

with d the bound and t'(e) the upper 1 - e confidence limit of the fitted t; else the entry is served. A
wrong answer found by exploring makes the prompt an entry of its own.

What the paper leaves open is chosen here in the rule's favour, on the rows of clinc150 after the first
10,000: records start with (0, wrong) and (1, right), which keeps the fit finite; a normal prior of standard
deviation 30 on the curve's coefficients; the limit of t by the normal approximation with the slope held.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from benchmarks.trust.stream import Order, Outcome, Store, Stream

__all__ = ["EntryRecord", "run_vcache"]

_E = np.concatenate([np.geomspace(1e-4, 0.02, 20), np.linspace(0.025, 0.5, 30)])
_Z = np.array([NormalDist().inv_cdf(1.0 - e) for e in _E])
_PRIOR = 30.0


class EntryRecord:
    """The outcomes of the explored prompts that were nearest to one entry."""

    def __init__(self) -> None:
        self.cosines = [0.0, 1.0]
        self.right = [0.0, 1.0]
        self._fit: tuple[float, float, float] | None = None
        self._stale = False  # the two given observations alone are no evidence

    def add(self, cosine: float, right: bool) -> None:
        """Add an explored outcome."""
        self.cosines.append(cosine)
        self.right.append(float(right))
        self._stale = True

    def fit(self) -> tuple[float, float, float] | None:
        """Return slope, threshold and the threshold's standard error; None when the slope is not positive."""
        if self._stale:
            self._stale = False
            self._fit = self._newton()
        return self._fit

    def _newton(self) -> tuple[float, float, float] | None:
        x = np.stack([np.array(self.cosines) - 0.5, np.ones(len(self.cosines))], axis=1)
        y = np.array(self.right)
        penalty = np.eye(2) / _PRIOR**2
        w = np.zeros(2)
        h = np.zeros(len(y))
        for _ in range(30):
            p = 1.0 / (1.0 + np.exp(-np.clip(x @ w, -40.0, 40.0)))
            h = p * (1.0 - p) + 1e-9
            step = np.linalg.solve((x * h[:, None]).T @ x + penalty, x.T @ (y - p) - penalty @ w)
            w = w + step
            if np.abs(step).max() < 1e-3:
                break
        slope, offset = float(w[0]), float(w[1])
        if slope <= 1e-3:
            return None
        error = 1.0 / (slope * math.sqrt(float(h.sum()) + 1.0 / _PRIOR**2))
        return slope, 0.5 - offset / slope, error

    def explore(self, cosine: float, bound: float) -> float:
        """Return the probability with which the model is to be called."""
        fitted = self.fit()
        if fitted is None:
            return 1.0
        slope, threshold, error = fitted
        curve = 1.0 / (1.0 + np.exp(-np.clip(slope * (cosine - (threshold + _Z * error)), -40.0, 40.0)))
        return float(np.min(1.0 - bound / np.maximum(1.0 - (1.0 - _E) * curve, 1e-12)))


def run_vcache(stream: Stream, bound: float, order: Order, seed: int) -> Outcome:
    """Run the rule over the stream, behind the same exact tier as the others."""
    rng = np.random.default_rng(seed)
    store, outcome = Store(stream), Outcome()
    records: dict[int, EntryRecord] = {}
    for row in order.tolist():
        outcome.requests += 1
        if stream.prompts[row] in store.texts:
            outcome.exact += 1
            continue
        found = store.nearest(row)
        if found is None:
            store.add(row)
            continue
        entry, cosine = found
        record = records.setdefault(entry, EntryRecord())
        right = stream.answers[entry] == stream.answers[row]
        if rng.random() >= record.explore(cosine, bound):
            outcome.served(right)
            outcome.mark()
            continue
        outcome.explored += 1
        record.add(cosine, right)
        if not right:
            store.add(row)
    return outcome
