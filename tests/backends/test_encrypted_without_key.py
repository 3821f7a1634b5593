"""A storage that is encrypted, used without its key: nothing is read, nothing is written, and the program is told."""

import asyncio
import threading

import numpy as np
import pytest
from engine_helpers import background_work_ended
from postgres_servers import own_schema
from postgres_servers import server_url as postgres_url
from redis_servers import own_prefix
from redis_servers import server_url as redis_url

from semantic_llm_cache import (
    CacheContext,
    Request,
    SemanticCache,
    cache,
    clear_cache,
    copy_cache,
    export_cache,
    import_cache,
    invalidate,
    last_lookup,
    reembed_cache,
    report_wrong,
    set_default_backend,
    warm_from_log,
)
from semantic_llm_cache.backends import EncryptedBackend, MemoryBackend, PostgresBackend, RedisBackend, SQLiteBackend
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.engine.state import state_of
from semantic_llm_cache.exceptions import CacheBackendError, EncryptionKeyError
from semantic_llm_cache.storage.registry import KEY_VARIABLE, KEYS_STATE
from semantic_llm_cache.sync import clear_cache as clear_cache_now

KEY = "ab" * 32
REFUSED = rf"is encrypted, and encryption_key= was not given: pass .* encryption_key=.* {KEY_VARIABLE}"
QUESTION = "Where is zanzibar?"


def request(text=QUESTION):
    return Request("default", {"model": "m"}, text)


def embed(text):
    return np.array([1.0, len(text)])


async def content(backend):
    """Return everything in a storage, as it is there."""
    entries = [(key, entry.prompt, entry.response, entry.hit_count) async for key, entry in backend.scan()]
    states = [(name, await backend.get_state(name)) for name in await backend.list_states()]
    return sorted(entries), states, await backend.get_counters()


class EncryptedPlace:
    """What holds for every storage. A subclass has `open`, which returns a new backend for it each time."""

    @pytest.fixture(autouse=True)
    async def sealed(self, monkeypatch):
        monkeypatch.delenv(KEY_VARIABLE, raising=False)
        async with SemanticCache(EncryptedBackend(self.open(), KEY)) as engine:
            await engine.store(request(), "In quicksilver.")
        yield
        async with self.open() as backend:
            await backend.clear()

    async def test_a_call_is_refused_before_the_function_runs_and_writes_nothing(self):
        ran = []
        async with self.open() as raw:
            before = await content(raw)
        for options in (
            {},
            {"similarity": 0.8, "embedder": embed},
            {"max_error": 0.3, "embedder": embed},
            {"single_flight": "shared", "stale_while_revalidate": 5},
            {"mode": "shadow"},
            {"on_error": "raise", "timeout": None},
        ):
            async with SemanticCache(self.open(), **options) as engine:
                for _ in range(5):  # the circuit breaker is for outages
                    with pytest.raises(EncryptionKeyError, match=REFUSED):
                        await engine.get_or_call(request(), lambda: ran.append(1))
                with pytest.raises(EncryptionKeyError):
                    await engine.lookup(request())
                with pytest.raises(EncryptionKeyError):
                    await engine.preload()
                with pytest.raises(EncryptionKeyError):
                    await engine.store(request("What is new?"), "x")
                with pytest.raises(EncryptionKeyError):
                    await engine.delete(request())
                with CacheContext(cache_control="no-cache"), pytest.raises(EncryptionKeyError):
                    await engine.get_or_call(request(), lambda: ran.append(1))
                await background_work_ended()
        assert ran == []
        async with self.open() as raw:
            assert await content(raw) == before

    async def test_with_its_key_it_is_what_it_was(self):
        async with SemanticCache(self.open()) as engine:
            with pytest.raises(EncryptionKeyError):
                await engine.lookup(request())
        async with SemanticCache(EncryptedBackend(self.open(), KEY)) as engine:
            assert (await engine.lookup(request())).response == "In quicksilver."

    async def test_a_storage_in_clear_is_asked_once(self):
        inner = self.open()
        await inner.set_state(KEYS_STATE, None)
        asked, real = [], inner.get_state

        async def get_state(name):
            asked.append(name)
            return await real(name)

        inner.get_state = get_state
        for _ in range(2):
            engine = SemanticCache(inner)
            for number in range(3):
                assert await engine.get_or_call(request(f"q{number}"), lambda: "x") == "x"
        await engine.close()
        assert asked == [KEYS_STATE]


class TestSQLite(EncryptedPlace):
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path):
        self.path = tmp_path / "cache.db"

    def open(self):
        return SQLiteBackend(self.path)


class TestRedis(EncryptedPlace):
    @pytest.fixture(autouse=True)
    def prefix(self):
        self.options = {"prefix": own_prefix(), "search": "plain"}

    def open(self):
        return RedisBackend(redis_url("vectorset"), **self.options)


