"""A stale answer that stands in for a failed call is checked again when the call has failed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from engine_helpers import Clock, FaultyBackend

from semantic_llm_cache import SemanticCache, last_lookup
from semantic_llm_cache.backends import MemoryBackend, SQLiteBackend
from semantic_llm_cache.storage.contract import StorageBackend

QUESTION = "How long can I return an item?"


class World:
    """A model that answers once and then fails, and a document that its answer rests on.

    `meanwhile` runs inside each later call, before it fails.
    """

    def __init__(self, backend: StorageBackend | None = None, names: Any = ("doc",), **options: Any) -> None:
        self.clock, self.versions, self.calls = Clock(), {"doc": "1"}, 0
        self.meanwhile: Callable[[], Any] = lambda: None
        self.backend = backend or MemoryBackend()
        self.engine = SemanticCache(
            self.backend, ttl=10, stale_if_error=60, clock=self.clock, version_of=self.version_of, **options
        )
        self.names = names

    def __cache_scope__(self) -> str:
        return "world"

    def version_of(self, name: str) -> str | None:
        version = self.versions.get(name)
        if version == "fails":
            raise ConnectionError("the document store is down")
        return version

    def call(self) -> str:
        self.calls += 1
        if self.calls == 1:
            return "old"
        self.meanwhile()
        raise OSError("down")

    def ask(self, kind: str) -> Callable[[], Any]:
        """Return an async callable that asks, and returns the answer."""

        def plain(question: str) -> str:
            return self.call()

        async def awaited(question: str) -> str:
            await asyncio.sleep(0)
            return self.call()

        async def stream(question: str) -> AsyncIterator[str]:
            yield self.call()

        def plain_stream(question: str) -> Iterator[str]:
            yield self.call()

        functions: dict[str, Any] = {
            "plain": plain, "async": awaited, "stream": stream, "plain stream": plain_stream
        }  # fmt: skip
        function = self.engine.cache(functions[kind], depends_on=lambda question: self.names)

        async def ask() -> Any:
            if kind == "stream":
                return "".join([chunk async for chunk in function(QUESTION)])
            if kind == "async":
                return await function(QUESTION)
            return await asyncio.to_thread(lambda: "".join(function(QUESTION)))

        return ask


kinds = pytest.mark.parametrize("kind", ["async", "plain", "stream", "plain stream"])


@kinds
@pytest.mark.parametrize("version", ["2", None, "fails"])
async def test_a_document_that_changed_while_the_call_ran_is_not_served_as_stale(kind: str, version: Any) -> None:
    world = World()
    ask = world.ask(kind)
    assert await ask() == "old"
    world.clock.now += 20
    world.meanwhile = lambda: world.versions.update(doc=version)
    with pytest.raises(OSError, match="down"):
        await ask()
    world.versions["doc"] = "1"
    world.meanwhile = lambda: None
    assert await ask() == "old"


async def test_the_names_of_the_stored_answer_count_also_if_the_call_does_not_give_them() -> None:
    world = World()
    ask = world.ask("async")
    await ask()
    world.clock.now += 20
    world.names = ()
    assert await ask() == "old"
    assert last_lookup().reason == "stale, since the call failed: OSError"
    world.meanwhile = lambda: world.versions.update(doc="2")
    with pytest.raises(OSError, match="down"):
        await ask()


async def test_a_version_that_the_call_gives_is_not_asked_for() -> None:
    world = World(names={"doc": "1"})
    ask = world.ask("async")
    await ask()
    world.clock.now += 20
    world.versions["doc"] = "fails"
    assert await ask() == "old"


async def test_all_who_wait_get_the_error() -> None:
    world = World()
    ask = world.ask("async")
    await ask()
    world.clock.now += 20
    world.names = ()  # nothing to ask for before they join
    world.meanwhile = lambda: world.versions.update(doc="2")
    results = await asyncio.gather(*(ask() for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [OSError] * 3
    assert world.calls == 2


def elsewhere(path: Any, clock: Clock, work: Callable[[StorageBackend], Any]) -> None:
    """Do something to the same file through another connection, as another process would."""

    async def run() -> None:
        backend = SQLiteBackend(path, clock=clock)
        await work(backend)
        await backend.close()

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    thread.join()


@kinds
async def test_an_entry_that_another_process_removed_meanwhile_is_not_served(kind: str, tmp_path: Any) -> None:
    path = tmp_path / "c.db"
    world = World(SQLiteBackend(path))
    async with world.engine:
        ask = world.ask(kind)
        await ask()
        world.clock.now += 20
        assert await ask() == "old"
        world.meanwhile = lambda: elsewhere(path, world.clock, lambda backend: backend.clear())
        with pytest.raises(OSError, match="down"):
            await ask()


@kinds
async def test_a_fresh_answer_that_another_process_stored_meanwhile_is_served(kind: str, tmp_path: Any) -> None:
    path = tmp_path / "c.db"
    world = World(SQLiteBackend(path))

    async def renew(backend: StorageBackend) -> None:
        ((key, entry),) = await backend.iterate()
        response = ["new"] if isinstance(entry.response, list) else "new"
        await backend.set(key, replace(entry, response=response, created_at=world.clock.now))

    async with world.engine:
        ask = world.ask(kind)
        await ask()
        world.clock.now += 20
        world.meanwhile = lambda: elsewhere(path, world.clock, renew)
        assert await ask() == "new"
        if kind == "async":
            assert last_lookup().outcome == "exact"


async def test_an_answer_that_came_to_the_end_of_its_window_meanwhile_is_not_served() -> None:
    world = World()
    ask = world.ask("async")
    await ask()
    world.clock.now += 69

    def later() -> None:
        world.clock.now += 2

    world.meanwhile = later
    with pytest.raises(OSError, match="down"):
        await ask()


@pytest.mark.parametrize("on_error", ["open", "raise"])
@pytest.mark.parametrize("version", ["1", "2"])
async def test_with_the_storage_down_as_well_the_answer_in_hand_is_checked(version: str, on_error: Any) -> None:
    backend = FaultyBackend()
    world = World(backend, on_error=on_error)
    ask = world.ask("async")
    await ask()
    world.clock.now += 20

    def fail() -> None:
        backend.fault = ConnectionError("gone")
        world.versions["doc"] = version

    world.meanwhile = fail
    if version == "1":
        assert await ask() == "old"
    else:
        with pytest.raises(OSError, match="down"):
            await ask()
