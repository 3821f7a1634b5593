"""Tests under tasks, event loops and threads."""

from __future__ import annotations

import asyncio
import threading

from semantic_llm_cache.storage.contract import StorageBackend
from semantic_llm_cache.testing._suite import Suite, X, at_cosine, with_backend

__all__ = ["Running"]


class Running(Suite):
    """Check many tasks, several loops, and use after closing."""

    @with_backend
    async def test_many_tasks_at_once(self, backend: StorageBackend) -> None:
        async def work(number: int) -> None:
            key = f"k{number % 20}"
            await backend.set(key, self.entry(key, response=[key], embedding=at_cosine(0.9), scope=key))
            found = await backend.get(key)
            assert found is not None
            assert found.response == [key]
            near = await backend.find_similar(X, 0.5, scope=key)
            assert near is not None
            assert near[0] == near[1].prompt == key
            if number % 5 == 0:
                await backend.iterate()

        await asyncio.gather(*[work(number) for number in range(200)])
        assert (await backend.get_stats())["size"] == 20

    @with_backend
    async def test_a_cancelled_wait_does_no_harm(self, backend: StorageBackend) -> None:
        tasks = [asyncio.ensure_future(backend.set(f"k{n}", self.entry(response=n))) for n in range(50)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(result is None or isinstance(result, asyncio.CancelledError) for result in done)
        for number, result in enumerate(done):
            if result is None:
                assert await backend.get(f"k{number}") is not None

    def test_successive_event_loops(self) -> None:
        """Work under successive `asyncio.run` calls, closed in between or not."""
        backend = self.make()
        entry = self.entry(embedding=X)
        try:
            asyncio.run(backend.set("k", entry))
            assert asyncio.run(backend.get("k")) == entry
            assert asyncio.run(backend.find_similar(X, 0.9)) is not None
        finally:
            asyncio.run(backend.close())

    def test_simultaneous_event_loops(self) -> None:
        """Serve two loops in two threads."""
        backend = self.make()
        problems: list[BaseException] = []

        async def work(name: str) -> None:
            for number in range(60):
                key = f"{name}{number}"
                await backend.set(key, self.entry(response=key, embedding=X, scope=name))
                found = await backend.get(key)
                assert found is not None
                assert found.response == key
                near = await backend.find_similar(X, 0.9, scope=name)
                assert near is not None
                assert near[1].response.startswith(name)

        def run(name: str) -> None:
            try:
                asyncio.run(work(name))
            except BaseException as problem:
                problems.append(problem)

        threads = [threading.Thread(target=run, args=(name,)) for name in ("a", "b")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        try:
            assert problems == []
            assert asyncio.run(backend.get_stats())["size"] == 120
        finally:
            asyncio.run(backend.close())

    @with_backend
    async def test_closed_twice_and_used_again(self, backend: StorageBackend) -> None:
        await backend.set("k", self.entry(embedding=X))
        await backend.close()
        await backend.close()
        assert await backend.get("k") is not None
        assert await backend.find_similar(X, 0.9) is not None
        async with backend as same_one:
            assert same_one is backend
            await backend.set("k2", self.entry())
        assert await backend.get("k2") is not None

    def test_nothing_is_opened_or_awaited_to_be_made(self) -> None:
        """Create, name and drop a backend outside of any loop."""
        backend = self.make()
        assert isinstance(backend.url, str)
        assert backend.url
        asyncio.run(backend.close())