class TestPostgres(EncryptedPlace):
    @pytest.fixture(autouse=True)
    def schema(self):
        self.schema = own_schema(postgres_url())

    def open(self):
        return PostgresBackend(postgres_url(), schema=self.schema)


# ------------------------------------------------------------------------------ the doors, by URL


@pytest.fixture
def url(tmp_path, monkeypatch):
    """The URL of an encrypted storage with one entry."""
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    path = tmp_path / "sealed.db"

    async def write():
        async with EncryptedBackend(SQLiteBackend(path), KEY) as backend:
            await backend.set("k", CacheEntry(QUESTION, "In quicksilver.", [1.0, 0.0], embedder="e", tags=("t",)))

    asyncio.run(write())
    return f"sqlite:///{path}"


def in_thread(function, *args):
    """Call a plain function outside the event loop."""
    problem = []

    def run():
        try:
            function(*args)
        except BaseException as error:
            problem.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if problem:
        raise problem[0]


async def test_decorated_functions_of_all_kinds(url):
    ran = []

    @cache(backend=url)
    async def ask(prompt: str) -> str:
        ran.append(prompt)

    @cache(backend=url)
    def ask_plain(prompt: str) -> str:
        ran.append(prompt)

    @cache(backend=url)
    async def stream(prompt: str):
        ran.append(prompt)
        yield "x"

    @cache(backend=url)
    def stream_plain(prompt: str):
        ran.append(prompt)
        yield "x"

    for _ in range(2):
        with pytest.raises(EncryptionKeyError, match=REFUSED):
            await ask(QUESTION)
        with pytest.raises(EncryptionKeyError, match=REFUSED):
            async for _ in stream(QUESTION):
                pass
        with pytest.raises(EncryptionKeyError, match=REFUSED):
            in_thread(ask_plain, QUESTION)
        with pytest.raises(EncryptionKeyError, match=REFUSED):
            in_thread(lambda: list(stream_plain(QUESTION)))
    with pytest.raises(EncryptionKeyError, match=REFUSED):
        await ask.cache_clear()  # the tag of the function would match nothing
    assert ran == []


async def test_the_default_backend_too(url):
    set_default_backend(url)

    @cache
    async def ask(prompt: str) -> str:
        return "x"

    with pytest.raises(EncryptionKeyError, match=REFUSED):
        await ask(QUESTION)


async def test_functions_that_manage_a_cache(url, tmp_path):
    other, exported, log = f"sqlite:///{tmp_path}/other.db", tmp_path / "export.json", tmp_path / "calls.jsonl"
    await export_cache(filepath=exported, backend="memory://")
    log.write_text('{"prompt": "What?", "response": "That."}\n')
    async with SQLiteBackend(tmp_path / "other.db") as plain:
        await plain.set("p", CacheEntry("What?", "That."))
    async with SQLiteBackend(tmp_path / "sealed.db") as raw:
        before = await content(raw)

    @cache(backend="memory://")
    async def ask(prompt: str) -> str:
        return "x"

    for manage in (
        lambda: export_cache(backend=url),
        lambda: import_cache(exported, backend=url),
        lambda: copy_cache(url, other),
        lambda: copy_cache(other, url),
        lambda: copy_cache(other, url, dry_run=True),
        lambda: reembed_cache(url, "dummy"),
        lambda: invalidate(tags="t", backend=url),
        lambda: invalidate("zanzibar", backend=url),
        lambda: report_wrong("k", backend=url),
        lambda: warm_from_log(log, ask, backend=url),
    ):
        with pytest.raises(EncryptionKeyError, match=REFUSED):
            await manage()
    async with SQLiteBackend(tmp_path / "sealed.db") as raw:
        assert await content(raw) == before
    async with SQLiteBackend(tmp_path / "other.db") as plain:
        assert [key async for key, _ in plain.scan()] == ["p"]


async def test_everything_can_be_cleared_without_the_key(url):
    assert await clear_cache(backend=url) == 1


def test_a_plain_program_too(url):
    with SemanticCache(url) as engine, pytest.raises(EncryptionKeyError, match=REFUSED):
        engine.get_or_call_blocking(request(), lambda: "x")
    assert clear_cache_now(backend=url) == 1


# ------------------------------------------------------------------------------ when it is found out


async def test_a_storage_that_failed_at_first_is_checked_before_it_is_used(url, caplog):
    backend = SQLiteBackend(url.removeprefix("sqlite:///"))
    real, down = backend.get_state, True

    async def get_state(name):
        if down:
            raise CacheBackendError("the disk is away")
        return await real(name)

    backend.get_state = get_state
    engine = SemanticCache(backend)
    assert await engine.get_or_call(request(), lambda: "fresh") == "fresh"
    down = False
    with pytest.raises(EncryptionKeyError, match=REFUSED):
        await engine.get_or_call(request(), lambda: "fresh")
    await engine.close()
    async with SQLiteBackend(url.removeprefix("sqlite:///")) as raw:
        assert len([key async for key, _ in raw.scan()]) == 1


