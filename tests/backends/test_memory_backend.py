import asyncio
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semantic_llm_cache.backends import MemoryBackend
from semantic_llm_cache.backends.expiry import ExpiryQueue
from semantic_llm_cache.backends.memory import backend as memory_module
from semantic_llm_cache.backends.memory import records as _memory_records
from semantic_llm_cache.backends.memory.records import key_of, size_of
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.testing import Clock
from semantic_llm_cache.values.encoding import Encoded


def entry(response="answer", **fields):
    return CacheEntry("prompt", response, **fields)


async def test_the_least_recently_used_goes_first():
    backend = MemoryBackend(max_size=3)
    for key in "abc":
        await backend.set(key, entry())
    await backend.get("a")
    backend.peek("b")
    await backend.set("d", entry())
    assert [backend.peek(key) is not None for key in "abcd"] == [True, True, False, True]
    await backend.set("a", entry("again"))  # replacing evicts nobody
    assert (await backend.get_stats())["evictions"] == 1
    await backend.set("e", entry())
    assert backend.peek("b") is None


async def test_a_near_hit_counts_as_use():
    backend = MemoryBackend(max_size=2)
    await backend.set("a", entry(embedding=[1.0, 0.0]))
    await backend.set("b", entry(embedding=[0.0, 1.0]))
    assert await backend.find_similar([1.0, 0.1], 0.5) is not None
    await backend.set("c", entry())
    assert backend.peek("a") is not None
    assert backend.peek("b") is None
    assert await backend.find_similar([0.0, 1.0], 0.5) is None


async def test_bytes_are_bounded_and_given_back():
    backend = MemoryBackend(max_bytes=100_000)
    for number in range(50):
        fields = {"embedding": np.eye(1, 384, number)[0], "tags": ("t",)}
        await backend.set(f"k{number}", entry(["x" * 5000] if number % 2 else "é" * 5000, **fields))
        stats = await backend.get_stats()
        assert stats["bytes"] <= 100_000
    assert 6 <= stats["size"] <= 16
    assert stats["evictions"] == 50 - stats["size"]
    assert stats["bytes"] > stats["size"] * 6500  # prompt, answer and vector count
    await backend.set("k49", entry("small"))
    assert (await backend.get_stats())["bytes"] < stats["bytes"] - 6000
    await backend.clear()
    stats = await backend.get_stats()
    assert stats["bytes"] == stats["index_bytes"] == stats["size"] == 0


async def test_an_entry_larger_than_the_bound_displaces_nobody():
    backend = MemoryBackend(max_bytes=10_000)
    await backend.set("small", entry())
    await backend.set("large", entry("before"))
    await backend.set("large", entry(("x" * 20_000,)))
    assert await backend.get("large") is None  # neither the new answer nor the replaced one
    assert await backend.get("small") is not None
    assert (await backend.get_stats())["evictions"] == 1


async def test_the_expired_go_with_later_sets_untouched():
    clock = Clock()
    backend = MemoryBackend(clock=clock)
    for number in range(100):
        await backend.set(f"k{number}", entry(ttl=10 + number % 3, created_at=clock.now, embedding=[1.0, number]))
    clock.now += 20
    for number in range(20):
        await backend.set(f"new{number}", entry())
    assert len(backend._records) == 20
    assert len(backend._index) == len(backend._expiry) == 0
    stats = await backend.get_stats()
    assert (stats["expired"], stats["evictions"], stats["index_bytes"]) == (100, 0, 0)


async def test_the_expired_make_room_before_the_live():
    clock = Clock()
    backend = MemoryBackend(max_size=10, clock=clock)
    for number in range(5):
        await backend.set(f"live{number}", entry(created_at=clock.now))
    for number in range(5):
        await backend.set(f"short{number}", entry(created_at=clock.now, ttl=1))
    clock.now += 1
    for number in range(5):
        await backend.set(f"new{number}", entry(created_at=clock.now))
    assert (await backend.get_stats())["size"] == 10
    assert (await backend.get_stats())["evictions"] == 0


