"""clear, invalidate, warm, export and import: on memory and on SQLite."""

import asyncio
import base64
import json
import logging
import threading
import time
import uuid
from dataclasses import asdict

import numpy as np
import pydantic
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from semantic_llm_cache import (
    CacheBackendError,
    CacheContext,
    CacheSerializationError,
    SemanticCache,
    cache,
    clear_cache,
    export_cache,
    get_default_backend,
    import_cache,
    invalidate,
    last_lookup,
    set_default_backend,
    warm_cache,
)
from semantic_llm_cache.backends import MemoryBackend, SQLiteBackend
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.similarity import DummyEmbeddingProvider

pytestmark = pytest.mark.usefixtures("only_own_engines")


@pytest.fixture(params=["memory", "sqlite"])
async def backend(request, tmp_path):
    made = MemoryBackend() if request.param == "memory" else SQLiteBackend(tmp_path / "cache.db")
    set_default_backend(made)
    yield made
    await made.close()


@pytest.fixture(params=["json", "jsonl"])
def file(request, tmp_path):
    return tmp_path / f"export.{request.param}"


class Reply(pydantic.BaseModel):
    text: str
    when: uuid.UUID = uuid.UUID(int=7)


async def prompts(backend):
    return sorted(entry.prompt for _, entry in await backend.iterate())


async def fill(backend):
    entries = {
        "k1": CacheEntry("What is Python?", "a language", namespace="faq", tags=("lang", "v1")),
        "k2": CacheEntry("What is PYTHON used for?", "many things", namespace="faq", tags=("lang",)),
        "k3": CacheEntry("What is Rust?", "another", namespace="other", tags=("v1",)),
    }
    for key, entry in entries.items():
        await backend.set(key, entry)


# ----------------------------------------------------------------------------- clear, invalidate


async def test_clear(backend):
    await fill(backend)
    assert await clear_cache("faq") == 2
    assert await prompts(backend) == ["What is Rust?"]
    assert await clear_cache("nobody's") == 0
    assert await clear_cache() >= 1  # other caches of the process count, too
    assert await prompts(backend) == []


@pytest.mark.parametrize(
    ("arguments", "gone"),
    [
        ({"pattern": "python"}, 2),
        ({"pattern": "PYTHON?"}, 1),
        ({"pattern": "is"}, 3),
        ({"pattern": "java"}, 0),
        ({"pattern": "is", "namespace": "other"}, 1),
        ({"tags": "v1"}, 2),
        ({"tags": ["v1", "lang"]}, 3),
        ({"pattern": "python", "tags": "v1"}, 1),
        ({"tags": ["nope"]}, 0),
        ({"tags": []}, 0),
        ({"pattern": "%"}, 0),
        ({"pattern": "_"}, 0),
    ],
)
async def test_invalidate(backend, arguments, gone):
    await fill(backend)
    assert await invalidate(**arguments) == gone
    assert len(await prompts(backend)) == 3 - gone


@pytest.mark.parametrize(
    ("arguments", "error"),
    [({}, ValueError), ({"pattern": ""}, ValueError), ({"pattern": 3}, TypeError), ({"pattern": None}, ValueError)],
)
async def test_invalidate_refuses_what_would_remove_all(arguments, error):
    with pytest.raises(error, match=r"pattern|clear_cache"):
        await invalidate(**arguments)


async def test_invalidate_by_the_tags_of_the_decorator(backend):
    @cache(tags=("news", "daily"))
    async def news(prompt):
        return prompt

    @cache(tags="facts")
    async def facts(prompt):
        return prompt

    await news("q")
    await facts("q")
    assert await invalidate(tags="daily") == 1
    assert not (await news.cache_lookup("q")).hit
    assert (await facts.cache_lookup("q")).hit


