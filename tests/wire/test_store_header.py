"""`x-cache-store`: a response says why it was not stored, in a header that nothing can break out of."""

import asyncio
import json
import re

import httpx
import pytest
from test_door import Provider, ask, ask_blocking, body, url
from test_formats import STREAMS, made

from semantic_llm_cache import last_lookup
from semantic_llm_cache.calls.refusals import REASONS
from semantic_llm_cache.integrations.httpx import AsyncCachingTransport, CachingTransport
from semantic_llm_cache.wire import WireCache
from semantic_llm_cache.wire.replies import store_header

both = pytest.mark.parametrize("way", [ask, ask_blocking])
TOOL = ("look_up", {"city": "Paris"})
CUT = {"openai.chat": "length", "openai.responses": "incomplete", "anthropic.messages": "max_tokens"}


def answer(name, **changes):
    return json.dumps(made(name, False, **changes)).encode()


def said(way, data, name="openai.chat", stream=False, status=200, door=None, **options):
    headers = way(door or WireCache(backend="memory://", **options), Provider(data, status=status), name, stream)[2]
    return headers.get("x-cache-store")


@both
@pytest.mark.parametrize("name", STREAMS)
def test_an_answer_that_is_cut_off_or_calls_tools_says_so(way, name):
    assert said(way, answer(name), name) is None
    finish = CUT.get(name, "length")
    assert said(way, answer(name, finish=finish), name).startswith("no; reason=truncated; detail=")
    if not name.startswith("ollama"):
        assert said(way, answer(name, tool=TOOL), name) == "no; reason=tool-calls"


@both
def test_every_refusal_of_a_whole_answer_is_in_the_header(way):
    chat = json.loads(answer("openai.chat"))
    refusal = json.loads(json.dumps(chat))
    refusal["choices"][0]["message"].update(content=None, refusal="I cannot.")
    assert said(way, json.dumps(refusal).encode()) == "no; reason=refusal"
    assert said(way, answer("openai.chat", finish="content_filter")).startswith("no; reason=filtered")
    assert said(way, answer("openai.chat", finish="odd")) == "no; reason=finish; detail=\"finish_reason 'odd'\""
    assert said(way, answer("openai.chat", answer=" ")) == "no; reason=empty"
    assert said(way, b"not JSON") == "no; reason=no-answer"
    assert said(way, b"{}") == "no; reason=no-answer"
    assert said(way, b"{}", status=503) == 'no; reason=call-failed; detail="status 503"'
    data = answer("openai.chat")
    assert said(way, data, cache_if=lambda found: False) == 'no; reason=cache-if; detail="it returned False"'
    assert said(way, data, max_response=9).startswith("no; reason=too-large")
    assert said(way, data, enabled=False) == 'no; reason=bypass; detail="caching is off"'


