"""What a judge of known error rates says about an answer, corrected for its errors.

A judge says z, from 0 (the same) to 1 (different), of a comparison whose truth is Y (1: the stored answer is wrong).
Its mean soft errors are at most `false_same` where Y = 1 and at least `false_different` where Y = 0. The mathematics is
in ``docs/error-budget.md``, section 3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from semantic_llm_cache.arguments import shown

__all__ = ["JudgeError", "parse_judge_error"]

MOST_JUDGE_ERROR = 0.9


@dataclass(frozen=True, slots=True)
class JudgeError:
    """How often a judge errs.

    Args:
        false_same: how often it calls different answers the same, at most; in [0, 1).
        false_different: how often it calls the same answers different, at least; in [0, 1).
    """

    false_same: float = 0.0
    false_different: float = 0.0

    @property
    def slope(self) -> float:
        """Return how much more often it says "different" when that is true than when it is not."""
        return 1.0 - self.false_same - self.false_different

    @property
    def is_right(self) -> bool:
        """Return whether the judge is taken to make no errors."""
        return self.false_same == 0.0 and self.false_different == 0.0

    def with_least(self, false_different: float) -> JudgeError:
        """Return these errors where the judge calls the same answers different at least so often."""
        if false_different <= self.false_different:
            return self
        return JudgeError(
            self.false_same, max(self.false_different, min(false_different, MOST_JUDGE_ERROR - self.false_same))
        )

    def judged(self, wrong: float) -> float:
        """Return the probability that the judge says "different", given the probability that it is so."""
        return self.false_different + self.slope * wrong

    def corrected(self, said: float) -> float:
        """Return an unbiased estimate of the truth from what the judge said; it may lie outside [0, 1]."""
        return (said - self.false_different) / self.slope

    def weight(self, wrong: float) -> float:
        """Return the Fisher information of a verdict as a share of that of the truth, given the error probability.

        A logistic model that learns the corrected label with this weight takes exactly the steps of the likelihood of
        what the judge said.
        """
        if self.is_right:
            return 1.0
        wrong = min(max(wrong, 1e-6), 1.0 - 1e-6)
        said = self.judged(wrong)
        return self.slope**2 * wrong * (1.0 - wrong) / (said * (1.0 - said))

    def audit_rate(self, least: float) -> float:
        """Return the rate of the audit's martingale when a would-be hit is explored with `least` or more."""
        # Any rate below the logarithm makes a martingale; half of it balances slack against slope.
        share = self.false_same / (1.0 - self.false_different)
        return 0.5 * math.log((1.0 - least * share) / (1.0 - least))

    def audit_step(self, said: float, probability: float, rate: float) -> float:
        """Return what a verdict adds to the audit's evidence, for a would-be hit explored with `probability`."""
        if probability >= 1.0:
            return 0.0  # nothing could have been served: no evidence about what was
        rest = (1.0 - (1.0 - probability) * math.exp(rate)) / probability
        different = (rest * (1.0 - self.false_different) - self.false_same) / self.slope
        same = (1.0 - self.false_different * different) / (1.0 - self.false_different)
        return -math.log(same + (different - same) * said)


def parse_judge_error(given: object) -> JudgeError:
    """Return the judge's error for a setting: a share for both directions, or (false same, false different)."""
    wrong = (
        f"judge_error={shown(given)} must be a share below 1, such as 0.05, or a pair (share of different answers that "
        f"the judge "
        "calls the same, share of same answers that it calls different)"
    )
    if isinstance(given, JudgeError):
        pair: tuple[object, ...] = (given.false_same, given.false_different)
    elif isinstance(given, (list, tuple)):
        pair = tuple(given)
    else:
        pair = (given, given)
    if len(pair) != 2 or any(isinstance(p, bool) or not isinstance(p, (int, float)) for p in pair):
        raise TypeError(wrong)
    shares = [float(p) for p in pair if isinstance(p, (int, float)) and 0 <= p < 1]
    if len(shares) != 2 or sum(shares) > MOST_JUDGE_ERROR:
        raise ValueError(f"{wrong}; both together at most {MOST_JUDGE_ERROR}")
    return JudgeError(*shares)
