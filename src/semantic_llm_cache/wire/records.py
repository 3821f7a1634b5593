"""Stored answers of providers: plain data, from which the JSON or the stream is sent again, byte for byte."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from semantic_llm_cache.calls.refusals import NotStored, because
from semantic_llm_cache.values.json_pieces import read
from semantic_llm_cache.wire.base import Asked, Format

__all__ = ["answer_of", "blocks_of", "body_of", "kept_headers", "of_blocks", "of_body"]

_DECODER = json.JSONDecoder()
_KEPT = frozenset({"content-type", "x-request-id", "request-id", "openai-version", "openai-processing-ms"})


def kept_headers(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the headers that are kept with an answer: its type and the id of the call, nothing about the caller."""
    return {name.lower(): value for name, value in headers if name.lower() in _KEPT}


def of_body(known: Format, headers: Mapping[str, str], body: str) -> dict[str, Any] | None:
    """Return the record of a JSON answer; None when it is not a JSON object."""
    try:
        answer = read(body, _DECODER)
    except (ValueError, RecursionError):
        return None
    if not isinstance(answer, dict):
        return None
    return _record(known, headers, answer, "body", body)


def of_blocks(
    known: Format, headers: Mapping[str, str], blocks: list[str], asked: Asked | None = None
) -> dict[str, Any]:
    """Return the record of a stream. Raises NotStored when it is not the whole stream of one answer."""
    if not all(_is_text(block) for block in blocks):
        raise NotStored(because("incomplete", "it is not UTF-8"))
    record = _record(known, headers, known.read_stream(blocks, asked), "events", blocks)
    options = None if asked is None else asked.body.get("stream_options")
    if options is not None:
        record["stream_options"] = options
    return record


def _record(known: Format, headers: Mapping[str, str], answer: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
    # `usage` is where the engine counts tokens, `content` what people and policies read.
    record: dict[str, Any] = {"wire": known.name, "headers": dict(headers), "content": _text(known, answer)}
    usage = known.usage(answer)
    if usage is not None:
        record["usage"] = usage
    record[name] = value
    return record


def _text(known: Format, answer: dict[str, Any]) -> str:
    try:
        return known.text(answer)
    except (TypeError, KeyError, AttributeError, IndexError):
        return ""


def _is_text(block: str) -> bool:
    try:
        block.encode()
    except UnicodeEncodeError:
        return False
    return True


def answer_of(known: Format, record: Any) -> dict[str, Any] | None:
    """Return a record's answer as the JSON that it says; None when the record says none."""
    if not isinstance(record, Mapping) or record.get("wire") != known.name:
        return None
    if "body" in record:
        try:
            answer = json.loads(record["body"])
        except (ValueError, TypeError, RecursionError):
            return None
        return answer if isinstance(answer, dict) else None
    events = record.get("events")
    return known.collect(events) if isinstance(events, list) else None


def body_of(known: Format, record: Any) -> str | None:
    """Return a record as a JSON body: as it came, or the sum of the stream; None where it does not hold enough."""
    if isinstance(record, Mapping) and record.get("wire") == known.name and isinstance(record.get("body"), str):
        return str(record["body"])
    answer = answer_of(known, record)
    fit = None if answer is None else known.fit_answer(answer)
    return None if fit is None else json.dumps(fit, ensure_ascii=False, separators=(",", ":"))


def blocks_of(known: Format, record: Any, asked: Asked) -> list[str] | None:
    """Return a record as the blocks of a stream: as they came, or made from the JSON; None where that is impossible."""
    if not isinstance(record, Mapping) or record.get("wire") != known.name:
        return None
    try:
        events = record.get("events")
        if isinstance(events, list):
            fit = known.fit_stream(events, asked)
            if fit is None and record.get("stream_options") == asked.body.get("stream_options"):
                return events  # asked for in the same way, the provider gave no more
            return fit
        answer = answer_of(known, record)
        return None if answer is None else known.split(answer, asked)
    except (TypeError, KeyError, AttributeError, IndexError, ValueError):
        return None
