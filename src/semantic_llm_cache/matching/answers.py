"""Compares answers: a policy learns from whether a fresh answer says the same as a stored one."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from semantic_llm_cache.values.encoding import dumps, thaw

__all__ = ["SHORT", "answer_text", "light", "same_short"]

SHORT = 80
"""Answers up to this many characters are compared as text, longer ones by meaning."""

LONG_SIMILARITY = 0.85
"""Cosine of answer embeddings from which two long answers count as the same."""

_MARKS = re.compile(r"[\s\"'`*_.,;:!?()\[\]{}]+")


def light(text: str) -> str:
    """Return `text` without what two runs of one model may write differently: case, space, end marks.

    Example:
        >>> light(" Paris. ") == light("paris")
        True
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return _MARKS.sub(" ", folded).strip()


def answer_text(response: Any) -> str:
    """Return an answer as text to compare: itself, its message's content, or its stored form."""
    value = thaw(response)
    if isinstance(value, str):
        return value
    for path in (("choices", 0, "message", "content"), ("content", 0, "text"), ("message", "content"), ("content",)):
        found = value
        for step in path:
            try:
                found = found[step] if isinstance(step, int) or isinstance(found, dict) else getattr(found, step)
            except (AttributeError, KeyError, IndexError, TypeError):
                found = None
                break
        if isinstance(found, str):
            return found
    try:
        return dumps(value)
    except Exception:
        return repr(value)


def same_short(fresh: str, stored: str) -> bool | None:
    """Compare two answers as text; None when both are long and differ: that takes embeddings."""
    if light(fresh) == light(stored):
        return True
    return False if min(len(fresh), len(stored)) <= SHORT else None
