"""Any other backend, with what it stores encrypted."""

from semantic_llm_cache.backends.encrypted.backend import EncryptedBackend

__all__ = ["EncryptedBackend"]
