"""`EncryptedBackend`: what is stored, which key opens it, and what happens to entries that were tampered with."""

import base64
import dataclasses
import json
import logging
import secrets

import numpy as np
import pytest
from postgres_servers import own_schema
from postgres_servers import server_url as postgres_url
from redis_servers import own_prefix
from redis_servers import server_url as redis_url

from semantic_llm_cache import CachedLLM, Request, SemanticCache, cache
from semantic_llm_cache.backends import EncryptedBackend, MemoryBackend, SQLiteBackend, backend_from_url
from semantic_llm_cache.backends.encrypted.keys import read_keys
from semantic_llm_cache.backends.encrypted.rotation import Rotation
from semantic_llm_cache.backends.encrypted.sealing import seal_bytes
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.exceptions import CacheSerializationError, EncryptionKeyError
from semantic_llm_cache.similarity.base import unit
from semantic_llm_cache.storage.records import Text
from semantic_llm_cache.storage.registry import KEY_VARIABLE, KEYS_STATE, encrypted_backend, shared_backend

KEY, OLD, OTHER = "ab" * 32, "cd" * 32, "ef" * 32
WORDS = ("zanzibar", "quicksilver", "marmalade", "periwinkle", "hollyhock")


def vector(seed, size=384):
    return unit(np.random.default_rng(seed).normal(size=size))


def entry(prompt="Where is zanzibar?", response="In quicksilver.", **fields):
    return CacheEntry(prompt, response, **fields)


def request(text="Where is zanzibar?"):
    return Request("default", {"model": "m", "history": "marmalade"}, text)


async def fill(backend):
    """Store something in every place that may hold a text."""
    for number in range(3):
        await backend.set(
            f"key-periwinkle-{number}",
            entry(
                embedding=vector(number), embedder="e", tags=("hollyhock",), aliases=("marmalade?",), scope="periwinkle"
            ),
        )
    await backend.set_many([("quicksilver", entry(response={"marmalade": ("zanzibar",)}))])
    await backend.set_state("online:default", b"zanzibar and quicksilver")
    await backend.record_hits({"key-periwinkle-1": 2}, 1.0)
    text = Text("default", "periwinkle", "e", "Where is marmalade?")
    await backend.keep_vectors({text: vector(2)})
    if backend.vector_seconds:
        assert np.allclose((await backend.recall("nothing", text))[1], vector(2), atol=1e-5)
        assert await backend.recall("nothing", text._replace(scope="other")) == (None, None)
    await backend.find_candidates(vector(1), 0.9, scope="periwinkle", embedder="e")


def assert_hidden(data):
    for word in WORDS:
        for form in (word, base64.b64encode(word.encode()).decode().strip("=")[:-1], word.encode().hex()):
            assert form.encode() not in data, form
    for number in range(3):
        assert vector(number).astype("<f4").tobytes()[:32] not in data


# ------------------------------------------------------------------------------ what is stored


async def test_no_file_holds_a_text_or_a_plain_vector(tmp_path):
    backend = EncryptedBackend(SQLiteBackend(tmp_path / "cache.db"), KEY)
    await fill(backend)
    assert (await backend.get("key-periwinkle-1")).hit_count in (0, 2)
    open_files = b"".join(path.read_bytes() for path in tmp_path.iterdir())  # with the write-ahead log
    await backend.close()
    assert len(open_files) > 10_000
    assert_hidden(open_files + b"".join(path.read_bytes() for path in tmp_path.iterdir()))


async def test_what_an_engine_writes_is_hidden(tmp_path):
    """The error budget, the clusters of prompts, counters and aliases included."""
    options = {"max_error": 0.3, "seed": 1, "guards": None, "tags": ["hollyhock"], "embedder": lambda text: [1.0, 0.5]}
    async with SemanticCache(f"sqlite:///{tmp_path}/cache.db", encryption_key=KEY, **options) as engine:
        for number in range(8):
            await engine.get_or_call(request(f"Where is zanzibar {number}?"), lambda: "In quicksilver.")
        names = await engine.backend.list_states()
        await engine.close()  # which writes what was learned
        names = await engine.backend.list_states()
    assert any(name.startswith("online:") for name in names)
    assert KEYS_STATE not in names
    assert_hidden(b"".join(path.read_bytes() for path in tmp_path.iterdir()))


