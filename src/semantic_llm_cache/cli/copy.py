"""`semantic-llm-cache copy`: every entry of one cache into another."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import sys
from typing import TYPE_CHECKING

from semantic_llm_cache.cli.arguments import count
from semantic_llm_cache.cli.common import (
    PROGRAM,
    CommandError,
    add_command,
    add_namespace,
    open_backend,
    place,
)
from semantic_llm_cache.cli.output import clean, counted, print_json, tally
from semantic_llm_cache.cli.progress import follow

if TYPE_CHECKING:
    from semantic_llm_cache.cli.common import Subparsers
    from semantic_llm_cache.management.copying import CopyReport

__all__ = ["add_copy_parser"]

_MOST_REASONS = 5


def add_copy_parser(subparsers: Subparsers) -> None:
    """Add `copy`."""
    parser = add_command(
        subparsers,
        "copy",
        "copy a cache into another one, of any kind",
        description="Copy every live entry of SRC into DST, with its embedding, scope, tags, costs\nand hits; it "
        "expires when it would have. Both may be in use meanwhile.\n\nWhat DST has already, as new or newer, is left "
        "as it is: a copy that was broken\noff goes on when it is run again, and nothing is there twice.\n\nSRC and "
        "DST are URLs, or paths of SQLite files; a file DST that does not exist is\nmade.",
        examples="copy cache.db redis://localhost:6379/0\n"
        "copy redis://localhost:6379/0 postgresql://localhost/caches\n"
        "copy old.db new.db --namespace faq --dry-run",
    )
    parser.add_argument("src", metavar="SRC", help="cache to read, e.g. sqlite:///cache.db or cache.db")
    parser.add_argument("dst", metavar="DST", help="cache to write")
    add_namespace(parser)
    parser.add_argument("--overwrite", action="store_true", help="entries of SRC replace newer ones of DST too")
    parser.add_argument("--dry-run", action="store_true", help="only show what would be copied; DST is not changed")
    parser.add_argument("--batch", type=count, default=500, metavar="N", help="entries at a time (default: 500)")
    parser.add_argument("--json", action="store_true", help="print JSON for programs to read")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    latest = _Latest()
    try:
        asyncio.run(_copy(args, latest))
    except KeyboardInterrupt:
        copied = latest.report.copied if latest.report else 0
        raise CommandError(
            f"interrupted; {counted(copied, 'entry', 'entries')} had been copied: run it again to go on from there",
            code=130,
        ) from None
    assert latest.report is not None
    _tell(args, latest.report, latest.target)
    return 1 if latest.report.failed else 0


class _Latest:
    """The progress of a copy, kept for when it is interrupted."""

    report: CopyReport | None = None
    target = ""


async def _copy(args: argparse.Namespace, latest: _Latest) -> None:
    from semantic_llm_cache.management.copying import copy_cache

    def note(report: CopyReport) -> str:
        latest.report = report
        return f"entries read, {report.copied:,} {'to copy' if args.dry_run else 'copied'}"

    opened = open_backend(place(args.dst), create=not args.dry_run, pretend=args.dry_run)
    async with open_backend(place(args.src)) as source, opened as target:
        latest.target = clean(args.dst if target.in_process else target.url)  # the file may not exist yet
        with follow(note, enabled=not args.json) as progress:
            try:
                latest.report = await copy_cache(
                    source,
                    target,
                    namespace=args.namespace,
                    overwrite=args.overwrite,
                    dry_run=args.dry_run,
                    batch_size=args.batch,
                    progress=progress,
                )
            except ValueError as error:
                raise CommandError(str(error), code=2) from error


def _tell(args: argparse.Namespace, report: CopyReport, to: str) -> None:
    if args.json:
        print_json({**dataclasses.asdict(report), "failures": [list(pair) for pair in report.failures]})
        return
    would = "Would copy" if report.dry_run else "Copied"
    more = f", {report.replaced:,} of them in place of another" if report.replaced else ""
    print(f"{would} {counted(report.copied, 'entry', 'entries')} to {to}{more}.")
    left = (
        (report.there, "there already"),
        (report.newer, "left: DST has a newer one (--overwrite replaces it)"),
        (report.expired, "expired meanwhile"),
        (report.failed, "DST cannot hold"),
    )
    print(tally(left), end="")
    for key, reason in report.failures[:_MOST_REASONS]:
        print(f"{PROGRAM}: {clean(key)}: {clean(reason)}", file=sys.stderr)
