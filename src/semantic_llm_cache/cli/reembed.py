"""`semantic-llm-cache reembed`: move a cache to another embedding model while it is in use."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Any

from semantic_llm_cache.cli.common import (
    CommandError,
    cache_options,
    chosen,
    namespace_option,
    open_backend,
    place_argument,
    run_async,
)
from semantic_llm_cache.cli.logs import make_embedder
from semantic_llm_cache.cli.output import age, clean, counted, print_json, say, tally
from semantic_llm_cache.cli.parsing import COUNT, SECONDS, Args, Number, command, option
from semantic_llm_cache.cli.progress import follow

if TYPE_CHECKING:
    from semantic_llm_cache.management.reembedding import ReembedReport

__all__ = ["reembed_command"]

_SAMPLE = 32
_WORDS = "How do I change the address that the invoices of my account are sent to? "


@command(
    "reembed",
    "reembed cache.db --model openai:text-embedding-3-small",
    "reembed redis://localhost:6379/0 --model onnx --rate 200",
)
@place_argument
@cache_options()
@option(
    "--model",
    required=True,
    metavar="NAME",
    help="The new model, as the programs name it with embedder=: onnx, onnx:int8, sentence-transformer:MODEL, "
    "openai:MODEL.",
)
@namespace_option
@option("--missing", is_flag=True, show_default=False, help="Entries without a vector get one too.")
@option("--batch", type=COUNT, default=64, metavar="N", help="Entries at a time.")
@option("--pause", type=SECONDS, default=0, metavar="S", help="Seconds to rest after each batch.")
@option(
    "--rate",
    type=Number("entries a second, more than 0", 0, 1e9, open_ends=True),
    metavar="N",
    help="Most entries a second (default: no limit).",
)
@option("--dry-run", is_flag=True, show_default=False, help="Only count, and estimate how long it would take.")
def reembed_command(args: Args) -> int:
    """Give the entries of a cache vectors of another embedding model.

    Equal prompts are answered throughout. Near ones are answered for programs with the old model until an entry is
    moved, and for programs with the new model from then on. Start it, then change the model of the programs, and
    run it again for what was stored in between.

    Answers and expiry stay as they are. After an interruption run it again: entries that are moved are skipped.
    """
    latest: list[ReembedReport] = []
    try:
        seconds = run_async(_reembed(args, latest))
    except KeyboardInterrupt:
        moved = latest[-1].moved if latest else 0
        raise CommandError(
            f"interrupted; {counted(moved, 'entry', 'entries')} had been moved: run it again to go on", code=130
        ) from None
    _report(args, latest[-1], seconds)
    return 1 if latest[-1].refused else 0


async def _reembed(args: Args, latest: list[ReembedReport]) -> float | None:
    """Move the cache; for a dry run return the estimated seconds, None when unknown."""
    import asyncio

    from semantic_llm_cache.management.reembedding import reembed_cache

    provider = make_embedder(args.model, "--model")

    def note(report: ReembedReport) -> str:
        latest[:] = [report]
        return f"entries read, {report.moved:,} {'to move' if args.dry_run else 'moved'}"

    try:
        async with open_backend(chosen(args)) as backend:
            with follow(note, enabled=not args.json) as progress:
                report = await reembed_cache(
                    backend,
                    provider,
                    namespace=args.namespace,
                    missing=args.missing,
                    batch_size=args.batch,
                    pause=args.pause,
                    rate=args.rate,
                    dry_run=args.dry_run,
                    progress=progress,
                )
        latest[:] = [report]
        return await asyncio.to_thread(_estimate, args, provider, report) if args.dry_run else None
    finally:
        await provider.close()


def _estimate(args: Args, provider: Any, report: ReembedReport) -> float | None:
    """Time the model on texts as long as those of the cache. A paid model is not called."""
    if not report.moved:
        return 0.0
    least = report.moved / args.rate if args.rate else 0.0
    resting = args.pause * (report.moved // args.batch)
    if args.model.startswith("openai"):
        return None
    length = report.characters // report.moved
    text = (_WORDS * (length // len(_WORDS) + 1))[: max(1, length)]
    provider.load()
    provider.encode_batch([text])
    began = time.perf_counter()
    provider.encode_batch([f"{number} {text}"[: max(4, length)] for number in range(_SAMPLE)])
    working = (time.perf_counter() - began) / _SAMPLE * report.moved
    return float(max(working + resting, least))


def _report(args: Args, report: ReembedReport, seconds: float | None) -> None:
    if args.json:
        shown = dataclasses.asdict(report)
        print_json({**shown, "estimated_seconds": seconds} if report.dry_run else shown)
        return
    to = clean(report.fingerprint)
    if report.dry_run:
        for name, number in sorted(report.models.items()):
            say(f"  {number:>11,} {'by ' + clean(name) if name else 'without a vector'}")
        say(f"Would move {counted(report.moved, 'entry', 'entries')} to {to}.")
        say(f"  {report.characters:>11,} characters to embed, about {report.characters // 4:,} tokens")
        if seconds is not None and report.moved:
            say(f"  {age(seconds):>11} at the speed of this machine")
    else:
        say(f"Moved {counted(report.moved, 'entry', 'entries')} to {to}.")
    left = (
        (report.current, "there already"),
        (report.without_vector, "left without a vector" + ("" if args.missing else " (--missing gives them one)")),
        (report.unreadable, "left: too long for the model"),
        (report.refused, "left: the model failed on the text"),
        (report.changed, "left: changed during the move; run it again"),
    )
    tally(left, width=11)
