"""SQLite with many entries: the index beside the file, eviction, and the size of the file. Thresholds are lowered."""

# ruff: noqa: ASYNC220, ASYNC230, ASYNC240, ASYNC251  (nothing else runs in these loops)

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

from semantic_llm_cache.backends import SQLiteBackend
from semantic_llm_cache.backends.eviction import Standing, check_policy, score
from semantic_llm_cache.backends.sqlite import evict as evict_module
from semantic_llm_cache.backends.sqlite import index as index_module
from semantic_llm_cache.backends.sqlite import write as write_module
from semantic_llm_cache.backends.sqlite.search import Searcher
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.testing import Clock

DIM = 16
_rows = np.random.default_rng(1).normal(size=(3000, DIM)).astype(np.float32)
ROWS = _rows / np.linalg.norm(_rows, axis=1, keepdims=True)


def entry(number, response="answer", **fields):
    return CacheEntry(f"prompt {number}", response, None if number is None else ROWS[number], **fields)


def items(first, last):
    return [(f"k{number}", entry(number, str(number))) for number in range(first, last)]


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "cache.db")


@pytest.fixture
def loads(monkeypatch):
    """How many vectors were read from the table, each time an index was caught up."""
    counts = []
    plain = Searcher._load

    def load(self, *args):
        count = plain(self, *args)
        counts.append(count)
        return count

    monkeypatch.setattr(Searcher, "_load", load)
    return counts


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(index_module, "_LEAST", 100)


def backend(path, list_rows=300, **options):
    made = SQLiteBackend(path, **options)
    made._searcher.index.indexer.list_rows = list_rows
    return made


async def answer(backend, number):
    found = await backend.find_similar(ROWS[number], 0.95)
    return None if found is None else found[1].response


async def kept(path, first=0, last=600, list_rows=300):
    """A database with its index beside it."""
    made = backend(path, list_rows)
    await made.set_many(items(first, last))
    assert await answer(made, first) == str(first)
    await made.close()
    assert os.path.exists(path + "-index")
    return made


def raw(path, sql, *parameters):
    connection = sqlite3.connect(path)
    with connection:
        rows = connection.execute(sql, parameters).fetchall()
    connection.close()
    return rows


# ------------------------------------------------------------------------------ beside the database


async def test_the_index_is_taken_from_its_file(path, loads):
    await kept(path)
    assert loads == [600]
    again = backend(path)
    for number in (0, 299, 599):
        assert await answer(again, number) == str(number)
    assert await answer(again, 700) is None
    assert (loads[0], sum(loads[1:])) == (600, 0)
    assert again._searcher.index.indexer.wait(20)
    assert (await again.get_stats())["indexed"] > 0
    assert await answer(again, 5) == "5"
    await again.close()
    assert sorted(os.listdir(os.path.dirname(path))) == ["cache.db", "cache.db-index"]
    assert os.stat(path).st_mode == os.stat(path + "-index").st_mode


async def test_a_cache_that_was_only_read_leaves_no_log_behind(path):
    """Where nothing is written, two readers close last: at once, each took the other for the one to empty the log."""
    await kept(path)
    for _ in range(40):
        again = backend(path)
        assert await again.get("k5") is not None
        assert await answer(again, 5) == "5"
        await again.close()
        assert not os.path.exists(path + "-wal")


async def test_a_file_is_caught_up_with_what_was_written_and_deleted_since(path, loads):
    await kept(path)
    other = backend(path)  # writes without ever searching: it does not know of an index
    await other.set_many(items(600, 650))
    await other.set("k7", entry(2000, "moved"))
    await other.delete("k8")
    await other.close()
    again = backend(path)
    assert await answer(again, 620) == "620"
    assert await answer(again, 7) is None
    assert await answer(again, 8) is None
    assert await answer(again, 2000) == "moved"
    assert await answer(again, 9) == "9"
    assert (loads[0], sum(loads[1:])) == (600, 51)
    assert again._searcher.index.indexer.wait(20)
    assert await answer(again, 8) is None
    assert await answer(again, 9) == "9"
    assert (await again.get_stats())["index_size"] == 649
    await again.close()


