"""The online policy's model: how likely a candidate's answer is wrong, and whether that estimate still holds.

Three layers, each correcting the one before:

- `Logistic`: Bayesian logistic regression on the features, one for all entries, updated answer by answer.
- `Recalibration`: corrects its predictions by the actual outcomes, by size of the prediction.
- `ChangeDetector`: a sequential test whether outcomes are much worse than predicted; on an alarm the two
  others discard most of what they learned.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from semantic_llm_cache.matching.online.labels import JudgeError

__all__ = ["ChangeDetector", "Logistic", "Recalibration"]

Array = npt.NDArray[np.float64]

_NO_ERROR = JudgeError()
_SETTLE = 64  # observations between two exact mixes of posterior and prior


def _sigmoid(z: float) -> float:
    if z >= 0:
        return 1.0 / (1.0 + math.exp(-min(z, 700.0)))
    e = math.exp(max(z, -700.0))
    return e / (1.0 + e)


class Logistic:
    """Bayesian logistic regression with a Gaussian posterior, learned one observation at a time.

    The update is one Newton step on the log posterior (the extended Kalman filter of the logistic
    likelihood; Spiegelhalter & Lauritzen 1990). The prediction averages over the posterior by MacKay's
    approximation, sigmoid(m / sqrt(1 + pi v / 8)), so that little data means an uncertain prediction. Forgetting
    mixes the posterior's information with the prior's: after n observations an old one weighs
    `memory ** n`-th of a new one and the prior has filled the gap.

    Args:
        mean: prior mean of the weights, shape (d,).
        variance: prior variances, shape (d,).
        memory: weight kept per observation, in (0, 1]; 1 never forgets.
    """

    def __init__(self, mean: Array, variance: Array, memory: float) -> None:
        self.memory = memory
        self.prior_precision: Array = np.diag(1.0 / variance)
        self.prior_shift: Array = self.prior_precision @ mean
        self.weights: Array = mean.copy()
        self.covariance: Array = np.diag(variance).astype(np.float64)
        self.count = 0

    def prior(self) -> tuple[Array, Array]:
        """Return the prior's mean, shape (d,), and covariance, shape (d, d)."""
        covariance: Array = np.diag(1.0 / np.diag(self.prior_precision))
        return covariance @ self.prior_shift, covariance

    def predict(self, x: Array) -> float:
        """Return the probability of a right answer, averaged over the posterior."""
        m = float(self.weights @ x)
        v = float(x @ (self.covariance @ x))
        return _sigmoid(m / math.sqrt(1.0 + math.pi / 8.0 * max(v, 0.0)))

    def update(self, x: Array, right: float, weight: float = 1.0) -> None:
        """Learn one outcome, 1.0 for right and 0.0 for wrong, counted `weight` times.

        The outcome of a judge that errs, corrected for that, may lie outside [0, 1].
        """
        p = _sigmoid(float(self.weights @ x))
        gain = self.covariance @ x
        curvature = weight * max(p * (1.0 - p), 1e-4)
        scale = 1.0 / (1.0 + curvature * float(x @ gain))
        self.weights = self.weights + gain * (weight * (right - p) * scale)
        self.covariance = self.covariance - np.outer(gain, gain) * (curvature * scale)
        self.count += 1
        if self.memory < 1.0 and self.count % _SETTLE == 0:
            self.forget(self.memory**_SETTLE)

    def forget(self, keep: float) -> None:
        """Keep the share `keep` of the gathered information; the prior replaces the rest."""
        precision = np.linalg.inv(self.covariance)
        shift = keep * (precision @ self.weights) + (1.0 - keep) * self.prior_shift
        precision = keep * precision + (1.0 - keep) * self.prior_precision
        covariance = np.linalg.inv(precision)
        self.covariance = (covariance + covariance.T) / 2.0
        self.weights = self.covariance @ shift


