"""The admin API: what each operation shows and changes."""

import asyncio

import pytest
from admin_helpers import ask, served
from changing_page import QUESTION, Page

from semantic_llm_cache import SemanticCache
from semantic_llm_cache.backends import SQLiteBackend

ALL = """health ready backends stats traffic similarities lookups near-hits near-misses not-stored scopes entries
    settings audit openapi.json""".split()  # noqa: SIM905


async def fill(cache):
    await ask(cache, "What is Python?", "A language.", model="a")
    await ask(cache, "What is Python?", "A language.", model="a")
    await ask(cache, "What's Python?", "A language.", model="a")
    await ask(cache, "Explain Python", "It is a language.", model="a")
    await ask(cache, "Opening hours?", "9 to 5", model="b")


async def test_all_lists_after_some_traffic(place):
    async with served(place) as (client, cache, _):
        await fill(cache)
        for path in ALL:
            reply = await client.get(f"/admin/{path}")
            assert reply.status_code == 200, (path, reply.text)
        total = (await client.get("/admin/traffic")).json()["total"]
        assert (total["exact"], total["near"], total["miss"]) == (1, 1, 3)
        figures = (await client.get("/admin/stats")).json()
        assert (figures["summary"]["requests"], figures["summary"]["hits"], figures["summary"]["judged"]) == (5, 2, 0)
        assert (figures["process"]["near_hits"], figures["total"]["default"]["near_hits"]) == (1, 1)
        [hit] = (await client.get("/admin/near-hits")).json()["lookups"]
        assert (hit["prompt"], hit["matched_prompt"]) == ("What's Python?", "What is Python?")
        assert hit["similarity"] == pytest.approx(0.98, abs=1e-3)
        shown = (await client.get(f"/admin/entries/{hit['entry_key']}")).json()
        assert (shown["prompt"], shown["answer"], shown["hits"]) == ("What is Python?", "A language.", 2)
        asked = (await client.get("/admin/what-if", params={"similarity": 0.8})).json()
        assert (asked["hits"], asked["hits_lost"], asked["misses_above"], asked["passed"]) == (1, 0, 1, 1)
        asked = (await client.get("/admin/what-if", params={"similarity": 0.99})).json()
        assert (asked["hits_lost"], asked["misses_above"]) == (1, 0)


async def test_a_wrong_hit_is_reported_and_gone(place):
    async with served(place) as (client, cache, _):
        await fill(cache)
        [hit] = (await client.get("/admin/near-hits")).json()["lookups"]
        reply = await client.post("/admin/reports", json={"lookup": hit["id"], "verdict": "wrong"})
        assert reply.json() == {"outcome": "evicted", "key": hit["entry_key"], "namespace": "default"}
        assert (await client.get(f"/admin/entries/{hit['entry_key']}")).status_code == 404
        [again] = (await client.get("/admin/near-hits")).json()["lookups"]
        assert again["verdict"] == "wrong"


async def test_a_dry_run_says_how_many_and_deletes_nothing(place):
    async with served(place, tags=("plans",)) as (client, cache, _):
        await fill(cache)
        for asked, count in (
            ({"pattern": "PYTHON"}, 2), ({"tags": ["plans"]}, 3), ({"pattern": "hours", "tags": ["plans"]}, 1),
            ({"pattern": "hours", "models": ["a"]}, 0),
        ):  # fmt: skip
            assert (await client.post("/admin/invalidate", json=asked)).json() == {"count": count, "dry_run": True}
        assert (await client.get("/admin/entries")).json()["matching"] == 3
        reply = await client.post("/admin/invalidate", json={"pattern": "python", "dry_run": False})
        assert reply.json() == {"count": 2, "dry_run": False}
        assert (await client.get("/admin/entries")).json()["matching"] == 1
        [record] = (await client.get("/admin/audit")).json()["records"]
        assert (record["action"], record["target"], record["who"]) == (
            "invalidate",
            "2 entries",
            "token from 127.0.0.1",
        )


@pytest.mark.parametrize("asked", [{"tags": ["plans"]}, {"depends_on": ["doc:17"], "scope": "0"}])
@pytest.mark.parametrize("elsewhere", [False, True])
async def test_a_call_in_flight_does_not_store_what_was_invalidated(tmp_path, asked, elsewhere):
    url = f"sqlite:///{tmp_path}/cache.db"
    page = Page()
    async with served(url) as (client, cache, _):
        # Another backend object stands for another worker.
        backend = SQLiteBackend(tmp_path / "cache.db") if elsewhere else cache.backend
        engine = SemanticCache(backend, tags=("plans",), depends_on=("doc:17",), timeout=5.0)
        call = asyncio.ensure_future(engine.cache(page.answer)(QUESTION))
        await page.change(lambda: client.post("/admin/invalidate", json={**asked, "dry_run": False}))
        page.go_on.set()
        assert await call == "old"
        assert (await backend.get_stats())["size"] == 0
        await backend.close()


async def test_a_changed_threshold_is_seen_by_the_next_call(place):
    async with served(place) as (client, cache, _operator):
        await fill(cache)
        reply = await client.patch("/admin/settings/main", json={"similarity": 0.8, "ttl": "1h30m"})
        assert reply.json()["current"] == {"similarity": 0.8, "ttl": 5400.0}
        assert reply.json()["configured"] == {"similarity": 0.95, "ttl": 3600.0}
        [record] = (await client.get("/admin/audit")).json()["records"]
        assert (record["old"]["similarity"], record["new"]["similarity"]) == (0.95, 0.8)
        reply = await client.patch("/admin/settings/main", json={"reset": ["similarity", "ttl"]})
        assert reply.json()["current"] == reply.json()["configured"]
        assert (await client.patch("/admin/settings/main", json={"ttl": "soon"})).status_code == 422
        assert (await client.patch("/admin/settings/other", json={"ttl": 5})).status_code == 404
        reply = await client.patch("/admin/settings/main", json={"threshold": 0.8})
        assert reply.status_code == 422
        assert reply.json()["errors"] == [{"where": "threshold", "what": "unknown; known: similarity, ttl, reset"}]
