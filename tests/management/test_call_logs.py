"""Logs of calls: what the records of each format mean, how the format is told, and what broken ones say."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semantic_llm_cache.management.logs.reading import FORMAT_NAMES, BadRecord, CallLog, LoggedCall, NotForCache

MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2+2?"}]


def completion(text="4", **fields):
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    usage = {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1_700_000_000, "model": "m-1"}
    return {**head, "choices": [choice], "usage": usage, **fields}


def batch_output(name="a", **fields):
    response = {"status_code": 200, "request_id": "req-1", "body": completion()}
    return {"id": "batch_req_1", "custom_id": name, "response": response, "error": None, **fields}


def batch_input(name="a", **fields):
    body = {"model": "m", "messages": MESSAGES, "temperature": 0}
    return {"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": body, **fields}


def litellm(**fields):
    """After the payload that LiteLLM's own tests expect."""
    return {
        "id": "chatcmpl-1",
        "trace_id": "t",
        "call_type": "acompletion",
        "stream": True,
        "status": "success",
        "custom_llm_provider": "openai",
        "startTime": "2025-01-24 09:20:46.847371",
        "endTime": "2025-01-24 09:20:48.347371",
        "model": "m-deployed",
        "model_group": "m",
        "metadata": {},
        "messages": MESSAGES,
        "response": completion(),
        "model_parameters": {"temperature": 0.2, "stream": True, "max_retries": 0, "extra_body": {}},
        "error_str": None,
        **fields,
    }


def langfuse(**fields):
    """After the example in Langfuse's documentation."""
    return {
        "id": "obs_1",
        "traceId": "trace_1",
        "name": "openai-chat",
        "type": "GENERATION",
        "model": "m-2026-01-31",
        "startTime": "2025-04-12T10:23:14.512Z",
        "endTime": "2025-04-12T10:23:16.512Z",
        "input": MESSAGES,
        "output": {"role": "assistant", "content": "4"},
        "usage": {"input": 5, "output": 1, "total": 6, "unit": "TOKENS"},
        "level": "DEFAULT",
        "metadata": {"customer_tier": "pro"},
        **fields,
    }


def write(path, *records):
    lines = [record if isinstance(record, str) else json.dumps(record, ensure_ascii=False) for record in records]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def only(path, **options):
    (item,) = CallLog(path, **options)
    return item.call


@pytest.fixture
def log(tmp_path):
    return lambda *records, name="log.jsonl": write(tmp_path / name, *records)


# ------------------------------------------------------------------------------ what records mean


def test_the_output_of_a_batch_is_joined_with_its_input(log):
    inputs = log(batch_input("b", body={"model": "other"}), "not json", batch_input("a"), name="in.jsonl")
    call = only(log(batch_output("a")), requests=inputs)
    assert call == LoggedCall(
        "/v1/chat/completions", batch_input()["body"], completion(), "req-1", started=1_700_000_000.0
    )


@pytest.mark.parametrize(
    ("record", "kind", "reason"),
    [
        (batch_output("z"), BadRecord, "custom_id 'z' is not among the requests"),
        (batch_output(error={"code": "x", "message": "no"}, response=None), NotForCache, "a failed request"),
        (batch_output(response={"status_code": 429, "body": {}}), NotForCache, "status 429"),
        (batch_output(response=None), BadRecord, "no response"),
        (batch_output(response={"status_code": 200, "body": None}), BadRecord, "no body"),
        (batch_output(["a"]), BadRecord, "not of the format openai-batch"),
        (batch_output("c"), BadRecord, "has no body"),
    ],
)
def test_what_of_a_batch_is_no_answer(log, record, kind, reason):
    inputs = log(batch_input("a"), {"custom_id": "c"}, name="in.jsonl")
    call = only(log(record), requests=inputs, format="openai-batch")
    assert type(call) is kind
    assert reason in str(call)


def test_a_batch_whose_lines_hold_both_needs_no_input(log):
    assert only(log({**batch_input(), **batch_output()})).body["temperature"] == 0


def test_a_batch_without_its_input_and_the_input_alone_are_told_what_to_do(log):
    with pytest.raises(ValueError, match="name the batch's input with requests="):
        CallLog(log(batch_output()))
    with pytest.raises(ValueError, match="holds no answers: give its output"):
        CallLog(log(batch_input()))


def test_litellm(log):
    call = only(log(litellm()))
    assert call.path == "/chat/completions"
    assert call.body == {"model": "m", "messages": MESSAGES, "temperature": 0.2, "stream": True}
    assert call.answer == completion()
    assert call.duration_ms == pytest.approx(1500)
    assert call.started == pytest.approx(1_737_710_446.847371)
    assert only(log({"standard_logging_object": litellm()})) == call
    direct = only(
        log(litellm(model_group="", startTime=100.0, endTime=101.0, model_parameters={"extra_body": {"k": 1}}))
    )
    assert direct.body == {"model": "m-deployed", "messages": MESSAGES, "k": 1}
    assert (direct.started, direct.duration_ms) == (100.0, 1000.0)
    answered = {"object": "response", "output": []}
    assert only(log(litellm(call_type="aresponses", response=answered))).path == "/responses"


