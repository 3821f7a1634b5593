"""The log lines and warnings of an engine, each shown once."""

from __future__ import annotations

import warnings

from semantic_llm_cache.exceptions import CacheWarning
from semantic_llm_cache.runtime.breaker import logger

__all__ = ["Notices"]


class Notices:
    """The log lines and warnings of one engine."""

    def __init__(self) -> None:
        self._given: set[str] = set()

    def log_once(self, topic: str, text: str) -> None:
        """Log a warning, once per topic."""
        if topic not in self._given:
            self._given.add(topic)
            logger.warning("semantic-llm-cache: %s", text)

    def warn_once(self, topic: str, text: str) -> None:
        """Give a `CacheWarning`, once per topic."""
        if topic in self._given:
            return
        self._given.add(topic)
        try:
            warnings.warn(text, CacheWarning, stacklevel=3)
        except CacheWarning:  # under -W error, a warning must not keep the answer from the caller
            logger.warning("semantic-llm-cache: %s", text)