async def test_one_that_is_encrypted_meanwhile_by_this_process_is_checked_again(tmp_path, monkeypatch):
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    url = f"sqlite:///{tmp_path}/cache.db"
    plain, sealed = SemanticCache(url), SemanticCache(url, encryption_key=KEY)
    assert await plain.get_or_call(request(), lambda: "in clear") == "in clear"
    assert await sealed.get_or_call(request(), lambda: "sealed") == "sealed"
    with pytest.raises(EncryptionKeyError, match=REFUSED):
        await plain.get_or_call(request("another"), lambda: "x")
    await sealed.close()


@pytest.mark.parametrize("kind", ["whole", "plain", "stream", "refreshed"])
async def test_an_answer_is_returned_when_the_storage_is_encrypted_while_the_function_runs(tmp_path, kind, caplog):
    backend = SQLiteBackend(tmp_path / "cache.db")
    mode = "shadow" if kind == "refreshed" else "serve"
    plain, sealed = SemanticCache(backend, mode=mode), SemanticCache(EncryptedBackend(backend, KEY))
    await plain.get_or_call(request("before"), lambda: "in clear")

    async def seal():
        await sealed.store(request("sealed"), "sealed")
        return "fresh"

    @plain.cache
    async def stream(prompt: str):
        yield await seal()

    if kind == "stream":
        answer = [chunk async for chunk in stream("another")]
    elif kind == "plain":
        answer = [await asyncio.to_thread(plain.get_or_call_blocking, request(), lambda: asyncio.run(seal()))]
    else:
        answer = [await plain.get_or_call(request(), seal)]
    await background_work_ended()
    assert answer == ["fresh"]
    assert caplog.text.count("is encrypted, and encryption_key= was not given") == 1
    with pytest.raises(EncryptionKeyError, match=REFUSED):
        await plain.get_or_call(request("later"), lambda: "x")
    assert len(await backend.iterate()) == 2  # "before" and "sealed"
    await plain.close()


@pytest.mark.parametrize("on_error", ["open", "raise"])
async def test_one_that_another_program_encrypts_meanwhile_is_used_no_more(tmp_path, on_error, monkeypatch, caplog):
    def open_one():
        return SQLiteBackend(tmp_path / "cache.db")

    plain, sealed = SemanticCache(open_one(), on_error=on_error), SemanticCache(EncryptedBackend(open_one(), KEY))
    state = state_of(plain.backend)
    await plain.get_or_call(request("before"), lambda: "in clear")
    await sealed.store(request(), "sealed")
    await state.flush()
    assert await plain.get_or_call(request("soon after"), lambda: "in clear") == "in clear"  # it is not asked each time
    monkeypatch.setattr("semantic_llm_cache.engine.state._ASK_FOR_KEY", 0.0)
    for _ in range(3):
        await state.flush()
    assert caplog.text.count("has been encrypted by another program, and this one has no key") == 1
    for _ in range(5):
        if on_error == "raise":
            with pytest.raises(EncryptionKeyError, match=REFUSED):
                await plain.get_or_call(request("later"), lambda: "fresh")
        else:  # a program that worked goes on working
            assert await plain.get_or_call(request("before"), lambda: "fresh") == "fresh"
            assert "has been encrypted" in last_lookup().reason
    async with open_one() as raw:
        assert len(await raw.iterate()) == 3
        await raw.set_state(KEYS_STATE, None)
    assert await plain.get_or_call(request("before"), lambda: "fresh") == "in clear"
    await plain.close()
    await sealed.close()


async def test_a_damaged_mark_is_a_mark(tmp_path):
    backend = SQLiteBackend(tmp_path / "cache.db")
    await backend.set_state(KEYS_STATE, b"\xff")
    with pytest.raises(EncryptionKeyError, match=REFUSED):
        await SemanticCache(backend).lookup(request())
    await backend.close()


async def test_a_backend_of_ones_own_that_keeps_no_states_works(tmp_path):
    class Own(SQLiteBackend):
        async def get_state(self, name):
            raise NotImplementedError

    async with SemanticCache(Own(tmp_path / "cache.db")) as engine:
        assert await engine.get_or_call(request(), lambda: "fresh") == "fresh"
        assert (await engine.lookup(request())).response == "fresh"


async def test_the_mark_is_not_seen_through_an_encrypted_backend(caplog):
    inner = MemoryBackend()
    backend = EncryptedBackend(inner, KEY)
    await backend.set("k", CacheEntry(QUESTION, "In quicksilver."))
    assert await inner.get_state(KEYS_STATE) is not None
    assert await backend.get_state(KEYS_STATE) is None
    assert caplog.text == ""
