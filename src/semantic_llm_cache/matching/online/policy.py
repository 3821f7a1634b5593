"""`OnlinePolicy`: decides, learns from the outcomes, and stays within its budget."""

from __future__ import annotations

import math
import secrets
import threading
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import numpy as np

from semantic_llm_cache.config import check_similarity
from semantic_llm_cache.matching.online.account import Account, Bounds
from semantic_llm_cache.matching.online.clusters import Clusters
from semantic_llm_cache.matching.online.decision import Decision
from semantic_llm_cache.matching.online.features import (
    FEATURE_NAMES,
    CandidateView,
    experience,
    gather,
    parse_extra_features,
)
from semantic_llm_cache.matching.online.labels import parse_judge_error
from semantic_llm_cache.matching.online.model import ChangeDetector, Logistic, Recalibration
from semantic_llm_cache.matching.online.noise import Noise, NoiseSetting, parse_noise
from semantic_llm_cache.matching.online.records import Records
from semantic_llm_cache.matching.online.state import (
    BUDGET_SETTINGS,
    COUNTERS,
    SETTINGS,
    PolicyState,
    dump,
    load,
    saved_settings,
)
from semantic_llm_cache.similarity.base import THRESHOLD_TOLERANCE

__all__ = ["OnlinePolicy"]

# Prior means of the weights that are not 0, typical of sentence encoders like MiniLM. All prior
# standard deviations are 1 (2 for the intercept), so about fifty outcomes outweigh them.
_PRIOR_MEAN = {"intercept": 0.5, "similarity": 0.5, "margin": 0.5, "votes_for": 0.5, "votes_against": -0.7}
_PRIOR_EXTRA = -0.3  # a guard that sees a difference is evidence against the candidate ...
_PRIOR_EXTRA_VARIANCE = 0.1  # ... but there are about twenty guards, most of them rarely raised: they learn slowly
_MEMORY = 1.0 - 1.0 / 4000.0  # an outcome weighs half after 2,800 others
_ALARM_KEEP = 0.02  # share of the experience kept when the traffic changed
_ALARM_HOLD = 60  # outcomes to see after an alarm before anything is served again
_NEAR_PRICE = 4.0  # a would-be hit at the price is explored this many times more often in addition
_SUSPICIOUS = 0.5  # probability of exploring that full suspicion of a change adds
_REACH = 0.5  # lowest similarity at which neighbours vote


def _check_share(value: float, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name}={value!r} must be a share between 0 and 1, such as 0.02 for 2 %")
    if not 0.0 < value < 1.0:
        raise ValueError(f"{name}={value!r} must lie between 0 and 1, such as 0.02 for 2 %")
    return float(value)


