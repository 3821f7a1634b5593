"""What the attacks share: a model whose answers are all different, and checks of who got whose answer."""

import itertools
import sys
from pathlib import Path

from semantic_llm_cache import CacheKeyError

sys.path.insert(0, str(Path(__file__).parent.parent / "support"))

ASKED = "How do I reset my password?"
AGAIN = "How can I reset my password?"
"""A paraphrase that is a near hit of `ASKED` inside one scope."""

_numbers = itertools.count(1)


def model(*_):
    """Answer as no call before: two equal answers are one answer served twice.

    A global on purpose. A cached function that held a counter in its closure would have another key each time, and
    no attack on it could succeed or fail.
    """
    return f"answer {next(_numbers)}"


class Refused:
    """Stands for a call that the cache refused because it cannot tell its caller."""

    def __init__(self, error):
        self.error = error


def told(ask):
    """Return what a caller got; a refusal is an answer of its own."""
    try:
        return ask()
    except CacheKeyError as error:
        return Refused(error)


def apart(*asks):
    """Check that no caller got another's answer. Callers may be refused."""
    answers = [told(ask) for ask in asks]
    served = [answer for answer in answers if not isinstance(answer, Refused)]
    assert len(set(served)) == len(served), f"one caller got another's answer: {answers}"


def shared(*asks):
    """Check that all callers got one answer: the attack beside it is then not refused by a cache that never hits."""
    assert len({ask() for ask in asks}) == 1


async def told_later(ask):
    """Return what an async caller got."""
    try:
        return await ask()
    except CacheKeyError as error:
        return Refused(error)


async def apart_later(*asks):
    """`apart` for async callers, one after the other."""
    answers = [await told_later(ask) for ask in asks]
    served = [answer for answer in answers if not isinstance(answer, Refused)]
    assert len(set(served)) == len(served), f"one caller got another's answer: {answers}"


def user(text):
    """Return a conversation of one user turn."""
    return [{"role": "user", "content": text}]
