"""The error budget with a judge that errs: what is corrected, what still holds, and answers that vote together."""

import math

import numpy as np
import pytest

from semantic_llm_cache.matching.online import CandidateView, OnlinePolicy
from semantic_llm_cache.matching.online.budget import Audit
from semantic_llm_cache.matching.online.clusters import Clusters
from semantic_llm_cache.matching.online.labels import JudgeError, parse_judge_error

ERRORS = [(0.0, 0.0), (0.05, 0.0), (0.05, 0.05), (0.1, 0.02), (0.3, 0.2)]


@pytest.mark.parametrize("error", ERRORS)
def test_the_correction_has_no_bias(error):
    judge = JudgeError(*error)
    for wrong in (0.0, 0.01, 0.5, 1.0):
        said = judge.judged(wrong)  # what it says on average
        assert judge.corrected(said) == pytest.approx(wrong)
        assert 0.0 < judge.weight(wrong) <= 1.0
    assert judge.judged(1.0) == pytest.approx(1.0 - error[0])
    assert judge.judged(0.0) == pytest.approx(error[1])


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("p", [0.025, 0.1, 0.6])
def test_the_audit_is_a_martingale_whatever_the_truth(error, p):
    """E[exp(l Y (1 - E) - A)] is 1 at the stated errors, and less where the judge is better or stricter."""
    judge = JudgeError(*error)
    rate = judge.audit_rate(0.025)

    def expected(wrong, says_different):
        steps = [math.exp(-judge.audit_step(said, p, rate)) for said in (1.0, 0.0)]
        explored = says_different * steps[0] + (1 - says_different) * steps[1]
        return (1 - p) * math.exp(rate * wrong) + p * explored

    assert expected(1, 1.0 - error[0]) == pytest.approx(1.0)
    assert expected(0, error[1]) == pytest.approx(1.0)
    assert expected(1, 1.0 - error[0] / 2) <= 1.0 + 1e-12
    assert expected(0, min(1.0, error[1] + 0.1)) <= 1.0 + 1e-12


def test_a_soft_verdict_counts_like_a_hard_one_of_the_same_mean():
    judge = JudgeError(0.1, 0.05)
    rate = judge.audit_rate(0.025)
    hard = [math.exp(-judge.audit_step(said, 0.1, rate)) for said in (1.0, 0.0)]
    assert math.exp(-judge.audit_step(0.3, 0.1, rate)) == pytest.approx(0.3 * hard[0] + 0.7 * hard[1])


def test_without_errors_the_audit_is_what_it_was():
    old, new = Audit(0.05), Audit(0.05, JudgeError())
    for audit in (old, new):
        audit.explored(1.0, 0.1)
        audit.explored(0.0, 0.1)
    assert old.rates == new.rates == pytest.approx([-0.5 * math.log1p(-0.05)])
    assert old.masses == new.masses == pytest.approx([-math.log((1 - 0.9 * math.exp(old.rates[0])) / 0.1)])


def test_the_audit_holds_with_a_judge_that_errs():
    rng = np.random.default_rng(2)
    error, delta, streams, broken = JudgeError(0.1, 0.05), 0.1, 200, 0
    for _ in range(streams):
        audit, served_wrong, passed = Audit(0.1, error), 0, False
        for t in range(400):
            wrong = t % 10 < 3
            if rng.random() < 0.1:
                audit.explored(float(wrong != (rng.random() < (0.1 if wrong else 0.05))), 0.1)
            else:
                served_wrong += wrong
                passed = passed or served_wrong > audit.bound(delta)
        broken += passed
    assert broken <= delta * streams


def stream(policy, judge, rows=1600, seed=1):
    """Ask about 20 topics; return the share of hits and of wrong answers."""
    rng = np.random.default_rng(seed)
    topics = rng.integers(20, size=rows)
    points = rng.normal(size=(20, 8))[topics] + 0.5 * rng.normal(size=(rows, 8))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    stored, hits, wrong = [], 0, 0
    for row in range(rows):
        cosines = points[stored] @ points[row]
        nearest = np.argsort(-cosines)[:16]
        views = [
            CandidateView(str(stored[n]), float(cosines[n]), str(topics[stored[n]]))
            for n in nearest
            if cosines[n] >= policy.reach
        ]
        decision = policy.decide("", views)
        right = decision.key is not None and topics[int(decision.key)] == topics[row]
        if decision.action == "serve":
            hits, wrong = hits + 1, wrong + (not right)
            continue
        if decision.key is not None:
            policy.observe(decision, judge(right, rng))
        stored.append(row)
    return hits / rows, wrong / rows


