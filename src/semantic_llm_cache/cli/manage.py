"""Commands that remove entries: `clear`, `invalidate`."""

from __future__ import annotations

import signal
import sys
import threading

from semantic_llm_cache.cli.common import (
    PROGRAM,
    CommandError,
    cache_options,
    namespace_option,
    open_backend,
    run_async,
)
from semantic_llm_cache.cli.output import clean, counted, print_json, say
from semantic_llm_cache.cli.parsing import Args, argument, command, option

__all__ = ["clear_command", "invalidate_command"]


@command("clear", "clear --db cache.db", "clear --db cache.db --namespace demo --yes")
@cache_options()
@namespace_option
@option("--yes", "-y", is_flag=True, show_default=False, help="Do not ask.")
def clear_command(args: Args) -> int:
    """Delete all entries, or those of one namespace. It asks first; in a script pass --yes."""
    return run_async(_clear(args))


async def _clear(args: Args) -> int:
    from semantic_llm_cache.stats import clear_cache

    async with open_backend(args, key="never") as backend:
        if not args.yes:
            what = "all entries" if args.namespace is None else f"the namespace {clean(args.namespace)!r}"
            if not sys.stdin.isatty():
                raise CommandError(f"clear deletes {what} and cannot ask here: pass --yes", code=2)
            size = (await backend.get_stats())["size"]
            of = "" if args.namespace is None else f" (of {size:,} entries in all)"
            question = f"Delete {what if of else f'all {size:,} entries'} of {clean(backend.url)}{of}? [y/N] "
            print(question, end="", file=sys.stderr, flush=True)
            if _answer().strip().casefold() not in ("y", "yes"):
                say(f"{PROGRAM}: nothing deleted", err=True)
                return 1
        count = await clear_cache(args.namespace, backend=backend)
    return _report(args, count)


def _answer() -> str:
    """Return the line that is typed in. Ctrl-C interrupts: asyncio's own handler would only note it meanwhile."""
    if threading.current_thread() is not threading.main_thread():
        return sys.stdin.readline()
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return sys.stdin.readline()
    finally:
        signal.signal(signal.SIGINT, handler)


@command("invalidate", 'invalidate "opening hours" --db cache.db', "invalidate --tag prices --tag plans --db cache.db")
@argument("pattern", required=False, help="Text that the prompt contains.")
@option("--tag", multiple=True, metavar="TAG", help="Tag of the entries; may be repeated.")
@option(
    "--depends-on", multiple=True, metavar="NAME", help="What the answers rest on, such as doc:17; may be repeated."
)
@cache_options()
@namespace_option
def invalidate_command(args: Args) -> int:
    """Delete the entries whose prompt contains PATTERN, in any case, or that have one of the tags or rest on one of the
    names of --depends-on; with PATTERN and others, those to which both apply.
    """
    return run_async(_invalidate(args))


async def _invalidate(args: Args) -> int:
    from semantic_llm_cache.stats import invalidate

    if not args.pattern and not args.tag and not args.depends_on:
        raise CommandError("invalidate needs a PATTERN, --tag or --depends-on (`clear` deletes everything)", code=2)
    async with open_backend(args) as backend:
        count = await invalidate(
            args.pattern or None,
            args.namespace,
            tags=list(args.tag) or None,
            depends_on=list(args.depends_on) or None,
            backend=backend,
        )
    return _report(args, count)


def _report(args: Args, count: int) -> int:
    if args.json:
        print_json({"deleted": count})
    else:
        say(f"Deleted {counted(count, 'entry', 'entries')}.")
    return 0
