"""`noise="measure"` behind a wrapped client: the request is sent a second time, and its answer only compared."""

import time

import openai
from engine_helpers import background_work_ended

from semantic_llm_cache import SemanticCache
from semantic_llm_cache.backends import MemoryBackend
from semantic_llm_cache.integrations.openai import wrap
from semantic_llm_cache.runtime import background

ASKED, AGAIN = "How do I reset my password?", "How can I reset my password?"


def user(text):
    return [{"role": "user", "content": text}]


def ask_twice(policy):
    decide = policy.decide

    def twice(*arguments):
        decision = decide(*arguments)
        decision.twice = decision.key is not None
        return decision

    policy.decide = twice
    return policy


def given(server):
    cache = SemanticCache(MemoryBackend(), similarity=0.5, max_error=0.9, seed=1, noise="measure")
    return cache, {"api_key": "k", "base_url": f"{server.url}/v1"}


async def test_an_async_client_sends_a_request_twice(server):
    cache, client = given(server)
    policy = ask_twice(await cache.learning.policy())
    async with wrap(openai.AsyncOpenAI(**client), cache=cache) as opened:
        for number, text in enumerate((ASKED, AGAIN), start=1):
            answer = await opened.chat.completions.create(model="m", messages=user(text))
            assert answer.id == f"chatcmpl-{number}"
        await background_work_ended()
    assert server.calls == 3
    assert policy.summary()["noise_pairs"] == 1


def test_a_plain_client_sends_a_request_twice(server):
    cache, client = given(server)
    policy = ask_twice(background.run(cache.learning.policy()))
    with wrap(openai.OpenAI(**client), cache=cache) as opened:
        for number, text in enumerate((ASKED, AGAIN), start=1):
            answer = opened.chat.completions.create(model="m", messages=user(text))
            assert answer.id == f"chatcmpl-{number}"
        until = time.monotonic() + 5
        while policy.summary()["noise_pairs"] == 0 and time.monotonic() < until:
            time.sleep(0.01)
    assert server.calls == 3
    assert policy.summary()["noise_pairs"] == 1
