"""After warming from a log, the calls that were logged make no HTTP request: real clients, a real server."""

import asyncio
import json
from dataclasses import dataclass

import httpx2
import openai
import pytest

from semantic_llm_cache import SemanticCache, cache, last_lookup, warm_from_log
from semantic_llm_cache.backends import MemoryBackend
from semantic_llm_cache.integrations.httpx import CachingTransport
from semantic_llm_cache.integrations.openai import wrap
from semantic_llm_cache.wire import WireCache

ASKED = "How do I reset my password?"
AGAIN = "How can I reset my password?"
KEY = {"Authorization": "Bearer k"}


def user(text):
    return [{"role": "user", "content": text}]


def completion(text="By mail.", finish="stop", **message):
    message = {"role": "assistant", "content": text, "refusal": None, **message}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
    usage = {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}
    return {
        "id": "chatcmpl-logged", "object": "chat.completion", "created": 1, "model": "m-1", "choices": [choice],
        "usage": usage,
    }  # fmt: skip


def write(path, *records):
    path.write_text("".join(f"{r if isinstance(r, str) else json.dumps(r)}\n" for r in records), encoding="utf-8")
    return path


def pair(text=ASKED, answer=None, **body):
    return {"request": {"model": "m", "messages": user(text), **body}, "response": answer or completion()}


def client(server, backend, key="k", **options):
    given = {"similarity": 0.9, "backend": backend, **options}
    return wrap(openai.AsyncOpenAI(api_key=key, base_url=f"{server.url}/v1"), **given)


async def asked(opened, text=ASKED, **options):
    return await opened.chat.completions.create(**{"model": "m", "messages": user(text), **options})


async def warm(server, path, backend, headers=KEY, door=None, **options):
    target = WireCache(backend=backend, similarity=0.9, **(door or {}))
    return await warm_from_log(path, target, base_url=f"{server.url}/v1", headers=headers, **options)


@pytest.fixture
def log(tmp_path):
    return lambda *records, name="log.jsonl": write(tmp_path / name, *records)


# ------------------------------------------------------------------------------ each format is found by the client


