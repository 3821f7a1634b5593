"""Serves the dashboard of a cache by itself, beside the programs that use the cache."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from semantic_llm_cache.server.access import Access
from semantic_llm_cache.server.admin import admin_routes
from semantic_llm_cache.server.dashboard.routes import PREFIX, dashboard_routes
from semantic_llm_cache.server.operator import Operator

__all__ = ["create_dashboard", "listen", "serve_dashboard"]


async def _to_dashboard(request: Request) -> Response:
    return RedirectResponse(PREFIX.lstrip("/"), 307)


def create_dashboard(operator: Operator, access: Access) -> Starlette:
    """Return an application with the dashboard and the admin API, and nothing else.

    Args:
        operator: what it shows.
        access: who may use it.

    Example:
        >>> from semantic_llm_cache.server.operator import Operator
        >>> create_dashboard(Operator(), Access()).routes[0].path
        '/'
    """

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with operator.running():
            yield

    routes = [Route("/", _to_dashboard), *dashboard_routes(operator, access), *admin_routes(operator, access)]
    return Starlette(routes=routes, lifespan=lifespan)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on an address; port 0 is a free one.

    Raises:
        OSError: the address cannot be used, or something listens there already.
    """
    (family, kind, _, _, address), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    made = socket.socket(family, kind)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(128)
    except OSError:
        made.close()
        raise
    return made


async def serve_dashboard(app: Starlette, listener: socket.socket, ready: Callable[[], None]) -> None:
    """Serve until the process is told to stop.

    Args:
        app: the application.
        listener: from `listen`.
        ready: called once it serves.
    """
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                ready()

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            # uvicorn would raise the signal again at the end, before the caller has closed the cache.
            loop = asyncio.get_running_loop()
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, self.handle_exit, number, None)
            try:
                yield
            finally:
                for number in (signal.SIGINT, signal.SIGTERM):
                    loop.remove_signal_handler(number)

    options = uvicorn.Config(
        app, log_level="warning", access_log=False, proxy_headers=False, server_header=False, ws="none",
        timeout_graceful_shutdown=2, lifespan="on",
    )  # fmt: skip
    await Server(options).serve([listener])
