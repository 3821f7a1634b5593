"""`OnlinePolicy`: arguments, decisions and their reasons, learning, state."""

from __future__ import annotations

import threading
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semantic_llm_cache.exceptions import CacheSerializationError
from semantic_llm_cache.matching.online import CandidateView, Decision, OnlinePolicy


def traffic(policy: OnlinePolicy, rng: np.random.Generator, count: int, share: float = 0.98) -> list[Decision]:
    """Ask `count` times with candidates at random cosines; near ones are right with chance `share`."""
    decisions = []
    for _ in range(count):
        cosines = np.sort(rng.uniform(0.5, 1.0, size=3))[::-1]
        answer = "right" if rng.random() < share * min(1.0, 2 * (cosines[0] - 0.45)) else "wrong"
        views = [CandidateView(str(i), float(c), answer, "some words") for i, c in enumerate(cosines)]
        decision = policy.decide("some other words", views)
        if decision.action != "serve" and decision.key is not None:
            policy.observe(decision, decision.answer == "right")
        decisions.append(decision)
    return decisions


def plain(decisions: list[Decision]) -> list[tuple[str, str | None, float, float]]:
    return [(d.action, d.key, d.probability, d.propensity) for d in decisions]


# ---------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("arguments", "error", "named"),
    [
        ({}, ValueError, "max_error"),
        ({"max_error": 0}, ValueError, "max_error=0"),
        ({"max_error": 1.0}, ValueError, "max_error=1.0"),
        ({"max_error": float("nan")}, ValueError, "max_error"),
        ({"max_error": "2%"}, TypeError, "max_error='2%'"),
        ({"max_error": True}, TypeError, "max_error=True"),
        ({"max_error_per_hit": -0.1}, ValueError, "max_error_per_hit=-0.1"),
        ({"max_error": 0.02, "floor": 1.5}, ValueError, "floor=1.5"),
        ({"max_error": 0.02, "seed": 1.5}, TypeError, "seed=1.5"),
        ({"max_error": 0.02, "confidence": 1}, ValueError, "confidence=1"),
        ({"max_error": 0.02, "confidence": None}, TypeError, "confidence=None"),
        ({"max_error": 0.02, "explore": 0.0}, ValueError, "explore=0.0"),
        ({"max_error": 0.02, "explore": "x"}, TypeError, "explore='x'"),
        ({"max_error": 0.02, "extra_features": -1}, ValueError, "extra_features=-1"),
        ({"max_error": 0.02, "extra_features": ("a", "a")}, ValueError, "different names"),
        ({"max_error": 0.02, "extra_features": "names"}, TypeError, "extra_features='names'"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, object], error: type[Exception], named: str) -> None:
    with pytest.raises(error, match=named):
        OnlinePolicy(**arguments)


def test_features_of_another_length_are_refused() -> None:
    policy = OnlinePolicy(max_error=0.02, extra_features=2)
    with pytest.raises(ValueError, match="extra_features=2"):
        policy.decide("q", [CandidateView("k", 0.9, "a", "q", (1.0,))])
    assert policy.decide("q", [CandidateView("k", 0.9, "a", "q", (1.0, 0.0))]).key == "k"


# ---------------------------------------------------------------- decisions


def test_without_candidates_or_under_the_floor_it_is_a_miss_that_says_why() -> None:
    policy = OnlinePolicy(max_error=0.02, floor=0.7)
    empty = policy.decide("q", [])
    assert (empty.action, empty.key, empty.reason) == ("miss", None, "no entries in scope")
    far = policy.decide("q", [CandidateView("k", 0.4, "a")])
    assert (far.action, far.key, far.reason) == ("miss", None, "nearest 0.400 < 0.7")
    with pytest.raises(ValueError, match="no candidate"):
        policy.observe(far, True)


