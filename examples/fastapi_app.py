"""A FastAPI service whose model calls go through one cache, opened and closed with the service.

    pip install ".[semantic,openai]" fastapi uvicorn      # in a checkout of this project
    uvicorn examples.fastapi_app:app

Each tenant (here: the header ``x-tenant``) has answers of its own.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Annotated

import openai
from fastapi import Depends, FastAPI, Header, Request
from fastapi.responses import StreamingResponse

from semantic_llm_cache import SemanticCache, last_lookup
from semantic_llm_cache.integrations.openai import wrap

tenant: ContextVar[str] = ContextVar("tenant")  # no default: a call without one bypasses the cache


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    url = os.environ.get("CACHE_URL", "memory://")
    async with SemanticCache(url, similarity=0.9, ttl="1h") as cache, openai.AsyncOpenAI() as client:
        app.state.model = wrap(client, cache=cache, scope=lambda: {"tenant": tenant.get()})
        yield


app = FastAPI(lifespan=lifespan)


async def model(request: Request, x_tenant: Annotated[str, Header()]) -> openai.AsyncOpenAI:
    """Return the client, for handlers that call the model on behalf of the caller's tenant."""
    tenant.set(x_tenant)
    return request.app.state.model


Model = Annotated[openai.AsyncOpenAI, Depends(model)]


@app.get("/ask")
async def ask(question: str, client: Model) -> dict[str, str | None]:
    answer = await client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": question}])
    found = last_lookup()
    return {"answer": answer.choices[0].message.content, "cache": found.outcome if found else None}


@app.get("/stream")
async def stream(question: str, client: Model) -> StreamingResponse:
    answer = await client.chat.completions.create(
        model="gpt-4o-mini",
        messages=[{"role": "user", "content": question}],
        stream=True,
        stream_options={"include_usage": True},  # an answer without the token counts could not serve /ask
    )

    async def words() -> AsyncIterator[str]:
        async for event in answer:
            if event.choices and event.choices[0].delta.content:
                yield event.choices[0].delta.content

    return StreamingResponse(words(), media_type="text/plain")
