"""SQLite files in trouble: the decorated function still answers, and who wants to know is told."""

import asyncio
import logging
import sqlite3

import pytest
from engine_helpers import gathered

from semantic_llm_cache import CacheBackendError, SemanticCache, last_lookup
from semantic_llm_cache.backends import SQLiteBackend


def no_database(tmp_path):
    path = tmp_path / "cache.db"
    path.write_bytes(b"this is a letter, not a database\n" * 200)
    return path


def no_folder(tmp_path):
    return tmp_path / "no" / "such" / "folder" / "cache.db"


def a_folder(tmp_path):
    path = tmp_path / "cache.db"
    path.mkdir()
    return path


def cut_off(tmp_path):
    path = tmp_path / "cache.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE filler (text)")
        connection.executemany("INSERT INTO filler VALUES (?)", [("x" * 1000,)] * 100)
    connection.close()
    path.write_bytes(path.read_bytes()[:5000])
    return path


def somebody_elses(tmp_path):
    path = tmp_path / "cache.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE entries (name TEXT, age INTEGER)")
    connection.commit()
    connection.close()
    return path


@pytest.mark.parametrize("make", [no_database, no_folder, a_folder, cut_off, somebody_elses])
@pytest.mark.parametrize("similarity", [1.0, 0.9], ids=["exact", "near"])
async def test_a_file_that_cannot_be_used(make, similarity, tmp_path, caplog):
    caplog.set_level(logging.WARNING, "semantic_llm_cache")
    path = make(tmp_path)
    before = path.read_bytes() if path.is_file() else None
    engine = SemanticCache(SQLiteBackend(path), similarity=similarity, embedder="dummy")
    loud = SemanticCache(SQLiteBackend(path), similarity=similarity, embedder="dummy", on_error="raise")

    @engine.cache()
    async def ask(prompt: str):
        return [prompt]

    @engine.cache()
    def plain(prompt: str):
        return [prompt]

    @loud.cache()
    async def told(prompt: str):
        return [prompt]

    for _ in range(2):
        assert await ask("x") == ["x"]
        assert last_lookup().outcome == "error"
    assert plain("x") == ["x"]
    assert await gathered([asyncio.create_task(ask("y")) for _ in range(5)]) == [["y"]] * 5
    with pytest.raises(CacheBackendError, match=r"cache\.db"):
        await told("x")
    assert ask.cache_info().errors == 2 + 1, "those who joined were served"
    assert 1 <= len([r for r in caplog.records if "cache.db" in r.getMessage()]) <= 2, "one for each backend"
    await engine.close()
    await loud.close()
    if before is not None:
        assert path.read_bytes() == before, "a file that is not ours stays as it is"


READ_ONLY = """
    import asyncio, logging, os, shutil, tempfile
    from semantic_llm_cache import SemanticCache, CacheBackendError, last_lookup
    from semantic_llm_cache.backends import SQLiteBackend

    logging.basicConfig(level=logging.WARNING)
    folder = tempfile.mkdtemp()
    path = os.path.join(folder, "cache.db")

    def make(engine, answer):
        @engine.cache(namespace="team")
        async def ask(prompt: str):
            return answer
        return ask

    async def main():
        async with SemanticCache(SQLiteBackend(path)) as engine:
            await make(engine, "old answer")("old")
        os.chmod(path, 0o444)
        os.chmod(folder, 0o555)
        if os.geteuid() == 0:  # root may write what is read-only
            os.seteuid(65534)
        async with SemanticCache(SQLiteBackend(path)) as engine:
            ask = make(engine, "new")
            for n in range(6):
                assert await ask(f"new {n}") == "new"
                assert await ask("old") == "old answer"
                print(last_lookup().outcome)
            try:
                await make(engine.derive(on_error="raise"), "new")("another")
            except CacheBackendError as error:
                print("told:", "cache.db" in str(error) or "open" in str(error))

    try:
        asyncio.run(main())
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
        os.chmod(folder, 0o755)
        shutil.rmtree(folder)
"""


def test_a_file_that_may_only_be_read_still_serves_its_hits(script):
    status, out, err, _ = script(READ_ONLY)
    assert status == 0, err
    assert out.split("\n")[:-1] == ["exact"] * 6 + ["told: True"]
    assert err.count("WARNING") == 1, err


FULL = """
    import asyncio, logging, resource, signal
    from semantic_llm_cache import SemanticCache, CacheBackendError, last_lookup
    from semantic_llm_cache.backends import SQLiteBackend

    logging.basicConfig(level=logging.WARNING)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    engine = SemanticCache(SQLiteBackend("cache.db"))
    loud = SemanticCache(SQLiteBackend("cache.db"), on_error="raise")

    @engine.cache()
    async def ask(prompt: str):
        return prompt * 1000

    @engine.cache()
    def plain(prompt: str):
        return prompt

    @loud.cache()
    async def told(prompt: str):
        return prompt * 1000

    async def main():
        assert await ask("before") == "before" * 1000
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        for n in range(100):
            assert await ask(f"new {n}") == f"new {n}" * 1000
        print("errors", ask.cache_info().errors > 0)
        assert await ask("before") == "before" * 1000
        print(last_lookup().outcome)
        assert plain("x") == "x"
        try:
            for n in range(100):
                await told(f"told {n}")
        except CacheBackendError as error:
            print("told:", "cache.db" in str(error))

    asyncio.run(main())
"""


def test_a_full_disk(script):
    status, out, err, _ = script(FULL)
    assert status == 0, err
    assert out.split("\n")[:-1] == ["errors True", "exact", "told: True"]
    assert err.count("failed (") <= 2, err
