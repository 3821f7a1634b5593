"""The formats of call logs: which request a record holds, and what the provider answered.

===============  ====================================================================================
``openai-batch`` output of OpenAI's batch API: ``custom_id``, ``response.status_code``, ``response.body``;
                 the requests are in the batch's input: ``custom_id``, ``url``, ``body``
``litellm``      LiteLLM's StandardLoggingPayload: ``messages``, ``response``, ``model``, ``model_group``,
                 ``model_parameters``, ``status``, ``startTime``
``langfuse``     Langfuse observations: of its API and UI (``input``, ``output``, ``model``,
                 ``modelParameters``, ``usage``), or of its export to a bucket (``provided_model_name``,
                 ``model_parameters``, ``usage_details``, all of them JSON in a string)
``pairs``        request and answer in one record: ``request`` and ``response``
``plain``        ``prompt`` and ``response``, under any of their usual names; other fields are arguments
===============  ====================================================================================
"""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

__all__ = [
    "ANSWER_NAMES",
    "CHAT",
    "FORMATS",
    "PROMPT_NAMES",
    "BadRecord",
    "LoggedCall",
    "NotForCache",
    "detect",
]

PROMPT_NAMES = ("prompt", "question", "query", "input", "text")
ANSWER_NAMES = ("answer", "response", "output", "completion", "label")
CHAT = "/chat/completions"
_RESPONSES = "/responses"
_MESSAGES = "/v1/messages"
_OLLAMA = "/api/chat"

_LOST = ("redacted-by-litellm", "litellm_truncated", "[base64_data truncated", "@@@langfuseMedia")
"""What LiteLLM and Langfuse write in place of data that they leave out."""


class BadRecord(ValueError):
    """A record that cannot be read; the text says why."""


class NotForCache(Exception):
    """A valid record that holds no answer to keep; the text says why."""


@dataclass
class LoggedCall:
    """One call and its answer.

    Attributes:
        path: end of the URL that was asked, ``""`` for a plain prompt and response.
        body: of the request, as the client sent it, as far as the log shows.
        answer: of the provider, as JSON.
        request_id: the provider's id of the call.
        prompt, response, arguments: of a plain call.
        started: wall time; None when the log does not say.
        duration_ms: how long it took; 0.0 when the log does not say.
    """

    path: str = ""
    body: dict[str, Any] = field(default_factory=dict)
    answer: dict[str, Any] = field(default_factory=dict)
    request_id: str = ""
    prompt: str = ""
    response: Any = None
    arguments: dict[str, Any] = field(default_factory=dict)
    started: float | None = None
    duration_ms: float = 0.0


Requests = Mapping[str, Any] | None


class _Format(NamedTuple):
    fits: Callable[[Mapping[str, Any]], bool]
    read: Callable[[Mapping[str, Any], Requests], LoggedCall]


def detect(record: Mapping[str, Any]) -> str | None:
    """Return the name of the format that a record looks like, None for no format known.

    Example:
        >>> detect({"prompt": "2+2?", "response": "4"})
        'plain'
    """
    return next((name for name, known in FORMATS.items() if known.fits(record)), None) or (
        "openai-batch-input" if "custom_id" in record and isinstance(record.get("body"), Mapping) else None
    )


# ------------------------------------------------------------------------------ OpenAI's batch API


def _is_batch(record: Mapping[str, Any]) -> bool:
    return "custom_id" in record and ("response" in record or "error" in record)


def _batch(record: Mapping[str, Any], requests: Requests) -> LoggedCall:
    if record.get("error"):
        raise NotForCache("a failed request")
    response = record.get("response")
    if not isinstance(response, Mapping):
        raise BadRecord("no response")
    asked = record if isinstance(record.get("body"), Mapping) else (requests or {}).get(record["custom_id"])
    if asked is None:
        raise BadRecord(f"custom_id {record['custom_id']!r} is not among the requests")
    if not isinstance(asked, Mapping) or not isinstance(asked.get("body"), Mapping):
        raise BadRecord(f"the request {record['custom_id']!r} has no body")
    return _http(asked["body"], str(asked.get("url") or ""), response)


# ------------------------------------------------------------------------------ request and response


def _is_pair(record: Mapping[str, Any]) -> bool:
    return isinstance(record.get("request"), Mapping) and isinstance(record.get("response"), Mapping)


def _pair(record: Mapping[str, Any], requests: Requests) -> LoggedCall:
    request, response = record["request"], record["response"]
    if not isinstance(request, Mapping) or not isinstance(response, Mapping):
        raise BadRecord("'request' and 'response' must be objects")
    body = request.get("body") if "body" in request else request
    if isinstance(body, str):
        body = json.loads(body)
    if not isinstance(body, Mapping):
        raise BadRecord("the request has no body")
    url = next((str(o[n]) for o in (request, record) for n in ("url", "path", "endpoint") if o.get(n)), "")
    call = _http(body, url, response)
    started, call.duration_ms = _times(record)
    call.started = call.started if started is None else started
    return call


