"""Questions turned round by a small word or by order, and honest reformulations of the same questions."""

import pytest
from benchmarks.trust import reversals

from semantic_llm_cache.matching.guards import resolve_guards

ALL = resolve_guards("default")


@pytest.mark.parametrize("table", ["REVERSED", "HELD_OUT_REVERSED"])
def test_reversals_are_refused_from_both_sides(table: str) -> None:
    rows = getattr(reversals, table)
    through = [row for row in rows if ALL.check(row.a, row.b) is None or ALL.check(row.b, row.a) is None]
    assert len(through) <= 0.02 * len(rows), through


@pytest.mark.parametrize("table", ["REFORMED", "HELD_OUT_REFORMED"])
def test_reformulations_pass(table: str) -> None:
    rows = getattr(reversals, table)
    lost = [(row, str(ALL.check(row.a, row.b))) for row in rows if ALL.check(row.a, row.b) or ALL.check(row.b, row.a)]
    assert not lost


def test_the_tables_hold_many_kinds_once() -> None:
    rows = [*reversals.REVERSED, *reversals.HELD_OUT_REVERSED, *reversals.REFORMED, *reversals.HELD_OUT_REFORMED]
    assert len({(row.a, row.b) for row in rows}) == len(rows)
    assert len({row.kind for row in reversals.REVERSED}) >= 11
