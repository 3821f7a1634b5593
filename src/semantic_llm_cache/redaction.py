"""What may be shown of an exception or a URL.

The text of an exception may quote a prompt, an answer or a password: users' callables, embedding services and
database drivers do that. A URL may hold a password anywhere, above all a mistyped one. Logs,
warnings and error messages show both only through the functions here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from types import FrameType
from typing import Any

from semantic_llm_cache.exceptions import PromptCacheError

__all__ = ["describe", "looks_like_url", "origin_of", "scheme_of", "without_urls"]

_PACKAGE = __name__.partition(".")[0]
# Compiled when first used, by `re` itself: compiling at import would cost every start.
_SCHEME = r"[a-z][a-z0-9+.-]{0,19}\Z"
_HOST = r"(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?\Z"
_WORD_WITH_URL = r"""[^\s'"]*(?:://|:[^\s'"]*@)[^\s'"]*"""


# ------------------------------------------------------------------------------- exceptions


def describe(error: BaseException) -> str:
    """Return what may be logged of an exception: its type and where it was raised.

    The message is included only for errors that this package itself has raised, whose texts hold no
    prompts, answers or secrets.

    Example:
        >>> describe(ValueError("the prompt"))
        'ValueError'
    """
    frame = _raised_in(error)
    if isinstance(error, PromptCacheError) and frame is not None and _is_ours(frame[0]):
        return str(error)
    name = type(error).__name__
    if name == "TimeoutError" and not error.args:  # asyncio has one of its own before Python 3.11
        return "no answer in time"
    if frame is None:
        return name
    code = frame[0].f_code
    folder, file = os.path.split(code.co_filename)
    return f"{name} at {os.path.join(os.path.basename(folder), file)}:{frame[1]} in {code.co_name}"


def _raised_in(error: BaseException) -> tuple[FrameType, int] | None:
    """Return the innermost frame and its line."""
    trace = error.__traceback__
    if trace is None:
        return None
    while trace.tb_next is not None:
        trace = trace.tb_next
    return trace.tb_frame, trace.tb_lineno


def _is_ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] == _PACKAGE


# ------------------------------------------------------------------------------------ URLs


def scheme_of(url: str) -> str:
    """Return the scheme with its ``://``, or an empty string when it may not be a scheme.

    Example:
        >>> scheme_of("redis://user:secret@host"), scheme_of("user:secret@host")
        ('redis://', '')
    """
    scheme, separator, _ = url.partition("://")
    return f"{scheme.lower()}://" if separator and re.match(_SCHEME, scheme, flags=re.IGNORECASE) else ""


def origin_of(url: Any) -> str:
    """Return scheme, host and port of a URL and nothing else of it; only the scheme where the rest is unclear.

    Example:
        >>> origin_of("https://user:secret@example.com:8443/v1?key=secret")
        'https://example.com:8443'
    """
    text = str(url)
    scheme = scheme_of(text)
    if not scheme:
        return "a URL"
    rest = text.partition("://")[2]
    location = re.split(r"[/?#\\]", rest, maxsplit=1)[0]
    # An @ after the first slash: perhaps a password that holds a slash.
    if "@" in rest[len(location) :]:
        return f"{scheme}..."
    host = location.rpartition("@")[2]
    return scheme + (host if re.match(_HOST, host, flags=re.IGNORECASE) else "...")


def looks_like_url(text: str) -> bool:
    """Return whether text may be a URL, or one without its scheme, so that it must not be shown as it is.

    Example:
        >>> looks_like_url("user:secret@host:6379"), looks_like_url("cache.db")
        (True, False)
    """
    return re.search(r"://|^[a-zA-Z][\w+.-]+:/|:.*@|[?&][\w-]+=", text, re.DOTALL) is not None


def without_urls(text: str, words: Iterable[str] = ()) -> str:
    """Return text in which each URL is cut to its origin. For messages written by other packages.

    Args:
        text: the message.
        words: what it may quote, such as the arguments of a command: of these, URLs with spaces are found too.

    Example:
        >>> without_urls("unrecognized arguments: redis://user:secret@host/0")
        'unrecognized arguments: redis://host'
    """
    for word in sorted(filter(looks_like_url, words), key=len, reverse=True):
        for quoted in (word, repr(word)[1:-1], " ".join(word.split())):
            text = text.replace(quoted, origin_of(word))
    return re.sub(_WORD_WITH_URL, lambda match: origin_of(match.group()), text)
