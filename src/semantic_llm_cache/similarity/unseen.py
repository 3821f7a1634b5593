"""The parts of a text that its vector does not show: characters that an embedder drops but a chat model reads.

Two texts that differ only there have a cosine of 1.0. So the near tier compares these characters too, at any threshold
and with or without guards: see `similarity.differences`. What an embedder does not see of one text is an `Unseen`,
which `EmbeddingProvider.unseen` returns.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from semantic_llm_cache.similarity.runs import NOTHING, Hidden, Unseen, unseen_ascii

__all__ = ["NOTHING", "Hidden", "Unseen", "default_unseen", "why_unreadable"]


def default_unseen(text: str, unknown: Sequence[tuple[int, int]] = ()) -> Unseen:
    """Return what some embedder may drop of `text`: all but letters, digits, punctuation and space in wide use.

    `unknown` lists further spans (start, end) that a tokenizer does not know.

    Takes under a microsecond for a line of ASCII, about ten for one with accents.

    Example:
        >>> default_unseen("What is Python?") is NOTHING
        True
        >>> default_unseen("Py\\u200bthon").hidden
        (Hidden(characters='\\u200b', before='py', after='thon', placed=False),)
    """
    if text.isascii() and not unknown:
        return unseen_ascii(text)
    # Its patterns take some milliseconds to compile, which a program with plain text should not wait for.
    from semantic_llm_cache.similarity.marks import unseen_beyond_ascii

    return unseen_beyond_ascii(text, unknown)


def why_unreadable(text: str) -> str:
    """Return why an embedder that is not `readable` for `text` leaves it to exact matches."""
    if re.search("[\ud800-\udfff]", text):
        return "holds half of a surrogate pair, which no embedding model reads: exact matches only"
    return "too long for the embedding model: exact matches only"
