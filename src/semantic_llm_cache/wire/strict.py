"""JSON bodies that every parser reads alike. What two parsers may read differently is not read here at all."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from semantic_llm_cache.values.json_pieces import read, write
from semantic_llm_cache.wire.large import MOST_VALUES, has_too_many_values

__all__ = ["NOT_UTF8", "TOO_DEEP", "Bypass", "read_object", "without"]

NOT_UTF8 = "the body is not UTF-8"
TOO_DEEP = "the body is nested too deep"

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")

_READ = frozenset(
    {"model", "messages", "input", "prompt", "stream", "stream_options", "keep_alive", "temperature", "options",
     "conversation", "background", "previous_response_id"}
)  # fmt: skip
"""Fields of a body that the formats read by name."""


class Bypass(ValueError):
    """A request that must not be cached. Its message is logged, and holds nothing of the request."""


def read_object(body: bytes) -> dict[str, Any] | None:
    """Return the JSON object that a body is; None for any other JSON.

    Raises:
        Bypass: a body that parsers read differently: a name that an object has twice, ``NaN`` and infinities, numbers
            that no float holds exactly, lone surrogates, text that is not UTF-8 or starts with a byte order mark,
            and fields such as ``"Model"``, which servers in Go take for ``"model"``.

    Example:
        >>> read_object(b'{"model": "m"}')
        {'model': 'm'}
    """
    if has_too_many_values(body):
        raise Bypass(f"the body has more than {MOST_VALUES:,} values")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise Bypass(NOT_UTF8) from None
    try:
        found = read(text, _DECODER)
    except Bypass:
        raise
    except ValueError:  # the limit on digits of an integer too
        raise Bypass("the body is not JSON") from None
    except RecursionError:
        raise Bypass(TOO_DEEP) from None
    if not isinstance(found, dict):
        return None
    for name in found:
        if name not in _READ and name.casefold() in _READ:
            raise Bypass("a field differs from one that is read in the case of its letters only")
    if _SURROGATE.search(text):
        try:
            write(found).encode()
        except UnicodeEncodeError:
            raise Bypass("the body holds half a surrogate pair") from None
    return found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise Bypass("an object has a name twice")
    return made


def _float(text: str) -> float:
    number = float(text)
    if repr(number) == text or _is_exactly(text, number):
        return number
    raise Bypass("a number is not one that a float holds")


def _is_exactly(text: str, number: float) -> bool:
    """Return whether a text is another spelling of a float: ``0.50``, ``5e-1``, or its first 17 digits."""
    from decimal import Decimal, InvalidOperation

    try:
        given = Decimal(text)
    except InvalidOperation:
        return False
    return given in (Decimal(repr(number)), Decimal(f"{number:.17g}"))


def _constant(text: str) -> NoReturn:
    raise Bypass(f"{text} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=_float, parse_constant=_constant)


def without(options: Any, neutral: Mapping[str, str]) -> Any:
    """Return options without those that are neutral when true or false; None when no others are left.

    Example:
        >>> without({"include_usage": True}, {"include_usage": "why"}) is None
        True
    """
    if not isinstance(options, Mapping):
        return options
    kept = {name: value for name, value in options.items() if name not in neutral or not isinstance(value, bool)}
    return kept or (None if options else {})
