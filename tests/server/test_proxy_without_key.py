"""The proxy on a storage that is encrypted, found out after the start, without the key."""

import httpx
import pytest

from semantic_llm_cache.backends import EncryptedBackend, SQLiteBackend
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.server.application import create_app
from semantic_llm_cache.server.settings import Settings
from servers import chat_server


@pytest.mark.parametrize("stream", [False, True])
async def test_requests_are_passed_on_and_nothing_is_stored(tmp_path, stream, caplog):
    async with EncryptedBackend(SQLiteBackend(tmp_path / "cache.db"), "ab" * 32) as backend:
        await backend.set("k", CacheEntry("What is Python?", "A language."))
        states = await backend.inner.list_states()
    body = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "stream": stream}
    with chat_server() as upstream:
        app = create_app(Settings(upstream=upstream.url, url=f"sqlite:///{tmp_path}/cache.db"))
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            for _ in range(2):
                reply = await client.post("/v1/chat/completions", json=body, headers={"authorization": "Bearer x"})
                assert (reply.status_code, "HELLO" in reply.text) == (200, True)
                assert reply.headers["x-cache"] == "BYPASS"
        assert len(upstream.seen) == 2
        await app.aclose()
    assert caplog.text.count("is encrypted, and encryption_key= was not given") == 1
    async with SQLiteBackend(tmp_path / "cache.db") as raw:
        assert (await raw.get_stats())["size"] == 1
        assert await raw.list_states() == states
        assert await raw.get_counters() == {}
