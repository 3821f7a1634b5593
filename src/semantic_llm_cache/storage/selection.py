"""Which entries `invalidate` is to delete."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from semantic_llm_cache.arguments import check_namespace, check_tags, check_text

__all__ = ["Selection"]


class Selection(NamedTuple):
    """Conditions on an entry's prompt and tags; None does not restrict.

    Attributes:
        needle: casefolded text that the casefolded prompt holds.
        tags: labels of which the entry has at least one.
    """

    needle: str | None
    tags: frozenset[str] | None

    @classmethod
    def of(cls, pattern: str | None, tags: Iterable[str] | None, namespace: str | None) -> Selection:
        """Return the conditions for the arguments of `invalidate`. TypeError names the argument that is wrong."""
        check_namespace(namespace)
        check_text(pattern, "pattern")
        wanted = None if tags is None else frozenset(check_tags(tags))
        return cls(None if pattern is None else pattern.casefold(), wanted)

    @property
    def empty(self) -> bool:
        """True without any condition: then nothing is to be deleted."""
        return self.needle is None and self.tags is None

    def matches(self, prompt: str, tags: Collection[str]) -> bool:
        """Return whether an entry fulfils all conditions."""
        return (self.tags is None or not self.tags.isdisjoint(tags)) and (
            self.needle is None or self.needle in prompt.casefold()
        )
