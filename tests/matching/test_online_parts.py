"""The parts of the online policy: features, model, recalibration, change detection, budget, audit."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semantic_llm_cache.matching.online import FEATURE_NAMES, CandidateView
from semantic_llm_cache.matching.online.budget import Audit, spendable, upper
from semantic_llm_cache.matching.online.features import experience, gather, words
from semantic_llm_cache.matching.online.model import ChangeDetector, Logistic, Recalibration


def view(key: str, similarity: float, answer: str, prompt: str = "") -> CandidateView:
    return CandidateView(key, similarity, answer, prompt)


# ---------------------------------------------------------------- features


def test_the_answer_with_most_votes_is_proposed_through_its_nearest_entry() -> None:
    found = gather("q", [view("1", 0.80, "a"), view("2", 0.79, "b"), view("3", 0.78, "b"), view("4", 0.6, "a")])
    assert (found.best.key, found.agree, found.total) == ("2", 2, 4)


def test_one_much_nearer_entry_outvotes_two_far_ones() -> None:
    found = gather("q", [view("far", 0.70, "b"), view("near", 0.95, "a"), view("far too", 0.70, "b")])
    assert found.best.key == "near"


def test_features_say_what_they_are_named() -> None:
    found = gather(
        "convert 5 miles to km",
        [view("1", 0.9, "a", "convert 6 miles to km"), view("2", 0.7, "b", "what is a mile")],
    )
    named = dict(zip(FEATURE_NAMES, found.values, strict=False))
    assert len(found.values) == len(FEATURE_NAMES) - 3  # the policy adds record and experience
    assert named["intercept"] == 1.0
    assert named["similarity"] == pytest.approx(2.0)
    assert named["margin"] == pytest.approx(2.0)
    assert named["overlap"] == pytest.approx(3.0 * 4 / 6)
    assert named["numbers_differ"] == 1.0
    assert named["negation_differs"] == 0.0
    assert named["neighbours_for"] == 0.0
    assert named["neighbours_against"] == pytest.approx(math.log(2))


def test_a_negation_on_one_side_differs() -> None:
    found = gather("is it safe", [view("1", 0.9, "a", "isn't it safe")])
    assert dict(zip(FEATURE_NAMES, found.values, strict=False))["negation_differs"] == 1.0


def test_a_candidate_without_prompt_is_not_compared_by_words() -> None:
    found = gather("do not 5", [view("1", 0.9, "a")])
    named = dict(zip(FEATURE_NAMES, found.values, strict=False))
    assert named["numbers_differ"] == named["negation_differs"] == named["overlap"] == 0.0


def test_scripts_without_gaps_are_compared_by_character() -> None:
    assert words("天気は晴れ").all == frozenset("天気は晴れ")
    assert words("Straße GRÜN").all == {"strasse", "grün"}


def test_long_texts_are_compared_by_head_and_tail() -> None:
    found = words("begin " + "filler " * 5000 + "end").all
    assert {"begin", "end", "filler"} <= found


def test_experience_ends() -> None:
    assert experience(0) < experience(100) < experience(5000) == experience(10**9)


@given(
    st.lists(st.tuples(st.floats(0.0, 1.0), st.sampled_from("abc"), st.text(max_size=30)), min_size=1, max_size=20),
    st.text(max_size=30),
)
def test_any_candidates_give_finite_features(rows: list[tuple[float, str, str]], prompt: str) -> None:
    views = [view(str(i), round(s, 3), a, p) for i, (s, a, p) in enumerate(rows)]
    found = gather(prompt, views)
    assert all(math.isfinite(value) for value in found.values)
    assert any(v.key == found.best.key for v in views)
    assert 1 <= found.agree <= found.total == len(views)


# ---------------------------------------------------------------- model


def test_the_model_learns_a_logistic_world() -> None:
    rng = np.random.default_rng(0)
    truth = np.array([0.5, 2.0, -1.0])
    model = Logistic(np.zeros(3), np.ones(3) * 4.0, memory=1.0)
    for _ in range(4000):
        x = np.array([1.0, *rng.normal(size=2)])
        model.update(x, bool(rng.random() < 1 / (1 + math.exp(-truth @ x))))
    assert np.abs(model.weights - truth).max() < 0.3


def test_the_model_forgets_a_world_that_ended() -> None:
    x = np.array([1.0, 1.0])
    models = [Logistic(np.zeros(2), np.ones(2), memory) for memory in (1.0, 0.99)]
    for model in models:
        for _ in range(3000):
            model.update(x, True)
        for _ in range(150):
            model.update(x, False)
    keeps, forgets = (model.predict(x) for model in models)
    assert forgets < 0.3 < keeps


def test_forgetting_everything_gives_the_prior_back() -> None:
    mean, variance = np.array([0.3, -0.2]), np.array([1.0, 4.0])
    model = Logistic(mean, variance, memory=1.0)
    for _ in range(50):
        model.update(np.array([1.0, 0.5]), True)
    model.forget(0.0)
    assert np.allclose(model.weights, mean)
    assert np.allclose(model.covariance, np.diag(variance))


def test_what_is_unknown_counts_as_uncertain() -> None:
    sure = Logistic(np.array([3.0]), np.array([1e-6]), 1.0).predict(np.array([1.0]))
    unsure = Logistic(np.array([3.0]), np.array([9.0]), 1.0).predict(np.array([1.0]))
    assert 0.5 < unsure < sure


@settings(max_examples=50)
@given(st.lists(st.tuples(st.floats(-30, 30), st.floats(-30, 30), st.booleans()), min_size=1, max_size=100))
def test_the_posterior_stays_a_posterior(rows: list[tuple[float, float, bool]]) -> None:
    model = Logistic(np.zeros(2), np.ones(2), memory=0.99)
    for a, b, right in rows:
        model.update(np.array([a, b]), right)
    assert np.isfinite(model.weights).all()
    assert np.linalg.eigvalsh((model.covariance + model.covariance.T) / 2).min() > -1e-9


def test_recalibration_corrects_what_is_too_low_and_too_high() -> None:
    rng = np.random.default_rng(1)
    low, high = Recalibration(), Recalibration()
    for _ in range(3000):
        low.update(0.05, bool(rng.random() < 0.2))
        high.update(0.05, bool(rng.random() < 0.02))
    assert low(0.05) == pytest.approx(0.2, rel=0.35)
    assert high(0.05) == pytest.approx(0.02, rel=0.5)


def test_a_prediction_never_tested_is_doubted() -> None:
    fresh = Recalibration()
    assert fresh(0.001) > 0.1
    for _ in range(500):
        fresh.update(0.001, False)
    assert fresh(0.001) < 0.005


def test_errors_among_the_doubtful_raise_the_good_ones_too() -> None:
    known = Recalibration()
    for _ in range(300):
        known.update(0.005, False)
    before = known(0.005)
    for _ in range(300):
        known.update(0.2, True)
    assert known(0.005) > 1.5 * before


def test_the_detector_is_quiet_while_predictions_hold_and_quick_when_they_do_not() -> None:
    rng = np.random.default_rng(2)
    quiet, loud = ChangeDetector(), ChangeDetector()
    assert not any(quiet.update(q, bool(rng.random() < q)) for q in rng.uniform(0.001, 0.5, size=5000))
    outcomes = [loud.update(0.02, bool(rng.random() < 0.5)) for _ in range(60)]
    assert any(outcomes)
    assert 0.0 <= loud.suspicion <= 1.0


def test_one_unlikely_error_is_suspicious_and_no_alarm() -> None:
    detector = ChangeDetector()
    assert not detector.update(0.005, True)
    assert detector.suspicion > 0.1


# ---------------------------------------------------------------- budget


@given(st.floats(0.0, 5000.0), st.sampled_from([0.1, 0.05, 0.01, 0.001]))
def test_spendable_is_the_inverse_of_upper(spent: float, delta: float) -> None:
    assert upper(spent, delta) > spent
    assert spendable(upper(spent, delta), delta) == pytest.approx(spent, abs=1e-6 + 1e-9 * spent)


def test_upper_holds_at_all_times_at_once() -> None:
    """Calibrated probabilities: the share of streams that ever pass the bound is at most delta."""
    rng = np.random.default_rng(3)
    delta, streams, broken = 0.1, 300, 0
    for _ in range(streams):
        q = rng.uniform(0.0, 0.1, size=2000)
        wrong = np.cumsum(rng.random(2000) < q)
        spent = np.cumsum(q)
        broken += any(wrong[t] > upper(spent[t], delta) for t in range(0, 2000, 20))
    assert broken <= delta * streams


@pytest.mark.parametrize("share", [0.02, 0.5, 1.0])
def test_the_audit_holds_whatever_the_world(share: float) -> None:
    """Nothing but the coin is random: the share of streams in which wrong answers pass the bound."""
    rng = np.random.default_rng(4)
    delta, streams, broken, estimates, truths = 0.1, 300, 0, 0.0, 0.0
    for _ in range(streams):
        audit, served_wrong, passed = Audit(0.05), 0, False
        for t in range(600):
            wrong = t % 100 < share * 100  # the adversary's order
            probability = 0.05 if t < 300 else 0.2
            if rng.random() < probability:
                if wrong:
                    audit.explored(1.0, probability)
            else:
                served_wrong += wrong
                passed = passed or served_wrong > audit.bound(delta)
        broken += passed
        estimates += audit.estimate
        truths += served_wrong
    assert broken <= delta * streams
    assert truths < estimates < 2.0 * truths


def test_exploring_for_certain_says_nothing_about_what_was_served() -> None:
    audit = Audit(0.05)
    audit.explored(1.0, 1.0)
    assert audit.estimate == 0.0
