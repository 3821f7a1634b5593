"""The options in a backend's URL."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["options_of"]


def options_of(url: str, known: Mapping[str, Callable[[str], Any]]) -> dict[str, Any]:
    """Return the options after the question mark of a URL, each read by its converter in `known`.

    Raises:
        ValueError: an unknown option, or a value that cannot be read.
    """
    from urllib.parse import parse_qsl, urlsplit

    options: dict[str, Any] = {}
    parts = urlsplit(url)
    if parts.fragment:
        raise ValueError(f"{url!r}: a number sign in a path is written %23")
    for name, text in parse_qsl(parts.query, keep_blank_values=True):
        if name not in known:
            raise ValueError(f"{url!r}: unknown option {name!r}, there are {', '.join(sorted(known))}")
        try:
            options[name] = known[name](text)
        except ValueError:
            raise ValueError(f"{url!r}: {name}={text!r} must be a number") from None
    return options
