"""`semantic-llm-cache warm`: fill a cache from the logs of a provider, a proxy or a tracing tool."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from semantic_llm_cache.cli.common import PROGRAM, URL_VARIABLE, CommandError, cache_options, open_backend, run_async
from semantic_llm_cache.cli.logs import make_embedder
from semantic_llm_cache.cli.output import age, clean, counted, print_json, say, tally
from semantic_llm_cache.cli.parsing import Args, ValueType, argument, command, option
from semantic_llm_cache.cli.progress import Progress
from semantic_llm_cache.management.logs.formats import FORMATS

if TYPE_CHECKING:
    from semantic_llm_cache import SemanticCache
    from semantic_llm_cache.management.logs.warming import WarmReport
    from semantic_llm_cache.storage.contract import StorageBackend

__all__ = ["warm_command"]

_SIMILARITY = 0.95  # any value below 1 embeds the prompts; the programs choose the threshold at which they match
_MOST_PROBLEMS = 10
_ORGANISATION = (("OPENAI_ORG_ID", "OpenAI-Organization"), ("OPENAI_PROJECT_ID", "OpenAI-Project"))


# ------------------------------------------------------------------------------ values


class _Pair(ValueType):
    """NAME=VALUE, as a pair; with `json`, a value that is JSON is read as such, and other text needs no quotes."""

    name = "NAME=VALUE"

    def __init__(self, *, json: bool = False) -> None:
        self.json = json

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Any]:
        if isinstance(value, tuple):
            return value
        name, sign, text = value.partition("=")
        if not sign or not name:
            self.fail(f"{value!r} must be written NAME=VALUE", param, ctx)
        if not self.json:
            return name.strip(), text.strip()
        try:
            return name.strip(), json.loads(text)
        except ValueError:
            return name.strip(), text.strip()


class _Object(ValueType):
    """A JSON object, as a dict."""

    name = "JSON"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, Any]:
        try:
            found = value if isinstance(value, dict) else json.loads(value)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            self.fail(f"{value!r} must be a JSON object", param, ctx)
        return found


# ------------------------------------------------------------------------------ the command

_CLIENT = "Programs that call through an SDK's client"
_FUNCTION = "Programs that call a decorated function"
_CHANGES = "Where the log differs from what is asked"


@command(
    "warm",
    "warm output.jsonl --requests input.jsonl --db c.db --ttl 7d",
    "warm litellm.jsonl --db c.db --share-across-keys",
    "warm langfuse.json --db c.db --map-model gpt-x-2026-01=gpt-x",
    "warm faq.jsonl --function app.answers:ask",
    "warm faq.jsonl --namespace faq --db cache.db",
)
@argument("logs", nargs=-1, required=True, metavar="LOG...", type=click.Path(), help="Files to read.")
@option(
    "--format",
    type=click.Choice(("auto", *FORMATS)),
    default="auto",
    metavar="NAME",
    help=f"Format of the logs: {', '.join(FORMATS)}; auto recognises it by each file's first records.",
)
@option("--requests", type=click.Path(), metavar="FILE", help="Input of the batch whose output LOG is.")
@cache_options()
@option("--namespace", metavar="NAME", help="Namespace of the program's cache (default: default).")
@option(
    "--ttl",
    metavar="TIME",
    help="How long the answers are served from now: 90s, 1h30m, 7d, never (default: 1h, or the function's own).",
)
@option(
    "--embedder",
    metavar="NAME",
    help="Embedding model of the program, or none for equal prompts only (default: auto).",
)
@option("--max-age", metavar="TIME", help="Leave out calls made longer ago than this.")
@option("--overwrite", is_flag=True, show_default=False, help="Replace what is in the cache.")
@option("--dry-run", is_flag=True, show_default=False, help="Only count.")
@option(
    "--base-url",
    section=_CLIENT,
    metavar="URL",
    help="Base URL of the client (default: OPENAI_BASE_URL, else OpenAI's own).",
)
@option(
    "--api-key-env", section=_CLIENT, metavar="NAME", default="OPENAI_API_KEY", help="Variable with the client's key."
)
@option(
    "--share-across-keys",
    section=_CLIENT,
    is_flag=True,
    show_default=False,
    help="As in wrap(client, share_across_keys=True).",
)
@option(
    "--api-key-header",
    section=_CLIENT,
    metavar="NAME",
    help="Header that the key is sent in as it is, such as x-api-key (default: Authorization, as a bearer token).",
)
@option(
    "--header",
    section=_CLIENT,
    multiple=True,
    type=_Pair(),
    metavar="NAME=VALUE",
    help="A further header that the client sends, such as one that names a tenant; may be repeated.",
)
@option("--history", section=_CLIENT, default="exact", metavar="H", help='As in wrap: exact, or "window:2".')
@option("--tool-calls", section=_CLIENT, type=click.Choice(("bypass", "cache")), default="bypass", help="As in wrap.")
@option("--ignore", section=_CLIENT, multiple=True, metavar="FIELD", help="As in wrap; may be repeated.")
@option(
    "--ignore-header",
    section=_CLIENT,
    multiple=True,
    metavar="NAME",
    help="As neutral_headers= in wrap; may be repeated.",
)
@option("--scope", section=_CLIENT, type=_Object(), metavar="JSON", help="As in wrap, where it is a mapping.")
@option(
    "--function",
    section=_FUNCTION,
    metavar="MODULE:NAME",
    help="The function; its options are used, and without --db and --url its cache. Without --function, plain lines "
    "are for functions that name the --namespace and take a prompt.",
)
@option(
    "--argument",
    section=_FUNCTION,
    multiple=True,
    type=_Pair(json=True),
    metavar="NAME=JSON",
    help="An argument beside the prompt, as calls have it; fields of a plain line come first; may be repeated.",
)
@option(
    "--map-model",
    section=_CHANGES,
    multiple=True,
    type=_Pair(),
    metavar="LOGGED=ASKED",
    help="A model that is asked for under another name than the logged one; may be repeated.",
)
@option(
    "--set",
    section=_CHANGES,
    multiple=True,
    type=_Pair(json=True),
    metavar="FIELD=JSON",
    help="A field of the requests that is not in the log, such as temperature=1; may be repeated.",
)
@option(
    "--unset",
    section=_CHANGES,
    multiple=True,
    metavar="FIELD",
    help="A field that is only in the log; may be repeated.",
)
def warm_command(args: Args) -> int:
    """Store the answers of logs, so that the calls that were logged are hits. Nothing is called.

    What the cache would not store (refusals, cut answers, tool calls) is left out, and what it has already stays;
    broken lines are counted and named.

    It reads the output of OpenAI's batch API (--requests names its input), LiteLLM's StandardLoggingPayload,
    Langfuse's observations, lines with a request and its response, and lines with a prompt and its response; as
    lines of JSON or as one JSON document.

    An answer is only found by a program that asks in the same way. So name here what the program has: the base URL
    and the key of its client, and the options of its wrap(client, ...). Answers of different keys are kept apart,
    as a keyed hash: give the variable that holds the key, or --share-across-keys if the program does. If it sets
    SEMANTIC_LLM_CACHE_SECRET, set it here too.
    """
    reports: list[WarmReport] = []
    for path in (*args.logs, *([args.requests] if args.requests else [])):
        if not Path(path).is_file():
            raise CommandError(f"cannot read {clean(path)}: no such file")
    try:
        place = run_async(_warm(args, reports))
    except KeyboardInterrupt:
        stored = sum(report.stored for report in reports)
        raise CommandError(
            f"interrupted; {counted(stored, 'answer', 'answers')} had been stored: run it again to go on", code=130
        ) from None
    _report(args, reports, place)
    return 1 if any(report.broken == report.records for report in reports) else 0


def _ttl(args: Args) -> dict[str, Any]:
    from semantic_llm_cache.config import parse_ttl

    if args.ttl is None:
        return {}
    try:
        return {"ttl": None if args.ttl == "never" else parse_ttl(_seconds(args.ttl))}
    except ValueError as error:
        raise CommandError(f"--{error}", code=2) from error


def _max_age(args: Args) -> float | None:
    from semantic_llm_cache.config import parse_ttl

    try:
        limit = parse_ttl(_seconds(args.max_age), "max-age") if args.max_age is not None else None
        if limit == 0:
            raise ValueError(f"max-age={args.max_age} must be more than zero: every record would be too old")
        return limit
    except ValueError as error:
        raise CommandError(f"--{error}", code=2) from error


def _seconds(text: str) -> float | str:
    return float(text) if text.replace(".", "", 1).isdigit() else text


async def _warm(args: Args, reports: list[WarmReport]) -> str:
    """Read all logs; return the name of the cache."""
    from semantic_llm_cache.exceptions import CacheKeyError
    from semantic_llm_cache.management.logs.reading import CallLog
    from semantic_llm_cache.management.logs.warming import warm_from_log

    limit, ttl = _max_age(args), _ttl(args)
    async with _targets(args, ttl) as (backend, target_of):
        try:
            logs = [CallLog(path, args.format, requests=args.requests) for path in args.logs]
            with Progress(sum(log.size for log in logs), enabled=not args.json, percent=True) as bar:
                for log in logs:
                    reports.append(_empty(log))
                    report = await warm_from_log(
                        log.path,
                        target_of(log.format),
                        format=log.format,
                        requests=args.requests,
                        backend=backend,
                        base_url=_base_url(args),
                        headers=_headers(args, log.format),
                        arguments=dict(args.argument),
                        models=dict(args.map_model),
                        fields={**dict(args.set), **dict.fromkeys(args.unset)},
                        max_age=limit,
                        overwrite=args.overwrite,
                        dry_run=args.dry_run,
                        progress=_follow(bar, reports),
                        **ttl,
                    )
                    reports[-1] = report
        except CacheKeyError:
            raise
        except (ValueError, TypeError) as error:
            raise CommandError(str(error).replace("requests=", "--requests"), code=2) from error
        # For a missing file, a dry run uses an empty cache in memory.
        return clean(str(args.db or args.url or os.environ.get(URL_VARIABLE)) if backend.in_process else backend.url)


def _empty(log: Any) -> WarmReport:
    from semantic_llm_cache.management.logs.warming import WarmReport

    return WarmReport(str(log.path), log.format, log.size)


def _follow(bar: Progress, reports: list[WarmReport]) -> Callable[[WarmReport], None]:
    done = 0

    def show(report: WarmReport) -> None:
        nonlocal done
        reports[-1] = report
        stored = sum(one.stored for one in reports)
        bar.step(f"{stored:,} {'to store' if report.dry_run else 'stored'}", report.position - done)
        done = report.position

    return show


@contextlib.asynccontextmanager
async def _targets(args: Args, ttl: dict[str, Any]) -> AsyncIterator[tuple[StorageBackend, Callable[[str], Any]]]:
    """Yield the cache, and a function that returns the target for a log format."""
    if args.function is not None:
        function = _function(args.function)
        if args.db is None and args.url is None:
            backend = _controls_of(function).engine.backend
            if backend.in_process:
                raise CommandError(
                    f"{clean(args.function)} keeps its entries in its own memory: name its cache with --db or --url",
                    code=2,
                )
            async with backend:
                yield backend, lambda _: function
            return
        async with open_backend(args, create=not args.dry_run, pretend=args.dry_run) as backend:
            yield backend, lambda _: function
        return
    provider = _embedder(args)
    try:
        async with open_backend(args, create=not args.dry_run, pretend=args.dry_run) as backend:
            engine = _engine(args, backend, provider, ttl)
            yield backend, lambda format: engine if format == "plain" else _wire(args, engine)
    finally:
        if provider is not None:
            await provider.close()


def _function(name: str) -> Any:
    module, sign, attribute = name.partition(":")
    if not sign or not module or not attribute:
        raise CommandError(f"--function {clean(name)}: write MODULE:NAME, such as app.answers:ask", code=2)
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # as `python -m` does
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        absent = isinstance(error, ModuleNotFoundError) and error.name == module.partition(".")[0]
        where = " (run this in the folder that holds it)" if absent else ""
        raise CommandError(f"--function {clean(name)}: {error}{where}", code=2) from error
    if _controls_of(found) is None:
        raise CommandError(f"--function {clean(name)} is not a function decorated with @cache", code=2)
    return found


def _controls_of(function: Any) -> Any:
    from semantic_llm_cache.management.warming import controls_of

    return controls_of(function)


def _embedder(args: Args) -> Any:
    """Return the embedder, or None when prompts are not embedded."""
    if args.embedder == "none":
        return None
    try:
        return make_embedder(args.embedder or "auto")
    except CommandError as error:
        if args.embedder is not None:
            raise
        text = " ".join(str(error).removeprefix("--embedder auto: ").split())
        say(f"{PROGRAM}: only equal prompts will be found: {text}", err=True)
        return None


def _engine(args: Args, backend: StorageBackend, provider: Any, ttl: dict[str, Any]) -> SemanticCache:
    from semantic_llm_cache import SemanticCache

    return SemanticCache(
        backend,
        embedder=provider,
        similarity=1.0 if provider is None else _SIMILARITY,
        namespace=args.namespace or "default",
        **ttl,
    )


def _wire(args: Args, engine: SemanticCache) -> Any:
    from semantic_llm_cache.wire import WireCache

    return WireCache(
        engine,
        history=args.history,
        tool_calls=args.tool_calls,
        share_across_keys=args.share_across_keys,
        ignore=tuple(args.ignore),
        neutral_headers=tuple(args.ignore_header),
        scope=args.scope,
    )


def _base_url(args: Args) -> str:
    from semantic_llm_cache.management.logs.warming import OPENAI_URL

    return str(args.base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL)


def _headers(args: Args, format: str) -> list[tuple[str, str]]:
    """Return the client's headers that separate cached answers."""
    if args.function is not None or format == "plain":
        return []
    found: list[tuple[str, str]] = list(args.header)
    named = {name.lower() for name, _ in found}
    # OpenAI's client reads these variables and sends them as headers.
    found += [
        (header, os.environ[name])
        for name, header in _ORGANISATION
        if os.environ.get(name) and header.lower() not in named
    ]
    if args.share_across_keys:
        return found
    key = os.environ.get(args.api_key_env)
    if not key:
        raise CommandError(
            f"answers are kept apart by key, and {clean(args.api_key_env)} is not set: set it to the key of the "
            "program's client, name another variable with --api-key-env, or pass --share-across-keys if its "
            "wrap() does",
            code=2,
        )
    return [*found, (args.api_key_header, key) if args.api_key_header else ("Authorization", f"Bearer {key}")]


