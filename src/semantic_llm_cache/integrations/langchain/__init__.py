"""LangChain: a cache for all models of a process, or a chat model that answers from the cache.

set_llm_cache(LangChainCache(similarity=0.95))
model = CachedChatModel(ChatOpenAI(model="gpt-4o-mini"), similarity=0.95)

`CachedChatModel` sees the call: concurrent equal calls make one, and streams are cached. See ``docs/integrations.md``.
"""

try:
    import langchain_core  # noqa: F401
except ImportError as error:
    from semantic_llm_cache._installation import install

    raise ImportError(f"LangChainCache needs langchain-core: {install('langchain')}") from error

from semantic_llm_cache.integrations.langchain.cache import LangChainCache
from semantic_llm_cache.integrations.langchain.model import CachedChatModel

__all__ = ["CachedChatModel", "LangChainCache"]
