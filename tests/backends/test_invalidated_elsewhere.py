"""`invalidate` in another process while a call is in flight: two backends on one storage stand for two processes."""

import asyncio
import subprocess
import sys
import textwrap
from collections.abc import Callable
from typing import Any

import postgres_servers
import pytest
import redis_servers
from changing_page import QUESTION, Page, whole_answer
from test_conformance import SevenMethods

from semantic_llm_cache import Request, SemanticCache, copy_cache, invalidate, last_lookup
from semantic_llm_cache.backends import EncryptedBackend, PostgresBackend, RedisBackend, SQLiteBackend
from semantic_llm_cache.cli import main
from semantic_llm_cache.engine.late import MARGIN
from semantic_llm_cache.exceptions import CacheBackendError
from semantic_llm_cache.storage import StorageBackend
from semantic_llm_cache.storage.notes import NOTES, note, note_names

KEY, NEW = "ab" * 32, "cd" * 32
NOW = 1_700_000_000.0


class Now:
    """A clock for both processes."""

    def __init__(self) -> None:
        self.time = NOW

    def __call__(self) -> float:
        return self.time


def _maker(where: str, folder: Any) -> Callable[[], StorageBackend]:
    if where == "postgres":
        url = postgres_servers.server_url()
        schema = postgres_servers.own_schema(url)
        return lambda: PostgresBackend(url, schema=schema)
    if where in ("plain", "cluster"):
        url, prefix = redis_servers.server_url(where), redis_servers.own_prefix()
        return lambda: RedisBackend(url, prefix=prefix, search="plain" if where == "plain" else "auto")
    path = folder / "cache.db"
    if where == "encrypted":
        return lambda: EncryptedBackend(SQLiteBackend(path), KEY)
    return lambda: SQLiteBackend(path)


@pytest.fixture
def make(tmp_path: Any) -> Callable[[], StorageBackend]:
    return _maker("sqlite", tmp_path)


class Two:
    """A process that asks, and another one that invalidates."""

    def __init__(self, make: Callable[[], StorageBackend], **options: Any) -> None:
        self.now = Now()
        self.page = Page()
        self.here, self.other = make(), make()
        options = {"depends_on": ("doc:17",), "tags": ("pages",), "timeout": 5.0, **options}
        self.engine = SemanticCache(self.here, clock=self.now, **options)
        self.other.clock = self.now

    async def __aenter__(self) -> "Two":
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.engine.close()
        await self.other.close()

    async def change(self, **label: Any) -> None:
        """Invalidate in the other process while a call here has read the document; let it go on."""
        label = label or {"depends_on": "doc:17"}
        await self.page.change(lambda: invalidate(**label, backend=self.other))
        self.page.go_on.set()

    async def size(self) -> int:
        size: int = (await self.other.get_stats())["size"]
        return size


async def _reason(ask: Any) -> tuple[str, str]:
    answer = await whole_answer(ask)
    lookup = last_lookup()
    assert lookup is not None
    return answer, lookup.stored_reason


@pytest.mark.parametrize("where", ["sqlite", "encrypted", "plain", "cluster", "postgres"])
async def test_a_call_in_flight_in_another_process_stores_nothing(where: str, tmp_path: Any) -> None:
    async with Two(_maker(where, tmp_path)) as two:
        ask = two.engine.cache(two.page.answer)
        first = asyncio.ensure_future(_reason(ask))
        await two.change()
        assert await first == ("old", "invalidated")
        assert await two.size() == 0
        two.now.time += 60
        assert [await ask(QUESTION), await ask(QUESTION), two.page.calls] == ["new", "new", 2]


@pytest.mark.parametrize("label", [{"tags": "pages"}, {"tags": ["x", "pages"], "namespace": "elsewhere"}])
@pytest.mark.parametrize("kind", ["answer", "stream"])
@pytest.mark.parametrize("flight", ["process", "shared"])
async def test_streams_leases_and_tags(make: Any, kind: str, label: dict[str, Any], flight: str) -> None:
    async with Two(make, single_flight=flight) as two:
        ask = two.engine.cache(getattr(two.page, kind))
        first = asyncio.ensure_future(whole_answer(ask))
        await two.change(**label)
        assert await first == "old"
        two.now.time += 60
        assert [await whole_answer(ask), two.page.calls] == ["new", 2]


