"""Wire formats of providers: reading requests, judging answers, replaying them as JSON or as streams."""

from semantic_llm_cache.calls.control import HEADER, CacheControl, cache_control
from semantic_llm_cache.wire.base import Asked, Format, Reading
from semantic_llm_cache.wire.cache import NoAnswer, Plan, Reply, Upstream, WireCache
from semantic_llm_cache.wire.formats import FORMATS, find_format
from semantic_llm_cache.wire.prices import genai_price
from semantic_llm_cache.wire.principals import Sent

__all__ = [
    "FORMATS",
    "HEADER",
    "Asked",
    "CacheControl",
    "Format",
    "NoAnswer",
    "Plan",
    "Reading",
    "Reply",
    "Sent",
    "Upstream",
    "WireCache",
    "cache_control",
    "find_format",
    "genai_price",
]
