"""OpenAI chat completions, and the many servers that speak them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from semantic_llm_cache.wire.base import Asked, Format, Reading, is_blank
from semantic_llm_cache.wire.events import as_event, payload, payloads
from semantic_llm_cache.wire.neutral import STREAM_OPTIONS
from semantic_llm_cache.wire.turns import last_turn

__all__ = ["OpenAIChat"]

_TOOLS = ("tool_calls", "function_call")
_ONCE = frozenset({"role", "id", "type", "index"})
"""Fields of a delta that are given whole; other texts come in pieces."""


class Broken(Exception):
    """A stream that is not the whole, ordered stream of one answer."""


class OpenAIChat(Format):
    """``POST .../chat/completions``."""

    name = "openai.chat"
    paths = ("/chat/completions",)
    stream_options = STREAM_OPTIONS

    def take(self, rest: dict[str, Any], reading: Reading) -> tuple[str, dict[str, Any], bool] | None:
        """Take the last user turn as the text."""
        text, history = last_turn(rest.pop("messages"), reading.window)
        return text, {"body": rest, "messages": history}, True

    def unfit(self, answer: Mapping[str, Any], tool_calls: bool) -> str:
        """Judge by finish reason, refusal and content of every choice."""
        choices = answer.get("choices")
        if answer.get("error") or not isinstance(choices, list) or not choices:
            return "no answer"
        for choice in choices:
            message = choice.get("message") if isinstance(choice, Mapping) else None
            if not isinstance(message, Mapping):
                return "no message"
            finish = choice.get("finish_reason")
            calls = bool(message.get("tool_calls") or message.get("function_call"))
            if finish not in ("stop", *_TOOLS):
                return f"finish_reason {finish!r}"
            if message.get("refusal"):
                return "a refusal"
            if (calls or finish in _TOOLS) and not tool_calls:
                return "a tool call"
            if not calls and is_blank(message.get("content")) and not message.get("audio"):
                return "empty"
        return ""

    def ends(self, block: str) -> bool:
        """``data: [DONE]``."""
        data = payload(block)
        return data is not None and data.startswith("[DONE]")

    def collect(self, blocks: Sequence[str]) -> dict[str, Any] | None:
        """Add the deltas up. ``[DONE]`` must be last, and every choice must have finished before it."""
        try:
            return _collect(blocks)
        except (Broken, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None

    def split(self, answer: Mapping[str, Any], asked: Asked) -> list[str] | None:
        """Return an answer as deltas: role, reasoning, content, tool calls, finish; usage when asked for."""
        usage = answer.get("usage")
        if _wants_usage(asked) and not isinstance(usage, Mapping):
            return None
        base = {k: v for k, v in answer.items() if k not in ("choices", "usage")}
        base["object"] = "chat.completion.chunk"
        blocks = []

        def say(index: int, delta: Any, finish: Any = None, logprobs: Any = None) -> None:
            choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
            blocks.append(as_event({**base, "choices": [choice]}))

        for place, choice in enumerate(answer["choices"]):
            message = dict(choice["message"])
            index = choice.get("index", place)
            first = {"role": message.pop("role", "assistant")}
            first.update({name: None for name, value in message.items() if value is None and name != "tool_calls"})
            content, calls = message.pop("content", None), message.pop("tool_calls", None)
            say(index, first)
            for name, value in message.items():
                if value is not None:
                    say(index, {name: value})
            logprobs = choice.get("logprobs")
            if content is not None:
                say(index, {"content": content}, logprobs=logprobs)
                logprobs = None
            for number, call in enumerate(calls or ()):
                say(index, {"tool_calls": [{"index": number, **call}]})
            say(index, {}, choice.get("finish_reason"), logprobs)
        if _wants_usage(asked):
            blocks.append(as_event({**base, "choices": [], "usage": usage}))
        blocks.append(as_event("[DONE]"))
        return blocks

    def fit_stream(self, blocks: list[str], asked: Asked) -> list[str] | None:
        """Leave the chunk of usage out where it was not asked for; None where it was and there is none."""
        kept, reported = [], False
        for block in blocks:
            if '"usage"' in block:
                data = next(payloads([block]), None)
                if isinstance(data, dict) and isinstance(data.get("usage"), dict):
                    reported = True
                    if not data.get("choices") and not _wants_usage(asked):
                        continue
            kept.append(block)
        return kept if reported or not _wants_usage(asked) else None

    def fit_answer(self, answer: dict[str, Any]) -> dict[str, Any] | None:
        """Answers without a stream always report their usage, so a stream that did not cannot serve as one."""
        return answer if isinstance(answer.get("usage"), dict) else None

    def text(self, answer: Mapping[str, Any]) -> str:
        """Return the first choice's content."""
        choices = answer.get("choices")
        content = choices[0]["message"].get("content") if isinstance(choices, list) and choices else None
        return content if isinstance(content, str) else ""


