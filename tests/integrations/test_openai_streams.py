"""Streams of the openai SDK: past their time, in shadow mode, beside whole answers, left and broken off by many."""

import asyncio
import inspect
import threading

import httpx2
import openai
import pytest

from semantic_llm_cache import SemanticCache
from semantic_llm_cache.backends import SQLiteBackend
from semantic_llm_cache.integrations.openai import wrap

ASKED = "How do I reset my password?"
USAGE = {"stream": True, "stream_options": {"include_usage": True}}


class Clock:
    def __init__(self):
        self.now = 1_000_000.0

    def __call__(self):
        return self.now


def body(**options):
    return {"model": "m", "messages": [{"role": "user", "content": ASKED}], **options}


class Clients:
    """A plain and an async client of one cache, asked for text and x-cache, as a stream or not."""

    def __init__(self, server, backend="memory://", **options):
        self.cache = SemanticCache(backend, **options)
        given = {"api_key": "k", "base_url": f"{server.url}/v1", "max_retries": 0}
        self.async_ = wrap(openai.AsyncOpenAI(**given), cache=self.cache)
        self.plain = wrap(openai.OpenAI(**given), cache=self.cache)

    async def ask(self, stream=True, plain=False):
        if plain:
            return await asyncio.to_thread(self._ask_plainly, stream)
        raw = await self.async_.chat.completions.with_raw_response.create(**body(**(USAGE if stream else {})))
        parsed = raw.parse()
        text = words([event async for event in parsed]) if stream else parsed.choices[0].message.content
        return text, raw.headers["x-cache"]

    def _ask_plainly(self, stream):
        raw = self.plain.chat.completions.with_raw_response.create(**body(**(USAGE if stream else {})))
        parsed = raw.parse()
        text = words(list(parsed)) if stream else parsed.choices[0].message.content
        return text, raw.headers["x-cache"]

    async def stored_at(self, then):
        ((_, entry),) = await self.cache.backend.iterate()
        return entry.created_at == then

    async def close(self):
        await self.async_.close()
        self.plain.close()


def words(events):
    return "".join(event.choices[0].delta.content or "" for event in events if event.choices)


@pytest.fixture
async def clients(server):
    made = []

    def make(**options):
        made.append(Clients(server, **options))
        return made[-1]

    yield make
    for one in made:
        await one.close()


async def settle(condition):
    for _ in range(400):
        held = condition()
        if await held if inspect.isawaitable(held) else held:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen")


FIRST, SECOND = "Paris is the capital (1).", "Paris is the capital (2)."
both = pytest.mark.parametrize("plain", [False, True], ids=["async", "plain"])


@both
async def test_a_stale_stream_is_told_at_once_and_refreshed_behind(server, clients, plain):
    clock = Clock()
    opened = clients(ttl=10, stale_while_revalidate=60, clock=clock)
    assert await opened.ask(plain=plain) == (FIRST, "MISS")
    clock.now += 11
    assert await opened.ask(plain=plain) == (FIRST, "STALE")
    await settle(lambda: server.calls == 2)
    await settle(lambda: opened.stored_at(clock.now))
    assert await opened.ask(plain=plain) == (SECOND, "HIT")
    assert server.calls == 2
    assert await opened.ask(stream=False, plain=plain) == (SECOND, "HIT")


@both
async def test_a_stale_stream_stands_in_for_an_outage_but_not_for_a_refusal(server, clients, plain):
    clock = Clock()
    opened = clients(ttl=10, stale_if_error="1h", clock=clock)
    await opened.ask(plain=plain)
    clock.now += 20
    server.fail = [503]
    assert await opened.ask(plain=plain) == (FIRST, "STALE")
    server.fail = [401]
    with pytest.raises(openai.AuthenticationError):
        await opened.ask(plain=plain)
    assert await opened.ask(plain=plain) == ("Paris is the capital (4).", "MISS")


