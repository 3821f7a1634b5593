"""The admin API over a Redis and a PostgreSQL server: one pass over all that touches the storage."""

import json

import postgres_servers
import pytest
import redis_servers
from admin_helpers import ask, client, served

from semantic_llm_cache.backends.postgres import PostgresBackend
from semantic_llm_cache.backends.redis import RedisBackend
from semantic_llm_cache.server.operator import Operator


@pytest.fixture(params=["redis", "postgres"])
def make(request):
    if request.param == "redis":
        url, prefix = redis_servers.server_url("search"), redis_servers.own_prefix()
        return lambda: RedisBackend(url, prefix=prefix, search="search")
    url = postgres_servers.server_url()
    schema = postgres_servers.own_schema(url)
    return lambda: PostgresBackend(url, schema=schema)


async def test_all_that_touches_the_storage(make):
    async with served(make(), tags=("plans",)) as (opened, cache, _):
        for text in ("What is Python?", "What's Python?", "Explain Python", "Opening hours?"):
            await ask(cache, text, f"On {text}")
        assert (await opened.get("/admin/ready")).json() == {"status": "ready"}
        [backend] = (await opened.get("/admin/backends")).json()["backends"]
        assert backend["works"]
        assert set(backend["breakers"].values()) == {"closed"}
        assert (await opened.get("/admin/stats")).json()["total"]["default"]["near_hits"] == 1
        found = (await opened.post("/admin/entries/search", json={"text": "What is Python?"})).json()["entries"]
        assert [one["similarity"] for one in found] == pytest.approx([1.0, 0.85, 0.0], abs=1e-2)
        listed = (await opened.get("/admin/entries", params={"q": "PYTHON", "sort": "oldest"})).json()
        assert [one["prompt"] for one in listed["entries"]] == ["What is Python?", "Explain Python"]
        lines = (await opened.get("/admin/export")).text.splitlines()
        assert {json.loads(line)["prompt"] for line in lines} == {"What is Python?", "Explain Python", "Opening hours?"}
        asked = {"pattern": "python", "tags": ["plans"]}
        assert (await opened.post("/admin/invalidate", json=asked)).json()["count"] == 2
        assert (await opened.post("/admin/invalidate", json={**asked, "dry_run": False})).json()["count"] == 2
        [left] = (await opened.get("/admin/entries")).json()["entries"]
        await opened.patch("/admin/settings/main", json={"similarity": 0.8})
        assert (await opened.delete(f"/admin/entries/{left['key']}")).status_code == 200
        # Another worker on the same storage sees the changed threshold and the log.
        async with served(make()) as (_, other, operator), operator.running(), client(operator) as there:
            assert other.similarity == 0.8
            actions = [one["action"] for one in (await there.get("/admin/audit")).json()["records"]]
            assert actions == ["delete", "settings", "invalidate", "export"]
        async with make() as backend, client(Operator(backend)) as lone:
            figures = (await lone.get("/admin/stats")).json()
            assert (figures["live"], figures["total"]["default"]["misses"]) == (False, 3)
            assert "operator.add(cache)" in figures["hint"]
