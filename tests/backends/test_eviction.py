"""Who goes when a bound is reached: rules, and streams of requests replayed under each policy."""

import asyncio
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semantic_llm_cache.backends import MemoryBackend, backend_from_url
from semantic_llm_cache.backends.memory import records as _memory_records
from semantic_llm_cache.backends.memory.order import Draw, Line
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.testing import Clock


def drive(coroutine):
    """Run what never waits, as plain functions do."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waited")


def drive_patiently(coroutine):
    """Run what may pause on a slow machine, to let others have the loop."""
    try:
        while True:
            coroutine.send(None)
    except StopIteration as done:
        return done.value


class Replay:
    """A cache in front of calls of known cost, as the engine uses its backend."""

    def __init__(self, eviction, seed=7, **bounds):
        self.clock = Clock()
        self.backend = MemoryBackend(eviction=eviction, clock=self.clock, **bounds)
        draw = self.backend._records._draw
        if draw is not None:
            draw.random.seed(seed)
        self.hits = 0
        self.saved = 0.0

    def ask(self, key, *, seconds=1.0, usd=0.0, answer="a"):
        self.clock.now += 0.1
        stored = self.backend.peek(key)
        if stored is None:
            entry = CacheEntry(key, answer, created_at=self.clock.now, duration_ms=seconds * 1000, cost_usd=usd)
            drive(self.backend.set(key, entry))
            return
        stored.hit_count += 1
        stored.last_accessed = self.clock.now
        self.hits += 1
        self.saved += usd


def zipf(rng, count, size, exponent=1.0):
    weights = 1.0 / np.arange(1, size + 1) ** exponent
    return rng.choice(size, count, p=weights / weights.sum()).tolist()


@pytest.mark.parametrize("seed", [1, 2])
def test_lfu_outlasts_scans_that_wash_lru_out(seed):
    caches = {policy: Replay(policy, seed, max_size=200) for policy in ("lru", "lfu")}
    asked = zipf(np.random.default_rng(seed), 8000, 2000)
    for number, which in enumerate(asked):
        for cache in caches.values():
            cache.ask(f"q{which}")
        if number % 1000 == 500:  # somebody goes through a list of things nobody asks for again
            for once in range(400):
                for cache in caches.values():
                    cache.ask(f"once{number}-{once}")
    assert caches["lfu"].hits > 1.1 * caches["lru"].hits


@pytest.mark.parametrize("seed", [1, 2])
def test_cost_saves_more_money_than_lru_or_lfu_on_a_skewed_stream(seed):
    caches = {policy: Replay(policy, seed, max_bytes=150_000) for policy in ("lru", "lfu", "cost")}
    rng = np.random.default_rng(seed)
    # Few calls are dear (a large model, a long answer to think about), and long answers are not always they.
    usd = rng.lognormal(-7.0, 2.0, 3000)
    length = rng.lognormal(6.0, 1.0, 3000).astype(int)
    for which in zipf(rng, 12_000, 3000, 0.8):
        for cache in caches.values():
            cache.ask(f"q{which}", usd=float(usd[which]), seconds=0.5, answer="x" * int(length[which]))
    assert caches["cost"].saved > 1.25 * caches["lru"].saved
    assert caches["cost"].saved > 1.1 * caches["lfu"].saved


def test_cost_goes_by_saving_per_byte():
    cache = Replay("cost", max_size=3)
    cache.ask("dear", seconds=20.0, usd=0.05)
    cache.ask("cheap", seconds=0.1)
    cache.ask("bulky", seconds=20.0, usd=0.05, answer="x" * 100_000)
    cache.ask("new", seconds=2.0, usd=0.005)  # among so few all are weighed
    assert cache.backend.peek("cheap") is None
    cache.ask("newer", seconds=2.0, usd=0.005)
    assert cache.backend.peek("bulky") is None
    assert cache.backend.peek("dear") is not None


def test_what_was_popular_once_goes_in_the_end():
    cache = Replay("lfu", max_size=2)
    cache.ask("old")
    for _ in range(15):
        cache.ask("old")
    cache.clock.now += 8 * 7 * 86_400
    for _ in range(3):
        cache.ask("new")
    cache.ask("another")
    assert cache.backend.peek("old") is None
    assert cache.backend.peek("new") is not None


def test_what_is_often_asked_stays():
    cache = Replay("lfu", max_size=20)
    for _ in range(10):
        for number in range(5):
            cache.ask(f"often{number}")
    for number in range(1000):
        cache.ask(f"once{number}")
    assert all(cache.backend.peek(f"often{number}") is not None for number in range(5))
    assert drive(cache.backend.get_stats())["size"] == 20


@pytest.mark.parametrize("hot", [1, 4, 2048])
@given(
    st.lists(
        st.tuples(st.sampled_from(["set", "get", "peek", "hits", "delete", "look"]), st.integers(0, 14)), max_size=80
    )
)
@settings(max_examples=30, deadline=None)
def test_the_least_recently_used_goes_first_exactly(hot, steps):
    usual, _memory_records._HOT = _memory_records._HOT, hot
    try:
        backend, order = MemoryBackend(max_size=6), []
        for what, number in steps:
            key = f"k{number}"
            if what == "set":
                drive(backend.set(key, CacheEntry("p", [number])))
                order = [*(k for k in order if k != key), key][-6:]
            elif what == "delete":
                assert drive(backend.delete(key)) is (key in order)
                order = [k for k in order if k != key]
            elif what == "hits":
                drive_patiently(backend.record_hits({key: 1}, 5.0))  # counted later: no use now
            elif what == "look":
                assert {k for k, _ in asyncio.run(backend.iterate())} == set(order)
            else:
                found = drive(backend.get(key)) if what == "get" else backend.peek(key)
                assert (found is not None) is (key in order)
                if found is not None:
                    order = [*(k for k in order if k != key), key]
            assert {f"k{n}" for n in range(15) if backend._records.find(f"k{n}") is not None} == set(order)
    finally:
        _memory_records._HOT = usual


def test_hits_noted_on_a_peeked_entry_survive_its_packing():
    for bounds in ({}, {"max_size": 20_000}, {"max_size": 20_000, "eviction": "lfu"}):
        backend = MemoryBackend(**bounds)
        rng, expected = random.Random(3), {}
        for number in range(5000):
            drive(backend.set(f"k{number}", CacheEntry(f"p{number}", [number], last_accessed=None)))
        for step in range(10_000):
            key = f"k{rng.randrange(5000)}"
            stored = backend.peek(key)
            stored.hit_count += 1
            stored.last_accessed = float(step)
            count, _ = expected.get(key, (0, 0))
            expected[key] = (count + 1, float(step))
        drive_patiently(backend.record_hits({"k0": 2, "k1": 3, "gone": 1}, 20_000.0))
        for key, more in (("k0", 2), ("k1", 3)):
            expected[key] = (expected.get(key, (0, 0))[0] + more, 20_000.0)
        assert len(backend._records._hot) == _memory_records._HOT
        for key, entry in asyncio.run(backend.iterate()):
            assert (entry.hit_count, entry.last_accessed) == expected.get(key, (0, None))


def test_what_does_not_fit_the_packed_form_is_kept_all_the_same(monkeypatch):
    monkeypatch.setattr(_memory_records, "_HOT", 1)
    backend = MemoryBackend(max_bytes=10**6)
    odd = CacheEntry(
        "half a pair \ud800", ("a", (1, None)), None, 5, 2**70, "n", 2**40, 2**65, 7, None, "s", "e", "stream",
        ("t",), ("alias",), 1e308, 0.1, 3,
    )  # fmt: skip
    drive(backend.set("odd", odd))
    drive(backend.set("other", CacheEntry("p", {"a": 1}, hit_count=3)))
    assert isinstance(backend._records.find("odd"), tuple)
    assert drive(backend.get("odd")) == odd
    assert isinstance(backend._records.find("other"), tuple)
    assert drive(backend.get("other")).response == {"a": 1}
    drive_patiently(backend.record_hits({"odd": 1}, 9.0))
    found = drive(backend.get("odd"))
    assert (found.hit_count, found.last_accessed) == (2**40 + 1, 9.0)
    assert drive(backend.delete("odd")) is True
    assert drive(backend.delete("other")) is True
    assert drive(backend.get_stats())["bytes"] == 0


def test_entries_that_share_fields_let_go_of_them():
    backend = MemoryBackend()
    for number in range(30):
        drive(backend.set(f"k{number}", CacheEntry("p", "r", scope=f"s{number % 3}", tags=("t",))))
    records = backend._records
    assert len(records._shared) == len(records._uses) == 3
    for number in range(30):
        drive(backend.delete(f"k{number}"))
    assert not records._shared
    assert not records._uses
    assert records.slots == 0


@given(st.lists(st.integers(0, 12), max_size=60))
def test_a_line_and_a_draw_hold_what_was_added_and_not_removed(slots):
    line, draw, present = Line(), Draw(), []
    for slot in slots:
        if slot in present:
            present.remove(slot)
            line.remove(slot)
            draw.remove(slot)
        else:
            present.append(slot)
            line.append(slot)
            draw.add(slot)
        assert line.first == (present[0] if present else None)
        if present:
            assert set(draw.pick(200)) == set(present) or len(present) > 8
            assert set(draw.pick(20)) <= set(present)
    for slot in present:
        assert line.first == slot
        line.remove(slot)
    assert line.first is None


def test_the_policy_is_checked_and_named():
    with pytest.raises(ValueError, match="eviction='fifo'"):
        MemoryBackend(eviction="fifo")
    with pytest.raises(ValueError, match="eviction='fifo'"):
        backend_from_url("memory://?max_size=5&eviction=fifo")
    backend = backend_from_url("memory://?max_size=5&eviction=cost")
    assert repr(backend) == "MemoryBackend(max_size=5, max_bytes=None, eviction='cost')"
    assert backend.eviction == "cost"
    assert "eviction" not in repr(MemoryBackend())


async def test_a_full_collection_has_few_objects_to_walk():
    import gc

    backend = MemoryBackend()
    vectors = np.random.default_rng(0).normal(size=(50, 8))
    gc.collect()
    before = len(gc.get_objects())
    for number in range(12_000):
        fields = {"ttl": 60.0, "tags": ("t",), "scope": f"s{number % 5}", "embedding": vectors[number % 50]}
        await backend.set(f"k{number}", CacheEntry(f"p{number}", ["answer", number], **fields))
    gc.collect()
    assert len(gc.get_objects()) - before < _memory_records._HOT * 2 + 500  # an object, an answer's wrapper


async def test_long_work_lets_others_run():
    backend = MemoryBackend()
    await backend.set_many(
        (f"k{n}", CacheEntry(f"prompt {n}", [n], namespace="ab"[n % 2], created_at=(n * 7919) % 20_000 + 2e9))
        for n in range(20_000)
    )

    async def turns(work):
        """Tell how often others got a turn while `work` ran."""
        task, count = asyncio.ensure_future(work), 0
        while not task.done():
            await asyncio.sleep(0)
            count += 1
        return task.result(), count

    async def scan():
        return [key async for key, _ in backend.scan()]

    found, count = await turns(backend.iterate())
    assert count > 10
    assert [entry.created_at for _, entry in found] == sorted(entry.created_at for _, entry in found)
    found, count = await turns(scan())
    assert (len(set(found)), len(found)) == (20_000, 20_000)
    assert count > 10
    found, count = await turns(backend.invalidate("prompt 7"))
    assert found == 1111
    assert count > 5
    found, count = await turns(backend.clear("a"))
    assert found == len([n for n in range(0, 20_000, 2) if not str(n).startswith("7")])
    assert count > 5
    found, count = await turns(backend.clear())
    assert (await backend.get_stats())["size"] == 0


async def test_what_is_written_while_all_is_cleared_stays():
    backend = MemoryBackend()
    await backend.set_many((f"k{n}", CacheEntry("old", n)) for n in range(20_000))
    task = asyncio.ensure_future(backend.clear())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not task.done()
    await backend.set("k19999", CacheEntry("new", "new"))
    await backend.set("another", CacheEntry("new", "new"))
    assert await task in (19_999, 20_000)
    assert sorted(key for key, _ in await backend.iterate()) == ["another", "k19999"]


async def test_stats_count_the_living_alone():
    clock = Clock()
    backend = MemoryBackend(clock=clock)
    for number in range(500):
        await backend.set(f"k{number}", CacheEntry("p", "r", ttl=float(number % 100 + 1), created_at=clock.now))
    clock.now += 50
    stats = await backend.get_stats()
    assert (stats["size"], stats["expired"]) == (250, 250)
    clock.now -= 100
    assert (await backend.get_stats())["size"] == 250


async def test_a_read_of_an_entry_does_not_date_back_the_one_that_replaces_it(tmp_path):
    clock = Clock()
    async with backend_from_url(f"sqlite:///{tmp_path / 'c.db'}?max_size=4") as backend:
        backend.clock = clock

        async def put(key):
            clock.now += 1
            await backend.set(key, CacheEntry(key, "v", created_at=clock.now, ttl=None))

        await put("k1")
        clock.now += 1
        assert await backend.get("k1") is not None
        for key in ("k0", "k1", "k2", "k3", "k4"):
            await put(key)
        assert {key for key, _ in await backend.iterate()} == {"k1", "k2", "k3", "k4"}
