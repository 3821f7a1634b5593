"""The openai SDK (its current major version) through the cache, against a provider on the loopback interface."""

import asyncio
import threading
import time

import httpx
import httpx2
import openai
import pytest
from pydantic import BaseModel

from semantic_llm_cache import SemanticCache, last_lookup, report_wrong
from semantic_llm_cache.calls.control import cache_control
from semantic_llm_cache.integrations.httpx import AsyncCachingTransport
from semantic_llm_cache.integrations.openai import wrap

ASKED = "How do I reset my password?"
AGAIN = "How can I reset my password?"


def user(text):
    return [{"role": "user", "content": text}]


def client(server, key="k", **options):
    options.setdefault("similarity", 0.9)
    return wrap(openai.AsyncOpenAI(api_key=key, base_url=f"{server.url}/v1", max_retries=2), **options)


def plain_client(server, key="k", **options):
    options.setdefault("similarity", 0.9)
    return wrap(openai.OpenAI(api_key=key, base_url=f"{server.url}/v1"), **options)


async def asked(opened, text=ASKED, **options):
    return await opened.chat.completions.create(**{"model": "m", "messages": user(text), **options})


async def collected(stream):
    return [event async for event in stream]


async def test_a_paraphrase_makes_no_request_and_returns_an_equal_object(server):
    async with client(server) as opened:
        first = await asked(opened)
        second = await asked(opened, AGAIN)
        assert server.calls == 1
        assert type(second) is type(first)
        assert second == first
        assert second.id == "chatcmpl-1"
        assert second.usage.total_tokens == 21
        assert last_lookup().outcome == "near"


async def test_bytes_are_replayed_as_they_came(server):
    async with client(server) as opened:
        first = await opened.chat.completions.with_raw_response.create(model="m", messages=user(ASKED))
        second = await opened.chat.completions.with_raw_response.create(model="m", messages=user(ASKED))
        assert second.content == first.content
        assert (first.headers["x-cache"], second.headers["x-cache"]) == ("MISS", "HIT")
        assert second.headers["age"] == "0"
        assert second.headers["x-cache-similarity"] == "1.0000"
        assert second.request_id == first.request_id == "req-1"
        near = await opened.chat.completions.with_raw_response.create(model="m", messages=user(AGAIN))
        assert near.headers["x-cache"] == "NEAR"
        assert 0.9 < float(near.headers["x-cache-similarity"]) < 1


async def test_the_id_of_a_call_travels_in_a_header_and_evicts_its_answer(server):
    events = []
    async with client(server, on_event=events.append) as opened:

        async def headers_of(text, **options):
            reply = await opened.chat.completions.with_raw_response.create(model="m", messages=user(text), **options)
            return reply.headers

        for text in (ASKED, ASKED, AGAIN):
            headers = await headers_of(text)
            assert headers["x-cache-id"] == last_lookup().id == events[-1].id
        assert await report_wrong(headers["x-cache-id"]) is True
        assert (await headers_of(ASKED))["x-cache"] == "MISS"
        assert server.calls == 2
        raw = opened.chat.completions.with_raw_response.create
        for outcome in ("MISS", "HIT"):
            reply = await raw(model="m", messages=user("another"), stream=True)
            assert reply.headers["x-cache"] == outcome
            # The answer of a miss is not stored yet.
            assert ("x-cache-id" in reply.headers) is (outcome == "HIT")
            await collected(reply.parse())
            assert reply.headers.get("x-cache-id", last_lookup().id) == last_lookup().id == events[-1].id
        assert await report_wrong(events[-2].id) is True
        assert (await raw(model="m", messages=user("another"), stream=True)).headers["x-cache"] == "MISS"


async def test_a_request_that_bypasses_the_cache_leaves_no_earlier_lookup(server):
    async with client(server, max_temperature=0.5) as opened:
        await asked(opened)
        assert last_lookup().outcome == "miss"
        await asked(opened, "another", temperature=1.0)
        assert last_lookup().outcome == "bypass"


async def test_a_stream_is_replayed_event_by_event(server):
    server.thinking = "The user has lost something."
    async with client(server) as opened:
        options = {"stream": True, "stream_options": {"include_usage": True}}
        first = await collected(await asked(opened, **options))
        second = await collected(await asked(opened, AGAIN, **options))
    assert server.calls == 1
    assert len(first) == 14
    assert second == first
    assert second[-1].usage.total_tokens == 21
    assert "".join(e.choices[0].delta.model_extra.get("reasoning_content", "") for e in second if e.choices) == (
        server.thinking
    )


