"""Templates learned from prompts: the words that the recent long prompts of a scope have in common."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock

from .alignment import matches

__all__ = ["LEAST_WORDS", "Skeletons"]

LEAST_WORDS = 40
"""Prompts with fewer words are no template's."""

_SCOPES = 256
_PER_SCOPE = 4
_MOST_WORDS = 2000
_PROMPTS = 4  # two prompts of one template share much by chance; so many do not
_KEPT = 0.8  # share of a skeleton's words that a prompt of the same template has


class _Skeleton:
    """The common words of some prompts, and which prompts these were (the first few, by hash)."""

    __slots__ = ("prompts", "words")

    def __init__(self, words: tuple[str, ...], prompts: frozenset[int]) -> None:
        self.words = words
        self.prompts = prompts


class Skeletons:
    """The word skeletons of recent long prompts, per scope, in this process only.

    At most 256 scopes with 4 skeletons of 2,000 words each are kept; the least recently used go first. Thread-safe.

    Example:
        >>> skeletons = Skeletons()
        >>> page = [f"word{i}" for i in range(50)]
        >>> for one, other in (("cats", "dogs"), ("fish", "horses")):
        ...     skeletons.learn("scope", [*page, one, "please"], [*page, other, "please"])
        >>> sorted(skeletons.known("scope", ["Hello", *page, "birds", "please"]))[:2]
        [1, 2]
        >>> 51 in skeletons.known("scope", ["Hello", *page, "birds", "please"])
        False
    """

    def __init__(self) -> None:
        self._scopes: OrderedDict[str, list[_Skeleton]] = OrderedDict()
        self._lock = Lock()

    def learn(self, scope: str, ours: Sequence[str], theirs: Sequence[str]) -> None:
        """Learn from two prompts of one scope, each given by its words."""
        if ours == theirs or min(len(ours), len(theirs)) < LEAST_WORDS or max(len(ours), len(theirs)) > _MOST_WORDS:
            return
        common = [ours[i] for i, _ in matches(ours, theirs)]
        if len(common) < LEAST_WORDS // 2:
            return
        prompts = frozenset((hash(tuple(ours)), hash(tuple(theirs))))
        with self._lock:
            held = self._scopes.setdefault(scope, [])
            self._scopes.move_to_end(scope)
            at, kept = _nearest(held, common)
            if at is None:
                held.append(_Skeleton(tuple(common), prompts))
                del held[:-_PER_SCOPE]
            else:
                old = held.pop(at)
                if len(old.prompts) < _PROMPTS:
                    prompts |= old.prompts
                else:
                    prompts = old.prompts
                held.append(_Skeleton(tuple(old.words[i] for i in kept), prompts))
            if len(self._scopes) > _SCOPES:
                self._scopes.popitem(last=False)

    def known(self, scope: str, words: Sequence[str]) -> frozenset[int]:
        """Return the places of a prompt's words that belong to a template learned from four prompts or more.

        Empty if the prompt is made from none of them.
        """
        with self._lock:
            held = [skeleton for skeleton in self._scopes.get(scope, ()) if len(skeleton.prompts) >= _PROMPTS]
        at, _ = _nearest(held, words)
        return frozenset() if at is None else frozenset(j for _, j in matches(held[at].words, words))


def _nearest(held: Sequence[_Skeleton], words: Sequence[str]) -> tuple[int | None, list[int]]:
    """Return which skeleton the words are made from, and the places of its words that they have."""
    best: tuple[int | None, list[int]] = (None, [])
    for at, skeleton in enumerate(held):
        kept = [i for i, _ in matches(skeleton.words, words)]
        if len(kept) >= max(_KEPT * len(skeleton.words), LEAST_WORDS // 2, len(best[1]) + 1):
            best = (at, kept)
    return best
