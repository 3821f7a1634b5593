"""What an operator sees of caches, and may change: the part of the admin API that knows nothing about HTTP."""

from semantic_llm_cache.server.operator.operator import Operator

__all__ = ["Operator"]
