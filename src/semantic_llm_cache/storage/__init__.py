"""What a storage backend promises, and how one is found."""

from semantic_llm_cache.storage.contract import *  # noqa: F403
from semantic_llm_cache.storage.contract import __all__ as __all__
