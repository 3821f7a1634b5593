"""Which part of a conversation is the question, and which part of its history counts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from semantic_llm_cache.exceptions import CacheKeyError
from semantic_llm_cache.keys.request import Conversation, split_messages

__all__ = ["check_history", "depends_on_history", "last_turn"]

_SYSTEM = ("system", "developer")

_WORD = re.compile(r"\w+", re.UNICODE)
_POINTING = frozenset(
    """it its itself that this these those they them their theirs he him his she her hers there here one ones both
    former latter above previous earlier before last first second third next other another same such again more
    else also instead too then so why continue yes no yeah yep nope ok okay sure please thanks correct right wrong
    shorter longer simpler better rephrase rewrite retry redo expand elaborate summarize summarise shorten translate
    explain clarify said mentioned you your""".split()  # noqa: SIM905
)
_SHORT = 3


def check_history(history: str) -> int | None:
    """Return the number of messages of a window, or None for ``"exact"``.

    Raises:
        ValueError: neither ``"exact"`` nor ``"window:N"`` with N from 0.
    """
    if history == "exact":
        return None
    match = re.fullmatch(r"window:(\d+)", history) if isinstance(history, str) else None
    if match is None:
        raise ValueError(f'history={history!r} must be "exact", or "window:N" with a number of messages, "window:2"')
    return int(match[1])


def depends_on_history(text: str) -> bool:
    """Return whether a user turn may mean something else after another history: "yes", "continue", "why that one?".

    True in doubt: for very short turns, and for turns with a word that refers to something said before.

    Example:
        >>> depends_on_history("And what about it?"), depends_on_history("What is the capital of France?")
        (True, False)
    """
    words = [word.casefold() for word in _WORD.findall(text)]
    if len(words) <= _SHORT:
        return True
    return any(word in _POINTING for word in words) or words[0] in ("and", "but", "or", "because")


def last_turn(messages: Any, window: int | None = None) -> Conversation:
    """Take the last user turn as the text, and what counts of the rest as scope.

    Args:
        messages: a list of mappings with a role and a content; items with no role (tool results of some
            formats) are history.
        window: how many messages before the last user turn count beside system prompts; None is all. A turn
            that means nothing alone counts with all of its history in any case.

    Raises:
        CacheKeyError: not a list of messages.
    """
    if not isinstance(messages, Sequence) or isinstance(messages, (str, bytes)):
        raise CacheKeyError("messages must be a list")
    items = []
    for item in messages:
        if not isinstance(item, Mapping):
            raise CacheKeyError("messages must be a list of objects")
        items.append(item if isinstance(item.get("role"), str) else {"role": "", "item": dict(item)})
    conversation = split_messages(items)
    if window is None or depends_on_history(conversation.text):
        return conversation
    rest = conversation.rest
    place = next((i for i, item in enumerate(rest) if "turn" in item and "role" not in item), None)
    if place is None:
        return conversation
    system = [item for item in rest[:place] if item.get("role") in _SYSTEM]
    others = [item for item in rest[:place] if item.get("role") not in _SYSTEM]
    kept = others[len(others) - min(window, len(others)) :]
    return Conversation(conversation.text, [*system, {"window": window}, *kept, *rest[place:]])