async def test_a_refresh_in_the_background_stores_nothing(make: Any) -> None:
    async with Two(make, ttl=10, stale_while_revalidate=1000) as two:
        two.page.go_on.set()
        ask = two.engine.cache(two.page.answer)
        assert await ask(QUESTION) == "old"
        two.now.time += 20
        two.page.go_on.clear()
        two.page.read.clear()
        assert await ask(QUESTION) == "old"  # and begins to fetch
        await two.change()
        await asyncio.sleep(0.1)
        assert await two.size() == 0


@pytest.mark.parametrize("kind", ["answer", "stream"])
async def test_a_stale_answer_invalidated_elsewhere_does_not_stand_in_for_an_error(make: Any, kind: str) -> None:
    async with Two(make, ttl=10, stale_if_error=1000) as two:
        page = two.page
        page.go_on.set()
        ask = two.engine.cache(getattr(page, kind))
        assert await whole_answer(ask) == "old"
        two.now.time += 20
        page.text = "fails"
        assert await whole_answer(ask) == "old"
        page.go_on.clear()
        page.read.clear()
        call = asyncio.ensure_future(whole_answer(ask))
        await two.change()
        with pytest.raises(ConnectionError):
            await call


async def test_no_alias_brings_an_answer_back_however_long_the_deletion_takes(make: Any) -> None:
    """The alias begins after the note, while the deletion has passed by its place and not yet reached the entry."""
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def verify(prompt: str, other: str, response: Any) -> bool:
        asked.set()
        await go_on.wait()
        return True

    near = {"embedder": lambda text: (1.0, 0.0), "similarity": 0.9, "guards": None, "verify": verify}
    two = Two(make, verify_mode="background", tags=(), depends_on={}, **near)

    @two.engine.cache(depends_on=lambda question: ("doc:17",) if question == "one" else ())
    async def ask(question: str) -> str:
        return f"answer to {question}"

    async with two:
        await ask("one")
        await ask("two")
        await asked.wait()
        await two.other.note_withdrawal(["depends-on:doc:17"], two.now(), "other")
        two.now.time += 60
        go_on.set()
        await asyncio.sleep(0.1)
        assert [entry.prompt for _, entry in await two.other.iterate()] == ["one"]


@pytest.mark.parametrize("where", ["here", "other"])
async def test_an_answer_that_is_handed_over_counts_from_the_begin_of_its_call(make: Any, where: str) -> None:
    async with Two(make) as two:
        request = Request("default", {}, QUESTION)
        await invalidate(tags="pages", backend=getattr(two, where))
        two.now.time += 60
        assert await two.engine.store(request, "new")
        assert not await two.engine.store(request, "old", duration_ms=61_000.0)


async def test_who_invalidates_stores_the_next_answer_at_once(make: Any) -> None:
    async with Two(make) as two:
        two.page.go_on.set()
        ask = two.engine.cache(two.page.answer)
        await invalidate(tags="pages", backend=two.here)
        assert [await ask(QUESTION), await ask(QUESTION), two.page.calls] == ["old", "old", 1]


async def test_calls_within_the_margin_of_the_clocks_are_not_stored(make: Any) -> None:
    async with Two(make) as two:
        two.page.go_on.set()
        ask = two.engine.cache(two.page.answer)
        await invalidate(tags="pages", backend=two.other)
        two.now.time += MARGIN - 1
        assert (await _reason(ask))[1] == "invalidated"
        two.now.time += 2
        assert (await _reason(ask))[1] == ""


# ---------------------------------------------------------------------------------- what it costs


class Counting(SQLiteBackend):
    """Counts the looks at the notes, and fails as it is told to."""

    looks = 0
    fail_notes = fail_looks = False

    async def last_withdrawal(self, labels: Any, but_by: Any = None) -> float:
        self.looks += 1
        if self.fail_looks:
            raise CacheBackendError("no") from OSError("gone")
        return await super().last_withdrawal(labels, but_by)

    async def set_state(self, name: str, value: Any) -> None:
        if self.fail_notes:
            raise CacheBackendError("no") from OSError("gone")
        await super().set_state(name, value)