def _http(body: Mapping[str, Any], url: str, response: Mapping[str, Any]) -> LoggedCall:
    """Return the call of a request's body, its URL, and a response with or without its status."""
    status = response.get("status_code", 200)
    if status != 200:
        raise NotForCache(f"status {status}")
    answer = response.get("body") if "body" in response else response
    if isinstance(answer, str):
        answer = json.loads(answer)
    if not isinstance(answer, Mapping):
        raise BadRecord("the response has no body")
    path = url.partition("?")[0] or _path_of(answer)
    created = answer.get("created", answer.get("created_at"))
    return LoggedCall(
        path,
        dict(body),
        dict(answer),
        str(response.get("request_id") or ""),
        started=float(created) if isinstance(created, (int, float)) else None,
    )


def _path_of(answer: Mapping[str, Any]) -> str:
    if isinstance(answer.get("choices"), list):
        return CHAT
    if answer.get("object") == "response" or isinstance(answer.get("output"), list):
        return _RESPONSES
    if answer.get("type") == "message":
        return _MESSAGES
    if "done" in answer and "message" in answer:
        return _OLLAMA
    raise BadRecord("the answer has no known format")


# ------------------------------------------------------------------------------ LiteLLM

_CHAT_CALLS = ("completion", "acompletion", "")
_RESPONSE_CALLS = ("responses", "aresponses")
_NOT_SENT = frozenset({"extra_body", "extra_headers", "extra_query", "max_retries", "timeout"})
"""Parameters of LiteLLM's own call; they are not part of the request."""


def _is_litellm(record: Mapping[str, Any]) -> bool:
    if isinstance(record.get("standard_logging_object"), Mapping):
        return True
    return "messages" in record and "response" in record and bool({"model_parameters", "call_type"} & set(record))


def _litellm(record: Mapping[str, Any], requests: Requests) -> LoggedCall:
    if isinstance(record.get("standard_logging_object"), Mapping):
        record = record["standard_logging_object"]
    kind = str(record.get("call_type") or "")
    if kind not in (*_CHAT_CALLS, *_RESPONSE_CALLS):
        raise NotForCache(f"a call of the type {kind}")
    if record.get("status") == "failure" or record.get("error_str"):
        raise NotForCache("a failed request")
    response, messages = record.get("response"), record.get("messages")
    _check_whole(messages, response)
    if not isinstance(response, Mapping):
        raise BadRecord("the response is not an object")
    # Behind LiteLLM's proxy, `model` is the deployment that answered; what the caller named is the group.
    model = record.get("model_group") or record.get("model")
    if not isinstance(model, str) or not isinstance(messages, (list, str)):
        raise BadRecord("no model, or no messages")
    given = record.get("model_parameters") or {}
    body = {"model": model, **{k: v for k, v in given.items() if k not in _NOT_SENT}, **(given.get("extra_body") or {})}
    if kind in _RESPONSE_CALLS:
        body["input"], path = messages, _RESPONSES
    else:
        body["messages"], path = messages, CHAT
    started, duration = _times(record)
    return LoggedCall(path, body, dict(response), started=started, duration_ms=duration)


# ------------------------------------------------------------------------------ Langfuse

_UNSET = {"temperature": 1, "top_p": 1, "frequency_penalty": 0, "presence_penalty": 0}
"""What Langfuse's wrapper of the OpenAI client records for parameters that were not given."""

_ANSWERED = frozenset({"service_tier"})
"""Parameters that it takes from the answer."""


def _is_langfuse(record: Mapping[str, Any]) -> bool:
    return "input" in record and "output" in record and bool({"traceId", "trace_id"} & set(record))


def _langfuse(record: Mapping[str, Any], requests: Requests) -> LoggedCall:
    kind = record.get("type", "GENERATION")
    if str(kind).upper() != "GENERATION":
        raise NotForCache(f"an observation of the type {kind}")
    if str(record.get("level", "")).upper() == "ERROR":
        raise NotForCache("a failed request")
    asked, told = _unpacked(record.get("input")), _unpacked(record.get("output"))
    _check_whole(asked, told)
    model = record.get("model") or record.get("provided_model_name") or record.get("providedModelName")
    if not isinstance(model, str) or not model:
        raise NotForCache("no model")
    if told in (None, "", [], {}):
        raise NotForCache("no answer")
    given = _unpacked(record.get("modelParameters", record.get("model_parameters"))) or {}
    if not isinstance(given, Mapping):
        raise BadRecord("the model's parameters are not an object")
    body: dict[str, Any] = {"model": model, **_parameters(given)}
    if isinstance(asked, Mapping) and isinstance(asked.get("messages"), list):
        body.update(asked)
    elif isinstance(asked, list):
        body["messages"] = asked
    elif isinstance(asked, str) and asked:
        body["messages"] = [{"role": "user", "content": asked}]
    else:
        raise BadRecord("the input is neither messages nor text")
    started, duration = _times(record)
    answer = _chat_answer(record, told, body, started)
    return LoggedCall(CHAT, body, answer, started=started, duration_ms=duration)