class OnlinePolicy:
    """Serves near entries so that the share of wrong answers stays within a bound, and learns from outcomes.

    Each request's nearest entries are judged by one model shared by all entries; a candidate is served
    while its probability of being wrong is under the current price and within the budget. Now and then a
    candidate that would have been served is explored instead: the function is called and the answers are
    compared, with a known probability, so that what was served can be audited. For the guarantees and their
    assumptions see ``docs/error-budget.md``; for its use by the engine, this package's docstring.

    Args:
        max_error: bound on wrong answers served as a share of all requests, exact hits included.
        max_error_per_hit: bound on wrong answers served as a share of the near hits. While there are few
            hits it allows 5 wrong answers and half the rate.
        floor: similarity under which no candidate is served, in [0, 1].
        seed: makes the draws repeatable; None draws from the system's entropy.
        confidence: probability that the bound holds at all times at once, in (0, 1).
        explore: smallest probability of exploring a would-be hit, in (0, 0.2]; up to five times as much is
            used near the price, where errors occur, and more for a while after an unexpected error.
        judge_error: how often the judge whose verdicts are observed errs: a share for both directions, or a pair
            (share of different answers that it calls the same, at most; share of same answers that it calls
            different, at least).
        noise: how often, at least, the judge calls two fresh answers to one prompt different, in [0, 1]; ``"measure"``
            for `Decision.twice` to ask for such pairs; None for a model that always answers the same.
        extra_features: what `CandidateView.features` holds: the names of its entries in order, or only their
            number. With names, `load` keeps what a saved state has learned of each, whatever was added or
            removed since.

    Raises:
        ValueError, TypeError: naming the argument. At least one of the two bounds is needed.

    Example:
        >>> policy = OnlinePolicy(max_error=0.02, seed=1)
        >>> policy.decide("what is a list?", []).action
        'miss'
    """

    def __init__(
        self,
        max_error: float | None = None,
        max_error_per_hit: float | None = None,
        floor: float = 0.5,
        seed: int | None = None,
        *,
        confidence: float = 0.99,
        explore: float = 0.025,
        judge_error: float | tuple[float, float] = 0.0,
        noise: NoiseSetting = None,
        extra_features: int | Sequence[str] = 0,
    ) -> None:
        self.max_error = None if max_error is None else _check_share(max_error, "max_error")
        self.max_error_per_hit = (
            None if max_error_per_hit is None else _check_share(max_error_per_hit, "max_error_per_hit")
        )
        if self.max_error is None and self.max_error_per_hit is None:
            raise ValueError("an online policy needs a bound: give max_error=, max_error_per_hit= or both")
        self.floor = check_similarity(floor, "floor")
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
            raise TypeError(f"seed={seed!r} must be a whole number or None")
        self.confidence = _check_share(confidence, "confidence")
        if isinstance(explore, bool) or not isinstance(explore, (int, float)):
            raise TypeError(f"explore={explore!r} must be a probability, such as 0.025")
        if not 0.0 < explore <= 0.2:
            raise ValueError(f"explore={explore!r} must lie above 0 and not above 0.2")
        self.explore = float(explore)
        self._error = parse_judge_error(judge_error)
        self._noise = Noise(parse_noise(noise))
        self.extra_features, self.extra_names = parse_extra_features(extra_features)
        self.seed = seed
        self._key = (secrets.randbits(64) if seed is None else seed % 2**64).to_bytes(8, "little")
        self._draws = 0
        self._lock = threading.Lock()

        mean = [_PRIOR_MEAN.get(name, 0.0) for name in FEATURE_NAMES] + [_PRIOR_EXTRA] * self.extra_features
        variance = np.ones(len(mean))
        variance[0] = 4.0
        variance[len(FEATURE_NAMES) :] = _PRIOR_EXTRA_VARIANCE
        self._model = Logistic(np.array(mean), variance, _MEMORY)
        self._recalibration = Recalibration()
        self._detector = ChangeDetector()
        self._records = Records()
        self._clusters = Clusters()
        self._hold = 0
        self._misses = 0
        self._outcomes = 0.0  # outcomes learned, without those forgotten after an alarm
        self._alarms = 0
        bounds = Bounds(self.max_error, self.max_error_per_hit, 1.0 - self.confidence, self.explore)
        self._account = Account(bounds, self._error, self._noise)

    @property
    def judge_error(self) -> tuple[float, float]:
        """Return how often the judge calls different answers the same, and same answers different."""
        return self._error.false_same, self._error.false_different

    @property
    def noise(self) -> NoiseSetting:
        """Return the setting: a share, ``"measure"`` or None."""
        return self._noise.setting

    @property
    def reach(self) -> float:
        """Return the lowest similarity of useful entries: below the floor they vote but are not candidates."""
        return min(self.floor, _REACH)

    # ------------------------------------------------------------------ deciding

    def count_exact(self, count: int = 1) -> None:
        """Count requests that the exact tier answered; they are always correct."""
        with self._lock:
            self._account.count_exact(count)

    def decide(self, prompt: str, candidates: Sequence[CandidateView]) -> Decision:
        """Decide about one request that the exact tier did not answer.

        Args:
            prompt: the new prompt.
            candidates: the nearest entries of the request's scope with a similarity of at least `reach`, 16 if
                possible; may be empty. Those under the floor are never served, but they vote.

        Raises:
            ValueError: a candidate's `features` are not `extra_features` long.
        """
        reach = self.reach - THRESHOLD_TOLERANCE
        near = [candidate for candidate in candidates if candidate.similarity >= reach]
        near = [candidate._replace(answer=self._clusters.name(candidate.answer)) for candidate in near]
        evidence = gather(prompt, near) if near else None
        if evidence is not None and len(evidence.best.features) != self.extra_features:
            raise ValueError(
                f"candidate {evidence.best.key!r} has {len(evidence.best.features)} features, and this policy"
                f" was made with extra_features={self.extra_features}: give each candidate that many"
            )
        with self._lock:
            account = self._account
            account.count_request()
            if evidence is None:
                account.remember(1.0, self._outcomes)
                self._misses += 1
                nearest = max((c.similarity for c in candidates), default=None)
                why = "no entries in scope" if nearest is None else f"nearest {nearest:.3f} < {self.floor:g}"
                return Decision("miss", None, 0.0, 0.0, why)
            best = evidence.best
            right, wrong_before = self._records.of(best.answer)
            x = np.array(
                [
                    *evidence.values,
                    math.log1p(right),
                    math.log1p(wrong_before),
                    experience(self._misses),
                    *best.features,
                ]
            )
            raw = 1.0 - self._model.predict(x)
            wrong = self._recalibration(raw)
            error, good = account.error_now, False
            if best.similarity >= self.floor - THRESHOLD_TOLERANCE:
                account.remember(wrong, self._outcomes)
                action, propensity, why = self._choose(wrong)
                good = wrong <= account.price and self._hold == 0
            else:
                account.remember(1.0, self._outcomes)
                action, propensity, why = "miss", 0.0, f"nearest {best.similarity:.3f} < {self.floor:g}"
            if action != "miss":
                account.noise_allowed += (1.0 - propensity) * error.false_different
            if action == "serve":
                account.count_served(wrong)
                why = f"{1.0 - wrong:.3f} sure, {evidence.agree} of {evidence.total} neighbours agree"
            else:
                self._misses += 1
                account.explored += action == "explore"
            return Decision(
                action, best.key, 1.0 - wrong, propensity, why, best.similarity, best.answer,
                twice=good and self._asks_twice(action), _x=x, _raw=raw, _error=error,
            )  # fmt: skip

    def _asks_twice(self, action: str) -> bool:
        """Return whether to call the function twice, of a candidate good enough to be served."""
        share = self._noise.asks
        if action == "miss":  # there is no budget for it now: as welcome as an explored one while little is known
            return share >= 1.0
        return action == "explore" and (share >= 1.0 or (share > 0.0 and self._draw() < share))

    def _choose(self, wrong: float) -> tuple[str, float, str]:
        """Return action, probability of exploring, and the reason, given the probability of error."""
        if self._hold > 0:
            return "miss", 0.0, f"traffic has changed: {self._hold} more answers to compare"
        account = self._account
        if wrong > account.price:
            if account.price <= 0.0:
                return "miss", 0.0, "still learning: no error budget yet"
            return "miss", 0.0, f"could be wrong: {wrong:.3f} > {account.price:.3f}"
        if not account.rehearsal_passed():
            return "explore", 1.0, f"rehearsing: {account.rehearsed} would-be hits compared so far"
        refusal = account.refusal(wrong)
        if refusal is not None:
            return "miss", 0.0, refusal
        propensity = self.explore * (1.0 + _NEAR_PRICE * wrong / account.price)
        # After an unexpected error, explore more at once: an unnoticed change of the traffic is costly.
        propensity = min(1.0, propensity + _SUSPICIOUS * self._detector.suspicion)
        if self._draw() < propensity:
            return "explore", propensity, f"exploring, as 1 in {1.0 / propensity:.0f} like it"
        return "serve", propensity, ""

    def _draw(self) -> float:
        """Return a uniform number in [0, 1) from the seed and a counter, so that it continues after a restart."""
        self._draws += 1
        raw = blake2b(self._draws.to_bytes(8, "little"), digest_size=8, key=self._key).digest()
        return (int.from_bytes(raw, "little") >> 11) * 2.0**-53

    # ------------------------------------------------------------------ learning

    def observe(self, decision: Decision, correct: bool | float) -> None:
        """Learn whether the candidate of `decision` had the same answer as the function call.

        For "explore" and "miss"; in shadow mode, where the function is always called, also for "serve".

        Args:
            decision: made by this policy.
            correct: what a judge says: True or False, or the probability that the two answers say the same.

        Raises:
            ValueError: the decision had no candidate, or `correct` is not between 0 and 1.
        """
        if decision.key is None or decision._x is None:
            raise ValueError("this decision had no candidate to compare with: observe only when key is set")
        said = 1.0 - float(correct)
        if not 0.0 <= said <= 1.0:
            raise ValueError(f"correct={correct!r} must be True, False, or a probability from 0 to 1")
        with self._lock:
            if decision.settled:
                return
            decision.settled = True
            error = decision._error
            wrong = error.corrected(said)
            predicted = 1.0 - decision.probability
            self._model.update(decision._x, 1.0 - wrong, error.weight(decision._raw))
            self._recalibration.update(decision._raw, wrong)
            self._records.count(decision.answer, said < 0.5)
            self._outcomes += 1.0
            self._hold = max(0, self._hold - 1)
            account = self._account
            if predicted <= account.price:  # explored, or as cheap: it would have been served
                account.count_explored(predicted, said, wrong)
            if decision.action == "explore":
                if decision.propensity >= 1.0 and not account.rehearsal_passed():
                    account.count_rehearsed(wrong)
                account.audit(said, decision.propensity, error)
            elif decision.action == "serve":
                account.spent += wrong - predicted
            if self._detector.update(predicted, said, error):
                self._start_over()

    def observe_noise(self, decision: Decision, same: bool | float) -> None:
        """Learn how far two fresh answers to one prompt differ, for a decision with `Decision.twice`.

        Args:
            decision: made by this policy.
            same: what a judge says of the two: True or False, or the probability that they say the same.

        Raises:
            ValueError: the decision did not ask for it, or `same` is not between 0 and 1.
        """
        different = 1.0 - float(same)
        if not 0.0 <= different <= 1.0:
            raise ValueError(f"same={same!r} must be True, False, or a probability from 0 to 1")
        with self._lock:
            if not decision.twice:
                raise ValueError("this decision did not ask for a second answer: measure only when twice is set")
            decision.twice = False
            # Doubtful candidates are explored more often than served: weigh them as they are served.
            p, least = decision.propensity, self.explore
            weight = 1.0 if p in (0.0, 1.0) else least * (1.0 - p) / (p * (1.0 - least))
            self._noise.add(different, min(1.0, weight))

    def _start_over(self) -> None:
        """Discard most of what was learned: the traffic has changed."""
        self._alarms += 1
        self._hold = _ALARM_HOLD
        self._account.restart_rehearsal()
        self._outcomes *= _ALARM_KEEP
        self._model.forget(_ALARM_KEEP)
        self._recalibration.forget(_ALARM_KEEP)
        self._noise.forget(_ALARM_KEEP)

    def join(self, answer: str, other: str) -> None:
        """Note that two answers, by their fingerprints, say the same: from now on they vote together."""
        with self._lock:
            names = {self._clusters.name(answer), self._clusters.name(other)}
            self._clusters.join(answer, other)
            self._records.merge(names, self._clusters.name(answer))

    def cluster(self, answer: str) -> str:
        """Return the name under which an answer votes: equal for answers that were judged to say the same."""
        return self._clusters.name(answer)

    def report(self, decision: Decision, correct: bool) -> None:
        """Learn a person's verdict on an answer that was served (`report_wrong`, `report_right`).

        People mostly report wrong answers, so verdicts are a biased sample: they count in the budget, in the
        answer's record and in the model, but neither in the recalibration nor in the audit.
        """
        with self._lock:
            if decision.settled or decision.action != "serve" or decision._x is None:
                return
            decision.settled = True
            self._account.spent += (0.0 if correct else 1.0) - (1.0 - decision.probability)
            self._model.update(decision._x, float(correct))
            self._records.count(decision.answer, correct)

    def report_answer(self, answer: str, correct: bool) -> None:
        """Learn a verdict like `report`, but from the answer's fingerprint without the decision."""
        with self._lock:
            self._records.count(self._clusters.name(answer), correct)
            if not correct:
                self._account.spent += 1.0

    # ------------------------------------------------------------------ reporting and saving

    def summary(self) -> dict[str, Any]:
        """Return the counts, the estimates and the bounds, for statistics.

        ``requests``, ``exact``, ``hits`` (near), ``explored``, ``explored_wrong``, ``alarms``; ``price``, the
        highest error probability served now; ``wrong``, the estimated number of wrong answers
        served; ``wrong_most``, its bound if the model is calibrated; ``wrong_most_any``, its bound without any
        assumption about the model; both bounds at `confidence`, over all times at once.

        With `noise` there are also ``noise``, the share of pairs of fresh answers that differ, ``noise_interval``
        (95 %), ``noise_pairs``, and ``noise_allowed``: how many of the answers served may differ from a fresh one
        before that counts.
        """
        with self._lock:
            account = self._account
            noise = {**self._noise.summary(), "noise_allowed": account.noise_allowed} if self._noise.active else {}
            return {
                "requests": account.requests,
                "exact": account.exact,
                "hits": account.hits,
                "explored": account.explored,
                "explored_wrong": int(account.explored_wrong),
                "alarms": self._alarms,
                "price": account.price,
                **account.estimates(),
                **noise,
            }

    @property
    def spent_share(self) -> float:
        """Which share of the error budget is spent, from 0 to 1. At 1 nothing more is served until it has grown."""
        with self._lock:
            spent, limit = self._account.corrected(), self._account.spendable()
        return min(1.0, spent / limit) if spent < limit else float(spent > 0)

    def to_bytes(self) -> bytes:
        """Return everything learned and spent, versioned, some tens of kilobytes, without pickle."""
        with self._lock:
            return dump(self._state())

    def _state(self) -> PolicyState:
        """Return what was learned and spent, as plain data that shares this policy's arrays."""
        account, model, recalibration = self._account, self._model, self._recalibration
        return PolicyState(
            settings={name: getattr(self, name) for name in SETTINGS},
            extra_names=self.extra_names,
            key=self._key,
            draws=self._draws,
            counters={name: getattr(account, name) for name in COUNTERS},
            audit=account.audit_masses,
            noise=self._noise.sums,
            weights=model.weights,
            covariance=model.covariance,
            count=model.count,
            actual=recalibration.actual,
            predicted=recalibration.predicted,
            seen=recalibration.seen,
            cusum=self._detector.sums,
            recent=account.recent,
            price=account.price,
            hold=self._hold,
            misses=self._misses,
            outcomes=self._outcomes,
            alarms=self._alarms,
            records=self._records.counts,
            clusters=self._clusters.roots,
        )

    def load(self, data: bytes) -> None:
        """Continue from a state that `to_bytes` returned; on an error nothing changes.

        What was learned is kept whatever the settings. The budget is kept only when bounds, confidence and `explore`
        are the same; otherwise it starts again.

        Raises:
            CacheSerializationError: damaged, of an unknown version, or with another number of
                `extra_features` where one of the two has no names for them.
        """
        with self._lock:
            self._restore(load(data, self._state(), self._model.prior()))

    def _restore(self, state: PolicyState) -> None:
        self._model.weights, self._model.covariance = state.weights, state.covariance
        self._model.count = state.count
        self._recalibration.actual, self._recalibration.predicted = state.actual, state.predicted
        self._recalibration.seen = state.seen
        self._recalibration.refresh()
        self._detector.sums = state.cusum
        self._account.recent = state.recent
        self._hold, self._misses, self._alarms = state.hold, state.misses, state.alarms
        self._outcomes = state.outcomes
        self._records.restore(state.records)
        self._clusters.restore(state.clusters)
        self._noise.restore(state.noise)
        if self.seed is not None and state.key == self._key:
            self._draws = state.draws
        unknown = state.settings["judge_error"] is None
        if self._account.fits(state.audit) and all(
            state.settings[name] == getattr(self, name) or (unknown and name == "judge_error")
            for name in BUDGET_SETTINGS
        ):
            self._account.restore(state.counters, state.audit, state.price, judged=not unknown)
        else:
            self._account.restart()

    @classmethod
    def from_bytes(cls, data: bytes, **settings: Any) -> OnlinePolicy:
        """Make a policy with `settings` (by default the saved ones) and `load` the state into it."""
        policy = cls(**{**saved_settings(data), **settings})
        policy.load(data)
        return policy
