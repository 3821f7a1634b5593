"""Who asks, where the credential does not say it: a token that rotates, or one that many people share."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from semantic_llm_cache.exceptions import CacheKeyError
from semantic_llm_cache.wire.strict import Bypass

__all__ = ["Given", "Principal", "Sent"]


@dataclass(frozen=True)
class Sent:
    """A request, as `principal` sees it.

    Attributes:
        url: whole.
        headers: by name in lower case; values of equal names are joined with ``", "``.
    """

    url: str
    headers: Mapping[str, str]


Given = str | Callable[..., Any] | None
"""A text, or a callable that returns it: with a `Sent` if it takes an argument, else with nothing."""


class Principal:
    """The option `principal` of a door.

    Args:
        given: the option.

    Raises:
        ValueError: an empty text, or a callable that needs more than one argument.
        TypeError: neither text nor a plain callable.

    Example:
        >>> Principal(lambda sent: sent.headers.get("x-user")).of("http://host", [("X-User", "7")])
        '7'
    """

    def __init__(self, given: Given) -> None:
        self._given = given
        self._takes = 0
        if given is None:
            return
        if isinstance(given, str):
            if not given.strip():
                raise ValueError(f"principal={given!r} must be text that names who asks, or a callable that returns it")
            return
        if not callable(given):
            raise TypeError(f"principal={given!r} must be text, or a callable that returns who asks")
        if inspect.iscoroutinefunction(given) or inspect.iscoroutinefunction(type(given).__call__):
            raise TypeError("principal= must be a plain function: it is called before the request is looked up")
        self._takes = _needed(given)
        if self._takes > 1:
            raise ValueError("principal= must be callable with no argument, or with the request alone")

    def of(self, url: str, headers: list[tuple[str, str]]) -> str | None:
        """Return who sends a request; None where the credential says it.

        Raises:
            Bypass: the callable raised, or returned something that is neither text nor None. Who asks is then not
                known, and the credential may be one that many callers share.
        """
        given = self._given
        if given is None or isinstance(given, str):
            return given
        try:
            found = given(_sent(url, headers)) if self._takes else given()
        except Exception as error:
            raise Bypass(f"principal= raised {type(error).__name__}") from None
        if found is None or (isinstance(found, str) and not found.strip()):
            return None
        if not isinstance(found, str):
            if inspect.iscoroutine(found):
                found.close()
            raise Bypass(f"principal= returned a {type(found).__qualname__}, not text or None")
        return found

    def __cache_scope__(self) -> Any:
        """As part of a door that an instance holds: who asks now, or what says it of each request.

        Raises:
            CacheKeyError: it is not known who asks.
        """
        if self._takes:
            return self._given
        try:
            return self.of("", [])
        except Bypass as bypass:
            raise CacheKeyError(f"{bypass}: it must name who asks before a method that uses the client") from None


def _needed(function: Callable[..., Any]) -> int:
    """Return how many arguments a callable needs; 0 where it does not say."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return 0
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    by_name = any(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in parameters)
    return 2 * by_name + sum(1 for p in parameters if p.kind in kinds and p.default is p.empty)


def _sent(url: str, headers: list[tuple[str, str]]) -> Sent:
    joined: dict[str, str] = {}
    for given, value in headers:
        name = given.lower()
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return Sent(url, joined)