async def test_a_file_is_caught_up_after_the_log_of_deletions_was_pruned(path, loads, monkeypatch):
    await kept(path)
    monkeypatch.setattr(write_module, "_KEPT_DELETIONS", 10)
    other = backend(path)
    await other.delete_many([f"k{number}" for number in range(100, 500)])
    other._writer._next_look = 0.0
    await other.set("new", entry(2000, "new"))
    for _ in range(500):
        if raw(path, "SELECT count(*) FROM deletions") == [(10,)]:
            break
        await asyncio.sleep(0.01)
    await other.close()
    again = backend(path)
    assert await answer(again, 2000) == "new"
    assert await answer(again, 300) is None
    assert await answer(again, 50) == "50"
    assert (await again.get_stats())["index_size"] == 201
    assert (loads[0], sum(loads[1:])) == (600, 1)
    await again.close()


async def test_closing_writes_what_a_file_under_way_lacks(path, loads, monkeypatch):
    """The index had grown enough for a file before it was known up to which entry it had been read."""
    begun, may_end = threading.Event(), threading.Event()
    publish, load = index_module.IndexFile._publish, Searcher._load

    def slow(self, *args):
        begun.set()
        may_end.wait(20)
        return publish(self, *args)

    def early(self, *args):
        count = load(self, *args)
        if not begun.is_set():
            self.file._ask()
            begun.wait(20)
        return count

    monkeypatch.setattr(index_module.IndexFile, "_publish", slow)
    monkeypatch.setattr(Searcher, "_load", early)
    threading.Timer(0.2, may_end.set).start()
    await kept(path)
    again = backend(path)
    assert await answer(again, 5) == "5"
    assert (loads[0], sum(loads[1:])) == (600, 0)
    await again.close()


async def test_a_file_is_written_anew_when_much_has_changed(path, loads):
    await kept(path, list_rows=10_000)
    again = backend(path, 10_000)
    assert await answer(again, 0) == "0"
    before = os.stat(path + "-index").st_ino
    await again.set_many(items(600, 650))
    assert await answer(again, 601) == "601"
    await again.close()
    assert os.stat(path + "-index").st_ino == before
    await again.set_many(items(650, 800))
    assert await answer(again, 701) == "701"
    await again.close()
    assert os.stat(path + "-index").st_ino != before
    last = backend(path, 10_000)
    assert await answer(last, 799) == "799"
    assert loads[-1] == 0
    await last.close()


async def test_the_lists_are_kept_too(path):
    made = backend(path)
    await made.set_many(items(0, 600))
    assert await answer(made, 0) == "0"
    indexer = made._searcher.index.indexer
    assert indexer.wait(20)
    indexed = made._searcher.index.indexed
    assert indexed > 0
    await made.close()
    again = backend(path)
    assert await answer(again, 0) == "0"
    assert again._searcher.index.indexed == indexed
    assert again._searcher.index.indexer.wait(20)
    (partition,) = again._searcher.index.partitions()
    assert partition.indexed == indexed
    assert await answer(again, 77) == "77"
    await again.close()


async def test_after_the_last_close_the_database_is_one_file(path):
    """Connections that close at once can each take another for the last one, and leave the WAL behind."""
    for _ in range(60):
        made = backend(path)
        await made.set("k", entry(0))
        assert await made.get("k") is not None
        assert await answer(made, 0) is not None
        await made.close()
        assert os.listdir(os.path.dirname(path)) == ["cache.db"]