async def test_bytes_of_a_stream_are_replayed_as_they_came(server):
    async with httpx2.AsyncClient(transport=AsyncCachingTransport()) as http:
        body = {"model": "m", "messages": user(ASKED), "stream": True}
        first = await http.post(f"{server.url}/v1/chat/completions", json=body)
        second = await http.post(f"{server.url}/v1/chat/completions", json=body)
    assert server.calls == 1
    assert second.content == first.content
    assert first.content.endswith(b"data: [DONE]\n\n")
    assert (first.headers["x-cache"], second.headers["x-cache"]) == ("MISS", "HIT")


async def test_a_stream_and_a_whole_answer_share_one_entry(server):
    async with client(server) as opened:
        first = await asked(opened)
        events = await collected(await asked(opened, AGAIN, stream=True, stream_options={"include_usage": True}))
        assert server.calls == 1
        assert "".join(e.choices[0].delta.content or "" for e in events if e.choices) == (
            first.choices[0].message.content
        )
        assert events[-1].usage == first.usage
        assert {e.id for e in events} == {first.id}
        plain = await collected(await asked(opened, AGAIN, stream=True))
        assert all(e.choices for e in plain)
    async with client(server, namespace="other") as opened:
        await collected(await asked(opened, stream=True, stream_options={"include_usage": True}))
        whole = await asked(opened, AGAIN)
        assert server.calls == 2
        assert whole.choices[0].message.content == "Paris is the capital (2)."
        assert whole.usage.total_tokens == 21


async def test_a_stream_without_usage_is_not_enough_for_a_whole_answer(server):
    async with client(server) as opened:
        await collected(await asked(opened, stream=True))
        whole = await asked(opened)
        assert (server.calls, whole.usage.total_tokens) == (2, 21)
        assert (await asked(opened)) == whole
        await collected(await asked(opened, stream=True, stream_options={"include_usage": True}))
        assert server.calls == 2


@pytest.mark.parametrize(
    "other",
    [
        {"model": "another"},
        {"temperature": 0.5},
        {"seed": 7},
        {"tools": [{"type": "function", "function": {"name": "look_up", "parameters": {}}}]},
        {"tool_choice": "none"},
        {"response_format": {"type": "json_object"}},
        {"extra_body": {"top_k": 3}},
        {"extra_headers": {"x-tenant": "b"}},
        {"extra_query": {"api-version": "2"}},
        {"messages": [{"role": "system", "content": "Be brief."}, *user(ASKED)]},
        {"messages": [*user("Hello"), {"role": "assistant", "content": "Hi"}, *user(ASKED)]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": ASKED}, {"type": "image_url",
         "image_url": {"url": "data:image/png;base64,AA"}}]}]},
    ],
    ids=lambda other: next(iter(other)),
)  # fmt: skip
async def test_asked_otherwise_it_is_another_question(server, other):
    async with client(server) as opened:
        await asked(opened)
        await asked(opened, **other)
        assert server.calls == 2
        await asked(opened, **other)
        assert server.calls == 2


async def test_tenants_share_nothing_unless_told_to(server):
    cache = SemanticCache("memory://", similarity=0.9)
    async with client(server, key="a", cache=cache) as a, client(server, key="b", cache=cache) as b:
        await asked(a)
        await asked(b)
        assert server.calls == 2
    options = {"cache": cache, "share_across_keys": True}
    async with client(server, key="a", **options) as a, client(server, key="b", **options) as b:
        await asked(a)
        await asked(b, AGAIN)
        assert server.calls == 3
    for entry in await cache.backend.iterate():
        assert "Bearer" not in repr(entry)


