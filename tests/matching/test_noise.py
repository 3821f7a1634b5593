"""The noise of a model: measured from pairs of fresh answers, and allowed for without breaking the bound."""

import json
import math
import zlib

import numpy as np
import pytest

from semantic_llm_cache.matching.online import CandidateView, OnlinePolicy
from semantic_llm_cache.matching.online.budget import Audit
from semantic_llm_cache.matching.online.labels import JudgeError
from semantic_llm_cache.matching.online.noise import Noise, parse_noise

# ------------------------------------------------------------------ what is proven


@pytest.mark.parametrize("allowed", [0.02, 0.1, 0.3, 0.5])
@pytest.mark.parametrize("differs", [0.0, 0.05, 0.2, 0.6])
@pytest.mark.parametrize("p", [0.025, 0.1, 0.6])
def test_a_right_answer_adds_no_more_to_the_audit_than_was_allowed_too_much(allowed, differs, p):
    """E[exp(l Y (1 - E) - A)] <= exp(c (1 - p) (b - D)) for right answers, and <= 1 for wrong ones."""
    widest, error = JudgeError(0.16, 0.5), JudgeError(0.16, allowed)
    audit = Audit(0.025, widest, (1.0, 4.0, 16.0))
    assert len(audit.rates) == 3
    for rate in audit.rates:
        steps = [math.exp(-error.audit_step(said, p, rate)) for said in (1.0, 0.0)]
        right = (1 - p) + p * (differs * steps[0] + (1 - differs) * steps[1])
        drift = math.expm1(rate) * (1 - p) * (allowed - differs) / error.slope
        assert right <= math.exp(drift) + 1e-12
        assert right == pytest.approx(1.0 + drift)
        wrong = (1 - p) * math.exp(rate) + p * (0.84 * steps[0] + 0.16 * steps[1])
        assert wrong == pytest.approx(1.0)


def test_every_answer_differs_from_a_fresh_one_at_least_half_as_often_as_two_fresh_ones():
    rng = np.random.default_rng(1)
    for _ in range(200):
        shares = rng.dirichlet(np.full(rng.integers(1, 6), 0.5))
        noise = 1.0 - float(shares @ shares)
        assert (1.0 - shares).min() >= noise / 2 - 1e-12


def test_the_interval_holds_at_all_times_also_when_the_noise_changes():
    rng = np.random.default_rng(3)
    below = above = 0
    for _ in range(100):
        noise, mean = Noise("measure"), 0.0
        passed = [False, False]
        for number in range(1, 300):
            share = 0.3 if number < 100 else 0.1
            mean += share
            noise.add(float(rng.random() < share))
            low, high = noise.interval
            passed[0] = passed[0] or low > mean / number
            passed[1] = passed[1] or high < mean / number
        below, above = below + passed[0], above + passed[1]
    assert below <= 5
    assert above <= 5


def test_the_audit_holds_where_answers_are_noisy():
    """Prompts of very different noise: only its mean is known."""
    rng = np.random.default_rng(2)
    delta, broken, streams = 0.1, 0, 150
    for _ in range(streams):
        audit, served, passed = Audit(0.1, JudgeError(0.0, 0.25), (1.0, 4.0)), 0, False
        for t in range(400):
            wrong = t % 10 < 3
            differs = 1.0 if wrong else 0.5 * (t % 2)  # 0.25 on average
            if rng.random() < 0.1:
                audit.explored(float(rng.random() < differs), 0.1, JudgeError(0.0, 0.25))
            else:
                served += wrong
                passed = passed or served > audit.bound(delta)
        broken += passed
    assert broken <= delta * streams


# ------------------------------------------------------------------ the policy


def stream(policy, noise, rows=3000, topics=40, seed=1):
    """Ask about topics. A fresh answer is the topic's usual one, or with `noise(row, nearness)` one of three others.

    Returns the shares of hits, and of answers served to another topic; and how many calls were made twice.
    """
    rng = np.random.default_rng(seed)
    topic = rng.integers(topics, size=rows)
    points = rng.normal(size=(topics, 8))[topic] + 0.5 * rng.normal(size=(rows, 8))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    stored, answers = [], {}
    hits = wrong = twice = 0
    for row in range(rows):
        cosines = points[stored] @ points[row]
        near = np.argsort(-cosines)[:16]
        views = [
            CandidateView(str(stored[n]), float(cosines[n]), str(answers[stored[n]]))
            for n in near
            if cosines[n] >= policy.reach
        ]
        share = noise(row, max(cosines, default=0.0))

        def fresh(row=row, share=share):
            return topic[row], rng.integers(1, 4) if rng.random() < share else 0

        decision = policy.decide("", views)
        if decision.action == "serve":
            hits, wrong = hits + 1, wrong + (answers[int(decision.key)][0] != topic[row])
            continue
        answers[row] = fresh()
        if decision.key is not None:
            policy.observe(decision, answers[row] == answers[int(decision.key)])
            if decision.twice:
                policy.observe_noise(decision, fresh() == answers[row])
                twice += 1
        stored.append(row)
    return hits / rows, wrong / rows, twice


