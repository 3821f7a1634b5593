"""Several readers of one stream: in threads, with other context variables, and a source that reads itself."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar

import pytest

from semantic_llm_cache import cache
from semantic_llm_cache.exceptions import CacheReentryError
from semantic_llm_cache.streams.broadcast import Broadcast

tenant = ContextVar("tenant", default="nobody")


def in_thread(function, name: str | None = None) -> threading.Thread:
    thread = threading.Thread(target=function, name=name, daemon=True)
    thread.start()
    return thread


def test_a_plain_source_runs_with_the_context_of_its_first_reader():
    @cache(backend="memory://")
    def tell(prompt: str) -> Iterator[str]:
        token = tenant.set(tenant.get() + "!")
        try:
            for i in range(3):
                yield f"{tenant.get()}{i}"
        finally:
            tenant.reset(token)

    first: list[str] = []
    second: list[str] = []
    whole = ["a!0", "a!1", "a!2"]
    begun, read = threading.Event(), threading.Event()

    def opens() -> None:
        tenant.set("a")
        chunks = tell("question")
        first.append(next(chunks))
        begun.set()
        assert read.wait(5)
        first.extend(chunks)

    def joins() -> None:
        tenant.set("b")
        assert begun.wait(5)
        second.extend(tell("question"))
        read.set()

    for thread in [in_thread(opens), in_thread(joins)]:
        thread.join(5)
    assert first == second == whole


def test_a_plain_source_is_closed_in_its_own_context_whoever_leaves_last():
    closed = []

    @cache(backend="memory://")
    def tell(prompt: str) -> Iterator[str]:
        token = tenant.set("source")
        try:
            yield "a"
            yield "b"
        finally:
            tenant.reset(token)
            closed.append(tenant.get())

    tenant.set("nobody")
    first, second = tell("question"), tell("question")
    assert next(first) == "a"

    def joins() -> None:
        assert next(second) == "a"
        first.close()
        second.close()

    in_thread(joins).join(5)
    assert closed == ["nobody"]


def test_a_reader_who_joins_and_leaves_at_once_does_not_take_the_place_of_the_first(monkeypatch):
    @cache(backend="memory://")
    def tell(prompt: str) -> Iterator[str]:
        yield "a"
        yield "b"

    opening, left = threading.Event(), threading.Event()
    join = Broadcast.join

    def slow(self, plain=False):
        if threading.current_thread().name == "first" and not opening.is_set():
            opening.set()
            left.wait(0.5)  # a switch of threads here is rare; this makes it certain
        return join(self, plain)

    monkeypatch.setattr(Broadcast, "join", slow)
    got: list[list[str]] = []

    def joins() -> None:
        assert opening.wait(5)
        chunks = tell("question")
        next(chunks)
        chunks.close()
        left.set()

    for thread in [in_thread(lambda: got.append(list(tell("question"))), "first"), in_thread(joins)]:
        thread.join(5)
    assert got == [["a", "b"]]


async def test_an_async_stream_that_asks_for_itself_raises():
    @cache(backend="memory://", ignore=("depth",))
    async def tell(prompt: str, depth: int = 0) -> AsyncIterator[str]:
        yield "x"
        if depth < 2:
            async for chunk in tell(prompt, depth + 1):
                yield chunk

    async def read() -> None:
        async for _ in tell("question"):
            pass

    with pytest.raises(CacheReentryError, match="__wrapped__"):
        await asyncio.wait_for(read(), 5)


def test_a_plain_stream_that_asks_for_itself_raises():
    @cache(backend="memory://", ignore=("depth",))
    def tell(prompt: str, depth: int = 0) -> Iterator[str]:
        yield "x"
        if depth < 2:
            yield from tell(prompt, depth + 1)

    raised = []

    def read() -> None:
        with pytest.raises(CacheReentryError, match="__wrapped__") as caught:
            list(tell("question"))
        raised.append(caught.value)

    in_thread(read).join(5)
    assert raised


async def test_who_reads_a_stream_may_ask_for_it_again_meanwhile():
    @cache(backend="memory://")
    async def tell(prompt: str) -> AsyncIterator[str]:
        yield "x"
        yield "y"

    pairs = [(a, b) async for a in tell("question") async for b in tell("question")]
    assert pairs == [("x", "x"), ("x", "y"), ("y", "x"), ("y", "y")]