def batch(log):
    body = {"model": "m", "messages": user(ASKED), "temperature": 0.3}
    told = {"status_code": 200, "request_id": "req-b", "body": completion()}
    requests = log({"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body}, name="in.jsonl")
    return log({"id": "1", "custom_id": "a", "response": told, "error": None}), {"requests": requests}


def litellm(log):
    record = {
        "call_type": "acompletion",
        "status": "success",
        "model": "deployed",
        "model_group": "m",
        "messages": user(ASKED),
        "response": completion(),
        "model_parameters": {"temperature": 0.3, "stream": False, "max_retries": 0, "extra_body": {}},
    }
    return log(record), {}


def langfuse(log):
    given = {"temperature": 0.3, "max_tokens": "Infinity", "top_p": 1, "frequency_penalty": 0, "presence_penalty": 0}
    record = {
        "id": "o", "traceId": "t", "type": "GENERATION", "model": "m-2026-01-31", "modelParameters": given,
        "input": user(ASKED), "output": {"role": "assistant", "content": "By mail."},
        "usage": {"input": 9, "output": 12},
    }  # fmt: skip
    return log(json.dumps([record]), name="export.json"), {"models": {"m-2026-01-31": "m"}}


def pairs(log):
    return log(pair(temperature=0.3)), {}


@pytest.mark.parametrize("made", [batch, litellm, langfuse, pairs])
async def test_a_logged_call_makes_no_request(server, log, made):
    backend = MemoryBackend()
    path, options = made(log)
    report = await warm(server, path, backend, **options)
    assert (report.stored, report.records, report.broken) == (1, 1, 0)
    async with client(server, backend) as opened:
        first = await asked(opened, temperature=0.3)
        assert last_lookup().outcome == "exact"
        assert first.choices[0].message.content == "By mail."
        assert first.choices[0].finish_reason == "stop"
        assert first.usage.total_tokens == 21
        near = await asked(opened, AGAIN, temperature=0.3)
        assert last_lookup().outcome == "near"
        assert near == first
        options = {"stream": True, "stream_options": {"include_usage": True}}
        events = [e async for e in await asked(opened, temperature=0.3, **options)]
        assert "".join(e.choices[0].delta.content or "" for e in events if e.choices) == "By mail."
        assert server.calls == 0
        await asked(opened, temperature=0.4)
        assert server.calls == 1


def test_a_plain_client_and_a_transport_find_it_too(server, log):
    backend = MemoryBackend()
    asyncio.run(warm(server, log(pair()), backend))
    opened = wrap(openai.OpenAI(api_key="k", base_url=f"{server.url}/v1"), similarity=0.9, backend=backend)
    with opened:
        assert opened.chat.completions.create(model="m", messages=user(ASKED)).id == "chatcmpl-logged"
    with httpx2.Client(transport=CachingTransport(backend=backend), headers=KEY) as http:
        body = {"model": "m", "messages": user(ASKED)}
        reply = http.post(f"{server.url}/v1/chat/completions", json=body)
        assert (reply.headers["x-cache"], reply.json()) == ("HIT", completion())
    assert server.calls == 0


async def test_the_responses_api_and_the_name_of_the_call(server, log):
    backend = MemoryBackend()
    part = {"type": "output_text", "text": "By mail.", "annotations": []}
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
    answer = {
        "id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "error": None, "model": "m",
        "incomplete_details": None, "output": [item], "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
    }  # fmt: skip
    told = {"status_code": 200, "request_id": "req-b", "body": answer}
    asked_for = {"custom_id": "a", "method": "POST", "url": "/v1/responses", "body": {"model": "m", "input": ASKED}}
    requests = log(asked_for, name="in.jsonl")
    report = await warm(server, log({"custom_id": "a", "response": told}), backend, requests=requests)
    assert report.stored == 1
    async with client(server, backend) as opened:
        reply = await opened.responses.with_raw_response.create(model="m", input=ASKED)
        assert (reply.parse().output_text, reply.request_id) == ("By mail.", "req-b")
    assert server.calls == 0


# ------------------------------------------------------------------------------ scope


async def test_another_key_is_another_scope_unless_keys_share(server, log):
    backend, shared = MemoryBackend(), MemoryBackend()
    path = log(pair())
    await warm(server, path, backend)
    async with client(server, backend, key="other") as opened:
        await asked(opened)
        assert server.calls == 1
    await warm(server, path, shared, headers={}, door={"share_across_keys": True})
    for key in ("k", "other"):
        async with client(server, shared, key=key, share_across_keys=True) as opened:
            assert (await asked(opened)).id == "chatcmpl-logged"
    assert server.calls == 1


async def test_headers_and_options_of_the_client_are_part_of_the_scope(server, log):
    backend = MemoryBackend()
    history = [*user("Hello"), {"role": "assistant", "content": "Hi"}]
    body = {"model": "m", "messages": [*history, *user(ASKED)], "user": "u-1"}
    options = {"history": "window:0", "ignore": ("user",), "scope": {"tenant": 7}, "namespace": "chat"}
    report = await warm(
        server,
        log({"request": body, "response": completion()}),
        backend,
        headers={**KEY, "OpenAI-Organization": "org", "X-Tenant": "7"},
        door=options,
    )
    assert report.stored == 1
    plain = openai.AsyncOpenAI(
        api_key="k", base_url=f"{server.url}/v1", organization="org", default_headers={"X-Tenant": "7"}
    )
    async with wrap(plain, similarity=0.9, backend=backend, **options) as opened:
        assert (await asked(opened)).id == "chatcmpl-logged"
        assert server.calls == 0
        await asked(opened, extra_headers={"X-Tenant": "8"})
        assert server.calls == 1
    assert {entry.namespace for _, entry in await backend.iterate()} == {"chat"}


async def test_fields_that_the_log_has_not_can_be_set_and_others_taken_out(server, log):
    backend = MemoryBackend()
    path = log(pair(metadata={"trace": "x"}))
    await warm(server, path, backend, fields={"temperature": 1, "metadata": None})
    async with client(server, backend) as opened:
        assert (await asked(opened, temperature=1)).id == "chatcmpl-logged"
    assert server.calls == 0


# ------------------------------------------------------------------------------ admission


async def test_what_the_door_would_not_store_is_not_stored(server, log):
    backend = MemoryBackend()
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    path = log(
        pair("one?", completion(finish="length")),
        pair("two?", completion(finish="content_filter")),
        pair("three?", completion(None, refusal="I cannot.")),
        pair("four?", completion(" ")),
        pair("five?", completion(None, "tool_calls", tool_calls=[call])),
        pair("six?", {"choices": [], "error": {"message": "no"}}),
        pair("seven?"),
    )
    report = await warm(server, path, backend)
    assert report.stored == 1
    assert report.refused == {
        "truncated: finish_reason 'length'": 1,
        "filtered: finish_reason 'content_filter'": 1,
        "refusal": 1,
        "empty": 1,
        "tool-calls": 1,
        "no-answer": 1,
    }
    assert [entry.prompt for _, entry in await backend.iterate()] == ["seven?"]
    assert (await warm(server, path, MemoryBackend(), door={"tool_calls": "cache"})).stored == 2
    report = await warm(server, path, MemoryBackend(), door={"cache_if": lambda answer: False})
    assert (report.stored, report.refused["cache-if: it returned False"]) == (0, 1)
    report = await warm(server, path, MemoryBackend(), door={"max_prompt": 3})
    assert (report.stored, report.refused["too-large: prompts of more than 3 characters are not stored"]) == (0, 1)
    report = await warm(server, log(pair(temperature=1.5)), MemoryBackend(), door={"max_temperature": 1})
    assert (report.stored, report.skipped) == (0, {"a request that is not cached": 1})


async def test_what_is_there_stays_and_twice_is_as_good_as_once(server, log):
    backend = MemoryBackend()
    path = log(pair(), pair(answer=completion("Later.")), pair("Another?"))
    report = await warm(server, path, backend)
    assert (report.stored, report.there) == (2, 1)
    before = [(key, entry.created_at) for key, entry in await backend.iterate()]
    report = await warm(server, path, backend)
    assert (report.stored, report.there) == (0, 3)
    assert [(key, entry.created_at) for key, entry in await backend.iterate()] == before
    path = log(pair(answer=completion("Between.")), pair(answer=completion("Newer.")))
    report = await warm(server, path, backend, overwrite=True)
    assert (report.stored, report.there) == (1, 1)
    async with client(server, backend) as opened:
        assert (await asked(opened)).choices[0].message.content == "Newer."


async def test_broken_lines_are_counted_named_and_in_nobodys_way(server, log):
    backend = MemoryBackend()
    messages = {"request": {"model": "m", "messages": "text"}, "response": completion()}
    unread = {"request": {"model": "m", "messages": user("x?")}, "response": {"choices": [{"message": 7}]}}
    other = {"request": {"url": "/v1/images", "body": {"model": "m"}}, "response": completion()}
    path = log("{broken", pair(), messages, unread, other, '{"x": 1}')
    report = await warm(server, path, backend)
    assert (report.records, report.stored, report.broken) == (6, 1, 3)
    assert [place for place, _ in report.problems] == ["line 1", "line 3", "line 6"]
    assert report.skipped == {"no request that is cached: /v1/images": 1}
    assert report.refused == {"no-answer: no message": 1}
    assert report.position == report.size == path.stat().st_size


async def test_time_to_live_and_age(server, log):
    now = 2_000_000_000.0
    backend = MemoryBackend()
    record = {**pair(), "timestamp": "2033-05-18T03:00:00Z"}  # 2,000 s before
    door = {"clock": lambda: now, "ttl": 100}
    report = await warm(server, log(record), backend, door=door, max_age="30m")
    assert (report.stored, report.skipped) == (0, {"too old": 1})
    assert (await warm(server, log(record), backend, door=door, max_age="1h")).stored == 1
    assert [(entry.created_at, entry.ttl) for _, entry in await backend.iterate()] == [(now, 100.0)]
    await warm(server, log(record), backend, door=door, ttl="7d", overwrite=True)
    assert [entry.ttl for _, entry in await backend.iterate()] == [604800.0]


async def test_a_dry_run_stores_nothing(server, log):
    backend = MemoryBackend()
    report = await warm(server, log(pair(), pair("x?", completion(finish="length"))), backend, dry_run=True)
    assert (report.stored, report.refused, report.dry_run) == (1, {"truncated: finish_reason 'length'": 1}, True)
    assert await backend.iterate() == []


async def test_a_failing_storage_is_told(server, log):
    class Full(MemoryBackend):
        async def set(self, key, entry):
            raise OSError("no space left")

    with pytest.raises(Exception, match="OSError"):
        await warm(server, log(pair()), Full())


async def test_many_calls_with_progress(server, log):
    backend = MemoryBackend()
    seen = []
    path = log(*(pair(f"Question number {n}?") for n in range(150)))
    report = await warm(server, path, backend, progress=lambda r: seen.append((r.records, r.position)))
    assert report.stored == 150
    assert [records for records, _ in seen] == [64, 128, 150]
    assert seen[-1][1] == path.stat().st_size
    assert all(entry.embedding is not None for _, entry in await backend.iterate())


# ------------------------------------------------------------------------------ functions


async def test_plain_lines_are_found_by_a_decorated_function(log):
    @cache(similarity=0.9, ttl="1h")
    async def ask(prompt: str, model: str = "small", *, depth: int = 1) -> str:
        raise AssertionError("called")

    path = log(
        {"prompt": ASKED, "response": "By mail.", "id": 7},
        {"prompt": ASKED, "response": "Large: by mail.", "model": "large"},
        {"prompt": "x?", "response": 7},
        {"prompt": "y?", "response": None},
    )
    report = await warm_from_log(path, ask)
    assert (report.format, report.stored, report.broken, report.skipped) == ("plain", 2, 1, {"no answer": 1})
    assert await ask(ASKED) == "By mail."
    assert await ask(AGAIN) == "By mail."
    assert last_lookup().outcome == "near"
    assert await ask(ASKED, "large") == "Large: by mail."
    assert (await ask.cache_lookup(ASKED, depth=2)).outcome == "miss"
    assert (await warm_from_log(path, ask, arguments={"depth": 2})).stored == 2
    assert await ask(ASKED, depth=2) == "By mail."
    assert await ask.cache_clear() == 4


async def test_a_function_without_async_one_of_messages_one_of_streams(log):
    from pydantic import BaseModel

    class Answer(BaseModel):
        text: str

    @dataclass
    class Point:
        x: int

    @cache
    async def point(prompt: str) -> Point:
        raise AssertionError("called")

    @cache(namespace="structured")
    def structured(question: str, /, model: str = "m") -> Answer:
        raise AssertionError("called")

    @cache
    async def chat(messages: list, model: str) -> str:
        raise AssertionError("called")

    @cache
    async def tell(prompt: str):
        raise AssertionError("called")
        yield ""

    await warm_from_log(
        log({"prompt": "2+2?", "response": {"text": "4"}}, {"prompt": "x?", "response": "4"}), structured
    )
    assert structured("2+2?") == Answer(text="4")
    await warm_from_log(log({"prompt": "where?", "response": {"x": 7}}), point)
    assert await point("where?") == Point(7)
    talk = [*user("Hello"), {"role": "assistant", "content": "Hi"}, *user(ASKED)]
    path = log(pair(), {"request": {"model": "m", "messages": talk}, "response": completion("Again.")})
    assert (await warm_from_log(path, chat)).stored == 2
    assert (await chat(user(ASKED), "m"), await chat(talk, "m")) == ("By mail.", "Again.")
    report = await warm_from_log(path, tell)
    assert (report.stored, list(report.skipped.values())) == (1, [1])
    assert [chunk async for chunk in tell(ASKED)] == ["By mail."]


async def test_an_answer_that_is_not_what_the_function_returns_is_named(log):
    from pydantic import BaseModel

    class Answer(BaseModel):
        text: str

    @cache
    async def ask(prompt: str) -> Answer:
        raise AssertionError("called")

    report = await warm_from_log(log({"prompt": "2+2?", "response": {"words": 4}}), ask)
    assert (report.stored, report.broken) == (0, 1)
    assert report.problems[0][0] == "line 1"


async def test_functions_of_a_namespace_find_what_was_stored_for_it(log):
    backend = MemoryBackend()
    engine = SemanticCache(backend, namespace="faq", similarity=0.9)
    await warm_from_log(log({"prompt": ASKED, "response": "By mail."}), engine)
    await warm_from_log(log({"prompt": ASKED, "response": "Large."}), engine, arguments={"model": "large"})

    @cache(namespace="faq", similarity=0.9, backend=backend)
    async def one(question: str) -> str:
        raise AssertionError("called")

    @cache(namespace="faq", backend=backend)
    def two(prompt: str, model: str = "large") -> str:
        raise AssertionError("called")

    assert await one(AGAIN) == "By mail."
    assert two(ASKED) == "Large."
    with pytest.raises(ValueError, match="each function has its own entries"):
        await warm_from_log(log({"prompt": "a", "response": "b"}), SemanticCache(backend))


async def test_plain_lines_belong_to_no_client_and_a_method_to_no_log(server, log):
    path = log({"prompt": ASKED, "response": "By mail."})
    report = await warm(server, path, MemoryBackend())
    assert (report.stored, sum(report.skipped.values())) == (0, 1)

    class Bot:
        @cache
        async def ask(self, prompt: str) -> str:
            return prompt

    with pytest.raises(TypeError, match="is a method"):
        await warm_from_log(path, Bot.ask)
    with pytest.raises(TypeError, match="must be a WireCache, a SemanticCache, or a function"):
        await warm_from_log(path, print)

    @cache(enabled=False)
    async def off(prompt: str) -> str:
        return prompt

    with pytest.raises(ValueError, match="caching is off"):
        await warm_from_log(path, off)

    @cache
    async def ask(prompt: str) -> str:
        return prompt

    with pytest.raises(TypeError, match="'modle' is no parameter"):
        await warm_from_log(path, ask, arguments={"modle": 1})