@both
async def test_shadow_mode_asks_every_time_and_judges_streams(server, clients, plain):
    opened = clients(mode="shadow")
    server.answer = "Paris"
    for _ in range(3):
        assert await opened.ask(plain=plain) == ("Paris", "MISS")
    assert server.calls == 3
    from semantic_llm_cache import get_stats

    stats = get_stats("default")
    assert (stats["shadow_requests"], stats["shadow_hits"], stats["shadow_wrong"]) == (3, 2, 0)


@pytest.mark.parametrize("second_is_plain", [False, True], ids=["async", "plain"])
@pytest.mark.parametrize("first_is_plain", [False, True], ids=["async", "plain"])
@pytest.mark.parametrize("stream_first", [True, False], ids=["stream", "whole"])
async def test_a_stream_and_a_whole_answer_in_flight_make_one_request(
    server, clients, stream_first, first_is_plain, second_is_plain
):
    opened = clients()
    server.gate = threading.Event()
    first = asyncio.create_task(opened.ask(stream=stream_first, plain=first_is_plain))
    assert await asyncio.to_thread(server.arrived.wait, 20)
    await asyncio.sleep(0.05)
    second = asyncio.create_task(opened.ask(stream=not stream_first, plain=second_is_plain))
    await asyncio.sleep(0.05)
    assert not second.done()
    server.gate.set()
    assert await first == (FIRST, "MISS")
    assert (await second)[0] == FIRST
    assert server.calls == 1


@pytest.mark.parametrize("stream_first", [True, False], ids=["stream", "whole"])
async def test_one_who_waited_for_the_other_way_in_vain_asks_for_himself(server, clients, stream_first):
    opened = clients()
    server.gate, server.finish = threading.Event(), "length"  # what comes is not to be stored
    first = asyncio.create_task(opened.ask(stream=stream_first))
    assert await asyncio.to_thread(server.arrived.wait, 20)
    await asyncio.sleep(0.05)
    second = asyncio.create_task(opened.ask(stream=not stream_first))
    await asyncio.sleep(0.05)
    server.gate.set()
    assert await first == (FIRST, "MISS")
    assert await second == (SECOND, "MISS")


@pytest.mark.parametrize("plain", [False, True], ids=["async", "plain"])
@pytest.mark.parametrize(
    "ways", [(True, True), (True, False), (False, True)], ids=["both", "then whole", "then stream"]
)
async def test_two_processes_make_one_request(server, clients, tmp_path, ways, plain):
    # Two backends on one file know no more of each other than two processes do.
    backends = [SQLiteBackend(tmp_path / "cache.db") for _ in range(2)]
    one, other = (clients(backend=backend, single_flight="shared") for backend in backends)
    server.gate = threading.Event()
    first = asyncio.create_task(one.ask(stream=ways[0]))
    assert await asyncio.to_thread(server.arrived.wait, 20)
    seconds = [asyncio.create_task(other.ask(stream=ways[1], plain=plain)) for _ in range(3)]
    await asyncio.sleep(0.2)
    assert not any(second.done() for second in seconds)
    server.gate.set()
    assert await first == (FIRST, "MISS")
    for second in seconds:
        assert await second == (FIRST, "COALESCED")
    assert server.calls == 1
    for backend in backends:
        await backend.close()


async def test_of_a_hundred_readers_fifty_leave_and_the_others_get_all(server, clients):
    opened = clients()
    server.gate, all_here = threading.Event(), asyncio.Event()

    async def read(leaves):
        stream = await opened.async_.chat.completions.create(**body(stream=True))
        events = []
        async for event in stream:
            events.append(event)
            if leaves:
                await all_here.wait()
                await stream.close()
                break
        return events

    leader = asyncio.create_task(read(True))
    assert await asyncio.to_thread(server.arrived.wait, 20)
    tasks = [asyncio.create_task(read(n % 2 == 0)) for n in range(99)]
    await asyncio.sleep(0.3)
    all_here.set()
    await asyncio.sleep(0.1)
    server.gate.set()
    told = await asyncio.gather(leader, *tasks)
    stayed = [events for events in told if len(events) > 1]
    assert server.calls == 1
    assert len(stayed) == 49
    assert all(events == stayed[0] for events in stayed)
    assert words(stayed[0]) == FIRST
    assert (await opened.ask())[1] in ("HIT", "MISS")  # a stream that told no usage does not do for one that asks
    assert server.calls == 2


