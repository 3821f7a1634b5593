"""openai 2.x, on httpx, through the cache. Run by `test_other_versions.py` where that version is installed."""

import asyncio

import httpx
import openai
import pytest
from pydantic import BaseModel

from semantic_llm_cache import last_lookup
from semantic_llm_cache.integrations.openai import wrap

ASKED = "How do I reset my password?"
AGAIN = "How can I reset my password?"


def user(text):
    return [{"role": "user", "content": text}]


def test_this_is_the_version_meant():
    assert openai.VERSION.startswith("2.")
    assert isinstance(openai.OpenAI(api_key="k")._client, httpx.Client)


async def test_whole_answers_and_streams(server):
    client = openai.AsyncOpenAI(api_key="k", base_url=f"{server.url}/v1")
    async with wrap(client, similarity=0.9) as opened:
        first = await opened.chat.completions.create(model="m", messages=user(ASKED))
        assert await opened.chat.completions.create(model="m", messages=user(AGAIN)) == first
        assert last_lookup().outcome == "near"
        raw = await opened.chat.completions.with_raw_response.create(model="m", messages=user(ASKED))
        assert raw.headers["x-cache"] == "HIT"
        options = {"model": "m", "messages": user("Name a river in France"), "stream": True}
        told = [event async for event in await opened.chat.completions.create(**options)]
        assert [event async for event in await opened.chat.completions.create(**options)] == told
        assert last_lookup().outcome == "exact"
        async with opened.chat.completions.stream(model="m", messages=user(ASKED)) as stream:
            final = await stream.get_final_completion()
        assert final.choices[0].message.content == first.choices[0].message.content
        assert server.calls == 2


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "other",
    [
        {"model": "another"},
        {"temperature": 0.5},
        {"tools": [{"type": "function", "function": {"name": "look_up", "parameters": {}}}]},
        {"extra_headers": {"Authorization": "Bearer other"}},
        {"messages": [{"role": "system", "content": "Be brief."}, *user(ASKED)]},
        {"messages": [*user("Hello"), {"role": "assistant", "content": "Hi"}, *user(ASKED)]},
    ],
    ids=["model", "temperature", "tools", "key", "system", "history"],
)
def test_asked_otherwise_it_is_another_question(server, other, stream):
    with wrap(openai.OpenAI(api_key="k", base_url=f"{server.url}/v1"), similarity=0.9) as opened:
        for options in ({}, other, other):
            made = opened.chat.completions.create(
                **{"model": "m", "messages": user(ASKED), "stream": stream, **options}
            )
            if stream:
                list(made)
        assert server.calls == 2


def test_parse_and_stream_helpers_work_on_hits(server):
    class City(BaseModel):
        name: str

    server.answer = '{{"name": "Paris"}}'
    with wrap(openai.OpenAI(api_key="k", base_url=f"{server.url}/v1"), similarity=0.9) as opened:
        options = {"model": "m", "response_format": City}
        first = opened.chat.completions.parse(messages=user(ASKED), **options)
        second = opened.chat.completions.parse(messages=user(AGAIN), **options)
        assert second == first
        with opened.chat.completions.stream(messages=user(AGAIN), **options) as stream:
            assert stream.get_final_completion().choices[0].message.parsed == City(name="Paris")
        assert server.calls == 1


async def test_a_hundred_readers_of_one_stream_make_one_request(server):
    async with wrap(openai.AsyncOpenAI(api_key="k", base_url=f"{server.url}/v1")) as opened:

        async def read():
            stream = await opened.chat.completions.create(model="m", messages=user(ASKED), stream=True)
            return [event async for event in stream]

        told = await asyncio.gather(*(read() for _ in range(100)))
    assert server.calls == 1
    assert all(events == told[0] for events in told)


@pytest.mark.parametrize("linger", [0, 5])
def test_a_reader_who_stops_at_done_leaves_a_stored_answer(server, linger):
    server.linger = linger
    with wrap(openai.OpenAI(api_key="k", base_url=f"{server.url}/v1")) as opened:
        options = {"model": "m", "messages": user(ASKED), "stream": True}
        first = list(opened.chat.completions.create(**options))
        assert last_lookup().stored
        assert list(opened.chat.completions.create(**options)) == first
        assert server.calls == 1


async def test_an_async_reader_who_stops_at_done_leaves_a_stored_answer(server):
    server.linger = 5
    async with wrap(openai.AsyncOpenAI(api_key="k", base_url=f"{server.url}/v1")) as opened:
        options = {"model": "m", "messages": user(ASKED), "stream": True}
        first = [event async for event in await opened.chat.completions.create(**options)]
        assert [event async for event in await opened.chat.completions.create(**options)] == first
        assert server.calls == 1
