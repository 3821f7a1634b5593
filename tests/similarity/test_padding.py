"""`plan_runs` finds the cheapest runs within their limits."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semantic_llm_cache.similarity.padding import plan_runs


def cost(lengths: list[int], runs: list[tuple[int, int]], per_run: int) -> int:
    return sum(lengths[end - 1] * (end - start) + per_run for start, end in runs)


def all_plans(count: int) -> list[list[tuple[int, int]]]:
    """Return every way to cut `count` rows into runs of consecutive ones."""
    plans = []
    for cuts in range(2 ** (count - 1)):
        ends = [row + 1 for row in range(count - 1) if cuts >> row & 1] + [count]
        plans.append(list(zip([0, *ends[:-1]], ends, strict=True)))
    return plans


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(1, 258)),
    st.integers(1, 32),
    st.integers(20, 2048),
    st.integers(0, 20),
)
def test_runs_cover_all_rows_within_their_limits(lengths, most_rows, most_tokens, per_run):
    lengths.sort()
    runs = plan_runs(lengths, per_run=per_run, most_rows=most_rows, most_tokens=most_tokens)
    assert [row for start, end in runs for row in range(start, end)] == list(range(len(lengths)))
    for start, end in runs:
        assert 0 < end - start <= most_rows
        assert end - start == 1 or lengths[end - 1] * (end - start) <= most_tokens


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=8), st.integers(0, 20))
def test_no_plan_is_cheaper(lengths, per_run):
    lengths.sort()
    runs = plan_runs(lengths, per_run=per_run, most_rows=8, most_tokens=10_000)
    assert cost(lengths, runs, per_run) == min(cost(lengths, plan, per_run) for plan in all_plans(len(lengths)))


@pytest.mark.parametrize(
    ("lengths", "most_tokens", "runs"),
    [
        ([], 100, []),
        ([300], 100, [(0, 1)]),
        ([14] * 32, 224, [(0, 16), (16, 32)]),
        ([5, 5, 80, 80], 2048, [(0, 2), (2, 4)]),
    ],
)
def test_examples(lengths, most_tokens, runs):
    assert plan_runs(lengths, per_run=8, most_rows=32, most_tokens=most_tokens) == runs
