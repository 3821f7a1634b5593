"""OpenAI chat completions, and the many servers that speak them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from semantic_llm_cache.calls.refusals import because, quoted
from semantic_llm_cache.wire.base import Asked, Format, Reading, is_blank
from semantic_llm_cache.wire.events import as_event, payload, payloads
from semantic_llm_cache.wire.neutral import STREAM_OPTIONS
from semantic_llm_cache.wire.openai_chat_stream import assemble
from semantic_llm_cache.wire.turns import last_turn

__all__ = ["OpenAIChat"]

_TOOLS = ("tool_calls", "function_call")
_KNOWN = frozenset({"index", "message", "logprobs", "finish_reason"})
_REASONS = {"length": "truncated", "content_filter": "filtered"}


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
            return because("no-answer")
        for choice in choices:
            message = choice.get("message") if isinstance(choice, Mapping) else None
            if not isinstance(message, Mapping):
                return because("no-answer", "no message")
            finish = choice.get("finish_reason")
            calls = bool(message.get("tool_calls") or message.get("function_call"))
            if finish not in ("stop", *_TOOLS):
                return because(_REASONS.get(str(finish), "finish"), f"finish_reason {quoted(finish)}")
            if message.get("refusal"):
                return because("refusal")
            if (calls or finish in _TOOLS) and not tool_calls:
                return because("tool-calls")
            if not calls and is_blank(message.get("content")) and not message.get("audio"):
                return because("empty")
        return ""

    def ends(self, block: str) -> bool:
        """``data: [DONE]``."""
        data = payload(block)
        return data is not None and data.startswith("[DONE]")

    def assemble(self, blocks: Sequence[str], asked: Asked | None = None) -> dict[str, Any]:
        """Add the deltas up. Every choice must have finished; ``[DONE]`` may be missing where nothing else is."""
        choices = None if asked is None else asked.body.get("n")
        return assemble(blocks, asked is not None and _wants_usage(asked), choices if type(choices) is int else 1)

    def split(self, answer: Mapping[str, Any], asked: Asked) -> list[str] | None:
        """Return an answer as deltas: role, reasoning, content, tool calls, finish; usage when asked for."""
        usage = answer.get("usage")
        if _wants_usage(asked) and not isinstance(usage, Mapping):
            return None
        base = {k: v for k, v in answer.items() if k not in ("choices", "usage")}
        base["object"] = "chat.completion.chunk"
        blocks = []

        def say(index: int, delta: Any, finish: Any = None, logprobs: Any = None, **others: Any) -> None:
            choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish, **others}
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
            others = {name: value for name, value in choice.items() if name not in _KNOWN}
            say(index, {}, choice.get("finish_reason"), logprobs, **others)
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