async def test_replacing_one_key_for_ever_holds_on_to_nothing():
    clock = Clock()
    backend = MemoryBackend(clock=clock)
    for number in range(5000):
        await backend.set("k", entry(ttl=1000 + number, created_at=clock.now, embedding=[1.0, number]))
    assert len(backend._expiry) < 3000
    assert len(backend._index) == len(backend._records) == 1


def test_the_expiry_queue_moves_over_and_loses_nothing():
    live, names = {}, {}
    queue = ExpiryQueue(live.get)
    for number in range(6000):
        live.pop(names.get(number % 40), None)
        names[number % 40] = number
        live[number] = float(number)
        queue.push(float(number), number, len(live))
        assert len(queue) < 5000
    for number in range(300):  # pushes move the rest over
        live[9000 + number] = 9e9
        queue.push(9e9, 9000 + number, len(live))
    out = []
    while queue.due(7000.0):
        id = queue.pop(7000.0)
        if id is not None:
            out.append(id)
            del live[id]
    assert sorted(out) == list(range(5960, 6000))
    assert len(queue) == 300


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("push"), st.floats(-50, 50)),
            st.tuples(st.just("drop"), st.integers(0, 30)),
            st.tuples(st.just("pop"), st.floats(-60, 60)),
        ),
        max_size=60,
    )
)
@settings(max_examples=60, deadline=None)
def test_the_expiry_queue_gives_all_that_is_over_and_nothing_else(steps):
    live = {}
    queue = ExpiryQueue(live.get)
    for number, (what, value) in enumerate(steps):
        if what == "push":
            live[number] = value
            queue.push(value, number, len(live))
        elif what == "drop":
            live.pop(value, None)
        else:
            out = set()
            while queue.due(value):
                id = queue.pop(value, looks=3)
                if id is not None:
                    assert live.pop(id) <= value
                    out.add(id)
            assert all(expiry > value for expiry in live.values())


async def test_a_time_without_end_is_no_time():
    backend = MemoryBackend()
    await backend.set("k", entry(ttl=float("inf")))
    assert (await backend.get("k")).ttl == float("inf")
    assert len(backend._expiry) == 0


async def test_peek_gives_the_stored_form():
    for backend in (MemoryBackend(), MemoryBackend(max_size=2)):
        await backend.set("text", entry("answer"))
        await backend.set("list", entry([1]))
        assert backend.peek("text").response == "answer"
        assert isinstance(backend.peek("list").response, Encoded)
        assert backend.peek("list") is backend.peek("list")
        assert backend.peek("none") is None
        await backend.set("encoded", entry(Encoded("[2]")))
        assert (await backend.get("encoded")).response == [2]


async def test_large_searches_run_in_a_thread_and_agree(monkeypatch):
    backend = MemoryBackend()
    rows = np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32)
    for number, row in enumerate(rows):
        await backend.set(f"k{number}", entry(embedding=row))
    inline = await backend.find_candidates(rows[7], 0.2, k=5)
    monkeypatch.setattr(memory_module, "_INLINE_NUMBERS", 100)
    searching = []
    search = backend._index.search
    monkeypatch.setattr(
        backend._index,
        "search",
        lambda *a, **k: searching.append(threading.current_thread()) or search(*a, **k),
    )
    assert await backend.find_candidates(rows[7], 0.2, k=5) == inline
    assert searching[0] is not threading.current_thread()
    assert searching[0].daemon
    await backend.close()
    searching[0].join(10)
    assert not searching[0].is_alive()
    assert await backend.find_candidates(rows[7], 0.2, k=5) == inline
    await backend.close()


