"""What a function raised is freed with its last reference: no cycle through a flight or a stream keeps it."""

import asyncio
import contextlib
import gc
import threading
import weakref

import pytest

from semantic_llm_cache import SemanticCache
from semantic_llm_cache.engine.listening import Listener


class Trouble(Exception):
    """Holds on to nothing, and can be watched."""


@pytest.fixture
def without_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def seen():
    return []


class Listening(Listener):
    """Listens, and has a span around each call."""

    def ended(self, event):
        pass

    def begin(self, call):
        class Span:
            def looking(self):
                return contextlib.nullcontext()

            calling = looking

            def end(self, watch, error):
                pass

        return Span()


@pytest.fixture(params=["", "with a listener"])
def engine(request):
    made = SemanticCache("memory://")
    if request.param:
        made.hook.own.add(Listening())
    return made


def raising(seen):
    error = Trouble("trouble")
    seen.append(weakref.ref(error))
    try:
        raise error
    finally:
        del error  # its traceback holds this frame


def freed(seen):
    assert seen
    return [ref() for ref in seen] == [None] * len(seen)


class Stop(BaseException):
    """Is no Exception, as what a program raises to end a part of itself."""


async def test_what_reaches_the_caller_is_not_reported_as_never_retrieved(engine):
    reported = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context["message"]))

    @engine.cache
    async def ask(prompt: str) -> str:
        await asyncio.sleep(0)
        raise Stop

    @engine.cache
    async def stream(prompt: str):
        yield "a"
        raise Stop

    with pytest.raises(Stop):
        await ask("q")
    with pytest.raises(Stop):
        [chunk async for chunk in stream("q")]
    await asyncio.sleep(0.01)
    gc.collect()
    assert reported == []


@pytest.mark.usefixtures("without_collector")
class TestFreed:
    def test_of_a_plain_function(self, engine, seen):
        @engine.cache
        def ask(prompt: str):
            raising(seen)

        with pytest.raises(Trouble):
            ask("x")
        assert freed(seen)

    async def test_of_an_async_function(self, engine, seen):
        @engine.cache
        async def ask(prompt: str):
            await asyncio.sleep(0)
            raising(seen)

        with pytest.raises(Trouble):
            await ask("x")
        await asyncio.sleep(0)
        assert freed(seen)

    async def test_of_one_that_others_waited_for(self, engine, seen):
        @engine.cache
        async def ask(prompt: str):
            await asyncio.sleep(0.01)
            raising(seen)

        async def failing():
            with pytest.raises(Trouble):
                await ask("x")

        await asyncio.gather(failing(), failing(), failing())
        await asyncio.sleep(0)
        assert len(seen) == 1
        assert freed(seen)

    def test_of_one_that_another_thread_waited_for(self, engine, seen):
        started = threading.Event()

        @engine.cache(namespace="any function")
        def ask(prompt: str):
            started.set()
            while engine.bound()[1].flights.under_way(key) and waiting() < 2:
                pass
            raising(seen)

        def waiting():
            flight = engine.bound()[1].flights._by_key.get(key)
            return 2 if flight is None else flight.waiters

        key = ask.cache_controls.request(("x",), {}).key

        def failing():
            with pytest.raises(Trouble):
                ask("x")

        first = threading.Thread(target=failing)
        first.start()
        started.wait(10)
        failing()
        first.join(10)
        del first
        assert len(seen) == 1
        assert freed(seen)

    async def test_of_an_async_stream(self, engine, seen):
        @engine.cache
        async def ask(prompt: str):
            yield "a"
            raising(seen)

        with pytest.raises(Trouble):
            async for _ in ask("x"):
                pass
        await asyncio.sleep(0)
        assert freed(seen)

    def test_of_a_plain_stream(self, engine, seen):
        @engine.cache
        def ask(prompt: str):
            yield "a"
            raising(seen)

        with pytest.raises(Trouble):
            list(ask("x"))
        assert freed(seen)
