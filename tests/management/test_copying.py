"""`copy_cache` between real backends: whole, repeatable, broken off in the middle, into caches in use."""

import asyncio
import dataclasses
import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from postgres_servers import own_schema
from postgres_servers import server_url as postgres_url
from redis_servers import make

from semantic_llm_cache import Request, SemanticCache, cache, copy_cache, last_lookup
from semantic_llm_cache.backends import MemoryBackend, PostgresBackend, SQLiteBackend
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.engine.state import state_of
from semantic_llm_cache.similarity import EmbeddingProvider
from semantic_llm_cache.similarity.base import unit
from semantic_llm_cache.testing import Clock
from semantic_llm_cache.values.encoding import thaw

KINDS = ("memory", "sqlite", "redis", "postgres")


def backend_of(kind, folder, name="cache"):
    if kind == "memory":
        return MemoryBackend()
    if kind == "sqlite":
        return SQLiteBackend(str(folder / f"{name}.db"))
    if kind == "redis":
        return make("vectorset")
    return PostgresBackend(postgres_url(), schema=own_schema(postgres_url()))


def vector(seed, dimension=16):
    values = np.random.default_rng(seed).normal(size=dimension).astype(np.float32)
    return values / np.linalg.norm(values)


def entry(number, **fields):
    now = time.time()
    given = {
        "embedding": vector(number),
        "created_at": now - 100 + number / 1000,
        "ttl": 3600.0,
        "namespace": "docs" if number % 2 else "faq",
        "hit_count": number,
        "input_tokens": 3,
        "output_tokens": 5,
        "last_accessed": now - 1,
        "scope": f"scope-{number % 3}",
        "embedder": "e",
        "kind": "stream" if number % 5 == 0 else "value",
        "tags": ("one", f"tag-{number}"),
        "aliases": ("another wording",),
        "duration_ms": 12.5,
        "cost_usd": 0.25,
        **fields,
    }
    return CacheEntry(f"prompt {number}", {"answer": number, "pair": (1, "ü")}, **given)


def facts(stored):
    """All that an entry is, comparable: its vector as numbers."""
    found = {f.name: getattr(stored, f.name) for f in dataclasses.fields(stored)}
    found["response"] = thaw(stored.response)
    found["embedding"] = None if stored.embedding is None else np.asarray(stored.embedding).round(6).tolist()
    return found


async def all_of(backend):
    return {key: facts(stored) for key, stored in await backend.iterate()}


@pytest.mark.parametrize("src", KINDS)
@pytest.mark.parametrize("dst", KINDS)
async def test_an_entry_arrives_with_all_that_belongs_to_it(src, dst, tmp_path):
    async with backend_of(src, tmp_path, "a") as source, backend_of(dst, tmp_path, "b") as target:
        wanted = {f"k{n}": entry(n) for n in range(7)}
        wanted["for ever"] = entry(7, ttl=None, last_accessed=None)
        wanted["no vector"] = entry(8, embedding=None, embedder="")
        await source.set_many(wanted.items())
        await source.add_counters("docs", {"hits": 4, "saved_usd": 1.5})
        seen = []
        report = await copy_cache(source, target, batch_size=4, progress=lambda r: seen.append((r.read, r.copied)))
        assert (report.total, report.read, report.copied, report.replaced) == (9, 9, 9, 0)
        assert seen == [(4, 4), (8, 8), (9, 9)]
        assert await all_of(target) == await all_of(source) == {k: facts(e) for k, e in wanted.items()}
        assert await target.get_counters() == {"docs": {"hits": 4, "saved_usd": 1.5}}
        near = await target.find_candidates(vector(3), 0.99, scope="scope-0", embedder="e")
        assert [candidate.key for candidate in near] == ["k3"]
        assert (await target.get_stats())["size"] == (await source.get_stats())["size"] == 9  # no probe is left


@pytest.mark.parametrize("dst", KINDS)
async def test_a_second_copy_changes_nothing_and_brings_what_came_since(dst, tmp_path):
    async with MemoryBackend() as source, backend_of(dst, tmp_path) as target:
        await source.set_many([(f"k{n}", entry(n)) for n in range(5)])
        await source.add_counters("docs", {"hits": 4})
        await copy_cache(source, target)
        before = await all_of(target)
        again = await copy_cache(source, target)
        assert (again.copied, again.there, again.counters) == (0, 5, 0)
        assert await all_of(target) == before
        await source.set("new", entry(9))
        await source.set("k1", entry(1, created_at=time.time()))
        await source.add_counters("docs", {"hits": 1})
        third = await copy_cache(source, target)
        assert (third.copied, third.replaced, third.there) == (2, 1, 4)
        assert await all_of(target) == await all_of(source)
        assert await target.get_counters() == {"docs": {"hits": 5}}