async def test_a_forgotten_backend_ends_its_thread(monkeypatch):
    monkeypatch.setattr(memory_module, "_INLINE_NUMBERS", 1)
    backend = MemoryBackend()
    for number in range(3):
        await backend.set(f"k{number}", entry(embedding=[1.0, number]))
    await backend.find_similar([1.0, 0.0], 0.5)
    thread = backend._worker._thread
    assert thread.is_alive()
    del backend
    thread.join(10)
    assert not thread.is_alive()


async def test_a_hit_counts_in_an_entry_that_was_packed_until_now(monkeypatch):
    monkeypatch.setattr(_memory_records, "_HOT", 2)
    backend = MemoryBackend()

    def hit(key):
        backend.peek(key).hit_count += 1

    await backend.set("k0", entry("0"))
    hit("k0")
    for key in ("k1", "k2"):
        await backend.set(key, entry(key))
    for key in ("k0", "k1", "k2"):  # each has been hit since it was last looked at for packing
        hit(key)
    assert sorted(kept.hit_count for _, kept in await backend.iterate()) == [1, 1, 2]


@pytest.mark.parametrize("eviction", ["lru", "lfu", "cost"])
@pytest.mark.parametrize("hot", [3, 2048])
def test_threads_hammering_one_bounded_backend(eviction, hot, monkeypatch):
    monkeypatch.setattr(_memory_records, "_HOT", hot)
    clock = Clock()
    backend = MemoryBackend(max_size=50, max_bytes=200_000, eviction=eviction, clock=clock)
    problems = []

    async def work(seed):
        random = np.random.default_rng(seed)
        for _ in range(600):
            key = f"k{random.integers(120)}"
            choice = random.integers(6)
            if choice < 2:
                vector = np.eye(1, 120, int(key[1:]))[0]
                ttl = float(random.integers(1, 5))
                await backend.set(key, entry([key], created_at=clock.now, ttl=ttl, embedding=vector))
            elif choice == 2:
                await backend.delete(key)
            elif choice == 3:
                found = await backend.find_similar(np.eye(1, 120, int(key[1:]))[0], 0.9)
                if found is not None and (found[0] != key or found[1].response != [key]):
                    problems.append(found)
            else:
                backend.peek(key)
                found = await backend.get(key)
                if found is not None and found.response != [key]:
                    problems.append(found)
            clock.now += 0.001

    def run(seed):
        try:
            asyncio.run(work(seed))
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert len(backend._index) == len(backend._records) <= 50
    records = backend._records
    with records.lock:
        items = records.between(0, records.slots, records.serial)
    assert len(items) == len(records)
    assert all(records.find(key_of(item)) is item for item in items)
    assert backend._bytes == sum(map(size_of, items))


@pytest.mark.parametrize("name", ["max_size", "max_bytes"])
def test_bounds_are_checked(name):
    for bad in (0, -1):
        with pytest.raises(ValueError, match=name):
            MemoryBackend(**{name: bad})
    for bad in (1.5, True, "9"):
        with pytest.raises(TypeError, match=name):
            MemoryBackend(**{name: bad})


def test_a_forked_child_has_a_copy_of_its_own(run_script):
    run_script(
        """
        import asyncio, os, sys, threading
        from semantic_llm_cache.backends import MemoryBackend, memory
        from semantic_llm_cache.config import CacheEntry

        memory._INLINE_NUMBERS = 10  # so that there is a thread to lose
        backend = MemoryBackend(max_size=1000)

        async def fill(first):
            for n in range(first, first + 20):
                await backend.set(f"k{n}", CacheEntry("p", n, [1.0, n]))
            assert (await backend.find_similar([1.0, float(first)], 0.99)) is not None

        def hammer():
            while not stop:
                asyncio.run(fill(5000))

        asyncio.run(fill(0))
        stop = []
        thread = threading.Thread(target=hammer)
        thread.start()
        for _ in range(10):
            child = os.fork()
            if child == 0:
                asyncio.run(fill(100))
                assert asyncio.run(backend.get("k5")).response == 5
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        stop.append(1)
        thread.join()
        assert asyncio.run(backend.get("k100")) is None
        """
    )
