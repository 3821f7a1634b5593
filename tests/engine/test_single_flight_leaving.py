"""Calls that all callers have left: who asks next gets a call of their own, while the old one cleans up by itself."""

import asyncio

import pytest
from engine_helpers import gathered, limited, until

from semantic_llm_cache import Request, SemanticCache


def cached(model, **options):
    engine = SemanticCache("memory://", **options)

    @engine.cache()
    async def ask(prompt: str):
        return await model(prompt)

    ask.engine = engine
    return ask


async def crowd(ask, count):
    tasks = [asyncio.create_task(ask("What is Python?")) for _ in range(count)]
    for _ in range(5):
        await asyncio.sleep(0)
    return tasks


class Leaving:
    """A model whose first call, when cancelled, cleans up until told to end, and then ends in some way."""

    def __init__(self, ending="raise"):
        self.calls = 0
        self.ending = ending
        self.cleaning, self.clean_up, self.ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def __call__(self, prompt):
        self.calls += 1
        if self.calls > 1:
            return "answer"
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cleaning.set()
            await limited(self.clean_up.wait())
            self.ended.set()
            if self.ending == "fail":
                raise ValueError("the clean-up failed") from None
            if self.ending == "part":
                return "part of an answer"
            raise


@pytest.mark.parametrize("ending", ["raise", "fail", "part"])
@pytest.mark.parametrize("joiners", [0, 3])
async def test_a_newcomer_does_not_wait_for_the_clean_up_of_a_call_that_all_have_left(ending, joiners):
    model = Leaving(ending)
    ask = cached(model)
    gone = await crowd(ask, 1 + joiners)
    for task in gone:
        task.cancel()
    await model.cleaning.wait()
    tasks = await crowd(ask, 3)
    assert await gathered(tasks) == ["answer"] * 3
    model.clean_up.set()
    await model.ended.wait()
    await asyncio.sleep(0)
    assert all(isinstance(found, asyncio.CancelledError) for found in await gathered(gone))
    assert await ask("What is Python?") == "answer"
    assert model.calls == 2
    flights = ask.engine.bound()[1].flights
    assert (flights._by_key, flights._calling) == ({}, {})


@pytest.mark.parametrize("ending", ["fail", "part"])
async def test_what_a_call_comes_to_that_all_have_left_is_neither_stored_nor_given_to_anyone(ending):
    model = Leaving(ending)
    ask = cached(model)
    (first,) = await crowd(ask, 1)
    first.cancel()
    await model.cleaning.wait()
    model.clean_up.set()
    await model.ended.wait()
    await asyncio.sleep(0.01)
    assert (await ask.cache_lookup("What is Python?")).outcome == "miss"
    assert await ask("What is Python?") == "answer"


async def test_nor_does_a_newcomer_wait_for_its_lease(tmp_path):
    model = Leaving()
    engine = SemanticCache(f"sqlite:///{tmp_path}/cache.db", single_flight="shared")
    request = Request("leases", None, "What is Python?")

    def ask():
        return engine.get_or_call(request, lambda: model("What is Python?"))

    first = asyncio.create_task(ask())
    await until(lambda: model.calls)
    first.cancel()
    await model.cleaning.wait()
    assert await limited(ask()) == "answer"
    model.clean_up.set()
    await model.ended.wait()
    await engine.close()
    assert model.calls == 2


async def test_nobody_joins_by_meaning_a_call_that_all_have_left():
    model = Leaving()
    ask = cached(model, similarity=0.95)
    ask.engine.need_embedder().load()
    first = asyncio.create_task(ask("What is Python?"))
    await until(lambda: model.calls)
    first.cancel()
    await model.cleaning.wait()
    assert await limited(ask("What's Python?")) == "answer"
    model.clean_up.set()
    assert model.calls == 2
