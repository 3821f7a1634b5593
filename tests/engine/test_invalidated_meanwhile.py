"""`invalidate` while calls are in flight: what they read may have changed, so nobody else gets their answers."""

import asyncio
from typing import Any

import pytest
from changing_page import QUESTION, Page, whole_answer

from semantic_llm_cache import SemanticCache, invalidate, last_lookup
from semantic_llm_cache.backends import MemoryBackend, SQLiteBackend
from semantic_llm_cache.engine.withdrawals import Withdrawals


@pytest.mark.parametrize("kind", ["answer", "stream"])
@pytest.mark.parametrize("label", [{"depends_on": "doc:17"}, {"tags": "pages"}])
@pytest.mark.parametrize("stored", ["memory", "sqlite"])
async def test_a_call_in_flight_neither_stores_nor_shares_what_was_invalidated(
    kind: str, label: dict[str, str], stored: str, tmp_path: Any
) -> None:
    backend = MemoryBackend() if stored == "memory" else SQLiteBackend(tmp_path / "c.db")
    page = Page()
    async with SemanticCache(backend, depends_on=("doc:17",), tags=("pages",)) as engine:
        ask = engine.cache(getattr(page, kind))
        first = asyncio.ensure_future(whole_answer(ask))
        await page.change(lambda: invalidate(**label, backend=backend))  # type: ignore[arg-type]
        second = asyncio.ensure_future(whole_answer(ask))
        await asyncio.sleep(0.02)
        page.go_on.set()
        assert [await first, await second, await whole_answer(ask)] == ["old", "new", "new"]
        assert page.calls == 2


async def test_the_reason_is_named() -> None:
    page, backend = Page(), MemoryBackend()
    ask = SemanticCache(backend, depends_on={"doc:17": "1"}).cache(page.answer)

    async def first() -> Any:
        await ask(QUESTION)
        return last_lookup()

    task = asyncio.ensure_future(first())
    await page.change(lambda: invalidate(depends_on="doc:17", backend=backend))
    page.go_on.set()
    lookup = await task
    assert (lookup.stored, lookup.stored_reason) == (False, "invalidated")


async def test_a_call_of_the_same_meaning_does_not_join_it() -> None:
    page, backend = Page(), MemoryBackend()
    engine = SemanticCache(
        backend, embedder=lambda text: (1.0, 0.0), similarity=0.9, guards=None, depends_on=("doc:17",)
    )
    ask = engine.cache(page.answer)
    first = asyncio.ensure_future(ask(QUESTION))
    await page.change(lambda: invalidate(depends_on="doc:17", backend=backend))
    second = asyncio.ensure_future(ask("How can I reset the router?"))
    await asyncio.sleep(0.02)
    page.go_on.set()
    assert [await first, await second] == ["old", "new"]


async def test_other_calls_in_flight_are_stored_and_shared() -> None:
    page, backend = Page(), MemoryBackend()
    ask = SemanticCache(backend, depends_on=("doc:18",)).cache(page.answer)
    first = asyncio.ensure_future(ask(QUESTION))
    await page.change(lambda: invalidate(depends_on="doc:17", backend=backend))
    second = asyncio.ensure_future(ask(QUESTION))
    await asyncio.sleep(0.02)
    page.go_on.set()
    assert [await first, await second, await ask(QUESTION), page.calls] == ["old", "old", "old", 1]


async def test_a_stale_answer_that_was_invalidated_does_not_stand_in_for_an_error() -> None:
    now = [1000.0]
    page, backend = Page(), MemoryBackend()
    page.go_on.set()
    engine = SemanticCache(backend, ttl=10, stale_if_error=100, clock=lambda: now[0], depends_on=("doc:17",))
    ask = engine.cache(page.answer)
    assert await ask(QUESTION) == "old"
    now[0] += 20
    page.text = "fails"
    assert await ask(QUESTION) == "old"  # so it does without
    page.go_on.clear()
    page.read.clear()
    call = asyncio.ensure_future(ask(QUESTION))
    await page.change(lambda: invalidate(depends_on="doc:17", backend=backend))
    page.go_on.set()
    with pytest.raises(ConnectionError):
        await call


async def test_no_alias_brings_a_removed_answer_back() -> None:
    backend = MemoryBackend()
    asked = asyncio.Event()
    go_on = asyncio.Event()

    async def verify(prompt: str, other: str, response: Any) -> bool:
        asked.set()
        await go_on.wait()
        return True

    engine = SemanticCache(
        backend, embedder=lambda text: (1.0, 0.0), similarity=0.9, guards=None, verify=verify, verify_mode="background"
    )

    @engine.cache(depends_on=lambda question: ("doc:17",) if question == "one" else ())
    async def ask(question: str) -> str:
        return f"answer to {question}"

    await ask("one")
    await ask("two")
    await asked.wait()
    await invalidate(depends_on="doc:17", backend=backend)
    go_on.set()
    await asyncio.sleep(0.05)
    assert await ask("two") == "answer to two"
    assert (await backend.get_stats())["size"] == 1


async def test_streams_join_only_what_has_the_same_version() -> None:
    page, versions = Page(), {"a": "1"}
    engine = SemanticCache(MemoryBackend(), depends_on=("a",), version_of=versions.get)
    ask = engine.cache(page.stream)
    first = asyncio.ensure_future(whole_answer(ask))
    await page.read.wait()
    page.text, versions["a"] = "new", "2"
    second = asyncio.ensure_future(whole_answer(ask))
    await asyncio.sleep(0.05)
    page.go_on.set()
    assert [await first, await second] == ["old", "new"]


def test_forgotten_labels_count_as_withdrawn_when_they_were_forgotten() -> None:
    withdrawals = Withdrawals()
    withdrawals.note(str(number) for number in range(30_000))
    assert len(withdrawals._times) == 10_000
    assert withdrawals.concern(["5"], 0.0)
    assert not withdrawals.concern(["5"], float("inf"))
    assert not withdrawals.concern([], 0.0)
