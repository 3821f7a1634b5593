"""`reembed_cache` on real backends: entries to another model while the cache is asked, written and emptied."""

import asyncio
import time
from contextlib import asynccontextmanager

import numpy as np
import pytest
from postgres_servers import own_schema
from postgres_servers import server_url as postgres_url
from redis_servers import make

from semantic_llm_cache import EmbeddingUnavailableError, cache, last_lookup, reembed_cache
from semantic_llm_cache.backends import MemoryBackend, PostgresBackend, SQLiteBackend
from semantic_llm_cache.backends.memory import records as _memory_records
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.similarity import EmbeddingProvider
from semantic_llm_cache.testing import Clock

KINDS = ("memory", "sqlite", "redis", "postgres")


def backend_of(kind, folder):
    if kind == "memory":
        return MemoryBackend()
    if kind == "sqlite":
        return SQLiteBackend(str(folder / "cache.db"))
    if kind == "redis":
        return make("vectorset")
    return PostgresBackend(postgres_url(), schema=own_schema(postgres_url()))


class Letters(EmbeddingProvider):
    """Counts of letters, weighted: a small model whose vectors are alike for the same words in another order."""

    def __init__(self, name, seed, dimension=12):
        self.name, self.calls, self.texts = name, 0, []
        self._weights = np.random.default_rng(seed).normal(size=(128, dimension))

    @property
    def fingerprint(self):
        return self.name

    def encode_batch(self, texts):
        self.calls += 1
        self.texts += texts
        rows = np.array([sum((self._weights[ord(c) % 128] for c in t), np.zeros(12)) for t in texts])
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


OLD, NEW = Letters("old", 1), Letters("new", 2)


async def fill(backend, count, **fields):
    entries = {}
    for n in range(count):
        text = f"question number {n} of many"
        given = {"embedding": OLD.encode(text), "embedder": "old", "scope": "s", "ttl": 1000.0, **fields}
        entries[f"k{n}"] = CacheEntry(text, f"answer {n}", created_at=time.time() - 10, **given)
    await backend.set_many(entries.items())
    return entries


@pytest.mark.parametrize("kind", KINDS)
async def test_all_entries_move_and_nothing_else_about_them_changes(kind, tmp_path):
    async with backend_of(kind, tmp_path) as backend:
        wanted = await fill(backend, 30, tags=("t",), aliases=("a",), hit_count=3, cost_usd=0.5)
        seen = []
        report = await reembed_cache(backend, NEW, batch_size=8, progress=lambda r: seen.append(r.moved))
        assert (report.fingerprint, report.total, report.read, report.moved, report.changed) == ("new", 30, 30, 30, 0)
        assert report.models == {"old": 30}
        assert seen[0] == 8
        assert seen[-1] == 30
        found = dict(await backend.iterate())
        for key, entry in wanted.items():
            now = found[key]
            assert now.embedder == "new"
            assert np.allclose(now.embedding, NEW.encode(entry.prompt), atol=1e-5)
            for name in (
                "prompt",
                "response",
                "created_at",
                "ttl",
                "tags",
                "aliases",
                "hit_count",
                "cost_usd",
                "scope",
            ):
                assert getattr(now, name) == getattr(entry, name), name
        again = await reembed_cache(backend, NEW)
        assert (again.moved, again.current) == (0, 30)
        query = wanted["k7"].prompt
        near = await backend.find_candidates(NEW.encode(query), 0.99, k=1, scope="s", embedder="new")
        assert near[0].key == "k7"
        assert await backend.find_candidates(OLD.encode(query), 0.99, k=1, scope="s", embedder="old") == []


