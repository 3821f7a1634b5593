"""The prices behind the savings, read off stored entries: each holds the tokens and the cost of its call."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from semantic_llm_cache.config import CacheConfig
from semantic_llm_cache.metrics.pricing import Call

__all__ = ["Call", "Rates", "rates_of"]

_EXACT = 1e-6  # costs are floats: a relative difference below this is rounding


class Rates(NamedTuple):
    """The prices of some calls.

    Attributes:
        calls: how many calls they are read off.
        average: USD per 1,000 tokens, of input and output together.
        input_per_1k, output_per_1k: USD per 1,000 tokens, where all calls have the same two rates; else None.
        default: whether these are the rates of a program that names no prices.
    """

    calls: int
    average: float
    input_per_1k: float | None = None
    output_per_1k: float | None = None
    default: bool = False

    def __str__(self) -> str:
        if self.input_per_1k is None:
            return f"prices that the programs gave, on average ${self.average:.4g} per 1,000 tokens"
        kind = "default rates" if self.default else "rates that the programs gave"
        return f"{kind}, ${self.input_per_1k:.6g} per 1,000 tokens in and ${self.output_per_1k:.6g} out"


def rates_of(calls: Iterable[Call]) -> Rates | None:
    """Return the prices of some calls; None when none of them has tokens.

    Example:
        >>> str(rates_of([Call(2000, 500, 0.003)]))
        'default rates, $0.001 per 1,000 tokens in and $0.002 out'
    """
    rows = [
        (call.input_tokens / 1000, call.output_tokens / 1000, call.cost_usd)
        for call in calls
        if call.input_tokens or call.output_tokens
    ]
    if not rows:
        return None
    average = sum(cost for *_, cost in rows) / sum(given + made for given, made, _ in rows)
    default = CacheConfig()
    if _fits(rows, default.input_cost_per_1k, default.output_cost_per_1k):
        return Rates(len(rows), average, default.input_cost_per_1k, default.output_cost_per_1k, True)
    found = _solved(rows)
    return Rates(len(rows), average) if found is None else Rates(len(rows), average, *found)


def _fits(rows: list[tuple[float, float, float]], given_rate: float, made_rate: float) -> bool:
    return all(
        math.isclose(cost, given * given_rate + made * made_rate, rel_tol=_EXACT, abs_tol=1e-12)
        for given, made, cost in rows
    )


def _solved(rows: list[tuple[float, float, float]]) -> tuple[float, float] | None:
    """Return the two rates that give every cost; None when there are none, or when several pairs would do."""
    import numpy as np

    tokens, costs = np.array([row[:2] for row in rows]), np.array([row[2] for row in rows])
    found, _, rank, _ = np.linalg.lstsq(tokens, costs, rcond=None)
    # Rounded to what a price list would say, so that rounding errors of the solution do not show.
    given, made = (float(f"{max(0.0, rate):.6g}") for rate in found)
    return (given, made) if rank == 2 and _fits(rows, given, made) else None