# ------------------------------------------------------------------------------ output


def _report(args: Args, reports: list[WarmReport], place: str) -> None:
    if args.json:
        print_json({"cache": place, "logs": [dataclasses.asdict(report) for report in reports]})
        return
    stored = sum(report.stored for report in reports)
    kept = "" if args.function is not None and args.ttl is None else f", kept {_kept(args)} (--ttl)"
    say(f"{'Would store' if args.dry_run else 'Stored'} {counted(stored, 'answer', 'answers')} in {place}{kept}.")
    for report in reports:
        say(f"{clean(report.path)}: {report.format}, {counted(report.records, 'record', 'records')}")
        counts = [(report.stored, "to store" if args.dry_run else "stored"), (report.there, "there already")]
        counts += [(number, f"not admitted: {reason}") for reason, number in sorted(report.refused.items())]
        counts += [(number, f"left out: {reason}") for reason, number in sorted(report.skipped.items())]
        counts.append((report.broken, "broken"))
        tally((number, clean(what)) for number, what in counts)
        for where, reason in report.problems[:_MOST_PROBLEMS]:
            say(f"{PROGRAM}: {clean(report.path)}, {where}: {clean(reason)}", err=True)
        rest = report.broken - min(len(report.problems), _MOST_PROBLEMS)
        if rest > 0:
            say(f"{PROGRAM}: {clean(report.path)}: and {rest:,} more broken records", err=True)


def _kept(args: Args) -> str:
    ttl = _ttl(args).get("ttl", 3600.0)
    return "for ever" if ttl is None else f"for {age(ttl)}" if ttl else "not at all"