async def test_management_acts_on_every_backend_in_use(tmp_path, backend):
    other = MemoryBackend()

    @cache
    async def one(prompt):
        return "one"

    @cache(backend=other)
    async def two(prompt):
        return "two"

    await one("q")
    await two("q")
    assert {record["response"] for record in await export_cache()} >= {"one", "two"}
    assert [record["response"] for record in await export_cache(backend=other)] == ["two"]
    await export_cache(filepath=tmp_path / "all.json")
    assert await invalidate("q", backend=other) == 1
    assert (await one.cache_lookup("q")).hit
    await two("q")
    assert await clear_cache() >= 2
    for ask in (one, two):
        assert not (await ask.cache_lookup("q")).hit
    assert await import_cache(tmp_path / "all.json") >= 2
    for ask in (one, two):
        assert (await ask.cache_lookup("q")).hit


async def test_one_broken_backend_does_not_keep_the_others_from_being_cleared(tmp_path):
    broken_file = tmp_path / "no.db"
    broken_file.write_bytes(b"this is not a database" * 100)
    broken = SQLiteBackend(broken_file)
    user = SemanticCache(broken)  # a backend is in use while an engine has it
    user.bound()
    engines = [SemanticCache(MemoryBackend()) for _ in range(3)]
    for engine in engines:
        await fill(engine.bound()[0])
    with pytest.raises(CacheBackendError):
        await clear_cache()
    for engine in engines:
        assert await prompts(engine.backend) == []
    await broken.close()


async def test_by_url(tmp_path):
    url = f"sqlite:///{tmp_path / 'cache.db'}"

    @cache(backend=url)
    async def ask(prompt):
        return prompt

    await ask("q")
    assert await clear_cache(backend=url) == 1
    with pytest.raises(ValueError, match="nope:// is not known"):
        await clear_cache(backend="nope://x")
    await ask.cache_clear()
    from semantic_llm_cache.storage.registry import shared_backend

    await shared_backend(url).close()


# ---------------------------------------------------------------------------- of one function


async def test_clear_and_invalidate_of_one_function(backend):
    @cache
    async def one(prompt, model="m"):
        return "one"

    @cache
    async def two(prompt):
        return "two"

    await one("a")
    await one("b")
    await two("a")
    assert await one.cache_invalidate("a", model="m") is True
    assert await one.cache_invalidate("a") is False
    assert await one.cache_invalidate("b", model="l") is False
    async with CacheContext(namespace="inside"):
        await one("a")
    assert await one.cache_clear() == 2
    assert (await two.cache_lookup("a")).hit
    assert one.cache_info().misses == 3


def test_they_are_plain_on_plain_functions():
    @cache(namespace="faq")
    def ask(prompt):
        return prompt

    ask("a")
    assert ask.cache_lookup("a").response == "a"
    assert ask.cache_invalidate("a") is True
    ask("a")
    assert ask.cache_clear() == 1


async def test_plain_functions_inside_a_running_loop():
    @cache
    def ask(prompt):
        return prompt

    ask("a")
    assert ask.cache_lookup("a").hit
    assert ask.cache_invalidate("a") is True


# ------------------------------------------------------------------------------------- warming


async def test_warming_an_async_function(backend):
    ran = []
    running = most = 0

    @cache(namespace="faq")
    async def ask(prompt, model="m"):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.005)
        running -= 1
        ran.append(prompt)
        return prompt.upper()

    progress = []
    todo = [f"p{i}" for i in range(12)]
    count = await warm_cache(todo, ask, namespace="faq", concurrency=3, progress=lambda *at: progress.append(at))
    assert count == 12
    assert most == 3
    assert progress == [(i + 1, 12) for i in range(12)]
    for prompt in todo:
        assert await ask(prompt) == prompt.upper()
        assert last_lookup().outcome == "exact"
    assert sorted(ran) == sorted(todo)
    assert await warm_cache(todo, ask) == 12  # they are cached already
    assert len(ran) == 12


async def test_warming_a_plain_function(backend):
    threads = set()

    @cache
    def ask(prompt):
        threads.add(threading.get_ident())
        return prompt.upper()

    assert await warm_cache(iter(["a", "b"]), ask) == 2
    assert threading.get_ident() not in threads  # the loop was free meanwhile
    assert ask.cache_lookup("a").hit
    assert ask("b") == "B"