@pytest.mark.parametrize(
    ("fields", "kind", "reason"),
    [
        ({"status": "failure"}, NotForCache, "a failed request"),
        ({"call_type": "aembedding"}, NotForCache, "a call of the type aembedding"),
        ({"messages": [{"role": "user", "content": "redacted-by-litellm"}]}, NotForCache, "left something out"),
        ({"response": {"text": "redacted-by-litellm"}}, NotForCache, "left something out"),
        ({"messages": [{"role": "user", "content": "a (litellm_truncated 9 chars) b"}]}, NotForCache, "left something"),
        ({"response": "text"}, BadRecord, "not an object"),
        ({"model": None, "model_group": None}, BadRecord, "no model"),
        ({"model_parameters": "x"}, BadRecord, "not of the format litellm"),
    ],
)
def test_what_of_litellm_is_no_answer(log, fields, kind, reason):
    call = only(log(litellm(**fields)))
    assert type(call) is kind
    assert reason in str(call)


def test_langfuse(log):
    call = only(log(langfuse()))
    assert call.body == {"model": "m-2026-01-31", "messages": MESSAGES}
    message = {"role": "assistant", "content": "4"}
    assert call.answer == {
        "id": "chatcmpl-obs_1",
        "object": "chat.completion",
        "created": 1_744_453_394,
        "model": "m-2026-01-31",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6},
    }
    assert call.duration_ms == pytest.approx(2000)


def test_langfuses_export_to_a_bucket_is_json_in_strings(log):
    record = {
        "id": "o",
        "trace_id": "t",
        "type": "GENERATION",
        "start_time": "2024-05-29 13:46:19.963000",
        "end_time": "2024-05-29 13:46:20.963000",
        "level": "DEFAULT",
        "input": json.dumps({"messages": MESSAGES, "tools": [{"type": "function"}]}),
        "output": "4",
        "provided_model_name": "m",
        "model_parameters": json.dumps({"temperature": 0.7, "seed": 3}),
        "usage_details": {"input": 5, "output": 1, "total": 6},
    }
    call = only(log(record))
    assert call.body == {
        "model": "m",
        "messages": MESSAGES,
        "tools": [{"type": "function"}],
        "temperature": 0.7,
        "seed": 3,
    }
    assert call.answer["choices"][0]["message"]["content"] == "4"
    assert call.answer["usage"]["total_tokens"] == 6


