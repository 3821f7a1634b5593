"""The mark of an encrypted storage, altered by somebody who can write to the storage."""

import json

import numpy as np
import pytest

from semantic_llm_cache.backends import EncryptedBackend, MemoryBackend
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.exceptions import EncryptionKeyError
from semantic_llm_cache.storage.registry import KEYS_STATE

KEY, NEW = "ab" * 32, "cd" * 32
VECTOR = np.array([0.6, 0.8, 0.0, 0.0], dtype=np.float32)


def entry(prompt="Where is zanzibar?"):
    return CacheEntry(prompt, "In quicksilver.", embedding=VECTOR, embedder="e", scope="s")


@pytest.mark.parametrize("chosen", [None, "rotated", "none"])
async def test_nobody_without_the_key_makes_it_store_vectors_in_clear(chosen):
    inner = MemoryBackend()
    await EncryptedBackend(inner, KEY, vectors=chosen).set("one", entry())
    noted = json.loads(await inner.get_state(KEYS_STATE))
    await inner.set_state(KEYS_STATE, json.dumps({**noted, "vectors": "clear"}).encode())
    backend = EncryptedBackend(inner, KEY)
    await backend.set("two", entry("another"))
    assert backend.vectors == "rotated"
    for _, stored in await inner.iterate():
        assert stored.embedding is None or not np.allclose(stored.embedding, VECTOR)
    assert (await backend.get("one")).response == "In quicksilver."


@pytest.mark.parametrize("chosen", ["rotated", "clear", "none"])
async def test_the_choice_is_remembered_while_keys_are_changed(chosen):
    inner = MemoryBackend()
    await EncryptedBackend(inner, KEY, vectors=chosen).set("one", entry())
    for keys in ([NEW, KEY], KEY, [NEW, KEY], NEW):  # one program still has the old key alone
        backend = EncryptedBackend(inner, keys)
        await backend.set("two", entry("another"))
        assert backend.vectors == chosen


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"null",
        b"[1]",
        b'{"keys": "abc"}',
        b'{"keys": {"a": 1}}',
        b'{"keys": [null]}',
        b'{"keys": ["\\n\\u001b[2J"]}',
        b'{"keys": 5, "vectors": [1]}',
        b'{"vectors": "clear", "proofs": 5}',
        b'{"vectors": "clear", "proofs": {"a": 1}}',
        b"[" * 100_000,
    ],
    ids=lambda damage: repr(damage[:24]),
)
async def test_a_damaged_one_is_written_again(damage):
    inner = MemoryBackend()
    await EncryptedBackend(inner, KEY).set("one", entry())
    sound = await inner.get_state(KEYS_STATE)
    await inner.set_state(KEYS_STATE, damage)
    backend = EncryptedBackend(inner, KEY)
    assert (await backend.get("one")).response == "In quicksilver."
    await backend.set("two", entry("another"))
    assert await inner.get_state(KEYS_STATE) == sound


async def test_another_key_is_still_refused():
    inner = MemoryBackend()
    await EncryptedBackend(inner, KEY).set("one", entry())
    with pytest.raises(EncryptionKeyError, match="is encrypted with another key"):
        await EncryptedBackend(inner, NEW).get("one")
