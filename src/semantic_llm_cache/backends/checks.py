"""Checks of the arguments that several backends take."""

from __future__ import annotations

from typing import Any

from semantic_llm_cache.arguments import shown

__all__ = ["check_bound", "check_seconds", "check_whole"]


def check_bound(value: Any, name: str) -> int | None:
    """Return `value` if it is a bound or None; TypeError or ValueError otherwise, with the argument's name."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}={shown(value)} must be a whole number, or None for no bound")
    if value < 1:
        raise ValueError(f"{name}={shown(value)} must be at least 1, or None for no bound")
    return value


def check_whole(value: Any, name: str, least: int, most: int | None = None) -> int:
    """Return a whole number of at least `least`. ValueError otherwise, with the argument's name."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least or (most is not None and value > most):
        span = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"{name}={shown(value)} must be a whole number {span}")
    return value


def check_seconds(value: Any, name: str) -> float:
    """Return a number of seconds, more than 0. ValueError otherwise, with the argument's name."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
        raise ValueError(f"{name}={shown(value)} must be seconds, more than 0")
    return float(value)