async def test_three_readers_of_one_stream_make_one_request(server):
    server.gate, joined = threading.Event(), asyncio.Event()
    async with client(server) as opened:

        async def read(number):
            stream = await asked(opened, stream=True)
            events = []
            async for event in stream:
                events.append(event)
                if number == 0:
                    await joined.wait()
                    await stream.close()  # the one who came first leaves in the middle
                    return events
            return events

        tasks = [asyncio.create_task(read(0))]
        assert await asyncio.to_thread(server.arrived.wait, 20)
        tasks += [asyncio.create_task(read(n)) for n in (1, 2)]
        await asyncio.sleep(0.05)
        joined.set()
        first = await tasks[0]
        server.gate.set()
        second, third = await asyncio.gather(*tasks[1:])
        assert server.calls == 1
        assert len(first) == 1
        assert second == third
        assert len(second) == 7
        assert await collected(await asked(opened, stream=True)) == second
        assert server.calls == 1


async def test_a_hundred_readers_of_one_stream_make_one_request(server):
    async with client(server) as opened:

        async def read():
            stream = await opened.chat.completions.with_raw_response.create(
                model="m", messages=user(ASKED), stream=True
            )
            return [event async for event in stream.parse()]

        told = await asyncio.gather(*(read() for _ in range(100)))
    assert server.calls == 1
    assert len(told[0]) == 7
    assert all(events == told[0] for events in told)


async def test_a_stream_that_breaks_off_reaches_all_and_is_not_stored(server):
    server.gate, server.cut = threading.Event(), 4
    async with client(server) as opened:

        async def read():
            try:
                return await collected(await asked(opened, stream=True))
            except openai.APIConnectionError as error:
                return repr(error.__cause__)

        tasks = [asyncio.create_task(read()) for _ in range(3)]
        assert await asyncio.to_thread(server.arrived.wait, 20)
        await asyncio.sleep(0.05)
        server.gate.set()
        errors = await asyncio.gather(*tasks)
        assert server.calls == 1
        assert len(set(errors)) == 1
        assert "RemoteProtocolError" in errors[0]
        server.cut = None
        assert len(await collected(await asked(opened, stream=True))) == 7
        assert server.calls == 2


async def test_a_reader_who_stops_at_done_leaves_a_stored_answer(server):
    server.linger = 5
    began = time.monotonic()
    async with client(server) as opened:
        await collected(await asked(opened, stream=True))
        await collected(await asked(opened, stream=True))
    assert server.calls == 1
    assert time.monotonic() - began < 5  # the server keeps the stream open for so long after its end


def test_a_plain_reader_who_stops_at_done_leaves_a_stored_answer(server):
    with plain_client(server) as opened:
        first = list(opened.chat.completions.create(model="m", messages=user(ASKED), stream=True))
        assert last_lookup().stored
        second = list(opened.chat.completions.create(model="m", messages=user(AGAIN), stream=True))
    assert second == first
    assert server.calls == 1


@pytest.mark.parametrize("finish", ["length", "content_filter", None, "unheard_of"])
@pytest.mark.parametrize("stream", [False, True])
async def test_answers_that_are_not_whole_are_not_stored(server, finish, stream):
    if finish is None:
        server.answer = " "
    server.finish = finish
    async with client(server) as opened:
        for _ in range(2):
            answer = await asked(opened, stream=stream)
            if stream:
                await collected(answer)
    assert server.calls == 2


@pytest.mark.parametrize("stream", [False, True])
async def test_tool_calls_are_stored_only_when_told_to(server, stream):
    server.tool = ("look_up", {"city": "Paris", "days": [1, 2]})

    async def ask(opened):
        answer = await asked(opened, stream=stream)
        return await collected(answer) if stream else answer

    async with client(server) as opened:
        await ask(opened)
        await ask(opened)
        assert server.calls == 2
    async with client(server, namespace="other", tool_calls="cache") as opened:
        first = await ask(opened)
        assert await ask(opened) == first
        assert server.calls == 3
        other = await asked(opened, stream=not stream)
        if not stream:
            events = await collected(other)
            joined = "".join(
                call.function.arguments or "" for e in events for call in e.choices[0].delta.tool_calls or ()
            )
            assert joined == first.choices[0].message.tool_calls[0].function.arguments
            assert server.calls == 3


@pytest.mark.parametrize("stream", [False, True])
async def test_errors_are_passed_on_and_retried_by_the_sdk(server, stream):
    server.fail = [500, 429]
    async with client(server) as opened:
        answer = await asked(opened, stream=stream)
        if stream:
            await collected(answer)
        assert server.calls == 3
    server.fail = [401]
    async with client(server, key="bad") as opened:
        with pytest.raises(openai.AuthenticationError, match="no luck"):
            await asked(opened, stream=stream)
        await asked(opened)
        assert server.calls == 5