async def test_few_entries_make_no_file(path):
    made = backend(path)
    await made.set_many(items(0, 99))
    assert await answer(made, 3) == "3"
    await made.close()
    assert os.listdir(os.path.dirname(path)) == ["cache.db"]


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "other", "vectors"])
async def test_a_damaged_file_is_made_anew(path, loads, caplog, damage):
    await kept(path)
    file = path + "-index"
    with open(file, "r+b") as opened:
        data = opened.read()
        if damage == "flipped":
            opened.seek(len(data) - 300)  # in the header
            opened.write(bytes([data[-300] ^ 4]))
        elif damage == "cut":
            opened.truncate(len(data) // 2)
        elif damage == "empty":
            opened.truncate(0)
        elif damage == "other":
            opened.seek(0)
            opened.write(b"SQLite format 3\0")
        else:  # not seen when it is opened, and every vector is now another entry's
            start = data.index(ROWS[1].tobytes())
            opened.seek(start)
            opened.write(np.roll(ROWS[1:300], 1, axis=0).tobytes())
    again = backend(path)
    if damage == "vectors":  # seen when they are verified, in the background: until then a hit may be lost
        assert await answer(again, 1) in (None, "1")
        assert again._searcher.index.indexer.wait(20)
    for number in (1, 0, 2, 250, 599):
        assert await answer(again, number) == str(number)
    assert "created again" in caplog.text or "read again" in caplog.text
    again._searcher.index.indexer.wait(20)
    assert await answer(again, 100) == "100"
    assert loads.count(600) >= 2
    await again.close()
    last = backend(path)  # and there is a good one again
    assert await answer(last, 100) == "100"
    assert loads.count(600) >= 2
    await last.close()


async def test_the_index_of_another_database_is_not_used(path, tmp_path, caplog):
    await kept(path)
    other = str(tmp_path / "other.db")
    made = await kept(other, 1000, 1700)
    shutil.copy(path + "-index", other + "-index")
    again = backend(other)
    assert await answer(again, 1005) == "1005"
    assert await answer(again, 5) is None
    assert "another database" in caplog.text
    await again.close()
    await made.close()


async def test_a_database_that_was_put_back_is_not_searched_by_its_later_index(path, caplog):
    """An older copy of the database lies beside an index of later entries, and has gone another way since."""
    await kept(path, 0, 200)
    saved = path + ".saved"
    shutil.copy(path, saved)
    later = backend(path)
    await later.set_many(items(200, 600))
    assert await answer(later, 300) == "300"
    await later.close()
    shutil.copy(saved, path)
    other = backend(path)
    await other.set_many([(f"o{number}", entry(number, f"other {number}")) for number in range(1000, 2000)])
    assert await answer(other, 1500) == "other 1500"
    assert "another state" in caplog.text
    assert await answer(other, 300) is None
    assert await answer(other, 100) == "100"
    await other.close()


async def test_an_index_never_gives_an_entry_that_is_not_near(path, caplog):
    """Whatever the index says: what is returned has been compared with the stored vector."""
    made = await kept(path)
    assert await answer(made, 3) == "3"
    index = made._searcher.index
    (partition,) = index.partitions()
    ids = list(partition.ids)
    index.add(ids[10], ROWS[2500])
    assert await answer(made, 2500) is None
    assert "does not agree" in caplog.text
    assert await answer(made, 10) == "10"
    await made.close()


async def test_an_index_is_not_published_for_a_new_database_at_the_same_path(path):
    made = backend(path)
    await made.set_many(items(0, 600))
    assert await answer(made, 3) == "3"
    made._searcher.index.indexer.wait(20)
    for name in os.listdir(os.path.dirname(path)):
        os.unlink(os.path.join(os.path.dirname(path), name))
    new = backend(path)
    await new.set_many(items(1000, 1010))
    made._searcher.file._ask()
    made._searcher.index.indexer.wait(20)
    assert not os.path.exists(path + "-index")
    await made.close()
    assert await answer(new, 1005) == "1005"
    await new.close()


async def test_a_folder_that_cannot_be_written_costs_the_file_only(path, caplog, monkeypatch):
    made = backend(path)
    await made.set_many(items(0, 600))
    os.mkdir(path + "-index.tmp")
    assert await answer(made, 3) == "3"
    await made.close()
    assert "could not be written" in caplog.text
    assert not os.path.exists(path + "-index")


PROCESS = textwrap.dedent(
    """
    import asyncio, sys
    import numpy as np
    from semantic_llm_cache.backends import SQLiteBackend
    from semantic_llm_cache.backends.sqlite import index as _sqlite_index
    from semantic_llm_cache.config import CacheEntry
    _sqlite_index._LEAST = 100
    rows = np.random.default_rng(1).normal(size=(3000, 16)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    path, first = sys.argv[1], int(sys.argv[2])
    def entry(number):
        return CacheEntry(f"prompt {number}", str(number), rows[number])
    def make():
        backend = SQLiteBackend(path)
        backend._searcher.index.indexer.list_rows = 300
        return backend
    async def look(backend, number):
        found = await backend.find_similar(rows[number], 0.95)
        return None if found is None else found[1].response
    """
)


async def test_killed_while_the_index_is_written(path, loads):
    """SIGKILL at any moment: the next process answers right, from the file or without."""
    code = PROCESS + textwrap.dedent(
        """
        async def main():
            backend = make()
            await backend.set_many([(f"k{n}", entry(n)) for n in range(first, first + 200)])
            await look(backend, first)
            file = backend._searcher.file
            print("writing", flush=True)
            while True:
                file._indexed = -10**6
                file._ask()
                while file._asked:
                    await asyncio.sleep(0)
                assert await look(backend, first) == str(first)
        asyncio.run(main())
        """
    )
    found = 0
    for round, delay in enumerate((0.005, 0.02, 0.05, 0.1)):
        with subprocess.Popen([sys.executable, "-c", code, path, str(200 * round)], stdout=subprocess.PIPE) as process:
            assert process.stdout.readline() == b"writing\n"
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
        loads.clear()
        again = backend(path)
        for number in (0, 200 * round + 100, 200 * round + 199):
            assert await answer(again, number) == str(number)
        found += loads[0] < 200 * (round + 1)
        assert again._searcher.index.indexer.wait(20)
        assert await answer(again, 200 * round + 50) == str(200 * round + 50)
        await again.close()
    assert found >= 1  # the file of a killed process is taken when it was finished


async def test_processes_that_all_write_the_index(path, loads):
    code = PROCESS + textwrap.dedent(
        """
        async def main():
            backend = make()
            for start in range(first, first + 300, 100):
                await backend.set_many([(f"k{n}", entry(n)) for n in range(start, start + 100)])
                assert await look(backend, start + 7) == str(start + 7)
                backend._searcher.file._ask()
            await backend.close()
        asyncio.run(main())
        """
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, path, str(300 * n)]) for n in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    again = backend(path)
    for number in range(0, 900, 50):
        assert await answer(again, number) == str(number)
    assert loads[0] < 900
    assert again._searcher.index.indexer.wait(20)
    assert not again._searcher.file.damaged
    await again.close()
    assert sorted(os.listdir(os.path.dirname(path)))[:2] == ["cache.db", "cache.db-index"]