@pytest.mark.parametrize("way", ["plain", "vectorset", "search"])
async def test_redis_holds_no_text(way):
    import redis.asyncio

    from semantic_llm_cache.backends.redis import RedisBackend

    url, prefix = redis_url("vectorset" if way == "plain" else way), own_prefix()
    async with EncryptedBackend(RedisBackend(url, prefix=prefix, search=way), KEY) as backend:
        await used(backend)
        data = b""
        async with redis.asyncio.from_url(url) as client:
            async for name in client.scan_iter(f"{prefix}*"):
                data += name + (await client.dump(name) or b"")
                if await client.type(name) == b"hash":
                    data += b"".join(b"".join(pair) for pair in (await client.hgetall(name)).items())
        assert len(data) > 2000
        assert_hidden(data)
        await backend.clear()


async def test_postgres_holds_no_text():
    import asyncpg

    from semantic_llm_cache.backends.postgres import PostgresBackend

    url = postgres_url()
    schema = own_schema(url)
    async with EncryptedBackend(PostgresBackend(url, schema=schema), KEY) as backend:
        await used(backend)
    connection = await asyncpg.connect(url)
    try:
        tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = $1", schema)
        rows = [await connection.fetch(f'SELECT t::text FROM "{schema}"."{table[0]}" t') for table in tables]
    finally:
        await connection.close()
    data = "".join(row[0] for table in rows for row in table).encode()
    assert len(data) > 2000
    assert_hidden(data)


async def used(backend):
    """Use a backend in every way, on a server."""
    await fill(backend)
    found = await backend.find_candidates(vector(1), 0.99, scope="periwinkle", embedder="e")
    assert [candidate.key for candidate in found] == ["key-periwinkle-1"]
    assert np.allclose(found[0].entry.embedding, vector(1), atol=2e-3) or found[0].entry.embedding is None
    assert (await backend.get("quicksilver")).response == {"marmalade": ("zanzibar",)}
    assert await backend.set_vectors([("quicksilver", "Where is zanzibar?", vector(7))], "new") == [True]
    assert await backend.invalidate(tags=["hollyhock"]) == 3
    assert await backend.invalidate("ZANZIBAR", tags=["none"]) == 0
    assert await backend.get_state("online:default") == b"zanzibar and quicksilver"
    await fill(backend)


async def test_equal_prompts_are_not_seen_to_be_equal():
    inner = MemoryBackend()
    backend = EncryptedBackend(inner, KEY)
    await backend.set_many([("a", entry()), ("b", entry())])
    (_, first), (_, second) = await inner.iterate()
    assert first.prompt != second.prompt
    assert first.response != second.response


# ------------------------------------------------------------------------------ vectors


@pytest.mark.parametrize("size", [1, 2, 3, 7, 101, 384])
def test_a_rotation_keeps_cosines_and_can_be_undone(size):
    rotation, a, b = Rotation(b"k" * 32), vector(1, size), vector(2, size)
    turned = rotation.apply(a)
    assert float(turned @ rotation.apply(b)) == pytest.approx(float(a @ b), abs=1e-5)
    assert np.allclose(rotation.undo(turned), a, atol=1e-6)
    if size > 3:
        assert abs(float(turned @ a)) < 0.9
        assert abs(float(turned @ Rotation(b"l" * 32).apply(a))) < 0.9
    assert np.array_equal(turned, Rotation(b"k" * 32).apply(a))


async def test_the_form_of_the_vectors_belongs_to_the_storage():
    inner = MemoryBackend()
    for chosen, seen in ((None, "rotated"), ("none", "none"), (None, "none"), ("clear", "clear"), (None, "clear")):
        backend = EncryptedBackend(inner, KEY, vectors=chosen)
        await backend.set(seen, entry(embedding=vector(1), embedder="e"))
        assert backend.vectors == seen
        found = await backend.find_candidates(vector(1), 0.99, embedder="e")
        assert [candidate.key for candidate in found] == ([] if seen == "none" else [seen])
    with pytest.raises(ValueError, match="vectors='x' must be"):
        EncryptedBackend(inner, KEY, vectors="x")


