"""Why an operator's request cannot be done."""

from __future__ import annotations

from semantic_llm_cache.exceptions import PromptCacheError

__all__ = ["Conflict", "Invalid", "NotThere", "OperatorError", "TextHidden", "Unavailable"]


class OperatorError(PromptCacheError):
    """A request that cannot be done; its text says why, in a sentence for the operator."""


class NotThere(OperatorError):
    """What was named does not exist."""


class Conflict(OperatorError):
    """What was asked for does not fit how the cache is set up."""


class Invalid(OperatorError):
    """A value cannot be used."""


class Unavailable(OperatorError):
    """Something that is needed fails at the moment."""


class TextHidden(OperatorError):
    """Prompts and answers are hidden here."""