@pytest.mark.parametrize("kind", KINDS)
async def test_it_serves_while_it_moves(kind, tmp_path):
    calls = []

    def asking(backend, provider):
        @cache(backend=backend, similarity=0.98, embedder=provider, guards=None, namespace="n")
        async def ask(prompt: str) -> str:
            calls.append(prompt)
            return prompt.upper()

        return ask

    async with backend_of(kind, tmp_path) as backend:
        before, after = asking(backend, OLD), asking(backend, NEW)
        texts = [
            f"{word} {word}{word} {word}" for word in ("apple", "birch", "cloud", "drums", "envy", "flint", "gypsy")
        ]
        for text in texts:
            await before(text)
        calls.clear()
        outcomes = []

        async def ask_on(done):
            while not done.is_set():
                for text in texts:
                    assert await before(text) == text.upper()
                    assert last_lookup().outcome == "exact"
                    assert await after(text) == text.upper()
                    assert last_lookup().outcome == "exact"
                await asyncio.sleep(0.001)  # the embedder needs the interpreter now and then

        async def move(done):
            first = f"{texts[0]}."
            for provider in (OLD, NEW):
                outcomes.append((await asking(backend, provider).cache_lookup(first)).outcome)
            await reembed_cache(backend, NEW, batch_size=3, pause=0.01)
            for provider in (OLD, NEW):
                outcomes.append((await asking(backend, provider).cache_lookup(first)).outcome)
            done.set()

        done = asyncio.Event()
        await asyncio.gather(ask_on(done), move(done))
        assert calls == []
        assert outcomes == ["near", "miss", "miss", "near"]


class Gated(Letters):
    """Waits, once its texts are taken, until somebody lets it go on."""

    def __init__(self):
        super().__init__("new", 2)
        self.taken, self.go = asyncio.Event(), asyncio.Event()

    async def aencode_batch(self, texts):
        self.taken.set()
        await self.go.wait()
        return self.encode_batch(texts)


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_deleted_or_replaced_meanwhile_is_not_brought_back(kind, tmp_path):
    async with backend_of(kind, tmp_path) as backend:
        await fill(backend, 6)
        gated = Gated()
        moving = asyncio.create_task(reembed_cache(backend, gated))
        await gated.taken.wait()
        await backend.delete("k0")
        fresh = CacheEntry("question number 1 of many", "a fresh answer", OLD.encode("x"), embedder="old", scope="s")
        await backend.set("k1", fresh)
        await backend.set("k2", CacheEntry("another text", "another answer", OLD.encode("x"), embedder="old"))
        other = CacheEntry("question number 3 of many", "moved", NEW.encode("x"), embedder="new", scope="s")
        await backend.set("k3", other)
        gated.go.set()
        report = await moving
        assert (report.moved, report.changed) == (3, 3)
        found = dict(await backend.iterate())
        assert "k0" not in found
        assert (found["k1"].response, found["k1"].embedder) == ("a fresh answer", "new")
        assert found["k1"].created_at == pytest.approx(fresh.created_at)
        assert (found["k2"].response, found["k2"].embedder) == ("another answer", "old")
        assert found["k3"].response == "moved"
        again = await reembed_cache(backend, NEW)
        assert (again.moved, again.current) == (1, 4)


@pytest.mark.parametrize("kind", KINDS)
async def test_nothing_comes_back_in_the_moment_of_writing(kind, tmp_path):
    """What another process deletes or replaces while vectors are written stays deleted or replaced."""
    async with backend_of(kind, tmp_path) as ours, another(ours) as theirs:
        for turn in range(12):
            await fill(ours, 24)
            items = [(f"k{n}", f"question number {n} of many", NEW.encode(f"{n}")) for n in range(24)]
            gone, replaced = [f"k{n}" for n in range(0, 24, 2)], [f"k{n}" for n in range(1, 24, 2)]
            others = [(key, CacheEntry("another", f"turn {turn}", OLD.encode("x"), embedder="old")) for key in replaced]
            changes = [theirs.delete_many(gone), theirs.set_many(others)]
            await asyncio.gather(*changes[: turn % 3], ours.set_vectors(items, "new"), *changes[turn % 3 :])
            found = dict(await ours.iterate())
            assert sorted(found) == sorted(replaced)
            assert {(e.prompt, e.response, e.embedder) for e in found.values()} == {("another", f"turn {turn}", "old")}
            near = await ours.find_candidates(NEW.encode("1"), 0.0, k=24)
            assert not [one.key for one in near if one.entry.embedder == "new"]


@asynccontextmanager
async def another(backend):
    """A second backend on the same storage, as another process has it."""
    if isinstance(backend, MemoryBackend):
        yield backend
        return
    if isinstance(backend, SQLiteBackend):
        made = SQLiteBackend(backend.db_path)
    elif isinstance(backend, PostgresBackend):
        made = PostgresBackend(postgres_url(), schema=backend.schema)
    else:
        made = make(backend.search, prefix=backend.prefix)
    async with made:
        yield made


