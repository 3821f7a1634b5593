"""`semantic-llm-cache reembed`: moves a cache to another embedding model while it is in use."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import time
from typing import TYPE_CHECKING, Any

from semantic_llm_cache.cli.arguments import count, seconds
from semantic_llm_cache.cli.common import CommandError, add_command, add_namespace, add_place, chosen, open_backend
from semantic_llm_cache.cli.logs import make_embedder
from semantic_llm_cache.cli.output import age, clean, counted, print_json, tally
from semantic_llm_cache.cli.progress import follow

if TYPE_CHECKING:
    from semantic_llm_cache.cli.common import Subparsers
    from semantic_llm_cache.management.reembedding import ReembedReport

__all__ = ["add_reembed_parser"]

_SAMPLE = 32
_WORDS = "How do I change the address that the invoices of my account are sent to? "


def add_reembed_parser(subparsers: Subparsers) -> None:
    """Add `reembed`."""
    parser = add_command(
        subparsers,
        "reembed",
        "move a cache to another embedding model while it serves",
        description="Give the entries of a cache vectors of another embedding model. Equal prompts\nare answered "
        "throughout; near ones by programs with the old model until an\nentry is moved, by programs with the new model "
        "from then on. Start it, then\nchange the model of the programs, and run it again for what was stored in\n"
        "between.\n\nAnswers and expiry stay as they are. It may be broken off and run again:\nentries that are moved "
        "are passed over.",
        examples="reembed cache.db --model openai:text-embedding-3-small\n"
        "reembed redis://localhost:6379/0 --model onnx --rate 200",
    )
    add_place(parser)
    parser.add_argument(
        "--model",
        required=True,
        metavar="NAME",
        help="the new model, as the programs name it with embedder=:\nonnx, sentence-transformer:MODEL, openai:MODEL",
    )
    add_namespace(parser)
    parser.add_argument("--missing", action="store_true", help="entries without a vector get one too")
    parser.add_argument("--batch", type=count, default=64, metavar="N", help="entries at a time (default: 64)")
    parser.add_argument("--pause", type=seconds, default=0.0, metavar="S", help="seconds to rest after each batch")
    parser.add_argument("--rate", type=_rate, metavar="N", help="entries a second at most")
    parser.add_argument("--dry-run", action="store_true", help="only count, and estimate how long it would take")
    parser.set_defaults(run=_run)


def _rate(text: str) -> float:
    value = seconds(text)
    if value == 0:
        raise argparse.ArgumentTypeError("0 a second would never end")
    return value


def _run(args: argparse.Namespace) -> int:
    latest: list[ReembedReport] = []
    try:
        seconds = asyncio.run(_reembed(args, latest))
    except KeyboardInterrupt:
        moved = latest[-1].moved if latest else 0
        raise CommandError(
            f"interrupted; {counted(moved, 'entry', 'entries')} had been moved: run it again to go on", code=130
        ) from None
    _tell(args, latest[-1], seconds)
    return 1 if latest[-1].refused else 0


async def _reembed(args: argparse.Namespace, latest: list[ReembedReport]) -> float | None:
    """Move the cache; for a dry run return the estimated seconds, None when unknown."""
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


def _estimate(args: argparse.Namespace, provider: Any, report: ReembedReport) -> float | None:
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


def _tell(args: argparse.Namespace, report: ReembedReport, seconds: float | None) -> None:
    if args.json:
        shown = dataclasses.asdict(report)
        print_json({**shown, "estimated_seconds": seconds} if report.dry_run else shown)
        return
    to = clean(report.fingerprint)
    if report.dry_run:
        for name, number in sorted(report.models.items()):
            print(f"  {number:>11,} {'by ' + clean(name) if name else 'without a vector'}")
        print(f"Would move {counted(report.moved, 'entry', 'entries')} to {to}.")
        print(f"  {report.characters:>11,} characters to embed, about {report.characters // 4:,} tokens")
        if seconds is not None and report.moved:
            print(f"  {age(seconds):>11} at the speed of this machine")
    else:
        print(f"Moved {counted(report.moved, 'entry', 'entries')} to {to}.")
    left = (
        (report.current, "there already"),
        (report.without_vector, "left without a vector" + ("" if args.missing else " (--missing gives them one)")),
        (report.unreadable, "left: too long for the model"),
        (report.refused, "left: the model failed on the text"),
        (report.changed, "left: changed meanwhile; run it again"),
    )
    print(tally(left, width=11), end="")