# ------------------------------------------------------------------------------ keys


async def test_a_new_key_is_taken_over_step_by_step(caplog):
    inner = MemoryBackend()
    old = EncryptedBackend(inner, OLD)
    await fill(old)
    both = EncryptedBackend(inner, [KEY, OLD])
    assert (await both.get("quicksilver")).response == {"marmalade": ("zanzibar",)}
    near = await both.find_candidates(vector(1), 0.99, scope="periwinkle", embedder="e")
    assert [candidate.key for candidate in near] == ["key-periwinkle-1"]
    await both.set("quicksilver", entry(response="newer"))
    assert await old.get("quicksilver") is None  # the old one is gone
    assert await EncryptedBackend(inner, OLD).get("key-periwinkle-0") is not None  # a program with the old key goes on
    assert await both.reencrypt() == 4  # three entries and a state
    assert await both.reencrypt() == 0
    new = EncryptedBackend(inner, KEY)
    assert len(await new.iterate()) == 4
    assert (await new.get("quicksilver")).response == "newer"
    assert await new.get_state("online:default") == b"zanzibar and quicksilver"
    near = await new.find_candidates(vector(1), 0.99, scope="periwinkle", embedder="e")
    assert np.allclose(near[0].entry.embedding, vector(1), atol=1e-5)
    assert near[0].entry.tags == ("hollyhock",)
    with pytest.raises(EncryptionKeyError, match="is encrypted with another key"):
        await EncryptedBackend(inner, OLD).get("quicksilver")
    assert "damaged" not in caplog.text


async def test_what_is_invalidated_while_it_is_encrypted_again_does_not_come_back():
    class Inner(MemoryBackend):
        async def get_many(self, keys, **options):
            """Have another process delete all entries after the look whether there is a newer one."""
            found = await super().get_many(keys, **options)
            await self.clear()
            return found

    inner = Inner()
    await fill(EncryptedBackend(inner, OLD))
    both = EncryptedBackend(inner, [KEY, OLD])
    await both.reencrypt()
    assert await both.iterate() == []


async def test_plain_entries_are_served_only_after_they_were_encrypted(caplog):
    inner = MemoryBackend()
    await fill(inner)
    backend = EncryptedBackend(inner, KEY)
    assert await backend.get("quicksilver") is None
    assert await backend.iterate() == []
    assert await backend.reencrypt(plain=True) == 5
    assert (await backend.get("quicksilver")).response == {"marmalade": ("zanzibar",)}
    assert len(await backend.iterate()) == (await inner.get_stats())["size"] == 4


@pytest.mark.parametrize("holds", ["entries", "a state"])
async def test_a_storage_in_clear_is_not_marked_as_encrypted_unless_asked_for(holds):
    inner = MemoryBackend()
    if holds == "entries":
        await inner.set("k", entry())
    else:
        await inner.set_state("online:default", b"zanzibar and quicksilver")
    with pytest.raises(ValueError, match=r"plain=False, and memory:// is not encrypted: pass plain=True .*--plain"):
        await EncryptedBackend(inner, KEY).reencrypt()
    assert await inner.get_state(KEYS_STATE) is None
    assert await EncryptedBackend(inner, KEY).reencrypt(plain=True) == 1
    assert await EncryptedBackend(inner, KEY).reencrypt() == 0


async def test_an_empty_storage_and_one_whose_mark_was_lost_can_be_reencrypted():
    inner = MemoryBackend()
    assert await EncryptedBackend(inner, OLD).reencrypt() == 0
    await fill(EncryptedBackend(inner, OLD))
    await inner.set_state(KEYS_STATE, None)
    await inner.set_state("of another key", seal_bytes(read_keys(OTHER)[0], "of another key", b"1"))
    before = await inner.get_state("of another key")
    assert await EncryptedBackend(inner, [KEY, OLD]).reencrypt(plain=True) == 5
    assert await inner.get_state("of another key") == before
    assert await inner.get_state(KEYS_STATE) is not None


