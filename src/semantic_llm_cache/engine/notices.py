"""The log lines and warnings of an engine, each shown once."""

from __future__ import annotations

import warnings

from semantic_llm_cache.calls.refusals import REASONS, word_of
from semantic_llm_cache.exceptions import CacheWarning
from semantic_llm_cache.runtime.breaker import logger

__all__ = ["Notices"]


class Notices:
    """The log lines and warnings of one engine."""

    def __init__(self) -> None:
        self._given: set[str] = set()
        self._refused: set[str] = set()

    def log_once(self, topic: str, text: str) -> None:
        """Log a warning, once per topic."""
        if topic not in self._given:
            self._given.add(topic)
            logger.warning("semantic-llm-cache: %s", text)

    def refused(self, reason: str) -> None:
        """Log, once per kind of reason, that a fresh answer was not stored. Does nothing for ``""``."""
        word = word_of(reason)
        if not word or word in self._refused:
            return
        self._refused.add(word)
        known = REASONS[word]
        if not known.reported:
            log = logger.info if known.expected else logger.warning
            log("semantic-llm-cache: an answer was not stored (%s); the next ones are not logged", reason)

    def share_refused(self, others: Notices) -> None:
        """Log each kind of reason once among both."""
        self._refused = others._refused

    def warn_once(self, topic: str, text: str) -> None:
        """Give a `CacheWarning`, once per topic."""
        if topic in self._given:
            return
        self._given.add(topic)
        try:
            warnings.warn(text, CacheWarning, stacklevel=3)
        except CacheWarning:  # under -W error, a warning must not keep the answer from the caller
            logger.warning("semantic-llm-cache: %s", text)
