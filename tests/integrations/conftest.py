import sys

import pytest
from wire_provider import provider

# pydantic-ai does not support Python 3.10.
collect_ignore = [] if sys.version_info >= (3, 11) else ["test_pydantic_ai.py"]


@pytest.fixture
def server():
    with provider() as running:
        yield running


@pytest.fixture
def openai(server):
    """Return a function that makes LangChain's OpenAI models."""
    from langchain_openai import ChatOpenAI

    def make(**fields):
        # LangChain keeps its HTTP clients for ever, so connections are closed after each answer.
        headers = {"connection": "close", **fields.pop("default_headers", {})}
        usual = {"model": "m", "api_key": "k", "base_url": f"{server.url}/v1", "max_retries": 0}
        return ChatOpenAI(**{**usual, "default_headers": headers, **fields})

    return make


@pytest.fixture
def model(openai):
    """Return a function that makes cached models; they share one backend."""
    from semantic_llm_cache.integrations.langchain import CachedChatModel

    def make(fields=None, **options):
        return CachedChatModel(openai(**(fields or {})), **{"similarity": 0.9, **options})

    return make