def test_under_the_floor_entries_are_compared_and_never_served() -> None:
    policy = OnlinePolicy(max_error=0.2, floor=0.9, seed=0)
    assert policy.reach == 0.5
    for _ in range(600):
        decision = policy.decide("q", [CandidateView("k", 0.89, "a", "q")])
        assert (decision.action, decision.key, decision.reason) == ("miss", "k", "nearest 0.890 < 0.9")
        policy.observe(decision, True)


def test_witnesses_under_the_floor_vote() -> None:
    policy = OnlinePolicy(max_error=0.05, floor=0.7, seed=0)
    near = CandidateView("near", 0.8, "a")
    alone = policy.decide("q", [near])
    backed = policy.decide("q", [near, CandidateView("w", 0.6, "a"), CandidateView("v", 0.6, "a")])
    opposed = policy.decide("q", [near, CandidateView("w", 0.65, "b"), CandidateView("v", 0.6, "b")])
    assert backed.probability > alone.probability > opposed.probability


def test_a_candidate_at_the_floor_counts() -> None:
    policy = OnlinePolicy(max_error=0.02, floor=0.7)
    assert policy.decide("q", [CandidateView("k", 0.7 - 1e-7, "a")]).key == "k"


def test_nothing_is_served_before_anything_was_learned() -> None:
    for bound in ({"max_error": 0.05}, {"max_error_per_hit": 0.05}):
        decision = OnlinePolicy(**bound, seed=0).decide("q", [CandidateView("k", 1.0, "a", "q")])
        assert decision.action == "miss"
        assert decision.key == "k"
        assert "learning" in decision.reason or "wrong" in decision.reason


def test_a_kind_world_is_served_in_time_and_explored_as_often_as_said() -> None:
    policy = OnlinePolicy(max_error=0.05, floor=0.5, seed=3)
    decisions = traffic(policy, np.random.default_rng(0), 3000, share=1.0)[1000:]
    would = [d for d in decisions if d.propensity > 0]
    explored = sum(d.action == "explore" for d in would)
    expected = sum(d.propensity for d in would)
    assert len(would) > 500
    assert abs(explored - expected) < 4 * expected**0.5
    assert all(d.propensity >= policy.explore for d in would)
    assert all("sure" in d.reason for d in would if d.action == "serve")


def test_a_bound_per_hit_rehearses_before_it_serves() -> None:
    policy = OnlinePolicy(max_error_per_hit=0.05, floor=0.5, seed=3)
    decisions = traffic(policy, np.random.default_rng(0), 3000, share=1.0)
    first = next(i for i, d in enumerate(decisions) if d.action == "serve")
    rehearsed = [d for d in decisions[:first] if d.action == "explore"]
    assert len(rehearsed) >= 80  # 4 / bound
    assert all(d.propensity == 1.0 and "rehearsing" in d.reason for d in rehearsed)


def test_requests_are_counted_once_each() -> None:
    policy = OnlinePolicy(max_error=0.05, floor=0.5, seed=3)
    decisions = traffic(policy, np.random.default_rng(0), 500)
    policy.count_exact()
    policy.count_exact(9)
    told = policy.summary()
    assert (told["requests"], told["exact"]) == (510, 10)
    assert told["hits"] == sum(d.action == "serve" for d in decisions)
    assert told["explored"] == sum(d.action == "explore" for d in decisions)


def test_guard_features_are_learned() -> None:
    """Two candidates that differ only in a guard's verdict, which decides who is right."""
    policy = OnlinePolicy(max_error=0.05, floor=0.5, seed=0, extra_features=1)
    for i in range(400):
        differs = float(i % 2)
        decision = policy.decide("a b", [CandidateView("k", 0.9, "a", "a b", (differs,))])
        if decision.action != "serve":
            policy.observe(decision, differs == 0.0)
    good = policy.decide("a b", [CandidateView("k", 0.9, "a", "a b", (0.0,))])
    bad = policy.decide("a b", [CandidateView("k", 0.9, "a", "a b", (1.0,))])
    assert good.probability > 0.9
    assert bad.probability < 0.1