async def test_only_an_answer_with_labels_looks_and_only_once(tmp_path: Any) -> None:
    backend = Counting(tmp_path / "cache.db")

    async def answer(question: str) -> str:
        return "answer"

    async with SemanticCache(backend) as engine:
        plain = engine.cache(answer)
        assert [await plain("one"), await plain("one"), backend.looks] == ["answer", "answer", 0]
        labelled = engine.cache(answer, tags=("a", "b"), depends_on=lambda question: {"doc": "1"}, namespace="n")
        assert [await labelled("one"), await labelled("one"), backend.looks] == ["answer", "answer", 1]
        resting = engine.cache(answer, depends_on=lambda question: {}, namespace="m")
        assert [await resting("one"), backend.looks] == ["answer", 1]


# ---------------------------------------------------------------------------------- trouble


async def test_a_note_that_fails_is_logged_and_the_entries_are_deleted(tmp_path: Any, caplog: Any) -> None:
    two = Two(lambda: Counting(tmp_path / "cache.db"))
    async with two:
        two.page.go_on.set()
        assert await two.engine.cache(two.page.answer)(QUESTION) == "old"
        assert isinstance(two.other, Counting)
        two.other.fail_notes = True
        assert await invalidate(tags="pages", backend=two.other) == 1
        assert await two.size() == 0
    assert "other processes on sqlite:///" in caplog.text
    assert "do not learn of an invalidation" in caplog.text


@pytest.mark.parametrize("on_error", ["open", "raise"])
async def test_an_entry_that_cannot_be_checked_is_deleted(tmp_path: Any, on_error: str) -> None:
    two = Two(lambda: Counting(tmp_path / "cache.db"), on_error=on_error)
    async with two:
        two.page.go_on.set()
        ask = two.engine.cache(two.page.answer)
        assert isinstance(two.here, Counting)
        two.here.fail_looks = True
        if on_error == "open":
            answer, reason = await _reason(ask)
            assert (answer, reason.partition(":")[0]) == ("old", "backend")
        else:
            with pytest.raises(CacheBackendError):
                await ask(QUESTION)
        for _ in range(100):
            if await two.size() == 0:
                break
            await asyncio.sleep(0.02)
        assert await two.size() == 0


async def test_an_entry_whose_write_came_too_late_is_deleted(tmp_path: Any) -> None:
    """A write that takes longer than the timeout may arrive after it, and after the deletion."""

    class Slow(SQLiteBackend):
        async def set(self, key: str, entry: Any) -> None:
            await super().set(key, entry)
            await asyncio.sleep(5)

    async with Two(lambda: Slow(tmp_path / "cache.db"), timeout=0.3) as two:
        two.page.go_on.set()
        assert (await _reason(two.engine.cache(two.page.answer)))[1].startswith("backend")
        for _ in range(100):
            if await two.size() == 0:
                break
            await asyncio.sleep(0.02)
        assert await two.size() == 0


async def test_closing_waits_for_the_deletion_of_what_is_uncertain(tmp_path: Any) -> None:
    class Slow(SQLiteBackend):
        async def set(self, key: str, entry: Any) -> None:
            await super().set(key, entry)
            await asyncio.sleep(5)

        async def delete_stored(self, key: str, created_at: float) -> bool:
            await asyncio.sleep(0.2)
            return await super().delete_stored(key, created_at)

    async with Two(lambda: Slow(tmp_path / "cache.db"), timeout=0.1) as two:
        two.page.go_on.set()
        assert (await _reason(two.engine.cache(two.page.answer)))[1].startswith("backend")
        await two.engine.close()
        assert await two.size() == 0


