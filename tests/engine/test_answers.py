"""What is stored and what comes back: answers that are nothing, isolation, what decides whether to store."""

import asyncio
import dataclasses
import decimal
from typing import TypedDict

import pytest
from engine_helpers import FaultyBackend, Model, gathered
from pydantic import BaseModel

from semantic_llm_cache import CacheContext, Request, SemanticCache, invalidate, last_lookup
from semantic_llm_cache.backends import MemoryBackend, SQLiteBackend


class Person(BaseModel):
    name: str
    tags: list[str] = []


@dataclasses.dataclass
class Point:
    x: int
    seen: list


class Row(TypedDict):
    items: list[int]


@pytest.fixture(params=["memory", "sqlite"])
def backend(request, tmp_path):
    return MemoryBackend() if request.param == "memory" else SQLiteBackend(tmp_path / "cache.db")


@pytest.mark.parametrize("answer", [None, "", [], {}, 0, False, 0.0, b"", (), "x"])
async def test_answers_that_are_nothing_are_answers(backend, answer):
    engine, calls = SemanticCache(backend), []

    @engine.cache()
    async def ask(prompt: str):
        calls.append(prompt)
        return answer

    @engine.cache()
    def plain(prompt: str):
        calls.append(prompt)
        return answer

    for function in (ask, ask, plain, plain):
        found = function("q")
        found = await found if asyncio.iscoroutine(found) else found
        assert (found, type(found)) == (answer, type(answer))
    assert calls == ["q", "q"]
    await engine.close()


MUTABLE = {
    "list": (list, lambda: [1, [2]], lambda value: value[1].append("changed")),
    "dict": (dict, lambda: {"a": {"b": 1}}, lambda value: value["a"].update(b="changed")),
    "model": (Person, lambda: Person(name="Ada", tags=["x"]), lambda value: value.tags.append("changed")),
    "dataclass": (Point, lambda: Point(1, [2]), lambda value: value.seen.append("changed")),
    "typed dict": (Row, lambda: Row(items=[1]), lambda value: value["items"].append("changed")),
    "set": (set, lambda: {1, 2}, lambda value: value.add("changed")),
    "tuple with a list": (tuple, lambda: (1, [2]), lambda value: value[1].append("changed")),
}


@pytest.mark.parametrize(("annotation", "make", "change"), MUTABLE.values(), ids=MUTABLE)
async def test_what_a_caller_does_to_an_answer_changes_no_other(backend, annotation, make, change):
    engine = SemanticCache(backend)
    go, calls = asyncio.Event(), []

    async def ask(prompt: str):
        calls.append(prompt)
        await go.wait()
        return make()

    ask.__annotations__["return"] = annotation
    ask = engine.cache()(ask)

    async def spoil():
        found = await ask("q")
        assert found == make(), "somebody else's change"
        assert type(found) is type(make())
        change(found)
        assert found != make()

    tasks = [asyncio.create_task(spoil()) for _ in range(5)]
    await asyncio.sleep(0.05)
    go.set()
    assert await gathered(tasks) == [None] * 5
    for _ in range(3):
        await spoil()
    assert len(calls) == 1
    found = await ask.cache_lookup("q")
    change(found.response)
    await spoil()
    await engine.close()


async def test_waiters_for_a_near_hit_hold_lists_of_their_own():
    engine = SemanticCache(FaultyBackend(0.01), similarity=0.95)
    engine.need_embedder().load()

    @engine.cache()
    async def ask(prompt: str) -> list:
        return [prompt]

    async def spoil(prompt):
        found = await ask(prompt)
        assert found == ["What is Python?"]
        found.append("changed")

    await spoil("What is Python?")
    assert await gathered([asyncio.create_task(spoil("What's Python?")) for _ in range(5)]) == [None] * 5


async def test_what_the_function_does_to_its_answer_later_changes_nothing():
    engine, kept = SemanticCache("memory://"), []

    @engine.cache()
    async def ask(prompt: str):
        kept.append([1])
        return kept[0]

    first = await ask("q")
    assert first is kept[0], "the one who called gets the very object"
    kept[0].append(2)
    assert await ask("q") == [1]


async def test_cache_if_decides(backend):
    engine, calls = SemanticCache(backend, cache_if=lambda answer: answer != "sorry"), []
    answers = iter(["sorry", "sorry", "well", "never asked"])

    @engine.cache()
    async def ask(prompt: str):
        calls.append(prompt)
        return next(answers)

    assert [await ask("q") for _ in range(4)] == ["sorry", "sorry", "well", "well"]
    assert last_lookup().outcome == "exact"
    await engine.close()


async def _no(*given):
    return False


