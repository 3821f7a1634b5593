"""The admin API on a storage that is encrypted, in a process that does not have its key."""

import pytest
from admin_helpers import client, embed

from semantic_llm_cache import SemanticCache
from semantic_llm_cache.backends import EncryptedBackend, SQLiteBackend
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.server.operator import Operator


@pytest.mark.parametrize("used", [True, False], ids=["a cache", "only looked into"])
async def test_entries_are_neither_shown_nor_changed(tmp_path, used, caplog):
    async with EncryptedBackend(SQLiteBackend(tmp_path / "cache.db"), "ab" * 32) as backend:
        await backend.set("k", CacheEntry("What is Python?", "A language.", tags=("t",)))
        states = await backend.inner.list_states()
    url = f"sqlite:///{tmp_path}/cache.db"
    operator = Operator(embedder=embed)
    operator.add(SemanticCache(url) if used else url, "main")
    async with client(operator) as admin:
        for method, path, body in (
            ("GET", "/admin/entries", None),
            ("GET", "/admin/entries/k", None),
            ("DELETE", "/admin/entries/k", None),
            ("GET", "/admin/scopes", None),
            ("GET", "/admin/export", None),
            ("GET", "/admin/audit", None),
            ("POST", "/admin/entries/search", {"text": "What is Python?"}),
            ("POST", "/admin/invalidate", {"tags": ["t"]}),
        ):
            reply = await admin.request(method, path, json=body)
            assert reply.status_code == 503, (path, reply.text)
            assert "is encrypted, and encryption_key= was not given" in reply.json()["detail"]
        [health] = (await admin.get("/admin/backends")).json()["backends"]
        assert (health["works"], "is encrypted" in health["error"]) == (False, True)
        if used:
            reply = await admin.patch("/admin/settings/main", json={"similarity": 0.9})
            assert (reply.status_code, "is encrypted" in reply.text) == (503, True)
    async with SQLiteBackend(tmp_path / "cache.db") as raw:
        assert (await raw.get_stats())["size"] == 1
        assert await raw.list_states() == states
