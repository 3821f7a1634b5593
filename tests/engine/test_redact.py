"""`redact=`: what of a prompt is stored, and that what was masked is found nowhere."""

import contextlib
import logging

import pytest

from semantic_llm_cache import Request, SemanticCache, export_cache
from semantic_llm_cache.backends import MemoryBackend, SQLiteBackend
from semantic_llm_cache.engine import redacting
from semantic_llm_cache.management.reembedding import reembed_cache
from semantic_llm_cache.utils import PersonalData

CARD, OTHER = "4111 1111 1111 1111", "5500 0000 0000 0004"


def asked(text):
    return Request("default", {"model": "m"}, text)


def counted():
    calls = []

    async def call():
        calls.append(1)
        return f"answer {len(calls)}"

    return call


def same_vector(text):
    return [1.0, 0.0]


def engine(backend, **options):
    return SemanticCache(backend, redact=PersonalData(), guards=None, **options)


async def test_a_masked_prompt_is_stored_masked_and_found_by_the_same_words():
    backend = MemoryBackend()
    cache, call = engine(backend), counted()
    assert await cache.get_or_call(asked(f"My card is {CARD}"), call) == "answer 1"
    assert await cache.get_or_call(asked(f"My card is {CARD}"), call) == "answer 1"
    ((_, entry),) = await backend.iterate()
    assert (entry.prompt, entry.embedding) == ("My card is [CARD]", None)


async def test_two_prompts_that_are_equal_once_masked_never_share():
    """Nor does the masked text itself, and not by meaning either, whichever comes first."""
    cache, call = engine(MemoryBackend(), embedder=same_vector, similarity=0.5), counted()
    texts = [f"My card is {CARD}", f"My card is {OTHER}", "My card is [CARD]"]
    assert [await cache.get_or_call(asked(text), call) for text in texts] == ["answer 1", "answer 2", "answer 3"]
    assert [await cache.get_or_call(asked(text), call) for text in texts] == ["answer 1", "answer 2", "answer 3"]
    assert await cache.get_or_call(asked("My card"), call) == "answer 3"  # unmasked ones still match by meaning
    cache = engine(MemoryBackend(), embedder=same_vector, similarity=0.5)
    assert await cache.get_or_call(asked("My card is [CARD]"), call) == "answer 4"
    assert await cache.get_or_call(asked(texts[0]), call) == "answer 5"


async def test_a_vector_given_later_makes_a_masked_entry_no_near_hit():
    backend = MemoryBackend()
    cache, call = engine(backend, embedder=same_vector, similarity=0.5), counted()
    await cache.get_or_call(asked(f"My card is {CARD}"), call)
    report = await reembed_cache(backend, "dummy", missing=True)
    assert (report.moved, report.without_vector) == (0, 1)
    ((key, entry),) = await backend.iterate()
    entry.embedding, entry.embedder = [1.0, 0.0], cache.need_embedder().fingerprint
    await backend.set(key, entry)
    assert await cache.get_or_call(asked("My card"), call) == "answer 2"


async def test_none_stores_nothing_and_says_so():
    seen = []
    backend = MemoryBackend()
    cache, call = SemanticCache(backend, redact=lambda text: None, on_event=seen.append), counted()
    assert await cache.get_or_call(asked("secret"), call) == "answer 1"
    assert await cache.get_or_call(asked("secret"), call) == "answer 2"
    assert (seen[0].stored, seen[0].stored_reason, seen[0].prompt) == (False, "redact", "")
    assert await cache.store(asked("secret"), "x") is False
    assert await backend.iterate() == []


@pytest.mark.parametrize("fault", [lambda text: 1 / 0, lambda text: 7], ids=["raises", "no text"])
async def test_a_redactor_that_fails_stores_nothing(fault, caplog):
    backend = MemoryBackend()
    cache = SemanticCache(backend, redact=fault)
    for _ in range(2):
        await cache.get_or_call(asked("secret"), counted())
    assert await backend.iterate() == []
    assert [record.message.count("redact r") for record in caplog.records] == [1]
    assert "secret" not in caplog.text


def test_redact_must_be_a_plain_callable():
    async def redact(text):
        return text

    for wrong in (redact, "mask"):
        with pytest.raises(TypeError, match="redact="):
            SemanticCache(redact=wrong)


