"""Brings the data in ``data/`` back to where they can be asked: files are copied, server data restored."""

import asyncio
import base64
import json
import shutil
import sys
import time
from pathlib import Path

import pytest

from semantic_llm_cache.backends import backend_from_url

DATA = Path(__file__).parent / "data"
sys.path.insert(0, str(Path(__file__).parent.parent / "support"))

PLACES = ["sqlite", "redis-search", "redis-vectorset", "redis-plain", "postgres"]
"""Where the data were written, one cache each."""


def expected(place):
    """Return what the cache held when it was written: entries, counters, budget."""
    return json.loads((DATA / "expected.json").read_text())[place]


async def loaded(place, folder):
    """Return the URL of a copy of the cache in a folder or on a server of the tests."""
    if place == "sqlite":
        copy = folder / "cache.sqlite3"
        shutil.copyfile(DATA / copy.name, copy)
        return f"sqlite:///{copy}"
    if place == "postgres":
        return await _postgres()
    url = _redis(place.partition("-")[2])
    await _until_searchable(url)
    return url


async def _until_searchable(url):
    """Wait for the search module, which indexes in the background what is there before the index."""
    async with backend_from_url(url) as backend:
        end = time.monotonic() + 20
        for _, entry in await backend.iterate():
            while entry.embedding is not None and await backend.find_similar(entry.embedding, 0.99) is None:
                assert time.monotonic() < end, "what was restored is not found"
                await asyncio.sleep(0.01)


def _redis(way):
    """Restore the keys under a prefix of the test's own; return the cache's URL."""
    import redis
    from redis_servers import own_prefix, server_url

    saved = json.loads((DATA / f"redis-{way}.json").read_text())
    written, prefix = saved["prefix"].encode(), own_prefix()
    with redis.Redis.from_url(server_url(way)) as client:
        version = client.info("server")["redis_version"]
        if _numbers(version) < _numbers(saved["redis"]):
            pytest.skip(f"the data are of Redis {saved['redis']}: {version} cannot restore them")
        for name, value in saved["keys"].items():
            key = base64.b64decode(name)
            assert key.startswith(written)
            client.restore(prefix.encode() + key[len(written) :], 0, base64.b64decode(value))
    return f"{server_url(way)}?prefix={prefix}&search={way}"


def _numbers(version):
    return [int(part) for part in version.split(".")[:2]]


async def _postgres():
    """Load the tables into a schema of the test's own; return the cache's URL."""
    import asyncpg
    from postgres_servers import execute, own_schema, server_url

    url = server_url()
    schema = own_schema(url)
    text = (DATA / "postgres.sql").read_text().replace("slc_compat", schema)
    await execute(url, "CREATE EXTENSION IF NOT EXISTS vector")
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(text)
    finally:
        await connection.close()
    return f"{url}{'&' if '?' in url else '?'}schema={schema}"
