"""Tests of searches by meaning."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from semantic_llm_cache.storage.contract import StorageBackend
from semantic_llm_cache.testing._suite import Suite, X, at_cosine, direction, raises, with_backend

__all__ = ["ByVector"]


class ByVector(Suite):
    """Check that a search finds the nearest live entries, by cosine, within its limits."""

    @with_backend
    async def test_similarity_is_cosine_and_vectors_need_no_length(self, backend: StorageBackend) -> None:
        await backend.set("k", self.entry(embedding=[30.0 * value for value in at_cosine(0.6)]))
        near = await backend.find_similar([0.001 * value for value in X], 0.5)
        assert near is not None
        assert near[0] == "k"
        assert abs(near[2] - 0.6) < 1e-6
        np.testing.assert_allclose(np.linalg.norm(near[1].embedding), 1.0, atol=1e-6)

    @with_backend
    async def test_the_threshold_is_inclusive_within_a_millionth(self, backend: StorageBackend) -> None:
        await backend.set("k", self.entry(embedding=at_cosine(0.8)))
        assert await backend.find_similar(X, 0.8) is not None
        assert await backend.find_similar(X, 0.8000005) is not None
        assert await backend.find_similar(X, 0.80001) is None
        await backend.set("same", self.entry(embedding=X))
        exact = await backend.find_similar(X, 1.0)
        assert exact is not None
        assert exact[0] == "same"
        assert 1.0 - 1e-6 <= exact[2] <= 1.0

    @with_backend
    async def test_a_negative_cosine_counts_as_zero(self, backend: StorageBackend) -> None:
        await backend.set("opposite", self.entry(embedding=direction(-1.0)))
        found = await backend.find_similar(X, 0.0)
        assert found is not None
        assert found[0] == "opposite"
        assert found[2] == 0.0
        assert await backend.find_similar(X, 0.01) is None

    @with_backend
    async def test_candidates_are_the_nearest_in_order(self, backend: StorageBackend) -> None:
        cosines = [0.91, 0.99, 0.2, 0.95, 0.93, 0.97, 0.5, -0.5]
        for number, cosine in enumerate(cosines):
            await backend.set(f"k{number}", self.entry(str(cosine), embedding=at_cosine(cosine), embedder="e"))
        found = await backend.find_candidates(X, 0.9, k=3, scope="", embedder="e")
        assert 1 <= len(found) <= 3
        assert [candidate.key for candidate in found] == ["k1", "k5", "k3"][: len(found)]
        for candidate in found:
            assert abs(candidate.similarity - float(candidate.entry.prompt)) < 1e-6
        assert await backend.find_candidates(X, 0.995, k=3) == []

    @with_backend
    async def test_scope_namespace_and_embedder_separate(self, backend: StorageBackend) -> None:
        for scope in ("s1", "s2"):
            for namespace in ("n1", "n2"):
                key = scope + namespace
                fields = {"scope": scope, "namespace": namespace, "embedder": "e-" + namespace}
                await backend.set(key, self.entry(key, embedding=at_cosine(0.9), **fields))
        # The nearest entry of all is in another scope and must not hide others.
        await backend.set("nearest", self.entry(embedding=X, scope="s3", namespace="n3", embedder="e3"))
        for scope in ("s1", "s2"):
            for namespace in ("n1", "n2"):
                one = await backend.find_similar(X, 0.5, namespace, scope=scope)
                assert one is not None
                assert one[0] == scope + namespace
            either = await backend.find_similar(X, 0.5, scope=scope)
            assert either is not None
            assert either[1].scope == scope
        of_all = await backend.find_similar(X, 0.5)
        assert of_all is not None
        assert of_all[0] == "nearest"
        assert await backend.find_similar(X, 0.5, "n1", scope="s3") is None
        assert await backend.find_similar(X, 0.5, scope="") is None
        assert await backend.find_candidates(X, 0.5, scope="s3", embedder="e-n1") == []
        found = await backend.find_candidates(X, 0.5, scope="s3", namespace="n3", embedder="e3")
        assert [candidate.key for candidate in found] == ["nearest"]

    @with_backend
    async def test_an_entry_outside_the_limits_hides_none_within(self, backend: StorageBackend) -> None:
        for number in range(20):
            fields: dict[str, Any] = {"scope": "s", "embedder": "old", "ttl": 5}
            await backend.set(f"old{number}", self.entry(embedding=at_cosine(0.99 + number * 1e-4), **fields))
        for number in range(3):
            fields = {"scope": "s", "embedder": "new", "namespace": "n"}
            await backend.set(f"new{number}", self.entry(embedding=at_cosine(0.95 - number * 0.01), **fields))
        await backend.set("dimension", self.entry(embedding=[1.0], scope="s", embedder="new", namespace="n"))
        await backend.set("far", self.entry(embedding=at_cosine(0.1), scope="s", embedder="new"))
        await backend.set("elsewhere", self.entry(embedding=X, scope="t", embedder="new", namespace="n"))
        found = await backend.find_candidates(X, 0.9, k=2, scope="s", embedder="new")
        assert [candidate.key for candidate in found] in (["new0"], ["new0", "new1"])
        assert abs(found[0].similarity - 0.95) < 1e-6
        found = await backend.find_candidates(X, 0.9, scope="s", embedder="new", namespace="n")
        assert found[0].key == "new0"
        assert await backend.find_candidates(X, 0.96, scope="s", embedder="new") == []
        assert await backend.find_candidates(X, 0.9, scope="s", embedder="new", namespace="default") == []
        found = await backend.find_candidates(X, 0.9, scope="s", embedder="old")
        assert found[0].key == "old19"
        self.clock.now += 5
        assert await backend.find_candidates(X, 0.9, scope="s", embedder="old") == []

    @with_backend
    async def test_vectors_of_another_embedder(self, backend: StorageBackend) -> None:
        fields: dict[str, Any] = {"scope": "s", "embedder": "old", "embedding": X, "ttl": 50, "tags": ("t",)}
        await backend.set_many([(f"k{n}", self.entry(f"prompt {n}", response=[n], **fields)) for n in range(4)])
        await backend.set("none", self.entry("no vector", scope="s", embedder="new"))
        await backend.set("moved", self.entry("moved", scope="s", embedder="new", embedding=X))
        await backend.set("short", self.entry("short", **{**fields, "ttl": 5}))
        await backend.record_hits({"k0": 3}, self.clock.now + 1)
        (before,) = await backend.get_many(["k0"], touch=False)
        self.clock.now += 5
        side = direction(0.0, 1.0)
        items = [("k0", "prompt 0"), ("k1", "another"), ("k9", "prompt 9"), ("k3", "prompt 3"), ("none", "no vector"),
                 ("moved", "moved"), ("short", "short")]  # fmt: skip
        done = await backend.set_vectors([(*item, [3.0 * value for value in side]) for item in items], "new")
        assert done == [True, False, False, True, True, False, False]
        (after,) = await backend.get_many(["k0"], touch=False)
        assert before is not None
        assert after is not None
        np.testing.assert_allclose(after.embedding, side, atol=1e-6)
        assert after.embedder == "new"
        before.embedder, before.embedding, after.embedding = "new", None, None
        assert after == before
        near = await backend.find_candidates(side, 0.9, k=8, scope="s", embedder="new")
        assert {candidate.key for candidate in near} <= {"k0", "k3", "none"}
        assert near
        near = await backend.find_candidates(X, 0.9, k=8, scope="s", embedder="old")
        assert {candidate.key for candidate in near} <= {"k1", "k2"}
        assert near
        assert (await backend.get_stats())["size"] == 6
        assert await backend.get("k9") is None
        await raises(ValueError, backend.set_vectors([("k2", "prompt 2", [0.0] * 8)], "new"))
        assert await backend.set_vectors([("k2", "prompt 2", [0.0, 1.0, 0.0])], "short") == [True]
        near = await backend.find_candidates([0.0, 1.0, 0.0], 0.9, scope="s", embedder="short")
        assert [candidate.key for candidate in near] == ["k2"]
        assert await backend.set_vectors([], "new") == []
        self.clock.now += 45  # a search does not extend any life
        assert await backend.get("k0") is None

    @with_backend
    async def test_another_dimension_is_not_considered(self, backend: StorageBackend) -> None:
        await backend.set("eight", self.entry(embedding=X))
        await backend.set("three", self.entry(embedding=[1.0, 0.0, 0.0]))
        await backend.set("none", self.entry())
        for query, key in ((X, "eight"), ([1.0, 0.0, 0.0], "three")):
            found = await backend.find_similar(query, 0.0)
            assert found is not None
            assert found[0] == key
        assert await backend.find_similar([1.0, 0.0], 0.0) is None

    @with_backend
    async def test_a_vector_without_direction_is_refused(self, backend: StorageBackend) -> None:
        await backend.set("k", self.entry(response="before", embedding=X))
        useless: list[Any] = [[0.0] * 8, [math.nan] * 8, direction(math.inf), [], [[1.0], [2.0]]]
        for bad in useless:
            await raises(ValueError, backend.set("k", self.entry(embedding=bad)))
            await raises(ValueError, backend.find_similar(bad, 0.5))
        found = await backend.find_similar(X, 0.99)
        assert found is not None
        assert found[1].response == "before"
