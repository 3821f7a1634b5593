"""`encode` takes one text or any iterable of texts, in every provider."""

import numpy as np
import pytest

from semantic_llm_cache.similarity import (
    CallableEmbeddingProvider,
    DummyEmbeddingProvider,
    EmbeddingCache,
    EmbeddingProvider,
)


class Own(EmbeddingProvider):
    """What somebody would write."""

    fingerprint = "own"

    def encode_batch(self, texts):
        assert type(texts) is list
        assert all(type(text) is str for text in texts)
        return DummyEmbeddingProvider(8).encode_batch(texts)


def letters(texts: list[str]):
    return [[len(text), 1.0] for text in texts]


PROVIDERS = {
    "dummy": lambda: DummyEmbeddingProvider(8),
    "own": Own,
    "cache": lambda: EmbeddingCache(DummyEmbeddingProvider(8)),
    "callable": lambda: CallableEmbeddingProvider(letters),
    "single": lambda: CallableEmbeddingProvider(lambda text: [len(text), 2.0]),
}
ITERABLES = [
    lambda: ["a", "bcd"],
    lambda: ("a", "bcd"),
    lambda: (text for text in ("a", "bcd")),
    lambda: {"a": 1, "bcd": 2},
    lambda: np.array(["a", "bcd"]),
    lambda: np.array(["a", "bcd"], dtype=object),
    lambda: map(str, ["a", "bcd"]),
]


@pytest.mark.parametrize("kind", PROVIDERS)
async def test_any_iterable_of_texts(kind):
    provider = PROVIDERS[kind]()
    rows = np.stack([provider.encode("a"), provider.encode("bcd")])
    assert rows.ndim == 2
    for make in ITERABLES:
        for found in (provider.encode(make()), await provider.aencode(make())):
            np.testing.assert_array_equal(found, rows)
    np.testing.assert_array_equal(provider.encode(np.str_("a")), rows[0])
    assert {tuple(row) for row in provider.encode({"a", "bcd"})} == {tuple(row) for row in rows}
    if kind != "own":
        np.testing.assert_array_equal(provider.encode_batch(make()), rows)
        np.testing.assert_array_equal(await provider.aencode_batch(text for text in ("a", "bcd")), rows)
    for bad in (None, 5, b"x", [1], ["a", None], [["a"]], np.array("a")):
        with pytest.raises(TypeError):
            provider.encode(bad)
        with pytest.raises(TypeError):
            await provider.aencode(bad)
    with pytest.raises(TypeError):
        PROVIDERS["dummy"]().encode_batch("one text")


def test_dim_is_another_name_for_dimension():
    assert DummyEmbeddingProvider(dim=16).fingerprint == DummyEmbeddingProvider(16).fingerprint
    assert DummyEmbeddingProvider().dimension == 384
    with pytest.raises(ValueError, match="not both"):
        DummyEmbeddingProvider(16, dim=16)
    for bad in (0, True, 1.5):
        with pytest.raises(ValueError, match="dimension="):
            DummyEmbeddingProvider(dim=bad)
