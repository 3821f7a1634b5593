"""Keyed hashes of what may be secret."""

from __future__ import annotations

import hashlib
import hmac
import os

__all__ = ["secret_hash", "secret_key"]


def secret_key() -> str | None:
    """Return the key for hashes from the environment, or None for the common key."""
    return os.environ.get("SEMANTIC_LLM_CACHE_SECRET")


def secret_hash(secret: str | bytes) -> str:
    """Return a keyed hash of a credential. Two credentials differ in it, but it reveals neither.

    The key is ``SEMANTIC_LLM_CACHE_SECRET`` if set, so that processes that share a cache can keep their
    hashes separate from all others.
    """
    key = (secret_key() or "semantic-llm-cache credential").encode()
    data = secret.encode("utf-8", "surrogatepass") if isinstance(secret, str) else secret
    return hmac.new(key, data, hashlib.sha256).hexdigest()[:32]
