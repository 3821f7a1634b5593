"""How often each stored answer was right and wrong."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping

from semantic_llm_cache.matching.online.clusters import digest

__all__ = ["Records"]

_MOST = 4096


class Records:
    """The record of each answer, by its name. The least recently counted are forgotten from 4,096 answers on.

    Example:
        >>> records = Records()
        >>> records.count("a", True)
        >>> records.count("b", False)
        >>> records.merge(["a", "b"], "b")
        >>> records.of("a"), records.of("b")
        ((0, 0), (1, 1))
    """

    def __init__(self) -> None:
        self.counts: OrderedDict[int, list[int]] = OrderedDict()
        """Digest of a name -> how often right, how often wrong."""

    def of(self, name: str) -> tuple[int, int]:
        """Return how often the answer was right, and how often wrong."""
        right, wrong = self.counts.get(digest(name), (0, 0))
        return right, wrong

    def count(self, name: str, correct: bool) -> None:
        """Count an outcome of the answer."""
        key = digest(name)
        self.counts.setdefault(key, [0, 0])[0 if correct else 1] += 1
        self.counts.move_to_end(key)
        while len(self.counts) > _MOST:
            self.counts.popitem(last=False)

    def merge(self, names: Iterable[str], together: str) -> None:
        """Give the answer `together` the records of all these."""
        key = digest(together)
        for name in names:
            record = self.counts.pop(digest(name), None)
            if record is not None:
                kept = self.counts.setdefault(key, [0, 0])
                kept[0] += record[0]
                kept[1] += record[1]

    def restore(self, counts: Mapping[int, list[int]]) -> None:
        """Continue with saved records."""
        self.counts = OrderedDict(counts)
