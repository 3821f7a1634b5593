"""The error budgets in use, for `get_stats`."""

from __future__ import annotations

import weakref
from typing import Any, Protocol

__all__ = ["note", "reset", "summary"]


class Budget(Protocol):
    """An error budget: an `OnlinePolicy`."""

    max_error: float | None
    max_error_per_hit: float | None

    def summary(self) -> dict[str, Any]:
        """Return its counts, estimates and bounds."""
        ...


_in_use: weakref.WeakKeyDictionary[Budget, tuple[str, str | None]] = weakref.WeakKeyDictionary()


def note(budget: Budget, namespace: str, category: str | None) -> None:
    """Note that a budget is in use, for the namespace of an engine and perhaps for one category of prompts."""
    _in_use[budget] = namespace, category


def summary(namespace: str | None = None) -> list[dict[str, Any]]:
    """Return the figures of all budgets, or of those of one namespace; those with the most requests first."""
    found = [
        {
            "namespace": space,
            "category": category,
            "max_error": budget.max_error,
            "max_error_per_hit": budget.max_error_per_hit,
            **budget.summary(),
        }
        for budget, (space, category) in list(_in_use.items())
        if namespace in (None, space)
    ]
    return sorted(found, key=lambda record: -record["requests"])


def reset(namespace: str | None = None) -> None:
    """Leave out the budgets of one namespace, or all, until they are used again. They keep what they know."""
    for budget, (space, _) in list(_in_use.items()):
        if namespace in (None, space):
            _in_use.pop(budget, None)
