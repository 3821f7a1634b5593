"""Answers that were judged to say the same: they vote together, whatever their words."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from hashlib import blake2b

__all__ = ["Clusters", "digest"]

_MOST = 8192


def digest(answer: str) -> int:
    """Return 64 bits that stand for an answer's fingerprint."""
    return int.from_bytes(blake2b(answer.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


class Clusters:
    """Which answers say the same, by their fingerprints. The oldest are forgotten from 8,192 answers on.

    Example:
        >>> clusters = Clusters()
        >>> clusters.join("a", "b")
        >>> clusters.name("a") == clusters.name("b"), clusters.name("c")
        (True, 'c')
    """

    def __init__(self) -> None:
        self.roots: OrderedDict[int, int] = OrderedDict()
        """Digest of an answer -> digest that names its cluster."""

    def name(self, answer: str) -> str:
        """Return the name of an answer's cluster: its own fingerprint while it is alone."""
        if not self.roots:
            return answer
        root = self.roots.get(digest(answer))
        return answer if root is None else f"cluster {root:016x}"

    def join(self, answer: str, other: str) -> None:
        """Note that two answers say the same; their clusters become one."""
        a, b = digest(answer), digest(other)
        x, y = self.roots.get(a, a), self.roots.get(b, b)
        if x != y and a in self.roots:
            for member, root in self.roots.items():
                if root == x:
                    self.roots[member] = y
        for member in (a, b):
            self.roots[member] = y
            self.roots.move_to_end(member)
        while len(self.roots) > _MOST:
            self.roots.popitem(last=False)

    def restore(self, roots: Mapping[int, int]) -> None:
        """Continue with saved clusters."""
        self.roots = OrderedDict(list(roots.items())[-_MOST:])
