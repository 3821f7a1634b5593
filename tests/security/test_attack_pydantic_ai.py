"""pydantic-ai's models: providers and settings that differ in one place."""

import sys

import pytest

if sys.version_info < (3, 11):
    pytest.skip("pydantic-ai does not support Python 3.10", allow_module_level=True)

import httpx2
import openai
from attack_tools import AGAIN, ASKED
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from wire_provider import provider

from semantic_llm_cache.integrations.pydantic_ai import CachedModel


def _by_client(**options):
    return {"client": options}


async def _key_of(tenant):
    return tenant


PROVIDERS = {
    "key": lambda t: _by_client(api_key=t),
    "organization": lambda t: _by_client(organization=t),
    "project": lambda t: _by_client(project=t),
    "header": lambda t: _by_client(default_headers={"x-tenant": t}),
    "forwarded header": lambda t: _by_client(default_headers={"x-forwarded-user": t}),
    "query": lambda t: _by_client(default_query={"tenant": t}),
    "key from a closure": lambda t: _by_client(api_key=lambda: _key_of(t)),
    "cookies": lambda t: _by_client(http_client=httpx2.AsyncClient(cookies={"session": t})),
    "header of its HTTP client": lambda t: _by_client(http_client=httpx2.AsyncClient(headers={"x-tenant": t})),
    "event hook": lambda t: _by_client(http_client=httpx2.AsyncClient(event_hooks={"request": [_hook(t)]})),
    "auth": lambda t: _by_client(http_client=httpx2.AsyncClient(auth=("user", t))),
    "model settings": lambda t: {"settings": {"extra_headers": {"x-tenant": t}}},
    "extra body": lambda t: {"settings": {"extra_body": {"tenant": t}}},
    "user": lambda t: {"settings": {"openai_user": t}},
    "model": lambda t: {"name": t},
    "system prompt": lambda t: {"system_prompt": t},
    "instructions": lambda t: {"instructions": t},
}


def _hook(tenant):
    async def sign(request):
        request.headers["x-tenant"] = tenant

    return sign


@pytest.mark.parametrize("name", PROVIDERS)
async def test_agents_that_differ_in_one_place(name):
    with provider() as server:
        for calls, (tenant, text) in enumerate((("a", ASKED), ("b", AGAIN), ("c", ASKED)), 1):
            options = PROVIDERS[name](tenant)
            held = {"api_key": "k", "base_url": f"{server.url}/v1", **options.get("client", {})}
            async with openai.AsyncOpenAI(**held) as client:
                model = OpenAIChatModel(options.get("name", "m"), provider=OpenAIProvider(openai_client=client))
                told = {name: value for name, value in options.items() if name in ("system_prompt", "instructions")}
                agent = Agent(CachedModel(model, similarity=0.9), **told)
                await agent.run(text, model_settings=options.get("settings"))
            assert server.calls == calls, "one caller got another's answer"


async def test_equal_agents_share():
    with provider() as server:
        for text in (ASKED, AGAIN, ASKED):
            async with openai.AsyncOpenAI(api_key="k", base_url=f"{server.url}/v1") as client:
                model = OpenAIChatModel("m", provider=OpenAIProvider(openai_client=client))
                await Agent(CachedModel(model, similarity=0.9)).run(text)
        assert server.calls == 1
