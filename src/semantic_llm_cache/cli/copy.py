"""`semantic-llm-cache copy`: every entry of one cache into another."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import click

from semantic_llm_cache.cli.common import (
    PROGRAM,
    CommandError,
    json_option,
    namespace_option,
    open_backend,
    place,
    run_async,
)
from semantic_llm_cache.cli.output import clean, counted, print_json, say, tally
from semantic_llm_cache.cli.parsing import COUNT, Args, argument, command, option
from semantic_llm_cache.cli.progress import follow

if TYPE_CHECKING:
    from semantic_llm_cache.management.copying import CopyReport

__all__ = ["copy_command"]

_MOST_REASONS = 5


@command(
    "copy",
    "copy cache.db redis://localhost:6379/0",
    "copy redis://localhost:6379/0 postgresql://localhost/caches",
    "copy old.db new.db --namespace faq --dry-run",
)
@argument("src", type=click.Path(), help="Cache to read: a URL, or the path of a SQLite file.")
@argument(
    "dst",
    type=click.Path(),
    help="Cache to write: a URL, or the path of a SQLite file, which is created if it does not exist.",
)
@namespace_option
@option("--overwrite", is_flag=True, show_default=False, help="Entries of SRC replace newer ones of DST too.")
@option("--dry-run", is_flag=True, show_default=False, help="Only show what would be copied; DST is not changed.")
@option("--batch", type=COUNT, default=500, metavar="N", help="Entries at a time.")
@json_option
def copy_command(args: Args) -> int:
    """Copy every live entry of SRC into DST, with its embedding, scope, tags, costs and hits.

    Each entry expires when it would have. Both caches may be in use during the copy. Entries that DST already has,
    as new or newer, are left as they are: after an interruption run the command again, and it continues without
    duplicates.
    """
    latest = _Latest()
    try:
        run_async(_copy(args, latest))
    except KeyboardInterrupt:
        copied = latest.report.copied if latest.report else 0
        raise CommandError(
            f"interrupted; {counted(copied, 'entry', 'entries')} had been copied: run it again to go on from there",
            code=130,
        ) from None
    assert latest.report is not None
    _report(args, latest.report, latest.target)
    return 1 if latest.report.failed else 0


class _Latest:
    """The progress of a copy, kept for when it is interrupted."""

    report: CopyReport | None = None
    target = ""


async def _copy(args: Args, latest: _Latest) -> None:
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


def _report(args: Args, report: CopyReport, to: str) -> None:
    if args.json:
        print_json({**dataclasses.asdict(report), "failures": [list(pair) for pair in report.failures]})
        return
    would = "Would copy" if report.dry_run else "Copied"
    more = f", {report.replaced:,} of them in place of another" if report.replaced else ""
    say(f"{would} {counted(report.copied, 'entry', 'entries')} to {to}{more}.")
    left = (
        (report.there, "there already"),
        (report.newer, "left: DST has a newer one (--overwrite replaces it)"),
        (report.expired, "expired during the copy"),
        (report.failed, "DST cannot hold"),
    )
    tally(left)
    for key, reason in report.failures[:_MOST_REASONS]:
        say(f"{PROGRAM}: {clean(key)}: {clean(reason)}", err=True)