async def test_a_newer_entry_of_the_destination_stays_unless_told():
    source, target = MemoryBackend(), MemoryBackend()
    await source.set("k", entry(1))
    await target.set("k", entry(2, created_at=time.time()))
    report = await copy_cache(source, target)
    assert (report.copied, report.newer) == (0, 1)
    assert (await target.get("k")).prompt == "prompt 2"
    report = await copy_cache(source, target, overwrite=True)
    assert (report.copied, report.replaced) == (1, 1)
    assert (await target.get("k")).prompt == "prompt 1"


async def test_a_vector_that_the_destination_has_changed_since_stays_unless_told():
    source, target = MemoryBackend(), MemoryBackend()
    await source.set("k", entry(1))
    await copy_cache(source, target)
    moved = dataclasses.replace(await target.get("k"), embedder="new", embedding=vector(99))
    await target.set("k", moved)
    assert (await copy_cache(source, target)).there == 1
    assert (await target.get("k")).embedder == "new"
    assert (await copy_cache(source, target, overwrite=True)).copied == 1
    assert (await target.get("k")).embedder == "e"


async def test_one_namespace():
    source, target = MemoryBackend(), MemoryBackend()
    await source.set_many([(f"k{n}", entry(n)) for n in range(6)])
    await source.add_counters("docs", {"hits": 1})
    await source.add_counters("faq", {"hits": 2})
    report = await copy_cache(source, target, namespace="docs")
    assert (report.total, report.copied) == (None, 3)
    assert {e.namespace for _, e in await target.iterate()} == {"docs"}
    assert await target.get_counters() == {"docs": {"hits": 1}}


async def test_a_dry_run_writes_nothing(tmp_path):
    path = tmp_path / "b.db"
    async with MemoryBackend() as source, SQLiteBackend(str(path)) as target:
        await source.set("k", entry(1))
        await source.set("over", entry(2))
        await source.add_counters("docs", {"hits": 1})
        await target.set("over", entry(2, created_at=1.0, ttl=None))
        report = await copy_cache(source, target, dry_run=True)
        assert (report.copied, report.replaced, report.counters, report.dry_run) == (2, 1, 1, True)
        assert [key for key, _ in await target.iterate()] == ["over"]
        assert await target.get_counters() == {}


async def test_times_are_kept_and_what_is_over_is_left_out():
    now = 1_000_000.0
    source, target = MemoryBackend(), MemoryBackend()
    source.clock = target.clock = lambda: now
    await source.set("k", entry(1, created_at=now, ttl=10.0))
    now += 9
    assert (await copy_cache(source, target)).copied == 1
    now += 2
    assert await target.get("k") is None
    assert (await copy_cache(source, MemoryBackend())).read == 0


async def test_what_expires_between_reading_and_writing_is_counted():
    class Slow(MemoryBackend):
        async def get_many(self, keys, **options):
            nonlocal now
            now += 100
            return await super().get_many(keys, **options)

    now = 1_000_000.0
    source, target = MemoryBackend(), Slow()
    source.clock = target.clock = lambda: now
    await source.set("k", entry(1, created_at=now, ttl=10.0))
    report = await copy_cache(source, target)
    assert (report.copied, report.expired) == (0, 1)


@pytest.mark.parametrize("kind", ["sqlite", "redis", "postgres"])
async def test_one_place_under_two_names_is_refused(kind, tmp_path):
    if kind == "sqlite":
        first, second = SQLiteBackend(str(tmp_path / "a.db")), SQLiteBackend(str(tmp_path / "link.db"))
        await first.set("k", entry(1))
        (tmp_path / "link.db").symlink_to(tmp_path / "a.db")
    elif kind == "redis":
        first = make("vectorset")
        second = make("vectorset", prefix=first.prefix)
    else:
        schema = own_schema(postgres_url())
        first, second = (PostgresBackend(postgres_url(), schema=schema) for _ in range(2))
    async with first, second:
        await first.set("k", entry(1))
        with pytest.raises(ValueError, match="same place"):
            await copy_cache(first, second)
        with pytest.raises(ValueError, match="same place"):
            await copy_cache(first, first)
        assert [key for key, _ in await second.iterate()] == ["k"]


