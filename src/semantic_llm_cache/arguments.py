"""Checks of arguments that many functions take: each error names the argument, what was given and what to give."""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = [
    "SYNONYMS", "check_callable", "check_count", "check_flag", "check_namespace", "check_number", "check_path",
    "check_plain", "check_tags", "check_text", "is_async", "kind_of", "shown", "unknown",
]  # fmt: skip

_LONGEST = 80


def shown(value: object) -> str:
    """Return a value as an error shows it: its repr, cut if long.

    Example:
        >>> shown("a" * 100)[-4:], shown(10**5000)
        ('a...', 'a number of more than 4,000 digits')
    """
    if isinstance(value, int) and abs(value) >= 10**4000:
        return "a number of more than 4,000 digits"  # which Python refuses to write
    try:
        text = repr(value)
    except Exception:  # the value's own code
        return f"a {type(value).__name__}"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def kind_of(value: object) -> str:
    """Return what a value is, for an error about one that may hold a secret and is not shown.

    Example:
        >>> kind_of("sk-..."), kind_of(dict)
        ('a value of type str', 'the class dict')
    """
    return f"the class {value.__name__}" if isinstance(value, type) else f"a value of type {type(value).__name__}"


SYNONYMS = {
    "threshold": "similarity",
    "score_threshold": "similarity",
    "expire": "ttl",
    "expires": "ttl",
    "expiration": "ttl",
    "max_age": "ttl",
    "key": "key_func",
    "model": "embedder",
    "embedding": "embedder",
    "embeddings": "embedder",
    "embedding_model": "embedder",
    "storage": "backend",
    "url": "backend",
    "tenant": "scope",
}
"""Names of other libraries for our options: they look like none of them, or like the wrong one."""


def unknown(what: str, given: str, known: Iterable[str], synonyms: Mapping[str, str] | None = None) -> str:
    """Return the message about an unknown name: it gives the nearest known name, and all known names.

    Args:
        what: names the kind of thing, such as ``"option"``.
        given: the unknown name.
        known: the names to choose from.
        synonyms: names that other libraries use, with the known name of the same meaning.

    Example:
        >>> unknown("option", "similarty", ["similarity", "ttl"])
        "unknown option 'similarty': did you mean 'similarity'? Known options: similarity, ttl"
        >>> unknown("option", "colour", ["similarity", "ttl"])
        "unknown option 'colour'. Known options: similarity, ttl"
    """
    import difflib  # only for the message

    names = list(dict.fromkeys(known))
    same = (synonyms or {}).get(given)
    near = [same] if same in names else difflib.get_close_matches(given, names, 1)
    hint = f": did you mean {near[0]!r}?" if near else "."
    return f"unknown {what} {shown(given)}{hint} Known {what}s: {', '.join(names)}"


def check_namespace(namespace: Any) -> str | None:
    """Return a namespace, or None for all. TypeError for anything else."""
    return check_text(namespace, "namespace")


def check_tags(tags: Any, name: str = "tags") -> tuple[str, ...]:
    """Return labels, one or several, as a tuple. TypeError for anything else."""
    if isinstance(tags, str):
        tags = (tags,)
    if isinstance(tags, (bytes, bytearray)) or not isinstance(tags, Iterable):
        raise TypeError(f"{name}={shown(tags)} must be a string or several: tags='a' or tags=['a', 'b']")
    names = tuple(tags)
    for one in names:
        if not isinstance(one, str) or not one:
            raise TypeError(f"{name}={shown(tags)} must be non-empty strings")
    return names


def check_text(text: Any, name: str) -> str | None:
    """Return a text, or None. TypeError for anything else."""
    if text is not None and not isinstance(text, str):
        raise TypeError(f"{name}={shown(text)} must be a string, or None")
    return text


def check_path(path: Any, name: str) -> str:
    """Return the path of a file as text. TypeError, ValueError for what cannot be a path."""
    if not isinstance(path, (str, os.PathLike)) or not isinstance(text := os.fspath(path), str):
        raise TypeError(f"{name}={shown(path)} must be text or a pathlib.Path")
    try:
        os.fsencode(text)
    except UnicodeError:
        text = ""
    if not text or "\0" in text:
        raise ValueError(f"{name}={shown(path)} names no file")
    return text


def check_callable(value: Any, name: str) -> Any:
    """Return a callable or None. TypeError for anything else."""
    if value is not None and not callable(value):
        raise TypeError(f"{name}={shown(value)} must be callable, or None")
    return value


def check_plain(value: Any, name: str) -> Any:
    """Return a plain callable or None. TypeError for anything else, async ones too: nobody would wait for these."""
    if check_callable(value, name) is not None and is_async(value):
        raise TypeError(f"{name}={shown(value)} must be a plain function, not an async one: it is not awaited")
    return value


def is_async(function: Any) -> bool:
    """Return whether calling `function` makes a coroutine, as far as it can be seen."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))


def check_flag(value: Any, name: str) -> bool:
    """Return True or False. TypeError for anything else, such as ``"no"``, which would count as true."""
    if not isinstance(value, bool):
        raise TypeError(f"{name}={shown(value)} must be True or False")
    return value


def check_count(value: Any, name: str, what: str = "a whole number") -> int:
    """Return a whole number of at least 1. TypeError, ValueError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value < 2**63:
        raise ValueError(f"{name}={shown(value)} must be {what} of at least 1")
    return value


def check_number(value: Any, name: str, what: str, *, least: float = -math.inf, above: float = -math.inf) -> float:
    """Return a finite number as float. ValueError, TypeError for anything else; `what` says what it must be."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name}={shown(value)} must be {what}")
    try:
        number = float(value)
    except OverflowError:  # a whole number beyond 1.8e308
        number = math.inf
    if not math.isfinite(number) or number < least or not number > above:
        raise ValueError(f"{name}={shown(value)} must be {what}")
    return number