@both
def test_a_stream_says_it_where_it_is_known_at_its_beginning_else_in_the_lookup(way):
    blocks = "".join(made("openai.chat", True)).encode()
    assert said(way, blocks, stream=True) is None
    assert said(way, blocks, stream=True, max_prompt=3).startswith("no; reason=too-large")
    assert said(way, blocks, stream=True, enabled=False).startswith("no; reason=bypass")
    events = []
    cut = "".join(made("openai.chat", True, finish="length")).encode()
    for data in (cut, blocks[: len(blocks) // 2], b"data: {}\n\n"):
        said(way, data, stream=True, on_event=events.append)
    assert [event.stored_reason.partition(":")[0] for event in events] == ["truncated", "incomplete", "incomplete"]


def test_no_store_is_said_of_whole_answers_and_of_streams():
    for stream in (False, True):
        door = WireCache(backend="memory://")
        data = "".join(made("openai.chat", True)).encode() if stream else answer("openai.chat")
        plan = door.plan("POST", url("openai.chat"), [], body("openai.chat", stream), "no-store")
        reply = asyncio.run(door.answer(plan, Provider(data).send))
        assert dict(reply.headers)["x-cache-store"] == "no; reason=no-store"


@both
def test_a_server_that_repeats_names_and_its_finish_is_cached_in_both_forms(way):
    whole = {"index": 0, "id": "1", "type": "function", "function": {"name": "power"}}
    chunks = [
        {"delta": {"role": "assistant", "tool_calls": [{**whole, "function": {"name": "power", "arguments": part}}]},
         "index": 0, "finish_reason": None}
        for part in ('{"n"', ": 2}")
    ]  # fmt: skip
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    ends = [{"delta": {}, "index": 0, "finish_reason": "tool_calls"}] * 2
    events = [{**head, "choices": [chunk]} for chunk in (*chunks, *ends)]
    events[-1]["usage"] = {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}
    data = "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode()  # and no [DONE]
    provider, door = Provider(data), WireCache(backend="memory://", tool_calls="cache")
    assert [way(door, provider, "openai.chat", True)[1] for _ in range(2)] == [data, data]
    status, found, headers = way(door, provider, "openai.chat", False)
    assert (status, headers["x-cache"], provider.calls) == (200, "HIT", 1)
    call = {"id": "1", "type": "function", "function": {"name": "power", "arguments": '{"n": 2}'}}
    assert json.loads(found)["choices"][0]["message"]["tool_calls"] == [call]


@both
def test_a_server_that_never_tells_the_usage_asked_for_is_cached_for_those_who_ask_alike(way):
    blocks = [block for block in made("openai.chat", True) if '"choices": []' not in block]
    data = "".join(blocks).encode()
    provider, door = Provider(data), WireCache(backend="memory://")
    outcomes = [way(door, provider, "openai.chat", True)[2]["x-cache"] for _ in range(2)]
    assert (outcomes, provider.calls) == (["MISS", "HIT"], 1)


# ------------------------------------------------------------------------------ transports


CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def test_a_request_that_bypasses_says_so_and_what_is_no_model_call_does_not():
    def handle(request):
        return httpx.Response(200, content=answer("openai.chat"))

    events = []
    transport = CachingTransport(
        httpx.MockTransport(handle), backend="memory://", max_temperature=0.5, on_event=events.append, scope={"a": 1}
    )
    with httpx.Client(transport=transport) as client:
        found = client.post("http://host/v1/chat/completions", json={**CHAT, "temperature": 1})
        assert (found.headers["x-cache"], found.json()["model"]) == ("BYPASS", "m")
        assert found.headers["x-cache-store"] == 'no; reason=bypass; detail="its temperature is above max_temperature"'
        assert (events[-1].outcome, last_lookup().stored_reason[:7]) == ("bypass", "bypass:")
        kept = {"input": "hi", "conversation": "c"}
        found = client.post("http://host/v1/responses", json=kept)
        assert found.headers["x-cache-store"].startswith('no; reason=bypass; detail="a conversation')
        found = client.post("http://host/v1/chat/completions", content=b'{"a": 1, "a": 2}')
        assert found.headers["x-cache-store"] == 'no; reason=bypass; detail="an object has a name twice"'
        for other in (client.get("http://host/v1/models"), client.post("http://host/v1/files", json={})):
            assert not {"x-cache", "x-cache-store"} & set(other.headers)


async def test_what_an_inner_cache_said_is_not_passed_on():
    def handle(request):
        return httpx.Response(200, content=answer("openai.chat"), headers={"x-cache-store": "no; reason=inner"})

    transport = AsyncCachingTransport(httpx.MockTransport(handle), backend="memory://", scope={"a": 1})
    async with httpx.AsyncClient(transport=transport) as client:
        for outcome in ("MISS", "HIT"):
            found = await client.post("http://host/v1/chat/completions", json=CHAT)
            assert (found.headers["x-cache"], "x-cache-store" in found.headers) == (outcome, False)


@pytest.mark.parametrize("text", ['"; reason=x', "a\r\nset-cookie: b", "\\", "é…\x00\x7f", "x" * 500, " "])
def test_no_text_breaks_out_of_the_header(text):
    ((name, value),) = store_header(f"finish: {text}")
    assert name == "x-cache-store"
    assert re.fullmatch(r'no; reason=finish(; detail="[ !#-\[\]-~]{1,120}")?', value)


def test_every_word_is_a_token_of_a_header():
    for word in REASONS:
        assert store_header(word) == [("x-cache-store", f"no; reason={word}")]
        assert re.fullmatch(r"[a-z-]+", word)
    assert store_header("") == []
