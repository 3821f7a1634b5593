"""A saved error budget keeps what it has learned when guards come and go."""

import json
import zlib
from pathlib import Path

import numpy as np
import pytest

from semantic_llm_cache.exceptions import CacheSerializationError
from semantic_llm_cache.matching.guards import DEFAULT_GUARDS
from semantic_llm_cache.matching.online import CandidateView, OnlinePolicy

DATA = Path(__file__).parent / "data"
SAVED = (DATA / "budget_version_1.bin").read_bytes()
"""Saved by the code of version 1 of the form, after 1,500 decisions with the 22 guards of that time."""
TOLD = json.loads((DATA / "budget_version_1.json").read_text())


def view(names: tuple[str, ...], similarity: float, objecting: list[str]) -> CandidateView:
    return CandidateView("k", similarity, "new answer", "what is it", tuple(float(n in objecting) for n in names))


def probability(policy: OnlinePolicy, similarity: float, objecting: list[str]) -> float:
    names = policy.extra_names or ()
    return policy.decide("what is it", [view(names, similarity, objecting)]).probability


def loaded(names: tuple[str, ...]) -> OnlinePolicy:
    policy = OnlinePolicy(max_error=0.05, floor=0.5, seed=5, extra_features=names)
    policy.load(SAVED)
    return policy


def test_the_guards_of_version_1_are_still_there_in_their_order() -> None:
    assert [name for name in DEFAULT_GUARDS if name in TOLD["guards"]] == TOLD["guards"]


@pytest.mark.parametrize("case", TOLD["cases"], ids=str)
def test_a_budget_of_version_1_decides_as_it_did(case: dict) -> None:
    policy = loaded(DEFAULT_GUARDS)
    assert policy.summary() == pytest.approx(TOLD["summary"])
    assert probability(policy, case["similarity"], case["objecting"]) == pytest.approx(case["probability"], abs=1e-9)


def test_a_guard_that_it_never_knew_begins_with_its_prior() -> None:
    policy, fresh = loaded(DEFAULT_GUARDS), OnlinePolicy(max_error=0.05, extra_features=DEFAULT_GUARDS)
    size = len(policy._model.weights)
    for name in set(DEFAULT_GUARDS) - set(TOLD["guards"]):
        at = size - len(DEFAULT_GUARDS) + DEFAULT_GUARDS.index(name)
        assert policy._model.weights[at] == pytest.approx(fresh._model.weights[at])
        assert policy._model.covariance[at, at] == pytest.approx(fresh._model.covariance[at, at])
        assert not np.delete(policy._model.covariance[at], at).any()


@pytest.mark.parametrize("at", [0, 5, len(DEFAULT_GUARDS)])
def test_a_guard_of_tomorrow_does_not_make_a_budget_of_version_1_unreadable(at: int) -> None:
    policy = loaded((*DEFAULT_GUARDS[:at], "of tomorrow", *DEFAULT_GUARDS[at:]))
    assert policy.summary() == pytest.approx(TOLD["summary"])
    case = TOLD["cases"][0]
    assert probability(policy, case["similarity"], case["objecting"]) == pytest.approx(case["probability"], abs=1e-9)


def test_it_is_saved_with_names_and_then_read_alike() -> None:
    policy = loaded(DEFAULT_GUARDS)
    again = OnlinePolicy.from_bytes(policy.to_bytes())
    assert again.extra_names == DEFAULT_GUARDS
    assert again.to_bytes() == policy.to_bytes()


def test_guards_taken_away_added_and_in_another_order_keep_what_is_known_of_the_others() -> None:
    policy = loaded(DEFAULT_GUARDS)
    fewer = tuple(name for name in reversed(DEFAULT_GUARDS) if name != "emoji")
    other = OnlinePolicy(max_error=0.05, floor=0.5, seed=5, extra_features=("a new one", *fewer))
    other.load(policy.to_bytes())
    for case in TOLD["cases"]:
        if "emoji" not in case["objecting"]:
            found = probability(OnlinePolicy.from_bytes(other.to_bytes()), case["similarity"], case["objecting"])
            assert found == pytest.approx(case["probability"], abs=0.02)
    assert other.summary()["requests"] == TOLD["summary"]["requests"]


def test_a_guard_of_ones_own_may_bear_the_name_of_a_built_in_feature() -> None:
    policy = OnlinePolicy(max_error=0.05, seed=1, extra_features=("margin", "mine"))
    assert OnlinePolicy.from_bytes(policy.to_bytes()).to_bytes() == policy.to_bytes()


def test_ones_own_guards_of_version_1_are_taken_over_where_their_number_fits() -> None:
    own = ("mine", *(f"own {i}" for i in range(21)))
    assert loaded(own).summary()["requests"] == TOLD["summary"]["requests"]
    with pytest.raises(CacheSerializationError, match="extra_features=22"):
        loaded(own[1:])


@pytest.mark.parametrize("names", [["a", "a"], ["a"], 7])
def test_damaged_names_are_refused(names: object) -> None:
    policy = OnlinePolicy(max_error=0.05, extra_features=("a", "b"))
    head, _, body = policy.to_bytes().partition(b"\n")
    state = json.loads(zlib.decompress(body))
    state["extra_names"] = names
    with pytest.raises(CacheSerializationError, match="damaged"):
        policy.load(head + b"\n" + zlib.compress(json.dumps(state).encode()))
