"""Statistics, and the management of entries across every cache of the process."""

from semantic_llm_cache.management.removal import clear_cache, invalidate
from semantic_llm_cache.management.transfer import export_cache, import_cache
from semantic_llm_cache.management.warming import warm_cache
from semantic_llm_cache.metrics.stats import CacheStats, get_stats, reset_stats

__all__ = [
    "CacheStats",
    "clear_cache",
    "export_cache",
    "get_stats",
    "import_cache",
    "invalidate",
    "reset_stats",
    "warm_cache",
]