async def test_a_call_may_control_the_cache(server):
    async with client(server) as opened:

        async def content(**control):
            headers = cache_control(*control.pop("directives", ()), **control)
            answer = await asked(opened, extra_headers=headers)
            return answer.choices[0].message.content

        with pytest.raises(openai.APIStatusError) as caught:
            await content(directives=["only-if-cached"])
        assert (caught.value.status_code, server.calls) == (504, 0)
        await content(directives=["no-store"])
        assert await content() == "Paris is the capital (2)."
        assert await content(directives=["only-if-cached"]) == "Paris is the capital (2)."
        assert await content(directives=["no-cache"]) == "Paris is the capital (3)."
        assert await content() == "Paris is the capital (3)."
        assert await content(max_age=60) == "Paris is the capital (3)."
        await asyncio.sleep(0.02)
        assert await content(max_age=0.01) == "Paris is the capital (4)."
        assert (await asked(opened, AGAIN, extra_headers=cache_control(similarity=1))).id == "chatcmpl-5"
        assert all("x-cache-control" not in headers for _, headers, _ in server.seen)


async def test_what_a_call_says_of_time_to_live_is_kept(server):
    now = [1000.0]
    async with client(server, clock=lambda: now[0]) as opened:
        await asked(opened, extra_headers=cache_control(ttl=10))
        now[0] += 9
        await asked(opened)
        assert server.calls == 1
        now[0] += 2
        await asked(opened)
        assert server.calls == 2


class City(BaseModel):
    name: str
    people: int


async def test_parse_and_stream_helpers_work_on_hits(server):
    server.answer = '{{"name": "Paris", "people": {n}}}'
    async with client(server) as opened:
        options = {"model": "m", "messages": user(ASKED), "response_format": City}
        first = await opened.chat.completions.parse(**options)
        second = await opened.chat.completions.parse(**options)
        assert second.choices[0].message.parsed == City(name="Paris", people=1) == first.choices[0].message.parsed
        async with opened.chat.completions.stream(**options) as stream:
            kinds = [event.type async for event in stream]
            final = await stream.get_final_completion()
        assert kinds[-1] == "content.done"
        assert final.choices[0].message.parsed == City(name="Paris", people=1)
        assert server.calls == 1


async def test_responses_are_replayed_whole_and_streamed(server):
    async with client(server) as opened:
        first = await opened.responses.create(model="m", input=ASKED)
        assert await opened.responses.create(model="m", input=AGAIN) == first
        told = await collected(await opened.responses.create(model="m", input=AGAIN, stream=True))
        assert told[-1].response == first
        assert [event.sequence_number for event in told] == list(range(len(told)))
        async with opened.responses.stream(model="m", input=ASKED) as stream:
            await collected(stream)
            assert (await stream.get_final_response()).output_text == first.output_text
        assert server.calls == 1
        streamed = await collected(await opened.responses.create(model="m", input="Name a river", stream=True))
        assert await collected(await opened.responses.create(model="m", input="Name a river", stream=True)) == streamed
        whole = await opened.responses.create(model="m", input="Name a river")
        assert whole == streamed[-1].response
        assert server.calls == 2


@pytest.mark.parametrize("option", [{"conversation": "conv_1"}, {"background": True}])
async def test_responses_that_the_provider_keeps_are_not_cached(server, option):
    async with client(server) as opened:
        for _ in range(2):
            await opened.responses.create(model="m", input=ASKED, **option)
    assert server.calls == 2


@pytest.mark.parametrize("stream", [False, True])
async def test_incomplete_responses_are_not_stored(server, stream):
    server.finish = "incomplete"
    async with client(server) as opened:
        for _ in range(2):
            answer = await opened.responses.create(model="m", input=ASKED, stream=stream)
            if stream:
                await collected(answer)
    assert server.calls == 2


async def test_embeddings_match_only_exactly(server):
    async with client(server) as opened:
        first = await opened.embeddings.create(model="e", input=ASKED)
        assert await opened.embeddings.create(model="e", input=ASKED) == first
        assert server.calls == 1
        await opened.embeddings.create(model="e", input=AGAIN)
        await opened.embeddings.create(model="e", input=f"{ASKED} ")
        assert server.calls == 3


