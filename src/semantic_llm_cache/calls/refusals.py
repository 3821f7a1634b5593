"""Why a fresh answer was not stored: one table of reasons, for lookups, response headers, log lines and metrics."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

__all__ = ["REASONS", "NotStored", "Reason", "accepts", "because", "quoted", "word_of"]

_LONGEST_WORD = 40


class Reason:
    """One reason.

    Attributes:
        meaning: in one line of Markdown.
        expected: the caller or an option asked for it, so it is no problem.
        reported: the caller learns of it in another way, so it needs no log line of its own.
    """

    __slots__ = ("expected", "meaning", "reported")

    def __init__(self, meaning: str, expected: bool = False, reported: bool = False) -> None:
        self.meaning = meaning
        self.expected = expected
        self.reported = reported


REASONS: dict[str, Reason] = {
    "bypass": Reason("The call bypassed the cache: caching was off, or the request cannot be cached.", True, True),
    "no-store": Reason("The call asked for `no-store`.", True),
    "cache-if": Reason("`cache_if` returned False, or raised.", True),
    "redact": Reason("`redact` returned None for the prompt, or failed.", True),
    "ttl": Reason("The TTL of this answer says that it is not stored.", True),
    "tool-calls": Reason('The answer calls tools: see `tool_calls="cache"`.', True),
    "refusal": Reason("The model refused to answer."),
    "truncated": Reason("The answer was cut off at a limit of length."),
    "filtered": Reason("A content filter stopped the answer."),
    "empty": Reason("The answer says nothing."),
    "finish": Reason("The answer ended for a reason that is not known to be a good one, or named none."),
    "no-answer": Reason("The provider's response is no answer in the format of the request."),
    "incomplete": Reason("The stream ended before its last event, or its events do not fit together."),
    "ambiguous": Reason("The pieces of the stream can be put together in more than one way."),
    "unknown": Reason("The answer holds an event, a field or a type that is not known."),
    "left": Reason("All readers of the stream left before its end.", True),
    "call-failed": Reason("The function raised, or the provider answered with an error.", reported=True),
    "too-large": Reason("The prompt is longer than `max_prompt`, or the answer longer than `max_response`."),
    "unserialisable": Reason("The answer has no stored form, or would not come back as it is.", reported=True),
    "backend": Reason("The storage failed, or was too slow, when it was read before the call or written after it.",
                      reported=True),
    "rejected": Reason("The storage works, but did not take this entry."),
    "invalidated": Reason("`invalidate` named what the answer rests on, or one of its tags, during the call.", True),
    "lease": Reason("Another process took over the call: the answer came after its lease had run out.", reported=True),
    "in-flight": Reason("The same call was in flight and its answer could not be shared, so this call ran beside it.",
                        True),
    "already-stored": Reason('In `mode="shadow"`: the cache holds an answer already.', True, True),
}  # fmt: skip
"""By their words, which are stable: metrics may use them as labels."""


def because(word: str, text: str = "") -> str:
    """Return a reason as `Lookup.stored_reason` has it: the word, and after a colon what there is to say.

    Args:
        word: one of `REASONS`.
        text: must hold no prompt, answer or secret.

    Example:
        >>> because("truncated", "finish_reason 'length'")
        "truncated: finish_reason 'length'"
    """
    assert word in REASONS, word
    return f"{word}: {text}" if text else word


def accepts(cache_if: Callable[[Any], Any], answer: Any) -> bool:
    """Return whether a user's `cache_if` wants an answer stored.

    Raises:
        TypeError: it returned something to wait for, which would count as true whatever it holds.
        Exception: what it raises.
    """
    wanted = cache_if(answer)
    if inspect.isawaitable(wanted):
        if inspect.iscoroutine(wanted):
            wanted.close()
        raise TypeError("cache_if must return True or False, not something to await")
    return bool(wanted)


def quoted(value: Any) -> str:
    """Return a word that a provider said, for `because`; of anything longer or other, its type.

    Example:
        >>> quoted("length"), quoted(["an answer"])
        ("'length'", 'a list')
    """
    return repr(value) if isinstance(value, str) and len(value) <= _LONGEST_WORD else f"a {type(value).__name__}"


def word_of(reason: str) -> str:
    """Return the word of a reason, ``""`` for none.

    Example:
        >>> word_of("truncated: finish_reason 'length'")
        'truncated'
    """
    return reason.partition(":")[0]


class NotStored(Exception):
    """An answer that must not be stored.

    Attributes:
        reason: as `because` makes it.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
