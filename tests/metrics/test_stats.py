"""Counting: hits and misses by kind, times, money, per namespace and in the backend."""

import asyncio
import gc

import pytest

from semantic_llm_cache import (
    CacheConfig,
    CacheStats,
    SemanticCache,
    cache,
    get_stats,
    last_lookup,
    set_default_backend,
)
from semantic_llm_cache.backends import MemoryBackend, SQLiteBackend
from semantic_llm_cache.calls.lookup import HITS
from semantic_llm_cache.metrics.counters import Counters, register
from semantic_llm_cache.metrics.pricing import make_price, usage_of
from semantic_llm_cache.metrics.statistics import percentile, wilson
from semantic_llm_cache.metrics.table import METRICS
from semantic_llm_cache.stats import reset_stats

KEYS = {
    "hits", "misses", "hit_rate", "total_requests", "total_saved_ms", "estimated_savings_usd", "exact_hits",
    "near_hits", "coalesced_hits", "errors", "evictions", "hit_p50_ms", "hit_p99_ms", "miss_p50_ms", "miss_p99_ms",
}  # fmt: skip


def test_a_dict_with_the_documented_keys():
    stats = get_stats()
    assert stats.keys() >= KEYS
    assert all(value in (0, None, []) for value in stats.values())
    assert CacheStats(**{k: v for k, v in stats.items() if k not in ("hit_rate", "total_requests")}).to_dict() == stats


def test_the_table_of_metrics_is_the_only_one():
    assert {m.counter for m in METRICS if m.hit} == HITS  # counted by their outcome
    counters = Counters("n")
    for number, metric in enumerate(METRICS, 1):
        assert metric.documentation.endswith(".")
        value = getattr(counters, metric.counter)
        assert (value, type(value)) == (0, float if metric.unit else int)
        assert type(getattr(CacheStats(), metric.shown)) is type(value)
        setattr(counters, metric.counter, number)
    with pytest.raises(AttributeError):
        counters.misspelt = 1
    totals = counters.totals()
    assert {m.kept: getattr(counters, m.counter) for m in METRICS if m.kept}.items() <= totals.items()
    assert totals["hits"] == counters.hits == counters.exact + counters.near + counters.coalesced + counters.stale
    assert set(totals) == {
        "hits", "misses", "exact_hits", "near_hits", "coalesced_hits", "stale_hits", "errors", "saved_ms", "saved_usd",
        "shadow_requests", "shadow_hits", "shadow_judged", "shadow_wrong", "reported_right", "reported_wrong",
    }  # fmt: skip
    register(counters)
    stats = get_stats("n")
    assert {m.shown: getattr(counters, m.counter) for m in METRICS if m.shown}.items() <= stats.items()
    counters.clear()
    assert not any(counters.totals().values())


async def test_hits_and_misses_by_namespace():
    @cache(namespace="one")
    async def one(prompt):
        await asyncio.sleep(0.02)
        return prompt

    @cache
    def two(prompt):
        return prompt

    for prompt in ("a", "a", "b", "a"):
        await one(prompt)
    two("a")
    stats = get_stats("one")
    assert (stats["hits"], stats["misses"], stats["total_requests"], stats["hit_rate"]) == (2, 2, 4, 0.5)
    assert stats["exact_hits"] == 2
    assert get_stats("default")["misses"] == 1
    assert get_stats()["total_requests"] == 5
    assert get_stats("nobody's")["total_requests"] == 0
    # What the stored call took, less what the hit took.
    assert 30 < stats["total_saved_ms"] < 1000
    assert stats["miss_p99_ms"] >= stats["miss_p50_ms"] > 15
    assert 0 < stats["hit_p50_ms"] <= stats["hit_p99_ms"] < stats["miss_p50_ms"]
    info = one.cache_info()
    assert (info.hits, info.misses, info.exact_hits, info.hit_rate) == (2, 2, 2, 0.5)
    reset_stats("one")
    assert get_stats("one")["total_requests"] == 0
    assert get_stats()["total_requests"] == 1


async def test_coalesced_hits():
    @cache
    async def ask(prompt):
        await asyncio.sleep(0.02)
        return prompt

    await asyncio.gather(*(ask("q") for _ in range(5)))
    stats = get_stats()
    assert (stats["misses"], stats["coalesced_hits"], stats["hits"]) == (1, 4, 4)


async def test_an_exception_counts_as_a_miss_and_passes_through():
    @cache
    async def ask(prompt):
        raise KeyError(prompt)

    for _ in range(2):
        with pytest.raises(KeyError):
            await ask("q")
    assert get_stats()["misses"] == 2
    assert get_stats()["hits"] == 0


def test_probing_counts_nothing():
    @cache
    def ask(prompt):
        return prompt

    ask.cache_lookup("q")
    assert get_stats()["total_requests"] == 0


