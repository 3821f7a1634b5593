"""Anthropic messages."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from semantic_llm_cache.calls.refusals import because, quoted
from semantic_llm_cache.wire.anthropic_stream import assemble
from semantic_llm_cache.wire.base import Asked, Format, Reading, event_type, is_blank
from semantic_llm_cache.wire.events import as_event
from semantic_llm_cache.wire.turns import last_turn

__all__ = ["AnthropicMessages"]

_FINISHED = ("end_turn", "stop_sequence")
_REASONS = {"max_tokens": "truncated", "model_context_window_exceeded": "truncated", "refusal": "refusal"}


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
            return because("no-answer", "no message")
        reason = answer.get("stop_reason")
        if reason == "tool_use" or any(_kind(block) == "tool_use" for block in content):
            if not tool_calls:
                return because("tool-calls")
            return "" if reason in ("tool_use", *_FINISHED) else _ended(reason)
        if reason not in _FINISHED:
            return _ended(reason)
        if all(is_blank(block.get("text")) for block in content if _kind(block) == "text"):
            return because("empty")
        return ""

    def ends(self, block: str) -> bool:
        """``message_stop``, or an error."""
        return ("message_stop" in block or '"error"' in block) and event_type(block) in ("message_stop", "error")

    def assemble(self, blocks: Sequence[str], asked: Asked | None = None) -> dict[str, Any]:
        """Follow the events in their only order."""
        return assemble(blocks)

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


def _ended(reason: Any) -> str:
    return because(_REASONS.get(str(reason), "finish"), f"stop_reason {quoted(reason)}")


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
