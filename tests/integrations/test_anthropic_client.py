"""The anthropic SDK through the cache, against a provider on the loopback interface."""

import asyncio
import threading

import anthropic
import pytest

from semantic_llm_cache import SemanticCache, last_lookup
from semantic_llm_cache.integrations.anthropic import wrap

ASKED = "How do I reset my password?"
AGAIN = "How can I reset my password?"


def user(text):
    return [{"role": "user", "content": text}]


def client(server, key="k", **options):
    options.setdefault("similarity", 0.9)
    return wrap(anthropic.AsyncAnthropic(api_key=key, base_url=server.url), **options)


async def asked(opened, text=ASKED, **options):
    return await opened.messages.create(**{"model": "m", "max_tokens": 100, "messages": user(text), **options})


async def collected(stream):
    return [event async for event in stream]


@pytest.mark.parametrize("thinking", [None, "The user has lost something."])
async def test_a_paraphrase_makes_no_request_whole_or_streamed(server, thinking):
    server.thinking = thinking
    async with client(server) as opened:
        first = await asked(opened)
        second = await asked(opened, AGAIN)
        assert (type(second), second, second.id) == (type(first), first, "msg_1")
        assert last_lookup().outcome == "near"
        async with opened.messages.stream(model="m", max_tokens=100, messages=user(AGAIN)) as stream:
            final = await stream.get_final_message()
        assert [block.text for block in final.content if block.type == "text"] == [first.content[-1].text]
        assert final.content[0].type == first.content[0].type
        assert final.usage.output_tokens == 12
        assert (final.id, final.stop_reason, server.calls) == (first.id, first.stop_reason, 1)


@pytest.mark.parametrize("thinking", [None, "The user has lost something."])
async def test_a_stream_is_replayed_event_by_event(server, thinking):
    server.thinking = thinking
    async with client(server) as opened:
        first = await collected(await asked(opened, stream=True))
        assert await collected(await asked(opened, AGAIN, stream=True)) == first
        assert first[0].type == "message_start"
        whole = await asked(opened)
        assert server.calls == 1
        assert whole.content[-1].text == "Paris is the capital (1)."
        assert (whole.usage.input_tokens, whole.usage.output_tokens) == (9, 12)
        raw = await opened.messages.with_raw_response.create(model="m", max_tokens=100, messages=user(ASKED))
        assert (raw.headers["x-cache"], raw.headers["content-type"]) == ("HIT", "application/json")
        assert raw.headers["request-id"] == "req-1"


@pytest.mark.parametrize(
    "other",
    [
        {"model": "another"},
        {"max_tokens": 101},
        {"extra_body": {"temperature": 0.5}},
        {"system": "Be brief."},
        {"tools": [{"name": "look_up", "input_schema": {"type": "object"}}]},
        {"extra_headers": {"anthropic-beta": "something-2026"}},
        {"messages": [*user("Hello"), {"role": "assistant", "content": "Hi"}, *user(ASKED)]},
    ],
    ids=lambda other: next(iter(other)),
)
async def test_asked_otherwise_it_is_another_question(server, other):
    async with client(server) as opened:
        await asked(opened)
        await asked(opened, **other)
        await asked(opened, **other)
    assert server.calls == 2


async def test_all_fields_of_a_text_part_count(server):
    citations = [{"type": "char_location", "cited_text": "a", "document_index": 0}]
    fields = [{}, {"cache_control": {"type": "ephemeral"}}, {"citations": citations}, {"custom": 1}]
    parts = [{"type": "text", "text": ASKED, **more} for more in fields]
    async with client(server) as opened:
        for _ in range(2):
            for part in parts:
                await asked(opened, messages=[{"role": "user", "content": [part]}])
                await asked(opened, system=[part])
        assert server.calls == 2 * len(parts)


async def test_tenants_share_nothing(server):
    cache = SemanticCache("memory://", similarity=0.9)
    async with client(server, key="a", cache=cache) as a, client(server, key="b", cache=cache) as b:
        await asked(a)
        await asked(b)
    assert server.calls == 2


@pytest.mark.parametrize("finish", ["max_tokens", "refusal", "pause_turn", "tool_use", "unheard_of"])
@pytest.mark.parametrize("stream", [False, True])
async def test_answers_that_are_not_whole_are_not_stored(server, finish, stream):
    server.finish = finish
    async with client(server) as opened:
        for _ in range(2):
            answer = await asked(opened, stream=stream)
            if stream:
                await collected(answer)
    assert server.calls == 2


async def test_tool_calls_are_stored_only_when_told_to(server):
    server.tool = ("look_up", {"city": "Paris", "days": [1, 2]})
    async with client(server) as opened:
        await asked(opened)
        await asked(opened)
        assert server.calls == 2
    async with client(server, namespace="other", tool_calls="cache") as opened:
        first = await asked(opened)
        async with opened.messages.stream(model="m", max_tokens=100, messages=user(AGAIN)) as stream:
            final = await stream.get_final_message()
        assert final.content[0].input == first.content[0].input == server.tool[1]
        assert server.calls == 3


async def test_a_hundred_readers_share_a_stream_and_its_failure(server):
    server.gate = threading.Event()
    async with client(server) as opened:

        async def read():
            try:
                return await collected(await asked(opened, stream=True))
            except Exception as error:
                return f"{type(error).__name__} {error!r} {error.__cause__!r}"

        for cut in (4, None):
            server.cut = cut
            server.gate.clear()
            server.arrived.clear()
            before = server.calls
            tasks = [asyncio.create_task(read()) for _ in range(100)]
            assert await asyncio.to_thread(server.arrived.wait, 20)
            await asyncio.sleep(0.2)
            server.gate.set()
            results = await asyncio.gather(*tasks)
            assert server.calls == before + 1
            assert all(result == results[0] for result in results)
            assert isinstance(results[0], str) == (cut is not None)
        assert await collected(await asked(opened, stream=True)) == results[0]
        assert server.calls == 2


async def test_errors_are_retried_and_refusals_passed_on(server):
    server.fail = [529]
    async with client(server) as opened:
        await asked(opened)
        assert server.calls == 2
        server.fail = [400]
        with pytest.raises(anthropic.BadRequestError, match="no luck"):
            await asked(opened, "Name a river in France please")


def test_plain_clients_are_served_too(server):
    with wrap(anthropic.Anthropic(api_key="k", base_url=server.url), similarity=0.9) as opened:
        options = {"model": "m", "max_tokens": 100}
        first = opened.messages.create(messages=user(ASKED), **options)
        assert opened.messages.create(messages=user(AGAIN), **options) == first
        with opened.messages.stream(messages=user(AGAIN), **options) as stream:
            assert stream.get_final_text() == first.content[0].text
    assert server.calls == 1


def test_misuse_is_told_by_name():
    with pytest.raises(TypeError, match="SDK"):
        wrap(object())