async def test_a_short_turn_is_answered_only_after_the_same_words(server):
    def after(words, *more):
        return [*user(words), {"role": "assistant", "content": "Shall I go on?"}, *more, *user("Yes")]

    async with client(server, history="window:1") as opened:
        await asked(opened, messages=after("Tell me about cats."))
        await asked(opened, messages=after("Tell me about dogs."))
        assert server.calls == 2
        long = "What is the population of Paris today?"
        await asked(opened, messages=[*after("Tell me about cats.")[:2], *user(long)])
        await asked(opened, messages=[*after("Tell me about dogs.")[:2], *user(long)])
        assert server.calls == 3
    async with client(server, namespace="exact") as opened:
        await asked(opened, messages=[*after("Tell me about cats.")[:2], *user(long)])
        await asked(opened, messages=[*after("Tell me about dogs.")[:2], *user(long)])
        assert server.calls == 5


async def test_hot_requests_go_by_only_where_a_bound_is_set(server):
    async with client(server, max_temperature=0.5) as opened:
        for temperature, calls in ((0.5, 1), (0.5, 1), (0.9, 2), (0.9, 3)):
            await asked(opened, temperature=temperature)
            assert server.calls == calls
        await asked(opened)
        await asked(opened)
        assert server.calls == 4


async def test_callables_see_answers_as_people_do(server):
    seen = []
    async with client(
        server,
        cache_if=lambda answer: seen.append(answer["choices"][0]["finish_reason"]) or True,
        price=lambda given, made, answer: seen.append((given, made, answer["model"])) or 0.25,
        verify=lambda prompt, other, answer: seen.append(answer) or True,
    ) as opened:
        await asked(opened)
        await asked(opened, AGAIN)
        assert seen == ["stop", (9, 12, "m"), "Paris is the capital (1)."]
        assert last_lookup().saved_usd == 0.25


def test_plain_clients_are_served_too(server):
    with plain_client(server) as opened:
        first = opened.chat.completions.create(model="m", messages=user(ASKED))
        second = opened.chat.completions.create(model="m", messages=user(AGAIN))
        assert second == first
        events = list(opened.chat.completions.create(model="m", messages=user(AGAIN), stream=True))
        assert "".join(e.choices[0].delta.content or "" for e in events) == first.choices[0].message.content
        assert server.calls == 1
        with opened.chat.completions.stream(model="m", messages=user(ASKED)) as stream:
            assert stream.get_final_completion().choices[0].message.content == "Paris is the capital (1)."
        assert server.calls == 1
        server.fail = [500]
        opened.with_options(timeout=5).chat.completions.create(model="m", messages=user("Name a river in France"))
        assert server.calls == 3


async def test_a_legacy_httpx_client_works_as_well(server):
    http = httpx.AsyncClient()
    async with wrap(openai.AsyncOpenAI(api_key="k", base_url=f"{server.url}/v1", http_client=http)) as opened:
        first = await asked(opened)
        assert await asked(opened) == first
        assert await collected(await asked(opened, stream=True))
        assert server.calls == 1


async def test_the_client_that_was_wrapped_is_left_as_it_is(server):
    bare = openai.AsyncOpenAI(api_key="k", base_url=f"{server.url}/v1")
    wrapped = wrap(bare)
    await asked(wrapped)
    await asked(bare)
    await asked(bare)
    assert server.calls == 3
    await asked(wrapped)
    del wrapped
    await asked(bare)
    assert server.calls == 4
    await bare.close()


async def test_wrapping_twice_is_harmless(server):
    async with wrap(client(server)) as opened:
        for stream in (False, True):
            first = await asked(opened, stream=stream)
            second = await asked(opened, stream=stream)
            if stream:
                assert await collected(first) == await collected(second)
            else:
                assert first == second
    assert server.calls == 1


def test_misuse_is_told_by_name():
    with pytest.raises(TypeError, match="SDK"):
        wrap(object())
    for option, message in (
        ({"history": "all"}, "history"),
        ({"tool_calls": "yes"}, "tool_calls"),
        ({"max_temperature": "hot"}, "max_temperature"),
        ({"ignore": "user"}, "ignore"),
        ({"nonsense": 1}, "nonsense"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            wrap(openai.OpenAI(api_key="k"), **option)
