"""What a cached function sets in context variables reaches the caller it runs for, as after a bare call."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar

import pytest
from engine_helpers import gathered, until

from semantic_llm_cache import CacheContext, Request, SemanticCache, last_lookup

usage: ContextVar[object] = ContextVar("usage", default=0)
trace: ContextVar[object] = ContextVar("trace", default="none")


@pytest.fixture
def engine():
    return SemanticCache("memory://")


@pytest.fixture(autouse=True)
def fresh():
    usage.set(0)
    trace.set("caller's")


async def test_a_variable_whose_name_begins_like_the_package_is_the_users(engine):
    named = ContextVar("semantic_llm_cache_tenant", default="none")

    @engine.cache
    async def ask(prompt: str) -> str:
        named.set("acme")
        return "x"

    await ask("x")
    assert named.get() == "acme"


async def test_on_a_miss_and_not_on_a_hit(engine):
    @engine.cache
    async def ask(prompt: str) -> str:
        await asyncio.sleep(0)
        usage.set(usage.get() + 7)
        return trace.get()

    for _ in range(2):
        assert await ask("x") == "caller's"
        assert (usage.get(), trace.get()) == (7, "caller's")
    assert last_lookup().outcome == "exact"


async def test_also_when_it_raises_as_after_a_bare_call(engine):
    async def ask(prompt: str) -> str:
        usage.set("spent")
        raise OSError("down")

    for function in (ask, engine.cache(ask)):
        usage.set(0)
        with pytest.raises(OSError, match="down"):
            await function("x")
        assert usage.get() == "spent"


async def test_not_what_it_has_set_back(engine):
    unset: ContextVar[str] = ContextVar("unset")

    @engine.cache
    async def ask(prompt: str) -> str:
        token, other = trace.set("inside"), unset.set("inside")
        await asyncio.sleep(0)
        trace.reset(token)
        unset.reset(other)
        return prompt

    await ask("x")
    assert trace.get() == "caller's"
    assert unset.get("no value") == "no value"


async def test_only_the_caller_it_runs_for_sees_them(engine):
    go = asyncio.Event()

    @engine.cache
    async def ask(prompt: str) -> str:
        await go.wait()
        usage.set("leader's")
        return prompt

    async def call(own):
        trace.set(own)
        await ask("x")
        return usage.get(), trace.get(), last_lookup().outcome

    tasks = [asyncio.create_task(call(n)) for n in range(3)]
    await asyncio.sleep(0.01)
    go.set()
    assert await gathered(tasks) == [("leader's", 0, "miss"), (0, 1, "coalesced"), (0, 2, "coalesced")]
    assert usage.get() == 0


async def test_through_cached_calls_within_cached_calls_and_requests_by_hand(engine):
    @engine.cache
    async def inner(prompt: str) -> str:
        usage.set("inner")
        return prompt

    @engine.cache
    async def outer(prompt: str) -> str:
        found = await inner(prompt)
        trace.set((usage.get(), last_lookup().key))
        return found

    async def by_hand():
        return await outer("x")

    await engine.get_or_call(Request("n", None, "x"), by_hand)
    assert usage.get() == trace.get()[0] == "inner"
    assert last_lookup().key not in ("", trace.get()[1]), "the last call is the outermost"


async def test_this_packages_own_variables_stay_where_they_are(engine):
    left = CacheContext(ttl=60)

    @engine.cache
    async def ask(prompt: str) -> str:
        left.__enter__()
        if prompt == "outer":
            await ask("inner")
        return prompt

    await ask("outer")
    assert last_lookup().prompt == "outer"
    await ask("again")
    assert len(left.lookups) == 1, "only the inner call is made inside the context"
    assert await ask("outer") == "outer", "no call waits for itself"


async def test_a_caller_who_leaves_sees_nothing(engine):
    go = asyncio.Event()

    @engine.cache
    async def ask(prompt: str) -> str:
        await go.wait()
        usage.set("late")
        return prompt

    async def impatient():
        try:
            await ask("x")
        except asyncio.CancelledError:
            await asyncio.sleep(0.02)
            return usage.get()

    first = asyncio.create_task(impatient())
    second = asyncio.create_task(ask("x"))
    await asyncio.sleep(0.01)
    first.cancel()
    await asyncio.sleep(0)
    go.set()
    assert await gathered([first, second]) == [0, "x"]


def test_a_plain_function_runs_in_its_callers_context(engine):
    @engine.cache
    def ask(prompt: str) -> str:
        usage.set("plain")
        if prompt == "fails":
            raise OSError
        return prompt

    ask("x")
    assert usage.get() == "plain"
    usage.set(0)
    with pytest.raises(OSError):
        ask("fails")
    assert usage.get() == "plain"


# ------------------------------------------------------------------ generators: once they have ended


@pytest.fixture(params=["async", "plain"])
def read(request, engine):
    """A cached generator, and a function that reads it: to the end, or only some chunks."""

    @engine.cache
    async def tell(prompt: str) -> AsyncIterator[object]:
        token = trace.set("in the generator")
        for word in prompt.split():
            usage.set(word)
            yield word
        trace.reset(token)
        if prompt.startswith("fails"):
            raise OSError

    @engine.cache
    def tell_plain(prompt: str) -> Iterator[object]:
        token = trace.set("in the generator")
        for word in prompt.split():
            usage.set(word)
            yield word
        trace.reset(token)
        if prompt.startswith("fails"):
            raise OSError

    async def read(prompt: str, most: int = 10) -> list[object]:
        seen = []
        if request.param == "plain":
            chunks = tell_plain(prompt)
            for _, _ in zip(range(most), chunks, strict=False):
                seen.append((usage.get(), trace.get()))
            chunks.close()
        else:
            chunks = tell(prompt)
            async for _ in chunks:
                seen.append((usage.get(), trace.get()))
                if len(seen) == most:
                    break
            await chunks.aclose()
        return seen

    return read


async def test_a_generators_reader_sees_them_at_the_end(read):
    assert await read("a b c") == [(0, "caller's")] * 3
    assert (usage.get(), trace.get()) == ("c", "caller's")
    usage.set("kept")
    await read("a b c")
    assert usage.get() == "kept", "a hit sets nothing"


async def test_also_of_a_generator_that_fails(read):
    with pytest.raises(OSError):
        await read("fails b")
    assert (usage.get(), trace.get()) == ("b", "caller's")


async def test_not_one_who_leaves_before(read):
    await read("a b c", most=1)
    await asyncio.sleep(0.01)
    assert (usage.get(), trace.get()) == (0, "caller's")


async def test_nor_one_who_joined(engine):
    go = asyncio.Event()

    @engine.cache
    async def tell(prompt: str) -> AsyncIterator[str]:
        usage.set("opener's")
        yield prompt
        await go.wait()

    async def read():
        async for _ in tell("x"):
            pass
        return usage.get()

    tasks = [asyncio.create_task(read()) for _ in range(2)]
    await asyncio.sleep(0.01)
    go.set()
    assert await gathered(tasks) == ["opener's", 0]


async def test_nothing_is_kept_alive_by_the_copies(engine):
    class Value:
        pass

    kept = []

    @engine.cache
    async def ask(prompt: str) -> str:
        value = Value()
        kept.append(weakref.ref(value))
        usage.set(value)
        raise OSError

    @engine.cache
    async def tell(prompt: str) -> AsyncIterator[str]:
        value = Value()
        kept.append(weakref.ref(value))
        usage.set(value)
        yield prompt

    async def call():
        with pytest.raises(OSError):
            await ask("x")
        async for _ in tell("x"):
            pass

    gc.collect()
    gc.disable()
    try:
        await asyncio.create_task(call())
        await until(lambda: not any(ref() for ref in kept))
    finally:
        gc.enable()
    assert len(kept) == 2
