"""Keyed hashes of what may be secret."""

from __future__ import annotations

import hashlib
import hmac
import os

__all__ = ["secret_hash", "secret_key"]


def secret_key() -> str | None:
    """Return the key that the environment gives for hashes, or None for the common one."""
    return os.environ.get("SEMANTIC_LLM_CACHE_SECRET")


def secret_hash(secret: str | bytes) -> str:
    """Return a keyed hash of a credential: tells two apart, tells nothing of either.

    The key is ``SEMANTIC_LLM_CACHE_SECRET`` when set, so that processes sharing a cache can keep their
    hashes apart from everybody else's.
    """
    key = (secret_key() or "semantic-llm-cache credential").encode()
    data = secret.encode("utf-8", "surrogatepass") if isinstance(secret, str) else secret
    return hmac.new(key, data, hashlib.sha256).hexdigest()[:32]