@pytest.mark.parametrize("way", ["search", "vectorset", "plain"])
async def test_a_change_between_reading_and_writing_is_seen(way, monkeypatch):
    """On Redis the writing script looks again."""
    async with make(way) as backend, another(backend) as other:
        await fill(backend, 4)
        read = type(backend._way)._read

        async def slow(self, shard, keys):
            rows = await read(self, shard, keys)
            await other.delete("k0")
            await other.set("k1", CacheEntry("question number 1 of many", "fresh", OLD.encode("x"), embedder="old"))
            return rows

        with monkeypatch.context() as patch:
            patch.setattr(backend._way, "_read", slow.__get__(backend._way))
            items = [(f"k{n}", f"question number {n} of many", NEW.encode(f"{n}")) for n in range(3)]
            assert await backend.set_vectors(items, "new") == [False, False, True]
        found = dict(await backend.iterate())
        assert sorted(found) == ["k1", "k2", "k3"]
        assert (found["k1"].response, found["k1"].embedder) == ("fresh", "old")
        assert (await backend.find_candidates(NEW.encode("2"), 0.99, scope="s", embedder="new"))[0].key == "k2"


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_the_order_of_use_stays(kind, tmp_path):
    clock = Clock()
    bounded = (
        MemoryBackend(3, clock=clock)
        if kind == "memory"
        else SQLiteBackend(str(tmp_path / "c.db"), max_size=3, clock=clock)
    )
    async with bounded as backend:
        for key in ("a", "b", "c"):
            clock.now += 1
            entry = CacheEntry(f"text {key}", key, OLD.encode(key), embedder="old", created_at=clock.now)
            await backend.set(key, entry)
        clock.now += 1
        await backend.get("a")
        clock.now += 1
        assert (await reembed_cache(backend, NEW)).moved == 3
        clock.now += 1
        await backend.set("d", CacheEntry("d", "d", created_at=clock.now))
        assert sorted(key for key, _ in await backend.iterate()) == ["a", "c", "d"]


@pytest.mark.parametrize("hot", [1, 2048])
async def test_in_memory_packed_or_not_bytes_and_searches_agree(hot, monkeypatch):
    monkeypatch.setattr(_memory_records, "_HOT", hot)
    backend, again = MemoryBackend(max_bytes=10**6), MemoryBackend(max_bytes=10**6)
    entries = await fill(backend, 20)
    before = (await backend.get_stats())["bytes"]
    longer = np.ones(30, dtype=np.float32)
    items = [(key, entry.prompt, longer) for key, entry in entries.items()]
    assert await backend.set_vectors(items[:10], "new") == [True] * 10
    assert (await backend.get_stats())["bytes"] == before + 10 * (30 - 12) * 4
    for key, entry in await backend.iterate():
        assert (entry.embedder, len(entry.embedding)) == (("new", 30) if int(key[1:]) < 10 else ("old", 12))
        await again.set(key, entry)
    assert (await again.get_stats())["bytes"] == (await backend.get_stats())["bytes"]
    assert len(await backend.find_candidates(longer, 0.9, k=99, scope="s", embedder="new")) == 10
    assert await backend.clear() == 20
    assert (await backend.get_stats())["bytes"] == 0
    assert not backend._records._uses


async def test_vectors_that_grow_keep_within_the_bound():
    backend = MemoryBackend(max_bytes=30_000)
    await fill(backend, 10)
    items = [(f"k{n}", f"question number {n} of many", np.ones(1000, dtype=np.float32)) for n in range(10)]
    done = await backend.set_vectors(items, "new")
    stats = await backend.get_stats()
    assert stats["bytes"] <= 30_000
    assert stats["evictions"] > 0
    assert done.count(True) >= stats["size"]


async def test_time_to_live_is_not_extended():
    now = 1000.0
    backend = MemoryBackend()
    backend.clock = lambda: now
    await backend.set("k", CacheEntry("q", "a", OLD.encode("q"), created_at=now, ttl=10.0, embedder="old"))
    now += 9
    assert (await reembed_cache(backend, NEW)).moved == 1
    now += 2
    assert await backend.get("k") is None


async def test_broken_off_and_run_again_it_goes_on():
    class Breaking(Letters):
        async def aencode_batch(self, texts):
            if self.calls >= 4:  # the self-test is one of them
                raise EmbeddingUnavailableError("the network is away")
            return self.encode_batch(texts)

    backend = MemoryBackend()
    await fill(backend, 50)
    with pytest.raises(EmbeddingUnavailableError, match="away"):
        await reembed_cache(backend, Breaking("new", 2), batch_size=10)
    names = [entry.embedder for _, entry in await backend.iterate()]
    assert (names.count("new"), names.count("old")) == (30, 20)
    report = await reembed_cache(backend, NEW, batch_size=10)
    assert (report.current, report.moved) == (30, 20)


