"""The floor: a Starlette app that answers every request with the same bytes, served as the proxy is.

`python -m benchmarks.proxy.constant PORT WORKERS`.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.proxy.provider import _whole, answer_of
from semantic_llm_cache.server.running import uvicorn_options
from semantic_llm_cache.server.settings import Settings

_ANSWER = json.dumps(_whole(1, {"model": "m"}, answer_of("k", "What is the capital of France?"))).encode()


def make() -> Any:
    """Return the app."""

    async def chat(request: Request) -> Response:
        await request.body()
        return Response(_ANSWER, media_type="application/json")

    return Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])])


if __name__ == "__main__":
    import uvicorn

    settings = Settings(upstream="http://127.0.0.1:1", port=int(sys.argv[1]), workers=int(sys.argv[2]))
    options = {**uvicorn_options(settings), "lifespan": "off", "log_level": "warning"}
    uvicorn.run("benchmarks.proxy.constant:make", factory=True, workers=settings.workers, **options)
