"""Small helpers for code that builds on the cache."""

from __future__ import annotations

import hashlib
import re
import unicodedata

__all__ = ["estimate_tokens", "hash_prompt", "normalize_prompt"]

_SPACE = re.compile(r"\s+")


def normalize_prompt(prompt: str) -> str:
    """Return `prompt` with case folded, runs of space made one, and final marks (?, !, .) dropped.

    Not applied by default: in a prompt that holds code, indentation is meaning. Pass it as
    ``normalizer=`` where prompts are plain questions.

    Example:
        >>> normalize_prompt("  What is   Python? ")
        'what is python'
    """
    text = _SPACE.sub(" ", unicodedata.normalize("NFC", prompt)).strip().casefold()
    return text.rstrip("?!. ") or text


def hash_prompt(prompt: str, namespace: str = "default") -> str:
    """Return a hex digest (BLAKE2b, 160 bits) of a prompt in a namespace, stable across processes.

    Example:
        >>> hash_prompt("a") == hash_prompt("a"), hash_prompt("a") == hash_prompt("a", "other")
        (True, False)
    """
    data = f"{len(namespace)}:{namespace}{prompt}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(data, digest_size=20).hexdigest()


def estimate_tokens(text: str) -> int:
    """Return about how many tokens `text` has: four characters of ASCII each, one of other scripts each 1.5.

    An estimate for responses without usage figures, within some 30 % for English prose.

    Example:
        >>> estimate_tokens("What is Python?")
        4
    """
    if not text:
        return 0
    ascii_count = sum(1 for _ in filter(str.isascii, text)) if not text.isascii() else len(text)
    return max(1, round(ascii_count / 4 + (len(text) - ascii_count) / 1.5))