def test_what_langfuse_writes_for_parameters_that_were_not_given_does_not_count(log):
    given = {"temperature": 1, "max_tokens": float("inf"), "top_p": 1, "frequency_penalty": 0, "presence_penalty": 0}
    assert only(log(langfuse(modelParameters=given))).body == {"model": "m-2026-01-31", "messages": MESSAGES}
    given = {"temperature": "0.5", "max_tokens": "256", "top_p": 0.9, "service_tier": "default", "stop": "END"}
    parameters = {"temperature": 0.5, "max_tokens": 256, "top_p": 0.9, "stop": "END"}
    assert only(log(langfuse(modelParameters=given))).body == {
        "model": "m-2026-01-31", "messages": MESSAGES, **parameters
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "finish"),
    [
        ({}, "stop"),
        ({"metadata": {"finish_reason": "length"}}, "length"),
        ({"modelParameters": {"max_tokens": 1}}, "length"),
        ({"modelParameters": {"max_completion_tokens": 2}}, "stop"),
        ({"output": {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f"}}]}}, "tool_calls"),
    ],
)
def test_why_an_answer_of_langfuse_ended(log, fields, finish):
    assert only(log(langfuse(**fields))).answer["choices"][0]["finish_reason"] == finish


@pytest.mark.parametrize(
    ("fields", "kind", "reason"),
    [
        ({"type": "SPAN"}, NotForCache, "an observation of the type SPAN"),
        ({"level": "ERROR"}, NotForCache, "a failed request"),
        ({"output": None}, NotForCache, "no answer"),
        ({"output": ""}, NotForCache, "no answer"),
        ({"model": None}, NotForCache, "no model"),
        ({"input": 7}, BadRecord, "neither messages nor text"),
        ({"output": {"role": "assistant", "content": [{"type": "output_text"}]}}, NotForCache, "not a chat message"),
        ({"input": [{"role": "user", "content": [{"type": "image_url"}]}]}, NotForCache, "left a picture out"),
        ({"input": "@@@langfuseMedia:type=image/png|id=x@@@"}, NotForCache, "left something out"),
        ({"modelParameters": [1]}, BadRecord, "not an object"),
    ],
)
def test_what_of_langfuse_is_no_answer(log, fields, kind, reason):
    call = only(log(langfuse(**fields)))
    assert type(call) is kind
    assert reason in str(call)


def test_pairs(log):
    body = {"model": "m", "messages": MESSAGES}
    whole = {"status_code": 200, "body": json.dumps(completion())}
    url = "https://x/v1/responses"
    for request, response, path in (
        (body, completion(), "/chat/completions"),
        ({"url": f"{url}?a=b", "body": body}, completion(), url),
        ({"body": json.dumps(body)}, whole, "/chat/completions"),
        (body, {"type": "message", "content": []}, "/v1/messages"),
        (body, {"object": "response", "output": []}, "/responses"),
        (body, {"done": True, "message": {}}, "/api/chat"),
    ):
        call = only(log({"request": request, "response": response}))
        assert (call.path, call.body) == (path, body)
    assert isinstance(only(log({"request": body, "response": {"what": "is this"}})), BadRecord)
    assert isinstance(only(log({"request": body, "response": {"status_code": 500, "body": {}}})), NotForCache)


@pytest.mark.parametrize(("asked", "told"), [("prompt", "response"), ("question", "answer"), ("input", "output")])
def test_plain(log, asked, told):
    call = only(log({asked: "2+2?", told: "4", "model": "small"}))
    assert (call.path, call.prompt, call.response, call.arguments) == ("", "2+2?", "4", {"model": "small"})


@pytest.mark.parametrize("record", [{"prompt": 7, "response": "4"}, {"prompt": "2+2?"}, {"response": "4"}])
def test_plain_without_a_prompt_or_response_is_broken(log, record):
    assert isinstance(only(log(record), format="plain"), BadRecord)


# ------------------------------------------------------------------------------ files


@pytest.mark.parametrize(
    ("record", "name"),
    [
        ({**batch_input(), **batch_output()}, "openai-batch"),
        (litellm(), "litellm"),
        (langfuse(), "langfuse"),
        ({"request": {"model": "m"}, "response": completion()}, "pairs"),
        ({"prompt": "a", "completion": "b"}, "plain"),
    ],
)
def test_the_format_is_told_by_the_records(log, record, name):
    assert name in FORMAT_NAMES
    assert CallLog(log("broken", {"x": 1}, record)).format == name
    assert CallLog(log(record), name).format == name


def test_a_format_that_cannot_be_told_or_is_unknown_names_the_known_ones(log):
    with pytest.raises(ValueError, match="it is none of openai-batch, litellm"):
        CallLog(log({"x": 1}, "broken"))
    with pytest.raises(ValueError, match="it is none of"):
        CallLog(log())
    with pytest.raises(ValueError, match="format='nope' must be auto, openai-batch"):
        CallLog(log({"prompt": "a", "response": "b"}), "nope")
    with pytest.raises(FileNotFoundError):
        CallLog("no such file.jsonl")


def test_broken_lines_are_named_and_the_others_read(log, tmp_path):
    path = log({"prompt": "a", "response": "b"}, "", "{broken", "7", {"prompt": "c", "response": "d"})
    path.write_bytes(path.read_bytes() + b'{"prompt": "\xff", "response": "x"}\n')
    items = list(CallLog(path))
    assert [item.place for item in items] == ["line 1", "line 3", "line 4", "line 5", "line 6"]
    assert [type(item.call) for item in items] == [LoggedCall, BadRecord, BadRecord, LoggedCall, BadRecord]
    assert "not JSON" in str(items[1].call)
    assert str(items[2].call) == "not an object but int"
    assert "not UTF-8" in str(items[4].call)
    positions = [item.position for item in items]
    assert positions == sorted(positions)
    assert positions[-1] == path.stat().st_size


@pytest.mark.parametrize(
    "document",
    [
        lambda records: json.dumps(records),
        lambda records: json.dumps(records, indent=2),
        lambda records: json.dumps({"data": records, "meta": {"page": 1}}),
        lambda records: json.dumps({"data": records}, indent=2),
        lambda records: "\ufeff" + json.dumps(records),
    ],
)
def test_one_json_document_is_a_log_too(tmp_path, document):
    path = tmp_path / "export.json"
    path.write_text(document([langfuse(), langfuse(type="SPAN"), 7]), encoding="utf-8")
    log = CallLog(path)
    items = list(log)
    assert log.format == "langfuse"
    assert [item.place for item in items] == ["entry 1", "entry 2", "entry 3"]
    assert [type(item.call) for item in items] == [LoggedCall, NotForCache, BadRecord]
    assert items[-1].position == path.stat().st_size


def test_one_record_on_one_line_named_json(tmp_path):
    path = write(tmp_path / "one.json", {"prompt": "a", "response": "b"})
    assert only(path).prompt == "a"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = sorted({*batch_output(), *batch_input(), *litellm(), *langfuse(), "request", "prompt", "model_parameters"})


@settings(max_examples=150, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=8) | VALUES, min_size=1, max_size=4))
def test_any_record_is_read_or_named_in_every_format(tmp_path_factory, records):
    path = tmp_path_factory.getbasetemp() / "fuzzed.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    for name in FORMAT_NAMES:
        items = list(CallLog(path, name, requests=path))
        assert len(items) == len(records) or path.read_bytes().startswith(b"[")
        assert all(isinstance(item.call, (LoggedCall, NotForCache, BadRecord)) for item in items)