async def test_warming_methods_and_keyword_only_prompts():
    class Bot:
        @cache
        async def ask(self, prompt):
            return prompt

        @cache
        @classmethod
        def make(cls, prompt):
            return prompt

    @cache
    async def keyword(model="m", *, question):
        return question

    @cache
    async def second(model: str = "m", prompt: str = ""):
        return f"{model} {prompt}"

    bot = Bot()
    assert await warm_cache(["a"], bot.ask) == 1
    assert (await bot.ask.cache_lookup("a")).hit
    assert await warm_cache(["a"], Bot.make) == 1
    assert Bot.make.cache_lookup("a").hit
    assert await warm_cache(["a"], keyword) == 1
    assert (await keyword.cache_lookup(question="a")).hit
    assert await warm_cache(["a"], second) == 1
    assert await second(prompt="a") == "m a"
    assert last_lookup().hit


async def test_failures_are_logged_and_told_and_the_rest_goes_on(caplog):
    @cache
    async def ask(prompt):
        if "bad" in prompt:
            raise ConnectionError("no route")
        return prompt

    failed = []
    with caplog.at_level(logging.WARNING, "semantic_llm_cache"):
        count = await warm_cache(
            ["a", "bad 1", "b", "bad 2"], ask, on_failure=lambda prompt, error: failed.append((prompt, type(error)))
        )
    assert count == 2
    assert sorted(failed) == [("bad 1", ConnectionError), ("bad 2", ConnectionError)]
    assert caplog.text.count("ConnectionError") == 2
    assert "bad 1" not in caplog.text  # prompts stay out of logs


@pytest.mark.parametrize("plain", [False, True])
async def test_answers_stored_without_a_vector_are_counted_and_one_line_says_so(caplog, plain):
    def slow(text):
        if text == "b":
            time.sleep(0.3)
        return [len(text), 1.0]

    @cache(similarity=0.99, embedder=slow, timeout=0.05, backend="memory://")
    async def ask(prompt):
        return prompt

    @cache(similarity=0.99, embedder=slow, timeout=0.05, backend="memory://")
    def ask_plainly(prompt):
        return prompt

    with caplog.at_level(logging.WARNING, "semantic_llm_cache"):
        count = await warm_cache(["aaa", "b"], ask_plainly if plain else ask, concurrency=1)
    assert count == 2
    (line,) = [record.getMessage() for record in caplog.records if "were stored while" in record.getMessage()]
    assert "1 of 2 answers were stored while a part of the cache failed" in line
    assert "no embedding: no answer in time" in line
    assert "timeout=None" in line
    assert "reembed --missing" in line


async def test_nothing_is_said_where_every_answer_has_its_vector(caplog):
    @cache(similarity=0.99, embedder=lambda text: [len(text), 1.0], backend="memory://")
    async def ask(prompt):
        return prompt

    assert await warm_cache(["aaa", "b"], ask) == 2
    assert caplog.records == []


async def test_what_was_not_stored_is_not_counted():
    @cache(cache_if=lambda answer: answer != "b")
    async def ask(prompt):
        return prompt

    assert await warm_cache(["a", "b"], ask) == 1


async def test_warming_a_function_nobody_decorated(backend):
    async def ask(prompt):
        return prompt

    assert await warm_cache(["a"], ask, namespace="faq") == 1
    assert await cache(namespace="faq")(ask)("a") == "a"
    assert last_lookup().outcome == "exact"


@pytest.mark.parametrize(
    ("arguments", "error", "named"),
    [
        ({"llm_func": "ask"}, TypeError, "llm_func="),
        ({"prompts": "one prompt"}, TypeError, "prompts"),
        ({"concurrency": 0}, ValueError, "concurrency="),
        ({"concurrency": True}, ValueError, "concurrency="),
        ({"namespace": "other"}, ValueError, "namespace='other'"),
    ],
)
async def test_warming_refuses_by_name(arguments, error, named):
    @cache(namespace="faq")
    async def ask(prompt):
        return prompt

    with pytest.raises(error, match=named):
        await warm_cache(**{"prompts": ["a"], "llm_func": ask, **arguments})


