"""`WireCache`: whatever a caller or a provider sends passes through unchanged, and only whole answers are stored."""

import asyncio
import json
import sys

import pytest
import wire_provider
from hypothesis import given, settings
from hypothesis import strategies as st
from test_formats import JSON, STREAMS, made

from semantic_llm_cache import SemanticCache
from semantic_llm_cache.wire import CacheControl, Upstream, WireCache, cache_control, genai_price
from semantic_llm_cache.wire.turns import depends_on_history, last_turn

MODES = {"chat": "/v1/chat/completions", "messages": "/v1/messages", "ollama": "/api/chat"}


def url(name):
    return f"http://provider{STREAMS[name][0]}"


def body(name, stream, **more):
    return json.dumps({"model": "m", "stream": stream, **STREAMS[name][1], **more}).encode()


class Provider:
    """Sends the same bytes each time, in pieces of some size; `blocking` ones as plain code reads them."""

    def __init__(self, data, size=7, status=200, fail_after=None):
        self.parts = [data[i : i + size] for i in range(0, len(data), size)]
        self.status = status
        self.fail_after = fail_after
        self.calls = self.closed = 0

    def _told(self):
        for place, part in enumerate(self.parts):
            if place == self.fail_after:
                raise ConnectionError("the wire broke")
            yield part

    async def send(self):
        async def told():
            for part in self._told():
                yield part

        async def close():
            self.closed += 1

        self.calls += 1
        return Upstream(self.status, [("content-type", "text/plain")], told(), close)

    def send_blocking(self):
        def close():
            self.closed += 1

        self.calls += 1
        return Upstream(self.status, [("content-type", "text/plain")], self._told(), close)


def ask(door, provider, name, stream, **more):
    """Return (status, bytes, headers) of a request, asked in the async way."""

    async def run():
        plan = door.plan("POST", url(name), [], body(name, stream, **more))
        reply = await door.answer(plan, provider.send)
        data = reply.body if isinstance(reply.body, bytes) else b"".join([part async for part in reply.body])
        return reply.status, data, dict(reply.headers)

    return asyncio.run(run())


def ask_blocking(door, provider, name, stream, **more):
    plan = door.plan("POST", url(name), [], body(name, stream, **more))
    reply = door.answer_blocking(plan, provider.send_blocking)
    data = reply.body if isinstance(reply.body, bytes) else b"".join(reply.body)
    return reply.status, data, dict(reply.headers)


@pytest.mark.parametrize("way", [ask, ask_blocking])
@pytest.mark.parametrize("name", STREAMS)
def test_streams_are_stored_whole_and_replayed_byte_by_byte(way, name):
    data = "".join(made(name, True)).encode()
    provider, door = Provider(data), WireCache(backend="memory://")
    assert way(door, provider, name, True)[1] == data
    status, again, headers = way(door, provider, name, True)
    assert (status, again, headers["x-cache"], provider.calls, provider.closed) == (200, data, "HIT", 1, 1)


