"""What an entry says about its origin, for people: the function or model behind a scope, which itself is a hash."""

from __future__ import annotations

from typing import NamedTuple

from semantic_llm_cache.config import CacheEntry

__all__ = ["Origin", "origin_of_entry"]

_SHORT = 8


class Origin(NamedTuple):
    """Who asked and how, as far as an entry shows it.

    Attributes:
        namespace: its namespace.
        function: module and name of the decorated function; "" when another door stored it.
        model: the model of the request; "" when that is only part of the scope's hash.
        scope: the first characters of the scope's hash.
    """

    namespace: str
    function: str
    model: str
    scope: str

    def __str__(self) -> str:
        plain = self.namespace == "default" and (self.function or self.model)
        parts = ("" if plain else self.namespace, self.function, self.model, self.scope)
        return " ".join(part for part in parts if part)


def origin_of_entry(entry: CacheEntry) -> Origin:
    """Return the origin of an entry: decorated functions and wrapped clients leave it in the entry's tags.

    Example:
        >>> str(origin_of_entry(CacheEntry("p", "r", tags=("function:app.ask",), scope="5f3a91c2d4e6f708")))
        'app.ask 5f3a91c2'
    """

    def tagged(prefix: str) -> str:
        return next((tag[len(prefix) :] for tag in entry.tags if tag.startswith(prefix)), "")

    return Origin(entry.namespace, tagged("function:"), tagged("model:"), entry.scope[:_SHORT])
