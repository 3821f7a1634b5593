"""Text that UTF-8 cannot hold, in a form that it can.

Half of a surrogate pair is a character of a Python string, but of no encoding: a prompt cut in the middle of an emoji
by a JavaScript client holds one. Each is written as a mark, U+FDD0 (which Unicode gives no meaning), and a character
of plane 15 that stands for it; the mark itself is written the same way. So a text keeps its order and
can still be searched for substrings, and two halves that stand side by side do not become one character.
"""

from __future__ import annotations

import re

__all__ = ["escape", "portable", "unescape"]

_MARK = "\ufdd0"
_PLANE = 0xF0000
# Compiled when first used, by `re` itself: compiling at import would cost every start.
_ODD = "[\ufdd0\ud800-\udfff]"
_ODD_OR_NUL = "[\x00\ufdd0\ud800-\udfff]"
_WRITTEN = "\ufdd0([\U000f0000-\U000fffff])"
_PAIR = "[\ud800-\udbff][\udc00-\udfff]"
_PIECE = 65_536


def escape(text: str, *, nul: bool = False) -> str:
    """Return `text` in a form that has a UTF-8 encoding.

    Args:
        text: any text.
        nul: write the character U+0000 that way too, for storage that cannot hold it.

    Example:
        >>> escape("cut \\ud83d").encode()
        b'cut \\xef\\xb7\\x90\\xf3\\xbd\\xa0\\xbd'
    """
    if nul and "\x00" in text:
        return re.sub(_ODD_OR_NUL, _written, text)
    if text.isascii() or (_MARK not in text and _is_whole(text)):
        return text
    return re.sub(_ODD, _written, text)


def unescape(text: str) -> str:
    """Undo `escape`."""
    if text.isascii() or _MARK not in text:
        return text
    return re.sub(_WRITTEN, lambda found: chr(ord(found[1]) - _PLANE), text)


def portable(text: str) -> str:
    """Return JSON text in a form that any JSON reader takes, and that `unescape` brings back to what it was.

    A lone half of a surrogate pair is written as its JSON escape. Two halves side by side would be read as one
    character, so such a text, and one with marks in it, is written by `escape`.

    Example:
        >>> print(portable('"cut \\ud83d"'))
        "cut \\ud83d"
    """
    if text.isascii():
        return text
    if _MARK in text or re.search(_PAIR, text):
        return escape(text)
    return text.encode("utf-8", "backslashreplace").decode()


def _written(found: re.Match[str]) -> str:
    return _MARK + chr(_PLANE + ord(found[0]))


def _is_whole(text: str) -> bool:
    """Return whether a text has a UTF-8 encoding. In pieces, as each holds the interpreter's lock."""
    try:
        for start in range(0, len(text), _PIECE):
            text[start : start + _PIECE].encode()
    except UnicodeEncodeError:
        return False
    return True
