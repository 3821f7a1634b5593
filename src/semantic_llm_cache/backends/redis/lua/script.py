"""A Lua script, as it is sent to a server."""

from __future__ import annotations

import hashlib

__all__ = ["Script"]


class Script:
    """A Lua script and the digest that a server knows it by."""

    __slots__ = ("sha", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
