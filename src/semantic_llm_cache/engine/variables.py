"""Context variables: what a function sets in a task of its own, for the caller that it runs for.

A bare call runs in its caller's context, so the caller sees what it sets. Under the cache an async function runs in a
task, with a copy of that context, so that it can outlive its caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import Context, ContextVar, copy_context
from typing import Any

__all__ = ["Changes", "changes_since", "set_here"]

Changes = Sequence[tuple[ContextVar[Any], Any]]

_OURS = "semantic_llm_cache."
"""How the names of this package's own variables begin, and with the dot no user's. They describe the task, not its
caller."""

_UNSET: Any = object()


def changes_since(before: Context) -> Changes:
    """Return the variables that this context and an earlier copy of it differ in, with their values here."""
    return [
        (variable, value)
        for variable, value in copy_context().items()
        if value is not before.get(variable, _UNSET) and not variable.name.startswith(_OURS)
    ]


def set_here(changes: Changes) -> None:
    """Set the variables in the running context."""
    for variable, value in changes:
        variable.set(value)
