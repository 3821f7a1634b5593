"""A database file that is deleted or replaced while processes use it."""

import asyncio
import logging
import os
import shutil
import sqlite3
import subprocess
import sys
import textwrap
import time

import pytest

from semantic_llm_cache import SemanticCache, last_lookup
from semantic_llm_cache.backends import SQLiteBackend
from semantic_llm_cache.backends.sqlite import index as _sqlite_index
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.exceptions import CacheBackendError

X, Y = [1.0, 0.0], [0.0, 1.0]


def entry(response, vector=None):
    return CacheEntry(f"prompt of {response}", response, embedding=vector, scope="s", embedder="e")


async def made(path, **entries):
    """Make a closed database of entries by key."""
    async with SQLiteBackend(path) as backend:
        for key, item in entries.items():
            await backend.set(key, item)


def remove(path):
    for suffix in ("", "-wal", "-shm"):
        if os.path.exists(f"{path}{suffix}"):
            os.unlink(f"{path}{suffix}")


def lines(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.fixture
async def backend(tmp_path):
    async with SQLiteBackend(tmp_path / "cache.db", front_size=0) as backend:
        yield backend


@pytest.mark.parametrize("all_of_it", [True, False], ids=["with -wal and -shm", "alone"])
async def test_deleted(backend, caplog, all_of_it):
    await backend.set("old", entry("old", X))
    assert len(await backend.find_candidates(X, 0.9)) == 1
    remove(backend.db_path) if all_of_it else os.unlink(backend.db_path)
    assert await backend.get("old") is None
    assert await backend.find_candidates(X, 0.9) == []
    assert await backend.iterate() == []
    await backend.set("new", entry("new", X))
    assert (await backend.get("new")).response == "new"
    assert [c.entry.response for c in await backend.find_candidates(X, 0.9)] == ["new"]
    (line,) = lines(caplog)
    assert "deleted or replaced" in line
    assert "cache.db" in line
    async with SQLiteBackend(backend.db_path) as other:
        assert [key for key, _ in await other.iterate()] == ["new"]


@pytest.mark.parametrize("first", ["read", "search", "write"])
async def test_replaced(backend, caplog, tmp_path, first):
    for number in range(50):  # more rows, so that ids of the old file mean other entries
        await backend.set(f"old{number}", entry(f"old {number}", X))
    assert len(await backend.find_candidates(X, 0.9, k=100)) == 50
    await made(tmp_path / "new.db", a=entry("a", X), b=entry("b", Y))
    os.replace(tmp_path / "new.db", backend.db_path)  # the -wal of the old one stays behind
    if first == "read":
        assert (await backend.get("a")).response == "a"
    elif first == "search":
        assert [c.key for c in await backend.find_candidates(X, 0.9)] == ["a"]
    else:
        await backend.set("c", entry("c", X))
    await backend.set("c", entry("c", X))
    assert await backend.get("old1") is None
    assert (await backend.get("a")).response == "a"
    assert sorted(c.key for c in await backend.find_candidates(X, 0.9)) == ["a", "c"]
    assert [c.key for c in await backend.find_candidates(Y, 0.9)] == ["b"]
    assert len(lines(caplog)) == 1
    await backend.close()
    connection = sqlite3.connect(backend.db_path)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert connection.execute("SELECT count(*) FROM entries").fetchone() == (3,)
    connection.close()


async def test_replaced_again_and_again(backend, caplog, tmp_path):
    for number in range(5):
        await made(tmp_path / "new.db", k=entry(number, X))
        os.replace(tmp_path / "new.db", backend.db_path)
        assert (await backend.get("k")).response == number
        await backend.set(f"k{number}", entry(number, X))
        assert {c.entry.response for c in await backend.find_candidates(X, 0.9)} == {number}
        if number == 0:
            caplog.clear()
    assert len(lines(caplog)) == 4
    assert len(os.listdir(f"/proc/{os.getpid()}/fd")) < 200


async def test_a_write_is_not_lost_in_a_file_that_has_gone(backend):
    await backend.set("first", entry("first"))
    for number in range(20):
        remove(backend.db_path)
        await backend.set("k", entry(number))
        async with SQLiteBackend(backend.db_path) as other:
            assert (await other.get("k")).response == number


async def test_what_the_front_holds_goes_within_a_second(tmp_path, caplog):
    engine = SemanticCache(SQLiteBackend(tmp_path / "cache.db", front_seconds=60.0))
    calls = []

    @engine.cache()
    async def ask(prompt: str):
        calls.append(prompt)
        return len(calls)

    await ask("x")
    await ask("x")
    await asyncio.sleep(0.6)
    assert await ask("x") == 1
    assert last_lookup().outcome == "exact"
    remove(tmp_path / "cache.db")
    end = time.monotonic() + 1.0
    while await ask("x") == 1:
        assert time.monotonic() < end
        await asyncio.sleep(0.05)
    assert len(lines(caplog)) == 1
    await engine.close()
    await engine.backend.close()


async def test_the_folder_is_removed_and_made_again(tmp_path, caplog):
    folder = tmp_path / "folder"
    folder.mkdir()
    engine = SemanticCache(SQLiteBackend(folder / "cache.db", front_size=0))

    @engine.cache()
    async def ask(prompt: str):
        return prompt

    await ask("x")
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=True)  # the cache may just be writing into it
    for number in range(10):
        assert await ask(f"x{number}") == f"x{number}"
    with pytest.raises(CacheBackendError, match="its folder exists"):
        await engine.backend.get("k")
    folder.mkdir()
    await engine.backend.set("k", entry("k"))  # directly: the engine's breaker is open for 5 s
    assert (await engine.backend.get("k")).response == "k"
    assert [line for line in lines(caplog) if "deleted or replaced" in line].__len__() == 1
    assert len(lines(caplog)) <= 3  # and the outage of reads and of writes
    await engine.close()
    await engine.backend.close()


