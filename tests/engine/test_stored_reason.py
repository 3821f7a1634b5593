"""Every fresh answer that is not stored says why: in the lookup, and in one log line for each kind."""

import asyncio
import logging
from contextlib import aclosing, closing, nullcontext

import pytest

from semantic_llm_cache import CacheContext, SemanticCache, last_lookup
from semantic_llm_cache.backends import MemoryBackend, SQLiteBackend
from semantic_llm_cache.calls.refusals import REASONS, because, word_of
from semantic_llm_cache.exceptions import CacheSerializationError
from semantic_llm_cache.storage.records import Lease


class Faulty(MemoryBackend):
    """Fails in one of its operations."""

    def __init__(self, operation, error):
        super().__init__()
        self.operation, self.error = operation, error

    @property
    def in_process(self):
        return False

    async def get(self, key):
        if self.operation == "get":
            raise self.error
        return await super().get(key)

    async def set(self, key, entry):
        if self.operation == "set":
            raise self.error
        return await super().set(key, entry)


def wrong(answer):
    raise ZeroDivisionError


REFUSALS = {
    "cache-if": ({"cache_if": lambda answer: False}, "it returned False"),
    "cache-if raising": ({"cache_if": wrong}, "ZeroDivisionError"),
    "no-store": ({}, ""),
    "too-large": ({"max_response": 3}, "answers of more than 3 characters"),
    "too-large prompt": ({"max_prompt": 3}, "prompts of more than 3 characters"),
    "bypass": ({"enabled": False}, "caching is off"),
    "backend": ({"backend": lambda: Faulty("set", OSError())}, "OSError"),
    "backend unread": ({"backend": lambda: Faulty("get", OSError())}, "could not be read"),
    "rejected": ({"backend": lambda: Faulty("set", CacheSerializationError("too wide"))}, "too wide"),
}


@pytest.mark.parametrize("case", REFUSALS)
@pytest.mark.parametrize("streams", [False, True], ids=["answer", "stream"])
@pytest.mark.parametrize("plain", [False, True], ids=["async", "plain"])
async def test_a_refused_answer_says_why_and_logs_it_once(case, streams, plain, caplog):
    options, said = REFUSALS[case]
    word = case.partition(" ")[0]
    events = []
    options = {"backend": MemoryBackend, **options}
    engine = SemanticCache(**{**options, "backend": options["backend"]()}, on_event=events.append)

    def pieces(prompt: str):
        yield "four"
        yield "five"

    def whole(prompt: str):
        return "four, five"

    ask = engine.cache()(pieces if streams else whole)

    def call():
        answer = ask("what?")
        return list(answer) if streams else answer

    async def apieces(prompt: str):
        yield "four"
        yield "five"

    async def awhole(prompt: str):
        return "four, five"

    aask = engine.cache()(apieces if streams else awhole)

    async def acall():
        return [piece async for piece in aask("what?")] if streams else await aask("what?")

    caplog.set_level(logging.INFO, "semantic_llm_cache")
    with CacheContext(cache_control="no-store") if word == "no-store" else nullcontext():
        for _ in range(2):
            if plain:
                await asyncio.to_thread(call)
            else:
                await acall()
    for found in events[-2:]:
        assert (found.stored, word_of(found.stored_reason)) == (False, word)
        assert said in found.stored_reason
    lines = [line for line in caplog.messages if "was not stored" in line]
    assert len(lines) == (0 if REASONS[word].reported else 1)
    assert all(f"({word}" in line for line in lines)


async def test_what_is_stored_and_what_is_a_hit_has_no_reason():
    engine = SemanticCache(MemoryBackend())

    @engine.cache()
    async def ask(prompt: str):
        return prompt

    for stored in (True, False):
        await ask("a")
        assert (last_lookup().stored, last_lookup().stored_reason) == (stored, "")


async def test_an_answer_with_no_stored_form_and_a_call_that_fails():
    engine = SemanticCache(MemoryBackend())

    @engine.cache()
    async def ask(prompt: str):
        if prompt == "fail":
            raise KeyError
        return object()

    with pytest.warns(UserWarning, match="uncached"):
        await ask("a")
    assert last_lookup().stored_reason == "unserialisable: a object"
    with pytest.raises(KeyError):
        await ask("fail")
    assert last_lookup().stored_reason == "call-failed: the function raised KeyError"


async def test_a_stream_that_its_reader_leaves_says_so():
    engine = SemanticCache(MemoryBackend())

    @engine.cache()
    async def tell(prompt: str):
        for piece in "abc":
            yield piece

    async with aclosing(tell("a")) as chunks:
        async for _ in chunks:
            break
    assert (last_lookup().outcome, last_lookup().stored_reason) == ("miss", "left")