def test_a_fork_while_the_index_is_written(path, run_script):
    run_script(
        PROCESS
        + textwrap.dedent(
            """
            import os
            async def before():
                await backend.set_many([(f"k{n}", entry(n)) for n in range(600)])
                assert await look(backend, 7) == "7"
                backend._searcher.file._ask()
            async def after(own):
                await backend.set(f"k{own}", entry(own))
                assert await look(backend, own) == str(own)
                assert await look(backend, 77) == "77"
                await backend.close()
            backend = make()
            asyncio.run(before())
            children = []
            for own in (1000, 1001):
                if not (child := os.fork()):
                    asyncio.run(after(own))
                    os._exit(0)
                children.append(child)
            asyncio.run(after(1002))
            assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
            """
        ),
        path,
        "0",
    )


def test_a_process_that_does_not_close_ends_at_once(path, run_script):
    run_script(
        PROCESS
        + textwrap.dedent(
            """
            async def main():
                await backend.set_many([(f"k{n}", entry(n)) for n in range(2000)])
                assert await look(backend, 7) == "7"
            backend = make()
            asyncio.run(main())
            """
        ),
        path,
        "0",
        timeout=20,
    )


# --------------------------------------------------------------------------------- eviction


def test_score_orders_as_the_policies_say():
    base = Standing(3, last_accessed=1000.0, created_at=500.0, duration_ms=900.0, cost_usd=0.002, size=2000)

    def of(policy, **changes):
        return score(policy, base._replace(**changes))

    assert of("lru", last_accessed=0.0, created_at=1001.0) > of("lru") > of("lru", last_accessed=999.0, hits=50)
    assert of("lfu", hits=4) > of("lfu") > of("lfu", hits=2, duration_ms=9e9)
    assert of("lfu", last_accessed=1001.0) > of("lfu")
    assert of("lfu", hits=7, last_accessed=1e6) < of("lfu", hits=3, last_accessed=1e6 + 8 * 86400)  # it ages
    assert of("cost", duration_ms=1800.0) > of("cost") > of("cost", size=2100)
    assert of("cost", cost_usd=0.003) > of("cost") < of("cost", hits=4)
    assert of("cost", cost_usd=0.0, duration_ms=0.0) == of("cost", cost_usd=-1.0, duration_ms=-5.0)
    assert [check_policy(name) for name in ("lru", "lfu", "cost")] == ["lru", "lfu", "cost"]
    with pytest.raises(ValueError, match="'lru', 'lfu', 'cost'"):
        check_policy("fifo")