async def test_a_link_that_leads_elsewhere_now(tmp_path):
    await made(tmp_path / "one.db", k=entry("one"))
    await made(tmp_path / "two.db", k=entry("two"))
    link = tmp_path / "link.db"
    link.symlink_to("one.db")
    async with SQLiteBackend(link, front_size=0) as backend:
        assert (await backend.get("k")).response == "one"
        await backend.set("x", entry("x"))
        link.unlink()
        link.symlink_to("two.db")
        assert (await backend.get("k")).response == "two"
        await backend.set("y", entry("y"))
    async with SQLiteBackend(tmp_path / "one.db") as one, SQLiteBackend(tmp_path / "two.db") as two:
        assert [key for key, _ in await one.iterate()] == ["k", "x"]
        assert [key for key, _ in await two.iterate()] == ["k", "y"]


async def test_eviction_goes_by_the_new_file(tmp_path):
    async with SQLiteBackend(tmp_path / "cache.db", max_size=5, eviction="cost", front_size=0) as backend:
        for number in range(20):
            await backend.set(f"k{number}", entry(number))
        remove(tmp_path / "cache.db")
        for number in range(20):
            await backend.set(f"n{number}", entry(number))
        left = [key for key, _ in await backend.iterate()]
        assert len(left) == 5
        assert "n19" in left


async def test_index_files_beside_it(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(_sqlite_index, "_LEAST", 20)
    path = tmp_path / "cache.db"
    for name, vector in (("other.db", Y), ("cache.db", X)):
        async with SQLiteBackend(tmp_path / name) as backend:
            await backend.set_many((f"{name}{n}", entry(f"{name} {n}", vector)) for n in range(60))
            await backend.find_candidates(X, 0.5)
    async with SQLiteBackend(path) as backend:
        assert len(await backend.find_candidates(X, 0.9, k=100)) == 60  # from the file beside it
        os.unlink(f"{path}-index")
        assert len(await backend.find_candidates(X, 0.9, k=100)) == 60
        for suffix in ("", "-index"):
            os.replace(tmp_path / f"other.db{suffix}", f"{path}{suffix}")
        assert await backend.find_candidates(X, 0.9, k=100) == []
        assert len(await backend.find_candidates(Y, 0.9, k=100)) == 60
        await backend.set_many((f"more{n}", entry(f"more {n}", X)) for n in range(60))
        assert len(await backend.find_candidates(X, 0.9, k=100)) == 60
    async with SQLiteBackend(path) as backend:
        assert len(await backend.find_candidates(X, 0.9, k=200)) == 60
        assert len(await backend.find_candidates(Y, 0.9, k=200)) == 60


async def test_two_processes_meet_in_the_new_file(tmp_path, backend):
    await backend.set("k", entry("old", X))
    script = """
        import asyncio, sys
        from semantic_llm_cache.backends import SQLiteBackend
        from semantic_llm_cache.config import CacheEntry
        async def main():
            async with SQLiteBackend(sys.argv[1], front_size=0) as backend:
                print((await backend.get("k")).response, flush=True)
                sys.stdin.readline()
                print(await backend.get("k"), flush=True)
                await backend.set("theirs", CacheEntry("p", "theirs"))
                print((await backend.get("ours")).response, flush=True)
        asyncio.run(main())
    """
    process = subprocess.Popen(  # noqa: ASYNC220 - the test waits for it in any case
        [sys.executable, "-c", textwrap.dedent(script), backend.db_path],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        assert process.stdout.readline() == "old\n"
        remove(backend.db_path)
        await backend.set("ours", entry("ours"))
        print("go", file=process.stdin, flush=True)
        assert process.stdout.readline() == "None\n"
        assert process.stdout.readline() == "ours\n"
        assert process.wait(10) == 0
    assert (await backend.get("theirs")).response == "theirs"


async def test_load_while_the_file_is_replaced(tmp_path):
    path = tmp_path / "cache.db"
    stop = False
    async with SQLiteBackend(path, front_size=0) as backend:

        async def use(number):
            done = 0
            while not stop:
                key = f"{number}-{done}"
                await backend.set(key, entry(key, X))
                await backend.get(key)
                for found in await backend.find_candidates(X, 0.9, k=3):
                    assert found.entry.response == found.key
                done += 1
            return done

        tasks = [asyncio.create_task(use(number)) for number in range(4)]
        for number in range(10):
            await asyncio.sleep(0.05)
            await made(tmp_path / "new.db", **{f"new{number}": entry(f"new{number}", X)})
            os.replace(tmp_path / "new.db", path)
        stop = True
        assert all(await asyncio.gather(*tasks))
        assert (await backend.get("new9")).response == "new9"
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