def test_a_plain_stream_that_its_reader_leaves_says_so_too():
    engine = SemanticCache(MemoryBackend())

    @engine.cache()
    def tell(prompt: str):
        yield from "abc"

    with closing(tell("a")) as chunks, closing(tell("a")) as others:
        assert (next(chunks), next(others)) == ("a", "a")
        others.close()
        assert last_lookup().stored_reason == ""  # the other one may still read it to its end
        chunks.close()
    assert (last_lookup().outcome, last_lookup().stored_reason) == ("miss", "left")


async def test_in_shadow_mode_a_stream_that_is_left_is_logged(caplog):
    caplog.set_level(logging.INFO, "semantic_llm_cache")
    engine = SemanticCache(MemoryBackend(), mode="shadow")

    @engine.cache()
    async def tell(prompt: str):
        for piece in "abc":
            yield piece

    async with aclosing(tell("a")) as chunks:
        await anext(chunks)
    assert "(left)" in caplog.text


@pytest.mark.parametrize("streams", [False, True], ids=["answer", "stream"])
async def test_shadow_mode_says_why_too(streams):
    events = []
    engine = SemanticCache(MemoryBackend(), mode="shadow", cache_if=lambda answer: "b" not in answer,
                           on_event=events.append)  # fmt: skip

    async def whole(prompt: str):
        return prompt

    async def pieces(prompt: str):
        yield prompt

    ask = engine.cache()(pieces if streams else whole)
    for prompt in "aab":
        await _all(ask(prompt), streams)
    assert [event.stored_reason for event in events] == ["", "already-stored", "cache-if: it returned False"]


async def _all(asked, streams):
    return [piece async for piece in asked] if streams else await asked


async def test_a_refresh_behind_a_stale_answer_logs_why_it_was_not_stored(caplog):
    now = [1_000.0]
    engine = SemanticCache(
        MemoryBackend(), ttl=10, stale_while_revalidate=60, clock=lambda: now[0], cache_if=lambda answer: answer == 1
    )
    answers = iter([1, 2])

    @engine.cache()
    async def ask(prompt: str) -> int:
        return next(answers)

    caplog.set_level(logging.INFO, "semantic_llm_cache")
    await ask("a")
    now[0] += 20
    assert await ask("a") == 1
    for _ in range(200):
        if any("(cache-if" in line for line in caplog.messages):
            break
        await asyncio.sleep(0.01)
    else:
        raise AssertionError("it was not logged")


async def test_a_derived_engine_logs_no_kind_again(caplog):
    caplog.set_level(logging.INFO, "semantic_llm_cache")
    engine = SemanticCache(MemoryBackend())
    for n in range(3):

        @engine.derive(cache_if=lambda answer: False).cache()
        async def ask(prompt: str):
            return prompt

        await ask(str(n))
    assert len([line for line in caplog.messages if "(cache-if" in line]) == 1


async def test_an_answer_that_comes_after_its_lease_says_so(tmp_path):
    backend = SQLiteBackend(tmp_path / "cache.db")
    engine = SemanticCache(backend, single_flight="shared")

    @engine.cache()
    async def ask(prompt: str):
        key = (await ask.cache_lookup("a")).key
        await backend.release_lease(Lease(key, tokens[0]))
        return prompt

    tokens, acquire = [], backend.acquire_lease

    async def noted(key, token, seconds):
        tokens.append(token)
        return await acquire(key, token, seconds)

    backend.acquire_lease = noted
    await ask("a")
    assert (last_lookup().stored, last_lookup().stored_reason) == (False, "lease")
    await backend.close()


async def test_a_call_beside_one_that_cannot_be_shared_says_so():
    events, started, go = [], asyncio.Event(), asyncio.Event()
    engine = SemanticCache(MemoryBackend(), on_event=events.append)

    @engine.cache()
    async def ask(prompt: str):
        started.set()
        await go.wait()
        return (number for number in range(3))  # it can be neither stored nor copied

    first = asyncio.create_task(ask("a"))
    await started.wait()
    second = asyncio.create_task(ask("a"))
    await asyncio.sleep(0.01)
    go.set()
    with pytest.warns(UserWarning, match="uncached"):
        await asyncio.gather(first, second)
    assert [event.stored_reason for event in events] == ["unserialisable: a generator", "in-flight"]


def test_reasons_are_words_of_the_table():
    assert all(word == word.lower() and ":" not in word and " " not in word for word in REASONS)
    assert because("empty") == word_of(because("empty")) == word_of(because("empty", "a: b"))
    with pytest.raises(AssertionError):
        because("because")