async def test_two_ways_on_one_redis_are_two_places():
    source = make("vectorset")
    target = make("plain", "vectorset", prefix=source.prefix)
    async with source, target:
        await source.set("k", entry(1))
        assert (await copy_cache(source, target)).copied == 1
        assert (await target.get("k")).prompt == "prompt 1"


async def test_what_the_destination_cannot_hold_is_named_and_the_rest_copied():
    target = make("vectorset")
    source = MemoryBackend()
    await source.set_many([("good", entry(1)), ("bad", entry(2, kind=object())), ("fine", entry(3))])
    async with target:
        report = await copy_cache(source, target)
        assert (report.copied, report.failed) == (2, 1)
        assert [key for key, _ in report.failures] == ["bad"]
        assert {key for key, _ in await target.iterate()} == {"good", "fine"}


@pytest.mark.parametrize("src", KINDS)
async def test_learned_states_come_along(src, tmp_path):
    async with backend_of(src, tmp_path) as source, MemoryBackend() as target:
        docs, faq, sub = "online:docs:0.02:None:e:384", "online:faq:None:0.02:e", "online:docs:more:0.02:None:e"
        for name in (docs, faq, sub):
            await source.set_state(name, name.encode())
        await target.set_state(faq, b"its own")
        assert (await copy_cache(source, target, namespace="docs", dry_run=True)).states == 1
        assert await target.list_states() == [faq]
        assert (await copy_cache(source, target, namespace="docs")).states == 1
        assert await target.list_states() == [docs, faq]
        assert (await copy_cache(source, target)).states == 1
        assert await target.get_state(faq) == b"its own"
        assert await target.get_state(sub) == sub.encode()
        assert (await copy_cache(source, target)).states == 0
        assert (await copy_cache(source, target, namespace="faq", overwrite=True)).states == 1
        assert await target.get_state(faq) == faq.encode()


class Near(EmbeddingProvider):
    """All texts mean nearly the same."""

    fingerprint = "near:8"

    def encode_batch(self, texts):
        return np.array([unit([5.0, *vector(len(text) + ord(text[-1]), 7)]) for text in texts])


async def test_an_error_budget_goes_on_with_what_it_has_learned(tmp_path):
    def engine(backend):
        return SemanticCache(backend, embedder=Near(), similarity=0.5, max_error=0.1, guards=None, namespace="docs")

    async with SQLiteBackend(str(tmp_path / "a.db")) as old, backend_of("redis", tmp_path) as new:
        first = engine(old)
        for number in range(30):

            async def call(number=number):
                return f"answer {number % 3}"

            await first.get_or_call(Request("docs", {}, f"how do I open file {number}"), call)
        learned = (await first.online_policy()).summary()
        await state_of(old).flush()
        assert (await copy_cache(old, new)).states == 1
        second = engine(new)
        assert (await second.online_policy()).summary() == learned
        assert (await engine(MemoryBackend()).online_policy()).summary() != learned
        await first.close()
        await second.close()


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_looking_at_a_bounded_cache_leaves_its_order_of_use(kind, tmp_path):
    clock = Clock()
    bounded = (
        MemoryBackend(3, clock=clock)
        if kind == "memory"
        else SQLiteBackend(str(tmp_path / "c.db"), max_size=3, clock=clock)
    )
    async with bounded as target, MemoryBackend(clock=clock) as source:
        for key in ("a", "b", "c"):
            clock.now += 1
            for backend in (source, target):
                await backend.set(key, CacheEntry(key, key, created_at=clock.now))
        clock.now += 1
        await target.get("a")
        clock.now += 1
        report = await copy_cache(source, target)  # looks at a, b and c, in this order
        assert (report.copied, report.there) == (0, 3)
        clock.now += 1
        await target.set("d", CacheEntry("d", "d", created_at=clock.now))
        assert sorted(key for key, _ in await target.iterate()) == ["a", "c", "d"]


