"""The bound of `OnlinePolicy` in made-up worlds: easy, useless, hostile and changing ones, many seeds each."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest

from semantic_llm_cache.matching.online import CandidateView, OnlinePolicy

DIMENSION = 24
REQUESTS = 2000


class World(NamedTuple):
    """Unit vectors in the order of asking, and the right answer of each."""

    vectors: np.ndarray
    answers: list[str]


class Result(NamedTuple):
    hits: int
    wrong: int
    requests: int
    worst: float  # largest running share of wrong answers after a fifth of the stream
    policy: OnlinePolicy


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def clusters(rng: np.random.Generator, n: int, count: int = 40, noise: float = 0.12) -> World:
    """Questions around `count` centres; those of one centre have one answer."""
    centres = unit(rng.normal(size=(count, DIMENSION)))
    which = rng.integers(count, size=n)
    return World(unit(centres[which] + rng.normal(size=(n, DIMENSION)) * noise), [f"a{c}" for c in which])


def no_information(rng: np.random.Generator, n: int) -> World:
    """Clusters, but the answer is a throw of a die with three sides."""
    return World(clusters(rng, n).vectors, [f"a{c}" for c in rng.integers(3, size=n)])


def all_wrong(rng: np.random.Generator, n: int) -> World:
    """Clusters, and no two questions have one answer."""
    return World(clusters(rng, n).vectors, [f"own{i}" for i in range(n)])


def all_right(rng: np.random.Generator, n: int) -> World:
    """Clusters, and every answer is the same."""
    return World(clusters(rng, n).vectors, ["a"] * n)


def drift(rng: np.random.Generator, n: int) -> World:
    """An easy world, and from the middle on one where every near question differs."""
    first, then = clusters(rng, n // 2), all_wrong(rng, n - n // 2)
    return World(np.concatenate([first.vectors, then.vectors]), first.answers + then.answers)


def lulled(rng: np.random.Generator, n: int) -> World:
    """The adversary's order: trust is built on near paraphrases, then each request is a trap like them."""
    easy = clusters(rng, n * 3 // 5, count=20, noise=0.05)
    traps = n - len(easy.answers)
    near = easy.vectors[rng.integers(len(easy.answers), size=traps)]
    vectors = unit(near + rng.normal(size=near.shape) * 0.05)
    return World(np.concatenate([easy.vectors, vectors]), easy.answers + [f"trap{i}" for i in range(traps)])


def pairs(rng: np.random.Generator, n: int) -> World:
    """Questions in pairs at cosine 0.97 and more; half of the second ones have the first's answer."""
    first = unit(rng.normal(size=(n // 2, DIMENSION)))
    second = unit(first + rng.normal(size=first.shape) * 0.02)
    answers = []
    for i, same in enumerate(rng.random(n // 2) < 0.5):
        answers += [f"p{i}", f"p{i}" if same else f"other{i}"]
    return World(np.stack([first, second], axis=1).reshape(-1, DIMENSION), answers)


def run(world: World, policy: OnlinePolicy, k: int = 8) -> Result:
    """A cache in miniature: nearest stored vectors, the policy, and on a miss the right answer is stored."""
    n = len(world.answers)
    stored = np.empty_like(world.vectors)
    ids: list[int] = []
    hits = wrong = 0
    worst = 0.0
    for t, (vector, answer) in enumerate(zip(world.vectors, world.answers, strict=True)):
        cosines = stored[: len(ids)] @ vector
        near = np.flatnonzero(cosines >= policy.floor)
        nearest = near[np.argsort(-cosines[near])][:k].tolist()
        views = [CandidateView(str(ids[i]), float(cosines[i]), world.answers[ids[i]]) for i in nearest]
        decision = policy.decide("", views)
        right = decision.answer == answer
        if decision.action == "serve":
            hits += 1
            wrong += not right
            if t > n // 5:
                worst = max(worst, wrong / (t + 1))
            continue
        if decision.key is not None:
            policy.observe(decision, right)
        stored[len(ids)] = vector
        ids.append(t)
    return Result(hits, wrong, n, worst, policy)


WORLDS = [clusters, no_information, all_wrong, drift, pairs]


@pytest.mark.parametrize("world", WORLDS, ids=lambda w: w.__name__)
@pytest.mark.parametrize("bound", [0.01, 0.05])
def test_wrong_answers_keep_to_the_share_of_requests(
    world: Callable[[np.random.Generator, int], World], bound: float
) -> None:
    for seed in range(3):
        made = world(np.random.default_rng(100 + seed), REQUESTS)
        result = run(made, OnlinePolicy(max_error=bound, floor=0.5, seed=seed))
        assert result.wrong <= bound * result.requests, (seed, result)
        assert result.worst <= bound, (seed, result)


@pytest.mark.parametrize("world", [w for w in WORLDS if w is not drift], ids=lambda w: w.__name__)
def test_wrong_answers_keep_to_the_share_of_hits(
    world: Callable[[np.random.Generator, int], World],
) -> None:
    bound = 0.05
    for seed in range(3):
        made = world(np.random.default_rng(200 + seed), REQUESTS)
        result = run(made, OnlinePolicy(max_error_per_hit=bound, floor=0.5, seed=seed))
        assert result.wrong <= max(bound * result.hits, 5 + 0.5 * bound * result.hits), (seed, result)


@pytest.mark.parametrize("world", [drift, lulled], ids=lambda w: w.__name__)
@pytest.mark.parametrize("bounds", [{"max_error": 0.01}, {"max_error": 0.05}, {"max_error_per_hit": 0.05}], ids=str)
def test_traps_that_look_like_what_was_right_are_noticed_by_exploring(
    world: Callable[[np.random.Generator, int], World], bounds: dict[str, float]
) -> None:
    """Nothing tells trap from paraphrase but the answer: noticing takes some 1 / explore wrong answers."""
    for seed in range(2):
        policy = OnlinePolicy(**bounds, floor=0.5, seed=seed)
        result = run(world(np.random.default_rng(500 + seed), REQUESTS), policy)
        allowed = [
            bounds.get("max_error", 1.0) * result.requests,
            bounds.get("max_error_per_hit", 1.0) * result.hits,
        ]
        assert result.wrong <= min(allowed) + 2 / policy.explore, (seed, result)
        assert result.wrong <= policy.summary()["wrong_most_any"]


def test_where_all_near_answers_are_right_most_are_served() -> None:
    for seed in range(3):
        made = all_right(np.random.default_rng(seed), REQUESTS)
        result = run(made, OnlinePolicy(max_error=0.01, floor=0.5, seed=seed))
        assert result.hits >= 0.65 * result.requests  # the first 400 earn the first wrong answer
        assert result.wrong == 0


def test_an_easy_world_is_served_and_a_useless_one_is_not() -> None:
    easy = run(clusters(np.random.default_rng(1), REQUESTS), OnlinePolicy(max_error=0.02, floor=0.5, seed=1))
    useless = run(all_wrong(np.random.default_rng(1), REQUESTS), OnlinePolicy(max_error=0.02, floor=0.5, seed=1))
    assert easy.hits >= 0.6 * easy.requests
    assert useless.hits <= 0.01 * useless.requests


def test_both_bounds_at_once_are_both_kept() -> None:
    for seed in range(2):
        made = drift(np.random.default_rng(300 + seed), REQUESTS)
        policy = OnlinePolicy(max_error=0.02, max_error_per_hit=0.03, floor=0.5, seed=seed)
        result = run(made, policy)
        assert result.wrong <= 0.02 * result.requests
        assert result.wrong <= max(0.03 * result.hits, 5 + 0.015 * result.hits)


def test_a_change_of_the_traffic_is_noticed() -> None:
    made = drift(np.random.default_rng(7), REQUESTS)
    steady = clusters(np.random.default_rng(7), REQUESTS)
    assert run(made, OnlinePolicy(max_error=0.05, floor=0.5, seed=0)).policy.summary()["alarms"] >= 1
    assert run(steady, OnlinePolicy(max_error=0.05, floor=0.5, seed=0)).policy.summary()["alarms"] == 0


def test_what_was_learned_is_forgotten_when_it_stops_being_true() -> None:
    rng = np.random.default_rng(5)
    hostile, friendly = all_wrong(rng, 1200), all_right(rng, 2 * REQUESTS)
    policy = OnlinePolicy(max_error=0.05, floor=0.5, seed=0)
    before = run(hostile, policy)
    after = run(friendly, policy)
    assert before.hits <= 0.02 * before.requests
    assert after.hits >= 0.4 * after.requests


@pytest.mark.parametrize("world", [clusters, pairs], ids=lambda w: w.__name__)
def test_the_reported_bounds_hold(world: Callable[[np.random.Generator, int], World]) -> None:
    for seed in range(3):
        result = run(
            world(np.random.default_rng(400 + seed), REQUESTS), OnlinePolicy(max_error=0.05, floor=0.5, seed=seed)
        )
        told = result.policy.summary()
        assert told["hits"] == result.hits
        assert told["requests"] == result.requests
        assert result.wrong <= told["wrong_most"]
        assert result.wrong <= told["wrong_most_any"]
        assert math.isfinite(told["wrong"])
