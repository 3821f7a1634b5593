"""Checks of the options that doors have in common."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

__all__ = ["ToolCalls", "check_names", "check_temperature", "check_tool_calls"]

ToolCalls = Literal["bypass", "cache"]


def check_tool_calls(tool_calls: ToolCalls) -> bool:
    """Return whether answers that call tools may be stored.

    Raises:
        ValueError: neither ``"bypass"`` nor ``"cache"``.
    """
    if tool_calls not in get_args(ToolCalls):
        raise ValueError(f"tool_calls={tool_calls!r} must be 'bypass' or 'cache'")
    return tool_calls == "cache"


def check_temperature(most: float | None) -> float | None:
    """Return the highest temperature of requests that are cached.

    Raises:
        TypeError: neither a number nor None.
    """
    if most is not None and (isinstance(most, bool) or not isinstance(most, (int, float))):
        raise TypeError(f"max_temperature={most!r} must be a number, or None for no bound")
    return most


def check_names(names: Iterable[str], option: str) -> frozenset[str]:
    """Return a collection of names as a set.

    Raises:
        TypeError: a string.
    """
    if isinstance(names, str):
        raise TypeError(f"{option}={names!r} must be a collection of names, such as ({names!r},)")
    return frozenset(names)