@pytest.mark.parametrize("way", [ask, ask_blocking])
@pytest.mark.parametrize("name", STREAMS)
def test_a_broken_wire_reaches_the_caller_and_nothing_is_stored(way, name):
    data = "".join(made(name, True)).encode()
    door = WireCache(backend="memory://")
    broken = Provider(data, fail_after=len(data) // 14)
    for calls in (1, 2):
        with pytest.raises(ConnectionError, match="the wire broke"):
            way(door, broken, name, True)
        assert broken.calls == broken.closed == calls
    provider = Provider(data)
    assert way(door, provider, name, True)[1] == data
    assert provider.calls == 1


@given(
    data=st.data(),
    name=st.sampled_from(list(STREAMS)),
    stream=st.booleans(),
    way=st.sampled_from([ask, ask_blocking]),
    size=st.integers(1, 60),
)
@settings(max_examples=120, deadline=None)
def test_what_a_provider_sends_passes_unchanged_and_is_stored_only_whole(data, name, stream, way, size):
    whole = made(name, stream)
    if stream:
        blocks = data.draw(st.permutations(whole) | st.just(whole) | st.lists(st.sampled_from(whole)))
        sent = "".join(blocks).encode()
    else:
        sent = json.dumps(data.draw(JSON | st.just(whole))).encode()
    cut = data.draw(st.integers(0, len(sent)) | st.just(len(sent)))
    noise = data.draw(st.binary(max_size=3) | st.just(b""))
    sent = sent[:cut] + noise + (sent[cut:] if noise else b"")
    provider, door = Provider(sent, size), WireCache(backend="memory://")
    first = way(door, provider, name, stream)[1]
    if first != sent:
        # Nothing but what follows the last event may be missing.
        assert stream
        assert sent.startswith(first)
        assert first.rstrip().endswith((b"[DONE]", b"}"))
    second = way(door, provider, name, stream)[1]
    assert second == first
    if provider.calls == 1:
        from semantic_llm_cache.wire import find_format

        known = find_format(STREAMS[name][0])
        text = first.decode()
        from semantic_llm_cache.wire.events import Splitter

        splitter = Splitter(known.framing)
        answer = known.collect(splitter.feed(first) + splitter.rest()) if stream else json.loads(text)
        assert known.unfit(answer, False) == ""


@given(
    st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()),
    st.sampled_from(list(wire_provider.ROUTES)),
)
@settings(max_examples=200, deadline=None)
def test_no_request_makes_the_door_raise(data, path):
    door = WireCache(backend="memory://")
    plan = door.plan("POST", f"http://provider{path}", [("x-cache-control", "max-age=\x00")], data)
    assert plan is None or plan.request.key


@pytest.mark.parametrize(
    "request_body",
    [b"", b"{", b"[]", b"7", b'{"model": 7}', b'{"model": "m"}', b'{"model": "m", "messages": {}}',
     b'{"model": "m", "messages": [7]}', b"\xff\xfe", b'{"model": "m", "messages": []}'],
)  # fmt: skip
def test_requests_that_cannot_be_read_bypass_the_cache(request_body):
    door = WireCache(backend="memory://")
    assert door.plan("POST", url("openai.chat"), [], request_body) is None


def test_other_requests_bypass_the_cache():
    door = WireCache(backend="memory://")
    for method in ("GET", "PUT", "post", "POST "):
        assert door.plan(method, url("openai.chat"), [], body("openai.chat", False)) is None
    assert door.plan("POST", "http://provider/v1/files", [], b"{}") is None
    assert door.plan("POST", "http://provider/v1/messages/count_tokens", [], b"{}") is None


def test_a_stale_answer_stands_in_for_an_outage_but_not_for_a_refusal():
    now = [1000.0]
    door = WireCache(SemanticCache("memory://", ttl=10, stale_if_error="1h", clock=lambda: now[0]))
    good = json.dumps(made("openai.chat", False)).encode()
    ask(door, Provider(good), "openai.chat", False)
    now[0] += 20
    status, data, headers = ask(door, Provider(b"{}", status=503), "openai.chat", False)
    assert (status, data, headers["x-cache"], headers["age"]) == (200, good, "STALE", "20")
    assert ask(door, Provider(b"{}", status=401), "openai.chat", False)[0] == 401


def test_fields_and_headers_that_are_ignored_do_not_count():
    door = WireCache(backend="memory://", ignore=("user",), neutral_headers=("X-Trace",))
    plans = [
        door.plan("POST", url("openai.chat"), [("X-Trace", str(n))], body("openai.chat", False, user=f"u{n}"))
        for n in (1, 2)
    ]
    assert plans[0].request.key == plans[1].request.key
    other = WireCache(backend="memory://").plan("POST", url("openai.chat"), [], body("openai.chat", False, user="u1"))
    assert other.request.key != plans[0].request.key