@pytest.mark.parametrize(("value", "words"), [(b"?", "cannot be read"), (None, "is 1000 seconds ahead")])
async def test_a_note_from_the_future_is_named(make: Any, caplog: Any, value: bytes | None, words: str) -> None:
    async with Two(make) as two:
        two.page.go_on.set()
        ask = two.engine.cache(two.page.answer)
        for name in note_names(["pages"]):
            await two.other.set_state(name, note(NOW + 1000, "other") if value is None else value)
        assert (await _reason(ask))[1] == "invalidated"
        await ask("another")
        assert caplog.text.count(words) == 1
        await invalidate(tags="pages", backend=two.other)
        two.now.time += 60
        assert (await _reason(ask))[1] == ""


async def test_the_notes_are_never_too_many(make: Any) -> None:
    """More labels share them, which costs an entry at worst."""
    names = note_names(str(number) for number in range(100_000))
    assert len(names) == 4096
    async with Two(make) as two:
        await two.other.note_withdrawal((str(number) for number in range(30)), NOW, "other")
        await two.other.note_withdrawal((str(number) for number in range(30)), NOW + 1, "other")
        assert len(await two.other.list_states(NOTES)) <= 30
        assert await two.here.last_withdrawal(["7"]) == NOW + 1
        assert await two.here.last_withdrawal(["7"], "other") == float("-inf")


async def test_a_backend_without_states_works_as_before() -> None:
    backend = SevenMethods(Now())
    two = Two(lambda: backend)
    async with two:
        ask = two.engine.cache(two.page.answer)
        first = asyncio.ensure_future(_reason(ask))
        await two.change()
        assert (await first)[1] == "invalidated"  # this process knows of it without a note
        assert [await ask(QUESTION), await ask(QUESTION), two.page.calls] == ["new", "new", 2]


# ---------------------------------------------------------------------------------- encrypted


@pytest.mark.parametrize(("asks", "invalidates"), [(KEY, [NEW, KEY]), ([NEW, KEY], NEW), ([NEW, KEY], [NEW, KEY])])
async def test_while_the_key_is_changed(tmp_path: Any, asks: Any, invalidates: Any) -> None:
    keys = iter((asks, invalidates))
    async with Two(lambda: EncryptedBackend(SQLiteBackend(tmp_path / "cache.db"), next(keys))) as two:
        first = asyncio.ensure_future(_reason(two.engine.cache(two.page.answer)))
        await two.change()
        assert await first == ("old", "invalidated")


async def test_an_encrypted_storage_does_not_show_the_labels(make: Any) -> None:
    plain = make()
    backend = EncryptedBackend(plain, KEY)
    await invalidate(depends_on="doc:17", backend=backend)
    assert await plain.list_states(NOTES)
    assert await plain.list_states(NOTES) != note_names(["depends-on:doc:17"])
    assert await backend.list_states() == []
    assert await backend.reencrypt(plain=True) == 0
    assert await backend.last_withdrawal(["depends-on:doc:17"]) > 0
    await backend.close()


async def test_a_copy_leaves_the_notes(make: Any, tmp_path: Any) -> None:
    source, target = make(), SQLiteBackend(tmp_path / "copy.db")
    await invalidate(depends_on="doc:17", backend=source)
    await source.set_state("online:default", b"learned")
    assert (await copy_cache(source, target)).states == 1
    assert await target.list_states() == ["online:default"]
    await source.close()
    await target.close()


# ---------------------------------------------------------------------------------- two processes for real

_CHILD = """
    import sys
    from semantic_llm_cache import SemanticCache, last_lookup

    engine = SemanticCache(sys.argv[1], depends_on=("doc:17",))

    @engine.cache
    def ask(question: str) -> str:
        print("reading", flush=True)
        return sys.stdin.readline().strip()

    print(ask("one"), last_lookup().stored_reason, flush=True)
    engine.close_blocking()
"""


def test_two_processes(tmp_path: Any, capsys: Any) -> None:
    """One is in the middle of a call while the command invalidates."""
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(_CHILD), f"sqlite:///{tmp_path}/cache.db"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert child.stdout.readline() == "reading\n"
        assert main(["invalidate", "--depends-on", "doc:17", "--db", str(tmp_path / "cache.db")]) == 0
        assert capsys.readouterr().out == "Deleted 0 entries.\n"
        out, _ = child.communicate("old\n", timeout=30)
        assert out == "old invalidated\n"
        assert child.returncode == 0
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