def test_the_key_of_a_masked_prompt_is_keyed(monkeypatch):
    """Nobody who knows all but the card number can test numbers against the storage."""
    plain = asked(f"My card is {CARD}")
    cache = engine(MemoryBackend())
    own = cache.redacted(plain).key
    assert own == cache.redacted(asked(f"My card is {CARD}")).key != plain.key
    monkeypatch.setattr(redacting, "_OF_THIS_PROCESS", b"another process")
    assert cache.redacted(plain).key != own
    monkeypatch.setenv("SEMANTIC_LLM_CACHE_SECRET", "")  # the same as none: an empty key would be a public one
    keys = {cache.redacted(plain).key}
    for secret in ("one", "two"):
        monkeypatch.setenv("SEMANTIC_LLM_CACHE_SECRET", secret)
        keys.add(cache.redacted(plain).key)
    assert len(keys | {own, plain.key}) == 5
    assert cache.redacted(asked("no card")).key == asked("no card").key


async def test_entries_of_masked_prompts_can_be_looked_up_and_deleted():
    cache = engine(MemoryBackend())
    request = asked(f"My card is {CARD}")
    assert await cache.store(request, "42")
    assert (await cache.lookup(request)).response == "42"
    assert await cache.delete(request) is True
    assert (await cache.lookup(request)).hit is False


async def test_a_masked_secret_is_nowhere(tmp_path, caplog):
    """Not in the files, events, logs, feedback, statistics, exports or what an error budget has learned."""
    caplog.set_level(logging.DEBUG)
    path, seen = tmp_path / "cache.db", []
    backend = SQLiteBackend(path)
    asked_of, judged = [], []
    options = {
        "embedder": lambda text: asked_of.append(text) or [1.0, 0.0],
        "category": lambda text: asked_of.append(text),
        "ttl": lambda answer, request: asked_of.append(request.text) or 60,
        "max_error": 0.2,
        "same_answer": lambda a, b: judged.append((a, b)) or True,
    }
    async with engine(backend, on_event=seen.append, **options) as cache:
        wrapped = cache.cache(stream_or_value, ignore=())
        for number in (CARD, OTHER, CARD, "6"):
            await wrapped(f"My card is {number}")
        lookups = [repr((look, look.prompt, look.matched_prompt, look.reason, look.key)) for look in seen]
        await export_cache(filepath=str(tmp_path / "export.json"), backend=backend)
        stats = repr((await backend.get_stats(), await backend.get_counters(), cache.info()))
    files = b"".join(each.read_bytes() for each in tmp_path.iterdir())
    for secret in (CARD, OTHER, CARD.replace(" ", "")):
        for place in (*lookups, *map(str, asked_of), stats, caplog.text, files.decode("latin-1"), repr(judged)):
            assert secret not in place
    assert b"My card is [CARD]" in files


async def stream_or_value(prompt: str) -> str:
    return "noted"


async def test_streams_are_masked_too():
    backend = MemoryBackend()
    cache, opened = engine(backend), []

    @cache.cache
    async def tell(prompt: str):
        opened.append(prompt)
        yield "a"
        yield str(len(opened))

    for number in (CARD, OTHER, CARD):
        chunks = [chunk async for chunk in tell(f"My card is {number}")]
    assert (len(opened), chunks) == (2, ["a", "1"])
    assert {entry.prompt for _, entry in await backend.iterate()} == {"My card is [CARD]"}


async def test_the_operator_and_the_event_log_see_masked_prompts(caplog):
    """What the admin API shows comes from the history of calls, the entries, and the audit log."""
    from semantic_llm_cache.server.operator import Operator
    from semantic_llm_cache.telemetry.events import log_lookups

    backend = MemoryBackend()
    cache = engine(backend, embedder=same_vector, similarity=0.5)
    operator = Operator(cache)
    caplog.set_level(logging.INFO)
    with contextlib.closing(log_lookups(cache=cache, prompts=True)):
        for text in (f"My card is {CARD}", f"My card is {CARD}", "My card"):
            await cache.get_or_call(asked(text), counted())
            await cache.lookup(asked(text))
    shown = [(event.lookup.prompt, event.lookup.matched_prompt) for event in operator.history.recent()]
    assert len(shown) == 6
    shown += [await operator.groups(None, 10), await operator.stats(), await operator.audit_log(10)]
    exported = await operator.export(None, "me")
    shown.append([found async for found in exported])
    for place in (repr(shown), caplog.text):
        assert "My card is [CARD]" in place
        assert CARD not in place