@pytest.mark.parametrize(
    "text", ["yes", "Continue.", "why?", "tell me more", "And what about it?", "the second one", "はい", "", "ok"]
)
def test_turns_that_mean_nothing_alone(text):
    assert depends_on_history(text)


@pytest.mark.parametrize("text", ["What is the capital of France?", "Write a poem about cats in winter"])
def test_turns_that_stand_alone(text):
    assert not depends_on_history(text)


def test_a_window_counts_messages_and_keeps_system_prompts():
    def turns(*words):
        return [{"role": "user" if i % 2 == 0 else "assistant", "content": w} for i, w in enumerate(words)]

    system = {"role": "system", "content": "Be brief."}
    asked = "What is the capital of France?"
    near = last_turn([system, *turns("a", "b", "c", "d", asked)], 2)
    assert near == last_turn([system, *turns("x", "y", "c", "d", asked)], 2)
    assert near != last_turn([system, *turns("x", "y", "c", "other", asked)], 2)
    assert near != last_turn(turns("a", "b", "c", "d", asked), 2)
    assert near != last_turn([system, *turns("a", "b", "c", "d", asked)])
    assert last_turn(turns("a", "b", asked), 0) == last_turn(turns(asked), 0)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("no-store, max-age=60", CacheControl(no_store=True, max_age=60)),
        ({"no-cache", "only-if-cached"}, CacheControl(no_cache=True, only_if_cached=True)),
        ({"ttl": "1h", "similarity": 0.9}, CacheControl(ttl=3600, similarity=0.9)),
        ({"max_age": 0}, CacheControl(no_cache=True)),
        ("", CacheControl()),
    ],
)
def test_directives(given, expected):
    assert CacheControl.read(given) == expected


@pytest.mark.parametrize("given", ["nonsense", "ttl=soon", "ttl", "similarity=2", "max-age=-1", {"similarity": "high"}])
def test_directives_that_cannot_be_read(given):
    with pytest.raises(ValueError, match="cache_control"):
        CacheControl.read(given)


def test_the_header_says_what_is_asked():
    assert cache_control("no-store", max_age=60) == {"x-cache-control": "no-store, max-age=60"}
    with pytest.raises(ValueError, match="nonsense"):
        cache_control("nonsense")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="genai-prices does not support Python 3.10")
def test_prices_come_from_the_table():
    assert genai_price(1_000_000, 0, {"model": "gpt-4o-mini"}) == pytest.approx(0.15)
    for answer in ({"model": "no-such-model"}, {}, None):
        with pytest.raises(LookupError):
            genai_price(1, 1, answer)
    door = WireCache(backend="memory://", price=genai_price)
    answer = {**made("openai.chat", False), "model": "gpt-4o-mini"}
    provider = Provider(json.dumps(answer).encode())
    ask(door, provider, "openai.chat", False)
    ((_, entry),) = asyncio.run(door.engine.backend.iterate())
    assert (entry.input_tokens, entry.output_tokens) == (9, 12)
    assert entry.cost_usd == pytest.approx(9 * 0.15e-6 + 12 * 0.6e-6)


@pytest.mark.parametrize("read", [0, 1])
async def test_a_stream_that_is_closed_before_its_end_lets_the_upstream_go(read):
    closed = asyncio.Event()

    async def body():
        yield b'data: {"id": "1"}\n\n'
        await asyncio.Event().wait()

    async def close():
        closed.set()

    async def send():
        return Upstream(200, [("content-type", "text/event-stream")], body(), close)

    door = WireCache(backend="memory://")
    asked = b'{"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": true}'
    reply = await door.answer(door.plan("POST", "http://host/v1/chat/completions", [], asked), send)
    for _ in range(read):
        assert await anext(reply.body) == b'data: {"id": "1"}\n\n'
    await reply.body.aclose()
    await asyncio.wait_for(closed.wait(), 2)
