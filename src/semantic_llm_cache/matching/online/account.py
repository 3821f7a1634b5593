"""The account of a running error budget: what was served, what that may have cost, and what may still be served.

The bounds that it keeps to, and why they hold, are in ``docs/error-budget.md``; `budget` holds their formulas.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from semantic_llm_cache.matching.online.budget import Audit, spendable, upper
from semantic_llm_cache.matching.online.labels import JudgeError
from semantic_llm_cache.matching.online.model import Array
from semantic_llm_cache.matching.online.noise import MOST_ALLOWED, Noise

__all__ = ["Account", "Bounds"]

_WINDOW = 1000  # recent decisions that set the price
_REPRICE = 32  # decisions between two settings of the price
_HORIZON = 1500  # decisions over which to spend what is left of the budget
_MOST_WRONG = 0.4  # an answer more doubtful than this is never served, even within the budget ...
_BOLD_AFTER = 300.0  # ... and half of that is the limit after so many outcomes
_AUDIT_PRIOR = 10.0  # expected errors that the ratio of explored to expected errors starts from
_AUDIT_DEVIATIONS = 0.75  # standard deviations of the count that are added to it
_LEAST_CORRECTION = 1.1  # always add a tenth: many hits share the model's errors
_GRACE = 5.0  # wrong answers that a bound per hit allows while there are few hits
_NOISY_AUDIT = (1.0, 4.0, 16.0)  # see `Audit`: noise hides wrong answers, so smaller rates are needed too


@dataclass(frozen=True, slots=True)
class Bounds:
    """What an account keeps to.

    Args:
        max_error: bound on wrong answers served as a share of all requests; None for no such bound.
        max_error_per_hit: bound on wrong answers served as a share of the near hits; None for no such bound.
        delta: probability with which a bound may ever fail, in (0, 1).
        explore: smallest probability of exploring a would-be hit, in (0, 1).
    """

    max_error: float | None
    max_error_per_hit: float | None
    delta: float
    explore: float


class Account:
    """Counts requests, what was served and what was found wrong, and sets the price of serving.

    Not safe for several threads at once: the policy that holds it has a lock.

    Args:
        bounds: see `Bounds`.
        error: the errors of the judge that compares explored answers.
        noise: how far the model's own answers differ; the policy adds to it.

    Example:
        >>> account = Account(Bounds(0.02, None, 0.01, 0.025), JudgeError(), Noise(None))
        >>> account.count_exact(1000)
        >>> account.requests, account.spendable() > 0
        (1000, True)
    """

    def __init__(self, bounds: Bounds, error: JudgeError, noise: Noise) -> None:
        self.bounds = bounds
        self._error = error
        self._noise = noise
        self.recent: Array = np.ones(_WINDOW)
        """Error probabilities of the last decisions."""
        self.price = 0.0
        """The highest error probability that is served now."""
        self._self_funding = 0.0  # a hit less doubtful than this earns a per-hit budget more than it costs
        self._restart_counts()

    def _restart_counts(self) -> None:
        self.requests = 0
        self.exact = 0
        self.decided = 0
        self.hits = 0
        self.explored = 0
        self.spent = 0.0  # sum of the error probabilities of what was served
        self.explored_judged = 0.0  # what the judge said of the explored, 1 for an error ...
        self.explored_wrong = 0.0  # ... corrected for its own errors ...
        self.explored_expected = 0.0  # ... and how many were expected
        self.rehearsed = 0  # would-be hits compared before a bound per hit serves its first
        self.rehearsed_wrong = 0.0
        self.noise_allowed = 0.0  # sum of the noise allowed for in what was served
        self._audit = self._new_audit()

    def _new_audit(self) -> Audit:
        if not self._noise.active:
            return Audit(self.bounds.explore, self._error)
        most = MOST_ALLOWED if self._noise.setting == "measure" else self._noise.level
        return Audit(self.bounds.explore, self._error.with_least(most), _NOISY_AUDIT)

    @property
    def error_now(self) -> JudgeError:
        """The errors of the judge, with the model's noise as it is known now."""
        return self._error.with_least(self._noise.level)

    # ------------------------------------------------------------------ counting

    def count_exact(self, count: int) -> None:
        """Count requests that the exact tier answered."""
        self.requests += count
        self.exact += count

    def count_request(self) -> None:
        """Count a request that the exact tier did not answer."""
        self.requests += 1
        self.decided += 1

    def remember(self, wrong: float, outcomes: float) -> None:
        """Note the error probability of the present request, 1 where nothing could be served. May set a new price.

        Args:
            wrong: in [0, 1].
            outcomes: how many outcomes the model has learned from: with few, less doubtful answers are served.
        """
        self.recent[self.decided % _WINDOW] = wrong
        if self.decided % _REPRICE == 0:
            self.price = self._find_price(outcomes)

    def count_served(self, wrong: float) -> None:
        """Count a near hit and the probability that it is wrong."""
        self.hits += 1
        self.spent += wrong

    def count_explored(self, predicted: float, said: float, wrong: float) -> None:
        """Count an outcome of what was explored, or would have been served.

        Args:
            predicted: the error probability that it was decided with.
            said: what the judge says, from 0 for the same to 1 for different.
            wrong: the same, corrected for the judge's errors.
        """
        self.explored_expected += predicted
        self.explored_judged += said
        self.explored_wrong += wrong

    def count_rehearsed(self, wrong: float) -> None:
        """Count a would-be hit that was compared in the rehearsal, and whether it was wrong."""
        self.rehearsed += 1
        self.rehearsed_wrong += wrong

    def audit(self, said: float, propensity: float, error: JudgeError) -> None:
        """Count a would-be hit that was explored with the probability `propensity`, for the audit."""
        self._audit.explored(said, propensity, error)

    def restart_rehearsal(self) -> None:
        """Compare would-be hits again before the next is served under a bound per hit."""
        self.rehearsed, self.rehearsed_wrong = 0, 0.0

    # ------------------------------------------------------------------ what may be served

    def rehearsal_passed(self) -> bool:
        """Return whether enough would-be hits were right to start serving under a bound per hit.

        A few hits cannot keep to a small share if one of them is wrong, so 4 / bound would-be hits are
        compared first, and more until the wrong share of these is three quarters of the bound.
        """
        bound = self.bounds.max_error_per_hit
        return bound is None or max(3, self.rehearsed_wrong) <= 0.75 * bound * self.rehearsed + 1e-9

    def refusal(self, wrong: float) -> str | None:
        """Return why an answer of this error probability cannot be served now; None if it can."""
        if wrong > self._self_funding and self.corrected() + wrong > self.spendable(next_hit=1):
            return "error budget spent for now"
        bound = self.bounds.max_error
        if bound is not None and not self._audit.allows(bound * self.requests, self.bounds.delta):
            return "audit: more wrong answers than the budget allows"
        return None

    def _find_price(self, outcomes: float) -> float:
        """Return the error probability up to which serving recent requests would use the whole budget.

        For a given expected number of wrong answers, serving the least doubtful requests first gives the
        most hits (the fractional knapsack), so one price on the probability of error is optimal.
        """
        bounds = self.bounds
        ordered = np.sort(self.recent)
        price = _MOST_WRONG * outcomes / (outcomes + _BOLD_AFTER)
        room = self.spendable() - self.corrected()
        for bound, per_hit in ((bounds.max_error, False), (bounds.max_error_per_hit, True)):
            if bound is None:
                continue
            if per_hit:
                now, then = self._allowed_per_hit(0), self._allowed_per_hit(500)
            else:
                now, then = bound * self.requests, bound * (self.requests + 500)
            income = (max(0.0, spendable(then, bounds.delta)) - max(0.0, spendable(now, bounds.delta))) / 500
            saved = room / _HORIZON
            if not per_hit:  # the exact tier's requests earn too
                income *= self.requests / max(1, self.decided)
            if per_hit:  # each hit earns `income`
                cost = np.cumsum(ordered - income) / len(ordered) - saved
            else:  # each request does
                cost = np.cumsum(ordered) / len(ordered) - income - saved
            within = np.flatnonzero(cost <= 0.0)
            affordable = float(ordered[within[-1]]) if len(within) else 0.0
            if per_hit:
                affordable = max(affordable, 0.5 * income)
                self._self_funding = 0.5 * income if bounds.max_error is None else 0.0
            price = min(price, affordable)
        return price

    def _allowed_per_hit(self, more: int) -> float:
        bound = self.bounds.max_error_per_hit
        assert bound is not None
        earned = bound * (self.hits + more)
        return max(earned, _GRACE + 0.5 * earned)

    def spendable(self, next_hit: int = 0) -> float:
        """Return the sum of error probabilities that the bounds allow, after `next_hit` more hits."""
        bounds, limit = self.bounds, math.inf
        if bounds.max_error is not None:
            limit = spendable(bounds.max_error * self.requests, bounds.delta)
        if bounds.max_error_per_hit is not None:
            limit = min(limit, spendable(self._allowed_per_hit(next_hit), bounds.delta))
        return max(0.0, limit)

    def corrected(self) -> float:
        """Return what was spent plus a tenth; more when explored answers were wrong more often than expected."""
        wrong = max(0.0, _AUDIT_PRIOR + self.explored_wrong)
        deviation = math.sqrt(_AUDIT_PRIOR + self.explored_judged / self.error_now.slope**2)
        ratio = (wrong + _AUDIT_DEVIATIONS * deviation) / (_AUDIT_PRIOR + self.explored_expected)
        return self.spent * max(_LEAST_CORRECTION, ratio)

    # ------------------------------------------------------------------ reporting and saving

    def estimates(self) -> dict[str, float]:
        """Return ``wrong``, ``wrong_most`` and ``wrong_most_any`` of `OnlinePolicy.summary`."""
        spent, delta, hits = self.corrected(), self.bounds.delta, float(self.hits)
        return {
            "wrong": spent,
            "wrong_most": min(hits, upper(max(0.0, spent), delta)),
            "wrong_most_any": min(hits, self._audit.bound(delta)),
        }

    @property
    def audit_masses(self) -> list[float]:
        """The evidence of the audit, for a saved state."""
        return self._audit.masses

    def fits(self, masses: list[float]) -> bool:
        """Return whether `restore` can take this evidence."""
        return len(masses) == len(self._audit.masses)

    def restore(self, counters: Mapping[str, float], masses: list[float], price: float, *, judged: bool) -> None:
        """Continue with a saved account.

        Args:
            counters: the values of the attributes with these names.
            masses: a saved `audit_masses`.
            price: the saved `price`.
            judged: False for a state of a time before judges could err: its evidence is kept at the same number of
                wrong answers.
        """
        for name, value in counters.items():
            setattr(self, name, value)
        scale = 1.0 if judged else self._audit.rates[0] / Audit(self.bounds.explore).rates[0]
        self._audit.masses = [mass * scale for mass in masses]
        self.price = price

    def restart(self) -> None:
        """Start again with nothing counted, and serve nothing until a new price is set."""
        self._restart_counts()
        self.price = 0.0
