"""What a storage backend promises, and how one is found."""

from semantic_llm_cache.storage.contract import StorageBackend
from semantic_llm_cache.storage.records import Candidate, Held, Lease, Text

__all__ = ["Candidate", "Held", "Lease", "StorageBackend", "Text"]
