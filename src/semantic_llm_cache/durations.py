"""Time spans as people write them: seconds, `timedelta`, or text such as ``"1h30m"``."""

from __future__ import annotations

import math
import re
from datetime import timedelta

from semantic_llm_cache.arguments import shown

__all__ = ["TTL", "parse_ttl"]

TTL = int | float | timedelta | str | None

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_HELP = 'use seconds (3600), a timedelta, text such as "90s", "1h30m" or "7d", or None for no expiry'


def parse_ttl(ttl: TTL, name: str = "ttl") -> float | None:
    """Return `ttl` in seconds, or None for "never expires".

    Text is one or more numbers with the units ms, s, m, h, d, w, largest first or not, as in
    ``"1h30m"``.

    Raises:
        ValueError: zero, negative, not finite, or unreadable text. The message names `name`.
        TypeError: another type.

    Example:
        >>> parse_ttl("1h30m")
        5400.0
    """
    if ttl is None:
        return None
    if isinstance(ttl, bool) or not isinstance(ttl, (int, float, timedelta, str)):
        raise TypeError(f"{name}={shown(ttl)} is a {type(ttl).__name__}: {_HELP}")
    if isinstance(ttl, timedelta):
        seconds = ttl.total_seconds()
    elif isinstance(ttl, str):
        text = ttl.strip().lower().replace(" ", "")
        parts = _PART.findall(text)
        if not parts or "".join(number + unit for number, unit in parts) != text:
            raise ValueError(f"{name}={shown(ttl)} cannot be read: {_HELP}")
        seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    else:
        seconds = float(ttl) if abs(ttl) < 1e300 else math.inf
    if not math.isfinite(seconds) or seconds <= 0:
        raise ValueError(f"{name}={shown(ttl)} must be more than zero: {_HELP}")
    return seconds
