"""Our transports, clients and caches as fields of an instance whose method is cached: what of them counts."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

import anthropic
import httpx
import ollama
import openai
import pytest
from langchain_openai import ChatOpenAI
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from semantic_llm_cache import cache
from semantic_llm_cache.integrations import anthropic as anthropics
from semantic_llm_cache.integrations import httpx as httpxs
from semantic_llm_cache.integrations import ollama as ollamas
from semantic_llm_cache.integrations import openai as openais
from semantic_llm_cache.integrations.httpx import AsyncCachingTransport, CachingTransport
from semantic_llm_cache.integrations.langchain import CachedChatModel, LangChainCache
from semantic_llm_cache.integrations.pydantic_ai import CachedModel
from semantic_llm_cache.keys.fingerprint import fingerprint_instance
from semantic_llm_cache.wire import WireCache

MEMORY: dict[str, Any] = {"backend": "memory://"}
TENANT: ContextVar[str] = ContextVar("tenant")


class Service:
    def __init__(self, client: Any) -> None:
        self.client = client


def form(client: Any) -> bytes:
    return fingerprint_instance(Service(client))


def proxied(kind: Any, user: str) -> Any:
    return kind(proxy=f"http://{user}:secret@proxy:8080")


def model(key: str) -> Any:
    return CachedModel(OpenAIChatModel("m", provider=OpenAIProvider(api_key=key)), **MEMORY)


PAIRS = {
    "transport": lambda who: CachingTransport(proxied(httpx.HTTPTransport, who), **MEMORY),
    "async transport": lambda who: AsyncCachingTransport(proxied(httpx.AsyncHTTPTransport, who), **MEMORY),
    "transport by scope": lambda who: CachingTransport(**MEMORY, scope={"tenant": who}),
    "transport by namespace": lambda who: CachingTransport(**MEMORY, namespace=who),
    "client": lambda who: httpx.Client(transport=CachingTransport(**MEMORY), headers={"x-tenant": who}),
    "wrapped": lambda who: httpxs.wrap(httpx.Client(headers={"x-tenant": who}), **MEMORY),
    "wrapped with mounts": lambda who: httpxs.wrap(proxied(httpx.Client, who), **MEMORY),
    "openai": lambda who: openais.wrap(openai.OpenAI(api_key=who), **MEMORY),
    "async openai": lambda who: openais.wrap(openai.AsyncOpenAI(api_key=who), **MEMORY),
    "anthropic": lambda who: anthropics.wrap(anthropic.Anthropic(api_key=who), **MEMORY),
    "async anthropic": lambda who: anthropics.wrap(anthropic.AsyncAnthropic(api_key=who), **MEMORY),
    "ollama": lambda who: ollamas.wrap(ollama.Client(f"http://{who}:1"), **MEMORY),
    "wire": lambda who: WireCache(**MEMORY, scope={"tenant": who}),
    "langchain": lambda who: LangChainCache(**MEMORY, scope={"tenant": who}),
    "langchain model": lambda who: CachedChatModel(ChatOpenAI(model="m", api_key=who), **MEMORY),
    "langchain model by scope": lambda who: CachedChatModel(
        ChatOpenAI(model="m", api_key="k"), **MEMORY, scope={"tenant": who}
    ),
    "pydantic-ai": model,
}


@pytest.mark.parametrize("name", PAIRS)
def test_equal_ones_have_one_form_and_others_another(name: str) -> None:
    make = PAIRS[name]
    one, same, other = make("a"), make("a"), make("b")
    assert form(one) == form(same)
    assert form(one) != form(other)


@pytest.mark.parametrize(
    "options",
    [
        {"share_across_keys": True},
        {"ignore": ("user",)},
        {"neutral_headers": ("x-mine",)},
        {"history": "window:2"},
        {"tool_calls": "cache"},
        {"max_temperature": 0.5},
    ],
    ids=str,
)
def test_what_a_door_shares_counts(options: dict[str, Any]) -> None:
    assert form(CachingTransport(**MEMORY)) != form(CachingTransport(**MEMORY, **options))


def test_the_value_of_a_scope_that_is_called_counts() -> None:
    transport = CachingTransport(**MEMORY, scope=TENANT.get)
    forms = []
    for tenant in "aba":
        token = TENANT.set(tenant)
        forms.append(form(transport))
        TENANT.reset(token)
    assert forms[0] == forms[2] != forms[1]


def test_a_method_is_answered_from_the_cache_before_and_after_its_client_was_used() -> None:
    class Bot:
        def __init__(self, who: str) -> None:
            inner = httpx.MockTransport(lambda request: httpx.Response(200, json={}))
            self.client = httpxs.wrap(httpx.Client(transport=inner, headers={"x-tenant": who}), **MEMORY)

        @cache(**MEMORY, similarity=1.0)
        def ask(self, prompt: str) -> str:
            return str(self.client.get("http://host/other").json())

    for bot in (Bot("a"), Bot("a"), Bot("b")):
        bot.ask("hello")
        bot.ask("hello")
    info = Bot.ask.cache_info()
    assert (info.hits, info.misses) == (4, 2)


def test_a_transport_that_made_its_own_inner_one_keeps_its_form() -> None:
    transport = CachingTransport(**MEMORY)
    before = form(transport)
    with pytest.raises(httpx.ConnectError):
        transport.handle_request(httpx.Request("GET", "http://127.0.0.1:1/"))
    assert form(transport) == before
    transport.close()
