"""The result of a demo run: counts, waiting times, savings, and the outcome of the traps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from semantic_llm_cache.cli.demo.questions import Prompt
from semantic_llm_cache.cli.demo.run import Result, Run, Settings

__all__ = ["TIERS", "Summary", "Tier", "Trap", "nearest_rank", "summarise"]

TIERS = ("exact", "near", "coalesced")
"""The kinds of hits."""


@dataclass(frozen=True)
class Tier:
    """The prompts answered in one way: how many, how many wrongly, and the callers' waiting times in ms."""

    count: int
    wrong: int
    p50_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True)
class Trap:
    """A new question that looks like an earlier one, and whether it got the earlier one's answer.

    Args:
        prompt: what was sent; its `twin` is what it looks like.
        outcome: the `Lookup`'s.
        fooled: whether the answer belonged to another question.
        cosine: similarity of the prompt and its twin; None without an embedder.
        reason: why the twin's answer was not served, from the `Lookup`; "" when it does not say.
    """

    prompt: Prompt
    outcome: str
    fooled: bool
    cosine: float | None
    reason: str


@dataclass(frozen=True)
class Summary:
    """A run in figures. Times in milliseconds, money in US dollars.

    `saved_ms` is the sum, over the prompts that needed no call, of what their own call would have taken
    minus what they waited. Costs use token counts estimated from the length of prompts and answers.
    """

    settings: Settings
    prompts: int
    calls: int
    warm_entries: int
    elapsed_ms: float
    tiers: Mapping[str, Tier]
    others: Mapping[str, int]
    waited_ms: float
    uncached_ms: float
    saved_ms: float
    uncached_usd: float
    saved_usd: float
    near: Sequence[Result] = field(repr=False)
    wrong: Sequence[Result] = field(repr=False)
    traps: Sequence[Trap] = field(repr=False)

    @property
    def hits(self) -> int:
        """Return how many prompts were answered without a call of their own."""
        return sum(self.tiers[name].count for name in TIERS)

    @property
    def hit_rate(self) -> float:
        """Return the share of the prompts that were hits, 0 to 1."""
        return self.hits / self.prompts if self.prompts else 0.0

    def as_json(self) -> dict[str, Any]:
        """Return everything as values for JSON."""
        return {
            "settings": asdict(self.settings),
            "prompts": self.prompts,
            "calls": self.calls,
            "calls_saved": self.prompts - self.calls,
            "warm_entries": self.warm_entries,
            "elapsed_ms": self.elapsed_ms,
            "hits": self.hits,
            "hit_rate": self.hit_rate,
            "tiers": {name: asdict(tier) for name, tier in self.tiers.items()},
            "other_outcomes": dict(self.others),
            "waited_ms": self.waited_ms,
            "uncached_ms": self.uncached_ms,
            "saved_ms": self.saved_ms,
            "uncached_usd": self.uncached_usd,
            "saved_usd": self.saved_usd,
            "near_hits": [_result_json(result) for result in self.near],
            "wrong_hits": [_result_json(result) for result in self.wrong],
            "traps": [
                {
                    "prompt": trap.prompt.text,
                    "twin": trap.prompt.twin,
                    "differs_in": trap.prompt.trap,
                    "cosine": trap.cosine,
                    "outcome": trap.outcome,
                    "let_through": trap.fooled,
                    "reason": trap.reason,
                }
                for trap in self.traps
            ],
        }


def _result_json(result: Result) -> dict[str, Any]:
    return {
        "prompt": result.prompt.text,
        "matched_prompt": result.matched,
        "outcome": result.outcome,
        "cosine": result.similarity,
        "answer": result.answer,
        "right": result.right,
    }


def nearest_rank(values: Sequence[float], share: float) -> float | None:
    """Return the nearest-rank percentile: the least value that `share` of all do not exceed; None for none.

    Example:
        >>> nearest_rank([3.0, 1.0, 2.0], 0.5)
        2.0
    """
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def _tier(results: Sequence[Result]) -> Tier:
    times = [result.elapsed_ms for result in results]
    wrong = sum(not result.right for result in results)
    return Tier(len(results), wrong, nearest_rank(times, 0.5), nearest_rank(times, 0.99))


def summarise(run: Run, *, cosines: Mapping[tuple[str, str], float], rates: tuple[float, float]) -> Summary:
    """Return the figures of a run.

    Args:
        run: the measured run.
        cosines: similarity of traps and their twins, by (text, twin).
        rates: USD per 1,000 tokens of input and of output.
    """
    results = run.results

    def cost(result: Result) -> float:
        return (result.input_tokens * rates[0] + result.output_tokens * rates[1]) / 1000

    hits = [result for result in results if result.hit]
    tiers = {name: _tier([r for r in results if r.outcome == name]) for name in (*TIERS, "miss")}
    # The line "hit" excludes callers who waited for another caller's call: they waited for the model.
    tiers["hit"] = _tier([r for r in results if r.outcome in ("exact", "near")])
    others: dict[str, int] = {}
    for result in results:
        if result.outcome not in tiers:
            others[result.outcome] = others.get(result.outcome, 0) + 1
    return Summary(
        settings=run.settings,
        prompts=len(results),
        calls=run.calls,
        warm_entries=run.warm_entries,
        elapsed_ms=run.elapsed_ms,
        tiers=tiers,
        others=others,
        waited_ms=sum(r.elapsed_ms for r in results),
        uncached_ms=sum(r.call_ms for r in results),
        saved_ms=sum(r.call_ms - r.elapsed_ms for r in hits),
        uncached_usd=sum(map(cost, results)),
        saved_usd=sum(map(cost, hits)),
        near=[r for r in results if r.outcome == "near"],
        wrong=[r for r in results if not r.right],
        traps=[_trap(r, cosines) for r in results if r.prompt.kind == "trap"],
    )


def _trap(result: Result, cosines: Mapping[tuple[str, str], float]) -> Trap:
    prompt = result.prompt
    return Trap(
        prompt=prompt,
        outcome=result.outcome,
        fooled=not result.right,
        cosine=cosines.get((prompt.text, prompt.twin)),
        # The nearest entry may not be the twin; its reason would confuse the reader.
        reason=result.reason if result.matched == prompt.twin else "",
    )
