"""`semantic-llm-cache report`: report that a stored answer is wrong, or right."""

from __future__ import annotations

import argparse
import asyncio
from typing import TYPE_CHECKING

from semantic_llm_cache.cli.common import CommandError, add_command, add_target, open_backend
from semantic_llm_cache.cli.output import clean, print_json
from semantic_llm_cache.cli.reading import find_entry
from semantic_llm_cache.exceptions import CacheNotFoundError

if TYPE_CHECKING:
    from semantic_llm_cache.cli.common import Subparsers

__all__ = ["add_report_parser"]


def add_report_parser(subparsers: Subparsers) -> None:
    """Add `report`."""
    parser = add_command(
        subparsers,
        "report",
        "say that a stored answer is wrong (it is evicted), or right",
        description="Say that a stored answer is wrong, which evicts it, or right. Both are counted\n"
        "in the cache, see `stats --json`. ID is the id of the call that gave the answer:\nLookup.id, or the header "
        "x-cache-id. If a newer answer was stored since, it is\nleft alone. Inside a program, report_wrong(lookup) and "
        "report_right(lookup) also\nteach the error budget.",
        examples="report wrong lk_E3b... --db cache.db\nreport right 5f3a91c2 --db cache.db",
    )
    parser.add_argument("verdict", choices=("wrong", "right"))
    parser.add_argument(
        "key", metavar="ID", help="the id of a call; or an entry's key, or as much of it as makes it unique"
    )
    add_target(parser)
    parser.set_defaults(run=lambda args: asyncio.run(_report(args)))


async def _report(args: argparse.Namespace) -> int:
    from semantic_llm_cache.calls.identity import looks_like_id
    from semantic_llm_cache.management.feedback import report

    async with open_backend(args) as backend:
        subject = args.key if looks_like_id(args.key) else (await find_entry(backend, args.key))[0]
        try:
            done = await report(subject, right=args.verdict == "right", backend=backend)
        except (ValueError, CacheNotFoundError) as error:
            raise CommandError(str(error).removeprefix("lookup=")) from error
    if args.json:
        print_json(
            {
                "key": done.key,
                "namespace": done.namespace,
                "reported": args.verdict,
                "evicted": done.outcome == "evicted",
                "outcome": done.outcome,
            }
        )
    else:
        print(_SAID[done.outcome].format(clean(done.key)))
    return 0


_SAID = {
    "evicted": "Evicted {}: its next prompt calls the model again.",
    "counted": "Counted: the answer of {} is right.",
    "gone": "Nothing to do: {} is no longer in the cache.",
    "replaced": "Nothing to do: {} holds a newer answer than the one that was reported.",
}