def test_arguments_are_checked(path):
    for bad in (0, -1, True, 1.5, "9"):
        with pytest.raises(ValueError, match="max_bytes"):
            SQLiteBackend(path, max_bytes=bad)
    with pytest.raises(ValueError, match="eviction='random'"):
        SQLiteBackend(path, eviction="random")


async def keys(backend):
    return {key for key, _ in await backend.iterate()}


async def test_lfu_keeps_what_is_hit(path):
    clock = Clock()
    async with SQLiteBackend(path, max_size=4, eviction="lfu", clock=clock) as made:
        for number in range(4):
            await made.set(f"k{number}", CacheEntry("p", "r", created_at=clock()))
            clock.now += 1
        await made.record_hits({"k0": 3, "k2": 1}, clock())
        for number in range(4, 8):
            await made.set(f"k{number}", CacheEntry("p", "r", created_at=clock()))
            clock.now += 1
        assert await keys(made) == {"k0", "k2", "k6", "k7"}
        await made.record_hits({"k6": 9, "k7": 9}, clock())
        await made.set("last", CacheEntry("p", "r", created_at=clock()))
        assert await keys(made) == {"k0", "k6", "k7", "last"}
        assert made.evictions == 5


async def test_cost_keeps_what_saves_most_per_byte(path):
    async with SQLiteBackend(path, max_size=3, eviction="cost") as made:
        now = 1_000_000.0
        await made.set("slow", CacheEntry("p", "r", created_at=now, duration_ms=5000.0))
        await made.set("dear", CacheEntry("p", "r", created_at=now, cost_usd=0.05))
        await made.set("large", CacheEntry("p", "r" * 100_000, created_at=now, duration_ms=5000.0))
        await made.set("quick", CacheEntry("p", "r", created_at=now, duration_ms=50.0))
        assert await keys(made) == {"slow", "dear", "quick"}
        await made.record_hits({"quick": 500}, now)
        await made.set("plain", CacheEntry("p", "r", created_at=now, duration_ms=900.0))
        assert await keys(made) == {"quick", "dear", "plain"}


@pytest.mark.parametrize("policy", ["lru", "lfu", "cost"])
async def test_what_is_written_just_now_stays(path, policy):
    """An entry that would be the first to go, by its age and hits, is not evicted by its own write."""
    async with SQLiteBackend(path, max_size=3, eviction=policy) as made:
        for number in range(3):
            await made.set(f"k{number}", CacheEntry("p", "r", duration_ms=1000.0))
        await made.record_hits({f"k{number}": 5 for number in range(3)}, time.time())
        await made.set("old", CacheEntry("p", "r", created_at=1.0))
        assert (await made.get("old")).response == "r"
        assert (await made.get_stats())["size"] == 3
        await made.set_many([(f"many{number}", CacheEntry("p", "r")) for number in range(10)])
        assert (await made.get_stats())["size"] == 3


