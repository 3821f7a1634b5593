"""What the proxy shows to whoever runs it: the admin API, the dashboard and ``/metrics``, all behind one `Access`."""

from __future__ import annotations

import logging
import os
from importlib.util import find_spec
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from semantic_llm_cache._installation import install
from semantic_llm_cache.engine.engine import Engine
from semantic_llm_cache.server.access import Access, AccessDenied, is_loopback
from semantic_llm_cache.server.admin import admin_routes
from semantic_llm_cache.server.dashboard import dashboard_routes
from semantic_llm_cache.server.operator import Operator
from semantic_llm_cache.server.settings import Settings

__all__ = ["MULTIPROCESS", "Operations", "is_exposed", "summary", "token_of"]

_log = logging.getLogger("semantic_llm_cache")
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that names the folder in which prometheus_client's processes keep what they count."""


def token_of(settings: Settings) -> str | None:
    """Return the admin token, from the variable that the settings name; None if it is not set."""
    return os.environ.get(settings.admin_token_env) or None


def is_exposed(settings: Settings) -> bool:
    """Return whether others than this machine could use the admin API: it has no token, and listens beyond."""
    return token_of(settings) is None and not is_loopback(settings.host)


def summary(settings: Settings) -> str:
    """Return in a line who may use the admin API, the dashboard and ``/metrics``."""
    if settings.admin is False:
        return "off"
    if is_exposed(settings):
        return f"off: others could use it, and the variable {settings.admin_token_env} holds no token"
    who = "this machine" if token_of(settings) is None else f"who has the token in {settings.admin_token_env}"
    return f"/dashboard, /admin and /metrics, for {who}"


class Operations:
    """Watches the server's caches and offers the routes for whoever runs it.

    Args:
        settings: of the server.

    Attributes:
        operator: None where the settings turn all of it off.
        routes: to mount.

    Raises:
        ValueError: the admin token cannot be used, or the admin API is asked for where anybody could use it.
    """

    def __init__(self, settings: Settings) -> None:
        self.operator: Operator | None = None
        self.routes: list[BaseRoute] = []
        self._metrics: Any = None
        if settings.admin is False:
            self._turn_off("the setting admin is false")
            return
        if is_exposed(settings):
            told = f"set the variable {settings.admin_token_env} to a token of 16 or more characters"
            if settings.admin:
                raise ValueError(
                    f"host={settings.host!r} can be reached from other machines, so the admin API, the dashboard and "
                    f"/metrics need a token: {told}"
                )
            _log.warning("no admin API, dashboard or metrics on %s without a token: %s", settings.host, told)
            self._turn_off(told)
            return
        access = Access(token_of(settings), hosts=settings.admin_hosts)
        self.operator = Operator(show_text=settings.show_text)
        self.routes = [
            *admin_routes(self.operator, access),
            *dashboard_routes(self.operator, access),
            Route("/metrics", _guarded(access, self._scrape)),
        ]

    def watch(self, engine: Engine, name: str) -> None:
        """Show the calls of a cache, and let its settings be changed under this name."""
        if self.operator is None:
            return
        self.operator.add(engine, name)
        if self._metrics is None and find_spec("prometheus_client") is not None:
            self._export(engine)  # and all caches that are derived from the same one

    def _turn_off(self, why: str) -> None:
        """Refuse these paths, so that no upstream gets what was meant for the server."""

        async def refuse(request: Request) -> Response:
            return PlainTextResponse(f"this is turned off: {why}\n", 404)

        paths = ("/admin", "/admin/{rest:path}", "/dashboard", "/dashboard/{rest:path}", "/metrics")
        self.routes = [Route(path, refuse, methods=_METHODS) for path in paths]

    def _export(self, engine: Engine) -> None:
        from prometheus_client import CollectorRegistry

        from semantic_llm_cache.telemetry.prometheus import instrument

        self._registry = CollectorRegistry()
        self._metrics = instrument(self._registry, cache=engine)

    async def _scrape(self, request: Request) -> Response:
        if self._metrics is None:
            text = f"metrics need prometheus_client, the extra prometheus: {install('prometheus')}\n"
            return PlainTextResponse(text, 501)
        from prometheus_client import CollectorRegistry, exposition, multiprocess

        registry = self._registry
        if os.environ.get(MULTIPROCESS):
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        make, kind = exposition.choose_encoder(request.headers.get("accept", ""))
        return Response(make(registry), headers={"content-type": kind})

    def drain(self) -> None:
        """The server is about to stop: readiness says no from now on."""
        if self.operator is not None:
            self.operator.draining = True

    def close(self) -> None:
        """Stop watching."""
        if self._metrics is not None:
            self._metrics.close()
        if self.operator is not None:
            self.operator.close()


def _guarded(access: Access, endpoint: Any) -> Any:
    async def answer(request: Request) -> Response:
        try:
            access.check(request)
        except AccessDenied as denied:
            headers = {"www-authenticate": "Bearer"} if denied.status == 401 else {}
            return PlainTextResponse(f"{denied.detail}\n", denied.status, headers)
        answered: Response = await endpoint(request)
        return answered

    return answer
