"""Clusters of prompts in `get_stats`."""

from typing import Any

import numpy as np
import pytest

from semantic_llm_cache import Request, SemanticCache, get_stats, last_lookup, report_wrong
from semantic_llm_cache.backends import MemoryBackend, SQLiteBackend
from semantic_llm_cache.metrics.learned import Clusters, kept_summary
from semantic_llm_cache.stats import reset_stats

CITIES = ("Oslo", "Bergen", "Lima", "Quito", "Turin", "Genoa", "Osaka", "Kyoto")


def _unit(*values: float) -> Any:
    vector = np.zeros(8, dtype=np.float32)
    vector[: len(values)] = values
    return vector / np.linalg.norm(vector)


def _embed(text: str) -> Any:
    nudge = (sum(text.encode()) % 97) / 500
    return _unit(1.0, nudge) if "password" in text else _unit(0.0, 0.0, 1.0, nudge)


async def _ask(cache: SemanticCache, text: str, namespace: str = "learned") -> Any:
    async def call() -> str:
        return "an answer"

    await cache.get_or_call(Request(namespace, {}, text), call)
    return last_lookup()


def _cache(**options: Any) -> SemanticCache:
    return SemanticCache(
        MemoryBackend(), embedder=_embed, similarity=0.9999, guards=None, namespace="learned", **options
    )


@pytest.fixture(autouse=True)
def _fresh() -> Any:
    reset_stats("learned")
    yield
    reset_stats("learned")


async def test_stats_show_what_the_prompts_are_about() -> None:
    cache = _cache()
    for city in CITIES:
        await _ask(cache, f"How do I reset the password of my {city} account?")
    for city in CITIES[:6]:
        await _ask(cache, f"Which trains go to {city}?")
    first, second = get_stats("learned")["categories"]
    assert (first["requests"], second["requests"]) == (8, 6)
    assert first["label"] == "account, password, reset"
    assert second["label"] == "trains"
    assert get_stats("another namespace")["categories"] == []
    shown = str(get_stats("learned")["categories"]).lower()
    assert not any(city.lower() in shown for city in CITIES)


async def test_a_prompt_that_is_repeated_shows_none_of_its_words() -> None:
    cache = _cache(ttl=0)
    for _ in range(20):
        await _ask(cache, "Does Ms. Marplesworth owe us a password?")
    (only,) = get_stats("learned")["categories"]
    assert (only["label"], only["requests"]) == ("", 20)


async def test_near_hits_and_verdicts_are_counted() -> None:
    cache = _cache(categories=None).derive(similarity=0.5)
    await _ask(cache, "the password of a")
    hit = await _ask(cache, "the password of b")
    assert hit.outcome == "near"
    await report_wrong(hit)
    (only,) = get_stats("learned")["categories"]
    assert (only["near_hits"], only["near_hit_rate"], only["judged"], only["wrong_rate"]) == (1, 0.5, 1, 1.0)


async def test_shadow_mode_counts_would_be_hits() -> None:
    cache = _cache(mode="shadow").derive(similarity=0.5)
    await _ask(cache, "the password of a")
    await _ask(cache, "the password of b")
    (only,) = get_stats("learned")["categories"]
    assert (only["near_hits"], only["judged"], only["wrong_rate"]) == (1, 1, 0.0)


def test_there_are_never_more_than_32_and_no_count_is_lost() -> None:
    clusters, random = Clusters(), np.random.default_rng(0)
    vectors = random.standard_normal((500, 64)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    for number, vector in enumerate(vectors):
        clusters.add(vector, "e", f"prompt {number}", str(number), False)
    records = clusters.summary()
    assert len(records) == 32
    assert sum(record["requests"] for record in records) == 500
    clusters.add(vectors[0][:16], "another", "prompt", "k", True)
    assert [record["requests"] for record in clusters.summary()] == [1]


def test_groups_are_found_again() -> None:
    clusters, random = Clusters(), np.random.default_rng(1)
    middles = random.standard_normal((10, 64))
    middles /= np.linalg.norm(middles, axis=1, keepdims=True)
    for number in random.permutation(400):
        vector = middles[number % 10] + random.standard_normal(64) * 0.08
        clusters.add((vector / np.linalg.norm(vector)).astype(np.float32), "e", "t", str(number), False)
    assert [record["requests"] for record in clusters.summary()] == [40] * 10


async def test_closing_writes_what_was_counted_since_the_last_write(tmp_path: Any) -> None:
    async with SQLiteBackend(tmp_path / "c.db") as backend:
        cache = SemanticCache(backend, embedder=_embed, similarity=0.9999, guards=None, namespace="learned")
        for city in CITIES:
            await _ask(cache, f"How do I reset the password of my {city} account?")
        await cache.close()
        (only,) = await kept_summary(backend)
        assert only["requests"] == len(CITIES)
        for city in CITIES[:3]:  # within the ten seconds in which nothing more is written
            await _ask(cache, f"Where is the password of my {city} account?")
        await cache.close()
        (only,) = await kept_summary(backend)
        assert only["requests"] == len(CITIES) + 3
