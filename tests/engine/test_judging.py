"""Answers are judged after the caller has its own, and those that say the same vote together."""

import asyncio
import time

import pytest
from engine_helpers import background_work_ended

from semantic_llm_cache import AnswerJudge, Request, SemanticCache, last_lookup
from semantic_llm_cache.storage.records import Candidate

PROMPTS = ["the capital of France", "capital of France", "France: its capital", "the capital city of France"]
ANSWERS = ["Paris", "The capital of France is Paris.", "It is Paris.", "**Paris**, on the Seine"]


class SlowJudge(AnswerJudge):
    """A judge that takes its time."""

    asked = 0

    async def compare_with(self, embed, question, fresh, stored):
        await asyncio.sleep(0.3)
        SlowJudge.asked += 1
        return await super().compare_with(embed, question, fresh, stored)


def near(text):
    """Return a vector that is near those of all other texts."""
    return [1.0, 0.1 * (len(text) % 5), 0.05 * (len(text) % 3)]


def cache_with(**options):
    return SemanticCache("memory://", embedder=near, similarity=0.1, max_error=0.5, seed=1, **options)


async def ask(cache, number):
    return await cache.get_or_call(Request("n", None, PROMPTS[number]), lambda: ANSWERS[number])


async def policy_of(cache):
    return await cache.learning.policy()


async def test_nobody_waits_for_the_judge():
    cache = cache_with(same_answer=SlowJudge())
    SlowJudge.asked = 0
    began = time.perf_counter()
    for number in range(3):
        assert await ask(cache, number) == ANSWERS[number]
    assert time.perf_counter() - began < 0.3
    await background_work_ended()
    assert SlowJudge.asked >= 1
    await cache.close()


async def test_answers_that_say_the_same_vote_together():
    cache = cache_with()
    for number in range(4):
        await ask(cache, number)
        assert last_lookup().outcome == "miss"
        await background_work_ended()
    policy = await policy_of(cache)
    assert len(policy._clusters.roots) >= 2
    # Each prompt keeps the words of its own answer.
    for number in range(4):
        assert await ask(cache, number) == ANSWERS[number]
        assert last_lookup().outcome == "exact"
    await cache.close()


async def test_a_judge_that_is_taken_to_be_right_makes_aliases():
    cache = cache_with(same_answer=lambda fresh, stored: 1.0)
    for number in range(2):
        await ask(cache, number)
        await background_work_ended()
    assert await ask(cache, 1) == ANSWERS[0]
    await cache.close()


@pytest.mark.parametrize("given", [0.05, (0.1, 0.02)])
async def test_the_policy_is_told_how_often_the_judge_errs(given):
    cache = cache_with(same_answer=lambda fresh, stored: True, judge_error=given)
    expected = given if isinstance(given, tuple) else (given, given)
    assert (await policy_of(cache)).judge_error == expected
    with pytest.raises(ValueError, match="judge_error="):
        cache_with(judge_error=1.5)
    await cache.close()


async def test_what_one_tenant_taught_does_not_let_the_answers_of_another_vote_together():
    cache = cache_with()
    for tenant, count in (("a", 4), ("b", 4)):
        for number in range(count):
            await cache.get_or_call(Request("n", {"tenant": tenant}, PROMPTS[number]), lambda n=number: ANSWERS[n])
            await background_work_ended()
        if tenant == "a":
            policy = await policy_of(cache)
            learned = dict(policy._clusters.roots)
    assert len(learned) >= 2
    policy._clusters.restore(learned)  # without what the second tenant taught
    names: dict = {}
    async for key, entry in cache.backend.scan():
        answer = cache.decider.answer_id(Candidate(key, entry, 1.0))
        names.setdefault(entry.scope, []).append(policy.cluster(answer) == answer)
    of_a, of_b = names.values()
    assert False in of_a  # some are no longer known by their own words alone
    assert False not in of_b
    await cache.close()
