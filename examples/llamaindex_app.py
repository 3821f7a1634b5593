"""LlamaIndex through the cache: its OpenAI model takes an httpx client, and the cache is that client's transport.

    pip install ".[semantic,httpx]" llama-index-llms-openai      # in a checkout of this project
    OPENAI_API_KEY=... python examples/llamaindex_app.py "How do I reset my password?" "How can I reset my password?"

Plain calls, async calls and streams share one cache. Whatever takes the model (query engines, agents) is cached too.
"""

import os
import sys

import httpx
from llama_index.core.llms import ChatMessage
from llama_index.llms.openai import OpenAI

from semantic_llm_cache import SemanticCache, get_stats
from semantic_llm_cache.integrations.httpx import AsyncCachingTransport, CachingTransport

URL = os.environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1")


def make_model(cache: SemanticCache) -> OpenAI:
    return OpenAI(
        model="gpt-4o-mini",
        api_base=URL,
        http_client=httpx.Client(transport=CachingTransport(cache=cache)),
        async_http_client=httpx.AsyncClient(transport=AsyncCachingTransport(cache=cache)),
    )


def main(questions: list[str]) -> None:
    cache = SemanticCache(os.environ.get("CACHE_URL", "memory://"), similarity=0.9, ttl="1h")
    model = make_model(cache)
    for question in questions:
        print(model.chat([ChatMessage(role="user", content=question)]).message.content)
    stats = get_stats()
    print(f"{stats['hits']} of {stats['total_requests']} answers came from the cache")


if __name__ == "__main__":
    main(sys.argv[1:])
