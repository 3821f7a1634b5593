"""The ollama SDK through the cache, against a server on the loopback interface."""

import asyncio
import threading

import httpx
import ollama
import pytest

from semantic_llm_cache import SemanticCache, last_lookup
from semantic_llm_cache.integrations.ollama import wrap

ASKED = "How do I reset my password?"
AGAIN = "How can I reset my password?"


def user(text):
    return [{"role": "user", "content": text}]


@pytest.fixture
async def opened(server):
    client = wrap(ollama.AsyncClient(host=server.url), similarity=0.9)
    yield client
    await client.close()


async def test_a_paraphrase_makes_no_request_whole_or_streamed(server, opened):
    first = await opened.chat(model="m", messages=user(ASKED))
    second = await opened.chat(model="m", messages=user(AGAIN))
    assert (type(second), second) == (type(first), first)
    assert last_lookup().outcome == "near"
    lines = [line async for line in await opened.chat(model="m", messages=user(AGAIN), stream=True)]
    assert "".join(line.message.content for line in lines) == first.message.content
    assert (lines[-1].eval_count, lines[-1].total_duration) == (first.eval_count, first.total_duration)
    assert server.calls == 1
    assert last_lookup().outcome == "near"


async def test_a_stream_is_replayed_line_by_line(server, opened):
    first = [line async for line in await opened.chat(model="m", messages=user(ASKED), stream=True)]
    assert [line async for line in await opened.chat(model="m", messages=user(AGAIN), stream=True)] == first
    assert len(first) == 6
    whole = await opened.chat(model="m", messages=user(ASKED))
    assert whole.message.content == "Paris is the capital (1)."
    assert whole.eval_count == 12
    assert server.calls == 1


@pytest.mark.parametrize(
    "other",
    [
        {"model": "another"},
        {"options": {"temperature": 0.1}},
        {"format": "json"},
        {"think": True},
        {"tools": [{"type": "function", "function": {"name": "look_up"}}]},
        {"messages": [{"role": "system", "content": "Be brief."}, *user(ASKED)]},
        {"messages": [*user("Hello"), {"role": "assistant", "content": "Hi"}, *user(ASKED)]},
    ],
    ids=["model", "temperature", "format", "think", "tools", "system", "history"],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_asked_otherwise_it_is_another_question(server, opened, other, stream):
    for options in ({}, other, other):
        made = await opened.chat(**{"model": "m", "messages": user(ASKED), "stream": stream, **options})
        if stream:
            assert [line async for line in made]
    assert server.calls == 2


async def test_tenants_share_nothing(server):
    cache = SemanticCache("memory://", similarity=0.9)
    for key in ("a", "b"):
        client = wrap(ollama.AsyncClient(host=server.url, headers={"Authorization": f"Bearer {key}"}), cache=cache)
        await client.chat(model="m", messages=user(ASKED))
        await client.close()
    assert server.calls == 2


@pytest.mark.parametrize("cut", [None, 3])
async def test_a_hundred_readers_share_a_stream_and_its_failure(server, opened, cut):
    server.gate, server.cut = threading.Event(), cut

    async def read():
        try:
            return [line async for line in await opened.chat(model="m", messages=user(ASKED), stream=True)]
        except httpx.HTTPError as error:
            return repr(error)

    tasks = [asyncio.create_task(read()) for _ in range(100)]
    assert await asyncio.to_thread(server.arrived.wait, 20)
    await asyncio.sleep(0.1)
    server.gate.set()
    told = await asyncio.gather(*tasks)
    assert server.calls == 1
    assert all(one == told[0] for one in told)
    assert isinstance(told[0], str) == (cut is not None)
    server.cut = None
    again = await read()
    assert (again == told[0], server.calls) == ((True, 1) if cut is None else (False, 2))


async def test_answers_that_are_not_whole_are_not_stored(server, opened):
    server.finish = "length"
    for _ in range(2):
        await opened.chat(model="m", messages=user(ASKED))
        async for _ in await opened.chat(model="m", messages=user("Name a river in France"), stream=True):
            pass
    assert server.calls == 4


async def test_generate_and_embed(server, opened):
    first = await opened.generate(model="m", prompt=ASKED)
    assert await opened.generate(model="m", prompt=AGAIN) == first
    lines = [line async for line in await opened.generate(model="m", prompt=AGAIN, stream=True)]
    assert "".join(line.response for line in lines) == first.response
    assert server.calls == 1
    vectors = await opened.embed(model="e", input=ASKED)
    assert await opened.embed(model="e", input=ASKED) == vectors
    await opened.embed(model="e", input=AGAIN)
    assert server.calls == 3


def test_plain_clients_are_served_too(server):
    client = wrap(ollama.Client(host=server.url), similarity=0.9)
    first = client.chat(model="m", messages=user(ASKED))
    assert client.chat(model="m", messages=user(AGAIN)) == first
    lines = list(client.chat(model="m", messages=user(AGAIN), stream=True))
    assert "".join(line.message.content for line in lines) == first.message.content
    assert server.calls == 1
    server.fail = [500]
    with pytest.raises(ollama.ResponseError):
        client.chat(model="m", messages=user("Name a river in France"))
    client.close()


def test_misuse_is_told_by_name():
    with pytest.raises(TypeError, match="Ollama"):
        wrap(object())
