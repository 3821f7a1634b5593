import asyncio
import logging
import os
import sqlite3
import threading

import numpy as np
import pytest

from semantic_llm_cache.backends import SQLiteBackend
from semantic_llm_cache.backends.sqlite import schema as schema
from semantic_llm_cache.backends.sqlite import write as write_module
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.exceptions import CacheBackendError, CacheSerializationError
from semantic_llm_cache.testing import Clock


def entry(response="answer", **fields):
    return CacheEntry("prompt", response, **fields)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cache.db"


@pytest.fixture
async def backend(path):
    async with SQLiteBackend(path) as backend:
        yield backend


def raw(path, sql, *parameters):
    """What another program sees and does in the file."""
    connection = sqlite3.connect(path)
    with connection:
        rows = connection.execute(sql, parameters).fetchall()
    connection.close()
    return rows


async def eventually(true):
    """Wait for what goes on behind a write."""
    for _ in range(2000):
        if true():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("never came true")


# ------------------------------------------------------------------------------ the file


@pytest.mark.parametrize("bad", ["", ":memory:", "a\0b"])
def test_a_path_must_name_a_file(bad):
    with pytest.raises(ValueError, match="MemoryBackend"):
        SQLiteBackend(bad)


def test_arguments_are_checked():
    with pytest.raises(TypeError, match="db_path"):
        SQLiteBackend(b"cache.db")
    for bad in (0, True, 2.5):
        with pytest.raises(ValueError, match="max_size"):
            SQLiteBackend("cache.db", max_size=bad)


def test_making_one_opens_nothing(path):
    backend = SQLiteBackend(path)
    assert not path.exists()
    assert backend.url == f"sqlite:///{path}"
    assert threading.active_count() == len(threading.enumerate())
    assert all(worker._thread is None for worker in backend._workers)


async def test_settings_of_the_file(backend, path):
    await backend.set("k", entry())
    assert raw(path, "PRAGMA journal_mode") == [("wal",)]
    assert raw(path, "PRAGMA auto_vacuum") == [(2,)]
    assert raw(path, "SELECT value FROM meta WHERE name = 'schema_version'") == [(2,)]
    await backend.close()
    assert os.listdir(path.parent) == ["cache.db"]  # the log is written back