# ---------------------------------------------------------------- learning


def served(policy: OnlinePolicy) -> Decision:
    for decision in traffic(policy, np.random.default_rng(1), 4000, share=1.0)[::-1]:
        if decision.action == "serve" and not decision.settled:
            return decision
    raise AssertionError("nothing was served")


def test_a_report_moves_the_budget_once() -> None:
    policy = OnlinePolicy(max_error=0.05, floor=0.5, seed=0)
    decision = served(policy)
    before = policy.summary()["wrong"]
    policy.report(decision, False)
    after = policy.summary()["wrong"]
    assert after == pytest.approx(before + decision.probability, rel=0.2)
    policy.report(decision, False)
    policy.report(decision, True)
    assert policy.summary()["wrong"] == after


def test_a_right_report_gives_back_what_the_hit_had_cost() -> None:
    policy = OnlinePolicy(max_error=0.05, floor=0.5, seed=0)
    decision = served(policy)
    before = policy.summary()["wrong"]
    policy.report(decision, True)
    assert policy.summary()["wrong"] < before


def test_a_report_by_answer_counts() -> None:
    policy = OnlinePolicy(max_error=0.05, floor=0.5, seed=0)
    served(policy)
    before = policy.summary()["wrong"]
    policy.report_answer("right", False)
    assert policy.summary()["wrong"] >= before + 1.0


def test_reports_on_what_was_not_served_change_nothing() -> None:
    policy = OnlinePolicy(max_error=0.05)
    decision = policy.decide("q", [CandidateView("k", 0.9, "a")])
    before = policy.to_bytes()
    policy.report(decision, False)
    assert policy.to_bytes() == before


def test_an_outcome_is_learned_once() -> None:
    policy = OnlinePolicy(max_error=0.05, seed=0)
    decision = policy.decide("q", [CandidateView("k", 0.9, "a")])
    policy.observe(decision, True)
    before = policy.to_bytes()
    policy.observe(decision, True)
    assert policy.to_bytes() == before


def test_in_shadow_what_would_have_been_served_is_counted_as_it_came_out() -> None:
    policy = OnlinePolicy(max_error=0.05, floor=0.5, seed=0)
    decision = served(policy)
    before = policy.summary()["wrong"]
    policy.observe(decision, False)
    assert policy.summary()["wrong"] > before + 0.5


def test_an_answer_that_was_wrong_before_is_trusted_less() -> None:
    policy = OnlinePolicy(max_error=0.05, floor=0.5, seed=0)
    rng = np.random.default_rng(0)
    for _ in range(1500):
        name = f"{'good' if rng.random() < 0.5 else 'bad'}{rng.integers(20)}"
        decision = policy.decide("q", [CandidateView("k", 0.85, name, "q")])
        if decision.action != "serve":
            policy.observe(decision, name.startswith("good"))
    good, bad = (policy.decide("q", [CandidateView("k", 0.85, name, "q")]) for name in ("good3", "bad3"))
    assert good.probability > 0.9 > 0.2 > bad.probability


# ---------------------------------------------------------------- draws and state


def test_equal_seeds_decide_alike_and_others_do_not() -> None:
    def actions(seed: int) -> list[tuple[str, str | None, float, float]]:
        policy = OnlinePolicy(max_error=0.05, floor=0.5, seed=seed)
        return plain(traffic(policy, np.random.default_rng(0), 1500))

    assert actions(1) == actions(1)
    assert actions(1) != actions(2)