@pytest.mark.parametrize("policy", ["lfu", "cost"])
async def test_a_sample_is_good_enough(path, policy, monkeypatch):
    """Of 2,000 entries 300 go: few of those that were hit, by a choice from samples."""
    monkeypatch.setattr(evict_module, "_ALL", 100)
    monkeypatch.setattr(evict_module, "_RUNS", 32)
    async with SQLiteBackend(path, max_size=2000, eviction=policy) as made:
        now = time.time()
        await made.set_many([(f"k{n}", CacheEntry("p", "r", created_at=now, duration_ms=900.0)) for n in range(2000)])
        await made.record_hits({f"k{n}": 5 for n in range(0, 2000, 2)}, now)
        for number in range(300):
            await made.set(f"new{number}", CacheEntry("p", "r", created_at=now, duration_ms=900.0))
        left = await keys(made)
        assert len(left) == 2000
        assert sum(f"k{n}" in left for n in range(0, 2000, 2)) >= 995
        assert made.evictions == 300


async def test_max_bytes_bounds_the_file(path):
    """Ten times as much is written as may stay: the file remains small, and what was used last is in it."""
    bound = 1_000_000
    async with SQLiteBackend(path, max_bytes=bound) as made:
        for start in range(0, 10_000, 500):
            await made.set_many(
                [(f"k{n}", CacheEntry(f"p{n}", "answer " * 100, ROWS[n % 3000])) for n in range(start, start + 500)]
            )
        await made.set("last", CacheEntry("p", "r"))
        stats = await made.get_stats()
        assert 0.5 * bound / 1500 < stats["size"] < 10_000
        assert await made.get("k9999") is not None
        assert await made.get("k0") is None
        for _ in range(300):
            (pages,), (free,) = raw(path, "PRAGMA page_count")[0], raw(path, "PRAGMA freelist_count")[0]
            if 4096 * pages < 1.7 * bound + 2_000_000:
                break
            await asyncio.sleep(0.05)
        assert 4096 * (pages - free) < 1.2 * bound
        assert 4096 * pages < 1.7 * bound + 2_000_000


@pytest.mark.parametrize("policy", ["lru", "lfu", "cost"])
async def test_the_file_stays_bounded_when_ten_times_max_size_goes_through(path, policy):
    async with SQLiteBackend(path, max_size=300, eviction=policy) as made:
        sizes = []
        for start in range(0, 3000, 100):
            batch = [(f"k{n}", CacheEntry(f"p{n}", "answer " * 100, ROWS[n])) for n in range(start, start + 100)]
            await made.set_many(batch)
            sizes.append((await made.get_stats())["bytes"])
        assert (await made.get_stats())["size"] == 300
        assert max(sizes) <= 2 * sizes[3] + 500_000
        assert await answer_of(made, 2950) == 2950
        assert [await answer_of(made, n) for n in range(2900, 3000, 10)] == list(range(2900, 3000, 10))


async def answer_of(made, number):
    found = await made.find_similar(ROWS[number], 0.95)
    return None if found is None else int(found[0][1:])


async def test_readers_do_not_wait_for_a_large_eviction(path):
    """2,000 entries are too many for who opens the file next: they go in steps, others read meanwhile."""
    async with SQLiteBackend(path) as filler:
        await filler.set_many(items(0, 2500))
    async with SQLiteBackend(path, max_size=500) as made:
        writing = asyncio.ensure_future(made.set("new", CacheEntry("p", "r")))
        assert (await made.get("k2499")) is not None
        await writing
        for _ in range(500):
            if (await made.get_stats())["size"] == 500:
                break
            assert (await made.get("new")).response == "r"
            await asyncio.sleep(0.01)
        assert (await made.get_stats())["size"] == 500