class Recalibration:
    """Corrects a predicted probability of error by the actual outcomes of predictions of that size.

    Predictions fall into bins by their logit. A bin's correction is the ratio of actual to predicted errors
    among its last few hundred outcomes, shrunk towards the correction of the next higher bin as if that
    had been seen in `prior` errors: doubtful candidates are compared often and good ones seldom, so the
    good bins borrow from the doubtful ones. The result is raised by `doubt` / (1 + n) for the n outcomes
    seen around the bin: a prediction of 0.001 that was never tested is not reliable.
    """

    BINS = 12
    _LOW, _STEP = -7.0, 0.7  # logit of the first bin's lower edge; width of a bin

    def __init__(self, prior: float = 5.0, doubt: float = 0.15, memory: float = 1.0 - 1.0 / 500.0) -> None:
        self.prior = prior
        self.doubt = doubt
        self.memory = memory
        self.actual: Array = np.zeros(self.BINS)
        self.predicted: Array = np.zeros(self.BINS)
        self.seen: Array = np.zeros(self.BINS)
        distance = np.abs(np.subtract.outer(np.arange(self.BINS), np.arange(self.BINS)))
        self._kernel: Array = 0.5**distance
        self.refresh()

    def _bin(self, wrong: float) -> int:
        wrong = min(max(wrong, 1e-9), 1.0 - 1e-9)
        return min(max(int((math.log(wrong / (1.0 - wrong)) - self._LOW) / self._STEP), 0), self.BINS - 1)

    def __call__(self, wrong: float) -> float:
        """Return the corrected probability of error."""
        index = self._bin(wrong)
        return min(1.0, wrong * self._factors[index] + self._doubts[index])

    def update(self, wrong: float, was_wrong: float) -> None:
        """Learn the outcome of the uncorrected prediction `wrong`: 1.0 for wrong, 0.0 for right."""
        index = self._bin(wrong)
        self.actual[index] = self.actual[index] * self.memory + was_wrong
        self.predicted[index] = self.predicted[index] * self.memory + wrong
        self.seen[index] += 1.0
        self.refresh()

    def forget(self, keep: float) -> None:
        """Keep the share `keep` of the outcomes seen."""
        self.actual *= keep
        self.predicted *= keep
        self.seen *= keep
        self.refresh()

    def refresh(self) -> None:
        """Recompute the corrections from the sums."""
        factor = 1.0
        factors = []
        # A judge's errors, corrected, may sum to less than nothing.
        actual, predicted = np.maximum(self.actual, 0.0).tolist(), self.predicted.tolist()
        for index in range(self.BINS - 1, -1, -1):
            factor = (self.prior * factor + actual[index]) / (self.prior + predicted[index])
            factors.append(min(max(factor, 0.2), 20.0))
        self._factors: Sequence[float] = factors[::-1]
        self._doubts: Sequence[float] = (self.doubt / (1.0 + self._kernel @ self.seen)).tolist()


class ChangeDetector:
    """Page's CUSUM test for errors at several times the predicted odds.

    For each ratio in `ODDS`, an outcome adds its log likelihood ratio of "the odds of an error are so many
    times what was predicted" to "as predicted"; a sum never falls under 0, and one that passes `limit` is
    an alarm. While the predictions hold, the expected number of outcomes before a false alarm is at least
    exp(limit) / len(ODDS) (Lorden 1971). The small ratio finds a slow decline, the large one a sudden change.
    """

    ODDS = (3.0, 30.0)

    def __init__(self, limit: float = 10.0) -> None:
        self.limit = limit
        self.sums = [0.0] * len(self.ODDS)

    @property
    def suspicion(self) -> float:
        """Return how close a sudden change is to an alarm, in [0, 1]; one unlikely error is about 0.2."""
        return min(1.0, max(0.0, self.sums[-1] - 1.0) / self.limit)

    def update(self, wrong: float, was_wrong: float, error: JudgeError = _NO_ERROR) -> bool:
        """Learn one outcome of a prediction; return True for an alarm, which resets the sums.

        Args:
            wrong: the predicted probability of an error.
            was_wrong: what the judge said, from 0.0 for right to 1.0 for wrong.
            error: the judge's errors.
        """
        wrong = min(max(wrong, 1e-4), 1.0 - 1e-3)
        said = error.judged(wrong)
        for index, odds in enumerate(self.ODDS):
            then = error.judged(odds * wrong / (1.0 + (odds - 1.0) * wrong))
            step = was_wrong * math.log(then / said) + (1.0 - was_wrong) * math.log((1.0 - then) / (1.0 - said))
            self.sums[index] = max(0.0, self.sums[index] + step)
        if max(self.sums) <= self.limit:
            return False
        self.sums = [0.0] * len(self.ODDS)
        return True