# ------------------------------------------------------------------------------ export, import


def whole(entry):
    fields = {name: getattr(entry, name) for name in CacheEntry.__dataclass_fields__}
    vector = fields.pop("embedding")
    return fields, None if vector is None else np.asarray(vector, dtype="f4").tobytes()


async def rich(backend):
    vectors = DummyEmbeddingProvider(8)
    await fill(backend)
    await backend.set(
        "k4",
        CacheEntry(
            "Wo liegt Ü\u2028 and \x85 \x00 😀?", {"a": (1, {2, 3}), 4: [None, b"x"]}, vectors.encode("x"),
            created_at=backend.clock() - 5, ttl=1000.0, namespace="n", hit_count=3, input_tokens=5, output_tokens=6,
            scope="s", embedder=vectors.fingerprint, tags=("t", "ü"), aliases=("other",), duration_ms=12.5,
            cost_usd=0.25,
        ),
    )  # fmt: skip


async def test_export_then_import_loses_nothing(backend, file, tmp_path):
    await rich(backend)
    before = {key: whole(entry) for key, entry in await backend.iterate()}
    records = await export_cache(filepath=file, backend=backend)
    assert len(records) == 4
    assert await clear_cache(backend=backend) == 4
    assert await import_cache(file, backend=backend) == 4
    assert {key: whole(entry) for key, entry in await backend.iterate()} == before
    # Into the other kind of backend and back, too.
    other = SQLiteBackend(tmp_path / "other.db") if isinstance(backend, MemoryBackend) else MemoryBackend()
    assert await import_cache(str(file), backend=other) == 4
    assert {key: whole(entry) for key, entry in await other.iterate()} == before
    found = await other.find_similar(DummyEmbeddingProvider(8).encode("x"), 0.99)
    assert found is not None
    assert found[0] == "k4"
    await other.close()


async def test_records_are_dicts_with_whole_responses(backend):
    await rich(backend)
    records = {record["key"]: record for record in await export_cache(backend=backend)}
    record = records["k4"]
    assert record["response"] == {"a": (1, {2, 3}), 4: [None, b"x"]}
    assert record["embedding"] == [pytest.approx(float(x)) for x in DummyEmbeddingProvider(8).encode("x")]
    assert all(type(x) is float for x in record["embedding"])
    assert record["tags"] == ["t", "ü"]
    assert record["prompt"].startswith("Wo liegt")
    assert {*record} == {"key", *asdict(CacheEntry("", ""))}
    json.dumps([r for key, r in records.items() if key != "k4"])
    assert [r["key"] for r in await export_cache("faq", backend=backend)] == ["k1", "k2"]


async def test_the_function_hits_after_an_import(backend, file):
    ran = []

    @cache(embedder="dummy", similarity=0.9)
    async def ask(prompt, model="m") -> list[Reply]:
        ran.append(prompt)
        return [Reply(text=prompt)]

    await ask("q", "l")
    await export_cache(filepath=file, backend=backend)
    await clear_cache()
    assert await import_cache(file) == 1
    assert await ask("q", "l") == [Reply(text="q")]
    assert last_lookup().outcome == "exact"
    assert ran == ["q"]


async def test_times_are_kept_and_what_is_over_is_left_out(file):
    now = [1000.0]
    backend = MemoryBackend(clock=lambda: now[0])
    await backend.set("short", CacheEntry("a", 1, created_at=1000.0, ttl=10.0))
    await backend.set("long", CacheEntry("b", 2, created_at=1000.0, ttl=100.0))
    await backend.set("ever", CacheEntry("c", 3, created_at=1000.0, ttl=None))
    await export_cache(filepath=file, backend=backend)
    now[0] = 1050.0
    target = MemoryBackend(clock=lambda: now[0])
    assert await import_cache(file, backend=target) == 2
    assert (await target.get("long")).created_at == 1000.0
    now[0] = 1100.0
    assert await prompts(target) == ["c"]


