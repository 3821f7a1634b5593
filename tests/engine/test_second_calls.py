"""`noise="measure"`: some calls are made twice, after the caller has its answer."""

import asyncio
import itertools
import threading
import time

import pytest
from engine_helpers import background_work_ended

from semantic_llm_cache import CachedLLM, Request, SemanticCache, cache
from semantic_llm_cache.runtime import background
from semantic_llm_cache.stats import get_stats


def near(text):
    """Return a vector that is near those of all other texts."""
    return [1.0, 0.02 * (len(text) % 5), 0.01 * (len(text) % 3)]


OPTIONS = {"embedder": near, "similarity": 0.1, "max_error": 0.9, "seed": 1, "judge_error": 0.0}


def same(fresh, stored):
    return fresh == stored


class Model:
    """Counts its calls; every second answer is another one."""

    def __init__(self):
        self.calls = 0
        self.answers = itertools.cycle(["yes", "no"])

    async def __call__(self):
        self.calls += 1
        return next(self.answers)


async def ask_often(engine, model, times=150):
    """Ask different prompts; return how many callers got an answer of the model."""
    misses = 0
    for number in range(times):
        before = model.calls
        await engine.get_or_call(Request("n", None, f"what is {'x' * (number % 40)} {number}"), model)
        assert model.calls - before <= 1  # the second call begins when the caller has its answer
        misses += model.calls > before
        await background_work_ended()
    return misses


async def test_explored_calls_are_made_twice_and_shown_in_the_statistics():
    engine, model = SemanticCache("memory://", same_answer=same, noise="measure", namespace="noisy", **OPTIONS), Model()
    misses = await ask_often(engine, model)
    policy = await engine.learning.policy()
    pairs = policy.summary()["noise_pairs"]
    assert pairs == model.calls - misses > 0
    assert policy.summary()["noise"] == 1.0  # one answer, then the other
    (budget,) = get_stats("noisy")["error_budgets"]
    assert budget["namespace"] == "noisy"
    assert budget["max_error"] == 0.9
    assert (budget["noise_pairs"], budget["noise"]) == (pairs, 1.0)
    await engine.close()


@pytest.mark.parametrize("noise", [None, 0.2])
async def test_nothing_is_called_twice_unless_asked(noise):
    engine, model = SemanticCache("memory://", same_answer=same, noise=noise, **OPTIONS), Model()
    assert await ask_often(engine, model, 60) == model.calls
    assert (await engine.learning.policy()).noise == noise
    await engine.close()


def ask_twice(policy):
    """Have a policy ask for a second answer each time."""
    decide = policy.decide

    def twice(*arguments):
        decision = decide(*arguments)
        decision.twice = decision.key is not None
        return decision

    policy.decide = twice
    return policy


async def explored_call(engine, function):
    """Make one call that is to be made twice, whatever the policy says of others."""
    await engine.get_or_call(Request("n", None, "first"), lambda: "yes")
    policy = ask_twice(await engine.learning.policy())
    value = await engine.get_or_call(Request("n", None, "second"), function)
    await background_work_ended()
    return value, policy.summary()["noise_pairs"]


async def test_a_second_call_that_fails_costs_nobody_anything():
    calls = 0

    async def flaky():
        nonlocal calls
        calls += 1
        if calls > 1:
            raise OSError("down")
        return "yes"

    engine = SemanticCache("memory://", same_answer=same, noise="measure", **OPTIONS)
    assert await explored_call(engine, flaky) == ("yes", 0)
    assert calls == 2
    await engine.close()


async def test_a_cache_inside_the_function_does_not_answer_the_second_call():
    inner_calls = 0

    @cache(backend="memory://")
    async def inner(prompt: str) -> str:
        nonlocal inner_calls
        inner_calls += 1
        return f"answer {inner_calls}"

    engine = SemanticCache("memory://", same_answer=same, noise="measure", **OPTIONS)
    value, pairs = await explored_call(engine, lambda: inner("the same"))
    assert (value, pairs, inner_calls) == ("answer 1", 1, 2)
    await engine.close()


async def test_the_caller_does_not_wait_for_the_second_call():
    gate, calls = asyncio.Event(), 0

    async def slow_the_second_time():
        nonlocal calls
        calls += 1
        if calls > 1:
            await gate.wait()
        return "yes"

    engine = SemanticCache("memory://", same_answer=same, noise="measure", **OPTIONS)
    asyncio.get_running_loop().call_later(0.2, gate.set)
    value, pairs = await asyncio.wait_for(explored_call(engine, slow_the_second_time), 2)
    assert (value, pairs) == ("yes", 1)
    await engine.close()  # waits for what is under way


def test_plain_functions_are_called_again_in_another_thread():
    threads = []

    def answer(prompt, **kwargs):
        threads.append(threading.current_thread())
        return ["no", "yes"][len(threads) % 2]

    llm = CachedLLM("mine", "m", backend="memory://", same_answer=same, noise="measure", **OPTIONS)
    ask_twice(background.run(llm.engine.learning.policy()))
    for number in range(2):
        assert llm.chat(f"what is {number}", llm_func=answer) == ["no", "yes"][len(threads) % 2]
    until = time.monotonic() + 5
    while set(threads) == {threading.current_thread()} and time.monotonic() < until:
        time.sleep(0.01)
    assert len(set(threads)) > 1


@pytest.mark.parametrize("wrong", [1.5, "often"])
def test_the_option_is_checked(wrong):
    with pytest.raises((TypeError, ValueError), match="noise="):
        SemanticCache("memory://", max_error=0.1, embedder=near, noise=wrong)


def test_it_needs_an_error_budget():
    with pytest.raises(ValueError, match=r"noise= .* max_error="):
        SemanticCache("memory://", noise="measure")