@pytest.mark.parametrize(
    "bounds",
    [{"max_error": 0.05}, {"max_error_per_hit": 0.1}, {"max_error": 0.05, "max_error_per_hit": 0.1}],
    ids=str,
)
def test_a_restart_changes_no_decision(bounds: dict[str, float]) -> None:
    whole = OnlinePolicy(**bounds, floor=0.5, seed=5)
    rng = np.random.default_rng(0)
    traffic(whole, rng, 1200)
    restarted = OnlinePolicy.from_bytes(whole.to_bytes())
    assert restarted.summary() == whole.summary()
    assert (restarted.max_error, restarted.floor, restarted.seed) == (whole.max_error, 0.5, 5)
    again = np.random.default_rng(9)
    first = plain(traffic(whole, again, 800))
    assert plain(traffic(restarted, np.random.default_rng(9), 800)) == first
    assert restarted.to_bytes() == whole.to_bytes()


def test_the_state_is_small() -> None:
    policy = OnlinePolicy(max_error=0.05, floor=0.5, seed=5)
    for i in range(6000):  # more answers than records are kept
        decision = policy.decide("q", [CandidateView("k", 0.8, f"answer {i}", "q")])
        if decision.action != "serve":
            policy.observe(decision, i % 2 == 0)
    assert len(policy.to_bytes()) < 80_000


def test_another_bound_keeps_the_knowledge_and_starts_a_new_budget() -> None:
    old = OnlinePolicy(max_error=0.05, floor=0.5, seed=5)
    traffic(old, np.random.default_rng(0), 1500)
    new = OnlinePolicy.from_bytes(old.to_bytes(), max_error=0.01)
    assert (new.summary()["requests"], new.summary()["hits"], new.summary()["price"]) == (0, 0, 0.0)
    views = [CandidateView("k", 0.9, "right", "q")]
    assert new.decide("q", views).probability == pytest.approx(old.decide("q", views).probability)


def test_without_a_seed_two_processes_draw_their_own() -> None:
    old = OnlinePolicy(max_error=0.05, floor=0.5)
    a, b = OnlinePolicy.from_bytes(old.to_bytes()), OnlinePolicy.from_bytes(old.to_bytes())
    assert plain(traffic(a, np.random.default_rng(0), 1500)) != plain(traffic(b, np.random.default_rng(0), 1500))


def test_a_state_of_another_version_or_shape_is_refused() -> None:
    state = OnlinePolicy(max_error=0.05).to_bytes()
    with pytest.raises(CacheSerializationError, match="version"):
        OnlinePolicy(max_error=0.05).load(b"slc-online-99\n" + state.partition(b"\n")[2])
    with pytest.raises(CacheSerializationError, match="extra_features=0"):
        OnlinePolicy(max_error=0.05, extra_features=3).load(state)
    bomb = b"slc-online-1\n" + zlib.compress(b" " * 40_000_000)
    with pytest.raises(CacheSerializationError, match="damaged"):
        OnlinePolicy(max_error=0.05).load(bomb)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_state_is_an_error_and_changes_nothing(data: st.DataObject) -> None:
    policy = OnlinePolicy(max_error=0.05, floor=0.5, seed=5)
    traffic(policy, np.random.default_rng(0), 30)
    before = policy.to_bytes()
    kind = data.draw(st.sampled_from(["cut", "flip", "noise"]))
    if kind == "cut":
        damaged = before[: data.draw(st.integers(0, len(before) - 1))]
    elif kind == "flip":
        at = data.draw(st.integers(0, len(before) - 1))
        damaged = before[:at] + bytes([before[at] ^ (1 << data.draw(st.integers(0, 7)))]) + before[at + 1 :]
    else:
        damaged = data.draw(st.binary(max_size=200))
    try:
        policy.load(damaged)
    except CacheSerializationError:
        assert policy.to_bytes() == before


def test_threads_share_one_policy() -> None:
    policy = OnlinePolicy(max_error=0.05, floor=0.5, seed=5)
    errors: list[BaseException] = []

    def work(seed: int) -> None:
        try:
            traffic(policy, np.random.default_rng(seed), 300)
            policy.count_exact()
            OnlinePolicy.from_bytes(policy.to_bytes())
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert policy.summary()["requests"] == 4 * 301
