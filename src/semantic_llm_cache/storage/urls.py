"""Reading the parts of a backend's URL, with error messages that never quote a password.

In a mistyped URL the password may be in any part: in ``redis://user:a/b@host`` the parser takes ``user:a`` for the
host. So messages name the scheme, what is expected, and known names only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlsplit

from semantic_llm_cache.arguments import unknown
from semantic_llm_cache.redaction import scheme_of

__all__ = [
    "begin_of", "host_and_port", "merged", "options_of", "read_options", "split", "split_server", "unknown_option",
    "yes_or_no",
]  # fmt: skip

_ESCAPES = "in a user name or a password write / as %2F, ? as %3F, # as %23, @ as %40, : as %3A, [ as %5B, % as %25"
_TRUTH = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


def begin_of(url: str) -> str:
    """Return how a message names a URL: by its scheme."""
    return f"{scheme_of(url) or 'the URL '}..."


def split(url: str) -> SplitResult:
    """Return the parts of a URL. ValueError for one that cannot be split."""
    try:
        return urlsplit(url)
    except ValueError:  # which may quote the URL
        raise ValueError(f"{begin_of(url)}: it cannot be read as a URL; {_ESCAPES}") from None


def split_server(url: str) -> SplitResult:
    """`split` for the URL of a server, in which an @ may only stand before the host."""
    parts = split(url)
    if parts.fragment or "#" in url or "@" in parts.path or "@" in parts.query:
        raise ValueError(f"{begin_of(url)}: it has one of /, ? or # where none can be; {_ESCAPES}")
    return parts


_NOT_OF_HOSTS = re.compile(r"[^\w.:%\[\]-]")


def host_and_port(url: str, text: str) -> tuple[str | None, int | None]:
    """Return the host and the port in `text`, None for what it does not name.

    Raises:
        ValueError: it is neither. A colon without a port, or a character that no host has, may be a user name and a
            password without a host.
    """
    try:
        if text.endswith(":") or _NOT_OF_HOSTS.search(text):
            raise ValueError
        parts = urlsplit(f"//{text}")
        return parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"{begin_of(url)}: what follows the user name and password is not a host and a port") from None


def read_options(url: str, query: str, known: Mapping[str, Callable[[str], Any]]) -> dict[str, Any]:
    """Return the options of a query by name. ValueError for an unknown one, or a value that cannot be read."""
    options: dict[str, Any] = {}
    for name, text in parse_qsl(query, keep_blank_values=True):
        if name not in known:
            raise ValueError(unknown_option(url, name, known))
        try:
            options[name] = known[name](text)
        except (ValueError, OverflowError):
            what = "yes or no" if known[name] is yes_or_no else "a number"
            raise ValueError(f"{begin_of(url)}: the option {name} must be {what}") from None
    return options


def options_of(url: str, known: Mapping[str, Callable[[str], Any]]) -> dict[str, Any]:
    """Return the options after the question mark of a URL. ValueError as for `read_options`, and for a number sign."""
    parts = split(url)
    if parts.fragment:
        raise ValueError(f"{begin_of(url)}: a number sign in a path is written %23")
    return read_options(url, parts.query, known)


def unknown_option(url: str, name: str, known: Iterable[str]) -> str:
    """Return the message for an unknown option. It is named only if it resembles a known one."""
    listed = sorted(known)
    import difflib  # only for the message

    if name.isidentifier() and difflib.get_close_matches(name, listed, n=1):
        return f"{begin_of(url)}: {unknown('option', name, listed)}"
    return f"{begin_of(url)}: unknown option. Known options: {', '.join(listed)}"


def merged(defaults: Mapping[str, Any], of_url: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a backend's options: an argument that was given goes before the URL's option, that before the default.

    None in `given` is an argument that was not given.
    """
    return {**defaults, **of_url, **{name: value for name, value in given.items() if value is not None}}


def yes_or_no(text: str) -> bool:
    """Parse a truth value. ValueError for anything else."""
    value = _TRUTH.get(text.lower())
    if value is None:
        raise ValueError
    return value
