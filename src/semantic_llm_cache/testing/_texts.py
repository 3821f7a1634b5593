"""Tests of the vectors of texts that a backend keeps apart from entries."""

from __future__ import annotations

from typing import Any

import numpy as np

from semantic_llm_cache.storage.contract import StorageBackend
from semantic_llm_cache.storage.records import Text
from semantic_llm_cache.testing._suite import Suite, X, at_cosine, with_backend

__all__ = ["Texts"]

_TEXT = Text("n", "scope", "model", "What is Python?")
_OTHERS = (
    _TEXT._replace(namespace="m"),
    _TEXT._replace(scope="other"),
    _TEXT._replace(embedder="other"),
    _TEXT._replace(text="what?"),
)
_ODD = _TEXT._replace(text="odd \x00 \ud800")


class Texts(Suite):
    """Check `recall` and `keep_vectors`."""

    @with_backend
    async def test_recall_finds_entries_as_get_does(self, backend: StorageBackend) -> None:
        assert await backend.recall("k", _TEXT) == (None, None)
        await backend.set("k", self.entry(response={"a": (1, 2)}, embedding=X, ttl=10))
        found = await backend.get("k")
        entry, vector = await backend.recall("k", _TEXT)
        assert vector is None
        assert found is not None
        assert entry is not None
        assert (entry.prompt, entry.response, entry.ttl) == (found.prompt, found.response, found.ttl)
        await backend.delete("k")
        assert (await backend.recall("k", _TEXT))[0] is None

    @with_backend
    async def test_a_kept_vector_belongs_to_one_text_and_scope(self, backend: StorageBackend) -> None:
        await backend.keep_vectors({_TEXT: _vector(0.5), _ODD: _vector(0.6)})
        if not backend.vector_seconds:
            assert await backend.recall("k", _TEXT) == (None, None)
            return
        assert await _kept(backend, _TEXT, 0.5)
        assert await _kept(backend, _ODD, 0.6)
        for text in _OTHERS:
            assert await backend.recall("k", text) == (None, None)
        await backend.keep_vectors({_TEXT: _vector(0.7)})
        assert await _kept(backend, _TEXT, 0.7)
        assert (await backend.get_stats())["size"] == 0
        assert await backend.iterate() == []
        assert await backend.find_similar(X, 0.0) is None
        await backend.set("k", self.entry(embedding=X))
        entry, vector = await backend.recall("k", _TEXT)
        assert entry is not None
        assert vector is None

    @with_backend
    async def test_clear_drops_the_vectors_of_its_namespace_or_all(self, backend: StorageBackend) -> None:
        if not backend.vector_seconds:
            return
        other = _OTHERS[0]
        await backend.keep_vectors({_TEXT: _vector(0.5), other: _vector(0.6)})
        assert await backend.clear("n") == 0
        assert await backend.recall("k", _TEXT) == (None, None)
        assert await _kept(backend, other, 0.6)
        assert await backend.clear() == 0
        assert await backend.recall("k", other) == (None, None)

    @with_backend
    async def test_an_expired_entry_gives_its_vector_to_its_own_text_only(self, backend: StorageBackend) -> None:
        for text in (_TEXT, *_OTHERS):
            await backend.set(
                "k", self.entry(ttl=5, embedding=at_cosine(0.5), namespace="n", scope="scope", embedder="model")
            )
            self.clock.now += 5
            entry, vector = await backend.recall("k", text)
            assert entry is None
            assert vector is None or (text == _TEXT and np.allclose(vector, at_cosine(0.5), atol=1e-6))


def _vector(cosine: float) -> Any:
    return np.asarray(at_cosine(cosine), dtype=np.float32)


async def _kept(backend: StorageBackend, text: Text, cosine: float) -> bool:
    entry, vector = await backend.recall("nothing", text)
    return entry is None and vector is not None and bool(np.allclose(vector, _vector(cosine), atol=1e-6))
