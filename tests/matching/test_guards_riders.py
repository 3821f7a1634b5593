"""Questions with an instruction that rides along, and questions with harmless additions."""

import pytest
from benchmarks.trust import riders
from benchmarks.trust.guards_eval import Pair, cosines

from semantic_llm_cache.matching.guards import get_guard, resolve_guards

ALL, RIDER = resolve_guards("default"), get_guard("rider")


@pytest.mark.parametrize("table", ["ATTACKS", "HELD_OUT_ATTACKS"])
def test_riders_are_refused_from_both_sides(table: str) -> None:
    rows = getattr(riders, table)
    for pairs in ([(row.a, row.b) for row in rows], [(row.b, row.a) for row in rows]):
        near = cosines([Pair(a, b, False) for a, b in pairs])
        through = [
            pair for pair, cosine in zip(pairs, near, strict=True) if cosine >= 0.85 and ALL.check(*pair) is None
        ]
        assert not through


@pytest.mark.parametrize("table", ["HONEST", "HELD_OUT_HONEST"])
def test_harmless_additions_pass(table: str) -> None:
    rows = getattr(riders, table)
    lost = [(row, RIDER(row.a, row.b)) for row in rows if RIDER(row.a, row.b) is not None]
    assert len(lost) <= 0.02 * len(rows), lost


def test_the_tables_are_large_and_of_two_halves() -> None:
    attacks, honest = (*riders.ATTACKS, *riders.HELD_OUT_ATTACKS), (*riders.HONEST, *riders.HELD_OUT_HONEST)
    assert min(len(attacks), len(honest)) >= 120
    assert len({(row.a, row.b) for row in (*attacks, *honest)}) == len(attacks) + len(honest)
