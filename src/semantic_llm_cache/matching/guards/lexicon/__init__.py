"""Word lists that the guards read. Plain data, written for this package; English first."""

from __future__ import annotations

__all__ = ["in_order", "words"]


def words(text: str) -> frozenset[str]:
    """Return the white-space separated words of `text` as a set."""
    return frozenset(text.split())


def in_order(text: str) -> tuple[str, ...]:
    """Return the white-space separated words of `text` in their order."""
    return tuple(text.split())