def erring(right, rng):
    return right != (rng.random() < 0.05)


def test_the_bound_holds_and_the_correction_pays():
    told = stream(OnlinePolicy(max_error=0.05, seed=1, judge_error=0.05), erring)
    untold = stream(OnlinePolicy(max_error=0.05, seed=1), erring)
    oracle = stream(OnlinePolicy(max_error=0.05, seed=1), lambda right, rng: right)
    assert max(told[1], untold[1], oracle[1]) <= 0.05
    assert told[0] > untold[0] + 0.05
    assert told[0] > oracle[0] - 0.1


def test_probabilities_are_observed():
    policy = OnlinePolicy(max_error=0.5, seed=1, judge_error=(0.1, 0.02))
    decision = policy.decide("a", [CandidateView("1", 0.9, "x")])
    with pytest.raises(ValueError, match="correct="):
        policy.observe(decision, 1.5)
    policy.observe(decision, 0.98)
    assert policy.summary()["requests"] == 1
    assert policy._model.count == 1


@pytest.mark.parametrize("wrong", ["0.1", True, (0.1,), (0.1, 0.2, 0.3), None])
def test_a_judge_error_is_a_share_or_a_pair(wrong):
    with pytest.raises(TypeError, match="judge_error="):
        parse_judge_error(wrong)


@pytest.mark.parametrize("wrong", [1.0, -0.1, (0.5, 0.5), (float("nan"), 0.0), 10**400])
def test_a_judge_error_leaves_room_for_the_truth(wrong):
    with pytest.raises(ValueError, match="judge_error="):
        parse_judge_error(wrong)


# ------------------------------------------------------------------ clusters


def test_clusters_are_joined_and_the_oldest_forgotten():
    clusters = Clusters()
    clusters.join("a", "b")
    clusters.join("c", "d")
    assert clusters.name("a") == clusters.name("b") != clusters.name("c")
    clusters.join("d", "a")
    assert len({clusters.name(answer) for answer in "abcd"}) == 1
    assert clusters.name("e") == "e"
    for number in range(9000):
        clusters.join(f"x{number}", f"y{number}")
    assert clusters.name("a") == "a"


def test_answers_that_say_the_same_vote_together_also_after_a_restart():
    policy = OnlinePolicy(max_error=0.5, seed=1)
    near = [
        CandidateView("1", 0.9, "Paris"),
        CandidateView("2", 0.85, "It is Paris."),
        CandidateView("3", 0.92, "Rome"),
    ]
    assert policy.decide("q", near).key == "3"
    policy.report_answer("It is Paris.", True)
    policy.join("Paris", "It is Paris.")
    for again in (policy, OnlinePolicy.from_bytes(policy.to_bytes())):
        decision = again.decide("q", near)
        assert decision.key == "1"
        assert decision.answer == again.cluster("It is Paris.")
        assert again.judge_error == (0.0, 0.0)


def test_a_state_of_version_2_is_read():
    import json
    import zlib

    policy = OnlinePolicy(max_error=0.5, seed=1)
    for number in range(20):
        policy.observe(policy.decide("q", [CandidateView("1", 0.9, f"a{number}")]), number % 2 == 0)
    head, _, body = policy.to_bytes().partition(b"\n")
    document = json.loads(zlib.decompress(body))
    del document["clusters"], document["settings"]["judge_error"], document["counters"]["_explored_judged"]
    old = b"slc-online-2\n" + zlib.compress(json.dumps(document).encode())
    again = OnlinePolicy(max_error=0.5, seed=1)
    again.load(old)
    assert head == b"slc-online-3"
    assert again.summary() == policy.summary()
    assert np.allclose(again._model.weights, policy._model.weights)
    assert again.cluster("a1") == "a1"


def test_another_judge_error_begins_a_new_budget_but_keeps_what_was_learned():
    policy = OnlinePolicy(max_error=0.5, seed=1, judge_error=(0.1, 0.02))
    policy.observe(policy.decide("q", [CandidateView("1", 0.9, "a")]), True)
    again = OnlinePolicy(max_error=0.5, seed=1)
    again.load(policy.to_bytes())
    assert again.summary()["requests"] == 0
    assert np.allclose(again._model.weights, policy._model.weights)
    assert OnlinePolicy.from_bytes(policy.to_bytes()).judge_error == (0.1, 0.02)