def _unpacked(value: Any) -> Any:
    """Return the value of a JSON string; other text unchanged."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _parameters(given: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for name, value in given.items():
        if isinstance(value, str):
            try:
                value = json.loads(value)  # older SDKs wrote numbers as text
            except ValueError:
                pass
        endless = isinstance(value, float) and not math.isfinite(value)
        if value is None or endless or name in _ANSWERED or (name in _UNSET and value == _UNSET[name]):
            continue
        found[name] = value
    return found


def _chat_answer(record: Mapping[str, Any], told: Any, body: Mapping[str, Any], started: float | None) -> Any:
    """Return an observation's output as the completion that it was."""
    if isinstance(told, Mapping) and isinstance(told.get("choices"), list):
        return dict(told)
    outputs = told if isinstance(told, list) else [told]
    usage = _usage(record)
    metadata = record.get("metadata")
    finish = metadata.get("finish_reason") if isinstance(metadata, Mapping) else None
    choices = []
    for index, output in enumerate(outputs):
        message = dict(output) if isinstance(output, Mapping) else {"content": output}
        message = {"role": "assistant", "content": None, **{k: v for k, v in message.items() if v is not None}}
        if not isinstance(message["content"], (str, type(None))):
            raise NotForCache("the output is not a chat message")
        reason = finish if isinstance(finish, str) else _reason(message, body, usage)
        choices.append({"index": index, "message": message, "logprobs": None, "finish_reason": reason})
    answer = {
        "id": f"chatcmpl-{record.get('id') or 'logged'}",
        "object": "chat.completion",
        "created": int(started or 0),
        "model": body["model"],
        "choices": choices,
    }
    return {**answer, "usage": usage} if usage else answer


def _reason(message: Mapping[str, Any], body: Mapping[str, Any], usage: Mapping[str, int]) -> str:
    """Guess why an answer ended: Langfuse records this for streams only."""
    if message.get("tool_calls") or message.get("function_call"):
        return "tool_calls"
    most = body.get("max_completion_tokens", body.get("max_tokens"))
    if isinstance(most, (int, float)) and usage.get("completion_tokens", 0) >= most:
        return "length"
    return "stop"


def _usage(record: Mapping[str, Any]) -> dict[str, int]:
    for name in ("usageDetails", "usage_details", "usage"):
        found = record.get(name)
        if not isinstance(found, Mapping):
            continue
        asked, made = (
            next((found[n] for n in names if isinstance(found.get(n), int)), None)
            for names in (
                ("input", "prompt_tokens", "promptTokens"),
                ("output", "completion_tokens", "completionTokens"),
            )
        )
        if asked is not None and made is not None:
            return {"prompt_tokens": asked, "completion_tokens": made, "total_tokens": asked + made}
    return {}


# ------------------------------------------------------------------------------ prompt and response


def _is_plain(record: Mapping[str, Any]) -> bool:
    return any(name in record for name in PROMPT_NAMES) and any(name in record for name in ANSWER_NAMES)


def _plain(record: Mapping[str, Any], requests: Requests) -> LoggedCall:
    asked = next((name for name in PROMPT_NAMES if name in record), None)
    told = next((name for name in ANSWER_NAMES if name in record), None)
    if asked is None or told is None:
        raise BadRecord("no prompt" if asked is None else "no response")
    if not isinstance(record[asked], str):
        raise BadRecord(f"{asked!r} is not text")
    if record[told] is None:
        raise NotForCache("no answer")
    rest = {name: value for name, value in record.items() if name not in (asked, told)}
    return LoggedCall(prompt=record[asked], response=record[told], arguments=rest)


# ------------------------------------------------------------------------------ shared


def _check_whole(asked: Any, told: Any) -> None:
    """Raise NotForCache where the log has left something out: the request would be another one."""
    text = json.dumps([asked, told], ensure_ascii=False)
    lost = next((mark for mark in _LOST if mark in text), None)
    if lost is not None:
        raise NotForCache(f"the log has left something out ({lost.strip('[@')})")
    for message in asked if isinstance(asked, list) else ():
        parts = message.get("content") if isinstance(message, Mapping) else None
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, Mapping) and part.get("type") == "image_url" and not part.get("image_url"):
                raise NotForCache("the log has left a picture out")


def _times(record: Mapping[str, Any]) -> tuple[float | None, float]:
    """Return when a call began, and its duration in milliseconds. Times without a zone are UTC."""
    first, last = (
        _moment(next((record[n] for n in names if record.get(n)), None))
        for names in (("startTime", "start_time", "timestamp"), ("endTime", "end_time"))
    )
    return first, max(0.0, last - first) * 1000 if first is not None and last is not None else 0.0


def _moment(value: Any) -> float | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, str):
        return None
    try:
        found = datetime.datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=datetime.timezone.utc)).timestamp()


FORMATS: dict[str, _Format] = {
    "openai-batch": _Format(_is_batch, _batch),
    "litellm": _Format(_is_litellm, _litellm),
    "langfuse": _Format(_is_langfuse, _langfuse),
    "pairs": _Format(_is_pair, _pair),
    "plain": _Format(_is_plain, _plain),
}
"""In this order asked: what looks like several is the first of them."""
