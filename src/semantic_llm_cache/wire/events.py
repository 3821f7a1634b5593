"""Bodies that come piece by piece: server-sent events, and JSON lines."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

__all__ = ["Splitter", "as_event", "as_line", "payload", "payloads"]

# Blank line after an event. A lone CR ends lines too (WHATWG HTML, "Server-sent events", 9.2.5).
_ENDS = {"sse": re.compile(rb"\r?\n\r?\n|\r\r"), "lines": re.compile(rb"\n")}
_LINE = re.compile(r"\r\n|\n|\r")
_MOST_HELD = 1 << 20


class Splitter:
    """Cuts bytes, as they come, into blocks: an event or a line each, with what ends it.

    The blocks joined are the bytes that went in. A block that does not end is passed on at 1 MiB.

    Args:
        kind: ``"sse"`` or ``"lines"``.

    Example:
        >>> splitter = Splitter("sse")
        >>> splitter.feed(b"data: 1\\n\\ndata:")
        ['data: 1\\n\\n']
        >>> splitter.rest()
        ['data:']
    """

    def __init__(self, kind: str) -> None:
        self._end = _ENDS[kind]
        self._held = bytearray()
        self._seen = 0

    def feed(self, data: bytes) -> list[str]:
        """Return the blocks that `data` completes."""
        self._held += data
        blocks = []
        start = 0
        for end in self._end.finditer(self._held, max(0, self._seen - 3)):
            blocks.append(_text(self._held[start : end.end()]))
            start = end.end()
        if len(self._held) - start > _MOST_HELD:
            blocks.append(_text(self._held[start:]))
            start = len(self._held)
        del self._held[:start]
        self._seen = len(self._held)
        return blocks

    def rest(self) -> list[str]:
        """Return what is left when no more bytes come: a list of one block, or empty."""
        held, self._held = self._held, bytearray()
        return [_text(held)] if held else []


def _text(data: bytes | bytearray) -> str:
    # Bytes that are not UTF-8 become surrogates: they reach the caller unchanged and are never stored.
    return data.decode("utf-8", "surrogateescape")


def payload(block: str) -> str | None:
    """Return the data of a server-sent event, or the line itself; None for comments and blank lines.

    Example:
        >>> payload("event: ping\\ndata: {}\\n\\n")
        '{}'
    """
    stripped = block.lstrip("\ufeff")
    if stripped[:1] in ("{", "["):
        return stripped.strip()
    data = []
    for line in _LINE.split(stripped):
        name, _, value = line.partition(":")
        if name == "data":
            data.append(value[1:] if value.startswith(" ") else value)
    return "\n".join(data) if data else None


def payloads(blocks: Iterable[str]) -> Iterator[Any]:
    """Yield the data of each block, JSON read; ``"[DONE]"`` as it is.

    Raises:
        ValueError: data that is not JSON.
    """
    for block in blocks:
        data = payload(block)
        if data is None or not data.strip():
            continue
        yield data if data.startswith("[DONE]") else json.loads(data)


def as_event(data: Any, event: str | None = None) -> str:
    """Return `data` as one server-sent event."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return f"event: {event}\ndata: {text}\n\n" if event else f"data: {text}\n\n"


def as_line(data: Any) -> str:
    """Return `data` as one line of JSON."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n"
