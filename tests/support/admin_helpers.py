"""A small application with the admin API of some caches, and a client for it."""

import contextlib

import httpx
from starlette.applications import Starlette

from semantic_llm_cache import SemanticCache
from semantic_llm_cache.server.admin import admin_routes
from semantic_llm_cache.server.operator import Operator

TOKEN = "a-token-of-enough-length"
WORDS = {
    "What is Python?": [1.0, 0.0, 0.0],
    "What's Python?": [0.98, 0.199, 0.0],
    "Explain Python": [0.85, 0.5268, 0.0],
    "Opening hours?": [0.0, 0.0, 1.0],
}


def embed(text):
    """Return a vector whose cosines to the others are known: 0.98 and 0.85 to the first."""
    return WORDS.get(text, [0.0, 1.0, 0.0])


def client(operator, token=TOKEN, *, access=TOKEN, **options):
    """Return a client of an application with the operator's admin API."""
    app = Starlette(routes=admin_routes(operator, access))
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    transport = httpx.ASGITransport(app, client=options.pop("address", ("127.0.0.1", 5000)))
    return httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers, **options)


@contextlib.asynccontextmanager
async def served(backend="memory://", **options):
    """Run a cache with an operator; yield client, cache and operator."""
    shown = options.pop("show_text", True)
    operator = Operator(show_text=shown)
    cache = SemanticCache(backend, **{"embedder": embed, "guards": None, "similarity": 0.95, **options})
    operator.add(cache, "main")
    async with client(operator) as opened, cache:
        yield opened, cache, operator


async def ask(cache, text, answer="an answer", **scope):
    """Send a prompt through a cache."""
    from semantic_llm_cache import Request

    async def call():
        return answer

    return await cache.get_or_call(Request(cache.namespace, scope, text), call)
