"""Runs the server with uvicorn, in one process or several."""

from __future__ import annotations

import copy
import logging
import logging.config
import os
import sys
import tempfile
from functools import partial
from typing import Any

from semantic_llm_cache.server.application import Server, create_app
from semantic_llm_cache.server.loading import HANDOVER_VARIABLE
from semantic_llm_cache.server.operating import MULTIPROCESS
from semantic_llm_cache.server.protocol import GuardedProtocol, Waits
from semantic_llm_cache.server.settings import Settings

__all__ = ["cache_url", "run", "uvicorn_options", "warnings_of", "worker_app"]

_log = logging.getLogger("semantic_llm_cache")
_SWITCH = 0.0005
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def uvicorn_options(settings: Settings) -> dict[str, Any]:
    """Return the options for uvicorn."""
    return {
        "host": settings.host,
        "port": settings.port,
        "log_level": settings.log_level,
        "log_config": log_config(settings.log_level),
        "access_log": False,  # its lines hold queries, and these may hold keys
        "proxy_headers": False,  # who asks is decided by the address of the connection, not by a header
        "server_header": False,
        "timeout_keep_alive": settings.keep_alive,
        "timeout_graceful_shutdown": settings.shutdown_timeout,
        "limit_concurrency": settings.max_connections,
        "h11_max_incomplete_event_size": settings.max_headers,
        "http": partial(GuardedProtocol, waits=Waits(settings.header_timeout, settings.client_timeout)),
        "ws": "none",
        "lifespan": "on",
    }


def log_config(level: str) -> dict[str, Any]:
    """Return what uvicorn is to log, and what of the cache: storage that fails, changed settings."""
    from uvicorn.config import LOGGING_CONFIG

    config = copy.deepcopy(LOGGING_CONFIG)
    config["loggers"][_log.name] = {"handlers": ["default"], "level": level.upper(), "propagate": False}
    return config


def cache_url(settings: Settings) -> str:
    """Return the URL of the backend that is used."""
    return settings.url or os.environ.get("SEMANTIC_LLM_CACHE_URL") or "memory://"


def warnings_of(settings: Settings) -> list[str]:
    """Return what of the settings is likely not meant."""
    found = []
    if settings.workers > 1 and cache_url(settings).startswith("memory:"):
        found.append("each worker has a cache of its own in memory: give --url, such as sqlite:///cache.db or redis://")
    for name, upstream in settings.upstream.items():
        if upstream.key_env is None:
            continue
        if not os.environ.get(upstream.key_env):
            found.append(f"upstream {name}: the environment variable {upstream.key_env} is not set")
        if settings.host not in _LOOPBACK and not settings.only_known_tenants:
            found.append(
                f"upstream {name}: anybody who can reach {settings.host} uses the key in {upstream.key_env}: "
                "list the tenants, and set only_known_tenants"
            )
    return found


def worker_app() -> Server:
    """Return the app of one serving process, with its settings from the environment."""
    _switch_often()
    return create_app()


def _switch_often() -> None:
    """Have the interpreter switch threads every 0.5 ms, not every 5.

    While a thread reads a large body, another request waits for that long, several times.
    """
    sys.setswitchinterval(_SWITCH)


def run(settings: Settings) -> None:
    """Serve until the process is told to stop. Answers in progress are finished first."""
    import uvicorn

    options = uvicorn_options(settings)
    logging.config.dictConfig(options["log_config"])  # uvicorn does so too late for these warnings
    for text in warnings_of(settings):
        _log.warning("%s", text)
    if settings.workers == 1:
        _switch_often()
        uvicorn.run(create_app(settings), **options)
        return
    # Each worker is a new process: it reads the settings from its environment.
    os.environ[HANDOVER_VARIABLE] = settings.model_dump_json(exclude_unset=True)
    factory = "semantic_llm_cache.server.running:worker_app"
    with tempfile.TemporaryDirectory(prefix="semantic-llm-cache-metrics-") as folder:
        # What each worker counts lies there, so that any of them can tell the sum.
        os.environ.setdefault(MULTIPROCESS, folder)
        uvicorn.run(factory, factory=True, workers=settings.workers, **options)
