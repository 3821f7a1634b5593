"""The event hook: whom an engine tells of its calls, and what it records while somebody listens."""

import asyncio
import copy
import gc
import itertools
import logging
import pickle
import weakref

import pytest
from engine_helpers import LIMIT

from semantic_llm_cache import CacheContext, Request, SemanticCache, last_lookup
from semantic_llm_cache.engine.listening import EVERYWHERE, Listener


class Heard(Listener):
    """Keeps the events."""

    def __init__(self):
        self.events = []
        self.ends = []

    def ended(self, event):
        self.events.append(event)

    @property
    def outcomes(self):
        return [event.lookup.outcome for event in self.events]


class Spanning(Heard):
    """Also keeps the ends of calls, and how often the user's function was surrounded."""

    def begin(self, call):
        listener = self

        class Span:
            entered = 0

            def looking(self):
                raise RuntimeError("looking")

            def calling(self):
                return self

            def __enter__(self):
                self.entered += 1

            def __exit__(self, kind, error, trace):
                self.left = error

            def end(self, watch, error):
                outcome = None if watch.lookup is None else watch.lookup.outcome
                listener.ends.append((outcome, self.entered, type(error)))

        return Span()


@pytest.fixture
def heard():
    listener = Heard()
    EVERYWHERE.add(listener)
    yield listener
    EVERYWHERE.remove(listener)


@pytest.fixture
def spans():
    listener = Spanning()
    EVERYWHERE.add(listener)
    yield listener
    EVERYWHERE.remove(listener)


def vector(text):
    return [1.0, 0.1 * len(text)]


async def test_all_engines_are_heard_whenever_made(fresh_cache, heard):
    before = SemanticCache("memory://")
    EVERYWHERE.remove(heard)
    EVERYWHERE.add(heard)
    after = SemanticCache("memory://")
    for engine in (before, after):
        for _ in range(2):
            await engine.get_or_call(Request(text="a"), lambda: "b")
    assert heard.outcomes == ["miss", "exact"] * 2
    EVERYWHERE.remove(heard)
    await before.get_or_call(Request(text="a"), lambda: "b")
    assert len(heard.events) == 4


async def test_one_engine_with_those_derived_from_it():
    engine, other, listener = SemanticCache("memory://"), SemanticCache("memory://"), Heard()
    earlier = engine.derive(ttl=5)
    engine.hook.own.add(listener)
    EVERYWHERE.add(listener)  # twice is not counted twice
    EVERYWHERE.remove(listener)
    engine.hook.own.add(listener)
    for one in (engine, earlier, engine.derive(ttl=6), copy.copy(engine), other):
        await one.get_or_call(Request(text="a"), lambda: "b")
    assert len(listener.events) == 4


async def test_an_exact_hit_names_the_tokens_saved(heard):
    engine = SemanticCache("memory://")
    answer = {"usage": {"input_tokens": 7, "output_tokens": 11}}
    for _ in range(2):
        await engine.get_or_call(Request(text="a"), lambda: answer)
    assert [event.tokens for event in heard.events] == [(0, 0), (7, 11)]


async def test_who_joins_a_call_saves_its_tokens(heard):
    engine = SemanticCache("memory://")

    async def call():
        await asyncio.sleep(0.01)
        return {"usage": {"input_tokens": 7, "output_tokens": 11}}

    await asyncio.gather(*(engine.get_or_call(Request(text="a"), call) for _ in range(2)))
    assert {event.lookup.outcome: event.tokens for event in heard.events} == {"miss": (0, 0), "coalesced": (7, 11)}


async def test_phases_of_a_miss_lie_one_after_the_other(heard):
    engine = SemanticCache("memory://", embedder=vector, similarity=0.9)
    await engine.get_or_call(Request(text="a"), lambda: "b")
    phases = heard.events[0].phases
    assert [phase.name for phase in phases] == ["embed", "search", "decide", "call"]
    for first, second in itertools.pairwise(phases):
        assert first.start <= first.end <= second.start <= second.end
    took = sum(phase.end - phase.start for phase in phases) * 1000
    assert took <= heard.events[0].lookup.duration_ms


async def test_what_a_span_raises_is_ignored(spans):
    class Bad(Listener):
        def ended(self, event):
            pass

        def begin(self, call):
            return object()

    engine = SemanticCache("memory://")
    engine.hook.own.add(Bad())
    assert await engine.get_or_call(Request(text="a"), lambda: "b") == "b"
    assert spans.ends == [("miss", 1, type(None))]