async def test_what_is_left_in_clear_is_reported(caplog):
    inner = MemoryBackend()
    await fill(EncryptedBackend(inner, KEY))
    await inner.set("k", entry())
    assert await EncryptedBackend(inner, KEY).reencrypt() == 0
    assert "memory://: entries left in clear: 1. Encrypt them with --plain" in caplog.text
    caplog.clear()
    assert await EncryptedBackend(inner, KEY).reencrypt(plain=True) == 1
    assert caplog.text == ""


async def test_another_key_is_an_error_also_where_failures_are_not():
    inner = MemoryBackend()
    await EncryptedBackend(inner, KEY).set("k", entry())
    engine = SemanticCache(EncryptedBackend(inner, OTHER))
    for _ in range(5):  # the circuit breaker is for outages
        with pytest.raises(EncryptionKeyError, match=r"given: .*pass that key; .* encryption_key=\[new, old\]"):
            await engine.get_or_call(request(), lambda: "x")
    with pytest.raises(EncryptionKeyError):
        await engine.store(request(), "x")


def test_keys_may_be_hex_base64_or_bytes():
    raw = secrets.token_bytes(32)
    forms = [raw, raw.hex(), base64.b64encode(raw), base64.urlsafe_b64encode(raw).decode(), f" {raw.hex().upper()} "]
    ids = {EncryptedBackend("memory://", form).key_ids for form in [*forms, [raw, raw.hex()], f"{raw.hex()},"]}
    assert len(ids) == 1
    assert len(EncryptedBackend("memory://", f"{KEY},{OLD}").key_ids) == 2
    assert KEY not in repr(vars(EncryptedBackend("memory://", KEY)))


@pytest.mark.parametrize(
    "wrong", ["", "secret-zanzibar", KEY[:-1], b"x" * 31, [], 7, [KEY, 7], None, "zanzibar," + KEY]
)
def test_what_is_no_key_is_refused_without_being_shown(wrong):
    with pytest.raises(EncryptionKeyError, match=r"make one with: python -c|is of type|is empty") as error:
        EncryptedBackend("memory://", wrong)
    assert "zanzi" not in str(error.value)


# ------------------------------------------------------------------------------ damage


def altered(stored, **fields):
    return dataclasses.replace(stored, **fields)


@pytest.mark.parametrize(
    "alter",
    [
        lambda stored, other: altered(stored, response=other.response),
        lambda stored, other: other,
        lambda stored, other: altered(stored, created_at=stored.created_at + 60),
        lambda stored, other: altered(stored, ttl=None),
        lambda stored, other: altered(stored, namespace="theirs"),
        lambda stored, other: altered(stored, response=stored.response[:-8] + "AAAAAAA="),
        lambda stored, other: altered(stored, response=stored.response[:40]),
        lambda stored, other: altered(stored, response="planted"),
        lambda stored, other: altered(stored, response={"planted": 1}),
    ],
    ids=["swapped", "moved", "younger", "for ever", "namespace", "bits", "cut", "plain", "type"],
)
async def test_what_was_tampered_with_is_never_served(alter, caplog):
    inner = MemoryBackend()
    backend = EncryptedBackend(inner, KEY)
    vectors = {"embedding": vector(1), "embedder": "e", "ttl": 3600.0}
    await backend.set_many([("a", entry(**vectors)), ("b", entry("other", "other"))])
    (place, stored), (_, other) = await inner.iterate()
    await inner.set(place, alter(stored, other))
    for _ in range(2):
        assert await backend.get("a") is None
        assert await backend.get_many(["a", "b"], touch=False) == [None, await backend.get("b")]
        assert await backend.find_candidates(vector(1), 0.9, embedder="e") == []
        assert [key for key, _ in await backend.iterate()] == ["b"]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "damaged and left out" in caplog.text
    await backend.set("a", entry())
    assert await backend.get("a") is not None


async def test_a_damaged_state_counts_as_none(caplog):
    inner = MemoryBackend()
    backend = EncryptedBackend(inner, KEY)
    await backend.set_state("one", b"1")
    await inner.set_state("two", await inner.get_state("one"))
    await inner.set_state("three", b"plain")
    assert [await backend.get_state(name) for name in ("one", "two", "three", "four")] == [b"1", None, None, None]


async def test_an_answer_without_a_stored_form_is_refused():
    with pytest.raises(CacheSerializationError):
        await EncryptedBackend(MemoryBackend(), KEY).set("k", entry(response=object()))


