"""DSPy through the cache: it calls models by LiteLLM, which sends through the httpx clients it is given.

    pip install ".[semantic,httpx]" dspy      # in a checkout of this project
    OPENAI_API_KEY=... python examples/dspy_app.py "How do I reset my password?" "How can I reset my password?"

DSPy has a cache of its own, for equal calls only; it is turned off, so that there is one place to look.
"""

import os
import sys

import dspy
import httpx
import litellm

from semantic_llm_cache import SemanticCache, get_stats
from semantic_llm_cache.integrations.httpx import AsyncCachingTransport, CachingTransport

URL = os.environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1")


def use(cache: SemanticCache) -> dspy.LM:
    litellm.client_session = httpx.Client(transport=CachingTransport(cache=cache))
    litellm.aclient_session = httpx.AsyncClient(transport=AsyncCachingTransport(cache=cache))
    return dspy.LM("openai/gpt-4o-mini", api_base=URL, cache=False)


def main(questions: list[str]) -> None:
    cache = SemanticCache(os.environ.get("CACHE_URL", "memory://"), similarity=0.9, ttl="1h")
    with dspy.context(lm=use(cache)):
        answer = dspy.Predict("question -> answer")
        for question in questions:
            print(answer(question=question).answer)
    stats = get_stats()
    print(f"{stats['hits']} of {stats['total_requests']} answers came from the cache")


if __name__ == "__main__":
    main(sys.argv[1:])
