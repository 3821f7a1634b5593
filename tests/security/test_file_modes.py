"""Files that hold prompts are for their owner alone, whatever the umask; a mode that a file has stays."""

import asyncio
import os
import stat
import sys

import pytest

from semantic_llm_cache import SemanticCache, export_cache
from semantic_llm_cache.backends import SQLiteBackend
from semantic_llm_cache.backends.sqlite import index as _sqlite_index
from semantic_llm_cache.cli import main
from semantic_llm_cache.config import CacheEntry

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")


@pytest.fixture(params=[0o000, 0o022, 0o277, 0o777], ids=oct)
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def modes(folder):
    return {name: mode(folder / name) for name in os.listdir(folder)}


def entry(number=0):
    return CacheEntry(f"prompt {number}", "an answer", embedding=[1.0, number / 100], scope="s", embedder="e")


async def test_a_new_database(tmp_path, umask):
    os.chmod(tmp_path, 0o755)
    async with SQLiteBackend(tmp_path / "cache.db") as backend:
        await backend.set("k", entry())
        assert modes(tmp_path) == dict.fromkeys(("cache.db", "cache.db-wal", "cache.db-shm"), 0o600)


async def test_a_database_that_is_read_first(tmp_path, umask):
    async with SQLiteBackend(tmp_path / "cache.db") as backend:
        assert await backend.get("k") is None
        assert set(modes(tmp_path).values()) == {0o600}


async def test_there_is_no_moment_in_which_others_can_read_it(tmp_path, umask, monkeypatch):
    seen = []
    real = os.open

    def watched(path, flags, mode=0o777, **rest):
        handle = real(path, flags, mode, **rest)
        if str(path).endswith("cache.db"):
            seen.append((flags & os.O_EXCL, stat.S_IMODE(os.fstat(handle).st_mode) & 0o077))
        return handle

    monkeypatch.setattr("os.open", watched)
    async with SQLiteBackend(tmp_path / "cache.db") as backend:
        await backend.set("k", entry())
    assert seen == [(os.O_EXCL, 0)]


@pytest.mark.parametrize("kept", [0o640, 0o660, 0o600, 0o644])
async def test_an_existing_file_keeps_its_mode_and_gives_it_to_those_beside_it(tmp_path, umask, kept):
    path = tmp_path / "cache.db"
    path.touch()
    os.chmod(path, kept)
    async with SQLiteBackend(path) as backend:
        await backend.set("k", entry())
        assert modes(tmp_path) == dict.fromkeys(("cache.db", "cache.db-wal", "cache.db-shm"), kept)
    assert modes(tmp_path) == {"cache.db": kept}


async def test_through_symbolic_links(tmp_path):
    before = os.umask(0)
    try:
        (tmp_path / "there").mkdir()
        (tmp_path / "link.db").symlink_to(tmp_path / "there" / "cache.db")  # to a file that is not there yet
        async with SQLiteBackend(tmp_path / "link.db") as backend:
            await backend.set("k", entry())
            assert set(modes(tmp_path / "there").values()) == {0o600}
            assert (tmp_path / "link.db").is_symlink()
    finally:
        os.umask(before)


async def test_the_index_file(tmp_path, umask, monkeypatch):
    monkeypatch.setattr(_sqlite_index, "_LEAST", 20)
    for number, kept in enumerate((None, 0o640)):
        path = tmp_path / f"{number}.db"
        if kept is not None:
            path.touch()
            os.chmod(path, kept)
        async with SQLiteBackend(path) as backend:
            await backend.set_many((f"k{n}", entry(n)) for n in range(50))
            await backend.find_candidates([1.0, 0.0], 0.5)
        assert mode(f"{path}-index") == (kept or 0o600)


@pytest.mark.parametrize("name", ["out.json", "out.jsonl"])
async def test_exports(tmp_path, umask, name):
    async with SQLiteBackend(tmp_path / "cache.db") as backend:
        await backend.set("k", entry())
        path = tmp_path / name
        await export_cache(filepath=path, backend=backend)
        assert mode(path) == 0o600
        os.chmod(path, 0o644)
        await export_cache(filepath=path, backend=backend)
        assert mode(path) == 0o644  # somebody has wanted it so
        link = tmp_path / f"link-{name}"
        link.symlink_to(path)
        await export_cache(filepath=link, backend=backend)
        assert link.is_symlink()


def test_copies_and_exports_of_the_command_line(tmp_path, umask, capsys):
    async def fill():
        async with SQLiteBackend(tmp_path / "cache.db") as backend:

            @SemanticCache(backend).cache()
            async def ask(prompt: str):
                return "an answer"

            await ask("a question")

    asyncio.run(fill())
    assert main(["copy", str(tmp_path / "cache.db"), str(tmp_path / "copy.db")]) == 0
    assert main(["export", str(tmp_path / "e.jsonl"), "--db", str(tmp_path / "copy.db")]) == 0
    assert main(["import", str(tmp_path / "e.jsonl"), "--db", str(tmp_path / "import.db")]) == 0
    assert set(modes(tmp_path).values()) == {0o600}
