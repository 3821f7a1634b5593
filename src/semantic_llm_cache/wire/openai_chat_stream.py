"""Streams of OpenAI chat completions, put together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from semantic_llm_cache.calls.refusals import NotStored, because, quoted
from semantic_llm_cache.wire.deltas import (
    Gathered,
    Rule,
    doubt,
    encoded,
    fragments,
    json_pieces,
    listed,
    nested,
    pieces,
    repeated,
    stable,
    totals,
    unknown,
)
from semantic_llm_cache.wire.events import payloads

__all__ = ["assemble"]

_EMPTY: tuple[Any, ...] = (None, "", [], {})
_OUTSIDE = frozenset({"choices", "usage", "obfuscation", "created", "object"})
"""Fields of a chunk that are not those of the answer. `created` may be the time of the chunk: the first counts."""

_NEUTRAL = frozenset({"type", "object", "obfuscation"})
"""A chunk of these fields alone, such as a ping, says nothing."""


class Stream:
    """The chunks of one answer, as they come."""

    def __init__(self) -> None:
        self.first: dict[str, Any] = {}
        self.answer = Gathered({}, stable)
        self.fields: dict[str, Any] = {}
        self.choices: dict[int, Choice] = {}
        self.usage: dict[str, Any] | None = None
        self.promised = False
        self.done = False

    def add(self, chunk: Any) -> None:
        """Add the data of an event."""
        if self.done:
            raise NotStored(because("incomplete", "there is more after [DONE]"))
        if isinstance(chunk, str):
            self.done = True
            return
        if not isinstance(chunk, dict) or chunk.get("error"):
            raise NotStored(because("no-answer", "an event is an error, or no object"))
        choices = chunk.get("choices") or []
        if "choices" not in chunk and not isinstance(chunk.get("usage"), dict):
            if chunk.keys() <= _NEUTRAL:
                return
            raise unknown("an event that is no chunk of a chat completion")
        if self.first.get("created") in _EMPTY and "created" in chunk:
            self.first["created"] = chunk["created"]
        fields = {name: value for name, value in chunk.items() if name not in _OUTSIDE}
        if fields != self.fields:  # most chunks repeat them
            self.answer.add(fields)
            self.fields = fields
        if "usage" in chunk:
            self.promised = True
        if isinstance(chunk.get("usage"), dict):
            self.usage = totals(self.usage, chunk["usage"])
        for piece in choices:
            index = piece.get("index")
            if index is None and len(choices) > 1:
                raise doubt("choices", "has several without an index")
            self.choices.setdefault(index or 0, Choice()).add(piece)

    def whole(self, wants_usage: bool, choices: int) -> dict[str, Any]:
        """Return the answer. Without ``[DONE]``, everything that was asked for must be there."""
        if not self.choices or any(choice.finish in _EMPTY for choice in self.choices.values()):
            raise NotStored(because("incomplete", "it ended before its finish reason"))
        if not self.done:
            if self.usage is None and (self.promised or wants_usage):
                raise NotStored(because("incomplete", "it ended before its usage and [DONE]"))
            if len(self.choices) < choices:
                raise NotStored(because("incomplete", "it ended before its last choice and [DONE]"))
        answer = {**self.first, **self.answer.whole(), "object": "chat.completion"}
        answer["choices"] = [self.choices[index].whole(index) for index in sorted(self.choices)]
        if self.usage is not None:
            answer["usage"] = self.usage
        return answer


class Choice:
    """One choice, as it comes."""

    def __init__(self) -> None:
        self.message = Gathered(_MESSAGE)
        self.others = Gathered({"usage": _usage}, stable)
        self.logprobs: dict[str, Any] | None = None
        self.finish: Any = None

    def add(self, piece: Mapping[str, Any]) -> None:
        """Add one piece of the choice."""
        delta = piece.get("delta") or {}
        finish = piece.get("finish_reason")
        if self.finish not in _EMPTY:
            if any(value not in _EMPTY for name, value in delta.items() if name != "role"):
                raise doubt("delta", "says more after the finish reason")
            if finish not in _EMPTY and finish != self.finish:
                raise doubt("finish_reason", "has several values")
        if "message" in piece:
            raise unknown("a chunk with a message beside its delta")
        self.message.add(delta)
        self._add_logprobs(piece.get("logprobs"))
        if finish not in _EMPTY:
            self.finish = finish
        others = {name: value for name, value in piece.items() if name not in _OF_CHOICE}
        if others:
            self.others.add(others)

    def _add_logprobs(self, values: Any) -> None:
        if not isinstance(values, dict):
            return
        kept = self.logprobs = self.logprobs or {}
        for name, value in values.items():
            if isinstance(value, list):
                kept[name] = [*(kept.get(name) or ()), *value]
            elif value is None:
                kept.setdefault(name, None)
            else:
                raise unknown(f"logprobs with {quoted(name)}")

    def whole(self, index: int) -> dict[str, Any]:
        """Return the choice of an answer."""
        message = {"role": "assistant", "content": None, **self.message.whole()}
        if not message.get("tool_calls"):
            message.pop("tool_calls", None)
        known = {"index": index, "message": message, "logprobs": self.logprobs, "finish_reason": self.finish}
        return {**known, **self.others.whole()}


_OF_CHOICE = frozenset({"index", "delta", "logprobs", "finish_reason", "content_filter_offsets"})
"""The last one says where in the stream a filter is, and is in no whole answer."""


def _usage(name: str, values: list[Any]) -> Any:
    found: dict[str, Any] = {}
    for counts in values:
        found = totals(found, counts)
    return found


# ------------------------------------------------------------------------------------ tool calls


def _function(name: str, values: list[Any]) -> Any:
    """Put a function call together. Its name comes before its arguments; after them it can only be repeated."""
    said, begun = "", False
    for part in values:
        given = part.get("name") or ""
        if begun and given not in ("", said):
            raise doubt("name", "goes on after the arguments have begun")
        said = said if given == said else said + given
        begun = begun or bool(part.get("arguments"))
    return nested({"name": fragments, "arguments": json_pieces})(name, values)


_CALL: dict[str, Rule] = {
    "index": repeated,
    "id": repeated,
    "type": repeated,
    "function": _function,
    "custom": nested({"name": fragments, "input": pieces}),
}


def _tool_calls(name: str, values: list[Any]) -> Any:
    """Put tool calls together, by their index; those of servers that give none, by their id."""
    calls: dict[Any, Gathered] = {}
    for entry in (entry for part in values for entry in part):
        place = _place(entry, calls)
        calls.setdefault(place, Gathered(_CALL)).add(entry)
    if len({type(place) for place in calls}) > 1:
        raise doubt("tool_calls", "has calls with an index and calls without one")
    if all(isinstance(place, int) for place in calls):
        if sorted(calls) != list(range(len(calls))):
            raise NotStored(because("incomplete", "a tool call is missing"))
        calls = {place: calls[place] for place in sorted(calls)}
    return [_call(call.whole()) for call in calls.values()]


def _place(entry: Mapping[str, Any], calls: Mapping[Any, Gathered]) -> Any:
    index, name = entry.get("index"), entry.get("id")
    if type(index) is int:
        return index
    if index is not None:
        raise doubt("index", "of a tool call is no number")
    if name:
        return str(name)
    if len(calls) != 1 or (entry.get("function") or {}).get("name"):
        raise doubt("tool_calls", "has an entry with neither index nor id")
    return next(iter(calls))


def _call(whole: dict[str, Any]) -> dict[str, Any]:
    whole.pop("index", None)
    function = whole.get("function")
    if not whole.get("id") or not ((function and function.get("name")) or whole.get("custom")):
        raise NotStored(because("incomplete", "a tool call has no id or no name"))
    return whole


# ------------------------------------------------------------------------------------ reasoning, audio


_DETAIL: dict[str, Rule] = {
    "index": repeated,
    "type": repeated,
    "format": repeated,
    "id": repeated,
    "text": pieces,
    "summary": pieces,
    "data": repeated,
    "signature": repeated,
}


def _details(name: str, values: list[Any]) -> Any:
    """Put OpenRouter's reasoning details together: the pieces of one have an index and a type in common."""
    full = [part for part in values if part]
    if len(full) < 2:
        return full[0] if full else values[0]
    found: dict[Any, Gathered] = {}
    for entry in (entry for part in full for entry in part):
        place = entry.get("index"), entry.get("type")
        if not isinstance(place[0], int) or not isinstance(place[1], str):
            raise doubt(name, "has pieces with no index or no type")
        found.setdefault(place, Gathered(_DETAIL)).add(entry)
    return [detail.whole() for detail in found.values()]


_MESSAGE: dict[str, Rule] = {
    "role": repeated,
    "content": pieces,
    "refusal": pieces,
    "reasoning": pieces,
    "reasoning_content": pieces,
    "reasoning_details": _details,
    "tool_calls": _tool_calls,
    "function_call": _function,
    "audio": nested({"id": repeated, "expires_at": repeated, "transcript": pieces, "data": encoded}),
    "annotations": listed,
    "citations": listed,
    "images": listed,
}


def assemble(blocks: Iterable[str], wants_usage: bool, choices: int) -> dict[str, Any]:
    """Return the answer that a stream adds up to.

    Args:
        blocks: of the stream.
        wants_usage: the request asked for usage at the end.
        choices: how many the request asked for.

    Raises:
        NotStored: the stream is not whole, or can be read in two ways.
        ValueError, TypeError, KeyError, AttributeError: it is no stream of this format.
    """
    stream = Stream()
    for chunk in payloads(blocks):
        stream.add(chunk)
    return stream.whole(wants_usage, choices)
