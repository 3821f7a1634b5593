"""OpenAI clients through the cache.

client = wrap(AsyncOpenAI(), similarity=0.95)
"""

from __future__ import annotations

from semantic_llm_cache.integrations._stainless import wrap

__all__ = ["wrap"]
