"""The running error budget: what may still be spent on wrong answers, with what confidence.

The mathematics, with proofs, is in ``docs/error-budget.md``. In short, for requests 1..t, with S the sum
of the predicted error probabilities of what was served and W the wrong answers among it:

- `spendable`: if no prediction is too low, then with probability at least 1 - d, for all t at once,
  W <= U(S) = min over i of ((exp(l_i) - 1) S + log(m / d)) / l_i  (m rates l_i, a union bound).
- `Audit`: with no assumption about the world, with probability at least 1 - d, for all t at once,
  W <= (A + log(1 / d)) / l, A the sum over explored wrong answers of
  a(p) = -log((1 - (1 - p) exp(l)) / p), p the chance with which that one was explored.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from semantic_llm_cache.matching.online.labels import JudgeError

__all__ = ["RATES", "Audit", "most", "spendable", "upper"]

_NO_ERROR = JudgeError()
RATES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Rates of the exponential martingales: slow ones for long streams, fast ones for the first wrong answers."""


def upper(spent: float, delta: float) -> float:
    """Return U(S), the bound on wrong answers at all times at once, with confidence 1 - delta.

    Example:
        >>> round(upper(70.0, 0.01), 1)
        102.1
    """
    weight = math.log(len(RATES) / delta)
    return min((math.expm1(rate) * spent + weight) / rate for rate in RATES)


def spendable(allowed: float, delta: float) -> float:
    """Return the largest S with U(S) <= `allowed`; negative when even U(0) is more.

    Example:
        >>> spendable(100.0, 0.01) < 100.0
        True
    """
    weight = math.log(len(RATES) / delta)
    return max((rate * allowed - weight) / math.expm1(rate) for rate in RATES)


def most(seen: float, delta: float) -> float:
    """Return a bound, at all times at once, on the sum of the means of numbers from 0 to 1 that sum up to `seen`.

    `spendable` is the same bound from below. Each holds with confidence 1 - delta.

    Example:
        >>> round(spendable(20.0, 0.01), 1), round(most(20.0, 0.01), 1)
        (7.8, 40.7)
    """
    weight = math.log(len(RATES) / delta)
    return min((rate * seen + weight) / -math.expm1(-rate) for rate in RATES)


class Audit:
    """Bounds the wrong answers served, from the explored ones and the known probability of exploring.

    Args:
        least: the smallest probability of exploring in use, in (0, 1).
        error: the errors of the judge that compares the explored ones; where they vary, the largest.
        divisors: one bound is kept for each: with the largest usable rate divided by that. A small rate needs more
            time, and suffers less from a judge that often errs.

    Example:
        >>> audit = Audit(least=0.05)
        >>> audit.explored(1.0, 0.05)
        >>> audit.bound(0.01) > 20
        True
    """

    def __init__(self, least: float, error: JudgeError = _NO_ERROR, divisors: Sequence[float] = (1.0,)) -> None:
        self.error = error
        self.rates = [error.audit_rate(least) / divisor for divisor in divisors]
        self.masses = [0.0] * len(self.rates)

    def explored(self, said: float, probability: float, error: JudgeError | None = None) -> None:
        """Count a would-be hit that was explored with `probability` and judged wrong (1), right (0), or between.

        `error` holds the errors that its judge was taken to make, if not the largest.
        """
        error = error or self.error
        if said or not error.is_right:
            for index, rate in enumerate(self.rates):
                self.masses[index] += error.audit_step(said, probability, rate)

    @property
    def estimate(self) -> float:
        """Return an estimate of the wrong answers served, on the high side."""
        return min(max(0.0, mass) / rate for mass, rate in zip(self.masses, self.rates, strict=True))

    def bound(self, delta: float) -> float:
        """Return a bound on the wrong answers served, valid at all times, with confidence 1 - delta."""
        doubt = self._doubt(delta)
        return min(max(0.0, (mass + doubt) / rate) for mass, rate in zip(self.masses, self.rates, strict=True))

    def allows(self, wrong: float, delta: float) -> bool:
        """Return whether so many wrong answers, and half of the bound's own doubt, cover what was found."""
        half = 0.5 * self._doubt(delta)
        pairs = zip(self.masses, self.rates, strict=True)
        return any(max(0.0, mass) <= rate * wrong + half for mass, rate in pairs)

    def _doubt(self, delta: float) -> float:
        return math.log(len(self.rates) / delta)
