"""Streams of Anthropic messages, put together."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from semantic_llm_cache.calls.refusals import NotStored, because, quoted
from semantic_llm_cache.wire.deltas import Gathered, doubt, json_pieces, pieces, repeated, totals, unknown
from semantic_llm_cache.wire.events import payloads

__all__ = ["assemble"]

_DELTAS = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature"}
"""Field of a block to which each kind of delta adds."""

_RULES = {"text": pieces, "thinking": pieces, "signature": repeated}
_KNOWN = frozenset(
    {"message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta",
     "message_stop", "error"}
)  # fmt: skip


def _broken(what: str) -> NotStored:
    return NotStored(because("incomplete", what))


class Block:
    """A content block, as it comes."""

    def __init__(self, start: Mapping[str, Any]) -> None:
        self._block = dict(start)
        self._values: dict[str, list[str]] = {}
        self._input: list[str] = []

    def add(self, delta: Mapping[str, Any]) -> None:
        """Add a delta."""
        kind = delta["type"]
        block = self._block
        if kind == "input_json_delta":
            self._input.append(delta["partial_json"])
        elif kind == "citations_delta":
            block["citations"] = [*(block.get("citations") or ()), delta["citation"]]
        elif kind in _DELTAS:
            name = _DELTAS[kind]
            if name != "signature" and not isinstance(block.get(name), str):
                raise _broken(f"a {kind} in a block that has no {name}")
            self._values.setdefault(name, [block.get(name) or ""]).append(delta[name])
        else:
            raise unknown(f"a delta {quoted(kind)}")

    def whole(self) -> dict[str, Any]:
        """Return the block."""
        for name, values in self._values.items():
            self._block[name] = _RULES[name](name, values)
        given = json_pieces("input", self._input) if self._input else ""
        if given:
            read = json.loads(given)
            if self._block.get("input") not in (None, {}, read):
                raise doubt("input", "is in the start of its block, and another one in its deltas")
            self._block["input"] = read
        return self._block


class Message:
    """A message, as it comes."""

    def __init__(self) -> None:
        self.message: dict[str, Any] | None = None
        self.usage: dict[str, Any] = {}
        self.content: list[dict[str, Any]] = []
        self.block: Block | None = None
        self.end = Gathered({}, repeated)
        self.last = False
        self.done = False

    def add(self, event: dict[str, Any]) -> None:
        """Add an event. They have only one order: start, blocks one after the other, delta, stop."""
        kind = event["type"]
        if kind == "error":
            raise NotStored(because("no-answer", "an event is an error"))
        if kind not in _KNOWN:
            if kind == "ping" or event.keys() == {"type"}:
                return
            raise unknown(f"an event {quoted(kind)}")
        if self.done or (self.message is None) != (kind == "message_start"):
            raise _broken(f"{quoted(kind)} comes out of order")
        if kind == "message_start":
            self._start(event["message"])
        elif kind == "message_delta":
            self._end(event)
        elif kind == "message_stop":
            if not self.last:
                raise _broken("message_stop comes out of order")
            self.done = True
        else:
            self._add_to_block(event, kind)

    def _start(self, message: Mapping[str, Any]) -> None:
        if message.get("content"):
            raise doubt("content", "is in the start of the message already")
        self.message = dict(message)
        self.usage = dict(message.get("usage") or {})

    def _add_to_block(self, event: Mapping[str, Any], kind: str) -> None:
        starts = kind == "content_block_start"
        if self.last or event["index"] != len(self.content) or (self.block is None) != starts:
            raise _broken(f"{quoted(kind)} comes out of order")
        if starts:
            self.block = Block(event["content_block"])
            return
        assert self.block is not None
        if kind == "content_block_delta":
            self.block.add(event["delta"])
        else:
            self.content.append(self.block.whole())
            self.block = None

    def _end(self, event: Mapping[str, Any]) -> None:
        if self.block is not None:
            raise _broken("message_delta comes out of order")
        self.last = True
        self.end.add(event["delta"])
        for name, value in event.items():
            if name == "context_management":
                self.end.add({name: value})
            elif name not in ("type", "delta", "usage") and value is not None:
                raise unknown(f"a message_delta with {quoted(name)}")
        self.usage = totals(self.usage, event.get("usage") or {})

    def whole(self) -> dict[str, Any]:
        """Return the message. ``message_stop`` may be missing where nothing else is."""
        if self.message is None or not self.last:
            raise _broken("it ended before its stop reason")
        end = self.end.whole()
        if not self.done and not end.get("stop_reason"):
            raise _broken("it ended before its stop reason")
        return {**self.message, **end, "content": self.content, "usage": self.usage}


def assemble(blocks: Iterable[str]) -> dict[str, Any]:
    """Return the message that a stream adds up to.

    Raises:
        NotStored: the stream is not whole, or can be read in two ways.
        ValueError, TypeError, KeyError, AttributeError: it is no stream of this format.
    """
    message = Message()
    for event in payloads(blocks):
        if not isinstance(event, dict):
            raise _broken("an event is no object")
        message.add(event)
    return message.whole()