def test_allowing_for_noise_gives_hits_back_within_the_bound():
    def noisy(row, nearness):
        return 0.1

    without = stream(OnlinePolicy(max_error=0.05, seed=1), noisy)
    measured = stream(OnlinePolicy(max_error=0.05, seed=1, noise="measure"), noisy)
    given = stream(OnlinePolicy(max_error=0.05, seed=1, noise=0.187), noisy)
    assert max(without[1], measured[1], given[1]) <= 0.05
    assert measured[0] > without[0]
    assert given[0] > without[0] + 0.15
    assert without[2] == given[2] == 0
    assert 90 <= measured[2] <= 200


def test_a_model_without_noise_loses_nothing():
    def exact(row, nearness):
        return 0.0

    without = stream(OnlinePolicy(max_error=0.05, seed=1), exact, rows=2000)
    policy = OnlinePolicy(max_error=0.05, seed=1, noise="measure")
    measured = stream(policy, exact, rows=2000)
    assert measured[0] > without[0] - 0.03
    assert measured[1] <= 0.05
    assert policy.summary()["noise"] == 0.0
    assert policy.summary()["noise_allowed"] == 0.0


@pytest.mark.parametrize(
    "noise",
    [
        pytest.param(lambda row, nearness: 0.0 if row > 1500 else 0.25, id="it ends"),
        pytest.param(lambda row, nearness: 0.0 if nearness > 0.95 else 0.25, id="doubtful prompts only"),
        pytest.param(lambda row, nearness: 0.6 * (row % 4 == 0), id="some prompts only"),
    ],
)
def test_the_bound_holds_where_noise_is_uneven(noise):
    hits, wrong, _ = stream(OnlinePolicy(max_error=0.05, seed=1, noise="measure"), noise, rows=3000)
    assert wrong <= 0.05
    assert hits > 0.1


# ------------------------------------------------------------------ what is kept and said


def noisy_policy(**options):
    policy = OnlinePolicy(max_error=0.5, seed=1, noise="measure", **options)
    for number in range(60):
        decision = policy.decide("a", [])
        decision.twice = True
        policy.observe_noise(decision, number % 3 > 0)
    stream(policy, lambda row, nearness: 0.2, rows=500, topics=5)
    return policy


def test_the_noise_is_saved_and_reported():
    policy = noisy_policy()
    told = policy.summary()
    low, high = told["noise_interval"]
    assert 0.0 < low < told["noise"] < high <= 1.0
    assert told["noise_pairs"] > 10
    assert told["noise_allowed"] > 0.0
    again = OnlinePolicy.from_bytes(policy.to_bytes())
    assert again.noise == "measure"
    assert again.summary() == told
    assert again.to_bytes() == policy.to_bytes()
    assert "noise" not in OnlinePolicy(max_error=0.5).summary()


def test_a_budget_without_noise_is_not_continued_with_it_but_the_pairs_are_kept():
    policy = noisy_policy()
    other = OnlinePolicy(max_error=0.5, seed=1, noise=0.2)
    other.load(policy.to_bytes())
    assert other.summary()["requests"] == 0
    back = OnlinePolicy(max_error=0.5, seed=1, noise="measure")
    back.load(other.to_bytes())
    assert back.summary()["noise_pairs"] == policy.summary()["noise_pairs"]


def test_a_state_from_before_there_was_noise_is_read():
    policy = OnlinePolicy(max_error=0.5, seed=1)
    stream(policy, lambda row, nearness: 0.0, rows=200, topics=5)
    head, _, body = policy.to_bytes().partition(b"\n")
    document = json.loads(zlib.decompress(body))
    del document["noise"], document["more_audit"], document["settings"]["noise"], document["counters"]["_noise_allowed"]
    again = OnlinePolicy.from_bytes(head + b"\n" + zlib.compress(json.dumps(document).encode()))
    assert again.to_bytes() == policy.to_bytes()


def test_a_pair_is_counted_once_and_only_where_it_was_asked_for():
    policy = OnlinePolicy(max_error=0.5, seed=1)
    decision = policy.decide("a", [CandidateView("1", 0.9, "x")])
    with pytest.raises(ValueError, match="second answer"):
        policy.observe_noise(decision, True)
    decision.twice = True
    with pytest.raises(ValueError, match="same="):
        policy.observe_noise(decision, 1.5)
    policy.observe_noise(decision, True)
    assert not decision.twice


def test_old_pairs_fade():
    noise = Noise("measure")
    for _ in range(399):
        noise.add(1.0)
    assert noise.summary()["noise_pairs"] == 399
    assert noise.asks == 0.25
    noise.add(0.0)
    assert noise.summary()["noise_pairs"] == 200
    noise.forget(0.02)
    assert noise.asks == 1.0


@pytest.mark.parametrize("wrong", ["often", True, (0.1, 0.2), b"measure"])
def test_the_setting_is_a_share_or_a_word(wrong):
    with pytest.raises(TypeError, match="noise="):
        parse_noise(wrong)


@pytest.mark.parametrize("wrong", [1.1, -0.1, float("nan")])
def test_a_share_lies_between_0_and_1(wrong):
    with pytest.raises(ValueError, match="noise="):
        parse_noise(wrong)
