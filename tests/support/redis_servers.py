"""Real Redis servers for tests: started once per session and process, ended by their ids."""

from __future__ import annotations

import asyncio
import atexit
import os
import sys
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
from scripts.servers.redis import RedisCluster, RedisServer  # noqa: E402

from semantic_llm_cache.backends import RedisBackend  # noqa: E402
from semantic_llm_cache.config import CacheEntry  # noqa: E402

_running: dict[str, RedisServer | RedisCluster] = {}


def server_url(kind: str) -> str:
    """Return the address of a server of a kind: search, vectorset, plain, cluster.

    ``REDIS_URL`` names one to use instead for the ways that it offers; only keys under prefixes of the
    tests are touched there.
    """
    given = os.environ.get("REDIS_URL")
    if given and kind != "cluster" and kind in _ways_of(given):
        return given
    if kind not in _running:
        server: RedisServer | RedisCluster = RedisCluster("vectorset") if kind == "cluster" else RedisServer(kind)
        server.start()
        _running[kind] = server
    return _running[kind].url


_known: dict[str, frozenset[str]] = {}


def _ways_of(url: str) -> frozenset[str]:
    if url not in _known:
        import redis

        found = {"plain"}
        with redis.Redis.from_url(url) as client:
            for way, words in (("search", ("FT._LIST",)), ("vectorset", ("VCARD", "semantic_llm_cache_test:none"))):
                try:
                    client.execute_command(*words)
                    found.add(way)
                except redis.ResponseError:
                    pass
        _known[url] = frozenset(found)
    return _known[url]


def own_prefix() -> str:
    """Return a prefix that no other test uses."""
    return f"semantic_llm_cache_test:{uuid.uuid4().hex[:12]}:"


def emptied(backend):
    """Return the backend, with nothing left of an earlier test under its prefix."""

    async def empty():
        await backend.clear()
        await backend.close()

    asyncio.run(empty())
    return backend


@atexit.register
def stop_all() -> None:
    """End the servers of this process."""
    while _running:
        _running.popitem()[1].stop()


WAYS = ["search", "vectorset", "plain"]
CLUSTERED = [("search", "search"), ("vectorset", "vectorset"), ("plain", "plain"), ("cluster", "vectorset")]


def near(cosine, dimension=8):
    vector = np.zeros(dimension, dtype=np.float32)
    vector[0], vector[1] = cosine, np.sqrt(1 - cosine * cosine)
    return vector


X = near(1.0)
LIMITS = {"scope": "s", "embedder": "e"}


def entry(prompt="What?", response="That.", embedding=X, **fields):
    return CacheEntry(prompt, response, embedding, **{**LIMITS, "ttl": 60.0, **fields})


def make(way, server=None, **options):
    options = {"prefix": own_prefix(), "search": way, "front_size": 0, **options}
    return RedisBackend(server_url(server or way), **options)


async def near_key(backend, vector=X, threshold=0.5, **limits):
    found = await backend.find_candidates(vector, threshold, k=1, **(limits or LIMITS))
    return found[0].key if found else None
