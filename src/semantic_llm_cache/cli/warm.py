"""`semantic-llm-cache warm`: fill a cache from the logs of a provider, a proxy or a tracing tool."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import importlib
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semantic_llm_cache.cli.common import PROGRAM, URL_VARIABLE, CommandError, add_command, add_target, open_backend
from semantic_llm_cache.cli.logs import make_embedder
from semantic_llm_cache.cli.output import age, clean, counted, print_json, tally
from semantic_llm_cache.cli.progress import Progress
from semantic_llm_cache.management.logs.formats import FORMATS

if TYPE_CHECKING:
    from semantic_llm_cache import SemanticCache
    from semantic_llm_cache.cli.common import Subparsers
    from semantic_llm_cache.management.logs.warming import WarmReport
    from semantic_llm_cache.storage.contract import StorageBackend

__all__ = ["add_warm_parser"]

_SIMILARITY = 0.95  # any value below 1 embeds the prompts; the programs choose the threshold at which they match
_MOST_PROBLEMS = 10
_ORGANISATION = (("OPENAI_ORG_ID", "OpenAI-Organization"), ("OPENAI_PROJECT_ID", "OpenAI-Project"))


def add_warm_parser(subparsers: Subparsers) -> None:
    """Add `warm`."""
    parser = add_command(
        subparsers,
        "warm",
        "fill a cache from logs of calls",
        description="Store the answers of logs, so that the calls that were logged are hits. Nothing\nis called. "
        "What the cache would not store (refusals, cut answers, tool calls) is\nleft out, and what it has already "
        "stays; broken lines are counted and named.\n\nKnown are the output of OpenAI's batch API (--requests names "
        "its input), LiteLLM's\nStandardLoggingPayload, Langfuse's observations, lines with a request and its\n"
        "response, and lines with a prompt and its response; as lines of JSON or as one\nJSON document.\n\nAn answer "
        "is only found by a program that asks in the same way. So name here what\nthe program has: the base URL and "
        "the key of its client, and the options of its\nwrap(client, ...). Answers of different keys are kept apart, "
        "as a keyed hash: give\nthe variable that holds the key, or --share-across-keys if the program does. If it\n"
        "sets SEMANTIC_LLM_CACHE_SECRET, set it here too.",
        examples="warm output.jsonl --requests input.jsonl --db c.db --ttl 7d\n"
        "warm litellm.jsonl --db c.db --share-across-keys\n"
        "warm langfuse.json --db c.db --map-model gpt-x-2026-01=gpt-x\n"
        "warm faq.jsonl --function app.answers:ask\nwarm faq.jsonl --namespace faq --db cache.db",
    )
    _add_logs(parser)
    _add_client(parser.add_argument_group("programs that call through an SDK's client"))
    _add_function(parser.add_argument_group("programs that call a decorated function"))
    _add_changes(parser.add_argument_group("where the log differs from what is asked"))
    parser.set_defaults(run=_run)


def _add_logs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("logs", nargs="+", metavar="LOG", help="file to read")
    parser.add_argument(
        "--format",
        choices=("auto", *FORMATS),
        default="auto",
        metavar="NAME",
        help=f"of the logs: {', '.join(FORMATS)}\n(default: auto: told by each file's first records)",
    )
    parser.add_argument("--requests", metavar="FILE", help="input of the batch whose output LOG is")
    add_target(parser)
    parser.add_argument("--namespace", metavar="NAME", help="of the program's cache (default: default)")
    parser.add_argument(
        "--ttl",
        metavar="TIME",
        help="how long the answers serve from now: 90s, 1h30m, 7d,\nnever (default: 1h, or the function's own)",
    )
    parser.add_argument(
        "--embedder", metavar="NAME", help="of the program, or none for equal prompts only\n(default: auto)"
    )
    parser.add_argument("--max-age", metavar="TIME", help="leave out calls longer ago")
    parser.add_argument("--overwrite", action="store_true", help="replace what is in the cache")
    parser.add_argument("--dry-run", action="store_true", help="only count")


def _add_client(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--base-url", metavar="URL", help="of the client (default: OPENAI_BASE_URL, else OpenAI's own)")
    group.add_argument(
        "--api-key-env",
        metavar="NAME",
        default="OPENAI_API_KEY",
        help="variable with the client's key (default: OPENAI_API_KEY)",
    )
    group.add_argument("--share-across-keys", action="store_true", help="as in wrap(client, share_across_keys=True)")
    group.add_argument(
        "--api-key-header",
        metavar="NAME",
        help="header that the key is sent in as it is, such as x-api-key\n(default: Authorization, as a bearer token)",
    )
    group.add_argument(
        "--header",
        action="append",
        default=[],
        type=_pair,
        metavar="NAME=VALUE",
        help="a further header that the client sends, such as one\nthat names a tenant; may be repeated",
    )
    group.add_argument("--history", default="exact", metavar="H", help='as in wrap: exact, or "window:2"')
    group.add_argument("--tool-calls", choices=("bypass", "cache"), default="bypass", help="as in wrap")
    group.add_argument("--ignore", action="append", default=[], metavar="FIELD", help="as in wrap; may be repeated")
    group.add_argument(
        "--ignore-header",
        action="append",
        default=[],
        metavar="NAME",
        help="neutral_headers= of wrap; may be repeated",
    )
    group.add_argument("--scope", type=_object, metavar="JSON", help="as in wrap, where it is a mapping")


def _add_function(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--function",
        metavar="MODULE:NAME",
        help="the function; its options are used, and without --db and\n--url its cache. Without it, plain lines "
        "are for functions\nthat name the --namespace and take a prompt",
    )
    group.add_argument(
        "--argument",
        action="append",
        default=[],
        type=_json_pair,
        metavar="NAME=JSON",
        help="an argument beside the prompt, as calls have it; fields\nof a plain line come first; may be repeated",
    )


def _add_changes(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--map-model",
        action="append",
        default=[],
        type=_pair,
        metavar="LOGGED=ASKED",
        help="a model that is asked for under another name than it is\nlogged; may be repeated",
    )
    group.add_argument(
        "--set",
        action="append",
        default=[],
        type=_json_pair,
        metavar="FIELD=JSON",
        help="a field of the requests that is not in the log, such as\ntemperature=1; may be repeated",
    )
    group.add_argument("--unset", action="append", default=[], metavar="FIELD", help="a field that is only in the log")


# ------------------------------------------------------------------------------ options


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise argparse.ArgumentTypeError(f"{text!r} must be written NAME=VALUE")
    return name.strip(), value.strip()


def _json_pair(text: str) -> tuple[str, Any]:
    name, value = _pair(text)
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value  # text needs no quotes


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"{text!r} must be a JSON object")
    return value


def _ttl(args: argparse.Namespace) -> dict[str, Any]:
    from semantic_llm_cache.config import parse_ttl

    if args.ttl is None:
        return {}
    try:
        return {"ttl": None if args.ttl == "never" else parse_ttl(_seconds(args.ttl))}
    except ValueError as error:
        raise CommandError(f"--{error}", code=2) from error


def _max_age(args: argparse.Namespace) -> float | None:
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


# ------------------------------------------------------------------------------ the command


def _run(args: argparse.Namespace) -> int:
    reports: list[WarmReport] = []
    for path in (*args.logs, *([args.requests] if args.requests else [])):
        if not Path(path).is_file():
            raise CommandError(f"cannot read {clean(path)}: no such file")
    try:
        place = asyncio.run(_warm(args, reports))
    except KeyboardInterrupt:
        stored = sum(report.stored for report in reports)
        raise CommandError(
            f"interrupted; {counted(stored, 'answer', 'answers')} had been stored: run it again to go on", code=130
        ) from None
    _tell(args, reports, place)
    return 1 if any(report.broken == report.records for report in reports) else 0


async def _warm(args: argparse.Namespace, reports: list[WarmReport]) -> str:
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
async def _targets(
    args: argparse.Namespace, ttl: dict[str, Any]
) -> AsyncIterator[tuple[StorageBackend, Callable[[str], Any]]]:
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
        raise CommandError(f"--function {clean(name)}: {error}", code=2) from error
    if _controls_of(found) is None:
        raise CommandError(f"--function {clean(name)} is no function decorated with @cache", code=2)
    return found


def _controls_of(function: Any) -> Any:
    from semantic_llm_cache.management.warming import controls_of

    return controls_of(function)


def _embedder(args: argparse.Namespace) -> Any:
    """Return the embedder, or None when prompts are not embedded."""
    if args.embedder == "none":
        return None
    try:
        return make_embedder(args.embedder or "auto")
    except CommandError as error:
        if args.embedder is not None:
            raise
        text = " ".join(str(error).removeprefix("--embedder auto: ").split())
        print(f"{PROGRAM}: only equal prompts will be found: {text}", file=sys.stderr)
        return None


def _engine(args: argparse.Namespace, backend: StorageBackend, provider: Any, ttl: dict[str, Any]) -> SemanticCache:
    from semantic_llm_cache import SemanticCache

    return SemanticCache(
        backend,
        embedder=provider,
        similarity=1.0 if provider is None else _SIMILARITY,
        namespace=args.namespace or "default",
        **ttl,
    )


def _wire(args: argparse.Namespace, engine: SemanticCache) -> Any:
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


def _base_url(args: argparse.Namespace) -> str:
    from semantic_llm_cache.management.logs.warming import OPENAI_URL

    return str(args.base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL)


def _headers(args: argparse.Namespace, format: str) -> list[tuple[str, str]]:
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


def _tell(args: argparse.Namespace, reports: list[WarmReport], place: str) -> None:
    if args.json:
        print_json({"cache": place, "logs": [dataclasses.asdict(report) for report in reports]})
        return
    stored = sum(report.stored for report in reports)
    kept = "" if args.function is not None and args.ttl is None else f", kept {_kept(args)} (--ttl)"
    print(f"{'Would store' if args.dry_run else 'Stored'} {counted(stored, 'answer', 'answers')} in {place}{kept}.")
    for report in reports:
        print(f"{clean(report.path)}: {report.format}, {report.records:,} records")
        counts = [(report.stored, "to store" if args.dry_run else "stored"), (report.there, "there already")]
        counts += [(number, f"not admitted: {reason}") for reason, number in sorted(report.refused.items())]
        counts += [(number, f"left out: {reason}") for reason, number in sorted(report.skipped.items())]
        counts.append((report.broken, "broken"))
        print(tally((number, clean(what)) for number, what in counts), end="")
        for where, reason in report.problems[:_MOST_PROBLEMS]:
            print(f"{PROGRAM}: {clean(report.path)}, {where}: {clean(reason)}", file=sys.stderr)
        rest = report.broken - min(len(report.problems), _MOST_PROBLEMS)
        if rest > 0:
            print(f"{PROGRAM}: {clean(report.path)}: and {rest:,} more broken records", file=sys.stderr)


def _kept(args: argparse.Namespace) -> str:
    ttl = _ttl(args).get("ttl", 3600.0)
    return "for ever" if ttl is None else f"for {age(ttl)}" if ttl else "not at all"
