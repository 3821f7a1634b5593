from dataclasses import fields
from datetime import timedelta

import pytest

from semantic_llm_cache import CacheConfig
from semantic_llm_cache.config import CacheEntry


def test_config_has_the_documented_defaults():
    assert {f.name: f.default for f in fields(CacheConfig)} == {
        "similarity_threshold": 1.0,
        "ttl": 3600,
        "namespace": "default",
        "enabled": True,
        "key_func": None,
        "input_cost_per_1k": 0.001,
        "output_cost_per_1k": 0.002,
        "max_cache_size": None,
        "embedding_model": "all-MiniLM-L6-v2",
    }
    config = CacheConfig()
    assert config.ttl == 3600
    assert config == CacheConfig(1.0, 3600, "default", True, None, 0.001, 0.002, None, "all-MiniLM-L6-v2")


def test_config_reads_times():
    assert CacheConfig(ttl="1h").ttl == 3600
    assert CacheConfig(ttl=timedelta(days=1)).ttl == 86400
    assert CacheConfig(ttl=None).ttl is None
    assert CacheConfig(similarity_threshold=0).similarity_threshold == 0.0


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("similarity_threshold", 1.1, ValueError),
        ("similarity_threshold", -0.1, ValueError),
        ("similarity_threshold", float("nan"), ValueError),
        ("similarity_threshold", "high", TypeError),
        ("similarity_threshold", True, TypeError),
        ("ttl", -1, ValueError),
        ("ttl", -5, ValueError),
        ("ttl", "soon", ValueError),
        ("ttl", [1], TypeError),
        ("namespace", "", ValueError),
        ("namespace", None, TypeError),
        ("enabled", "yes", TypeError),
        ("enabled", 1, TypeError),
        ("key_func", "key", TypeError),
        ("input_cost_per_1k", -0.1, ValueError),
        ("output_cost_per_1k", float("inf"), ValueError),
        ("output_cost_per_1k", None, TypeError),
        ("max_cache_size", 0, ValueError),
        ("max_cache_size", 1.5, ValueError),
        ("max_cache_size", True, ValueError),
        ("embedding_model", "", ValueError),
    ],
)
def test_config_refuses_by_name(name, value, error):
    with pytest.raises(error, match=f"{name}="):
        CacheConfig(**{name: value})


def test_entry_takes_the_documented_arguments_in_order():
    names = [f.name for f in fields(CacheEntry)]
    assert names[:9] == [
        "prompt", "response", "embedding", "created_at", "ttl", "namespace", "hit_count", "input_tokens",
        "output_tokens",
    ]  # fmt: skip
    entry = CacheEntry("p", "r")
    assert (entry.embedding, entry.ttl, entry.namespace, entry.hit_count) == (None, None, "default", 0)
    assert (entry.input_tokens, entry.output_tokens) == (0, 0)


def test_entry_is_made_now():
    import time

    before = time.time()
    assert before <= CacheEntry("p", "r").created_at <= time.time()


def test_entry_expires_at_the_very_second():
    entry = CacheEntry("p", "r", created_at=100.0, ttl=10.0)
    assert not entry.is_expired(now=109.999)
    assert entry.is_expired(now=110.0)
    assert not entry.is_expired(now=50.0)  # a clock set back
    assert not CacheEntry("p", "r", created_at=0.0, ttl=None).is_expired(1e12)
    assert CacheEntry("p", "r", created_at=0.0, ttl=1.0).is_expired()


def test_entry_cost():
    entry = CacheEntry("p", "r", input_tokens=1500, output_tokens=500)
    assert entry.estimate_cost(0.01, 0.03) == pytest.approx(0.03)
    assert CacheEntry("p", "r").estimate_cost(1, 1) == 0