async def test_nothing_is_recorded_when_nobody_listens():
    engine = SemanticCache("memory://")
    await engine.get_or_call(Request(text="a"), lambda: "b")
    assert last_lookup()._watch is None
    assert engine.quick.__self__.tell is None


async def test_what_a_listener_raises_is_logged_once_and_ignored(caplog, heard):
    class Bad(Listener):
        def ended(self, event):
            raise RuntimeError("ended")

        def exact_hit(self, namespace, entry, took_ms):
            raise RuntimeError("hit")

        def begin(self, call):
            raise RuntimeError("begin")

    engine = SemanticCache("memory://")
    engine.hook.own.add(Bad())
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert await engine.get_or_call(Request(text="a"), lambda: "b") == "b"
    assert len(caplog.records) == 1
    assert "RuntimeError" in caplog.text
    assert heard.outcomes == ["miss", "exact", "exact"]


async def test_a_listener_may_make_cached_calls(heard):
    inner = SemanticCache("memory://")

    class Asking(Listener):
        def ended(self, event):
            inner.get_or_call_blocking(Request(text="inner"), lambda: "c")

    engine = SemanticCache("memory://")
    engine.hook.own.add(Asking())
    await engine.get_or_call(Request(text="a"), lambda: "b")
    assert last_lookup().prompt == "a"


@pytest.mark.parametrize("plain", [False, True])
async def test_spans_end_with_the_call(spans, plain):
    engine = SemanticCache("memory://")

    def fail():
        raise KeyError("no")

    async def ask(text, function):
        if plain:
            return await asyncio.to_thread(engine.get_or_call_blocking, Request(text=text), function)
        return await engine.get_or_call(Request(text=text), function)

    await ask("a", lambda: "b")
    with pytest.raises(KeyError):
        await ask("bad", fail)
    with CacheContext(enabled=False):
        await ask("a", lambda: "b")
    assert spans.ends == [("miss", 1, type(None)), ("miss", 1, KeyError), ("bypass", 1, type(None))]


async def test_a_span_ends_when_its_caller_is_cancelled(spans):
    engine, started = SemanticCache("memory://"), asyncio.Event()

    async def call():
        started.set()
        await asyncio.sleep(30)

    task = asyncio.create_task(engine.get_or_call(Request(text="a"), call))
    await asyncio.wait_for(started.wait(), LIMIT)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert spans.ends == [(None, 1, asyncio.CancelledError)]
    assert spans.events == []


@pytest.mark.parametrize("leave", [False, True])
async def test_a_span_ends_with_its_stream(spans, leave):
    engine = SemanticCache("memory://")

    @engine.cache()
    async def ask(prompt: str):
        for piece in "abc":
            yield piece

    stream = ask("a")
    assert await anext(stream) == "a"
    assert spans.ends == []
    if leave:
        await stream.aclose()
        assert [end[0] for end in spans.ends] == ["miss"]
        return
    assert [piece async for piece in stream] == ["b", "c"]
    assert [piece async for piece in ask("a")] == ["a", "b", "c"]
    assert spans.ends == [("miss", 1, type(None)), ("exact", 0, type(None))]


def test_a_span_ends_with_its_plain_stream(spans):
    engine = SemanticCache("memory://")

    @engine.cache()
    def ask(prompt: str):
        yield from "abc"

    assert "".join(ask("a")) == "abc"
    stream = ask("b")
    next(stream)
    stream.close()
    assert [end[0] for end in spans.ends] == ["miss", "miss"]


async def test_shadow_mode_ends_the_span_at_once_and_the_event_comes_when_judged(spans):
    engine = SemanticCache("memory://", mode="shadow")
    for _ in range(2):
        await engine.get_or_call(Request(text="a"), lambda: "b")
    assert [end[0] for end in spans.ends] == ["miss", "miss"]
    assert [event.lookup.would for event in spans.events] == ["miss", "exact"]
    assert spans.events[1].lookup.would_be_right is True


async def test_a_lookup_is_pickled_without_its_record(heard):
    await SemanticCache("memory://").get_or_call(Request(text="a"), lambda: "b")
    assert pickle.loads(pickle.dumps(heard.events[0].lookup))._watch is None


async def test_a_listener_keeps_no_engine_alive(heard):
    engine = SemanticCache("memory://")
    for _ in range(2):
        await engine.get_or_call(Request(text="a"), lambda: "b")
    gone = weakref.ref(engine)
    del engine
    gc.collect()
    assert gone() is None
