"""`create_app`: the server as an ASGI app, from its settings."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Any

from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route, Router

from semantic_llm_cache._version import __version__
from semantic_llm_cache.doors.cache import SemanticCache
from semantic_llm_cache.exceptions import EmbeddingUnavailableError, EncryptionKeyError
from semantic_llm_cache.server.encryption import check_key
from semantic_llm_cache.server.loading import ServerSettingsError, load_settings
from semantic_llm_cache.server.operating import Operations
from semantic_llm_cache.server.proxy.doors import Doors, Rule
from semantic_llm_cache.server.proxy.forwarding import Forwarder, Key, Timeouts
from semantic_llm_cache.server.proxy.handler import Limits, Proxy
from semantic_llm_cache.server.proxy.routing import Place, Routes
from semantic_llm_cache.server.proxy.tenants import Tenants
from semantic_llm_cache.server.settings import Settings

__all__ = ["EnvironmentApp", "Server", "app", "create_app"]

_log = logging.getLogger("semantic_llm_cache")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Server:
    """The ASGI app: own routes first, and the proxy for every other path.

    Args:
        settings: of the server.

    Attributes:
        settings: as given.
        doors: the caches; `doors.engines` lists their engines.
        proxy: answers all paths that are not the server's own.
        operations: the admin API, the dashboard and the metrics.
        routes: the server's own routes.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        engine = SemanticCache(settings.url, **_engine_options(settings))
        self.operations = Operations(settings)
        self.doors = Doors(engine, _door_options(settings), _rules(settings), self.operations.watch)
        self.forwarder = Forwarder(_keys(settings), Timeouts(settings.connect_timeout, settings.read_timeout))
        self.proxy = Proxy(
            Routes({name: Place.of(name, found.url) for name, found in settings.upstream.items()}),
            self.doors,
            _tenants(settings),
            self.forwarder,
            Limits(settings.max_body, settings.max_upload, settings.max_headers, settings.body_timeout),
        )
        self.routes: list[BaseRoute] = []
        self._firsts: frozenset[str] = frozenset()
        self._router = Router([])
        self.mount([_health(), *self.operations.routes])

    def mount(self, routes: Sequence[BaseRoute]) -> None:
        """Add routes of the server's own. The first segment of each path is then no longer passed on."""
        self.routes += routes
        self._firsts = frozenset(str(getattr(route, "path", "")).split("/", 2)[1] for route in self.routes)
        self._router = Router(self.routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the lifespan."""
        kind = scope["type"]
        if kind == "http":
            path: str = scope["path"]
            root: str = scope.get("root_path", "")
            if root and path.startswith(root):
                path = path[len(root) :]
            if path[1:].partition("/")[0] in self._firsts:
                await self._router(scope, receive, send)
            else:
                await self.proxy(scope, receive, send)
        elif kind == "lifespan":
            await self._lifespan(receive, send)
        elif kind == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "WebSockets are not passed on"})

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await check_key(self.doors.engine.backend)
            await self._preload()
        except EncryptionKeyError as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        async with AsyncExitStack() as stack:
            if self.operations.operator is not None:
                await stack.enter_async_context(self.operations.operator.running())
            await send({"type": "lifespan.startup.complete"})
            await receive()
            self.operations.drain()
        await self.aclose()
        await send({"type": "lifespan.shutdown.complete"})

    async def _preload(self) -> None:
        """Load the model and the index, if any request may get a near hit, so that the first one does not wait."""
        engine = self.doors.engine
        with suppress(EmbeddingUnavailableError):  # the requests that need it meet the same, and report it
            by_rule = [engine.derive(**_of_engine(rule.options())) for rule in self.settings.rules]
            near = next((each for each in (engine, *by_rule) if each.similarity < 1), None)
            if near is not None:
                await near.preload()

    async def aclose(self) -> None:
        """Close connections to upstreams and to the backend."""
        await self.forwarder.aclose()
        self.operations.close()
        for engine in self.doors.engines:
            await engine.close()


def _health() -> BaseRoute:
    async def health(request: Any) -> JSONResponse:
        return JSONResponse({"status": "ok", "version": __version__})

    return Route("/healthz", health)


def create_app(settings: Settings | None = None) -> Server:
    """Return the server as an ASGI app.

    Args:
        settings: of the server; None reads them from the environment, and from the file that it names.

    Raises:
        ServerSettingsError: the settings cannot be used.
    """
    return Server(load_settings() if settings is None else settings)


class EnvironmentApp:
    """The server that the environment describes, made when it is first called."""

    def __init__(self) -> None:
        self._server: Server | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve as `Server` does. Raises ServerSettingsError where the settings cannot be used."""
        if self._server is None:
            try:
                self._server = create_app()
            except ServerSettingsError as error:
                if scope["type"] != "lifespan":
                    raise
                await receive()
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
        await self._server(scope, receive, send)

    async def aclose(self) -> None:
        """Close connections, where the app around this one does not pass the lifespan on."""
        server, self._server = self._server, None
        if server is not None:
            await server.aclose()


app = EnvironmentApp()
"""The server that the environment describes, to be mounted or served."""


_DOOR = frozenset(
    {"history", "tool_calls", "max_temperature", "share_across_keys", "ignore", "neutral_headers", "replay_delay"}
)


def _engine_options(settings: Settings) -> dict[str, Any]:
    given = _of_engine(settings.options())
    if settings.embedder is not None:
        given["embedder"] = settings.embedder
    return {"max_response": settings.max_response, **given}


def _of_engine(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in _DOOR}


def _door_options(settings: Settings) -> dict[str, Any]:
    return {name: value for name, value in settings.options().items() if name in _DOOR}


def _rules(settings: Settings) -> list[Rule]:
    return [Rule(rule.name, rule.match, rule.options()) for rule in settings.rules]


def _keys(settings: Settings) -> dict[str, Key]:
    return {
        name: Key(found.key_env, found.key_header)
        for name, found in settings.upstream.items()
        if found.key_env is not None
    }


def _tenants(settings: Settings) -> Tenants:
    keys = {digest: name for name, tenant in settings.tenants.items() for digest in tenant.keys_sha256}
    return Tenants(keys, settings.tenant_header, settings.trusted_proxies, settings.only_known_tenants)