async def test_a_hundred_readers_get_the_same_error_and_nothing_is_stored(server, clients):
    opened = clients()
    server.gate, server.cut = threading.Event(), 4

    async def read():
        try:
            async for _ in await opened.async_.chat.completions.create(**body(**USAGE)):
                pass
        except openai.APIConnectionError as error:
            return repr(error.__cause__)
        raise AssertionError("it did not break off")

    tasks = [asyncio.create_task(read()) for _ in range(100)]
    assert await asyncio.to_thread(server.arrived.wait, 20)
    await asyncio.sleep(0.3)
    server.gate.set()
    errors = await asyncio.gather(*tasks)
    assert (server.calls, len(set(errors))) == (1, 1)
    server.cut = None
    assert await opened.ask() == (SECOND, "MISS")
    assert await opened.ask() == (SECOND, "HIT")


async def test_one_who_waits_for_a_stream_and_leaves_disturbs_nobody(server, clients):
    opened = clients()
    server.gate = threading.Event()
    first = asyncio.create_task(opened.ask())
    assert await asyncio.to_thread(server.arrived.wait, 20)
    await asyncio.sleep(0.05)
    waiting = [asyncio.create_task(opened.ask(stream=False)) for _ in range(3)]
    await asyncio.sleep(0.05)
    waiting[0].cancel()
    await asyncio.sleep(0.02)
    server.gate.set()
    assert await first == (FIRST, "MISS")
    assert [text for text, _ in await asyncio.gather(*waiting[1:])] == [FIRST] * 2
    assert waiting[0].cancelled()
    assert server.calls == 1


class SlowToStop(httpx2.AsyncHTTPTransport):
    """When its first request is cancelled or its first response closed, it stops only once it is told to."""

    def __init__(self):
        super().__init__()
        self.requests = 0
        self.stopping, self.stop = asyncio.Event(), asyncio.Event()

    async def handle_async_request(self, request):
        self.requests += 1
        first = self.requests == 1
        try:
            response = await super().handle_async_request(request)
        except asyncio.CancelledError:
            await self.wait()
            raise
        if first:
            response.stream = SlowToClose(response.stream, self)
        return response

    async def wait(self):
        self.stopping.set()
        await asyncio.wait_for(self.stop.wait(), 20)


class SlowToClose(httpx2.AsyncByteStream):
    def __init__(self, stream, transport):
        self.stream, self.transport = stream, transport

    async def __aiter__(self):
        async for part in self.stream:
            yield part

    async def aclose(self):
        await self.transport.wait()
        await self.stream.aclose()


@pytest.mark.parametrize("streams", [True, False], ids=["stream", "whole"])
async def test_who_asks_after_a_call_was_left_gets_one_of_their_own(server, streams):
    transport = SlowToStop()
    given = {"api_key": "k", "base_url": f"{server.url}/v1", "max_retries": 0}
    inner = openai.AsyncOpenAI(**given, http_client=openai.DefaultAsyncHttpxClient(transport=transport))
    server.gate = threading.Event()
    async with wrap(inner, cache=SemanticCache("memory://")) as opened:
        asked = body(**(USAGE if streams else {}))
        if streams:
            stream = await opened.chat.completions.create(**asked)
            await anext(aiter(stream))
            await stream.close()
        else:
            task = asyncio.create_task(opened.chat.completions.create(**asked))
            assert await asyncio.to_thread(server.arrived.wait, 20)
            task.cancel()
            await asyncio.wait([task])
        await asyncio.wait_for(transport.stopping.wait(), 20)
        server.gate.set()
        answer = await asyncio.wait_for(opened.chat.completions.create(**asked), 20)
        text = words([event async for event in answer]) if streams else answer.choices[0].message.content
        assert text == SECOND
        transport.stop.set()
