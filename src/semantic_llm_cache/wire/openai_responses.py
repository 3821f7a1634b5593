"""OpenAI responses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from semantic_llm_cache.calls.refusals import NotStored, because, quoted
from semantic_llm_cache.wire.base import Asked, Format, Reading, event_type, is_blank
from semantic_llm_cache.wire.deltas import doubt
from semantic_llm_cache.wire.events import as_event, payloads
from semantic_llm_cache.wire.strict import Bypass
from semantic_llm_cache.wire.turns import last_turn

__all__ = ["OpenAIResponses"]

_LAST = ("response.completed", "response.failed", "response.incomplete", "error")
_FOR_CALLER = frozenset(
    {
        "function_call", "custom_tool_call", "computer_call", "local_shell_call", "shell_call", "apply_patch_call",
        "mcp_approval_request",
    }
)  # fmt: skip
"""Output items that ask the caller to do something."""
_REASONS = {"max_output_tokens": "truncated", "max_tokens": "truncated", "content_filter": "filtered"}


class OpenAIResponses(Format):
    """``POST .../responses``."""

    name = "openai.responses"
    paths = ("/responses",)

    def take(self, rest: dict[str, Any], reading: Reading) -> tuple[str, dict[str, Any], bool] | None:
        """Take the last user turn of the input as the text.

        A conversation that the provider stores grows with each call, and a background response is not an answer yet:
        neither is cached. `previous_response_id` names a fixed history, and counts.
        """
        if rest.get("conversation") is not None or rest.get("background"):
            raise Bypass("a conversation that the provider keeps, or a response in the background")
        if rest.get("input") is None and rest.get("prompt") is not None:  # a template that the provider keeps
            return "", {"body": rest, "messages": None}, False
        asked = rest.pop("input")
        if isinstance(asked, str):
            return asked, {"body": rest, "messages": None}, True
        text, history = last_turn(asked, None if "previous_response_id" in rest else reading.window)
        return text, {"body": rest, "messages": history}, True

    def unfit(self, answer: Mapping[str, Any], tool_calls: bool) -> str:
        """Judge by status, errors and output."""
        output = answer.get("output")
        if answer.get("error") or answer.get("status") != "completed" or not isinstance(output, list):
            return _ended(answer)
        if answer.get("incomplete_details"):
            return _ended(answer)
        calls = any(isinstance(item, Mapping) and item.get("type") in _FOR_CALLER for item in output)
        if calls and not tool_calls:
            return because("tool-calls")
        parts = list(_parts(output))
        if any(part.get("type") == "refusal" for part in parts):
            return because("refusal")
        if not calls and all(is_blank(part.get("text")) for part in parts):
            return because("empty")
        return ""

    def ends(self, block: str) -> bool:
        """``response.completed`` and the other ends."""
        if not any(name in block for name in _LAST):
            return False
        return event_type(block) in _LAST

    def assemble(self, blocks: Sequence[str], asked: Asked | None = None) -> dict[str, Any]:
        """Return the response that the last event holds, if the pieces before it agree with it."""
        return _whole(blocks)

    def split(self, answer: Mapping[str, Any], asked: Asked) -> list[str] | None:
        """Return an answer as the events that would have built it."""
        events: list[dict[str, Any]] = []
        begun = {**answer, "status": "in_progress", "output": [], "usage": None}
        events.append({"type": "response.created", "response": begun})
        events.append({"type": "response.in_progress", "response": begun})
        for index, item in enumerate(answer["output"]):
            place = {"item_id": item.get("id", ""), "output_index": index}
            pieces, empty = _item(item, place)
            events.append({"type": "response.output_item.added", "output_index": index, "item": empty})
            events += pieces
            events.append({"type": "response.output_item.done", "output_index": index, "item": item})
        events.append({"type": "response.completed", "response": dict(answer)})
        return [as_event({**event, "sequence_number": n}, event["type"]) for n, event in enumerate(events)]

    def text(self, answer: Mapping[str, Any]) -> str:
        """Return the text parts of the messages, joined."""
        return "".join(part.get("text") or "" for part in _parts(answer["output"]) if part.get("type") == "output_text")


def _ended(answer: Mapping[str, Any]) -> str:
    """Return the reason of a response that is not complete, or of what is no response."""
    details = answer.get("incomplete_details")
    why = details.get("reason") if isinstance(details, Mapping) else None
    if answer.get("status") == "incomplete" or details:
        return because(_REASONS.get(str(why), "finish"), f"incomplete: {quoted(why)}")
    return because("no-answer", f"status {quoted(answer.get('status'))}")


def _parts(output: Sequence[Any]) -> list[Mapping[str, Any]]:
    return [
        part
        for item in output
        if isinstance(item, Mapping) and item.get("type") == "message"
        for part in item.get("content") or ()
        if isinstance(part, Mapping)
    ]


def _whole(blocks: Sequence[str]) -> dict[str, Any]:
    said: dict[tuple[int, int], str] = {}
    last: dict[str, Any] | None = None
    number = None
    for event in payloads(blocks):
        if isinstance(event, str) and last is not None:
            continue  # some servers close with [DONE]
        if not isinstance(event, dict):
            raise NotStored(because("incomplete", "an event is no object"))
        order = event.get("sequence_number")
        if order is not None:
            if number is not None and order != number + 1:
                raise NotStored(because("incomplete", "its events are not in order"))
            number = order
        kind = event["type"]
        if kind in _LAST:
            last = event if last is None else _one_end(last, event)
        elif last is not None:
            raise NotStored(because("incomplete", "there is more after its last event"))
        elif kind == "response.output_text.delta":
            place = event["output_index"], event["content_index"]
            said[place] = said.get(place, "") + event["delta"]
    if last is None:
        raise NotStored(because("incomplete", "it ended before its last event"))
    answer = last.get("response")
    if last["type"] == "error" or not isinstance(answer, dict):
        raise NotStored(because("no-answer", "an event is an error"))
    if last["type"] != "response.completed":
        raise NotStored(_ended(answer))
    for (item, part), text in said.items():
        if not answer.get("output") or answer["output"][item]["content"][part]["text"] != text:
            raise doubt("output", "of the last event is not what its pieces said")
    return answer


def _one_end(former: dict[str, Any], event: dict[str, Any]) -> dict[str, Any]:
    """Return the last event of a stream that has two: equal ones, or one with and one without usage."""
    ends = [{**each["response"], "usage": None} for each in (former, event)]
    if former["type"] != event["type"] or ends[0] != ends[1]:
        raise doubt("response", "comes twice, and differs")
    return former if former["response"].get("usage") else event


def _item(item: Mapping[str, Any], place: dict[str, Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the events inside one output item, and the item as it begins."""
    events: list[dict[str, Any]] = []
    empty = {**item, "status": "in_progress"} if "status" in item else dict(item)
    kind = item.get("type")
    if kind == "message":
        empty["content"] = []
        for number, part in enumerate(item.get("content") or ()):
            at = {**place, "content_index": number}
            blank = {**part, "text": ""} if "text" in part else dict(part)
            if "annotations" in blank:
                blank["annotations"] = []
            events.append({"type": "response.content_part.added", **at, "part": blank})
            if part.get("type") == "output_text":
                extra = {"logprobs": part.get("logprobs") or []}
                events.append({"type": "response.output_text.delta", **at, "delta": part["text"], **extra})
                for n, annotation in enumerate(part.get("annotations") or ()):
                    more = {"annotation_index": n, "annotation": annotation}
                    events.append({"type": "response.output_text.annotation.added", **at, **more})
                events.append({"type": "response.output_text.done", **at, "text": part["text"], **extra})
            events.append({"type": "response.content_part.done", **at, "part": part})
    elif kind == "reasoning":
        empty["summary"] = []
        for number, part in enumerate(item.get("summary") or ()):
            at = {**place, "summary_index": number}
            name = "response.reasoning_summary"
            events.append({"type": f"{name}_part.added", **at, "part": {**part, "text": ""}})
            events.append({"type": f"{name}_text.delta", **at, "delta": part.get("text", "")})
            events.append({"type": f"{name}_text.done", **at, "text": part.get("text", "")})
            events.append({"type": f"{name}_part.done", **at, "part": part})
    elif kind in ("function_call", "custom_tool_call"):
        field, name = ("arguments", "function_call_arguments") if kind == "function_call" else (
            "input", "custom_tool_call_input"
        )  # fmt: skip
        given = item.get(field, "")
        empty[field] = ""
        events.append({"type": f"response.{name}.delta", **place, "delta": given})
        named = {"name": item.get("name", "")} if kind == "function_call" else {}
        events.append({"type": f"response.{name}.done", **place, field: given, **named})
    return events, empty
