"""`python -m scripts.site.serve_demo [--empty] [--port N]`: the dashboard of a cache in use, to look at."""

from __future__ import annotations

import argparse
import asyncio
import contextlib

import uvicorn
from scripts.site.demo_cache import used_operator
from starlette.applications import Starlette

from semantic_llm_cache import SemanticCache
from semantic_llm_cache.server.admin import admin_routes
from semantic_llm_cache.server.dashboard import dashboard_routes
from semantic_llm_cache.server.operator import Operator


@contextlib.asynccontextmanager
async def _empty():
    yield Operator(SemanticCache("memory://", similarity=0.9))


async def _serve(options: argparse.Namespace) -> None:
    async with _empty() if options.empty else used_operator(limit=options.limit) as operator:
        app = Starlette(routes=[*admin_routes(operator), *dashboard_routes(operator)])
        print(f"http://127.0.0.1:{options.port}/dashboard", flush=True)
        await uvicorn.Server(uvicorn.Config(app, port=options.port, log_level="warning")).serve()


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8090)
    parser.add_argument("--limit", type=int, help="send only so many prompts")
    parser.add_argument("--empty", action="store_true", help="send none")
    asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