async def test_files_are_whole_or_not_there(tmp_path):
    backend = MemoryBackend()
    await fill(backend)
    with pytest.raises(OSError, match="nowhere"):
        await export_cache(filepath=tmp_path / "nowhere" / "x.json", backend=backend)
    path = tmp_path / "x.json"
    path.write_text("before")
    await export_cache(filepath=path, backend=backend)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.json"]
    assert len(json.loads(path.read_text())["entries"]) == 3


async def test_jsonl_has_an_entry_in_each_line(tmp_path):
    backend = MemoryBackend()
    await rich(backend)
    path = tmp_path / "x.JSONL"
    await export_cache(filepath=path, backend=backend)
    lines = path.read_bytes().decode().split("\n")
    assert lines.pop() == ""
    assert [json.loads(line)["key"] for line in lines] == ["k1", "k2", "k3", "k4"]
    path.write_text("\n\n".join(lines), encoding="utf-8-sig")  # blank lines and a mark do no harm
    assert await import_cache(path, backend=MemoryBackend()) == 4


async def test_half_a_surrogate_pair_survives(file):
    backend = MemoryBackend()
    await backend.set("k", CacheEntry("half \ud83d", "answer"))
    await export_cache(filepath=file, backend=backend)
    target = MemoryBackend()
    await import_cache(file, backend=target)
    assert (await target.get("k")).prompt == "half \ud83d"


async def test_a_list_of_records_is_an_export_too(tmp_path):
    backend = MemoryBackend()
    await fill(backend)
    path = tmp_path / "list.json"
    path.write_text(json.dumps(await export_cache(backend=backend)))
    assert await import_cache(path, backend=(target := MemoryBackend())) == 3
    assert (await target.get("k1")).response == "a language"


GOOD = {"key": "k", "prompt": "p", "response": "r"}
DAMAGED = [
    ("{", "not JSON"),
    ("nonsense", "not JSON"),
    ("[" * 100_000, "not JSON"),
    ("3", "must be a JSON object"),
    ({}, "'key' is missing"),
    ({**GOOD, "key": 3}, "'key' is missing"),
    ({"key": "k", "response": "r"}, "'prompt' is missing"),
    ({"key": "k", "prompt": "p"}, "'response' is missing"),
    ({**GOOD, "schema_version": 99}, "schema_version 99"),
    ({**GOOD, "created_at": "yesterday"}, "created_at='yesterday'"),
    ({**GOOD, "created_at": float("nan")}, "created_at=nan"),
    ({**GOOD, "ttl": float("inf")}, "ttl=inf"),
    ({**GOOD, "created_at": 10**400}, "created_at=1"),
    ({**GOOD, "ttl": "1h"}, "ttl='1h'"),
    ({**GOOD, "ttl": True}, "ttl=True"),
    ({**GOOD, "hit_count": 1.5}, "hit_count=1.5"),
    ({**GOOD, "namespace": None}, "namespace=None"),
    ({**GOOD, "tags": "t"}, "tags must be"),
    ({**GOOD, "aliases": [1]}, "aliases must be"),
    ({**GOOD, "embedding": "?"}, "'embedding' cannot be read"),
    ({**GOOD, "embedding": "AAA="}, "'embedding' cannot be read"),
    ({**GOOD, "embedding": [0.0, 0.0]}, "'embedding' cannot be read"),
    ({**GOOD, "embedding": [1, "x"]}, "'embedding' cannot be read"),
    ({**GOOD, "embedding": {}}, "'embedding' cannot be read"),
    ({**GOOD, "response": {"$": "nope", "v": 1}}, "'response' cannot be read"),
    ({**GOOD, "response": {"$": "model"}}, "'response' cannot be read"),
    ({**GOOD, "response": float("nan")}, "'response' cannot be read"),
]


