"""Tests that every text is kept: also U+0000, and halves of surrogate pairs, which no encoding holds."""

from __future__ import annotations

from semantic_llm_cache.storage.contract import StorageBackend
from semantic_llm_cache.testing._suite import Suite, X, with_backend
from semantic_llm_cache.values.encoding import same

__all__ = ["AnyText"]

_TEXTS = [
    "nul \x00 in the middle",
    "cut \ud83d",
    "\ude00 cut",
    "halves side by side \ud83d\ude00 and whole \U0001f600",
    "marks \ufdd0\U000fd83d \ufdd0 \uffff",
    "\ufeffbyte order mark, \u2028 and \x85",
]


class AnyText(Suite):
    """Check that whatever a Python string can hold comes back, and is found again by it."""

    @with_backend
    async def test_any_text_comes_back_in_every_field(self, backend: StorageBackend) -> None:
        for text in _TEXTS:
            entry = self.entry(
                text, {text: [text, (text,)]}, embedding=X, namespace=text, scope=text, embedder=text, kind=text,
                tags=(text, "t"), aliases=(text,),
            )  # fmt: skip
            await backend.set(f"key {text}", entry)
            plain = self.entry(response=text)
            await backend.set_many([(text, plain)])
            (found, other) = await backend.get_many([f"key {text}", text])
            assert found == entry == await backend.get(f"key {text}")
            assert found is not None
            assert same(found.response, entry.response)
            assert other == plain
        keys = [key for text in _TEXTS for key in (f"key {text}", text)]
        assert sorted(key for key, _ in await backend.iterate()) == sorted(keys)

    @with_backend
    async def test_entries_are_found_by_any_text(self, backend: StorageBackend) -> None:
        for text in _TEXTS:
            entry = self.entry(text, embedding=X, namespace=text, scope=text, embedder=text, tags=(text,))
            for number in range(5):
                await backend.set(f"{number} {text}", entry)
        for text in _TEXTS:
            (found,) = await backend.find_candidates(X, 0.9, k=1, scope=text, embedder=text, namespace=text)
            assert found.key in [f"{number} {text}" for number in range(5)]
            assert found.entry.prompt == text
            assert [key async for key, _ in backend.scan(namespace=text)] != []
            await backend.record_hits({f"0 {text}": 2}, self.clock.now)
            assert await backend.delete(f"0 {text}") is True
            assert await backend.delete_many([f"1 {text}", f"0 {text}"]) == 1
            assert await backend.invalidate(tags=[text], namespace=text) == 3
            assert await backend.get(f"3 {text}") is None
            await backend.set("k", self.entry(f"before {text} after", namespace=text))
            assert await backend.invalidate(text) == 1
            await backend.set("k", self.entry(namespace=text))
            assert await backend.clear(text) == 1
        assert await backend.iterate() == []

    @with_backend
    async def test_counters_and_states_have_any_name(self, backend: StorageBackend) -> None:
        for text in _TEXTS:
            await backend.add_counters(text, {"hits": 1})
            await backend.set_state(text, text.encode("utf-8", "surrogatepass"))
        if self.keeps_counters:
            assert await backend.get_counters() == {text: {"hits": 1} for text in _TEXTS}
            assert await backend.list_states() == sorted(_TEXTS)
            for text in _TEXTS:
                assert await backend.get_state(text) == text.encode("utf-8", "surrogatepass")
                assert await backend.list_states(text[:6]) == [one for one in sorted(_TEXTS) if one[:6] == text[:6]]
