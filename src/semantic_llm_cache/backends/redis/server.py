"""What a Redis server is: where a given client is connected to, which way it offers, how its keys are spread."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from semantic_llm_cache.backends.redis.clients import Link, need_redis
from semantic_llm_cache.backends.redis.entries import LAYOUT
from semantic_llm_cache.backends.redis.errors import said_by
from semantic_llm_cache.backends.redis.plain import Plain
from semantic_llm_cache.backends.redis.search import SearchModule
from semantic_llm_cache.backends.redis.strategy import Way
from semantic_llm_cache.backends.redis.url import Address
from semantic_llm_cache.backends.redis.vectorset import VectorSets
from semantic_llm_cache.exceptions import CacheBackendError

__all__ = ["MOST_SHARDS", "TOLD", "WAYS", "address_of", "agree_on_shards", "best_way", "check_way", "escaped"]

logger = logging.getLogger("semantic_llm_cache")

WAYS: dict[str, type[Way]] = {"search": SearchModule, "vectorset": VectorSets, "plain": Plain}
"""By name, best first."""

TOLD = {
    "search": "the search module (FT.SEARCH)",
    "vectorset": "vector sets (VSIM)",
    "plain": "a copy of the vectors in this process, as the server has no vector search that may be used",
}
"""What the log calls them."""

MOST_SHARDS = 4096


async def best_way(link: Link, prefix: str) -> str:
    """Return the name of the best way that the server offers."""
    nodes = await link.primaries()
    name = f"{prefix}{LAYOUT}:nothing"
    if not link.clients.address.connection.get("db"):  # the module indexes database 0 only
        if await _finds_everywhere(nodes, name, at_least=2 if link.cluster else 1):
            return "search"
    if await _knows(nodes[0], "VCARD", name):
        return "vectorset"
    return "plain"


async def check_way(link: Link, prefix: str, way: str) -> None:
    """Raise CacheBackendError for a way that was named and cannot be on this cluster."""
    if way != "search" or not link.cluster:
        return
    for node in (await link.primaries())[:2]:
        try:
            await node("FT.SEARCH", f"{prefix}{LAYOUT}:nothing", "*")
        except CacheBackendError as error:
            if "MOVED" in said_by(error):
                raise CacheBackendError(
                    f"{link.url}: search='search' is not possible on this cluster: its nodes load the search module, "
                    "but have no coordinator, so each knows of its own keys only. Leave search= at 'auto', name "
                    "'vectorset' (Redis 8) or 'plain', or spread the scopes over servers without a cluster"
                ) from error


async def _finds_everywhere(nodes: Sequence[Any], name: str, at_least: int) -> bool:
    """Return whether every node answers `FT.SEARCH`, for any name of an index.

    Nodes of a cluster that load the module without a coordinator take that name for a key of the one node that
    owns its slot: of any two at least one answers MOVED. A single node of a cluster shows nothing: `at_least`.
    """
    if len(nodes) < at_least:
        return False
    for node in nodes[:at_least]:
        if not await _knows(node, "FT.SEARCH", name, "*", moved=False):
            return False
    return True


async def _knows(node: Any, *words: Any, moved: bool = True) -> bool:
    """Return whether a command exists and may be used; `moved` where the answer is to ask another node."""
    try:
        await node(*words)
    except CacheBackendError as error:
        text = said_by(error).lower()
        if "unknown command" in text or "noperm" in text:
            return False
        if "moved" in text:
            return moved
        if "index" in text or "wrongtype" in text:
            return True
        raise
    return True


async def agree_on_shards(link: Link, name: str, kind: type[Way], asked: int | None) -> int:
    """Return over how many shards the keys are spread: the number that the first process stored under `name`."""
    wanted = asked or (kind.cluster_shards if link.cluster else 1)
    try:
        await link.execute("SETNX", name, wanted)
    except CacheBackendError as error:  # a replica that only reads, a server that is full
        if "READONLY" not in said_by(error) and "OOM" not in said_by(error):
            raise
    stored = await link.execute("GET", name)
    try:
        agreed = wanted if stored is None else int(stored)
    except ValueError:
        agreed = 0
    if not 1 <= agreed <= MOST_SHARDS:
        raise CacheBackendError(f"{link.url}: the key {name} must hold a number of shards: delete it")
    if asked is not None and agreed != asked:
        logger.warning(
            "semantic-llm-cache: %s: entries are spread over %d shards, so shards=%d is not used; to change it, "
            "clear the cache and delete the key %s",
            link.url, agreed, asked, name,
        )  # fmt: skip
    return agreed


def address_of(client: Any) -> Address:
    """Return where a client of redis-py is connected to. TypeError for anything else."""
    module = need_redis()
    if isinstance(client, module.RedisCluster):
        nodes = client.get_nodes() or list(client.nodes_manager.startup_nodes.values())
        hosts = tuple((str(node.host), int(node.port)) for node in nodes)
        shown = "redis+cluster://" + ",".join(f"{host}:{port}" for host, port in hosts)
        return Address("cluster", hosts, None, "", {}, {}, {}, shown)
    if isinstance(client, module.Redis):
        settings = client.connection_pool.connection_kwargs
        db = settings.get("db") or 0
        if settings.get("path"):
            return Address("single", (), settings["path"], "", {"db": db}, {}, {}, f"unix://{settings['path']}")
        host, port = settings.get("host", "localhost"), settings.get("port", 6379)
        return Address("single", ((host, port),), None, "", {"db": db}, {}, {}, f"redis://{host}:{port}/{db}")
    raise TypeError(
        f"client={type(client).__module__}.{type(client).__name__} must be a redis.asyncio.Redis or RedisCluster"
    )


def escaped(name: bytes) -> bytes:
    """Return the glob that matches `name` itself."""
    return b"".join(b"\\" + bytes([c]) if c in b"*?[]\\^-" else bytes([c]) for c in name)