@pytest.mark.parametrize(("damage", "what"), DAMAGED, ids=lambda x: str(x)[:40])
async def test_a_damaged_line_is_named_and_nothing_imported(tmp_path, damage, what):
    path = tmp_path / "damaged.jsonl"
    line = damage if isinstance(damage, str) else json.dumps(damage)
    path.write_text("\n".join([json.dumps(GOOD), "", line, json.dumps(GOOD)]))
    target = MemoryBackend()
    with pytest.raises(CacheSerializationError, match=r"damaged\.jsonl, line 3: ") as caught:
        await import_cache(path, backend=target)
    assert what in str(caught.value)
    assert await prompts(target) == []


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b'{"entries": [', "not JSON"),
        (b"", "not JSON"),
        (b"\xff\xfe{}", "not JSON"),
        (b"{}", "no list of entries"),
        (b'{"entries": {}}', "no list of entries"),
        (b'"text"', "no list of entries"),
        (b'{"entries": [{"key": "k", "prompt": "p", "response": 1}, 3]}', "entry 2: an entry must be"),
    ],
)
async def test_a_damaged_document_is_named_and_nothing_imported(tmp_path, content, what):
    path = tmp_path / "damaged.json"
    path.write_bytes(content)
    target = MemoryBackend()
    with pytest.raises(CacheSerializationError, match=r"damaged\.json") as caught:
        await import_cache(path, backend=target)
    assert what in str(caught.value)
    assert await prompts(target) == []


async def test_bytes_that_are_no_text_name_their_line(tmp_path):
    path = tmp_path / "damaged.jsonl"
    path.write_bytes(json.dumps(GOOD).encode() + b"\n\xff\xff\n")
    with pytest.raises(CacheSerializationError, match="line 2: not JSON"):
        await import_cache(path, backend=MemoryBackend())


async def test_no_such_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        await import_cache(tmp_path / "none.json", backend=MemoryBackend())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**70) | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
records = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys((*CacheEntry.__dataclass_fields__, "key", "other"), json_values)
    | {"key": st.text(max_size=3), "prompt": st.text(max_size=3)},
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(st.lists(records | json_values, max_size=2))
def test_any_document_is_imported_or_refused_whole(tmp_path, document):
    path = tmp_path / f"{uuid.uuid4().hex}.json"
    path.write_text(json.dumps(document))
    target = MemoryBackend()
    try:
        count = asyncio.run(import_cache(path, backend=target))
    except CacheSerializationError:
        count = 0
    assert len(asyncio.run(target.iterate())) <= count <= len(document)
    path.unlink()


def test_vectors_in_files_are_little_endian_float32(tmp_path):
    backend = MemoryBackend()
    vector = np.array([0.6, 0.8], dtype="f4")
    asyncio.run(backend.set("k", CacheEntry("p", "r", vector)))
    asyncio.run(export_cache(filepath=tmp_path / "x.json", backend=backend))
    stored = json.loads((tmp_path / "x.json").read_text())["entries"][0]["embedding"]
    assert np.frombuffer(base64.b64decode(stored), "<f4").tolist() == vector.tolist()


def test_the_default_backend(monkeypatch, tmp_path):
    mine = MemoryBackend()
    set_default_backend(mine)
    assert get_default_backend() is mine
    monkeypatch.setenv("SEMANTIC_LLM_CACHE_URL", f"sqlite:///{tmp_path}/cache.db")
    set_default_backend(None)
    assert isinstance(get_default_backend(), SQLiteBackend)
    assert get_default_backend() is get_default_backend()
    monkeypatch.delenv("SEMANTIC_LLM_CACHE_URL")
    set_default_backend(None)
    assert isinstance(get_default_backend(), MemoryBackend)
    set_default_backend("memory://")
    assert isinstance(get_default_backend(), MemoryBackend)
    with pytest.raises(TypeError, match="backend="):
        set_default_backend(3)