@pytest.mark.parametrize(
    "make", [lambda path: MemoryBackend(max_size=2), lambda path: SQLiteBackend(path / "cache.db", max_size=2)]
)
async def test_evictions(make, tmp_path):
    backend = make(tmp_path)

    @cache(backend=backend)
    def ask(prompt):
        return prompt

    gc.collect()  # a backend of another test that goes in between would take its count along
    before = get_stats()["evictions"]
    for prompt in "abcd":
        ask(prompt)
    assert get_stats()["evictions"] - before == 2
    await backend.close()


def test_statistics_survive_the_cache_they_count():
    def ask(prompt):
        return prompt

    cached = cache(ask)
    cached("q")
    cached("q")
    del cached
    set_default_backend(MemoryBackend())
    assert (get_stats()["hits"], get_stats()["misses"]) == (1, 1)


def test_a_new_default_backend_keeps_the_counts():
    @cache
    def ask(prompt):
        return prompt

    ask("q")
    set_default_backend(MemoryBackend())
    ask("q")
    assert get_stats()["misses"] == 2


async def test_counts_are_kept_in_the_backend(tmp_path):
    async with SQLiteBackend(tmp_path / "cache.db") as backend:
        engine = SemanticCache(backend, namespace="faq")

        @engine.cache
        async def ask(prompt):
            return prompt

        for prompt in ("a", "a", "b"):
            await ask(prompt)
        await engine.close()
    async with SQLiteBackend(tmp_path / "cache.db") as backend:
        counters = (await backend.get_counters())["faq"]
        assert (counters["hits"], counters["misses"]) == (1, 2)
        entries = {entry.prompt: entry.hit_count for _, entry in await backend.iterate()}
        assert entries == {"a": 1, "b": 0}


# ------------------------------------------------------------------------------------ money


class Usage:
    def __init__(self, **counts):
        vars(self).update(counts)


@pytest.mark.parametrize(
    ("response", "tokens"),
    [
        ({"usage": {"prompt_tokens": 7, "completion_tokens": 3}}, (7, 3)),
        ({"usage": {"input_tokens": 7, "output_tokens": 3}}, (7, 3)),
        ({"prompt_eval_count": 7, "eval_count": 3}, (7, 3)),
        (Usage(usage=Usage(prompt_tokens=7, completion_tokens=3)), (7, 3)),
        (Usage(usage=Usage(output_tokens=3)), (0, 3)),
        (Usage(usage=None, prompt_eval_count=7, eval_count=3), (7, 3)),
        ("x" * 40, (4, 10)),
        (None, (4, 0)),
        (b"x" * 40, (4, 11)),
        (["x" * 36], (4, 10)),
    ],
)
def test_tokens_come_from_the_usage_or_an_estimate(response, tokens):
    assert usage_of(response, "What is Python?") == tokens


class Hostile:
    @property
    def usage(self):
        raise RuntimeError

    def __str__(self):
        raise RuntimeError


def test_a_response_that_raises_costs_nobody_the_answer():
    @cache(result_type=Hostile)
    def ask(prompt):
        return answer

    answer = Hostile()
    assert usage_of(answer, "q")[0] == 1
    with pytest.warns(UserWarning, match="uncached"):
        assert ask("q") is answer


def test_rates_from_a_config():
    @cache(price=CacheConfig(input_cost_per_1k=1.0, output_cost_per_1k=2.0))
    def ask(prompt) -> dict:
        return {"usage": {"prompt_tokens": 1000, "completion_tokens": 500}}

    for _ in range(3):
        ask("q")
    assert get_stats()["estimated_savings_usd"] == pytest.approx(2 * 2.0)
    assert last_lookup().saved_usd == pytest.approx(2.0)


def test_default_rates():
    assert make_price(None)(1000, 1000, None) == pytest.approx(0.003)


def test_a_price_of_ones_own():
    seen = []

    def price(given, made, response):
        seen.append((given, made, response))
        return 0.25

    @cache(price=price)
    def ask(prompt):
        return "x" * 40

    ask("What is Python?")
    ask("What is Python?")
    assert seen == [(4, 10, "x" * 40)]
    assert get_stats()["estimated_savings_usd"] == 0.25


def test_a_price_that_raises_is_nothing():
    def price(given, made, response):
        raise LookupError("unknown model")

    @cache(price=price)
    def ask(prompt):
        return prompt

    assert ask("q") == ask("q") == "q"
    assert get_stats()["estimated_savings_usd"] == 0


def test_nonsense_as_a_price():
    with pytest.raises(TypeError, match="price="):
        cache(price=3)


# ---------------------------------------------------------------------------------- formulas


def test_percentiles():
    assert percentile([], 0.5) == 0.0
    assert percentile([3.0], 0.99) == 3.0
    assert percentile(range(100, 0, -1), 0.5) == 51
    assert percentile(range(1, 101), 0.99) == 100


def test_wilson_interval():
    assert wilson(0, 0) == (0.0, 1.0)
    low, high = wilson(5, 100)  # worked out by hand from the formula
    assert (low, high) == pytest.approx((0.021543, 0.111752), abs=1e-5)
    low, high = wilson(0, 50)
    assert low == 0.0
    assert high == pytest.approx(0.071348, abs=1e-5)