def _wants_usage(asked: Asked) -> bool:
    options = asked.body.get("stream_options")
    return isinstance(options, Mapping) and options.get("include_usage") is True


def _collect(blocks: Sequence[str]) -> dict[str, Any]:
    answer: dict[str, Any] = {}
    choices: dict[int, dict[str, Any]] = {}
    usage, done = None, False
    for chunk in payloads(blocks):
        if done:
            raise Broken
        if isinstance(chunk, str):
            done = True
            continue
        if not isinstance(chunk, dict) or chunk.get("error"):
            raise Broken
        if answer.get("id") and chunk.get("id") not in (answer["id"], None, ""):
            raise Broken
        for name, value in chunk.items():
            if name not in ("choices", "usage", "obfuscation") and (name not in answer or answer[name] in (None, "")):
                answer[name] = value
        if isinstance(chunk.get("usage"), dict):
            usage = chunk["usage"]
        for choice in chunk.get("choices") or ():
            _add(choices, choice)
    if not done or not choices or any(choice["finish_reason"] is None for choice in choices.values()):
        raise Broken
    ordered = [choices[index] for index in sorted(choices)]
    for choice in ordered:
        message = choice["message"]
        choice["message"] = {"role": "assistant", "content": None, **message}
        if "tool_calls" in message:
            choice["message"]["tool_calls"] = _calls(message["tool_calls"])
    answer.update(object="chat.completion", choices=ordered)
    if usage is not None:
        answer["usage"] = usage
    return answer


def _add(choices: dict[int, dict[str, Any]], piece: dict[str, Any]) -> None:
    index = piece["index"]
    fresh = {"index": index, "message": {}, "logprobs": None, "finish_reason": None}
    choice = choices.setdefault(index, fresh)
    delta = piece.get("delta") or {}
    says = any(value not in (None, "", [], {}) for name, value in delta.items() if name != "role")
    if choice["finish_reason"] is not None and (says or piece.get("finish_reason")):
        raise Broken  # more content after the end
    message = choice["message"]
    for name, value in delta.items():
        if name == "tool_calls":
            if value:
                calls = message.setdefault("tool_calls", {})
                for call in value:
                    _merge(calls.setdefault(call["index"], {}), call)
        else:
            _merge(message, {name: value})
    logprobs = piece.get("logprobs")
    if isinstance(logprobs, dict):
        kept = choice["logprobs"] = choice["logprobs"] or {}
        for name, value in logprobs.items():
            kept[name] = [*(kept.get(name) or ()), *value] if isinstance(value, list) else kept.get(name)
    if piece.get("finish_reason") is not None:
        choice["finish_reason"] = piece["finish_reason"]
    for name, value in piece.items():
        if name not in ("index", "delta", "logprobs", "finish_reason"):
            choice[name] = value


def _merge(whole: dict[str, Any], piece: Mapping[str, Any]) -> None:
    for name, value in piece.items():
        old = whole.get(name)
        if value is None:
            whole.setdefault(name, None)
        elif old is None:
            whole[name] = dict(value) if isinstance(value, dict) else value
        elif name in _ONCE:
            continue
        elif isinstance(old, str) and isinstance(value, str):
            whole[name] = old + value
        elif isinstance(old, list) and isinstance(value, list):
            whole[name] = [*old, *value]
        elif isinstance(old, dict) and isinstance(value, dict):
            _merge(old, value)
        else:
            whole[name] = value


def _calls(calls: dict[int, dict[str, Any]]) -> list[dict[str, Any]]:
    ordered = []
    for place, index in enumerate(sorted(calls)):
        call = {name: value for name, value in calls[index].items() if name != "index"}
        function = call.get("function")
        if place != index or not call.get("id") or not ((function and function.get("name")) or call.get("custom")):
            raise Broken
        ordered.append(call)
    return ordered
