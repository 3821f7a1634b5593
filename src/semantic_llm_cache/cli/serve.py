"""The command `serve`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import click

from semantic_llm_cache._installation import install
from semantic_llm_cache.cli.common import PROGRAM, CommandError, open_backend, run_async
from semantic_llm_cache.cli.output import clean, say
from semantic_llm_cache.cli.parsing import COUNT, SIMILARITY, Args, Number, command, option
from semantic_llm_cache.exceptions import EncryptionKeyError, PromptCacheError
from semantic_llm_cache.redaction import without_urls

if TYPE_CHECKING:
    from semantic_llm_cache.server.settings import Settings

__all__ = ["serve_command"]

_NEEDED = ("starlette", "uvicorn", "httpx", "pydantic")
_FLAGS = ("url", "host", "port", "workers", "similarity", "ttl", "namespace", "log_level")


@command(
    "serve",
    "serve --upstream https://api.openai.com/v1 --url redis://localhost:6379/0",
    "serve --upstream https://api.openai.com/v1 --upstream anthropic=https://api.anthropic.com",
    "serve --config proxy.toml --check",
)
@option("--upstream", multiple=True, metavar="[NAME=]URL", help="Where requests go; with a name: those to /NAME/.")
@option("--url", metavar="URL", help="URL of the cache, e.g. sqlite:///cache.db (default: memory).")
@option("--host", metavar="ADDRESS", help="Address to listen at (default: 127.0.0.1).")
@option("--port", type=Number("a port", 0, 65535, whole=True), metavar="N", help="Port (default: 8080); 0: a free one.")
@option("--workers", type=COUNT, metavar="N", help="Processes that serve (default: 1).")
@option("--similarity", type=SIMILARITY, metavar="COSINE", help="Least cosine of a near hit (default: 1, exact only).")
@option("--ttl", metavar="SPAN", help="How long an answer is served, e.g. 1h30m (default: 1h).")
@option("--namespace", metavar="NAME", help="Namespace of the entries (default: default).")
@option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), help="What is logged (default: info).")
@option("--config", type=click.Path(), metavar="FILE", help="TOML file with settings.")
@option("--set", "more", multiple=True, metavar="KEY=VALUE", help="Any other setting of docs/proxy.md.")
@option("--check", is_flag=True, show_default=False, help="Check the settings, say what they do, and stop.")
def serve_command(args: Args) -> int:
    """Run a proxy that answers model calls from the cache and passes everything else on.

    Point the base URL of any SDK at it. Flags prevail over variables SEMANTIC_LLM_CACHE_SERVER_*, these over the file.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise CommandError(f"serve needs {', '.join(missing)}: run  {install('server')}", code=2)
    from semantic_llm_cache.server.application import create_app
    from semantic_llm_cache.server.loading import ServerSettingsError, load_settings
    from semantic_llm_cache.server.running import cache_url, run, warnings_of

    try:
        settings = load_settings(_given(args), args.config)
    except ServerSettingsError as error:
        for line in str(error).splitlines():
            say(f"{PROGRAM}: {clean(without_urls(line))}", err=True)
        return 2
    try:
        storage = create_app(settings).doors.engine.backend.url
    except (PromptCacheError, ValueError, TypeError) as error:
        raise CommandError(str(error), code=2) from error
    if not cache_url(settings).startswith("memory:"):
        run_async(_check_key(cache_url(settings)))
    if args.check:
        say("\n".join(map(clean, _summary(settings, storage, warnings_of(settings)))))
        return 0
    run(settings)
    return 0


async def _check_key(url: str) -> None:
    """Raise CommandError if the storage is encrypted with a key that the environment does not have. Makes no file."""
    from semantic_llm_cache.server.encryption import check_key
    from semantic_llm_cache.storage.registry import KEY_VARIABLE, encrypted_backend

    async with open_backend(Args(db=None, url=url), pretend=True, key="never") as plain:
        try:
            await check_key(encrypted_backend(plain) if os.environ.get(KEY_VARIABLE) else plain)
        except EncryptionKeyError as error:
            raise CommandError(str(error), code=2, redacted=True) from error


def _given(args: Args) -> dict[str, Any]:
    """Return the settings that the command line gives."""
    given: dict[str, Any] = {name: getattr(args, name) for name in _FLAGS if getattr(args, name) is not None}
    if args.upstream:
        given["upstream"] = args.upstream
    for text in args.more:
        name, separator, value = text.partition("=")
        if not separator:
            raise CommandError(f"--set takes KEY=VALUE, such as --set max_body=1000000, not {text!r}", code=2)
        given[name.strip().replace("-", "_")] = value
    return given


def _summary(settings: Settings, storage: str, warnings: Sequence[str]) -> list[str]:
    """Return what the settings do, a line each."""
    from semantic_llm_cache.server.operating import summary

    lines = [f"listen  {settings.host}:{settings.port}, {settings.workers} worker{'s' * (settings.workers > 1)}"]
    for name, upstream in settings.upstream.items():
        path = "/" if name == "default" else f"/{name}/"
        key = f"the key in {upstream.key_env}" if upstream.key_env else "the caller's key"
        lines.append(f"{path}  to {upstream.url}, with {key}")
    lines.append(f"cache  {'in memory' if storage.startswith('memory:') else storage}")
    lines.append(f"admin  {summary(settings)}")
    for name, tenant in settings.tenants.items():
        count = len(tenant.keys_sha256)
        lines.append(f"tenant {name}  {count} key{'s' * (count != 1)}")
    for rule in settings.rules:
        match = ", ".join(f"{part} {pattern}" for part, pattern in rule.match.items())
        lines.append(f"rule {rule.name}  for {match}: {_listed(rule.options())}")
    shown = {name: getattr(settings, name) for name in type(settings).model_fields if name in settings.model_fields_set}
    others = {name: value for name, value in shown.items() if name not in _SHOWN}
    if others:
        lines.append(f"set  {_listed(others)}")
    return lines + [f"warning: {text}" for text in warnings]


_SHOWN = frozenset({"host", "port", "workers", "upstream", "url", "tenants", "rules"})


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in values.items())
