"""Anthropic messages."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from semantic_llm_cache.wire.base import Asked, Format, Reading, event_type, is_blank
from semantic_llm_cache.wire.events import as_event, payloads
from semantic_llm_cache.wire.turns import last_turn

__all__ = ["AnthropicMessages"]

_FINISHED = ("end_turn", "stop_sequence")
_PIECES = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature"}


class _Broken(Exception):
    pass


class AnthropicMessages(Format):
    """``POST /v1/messages``."""

    name = "anthropic.messages"
    paths = ("/v1/messages",)

    def take(self, rest: dict[str, Any], reading: Reading) -> tuple[str, dict[str, Any], bool] | None:
        """Take the last user turn as the text."""
        text, history = last_turn(rest.pop("messages"), reading.window)
        return text, {"body": rest, "messages": history}, True

    def unfit(self, answer: Mapping[str, Any], tool_calls: bool) -> str:
        """Judge by stop reason and content."""
        content = answer.get("content")
        if answer.get("type") != "message" or not isinstance(content, list):
            return "no message"
        reason = answer.get("stop_reason")
        if reason == "tool_use" or any(_kind(block) == "tool_use" for block in content):
            return "" if tool_calls and reason in ("tool_use", *_FINISHED) else "a tool call"
        if reason not in _FINISHED:
            return f"stop_reason {reason!r}"
        if all(is_blank(block.get("text")) for block in content if _kind(block) == "text"):
            return "empty"
        return ""

    def ends(self, block: str) -> bool:
        """``message_stop``, or an error."""
        return ("message_stop" in block or '"error"' in block) and event_type(block) in ("message_stop", "error")

    def collect(self, blocks: Sequence[str]) -> dict[str, Any] | None:
        """Follow the events in their only order: start, blocks one after the other, delta, stop."""
        try:
            return _Message().add_all(blocks)
        except (_Broken, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None

    def split(self, answer: Mapping[str, Any], asked: Asked) -> list[str] | None:
        """Return an answer as the events that would have built it."""
        events: list[dict[str, Any]] = []
        usage = dict(answer.get("usage") or {})
        head = {**answer, "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
        for name in ("stop_details", "container"):
            if name in head:
                head[name] = None
        events.append({"type": "message_start", "message": head})
        for index, block in enumerate(answer["content"]):
            empty, deltas = _unbuilt(block)
            events.append({"type": "content_block_start", "index": index, "content_block": empty})
            events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
            events.append({"type": "content_block_stop", "index": index})
        names = ("stop_reason", "stop_sequence", "stop_details", "container")
        last = {name: answer[name] for name in names if name in answer}
        events.append({"type": "message_delta", "delta": last, "usage": usage})
        events.append({"type": "message_stop"})
        return [as_event(event, event["type"]) for event in events]

    def text(self, answer: Mapping[str, Any]) -> str:
        """Return the text blocks, joined."""
        return "".join(block.get("text") or "" for block in answer["content"] if _kind(block) == "text")


def _kind(block: Any) -> Any:
    return block.get("type") if isinstance(block, Mapping) else None


def _unbuilt(block: Mapping[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return a content block as it starts, and the deltas that complete it."""
    empty = dict(block)
    deltas: list[dict[str, Any]] = []
    kind = block.get("type")
    if kind == "text":
        empty["text"] = ""
        if block.get("citations"):
            empty["citations"] = []
            deltas += [{"type": "citations_delta", "citation": citation} for citation in block["citations"]]
        deltas.append({"type": "text_delta", "text": block["text"]})
    elif kind == "thinking":
        empty["thinking"], empty["signature"] = "", ""
        deltas.append({"type": "thinking_delta", "thinking": block["thinking"]})
        deltas.append({"type": "signature_delta", "signature": block.get("signature", "")})
    elif isinstance(block.get("input"), dict):
        empty["input"] = {}
        deltas.append({"type": "input_json_delta", "partial_json": json.dumps(block["input"], ensure_ascii=False)})
    return empty, deltas


class _Message:
    """A message that is being put together."""

    def __init__(self) -> None:
        self.message: dict[str, Any] | None = None
        self.open: int | None = None
        self.input = ""
        self.last = False
        self.done = False

    def add_all(self, blocks: Sequence[str]) -> dict[str, Any]:
        for event in payloads(blocks):
            if not isinstance(event, dict):
                raise _Broken
            self.add(event, event["type"])
        if not self.done or self.message is None:
            raise _Broken
        return self.message

    def add(self, event: dict[str, Any], kind: str) -> None:
        if kind == "ping":
            return
        if kind == "error" or self.done or (self.message is None) != (kind == "message_start"):
            raise _Broken
        if kind == "message_start":
            self.message = {**event["message"], "content": []}
            self.message["usage"] = dict(self.message.get("usage") or {})
            return
        message = self.message
        assert message is not None
        content = message["content"]
        if kind == "content_block_start":
            if self.open is not None or self.last or event["index"] != len(content):
                raise _Broken
            content.append(dict(event["content_block"]))
            self.open, self.input = event["index"], ""
        elif kind == "content_block_delta":
            if self.open is None or event["index"] != self.open:
                raise _Broken
            self.extend(content[self.open], event["delta"])
        elif kind == "content_block_stop":
            if self.open is None or event["index"] != self.open:
                raise _Broken
            if self.input:
                content[self.open]["input"] = json.loads(self.input)
            self.open = None
        elif kind == "message_delta":
            if self.open is not None:
                raise _Broken
            self.last = True
            message.update(event["delta"])
            # Totals so far, not additions; what is left out or null stays as the start gave it.
            message["usage"].update({k: v for k, v in (event.get("usage") or {}).items() if v is not None})
        elif kind == "message_stop":
            if not self.last or self.open is not None:
                raise _Broken
            self.done = True
        else:
            raise _Broken  # an event of a later version: what it adds is not known

    def extend(self, block: dict[str, Any], delta: Mapping[str, Any]) -> None:
        kind = delta["type"]
        if kind == "input_json_delta":
            self.input += delta["partial_json"]
        elif kind == "citations_delta":
            block["citations"] = [*(block.get("citations") or ()), delta["citation"]]
        elif kind == "signature_delta":
            block["signature"] = delta["signature"]
        else:
            name = _PIECES[kind]
            block[name] = block[name] + delta[name]