@pytest.mark.parametrize("batch_size", [0, -1, True, 1.5, "10"])
async def test_a_bad_batch_is_named(batch_size):
    with pytest.raises(ValueError, match="batch_size="):
        await copy_cache(MemoryBackend(), MemoryBackend(), batch_size=batch_size)


async def test_a_function_goes_on_with_hits_from_the_copy(tmp_path):
    calls = []

    def asking(backend):
        @cache(backend=backend, similarity=0.9, ignore="calls")
        async def ask(prompt: str) -> str:
            calls.append(prompt)
            return prompt.upper()

        return ask

    async with SQLiteBackend(str(tmp_path / "a.db")) as old, MemoryBackend() as new:
        await asking(old)("How do I reset my password?")
        await copy_cache(old, new)
        ask = asking(new)
        assert await ask("How do I reset my password?") == "HOW DO I RESET MY PASSWORD?"
        await ask("How can I reset my password?")
        assert last_lookup().outcome == "near"
        assert len(calls) == 1


def test_killed_in_the_middle_and_run_again_nothing_is_lost_or_twice(tmp_path):
    src, dst = tmp_path / "a.db", tmp_path / "b.db"
    wanted = {f"k{n}": entry(n) for n in range(400)}

    async def fill():
        async with SQLiteBackend(str(src)) as backend:
            await backend.set_many(wanted.items())

    asyncio.run(fill())
    script = """
        import asyncio, sys, time
        from semantic_llm_cache import copy_cache

        def told(report):
            print(report.copied, flush=True)
            time.sleep(0.05)

        asyncio.run(copy_cache(sys.argv[1], sys.argv[2], batch_size=10, progress=told))
    """
    command = [sys.executable, "-c", textwrap.dedent(script), f"sqlite:///{src}", f"sqlite:///{dst}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if int(line) >= 50:
            os.kill(process.pid, signal.SIGKILL)
            break
    process.stdout.close()
    process.wait()

    async def go_on():
        async with SQLiteBackend(str(src)) as source, SQLiteBackend(str(dst)) as target:
            before = len(await target.iterate())
            report = await copy_cache(source, target)
            return before, report, await all_of(source), await all_of(target)

    before, report, ours, theirs = asyncio.run(go_on())
    assert 50 <= before < 400
    assert (report.there, report.copied) == (before, 400 - before)
    assert theirs == ours


async def test_entries_that_come_and_go_meanwhile_do_no_harm():
    source, target = MemoryBackend(), MemoryBackend()
    await source.set_many([(f"k{n}", entry(n)) for n in range(300)])

    async def traffic():
        for n in range(300):
            await source.set(f"new{n}", entry(n))
            await source.delete(f"k{n}")
            await target.set(f"k{n}", entry(n, created_at=time.time(), tags=("own",)))
            await asyncio.sleep(0)

    await asyncio.gather(copy_cache(source, target, batch_size=7), traffic())
    await copy_cache(source, target)
    found = dict(await target.iterate())
    assert len(found) == 600
    assert all(e.tags == ("own",) for key, e in found.items() if key.startswith("k"))


TIMES = st.integers(0, 5)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.sampled_from("abcdef"), TIMES),
    st.dictionaries(st.sampled_from("abcdef"), TIMES),
    st.booleans(),
    st.integers(1, 4),
)
def test_the_newer_one_wins_and_twice_is_as_good_as_once(ours, theirs, overwrite, batch_size):
    async def main():
        source, target = MemoryBackend(), MemoryBackend()
        for backend, times in ((source, ours), (target, theirs)):
            for key, moment in times.items():
                await backend.set(key, CacheEntry(key, f"{backend is source} {moment}", created_at=float(moment)))
        report = await copy_cache(source, target, overwrite=overwrite, batch_size=batch_size)
        after = {key: e.response for key, e in await target.iterate()}
        again = await copy_cache(source, target, overwrite=overwrite, batch_size=batch_size)
        assert {key: e.response for key, e in await target.iterate()} == after
        return report, again, after

    report, again, after = asyncio.run(main())
    expected = {key: f"False {moment}" for key, moment in theirs.items()}
    for key, moment in ours.items():
        if key not in theirs or moment > theirs[key] or (overwrite and moment != theirs[key]):
            expected[key] = f"True {moment}"
    assert after == expected
    assert report.copied + report.there + report.newer == report.read == len(ours)
    assert again.copied == 0