class Picky(Letters):
    """Reads no long texts, and fails on one."""

    def readable(self, text):
        return len(text) < 100

    def encode_batch(self, texts):
        if any("poison" in text for text in texts):
            raise ValueError("no such text")
        return super().encode_batch(texts)


async def test_texts_that_the_model_cannot_embed_are_counted_and_left():
    backend = MemoryBackend()
    await fill(backend, 5)
    for key, text in (("bad", "poison"), ("long", "long " * 50)):
        await backend.set(key, CacheEntry(text, "a", OLD.encode(text), embedder="old"))
    report = await reembed_cache(backend, Picky("new", 2))
    assert (report.moved, report.refused, report.unreadable) == (5, 1, 1)
    found = dict(await backend.iterate())
    assert {key for key, entry in found.items() if entry.embedder == "old"} == {"bad", "long"}


async def test_a_model_that_fails_on_everything_is_told():
    class Broken(Letters):
        def encode_batch(self, texts):
            if any("question number" in text for text in texts):
                raise ValueError("no")
            return super().encode_batch(texts)

    backend = MemoryBackend()
    await fill(backend, 60)
    with pytest.raises(EmbeddingUnavailableError, match="first 50 texts"):
        await reembed_cache(backend, Broken("new", 2), batch_size=20)


async def test_a_model_whose_vectors_are_all_alike_is_not_let_in():
    backend = MemoryBackend()
    await fill(backend, 3)

    class Constant(Letters):
        def encode_batch(self, texts):
            return np.full((len(texts), 4), 0.5, dtype=np.float32)

    with pytest.raises(EmbeddingUnavailableError, match="self-test"):
        await reembed_cache(backend, Constant("new", 2))
    assert {entry.embedder for _, entry in await backend.iterate()} == {"old"}


async def test_entries_without_a_vector_are_left_unless_told():
    backend = MemoryBackend()
    await backend.set("none", CacheEntry("q", "a"))
    await backend.set("no text", CacheEntry("", "a"))
    report = await reembed_cache(backend, NEW)
    assert (report.moved, report.without_vector) == (0, 2)
    report = await reembed_cache(backend, NEW, missing=True)
    assert (report.moved, report.without_vector) == (1, 1)
    assert (await backend.get("none")).embedder == "new"


async def test_one_namespace():
    backend = MemoryBackend()
    await fill(backend, 2, namespace="a")
    await backend.set("other", CacheEntry("q", "a", OLD.encode("q"), embedder="old", namespace="b"))
    report = await reembed_cache(backend, NEW, namespace="a")
    assert (report.total, report.read, report.moved) == (None, 2, 2)
    assert (await backend.get("other")).embedder == "old"


async def test_a_dry_run_asks_no_model_and_writes_nothing():
    backend = MemoryBackend()
    await fill(backend, 5)
    provider = Letters("new", 2)
    report = await reembed_cache(backend, provider, dry_run=True)
    assert (report.moved, report.characters, report.dry_run) == (5, 5 * len("question number 0 of many"), True)
    assert provider.calls == 0
    assert {entry.embedder for _, entry in await backend.iterate()} == {"old"}


async def test_the_rate_is_kept():
    backend = MemoryBackend()
    await fill(backend, 8)
    began = time.monotonic()
    await reembed_cache(backend, NEW, batch_size=2, rate=40)
    assert time.monotonic() - began >= 6 / 40  # the first two wait for nobody
    await fill(backend, 4)
    began = time.monotonic()
    await reembed_cache(backend, NEW, batch_size=2, pause=0.1)
    assert time.monotonic() - began >= 0.1


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"batch_size": 0}, "batch_size=0"),
        ({"batch_size": True}, "batch_size=True"),
        ({"pause": -1}, "pause=-1"),
        ({"pause": float("nan")}, "pause=nan"),
        ({"rate": 0}, "rate=0"),
        ({"rate": "fast"}, "rate='fast'"),
        ({"embedder": "nope"}, "nope"),
    ],
)
async def test_bad_options_are_named(options, named):
    with pytest.raises((ValueError, TypeError), match=named):
        await reembed_cache(MemoryBackend(), **{"embedder": NEW, **options})
