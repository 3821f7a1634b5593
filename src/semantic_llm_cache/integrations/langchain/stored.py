"""Generations of LangChain as plain data, and back. Stored data name their types in a table; no others are built."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ChatMessage, ChatMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, Generation, GenerationChunk

from semantic_llm_cache.calls.refusals import because
from semantic_llm_cache.integrations._door import finish_refusal

__all__ = ["NOTE", "cut_off", "ended_well", "misfit", "of_run", "plain", "rebuilt", "usage_of"]

NOTE = "semantic_llm_cache"
"""Key in a message's `response_metadata` under which this cache says what it did."""

_GENERATIONS: dict[str, Any] = {
    kind.__name__: kind for kind in (Generation, GenerationChunk, ChatGeneration, ChatGenerationChunk)
}
_MESSAGES: dict[str, Any] = {kind.__name__: kind for kind in (AIMessage, AIMessageChunk, ChatMessage, ChatMessageChunk)}
_FINISH = ("finish_reason", "stop_reason", "done_reason", "stopReason", "finishReason")
_NOT_DONE = frozenset({"incomplete", "failed", "cancelled", "in_progress", "queued"})
_RUN = ("run-", "lc_run-")


def _named(table: dict[str, Any], kind: type, default: type) -> tuple[str, bool]:
    """Return the name of a type in a table, and True; or that of its nearest base there, and False."""
    for base in kind.__mro__:
        if table.get(base.__name__) is base:
            return base.__name__, base is kind
    return default.__name__, False


def plain(generation: Generation) -> dict[str, Any]:
    """Return a generation as plain data.

    A type that is not in the table is written as its nearest base there. The data then say ``lossy``, and are not to be
    stored.
    """
    name, exact = _named(_GENERATIONS, type(generation), Generation)
    made: dict[str, Any] = {"kind": name, "info": generation.generation_info}
    message: BaseMessage | None = getattr(generation, "message", None)
    if message is None:
        made["text"] = generation.text
    else:
        chunk = isinstance(generation, ChatGenerationChunk)
        kind, known = _named(_MESSAGES, type(message), AIMessageChunk if chunk else AIMessage)
        made.update(message_kind=kind, message=message.model_dump(exclude_defaults=True))
        exact = exact and known
    return made if exact else {**made, "lossy": True}


def rebuilt(data: Any) -> Any:
    """Return the generation that `plain` wrote.

    Raises:
        KeyError, TypeError, ValueError: the data are not of this form, or name a type that is not in the table.
    """
    kind = _GENERATIONS[data["kind"]]
    if "message" not in data:
        return kind(text=data["text"], generation_info=data["info"])
    message_kind = _MESSAGES[data["message_kind"]]
    fields = data["message"]
    if data.get("lossy"):
        fields = {name: value for name, value in fields.items() if name in message_kind.model_fields and name != "type"}
    return kind(message=message_kind(**fields), generation_info=data["info"])


def of_run(message_id: Any) -> bool:
    """Return whether LangChain made up the id of a message for one run."""
    return isinstance(message_id, str) and message_id.startswith(_RUN)


def usage_of(message: Any) -> dict[str, int]:
    """Return the token counts of a message, where the engine reads them."""
    usage = getattr(message, "usage_metadata", None) or {}
    return {name: count for name, count in usage.items() if isinstance(count, int)}


def _said(data: dict[str, Any]) -> dict[str, Any]:
    """Return what a provider said with an answer, or with a chunk of one."""
    return {**(data["info"] or {}), **(data.get("message", {}).get("response_metadata") or {})}


def ended_well(data: dict[str, Any]) -> bool:
    """Return whether the data of a chunk say that its stream is complete."""
    said = _said(data)
    if data["message"].get("chunk_position") == "last" or said.get("status") == "completed":
        return True
    return any(isinstance(said.get(name), str) for name in _FINISH)


def cut_off(data: dict[str, Any]) -> str:
    """Return why the data of an answer, or of a chunk of one, cannot be stored, ``""`` if they can.

    They say that the answer is cut short, or are of a type that is not in the table.
    """
    if data.get("lossy"):
        return because("unknown", "a generation of a type that is not known")
    said = _said(data)
    if said.get("status") in _NOT_DONE:
        return because("truncated", f"status {said['status']}")
    return next(filter(None, (finish_refusal(said.get(name)) for name in _FINISH)), "")


def misfit(generation: Generation, tool_calls: bool, answers: frozenset[str] = frozenset()) -> str:
    """Return why a whole answer must not be stored, ``""`` if it may: it refuses, is empty, or calls tools.

    Args:
        generation: the answer.
        tool_calls: whether answers that call tools may be stored.
        answers: names of tools whose call is an answer, as with structured output.
    """
    message = getattr(generation, "message", None)
    if message is None:
        return "" if generation.text.strip() else because("empty")
    if (message.additional_kwargs or {}).get("refusal") or _refuses(message):
        return because("refusal")
    calls = [call["name"] for call in getattr(message, "tool_calls", ())]
    if getattr(message, "invalid_tool_calls", ()) or not answers.issuperset(calls):
        return "" if tool_calls else because("tool-calls")
    # An answer may be a picture or a sound: any part that is not text.
    return "" if calls or generation.text.strip() or _others(message) else because("empty")


def _refuses(message: Any) -> bool:
    parts = [part for part in message.content if isinstance(part, dict)] if isinstance(message.content, list) else []
    values = [part.get("value") if part.get("type") == "non_standard" else part for part in parts]
    return any(isinstance(value, dict) and value.get("type") == "refusal" for value in values)


def _others(message: Any) -> bool:
    thoughts = ("text", "thinking", "reasoning", "reasoning_content", "redacted_thinking")
    return isinstance(message.content, list) and any(
        isinstance(part, dict) and part.get("type") not in thoughts for part in message.content
    )