class _Later:
    async def __call__(self, *given):
        return False


@pytest.mark.parametrize("name", ["cache_if", "on_event", "price", "clock"])
def test_a_callable_that_nobody_awaits_may_not_be_async(name):
    for given in (_no, _Later()):
        with pytest.raises(TypeError, match=rf"{name}=.* must be a plain function, not an async one"):
            SemanticCache("memory://", **{name: given})


@pytest.mark.parametrize("name", ["normalizer", "key_func"])
def test_a_callable_that_makes_a_key_may_not_be_async(name):
    with pytest.raises(TypeError, match=rf"{name}=.* must be a plain function, not an async one"):
        SemanticCache("memory://").cache(**{name: _no})


async def test_a_cache_if_that_returns_a_coroutine_stores_nothing(caplog):
    engine = SemanticCache("memory://", cache_if=lambda answer: _no(answer))

    @engine.cache()
    async def ask(prompt: str):
        return "sorry"

    _, lookup = await ask.with_lookup("q")
    assert (lookup.stored, lookup.stored_reason.split(":")[0]) == (False, "cache-if")
    assert "cache_if raised TypeError" in caplog.text


async def test_who_waits_shares_an_answer_that_is_not_stored():
    engine = SemanticCache("memory://", cache_if=lambda answer: False)
    model = Model(["answer"])

    @engine.cache()
    async def ask(prompt: str):
        return await model()

    tasks = [asyncio.create_task(ask("q")) for _ in range(3)]
    await model.started.wait()
    model.go.set()
    assert await gathered(tasks) == [["answer"]] * 3
    assert model.calls == 1
    await ask("q")
    assert model.calls == 2


async def test_tags_of_engine_and_decorator(backend):
    engine = SemanticCache(backend, tags=("models",))

    @engine.cache(tags=("models", "prices"))
    async def prices(prompt: str):
        return prompt

    @engine.cache()
    async def other(prompt: str):
        return prompt

    await prices("a")
    await other("a")
    assert await invalidate(tags="prices", backend=backend) == 1
    assert not (await prices.cache_lookup("a")).hit
    assert (await other.cache_lookup("a")).hit
    assert await invalidate(tags=["models"], backend=backend) == 1
    assert not (await other.cache_lookup("a")).hit
    await engine.close()


async def test_longest_prompt_and_answer(backend, caplog):
    engine = SemanticCache(backend, max_prompt=10, max_response=20)

    @engine.cache()
    async def ask(prompt: str, answer: object):
        return answer

    async def stored(prompt, answer):
        assert await ask(prompt, answer) == answer
        return (await ask.cache_lookup(prompt, answer)).hit

    assert await stored("x" * 10, "y" * 20)
    assert not await stored("x" * 11, "y")
    assert not await stored("x", "y" * 21)
    assert not await stored("x", ["y" * 21])
    assert await stored("x", ["y"])
    assert "10 characters" in caplog.text
    assert "x" * 11 not in caplog.text, "no prompt in the log"
    await engine.close()


async def test_caching_that_is_off(backend, monkeypatch):
    engine = SemanticCache(backend, enabled=False, similarity=0.5)
    calls, told = [], []

    @engine.cache(on_event=told.append)
    async def ask(prompt: str, client: object = None):
        calls.append(prompt)
        return prompt

    @engine.cache()
    def plain(prompt: str):
        calls.append(prompt)
        return prompt

    assert [await ask("x", object()), await ask("x", object()), plain("x"), plain("x")] == ["x"] * 4
    assert calls == ["x"] * 4
    assert [lookup.outcome for lookup in told] == ["bypass"] * 2
    info = ask.cache_info()
    assert (info.bypassed, info.misses) == (2, 0)
    assert await backend.iterate() == []
    assert not await engine.store(Request("n", None, "x"), "x")
    assert (await engine.lookup(Request("n", None, "x"))).outcome == "bypass"
    monkeypatch.setenv("SEMANTIC_LLM_CACHE_DISABLED", "1")
    off = SemanticCache(backend, similarity=0.5, embedder="no such embedder")

    @off.cache()
    async def other(prompt: str):
        calls.append(prompt)
        return prompt

    with CacheContext(enabled=True):
        assert [await other("y"), await other("y")] == ["y", "y"]
    assert calls[4:] == ["y", "y"]
    await engine.close()


async def test_the_type_comes_back(backend):
    engine = SemanticCache(backend)

    @engine.cache(result_type=decimal.Decimal)
    async def ask(prompt: str):
        return decimal.Decimal("1.10")

    assert [str(await ask("q")) for _ in range(2)] == ["1.10", "1.10"]
    assert last_lookup().outcome == "exact"
    await engine.close()
