"""Argument types: text to value, with an error that says what is expected."""

from __future__ import annotations

import argparse

from semantic_llm_cache.arguments import shown

__all__ = ["count", "seconds", "share", "similarity", "within"]


def count(text: str) -> int:
    """Parse a whole number of at least 1."""
    if not text.isdecimal() or len(text) > 18 or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{shown(text)} must be a whole number of at least 1")
    return int(text)


def within(text: str, low: float, high: float, wanted: str) -> float:
    """Parse a number from `low` to `high`, both allowed; `wanted` says in words what it must be."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"{text!r} must be {wanted}")
    return value


def share(text: str) -> float:
    """Parse a share strictly between 0 and 1."""
    wanted = "a share between 0 and 1, such as 0.02 for 2 percent"
    value = within(text, 0, 1, wanted)
    if value in (0, 1):
        raise argparse.ArgumentTypeError(f"{text!r} must be {wanted}")
    return value


def similarity(text: str) -> float:
    """Parse a similarity from 0 to 1."""
    return within(text, 0, 1, "a similarity from 0 to 1, such as 0.95")


def seconds(text: str) -> float:
    """Parse seconds, 0 or more."""
    return within(text, 0, 1e9, "seconds, such as 0.5")
