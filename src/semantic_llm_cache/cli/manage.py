"""Commands that remove entries: `clear`, `invalidate`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import TYPE_CHECKING

from semantic_llm_cache.cli.common import (
    PROGRAM,
    CommandError,
    add_command,
    add_namespace,
    add_target,
    open_backend,
)
from semantic_llm_cache.cli.output import clean, counted, print_json

if TYPE_CHECKING:
    from semantic_llm_cache.cli.common import Subparsers

__all__ = ["add_clear_parser", "add_invalidate_parser"]


def add_clear_parser(subparsers: Subparsers) -> None:
    """Add `clear`."""
    parser = add_command(
        subparsers,
        "clear",
        "delete all entries, or those of one namespace",
        description="Delete all entries, or those of one namespace. Asks first; in a script pass --yes.",
        examples="clear --db cache.db\nclear --db cache.db --namespace demo --yes",
    )
    add_target(parser)
    add_namespace(parser)
    parser.add_argument("--yes", "-y", action="store_true", help="do not ask")
    parser.set_defaults(run=lambda args: asyncio.run(_clear(args)))


async def _clear(args: argparse.Namespace) -> int:
    from semantic_llm_cache.stats import clear_cache

    async with open_backend(args) as backend:
        if not args.yes:
            what = "all entries" if args.namespace is None else f"the namespace {clean(args.namespace)!r}"
            if not sys.stdin.isatty():
                raise CommandError(f"clear deletes {what} and cannot ask here: pass --yes", code=2)
            size = (await backend.get_stats())["size"]
            of = "" if args.namespace is None else f" (of {size:,} entries in all)"
            question = f"Delete {what if of else f'all {size:,} entries'} of {clean(backend.url)}{of}? [y/N] "
            print(question, end="", file=sys.stderr, flush=True)
            if sys.stdin.readline().strip().casefold() not in ("y", "yes"):
                print(f"{PROGRAM}: nothing deleted", file=sys.stderr)
                return 1
        count = await clear_cache(args.namespace, backend=backend)
    return _report(args, count)


def add_invalidate_parser(subparsers: Subparsers) -> None:
    """Add `invalidate`."""
    parser = add_command(
        subparsers,
        "invalidate",
        "delete entries by a text in the prompt, or by tag",
        description="Delete the entries whose prompt holds PATTERN, in any case, or that carry one\nof the "
        "tags; with both, those to which both apply.",
        examples='invalidate "opening hours" --db cache.db\ninvalidate --tag prices --tag plans --url URL',
    )
    parser.add_argument("pattern", nargs="?", metavar="PATTERN", help="text that the prompt holds")
    parser.add_argument("--tag", action="append", metavar="TAG", help="tag of the entries; may be repeated")
    add_target(parser)
    add_namespace(parser)
    parser.set_defaults(run=lambda args: asyncio.run(_invalidate(args)))


async def _invalidate(args: argparse.Namespace) -> int:
    from semantic_llm_cache.stats import invalidate

    if not args.pattern and not args.tag:
        raise CommandError("invalidate needs a PATTERN or --tag TAG (`clear` deletes everything)", code=2)
    async with open_backend(args) as backend:
        count = await invalidate(args.pattern or None, args.namespace, tags=args.tag, backend=backend)
    return _report(args, count)


def _report(args: argparse.Namespace, count: int) -> int:
    if args.json:
        print_json({"deleted": count})
    else:
        print(f"Deleted {counted(count, 'entry', 'entries')}.")
    return 0