# ------------------------------------------------------------------------------ how it is switched on


async def test_the_option_encrypts_the_backend_that_is_named(tmp_path):
    url = f"sqlite:///{tmp_path}/cache.db"
    engine = SemanticCache(url, encryption_key=KEY)
    assert isinstance(engine.backend, EncryptedBackend)
    assert SemanticCache(url, encryption_key=[KEY]).backend is engine.backend  # so they share calls in flight
    assert engine.derive(ttl=60).backend is engine.backend
    assert engine.backend.url.endswith("(encrypted)")
    assert KEY not in repr(engine) + repr(engine.options)

    @cache(backend=url, encryption_key=KEY)
    async def ask(prompt: str) -> str:
        return "In quicksilver."

    assert [await ask("Where?"), await ask("Where?")] == ["In quicksilver."] * 2
    assert ask.cache_info().hits == 1
    llm = CachedLLM(backend=url, encryption_key=KEY)
    assert await llm.achat("zanzibar", llm_func=lambda prompt: "quicksilver") == "quicksilver"
    await engine.close()
    assert_hidden(b"".join(path.read_bytes() for path in tmp_path.iterdir()))
    with pytest.raises(ValueError, match=f"encryption_key= needs backend=; .* {KEY_VARIABLE}"):
        SemanticCache(encryption_key=KEY)
    with pytest.raises(TypeError, match="encryption_key: the backend is an EncryptedBackend with other keys"):
        SemanticCache(engine.backend, encryption_key=OTHER)


async def test_the_environment_encrypts_what_is_opened_by_url(tmp_path, monkeypatch):
    url = f"sqlite:///{tmp_path}/cache.db"
    monkeypatch.setenv(KEY_VARIABLE, f"{KEY},{OLD}")
    assert shared_backend(url) is shared_backend(url) is encrypted_backend(url) is SemanticCache(url).backend
    assert len(shared_backend(url).key_ids) == 2
    assert isinstance(backend_from_url(url), EncryptedBackend)
    assert isinstance(shared_backend("memory://"), MemoryBackend)  # nothing of it outlives the process
    monkeypatch.setenv(KEY_VARIABLE, "zanzibar")
    with pytest.raises(EncryptionKeyError, match=f"{KEY_VARIABLE} is no key of 32 bytes") as error:
        SemanticCache(f"sqlite:///{tmp_path}/other.db")
    assert "zanzi" not in str(error.value)


async def test_exact_hits_come_from_the_front(tmp_path):
    backend = EncryptedBackend(SQLiteBackend(tmp_path / "cache.db"), KEY)
    engine = SemanticCache(backend)
    assert await engine.get_or_call(request(), lambda: ["1"]) == ["1"]
    for _ in range(3):
        assert await engine.get_or_call(request(), lambda: ["2"]) == ["1"]
    assert backend.front.get(request().key) is not None
    other = EncryptedBackend(backend.inner, KEY)
    await other.delete(request().key)
    assert backend.front.get(request().key) is None
    assert await engine.get_or_call(request(), lambda: ["3"]) == ["3"]
    await engine.close()


async def test_near_hits_are_as_without_encryption():
    outcomes = []
    for backend in (MemoryBackend(), EncryptedBackend(MemoryBackend(), KEY)):
        engine = SemanticCache(backend, similarity=0.5, embedder="dummy", guards=None)
        lookups = []
        for text in ("how do I reset my password", "reset my password how do I", "what is the weather"):
            await engine.get_or_call(request(text), lambda: "x")
            lookups.append(await engine.lookup(request(f"{text} now")))
        outcomes.append([(look.outcome, look.matched_prompt, round(look.similarity or 0, 4)) for look in lookups])
    assert outcomes[0] == outcomes[1]


async def test_the_note_of_keys_says_nothing_about_them():
    inner = MemoryBackend()
    await EncryptedBackend(inner, KEY).set("k", entry())
    noted = json.loads(await inner.get_state(KEYS_STATE))
    assert (len(noted["keys"][0]), noted["vectors"]) == (16, "rotated")
    assert noted["keys"][0] not in KEY
