"""`ttl=` as a callable of answer and request, and `ttl=0`: nothing is stored."""

import datetime as dt
import logging

import pytest
from engine_helpers import Clock

from semantic_llm_cache import CacheContext, Request, SemanticCache, cache, last_lookup
from semantic_llm_cache.backends import MemoryBackend
from semantic_llm_cache.calls.control import CacheControl
from semantic_llm_cache.config import CacheConfig, parse_ttl


async def ttls(engine):
    return {entry.prompt: entry.ttl for _, entry in await engine.backend.iterate()}


FORMS = {"a minute": "1m", "delta": dt.timedelta(seconds=5), "number": 7, "for ever": None, "zero": 0, "none": "0s"}
STORED = {"a minute": 60.0, "delta": 5.0, "number": 7.0, "for ever": None}


async def test_the_ttl_comes_from_answer_and_request():
    seen = []

    def ttl(response, request):
        seen.append((response, request.text, request.namespace))
        return FORMS[request.text]

    engine = SemanticCache(MemoryBackend(), namespace="n", ttl=ttl)

    @engine.cache()
    async def ask(prompt: str):
        return {"to": prompt}

    @engine.cache()
    def plain(prompt: str, style: str = "plain"):
        return {"to": prompt}

    for function in (ask, plain):
        for prompt in FORMS:
            for _ in range(2):
                got = function(prompt)
                assert (await got if function is ask else got) == {"to": prompt}
            assert last_lookup().outcome == ("exact" if prompt in STORED else "miss")
        assert await ttls(engine) == STORED
    assert ({"to": "zero"}, "zero", "n") in seen
    assert engine.ttl is ttl


async def test_of_a_stream_it_gets_the_chunks_as_cache_if_does():
    given = {"ttl": [], "cache_if": []}

    def ttl(response, request):
        given["ttl"].append(response)
        return 5 if len(response) == 2 else 0

    options = {"ttl": ttl, "cache_if": lambda response: given["cache_if"].append(response) is None}
    engine = SemanticCache(MemoryBackend(), **options)

    @engine.cache()
    async def stream(prompt: str):
        for chunk in prompt:
            yield chunk

    @engine.cache()
    def plain(prompt: str):
        yield from prompt

    for prompt in ("ab", "abc"):
        for _ in range(2):
            assert [chunk async for chunk in stream(prompt)] == list(prompt)
            assert list(plain(prompt)) == list(prompt)
    assert given["ttl"] == given["cache_if"]
    assert sorted((await ttls(engine)).items()) == [("ab", 5.0)]


@pytest.mark.parametrize("bad", [-1, "soon", [60], True, float("nan"), 1 / 3 * 1j, ValueError("secret")])
async def test_a_ttl_that_fails_costs_only_the_saving(bad, caplog):
    def ttl(response, request):
        if isinstance(bad, Exception):
            raise bad
        return bad

    engine = SemanticCache(MemoryBackend(), ttl=ttl)

    @engine.cache()
    async def ask(prompt: str):
        return prompt

    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert await ask("q") == "q"
            assert (last_lookup().outcome, last_lookup().stored) == ("miss", False)
    (record,) = caplog.records
    assert "answers are not stored" in record.getMessage()
    assert "secret" not in record.getMessage()
    assert await ttls(engine) == {}


async def test_what_returns_a_coroutine_is_no_ttl(caplog):
    async def later():
        return 5

    engine = SemanticCache(MemoryBackend(), ttl=lambda response, request: later())
    assert not await engine.store(Request("n", "s", "q"), "r")
    assert "coroutine that is no time to live" in caplog.text


def test_async_callables_are_refused():
    async def ttl(response, request):
        return 5

    class Later:
        async def __call__(self, response, request):
            return 5

    for given in (ttl, Later()):
        for use in (SemanticCache, CacheContext, cache):
            with pytest.raises(TypeError, match=r"ttl=.* must be a plain function"):
                use(ttl=given)


@pytest.mark.parametrize("zero", [0, 0.0, dt.timedelta(0), "0s", "0m0s", lambda response, request: 0])
async def test_zero_stores_nothing_and_shares_a_call_in_flight(zero):
    import asyncio

    calls = []
    engine = SemanticCache(MemoryBackend(), ttl=zero, stale_if_error="1h", jitter=0.1)

    @engine.cache()
    async def ask(prompt: str):
        calls.append(prompt)
        await asyncio.sleep(0.01)
        return [prompt]

    assert await asyncio.gather(*[ask("q") for _ in range(5)]) == [["q"]] * 5
    assert len(calls) == 1
    await ask("q")
    assert len(calls) == 2
    assert await ttls(engine) == {}
    assert not last_lookup().stored
    assert not await engine.store(Request("n", "s", "q"), "r")
    assert await engine.store(Request("n", "s", "q"), "r", ttl=5)
    with CacheContext(ttl="5s"):
        await ask("kept")
    assert sorted(await ttls(engine)) == ["kept", "q"]


async def test_a_context_and_a_directive_may_say_zero_or_a_callable():
    engine = SemanticCache(MemoryBackend(), clock=Clock())

    @engine.cache()
    async def ask(prompt: str):
        return prompt

    with CacheContext(ttl=0):
        await ask("a")
    with CacheContext(cache_control="ttl=0"):
        await ask("b")
        await ask("b")
        assert last_lookup().outcome == "miss"
    with CacheContext(ttl=lambda response, request: len(response)):
        await ask("four")
    await engine.store(Request("n", "s", "x"), "r", ttl=lambda response, request: 9)
    assert await ttls(engine) == {"four": 4.0, "x": 9.0}
    assert not CacheControl.read("ttl=0").may_store
    assert CacheControl.read({"ttl": "0s"}).ttl == 0
    assert CacheControl.read("max-age=0").no_cache
    assert CacheControl.read({"max-age": "0s"}).no_cache


def test_zero_is_a_ttl_and_less_is_not():
    assert parse_ttl(0) == parse_ttl("0s") == parse_ttl(dt.timedelta(0)) == 0.0
    assert CacheConfig(ttl=0).ttl == 0
    for bad in (-1, dt.timedelta(seconds=-1), "-1s"):
        with pytest.raises(ValueError, match="0 to store nothing"):
            parse_ttl(bad)
