"""Tests of maintenance: invalidation, counts, state."""

from __future__ import annotations

import math

from semantic_llm_cache.storage.contract import StorageBackend
from semantic_llm_cache.testing._suite import Suite, X, direction, with_backend

__all__ = ["Upkeep"]


class Upkeep(Suite):
    """Check invalidation, hits, counters, state and statistics."""

    @with_backend
    async def test_invalidate_takes_patterns_literally(self, backend: StorageBackend) -> None:
        prompts = ["100% sure?", "100 sure?", "a_b", "axb", "WEISS", "Straße nach Köln", "back\\slash", "[a-z]*"]
        for prompt in prompts:
            await backend.set(prompt, self.entry(prompt, namespace="n"))
        await backend.set("elsewhere", self.entry("100% sure?", namespace="m"))
        assert await backend.invalidate("0%", namespace="n") == 1
        assert await backend.invalidate("a_B") == 1
        assert await backend.invalidate("weiß") == 1
        assert await backend.invalidate("STRASSE") == 1
        assert await backend.invalidate("k\\s") == 1
        assert await backend.invalidate("[a-z]*") == 1
        assert await backend.invalidate("nowhere") == 0
        assert await backend.invalidate() == 0
        assert sorted(key for key, _ in await backend.iterate()) == ["100 sure?", "axb", "elsewhere"]
        assert await backend.invalidate("") == 3

    @with_backend
    async def test_invalidate_by_tags(self, backend: StorageBackend) -> None:
        for key, tags in {"a": ("x", "y"), "b": ("y",), "c": ("xy",), "d": ()}.items():
            await backend.set(key, self.entry(f"prompt {key}", tags=tags, embedding=X))
        assert await backend.invalidate(tags=["x", "z"]) == 1
        assert await backend.invalidate("nothing", tags=["y"]) == 0
        assert await backend.invalidate("PROMPT", tags=["y"]) == 1
        assert await backend.invalidate(tags=[]) == 0
        assert sorted(key for key, _ in await backend.iterate()) == ["c", "d"]

    @with_backend
    async def test_hits_are_recorded(self, backend: StorageBackend) -> None:
        await backend.set("k", self.entry(embedding=X, ttl=10))
        await backend.record_hits({"k": 2, "gone": 1}, self.clock.now + 1)
        await backend.record_hits({"k": 3}, self.clock.now + 2)
        await backend.record_hits({}, self.clock.now + 3)
        (found,) = await backend.get_many(["k"], touch=False)  # `get` may leave them out
        assert found is not None
        if self.keeps_hits:
            assert found.hit_count == 5
            assert found.last_accessed == self.clock.now + 2
        assert await backend.get("gone") is None
        self.clock.now += 10  # a hit does not extend its life
        assert await backend.get("k") is None

    @with_backend
    async def test_counters_and_state(self, backend: StorageBackend) -> None:
        await backend.add_counters("n", {"hits": 1, "saved_ms": 1.5})
        await backend.add_counters("n", {"hits": 2})
        await backend.add_counters("m", {"hits": 4})
        await backend.set_state("policy", b"\x00old")
        await backend.set_state("policy", b"\x00\xffnew")
        await backend.set_state("gone", b"1")
        await backend.set_state("gone", None)
        await backend.set_state("never", None)
        if self.keeps_counters:
            assert await backend.get_counters() == {"n": {"hits": 3, "saved_ms": 1.5}, "m": {"hits": 4}}
            assert await backend.get_state("policy") == b"\x00\xffnew"
            names = ["gone", "policy", "never", "policy"]
            assert await backend.get_states(names) == [None, b"\x00\xffnew", None, b"\x00\xffnew"]
        assert await backend.get_state("gone") is None
        assert await backend.get_states(["never"]) == [None]
        assert await backend.get_states([]) == []

    @with_backend
    async def test_states_are_listed(self, backend: StorageBackend) -> None:
        names = ["online:b", "online:a:1", "online:a%", "online:a_", "online:ab", "on*[a]?\\", "other"]
        for name in names:
            await backend.set_state(name, b"learned")
        await backend.set_state("online:gone", b"1")
        await backend.set_state("online:gone", None)
        await backend.set("online:entry", self.entry())
        if self.keeps_counters:
            assert await backend.list_states() == sorted(names)
            assert await backend.list_states("online:a") == ["online:a%", "online:a:1", "online:a_", "online:ab"]
            assert await backend.list_states("online:a_") == ["online:a_"]
            assert await backend.list_states("on*[a]?") == ["on*[a]?\\"]
        assert await backend.list_states("nothing") == []

    @with_backend
    async def test_withdrawn_labels_are_noted(self, backend: StorageBackend) -> None:
        labels, now = ["doc", "\0\ud800"], self.clock.now
        assert await backend.last_withdrawal(labels) == -math.inf
        await backend.note_withdrawal(labels, now, "one")
        await backend.note_withdrawal(["doc"], now + 1, "two")
        if self.keeps_counters:
            assert await backend.last_withdrawal(labels) == now + 1
            assert await backend.last_withdrawal(labels, "two") == now
            assert await backend.last_withdrawal(["doc"], "two") == -math.inf
            assert await backend.last_withdrawal(["other"]) == -math.inf
        assert await backend.last_withdrawal([]) == -math.inf
        await backend.clear()  # entries only
        assert await backend.last_withdrawal(["doc"]) in (now + 1, -math.inf)

    @with_backend
    async def test_a_quiet_read_counts_nothing(self, backend: StorageBackend) -> None:
        await backend.set_many([("a", self.entry(response=1)), ("b", self.entry(response=2, ttl=5))])
        self.clock.now += 5
        before = await backend.get_stats()
        found = await backend.get_many(["b", "a", "c", "a"], touch=False)
        assert [None if entry is None else entry.response for entry in found] == [None, 1, None, 1]
        assert await backend.get_many([], touch=False) == []
        if self.reads_quietly:
            after = await backend.get_stats()
            assert (after["hits"], after["misses"]) == (before["hits"], before["misses"])

    @with_backend
    async def test_stats_count(self, backend: StorageBackend) -> None:
        before = await backend.get_stats()
        await backend.set("k", self.entry(embedding=X))
        await backend.get("k")
        await backend.get("other")
        await backend.find_similar(X, 0.9)
        await backend.find_similar(direction(0.0, 1.0), 0.9)
        after = await backend.get_stats()
        assert after["size"] == 1
        assert after["hits"] - before["hits"] == 2
        assert after["misses"] - before["misses"] == 2

    @with_backend
    async def test_peek(self, backend: StorageBackend) -> None:
        if not backend.in_process:
            return
        assert backend.peek("k") is None
        await backend.set("k", self.entry(response={"a": 1}))
        stored = backend.peek("k")
        assert stored is not None
        assert stored.prompt == "What is Python?"
        await backend.delete("k")
        assert backend.peek("k") is None
