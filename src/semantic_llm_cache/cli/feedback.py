"""`semantic-llm-cache report`: report that a stored answer is wrong, or right."""

from __future__ import annotations

import argparse
import asyncio
from typing import TYPE_CHECKING

from semantic_llm_cache.cli.common import add_command, add_target, open_backend
from semantic_llm_cache.cli.output import clean, print_json
from semantic_llm_cache.cli.reading import find_entry

if TYPE_CHECKING:
    from semantic_llm_cache.cli.common import Subparsers

__all__ = ["add_report_parser"]


def add_report_parser(subparsers: Subparsers) -> None:
    """Add `report`."""
    parser = add_command(
        subparsers,
        "report",
        "say that a stored answer is wrong (it is evicted), or right",
        description="Say that the answer stored under KEY is wrong, which evicts it, or right. Both\n"
        "are counted in the cache, see `stats --json`. Inside a program,\nreport_wrong(lookup) and "
        "report_right(lookup) also teach the error budget.",
        examples="report wrong 5f3a91c2 --db cache.db\nreport right 5f3a91c2 --db cache.db",
    )
    parser.add_argument("verdict", choices=("wrong", "right"))
    parser.add_argument("key", metavar="KEY", help="the key, or as much of its beginning as makes it unique")
    add_target(parser)
    parser.set_defaults(run=lambda args: asyncio.run(_report(args)))


async def _report(args: argparse.Namespace) -> int:
    wrong = args.verdict == "wrong"
    async with open_backend(args) as backend:
        key, entry = await find_entry(backend, args.key)
        evicted = await backend.delete(key) if wrong else False
        await backend.add_counters(entry.namespace, {f"reported_{args.verdict}": 1})
    if args.json:
        print_json({"key": key, "namespace": entry.namespace, "reported": args.verdict, "evicted": evicted})
    elif wrong:
        print(f"Evicted {clean(key)}: its next prompt calls the model again.")
    else:
        print(f"Counted: the answer of {clean(key)} is right.")
    return 0