async def test_a_relative_path_stays_where_it_was(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    async with SQLiteBackend("cache.db") as backend:
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        await backend.set("k", entry())
    assert (tmp_path / "cache.db").exists()


async def test_what_a_path_may_hold(tmp_path):
    for name in ("with space & ?mode=ro#x%20.db", "ключ.db", "file:x.db"):
        async with SQLiteBackend(tmp_path / name) as backend:
            await backend.set("k", entry())
        async with SQLiteBackend(tmp_path / name) as backend:
            assert await backend.get("k") is not None
        assert (tmp_path / name).exists()


@pytest.mark.parametrize("content", [b"no database at all, " * 500, b"short"])
async def test_a_file_that_is_no_database(path, content):
    path.write_bytes(content)
    backend = SQLiteBackend(path)
    for operation in (backend.get("k"), backend.set("k", entry()), backend.find_similar([1.0], 0.5)):
        with pytest.raises(CacheBackendError, match=r"cache\.db is not an SQLite database.*move it away"):
            await operation
    await backend.close()
    assert path.read_bytes() == content
    path.unlink()  # and once it is out of the way, all is well
    await backend.set("k", entry())
    assert await backend.get("k") is not None
    await backend.close()


async def test_a_database_of_another_program(path):
    raw(path, "CREATE TABLE entries (id INTEGER)")
    before = path.read_bytes()
    async with SQLiteBackend(path) as backend:
        with pytest.raises(CacheBackendError, match="another program"):
            await backend.get("k")
        with pytest.raises(CacheBackendError, match="another program"):
            await backend.set("k", entry())
    assert path.read_bytes() == before


async def test_a_newer_schema_is_refused_and_left_alone(backend, path):
    await backend.set("k", entry())
    await backend.close()
    raw(path, "UPDATE meta SET value = 3 WHERE name = 'schema_version'")
    before = path.read_bytes()
    for operation in (backend.get("k"), backend.set("k", entry()), backend.find_similar([1.0], 0.5)):
        with pytest.raises(CacheBackendError, match=r"newer semantic-llm-cache \(schema 3"):
            await operation
    await backend.close()
    assert path.read_bytes() == before


async def test_an_older_schema_is_brought_up(backend, path, monkeypatch):
    await backend.set("k", entry())
    await backend.close()

    def add_a_column(connection):
        connection.execute("ALTER TABLE entries ADD COLUMN colour TEXT")

    monkeypatch.setattr(schema, "SCHEMA_VERSION", 4)
    monkeypatch.setitem(schema._MIGRATIONS, 2, add_a_column)
    monkeypatch.setitem(schema._MIGRATIONS, 3, lambda connection: connection.execute("SELECT broken"))
    with pytest.raises(CacheBackendError, match="broken"):
        await backend.get("k")
    await backend.close()
    assert raw(path, "SELECT value FROM meta WHERE name = 'schema_version'") == [(2,)]  # all or nothing
    monkeypatch.setitem(schema._MIGRATIONS, 3, lambda connection: None)
    assert (await backend.get("k")).response == "answer"
    await backend.close()
    assert raw(path, "SELECT value FROM meta WHERE name = 'schema_version'") == [(4,)]
    assert raw(path, "SELECT colour FROM entries") == [(None,)]


async def test_a_folder_that_is_not_there(tmp_path):
    async with SQLiteBackend(tmp_path / "missing" / "cache.db") as backend:
        with pytest.raises(CacheBackendError, match="folder exists"):
            await backend.set("k", entry())


async def test_a_locked_file(path):
    async with SQLiteBackend(path, busy_timeout=0.05) as backend:
        await backend.set("k", entry("old", embedding=[1.0]))
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        results = await asyncio.gather(
            *[backend.set(f"k{n}", entry("new")) for n in range(100)], return_exceptions=True
        )
        assert all(isinstance(result, CacheBackendError) for result in results)
        assert "cache.db is locked by another process" in str(results[0])
        assert (await backend.get("k")).response == "old"  # reading goes on
        assert await backend.find_similar([1.0], 0.5) is not None
        other.execute("ROLLBACK")
        other.close()
        await backend.set("k", entry("new"))
        assert (await backend.get("k")).response == "new"


async def test_a_full_disk(backend):
    await backend.set("k", entry("kept", embedding=[1.0]))

    def allow(connection, pages):
        connection.execute(f"PRAGMA max_page_count = {pages}")

    await _in_writer(backend, allow, 1)  # as small as the file is now
    large = backend.set("large", entry("x" * 500_000))
    small = backend.set("k", entry("replaced", embedding=[1.0]))
    failed, done = await asyncio.gather(large, small, return_exceptions=True)
    assert isinstance(failed, CacheBackendError)
    assert "free some space" in str(failed)
    assert done is None  # one that still fits is not dragged along
    assert (await backend.get("k")).response == "replaced"
    assert await backend.get("large") is None
    await _in_writer(backend, allow, 100_000)
    await backend.set("large", entry("x" * 500_000))
    assert await backend.get("large") is not None


async def _in_writer(backend, function, *arguments):
    """Run a function on the writing connection, outside of any transaction."""
    worker = backend._writing
    with worker._gate:
        function(worker.resource(), *arguments)


def test_a_file_at_its_size_limit(path, run_script):
    """The operating system refuses to let the file grow: an error with a remedy, then all is as before."""
    run_script(
        """
        import asyncio, resource, signal, sys
        from semantic_llm_cache.backends import SQLiteBackend
        from semantic_llm_cache.config import CacheEntry
        from semantic_llm_cache.exceptions import CacheBackendError

        async def main():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            backend = SQLiteBackend(sys.argv[1])
            await backend.set("first", CacheEntry("p", "r", [1.0]))
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, hard))
            stored = ["first"]
            try:
                for n in range(1000):
                    await backend.set(f"k{n}", CacheEntry("p", "x" * 20_000))
                    stored.append(f"k{n}")
                raise SystemExit("never failed")
            except CacheBackendError as error:
                assert sys.argv[1] in str(error), error
            for key in stored:
                assert await backend.get(key) is not None, key
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
            await backend.set("last", CacheEntry("p", "x" * 20_000))
            assert await backend.get("last") is not None
            await backend.close()

        asyncio.run(main())
        """,
        str(path),
    )


@pytest.mark.parametrize("left", ["closed", "open", "folder too"])
def test_a_file_that_may_only_be_read(path, run_script, left):
    """Reading and searching go on; writing says what is wrong."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:  # where an unprivileged user may look
        os.chmod(folder, 0o755)
        file = os.path.join(folder, "cache.db")

        async def fill():
            backend = SQLiteBackend(file)
            await backend.set("k", entry(embedding=[1.0, 0.0]))
            if left != "open":
                await backend.close()
            return backend

        backend = asyncio.run(fill())
        for name in os.listdir(folder):
            os.chmod(os.path.join(folder, name), 0o444)
        os.chmod(folder, 0o555 if left == "folder too" else 0o777)
        run_script(
            """
            import asyncio, os, sys
            import semantic_llm_cache.backends
            from semantic_llm_cache.backends import SQLiteBackend
            from semantic_llm_cache.config import CacheEntry
            from semantic_llm_cache.exceptions import CacheBackendError

            if os.geteuid() == 0:  # whom permissions do not bind
                os.setgroups([]); os.setgid(65534); os.setuid(65534)

            async def main():
                backend = SQLiteBackend(sys.argv[1])
                for _ in range(3):
                    assert (await backend.get("k")).response == "answer"
                    assert (await backend.find_similar([1.0, 0.0], 0.9))[0] == "k"
                try:
                    await backend.set("k2", CacheEntry("p", "r"))
                    raise SystemExit("written")
                except CacheBackendError as error:
                    assert sys.argv[1] in str(error) and "write access" in str(error), error
                assert (await backend.get("k")).response == "answer"
                await backend.close()

            asyncio.run(main())
            """,
            file,
        )
        os.chmod(folder, 0o755)
        asyncio.run(backend.close())


# ------------------------------------------------------------------------- damaged entries


@pytest.mark.parametrize(
    "damage",
    [
        "response = '{not json'",
        'response = \'{"$":"no such type","v":1}\'',
        "response = CAST(x'22ff22' AS TEXT)",
        "prompt = CAST(x'ff' AS TEXT)",
        "vector = x'0102030405'",
        "vector = x''",
        "tags = '[1'",
    ],
)
async def test_a_damaged_entry_is_a_miss_and_one_warning(backend, path, caplog, damage):
    for number in range(3):
        await backend.set(f"k{number}", entry(number, embedding=[1.0, number / 10]))
    raw(path, f"UPDATE entries SET {damage} WHERE key = 'k0'")
    with caplog.at_level(logging.WARNING, "semantic_llm_cache"):
        for _ in range(2):
            assert await backend.get("k0") is None
            assert (await backend.get("k1")).response == 1
            found = await backend.get_many(["k0", "k1", "k2"])
            assert [e and e.response for e in found] == [None, 1, 2]
            assert [key for key, _ in await backend.iterate()] == ["k1", "k2"]
            assert [c.key for c in await backend.find_candidates([1.0, 0.0], 0.5)] == ["k1", "k2"]
    assert 1 <= len(caplog.records) <= 2  # once by key and once by meaning
    assert "k0" in caplog.text
    assert await backend.invalidate("prompt", tags=None) in (2, 3)
    await backend.set("k0", entry("mended", embedding=[1.0, 0.0]))
    assert (await backend.get("k0")).response == "mended"


async def test_a_vector_that_is_not_of_unit_length_is_never_matched(backend, path, caplog):
    await backend.set("zero", entry(embedding=[1.0, 0.0]))
    await backend.set("nan", entry(embedding=[1.0, 0.0]))
    await backend.set("good", entry(embedding=[1.0, 0.5]))
    raw(path, "UPDATE entries SET vector = zeroblob(8) WHERE key = 'zero'")
    raw(path, "UPDATE entries SET vector = x'0000c07f0000c07f' WHERE key = 'nan'")
    with caplog.at_level(logging.WARNING, "semantic_llm_cache"):
        assert [c.key for c in await backend.find_candidates([1.0, 0.0], 0.0)] == ["good"]
    (record,) = caplog.records
    assert "2 entries" in record.getMessage()


async def test_another_version_of_the_entry_is_a_miss(backend):
    await backend.set("k", entry(schema_version=99, embedding=[1.0]))
    assert await backend.get("k") is None
    assert await backend.find_similar([1.0], 0.5) is None


async def test_one_bad_value_fails_alone(backend):
    """Sets that wait are committed together; the bad ones must not take the others along."""
    good = [backend.set(f"k{n}", entry(n)) for n in range(20)]
    bad = [
        backend.set("k1", entry(scope=["list"])),
        backend.set("k2", entry(input_tokens=2**70)),
        backend.set("k3", CacheEntry(None, "x")),
        backend.set("k4", CacheEntry(["list"], "x")),
    ]
    results = await asyncio.gather(*good, *bad, return_exceptions=True)
    assert results[:20] == [None] * 20
    assert all(isinstance(result, CacheSerializationError) for result in results[20:]), results[20:]
    assert [(await backend.get(f"k{n}")).response for n in range(20)] == list(range(20))


# --------------------------------------------------------------------- bounds, housekeeping


async def test_the_least_recently_used_goes_first(path):
    clock = Clock()
    async with SQLiteBackend(path, max_size=3, clock=clock) as backend:
        for key in "abcd":
            clock.now += 1
            await backend.set(key, entry(created_at=clock.now, embedding=[1.0, 0.0]))
            if key == "c":
                clock.now += 1
                await backend.get("a")
        assert [key for key, _ in await backend.iterate()] == ["a", "c", "d"]
        clock.now += 1
        await backend.record_hits({"c": 1}, clock.now)
        clock.now += 1
        await backend.set("e", entry(created_at=clock.now))
        assert [key for key, _ in await backend.iterate()] == ["c", "d", "e"]
        stats = await backend.get_stats()
        assert (stats["size"], stats["evictions"]) == (3, 2)
        await backend.set_many([(f"m{n}", entry(created_at=clock.now + n)) for n in range(1000)])
        assert (await backend.get_stats())["size"] == 3


async def test_a_smaller_bound_is_reached_in_steps(path, monkeypatch):
    monkeypatch.setattr(write_module, "_EVICT", 100)
    async with SQLiteBackend(path) as backend:
        await backend.set_many([(f"k{n}", entry(created_at=n)) for n in range(1000)])
    async with SQLiteBackend(path, max_size=50) as backend:
        await backend.set("new", entry())
        await eventually(lambda: raw(path, "SELECT count(*) FROM entries") == [(50,)])
        keys = {key for key, _ in await backend.iterate()}
        assert keys == {"new"} | {f"k{n}" for n in range(951, 1000)}


async def test_the_expired_are_removed_behind_later_writes(path):
    clock = Clock()
    async with SQLiteBackend(path, clock=clock) as backend:
        backend._writer._next_look = float("inf")
        await backend.set_many([(f"k{n}", entry(created_at=clock.now, ttl=10)) for n in range(1000)])
        await backend.set("stays", entry(created_at=clock.now, ttl=100))
        clock.now += 10
        assert (await backend.get_stats())["size"] == 1
        assert raw(path, "SELECT count(*) FROM entries") == [(1001,)]  # nothing was written by reading
        backend._writer._next_look = 0.0  # as if a second had passed
        await backend.set("new", entry())
        await eventually(lambda: raw(path, "SELECT count(*) FROM entries") == [(2,)])
        assert raw(path, "SELECT value FROM meta WHERE name = 'entries'") == [(2,)]
        assert (await backend.get_stats())["expired"] == 1000


async def test_the_expired_make_room_before_the_live(path):
    clock = Clock()
    async with SQLiteBackend(path, max_size=10, clock=clock) as backend:
        for number in range(10):
            ttl = None if number < 5 else 1
            await backend.set(f"k{number}", entry(created_at=clock.now, ttl=ttl))
        clock.now += 1
        for number in range(5):
            await backend.set(f"new{number}", entry(created_at=clock.now))
        stats = await backend.get_stats()
        assert (stats["size"], stats["evictions"], stats["expired"]) == (10, 0, 5)


async def test_room_is_given_back_to_the_disk(backend, path):
    await backend.set_many([(f"k{n}", entry("x" * 10_000)) for n in range(1000)])
    full = (await backend.get_stats())["bytes"]
    assert await backend.clear() == 1000
    backend._writer._next_look = 0.0
    await backend.set("k", entry())
    await eventually(lambda: raw(path, "PRAGMA page_count")[0][0] * 4096 < full / 5)
    await backend.close()
    assert path.stat().st_size < full / 5


async def test_clear_takes_what_was_there_and_leaves_what_comes(backend):
    await backend.set_many([(f"k{n}", entry()) for n in range(2000)])
    clearing = asyncio.ensure_future(backend.clear())
    await asyncio.sleep(0)
    while not clearing.done():
        await backend.set("during", entry())
    assert clearing.result() >= 2000
    await backend.set("during", entry())
    assert [key for key, _ in await backend.iterate()] == ["during"]


async def test_an_index_that_missed_too_much_is_read_anew(backend, path, monkeypatch):
    monkeypatch.setattr(write_module, "_KEPT_DELETIONS", 10)
    other = SQLiteBackend(path)
    for number in range(200):
        await backend.set(f"k{number}", entry(embedding=[1.0, number]))
    assert len(await other.find_candidates([1.0, 0.0], 0.0, k=300)) == 200
    for number in range(150):
        await backend.delete(f"k{number}")
    backend._writer._next_look = 0.0
    await backend.set("new", entry(embedding=[1.0, -1.0]))
    await eventually(lambda: raw(path, "SELECT count(*) FROM deletions") == [(10,)])
    assert [c.key for c in await other.find_candidates([1.0, -1.0], 0.9, k=1)] == ["new"]
    assert (await other.get_stats())["index_size"] == 51  # nothing stale is held on to
    found = await other.find_candidates([1.0, 0.0], 0.0, k=300)
    assert {c.key for c in found} == {"new"} | {f"k{n}" for n in range(150, 200)}
    await other.close()


async def test_what_another_instance_changes_is_seen_at_once(backend, path):
    other = SQLiteBackend(path)
    await backend.set("k", entry("one", embedding=[1.0, 0.0]))
    assert (await other.find_similar([1.0, 0.0], 0.9))[1].response == "one"
    await other.set("k", entry("two", embedding=[0.0, 1.0]))
    assert (await backend.get("k")).response == "two"
    assert await backend.find_similar([1.0, 0.0], 0.9) is None
    assert (await backend.find_similar([0.0, 1.0], 0.9))[1].response == "two"
    await backend.delete("k")
    assert await other.find_similar([0.0, 1.0], 0.9) is None
    assert (await other.get_stats())["index_size"] == 0
    await other.close()


async def test_a_search_that_fails_half_way_does_not_spoil_the_index(backend, monkeypatch):
    await backend.set_many([(f"k{n}", entry(embedding=[1.0, n])) for n in range(10)])
    index = backend._searcher.index
    add_many = index.add_many

    def fail_after(*args, **kwargs):
        add_many(*args, **kwargs)
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(index, "add_many", fail_after)
    with pytest.raises(CacheBackendError, match="I/O"):
        await backend.find_candidates([1.0, 0.0], 0.0)
    monkeypatch.undo()
    assert len(await backend.find_candidates([1.0, 0.0], 0.0, k=100)) == 10
    assert len(index) == 10


# ------------------------------------------------------------------------------- threads


async def test_gets_go_on_while_much_is_written(backend):
    await backend.set("k", entry())
    rows = np.random.default_rng(0).normal(size=(3000, 64))
    writing = asyncio.ensure_future(
        backend.set_many([(f"w{n}", entry("x" * 1000, embedding=row)) for n, row in enumerate(rows)])
    )
    gets = 0
    while not writing.done():
        assert await backend.get("k") is not None
        gets += 1
    assert gets > 20
    assert writing.result() == 3000


async def test_close_ends_the_threads_and_finishes_what_waits(path):
    backend = SQLiteBackend(path)
    waiting = [asyncio.ensure_future(backend.set(f"k{n}", entry(embedding=[1.0]))) for n in range(100)]
    await asyncio.sleep(0)
    await backend.find_similar([1.0], 0.5)
    threads = [worker._thread for worker in backend._workers if worker._thread is not None]
    assert len(threads) == 2
    assert all(thread.daemon and thread.name.startswith("semantic-llm-cache-") for thread in threads)
    await backend.close()
    await asyncio.gather(*waiting)
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert raw(path, "SELECT count(*) FROM entries") == [(100,)]


async def test_a_forgotten_backend_ends_its_threads(path):
    backend = SQLiteBackend(path)
    await backend.set("k", entry(embedding=[1.0]))
    await backend.find_similar([1.0], 0.5)
    threads = [worker._thread for worker in backend._workers if worker._thread is not None]
    del backend
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


def test_the_clock_may_be_exchanged(path):
    async def main():
        clock = Clock()
        backend = SQLiteBackend(path)
        backend.clock = clock
        assert backend.clock is clock
        await backend.set("k", entry(created_at=clock.now, ttl=10))
        assert await backend.get("k") is not None
        clock.now += 10
        assert await backend.get("k") is None
        await backend.close()

    asyncio.run(main())
