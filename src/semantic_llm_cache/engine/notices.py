"""The log lines and warnings of an engine, each shown once."""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING

from semantic_llm_cache.calls.refusals import REASONS, word_of
from semantic_llm_cache.exceptions import CacheWarning
from semantic_llm_cache.runtime.breaker import logger

if TYPE_CHECKING:
    from semantic_llm_cache.values.return_types import Returned

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

    def warn_once(self, topic: str, text: str, about: Returned | None = None) -> None:
        """Give a `CacheWarning`, once per topic, or once per topic and function.

        Args:
            topic: what it is about.
            text: the message.
            about: the function that it is about: the warning then points at its definition, else at the line that
                called into this package.
        """
        if about is not None:
            topic = f"{topic} {about.file}:{about.line} {about.name}"
        if topic in self._given:
            return
        self._given.add(topic)
        try:
            if about is not None and about.file:
                warnings.warn_explicit(text, CacheWarning, about.file, about.line, about.module or None)
            else:
                warnings.warn(text, CacheWarning, stacklevel=_level_of_user())
        except CacheWarning:  # under -W error, a warning must not keep the answer from the caller
            logger.warning("semantic-llm-cache: %s", text)


def _level_of_user() -> int:
    """Return the `stacklevel`, for the caller of this function, of the innermost frame that is the user's."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None:
        name = str(frame.f_globals.get("__name__")).partition(".")[0]
        if name not in _NOT_THE_USER:
            return level
        frame, level = frame.f_back, level + 1
    return 1


_NOT_THE_USER = frozenset({__name__.partition(".")[0], "asyncio", "concurrent", "contextlib", "threading", "uvloop"})
