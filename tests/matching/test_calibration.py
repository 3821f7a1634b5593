"""Thresholds on data whose best threshold is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semantic_llm_cache.matching.calibration import LOWEST, Cases, calibrate, log_cases, make_folds
from semantic_llm_cache.matching.replay import Answers, Log


def drawn(rows, wrong_at, seed=0):
    """Cases with similarities uniform in [0.5, 1], wrong with probability `wrong_at(similarity)`."""
    rng = np.random.default_rng(seed)
    similarity = rng.uniform(0.5, 1.0, rows)
    return Cases(similarity, rng.random(rows) >= wrong_at(similarity))


def linear(similarity):
    """Wrong with 40 % at 0.5, falling to 0 at 1: the share of wrong ones above t is 0.4 (1 - t)."""
    return 0.8 * (1.0 - similarity)


# ------------------------------------------------------------------------------ the known best


@pytest.mark.parametrize(("target", "best"), [(0.1, 0.75), (0.05, 0.875), (0.02, 0.95)])
def test_the_threshold_is_the_known_best_one(target, best):
    result = calibrate(drawn(200_000, linear, seed=1), make_folds(200_000, 5, seed=2), target=target)
    assert result.threshold == pytest.approx(best, abs=0.02)
    low, high = result.interval
    assert low <= result.threshold <= high
    assert low - 0.005 <= best <= high + 0.005
    assert high - low < 0.06
    assert result.held_out.wrong_share <= target
    low, high = result.held_out_interval
    assert low <= result.held_out.wrong_share <= high
    # 0.4 (1 - t) of those above t are wrong, and those above t are 2 (1 - t) of all.
    point = result.at(best)
    assert point.hits / result.rows == pytest.approx(2 * (1 - best), abs=0.01)
    assert point.wrong_share == pytest.approx(0.4 * (1 - best), abs=0.005)


def test_a_clean_step_is_found_to_the_third_digit():
    similarity = np.linspace(0.5, 1.0, 5001)
    cases = Cases(similarity, similarity >= 0.8)
    result = calibrate(cases, make_folds(5001, 4, seed=0), target=0.001)
    assert result.threshold == 0.8
    assert result.by_fold == (0.8,) * 4
    assert (result.held_out.hits, result.held_out.wrong) == (int(cases.right.sum()), 0)


def test_where_few_rows_leave_the_edge_unclear_a_margin_is_kept():
    """With gaps in the data, the lowest threshold without a wrong hit in four folds has some in the fifth."""
    similarity = np.linspace(0.5, 1.0, 300)
    result = calibrate(Cases(similarity, similarity >= 0.8), make_folds(300, 5, seed=1), target=0.001)
    assert result.margin > 0
    assert 0.8 <= result.threshold <= 0.81
    assert (result.level, result.held_out.wrong) == (0.0, 0)


def test_when_all_is_right_the_lowest_threshold_does():
    cases = Cases(np.linspace(0.3, 1, 100), np.ones(100, dtype=bool))
    result = calibrate(cases, make_folds(100, 5, seed=0), target=0.01)
    assert result.threshold == LOWEST
    assert result.interval == (LOWEST, LOWEST)


def test_when_nothing_meets_the_target_it_says_so_and_what_comes_nearest():
    result = calibrate(drawn(20_000, lambda s: 0.3 + 0 * s), make_folds(20_000, 5, seed=0), target=0.001)
    # A few lucky ones at the very top may do; never enough to be taken for more than luck.
    assert result.threshold is None or result.held_out.hits < 60
    none = Cases(np.linspace(0.5, 1, 100), np.zeros(100, dtype=bool))
    result = calibrate(none, make_folds(100, 5, seed=0), target=0.01)
    assert (result.threshold, result.interval, result.level, result.margin) == (None, None, None, 0.0)
    assert result.by_fold == (None,) * 5
    assert result.best.wrong_share == 1.0
    assert result.held_out.hits == 0


def test_no_case_at_all_has_no_best():
    cases = Cases(np.full(10, -1.0), np.zeros(10, dtype=bool))
    result = calibrate(cases, make_folds(10, 2, seed=0), target=0.01)
    assert (result.threshold, result.best) == (None, None)


# ------------------------------------------------------------------------------ held-out rows


def test_a_threshold_is_judged_by_rows_that_had_no_part_in_it():
    """In the last fold alone, everything is wrong: it must be served, and counted, all the same."""
    similarity = np.tile(np.linspace(0.6, 1.0, 500), 2)
    right = np.ones(1000, dtype=bool)
    folds = make_folds(1000, 2)
    right[folds == 1] = False
    # The threshold by the good fold is 0.5 and the bad one has none; half of the hits are wrong in all.
    result = calibrate(Cases(similarity, right), folds, target=0.4)
    assert result.threshold is None
    # Where the bad part is small enough for the target, it is in the figure.
    right = np.ones(1000, dtype=bool)
    right[500:550] = False  # the lowest similarities of the second fold
    result = calibrate(Cases(similarity, right), folds, target=0.2)
    assert result.by_fold == (LOWEST, LOWEST)
    assert (result.held_out.hits, result.held_out.wrong) == (1000, 50)


def test_on_held_out_rows_the_target_is_met_over_many_draws():
    """Choosing and judging on the same rows is too kind; over draws, fresh rows must keep to the target."""
    target, naive, crossed = 0.05, [], []
    fresh = drawn(200_000, linear, seed=99)
    for seed in range(25):
        cases = drawn(600, linear, seed=seed)
        result = calibrate(cases, make_folds(600, 5, seed=seed), target=target, seed=seed)
        first = next(p.threshold for p in result.curve if p.hits and p.wrong <= target * p.hits)
        for thresholds, into in ((first, naive), (result.threshold, crossed)):
            if thresholds is not None:
                hits = fresh.similarity >= thresholds
                into.append(float((~fresh.right[hits]).mean()))
    assert len(crossed) >= 22
    assert np.mean(naive) > target
    assert np.mean(crossed) < np.mean(naive)
    assert np.mean(crossed) < target * 1.05


@given(
    seed=st.integers(0, 10_000),
    rows=st.integers(10, 300),
    folds=st.integers(2, 5),
    target=st.sampled_from([0.01, 0.1, 0.5]),
)
@settings(max_examples=40, deadline=None)
def test_what_is_reported_agrees_with_a_count_by_hand(seed, rows, folds, target):
    cases = drawn(rows, linear, seed=seed)
    places = make_folds(rows, folds, seed=seed)
    result = calibrate(cases, places, target=target)
    for point in (result.curve[0], result.at(0.8), result.curve[-1]):
        reached = cases.similarity >= point.threshold - 1e-6
        assert (point.hits, point.wrong) == (int(reached.sum()), int((reached & ~cases.right).sum()))
    hits = wrong = 0
    for fold, threshold in enumerate(result.by_fold):
        if threshold is None:
            continue
        inside = (places == fold) & (cases.similarity >= threshold - 1e-6)
        outside = (places != fold) & (cases.similarity >= threshold - 1e-6)
        hits, wrong = hits + int(inside.sum()), wrong + int((inside & ~cases.right).sum())
        assert (outside & ~cases.right).sum() <= result.level * outside.sum() + 1e-9
    assert (result.held_out.hits, result.held_out.wrong) == (hits, wrong)
    if result.threshold is not None:
        assert wrong <= target * hits
        assert result.at(result.threshold).wrong_share <= target
        assert 0 <= result.interval[0] <= result.interval[1] <= 1
    assert result.right == int(cases.right.sum())


def test_a_seed_repeats_the_interval():
    cases, folds = drawn(2000, linear), make_folds(2000, 5, seed=1)
    one, same, other = (calibrate(cases, folds, target=0.1, seed=seed).interval for seed in (1, 1, 2))
    assert one == same
    assert one != other


# ------------------------------------------------------------------------------ folds and bad input


def test_folds_are_stretches_without_a_seed_and_drawn_with_one():
    assert make_folds(6, 3).tolist() == [0, 0, 1, 1, 2, 2]
    drawn_ = make_folds(1000, 5, seed=1)
    assert np.bincount(drawn_).tolist() == [200] * 5
    assert drawn_.tolist() != sorted(drawn_.tolist())
    assert drawn_.tolist() == make_folds(1000, 5, seed=1).tolist()


@pytest.mark.parametrize(("rows", "count", "said"), [(10, 1, "at least 2"), (3, 5, "need at least 5 rows")])
def test_impossible_folds_are_refused(rows, count, said):
    with pytest.raises(ValueError, match=said):
        make_folds(rows, count)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"target": 0.0}, "target=0.0"),
        ({"target": 1.0}, "target=1.0"),
        ({"folds": np.zeros(10, dtype=np.int64)}, "at least two folds"),
        ({"folds": np.zeros(9, dtype=np.int64)}, "one value per row"),
        ({"cases": Cases(np.full(10, np.nan), np.ones(10, dtype=bool))}, "finite"),
    ],
)
def test_bad_input_is_named(change, said):
    given_ = {
        "cases": Cases(np.linspace(0.5, 1, 10), np.ones(10, dtype=bool)),
        "folds": make_folds(10, 2),
        "target": 0.1,
    }
    given_.update(change)
    with pytest.raises(ValueError, match=said):
        calibrate(given_["cases"], given_["folds"], target=given_["target"])


# ------------------------------------------------------------------------------ cases of a log


def angle(*degrees):
    radians = np.radians(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


def test_each_row_of_a_log_is_compared_with_the_nearest_earlier_one():
    prompts = ["a", "b", "a", "far", "c"]
    answers = Answers(["1", "2", "1", "3", "1"])
    vectors = angle(0, 30, 0, 170, 10)
    bare, guarded, repeats = log_cases(Log(prompts, answers, vectors), lambda a, b: None)
    assert repeats.tolist() == [False, False, True, False, False]
    assert bare.similarity.tolist() == pytest.approx([-1, np.cos(np.radians(30)), -1, -1, np.cos(np.radians(10))])
    assert bare.right.tolist() == [False, False, False, False, True]
    assert guarded.similarity.tolist() == bare.similarity.tolist()


def test_with_guards_the_next_nearest_gets_its_chance():
    prompts, answers = ["a", "b", "c"], Answers(["1", "2", "1"])

    def differs(new, old):
        return "b it is" if old == "b" else None

    bare, guarded, _ = log_cases(Log(prompts, answers, angle(0, 30, 25)), differs)
    assert bare.similarity[2] == pytest.approx(np.cos(np.radians(5)))
    assert not bare.right[2]
    assert guarded.similarity[2] == pytest.approx(np.cos(np.radians(25)))
    assert guarded.right[2]


def test_rows_that_the_embedder_does_not_read_are_no_cases():
    bare, _, repeats = log_cases(
        Log(["a", "b", "a"], Answers(["1", "1", "1"]), angle(0, 1, 0), [False, True, False]), lambda a, b: None
    )
    assert bare.similarity.tolist() == [-1, -1, -1]
    assert repeats.tolist() == [False, False, True]
