"""Ollama: chat, generate and embeddings. Streams are lines of JSON, and the default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from semantic_llm_cache.calls.refusals import NotStored, because, quoted
from semantic_llm_cache.wire.base import Asked, Format, Reading, is_blank
from semantic_llm_cache.wire.deltas import Gathered, Rule, listed, nested, pieces, repeated, stable
from semantic_llm_cache.wire.events import as_line, payloads
from semantic_llm_cache.wire.turns import last_turn

__all__ = ["OllamaChat", "OllamaEmbed", "OllamaGenerate"]


def _last(name: str, values: list[Any]) -> Any:
    return values[-1]


def _joined(name: str, values: list[Any]) -> Any:
    return [item for part in values for item in part]


_LINE: Mapping[str, Rule] = {"created_at": _last, "done": _last, "logprobs": _joined}
_MESSAGE: Mapping[str, Rule] = {
    "role": repeated,
    "content": pieces,
    "thinking": pieces,
    "tool_calls": listed,
    "images": listed,
}


class _Ollama(Format):
    framing = "lines"
    neutral: Mapping[str, str] = {**Format.neutral, "keep_alive": "how long the model stays loaded after the answer"}

    def streams(self, body: Mapping[str, Any]) -> bool:
        """Unless the request turns it off."""
        return body.get("stream") is not False

    def ends(self, block: str) -> bool:
        """The line that says done."""
        if '"done"' not in block:
            return False
        try:
            return any(isinstance(line, dict) and line.get("done") is True for line in payloads([block]))
        except ValueError:
            return False

    def usage(self, answer: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the counts that the last line gives."""
        names = ("prompt_eval_count", "eval_count")
        found = {name: answer[name] for name in names if isinstance(answer.get(name), int)}
        return found or None

    def assemble(self, blocks: Sequence[str], asked: Asked | None = None) -> dict[str, Any]:
        """Add the lines up. After the first that says done there may only be repeats of it."""
        whole, done = Gathered(self._rules, stable), False
        for line in payloads(blocks):
            if not isinstance(line, dict) or line.get("error"):
                raise NotStored(because("no-answer", "a line is an error, or no object"))
            if done and (line.get("done") is not True or self._says(line)):
                raise NotStored(because("incomplete", "there is more after the line that says done"))
            done = line.get("done") is True
            whole.add(line)
        if not done:
            raise NotStored(because("incomplete", "it ended before the line that says done"))
        return whole.whole()

    _rules: Mapping[str, Rule] = {}

    def _says(self, line: Mapping[str, Any]) -> bool:
        """Return whether a line holds a piece of the answer."""
        return False

    def _ended(self, answer: Mapping[str, Any]) -> str:
        if answer.get("error") or answer.get("done") is not True:
            return because("no-answer", "not done")
        reason = answer.get("done_reason", "stop")
        word = "truncated" if reason == "length" else "finish"
        return "" if reason == "stop" else because(word, f"done_reason {quoted(reason)}")


class OllamaChat(_Ollama):
    """``POST /api/chat``."""

    name = "ollama.chat"
    paths = ("/api/chat",)

    def take(self, rest: dict[str, Any], reading: Reading) -> tuple[str, dict[str, Any], bool] | None:
        """Take the last user turn as the text."""
        text, history = last_turn(rest.pop("messages"), reading.window)
        return text, {"body": rest, "messages": history}, True

    def unfit(self, answer: Mapping[str, Any], tool_calls: bool) -> str:
        """Judge by how it ended, and by what the message holds."""
        message = answer.get("message")
        if not isinstance(message, Mapping):
            return because("no-answer", "no message")
        if message.get("tool_calls") and not tool_calls:
            return because("tool-calls")
        if is_blank(message.get("content")) and not message.get("tool_calls"):
            return because("empty")
        return self._ended(answer)

    _rules: Mapping[str, Rule] = {**_LINE, "message": nested(_MESSAGE)}

    def _says(self, line: Mapping[str, Any]) -> bool:
        message = line.get("message") or {}
        return any(value not in (None, "", []) for name, value in message.items() if name != "role")

    def split(self, answer: Mapping[str, Any], asked: Asked) -> list[str] | None:
        """Return the message in one line, and the counts in the next."""
        message = answer["message"]
        head = {"model": answer.get("model"), "created_at": answer.get("created_at")}
        last = {**answer, "message": {"role": message.get("role", "assistant"), "content": ""}}
        return [as_line({**head, "message": message, "done": False}), as_line(last)]

    def text(self, answer: Mapping[str, Any]) -> str:
        """Return the message's content."""
        content = answer["message"].get("content")
        return content if isinstance(content, str) else ""


class OllamaGenerate(_Ollama):
    """``POST /api/generate``."""

    name = "ollama.generate"
    paths = ("/api/generate",)
    _pieces = ("response", "thinking")

    def take(self, rest: dict[str, Any], reading: Reading) -> tuple[str, dict[str, Any], bool] | None:
        """Take the prompt as the text. One without a prompt only loads a model."""
        prompt = rest.pop("prompt", "")
        return (prompt, {"body": rest}, True) if isinstance(prompt, str) and prompt.strip() else None

    def unfit(self, answer: Mapping[str, Any], tool_calls: bool) -> str:
        """Judge by how it ended and whether it says something."""
        return because("empty") if is_blank(answer.get("response")) else self._ended(answer)

    _rules: Mapping[str, Rule] = {**_LINE, "response": pieces, "thinking": pieces}

    def _says(self, line: Mapping[str, Any]) -> bool:
        return any(line.get(name) for name in self._pieces)

    def split(self, answer: Mapping[str, Any], asked: Asked) -> list[str] | None:
        """Return the text in one line, and the counts in the next."""
        pieces = {name: answer[name] for name in self._pieces if name in answer}
        head = {"model": answer.get("model"), "created_at": answer.get("created_at"), **pieces, "done": False}
        last = {name: value for name, value in answer.items() if name != "thinking"}
        return [as_line(head), as_line({**last, "response": ""})]

    def text(self, answer: Mapping[str, Any]) -> str:
        """Return the response."""
        response = answer.get("response")
        return response if isinstance(response, str) else ""


class OllamaEmbed(_Ollama):
    """``POST /api/embed`` and ``/api/embeddings``: equal input only."""

    name = "ollama.embed"
    paths = ("/api/embed", "/api/embeddings")

    def take(self, rest: dict[str, Any], reading: Reading) -> tuple[str, dict[str, Any], bool] | None:
        """Take all of it as scope."""
        return ("", {"body": rest}, False) if rest.get("input") or rest.get("prompt") else None

    def streams(self, body: Mapping[str, Any]) -> bool:
        """Never."""
        return False

    def unfit(self, answer: Mapping[str, Any], tool_calls: bool) -> str:
        """Judge by whether there are vectors."""
        return "" if answer.get("embeddings") or answer.get("embedding") else because("no-answer", "no vectors")
