"""`python -m scripts.site.serve_demo [--empty] [--port N]`: the dashboard of a cache in use, to look at."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from collections.abc import AsyncIterator

import uvicorn
from scripts.site.demo_cache import used_operator
from starlette.applications import Starlette

from semantic_llm_cache import SemanticCache
from semantic_llm_cache.server.admin import admin_routes
from semantic_llm_cache.server.dashboard import dashboard_routes
from semantic_llm_cache.server.dashboard.running import listen
from semantic_llm_cache.server.operator import Operator


@contextlib.asynccontextmanager
async def _unused() -> AsyncIterator[Operator]:
    operator = Operator()
    async with SemanticCache("memory://", similarity=0.9) as cache:
        operator.add(cache)
        yield operator


@contextlib.asynccontextmanager
async def serving(port: int = 0, *, empty: bool = False) -> AsyncIterator[str]:
    """Give the address of the dashboard while it is served.

    Args:
        port: 0 is a free one.
        empty: of a cache that nobody has used; otherwise it gets the prompts of the demo first.
    """
    async with _unused() if empty else used_operator() as operator:
        app = Starlette(routes=[*admin_routes(operator), *dashboard_routes(operator)])
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
        with listen("127.0.0.1", port) as listener:
            task = asyncio.create_task(server.serve([listener]))
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/dashboard"
            server.should_exit = True
            await task


async def _serve(port: int, empty: bool) -> None:
    async with serving(port, empty=empty) as url:
        print(url, flush=True)
        await asyncio.Event().wait()


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8090)
    parser.add_argument("--empty", action="store_true", help="of a cache that nobody has used")
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(options.port, options.empty))


if __name__ == "__main__":
    main()
