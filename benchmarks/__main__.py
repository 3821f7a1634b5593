"""`python -m benchmarks [SUBSETS...]`: measure, print a table, and optionally write JSON and plots."""

from __future__ import annotations

import argparse
import importlib
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from benchmarks import baseline, report
from benchmarks.harness import Bench, to_stderr

SUBSETS = {
    "exact": ("exact", "exact hits against cashews, a dict, and one hop to sqlite3"),
    "telemetry": ("telemetry", "what metrics, traces and logs add to an exact hit in memory"),
    "near": ("near", "lookups by meaning without the embedding, against a numpy scan and the PyPI package"),
    "putget": ("putget", "exact hit, near hit, put and get against the PyPI package and cashews"),
    "loop": ("loop", "the event loop's longest stall under concurrent near hits"),
    "import": ("imports", "import time against numpy and asyncio"),
    "embedding": ("embedding", "embeddings one by one, in batches, and 128 at a time"),
    "memory": ("memory", "bytes per entry, one scope and many"),
    "hit": ("hit", "a whole near hit on SQLite against the bare embedding call"),
    "earlier": ("earlier", "a whole near hit with the real model against that of an earlier commit"),
    "clients": ("clients", "hits and missed streams through the openai client, against the bare client"),
    "index": ("index", "the vector index in memory and in SQLite; INDEX_MILLION=1 adds a million entries"),
    "large": ("large", "the index at millions of vectors in a file, beside usearch and faiss; INDEX_SIZES=10000000"),
    "encryption": ("encryption", "exact hits, near lookups and stores with an encryption key against without"),
    "gptcache": ("against_gptcache", "near hits and puts against GPTCache on SQLite and faiss"),
    "redis": ("redis_server", "Redis in three ways: hits and puts against the bare commands and redisvl"),
    "postgres": ("postgres_server", "PostgreSQL with pgvector: hits and puts against bare statements"),
    "proxy": ("proxy.load", "hits through the proxy against a bare app on its server and LiteLLM's proxy"),
    "scale": ("scale", "1, 2 and 4 client processes on Redis and PostgreSQL, a cluster, shared single flight"),
}
BY_NAME = ("large", "redis", "postgres", "proxy", "scale")
"""Measured only when named: they take minutes each or more, and fetch servers or write large files."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the subsets named, else all but `BY_NAME`; return 1 when one could not be finished."""
    listed = "\n".join(f"  {name:10} {text}" for name, (_, text) in SUBSETS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Ratios against peers and floors of the same run. Speed never makes it fail.",
        epilog=f"subsets:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "subsets", nargs="*", metavar="SUBSET", help=f"what to measure; default: all but {', '.join(BY_NAME)}"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures as JSON")
    parser.add_argument("--plot", type=Path, metavar="DIR", help="also draw the ratios of each subset as SVG")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: see that it runs; figures mean nothing")
    parser.add_argument(
        "--check",
        action="store_true",
        help="compare with benchmarks/baseline.json; status 1 if a ratio is worse",
    )
    parser.add_argument(
        "--save-baseline", action="store_true", help="add the ratios of this run to benchmarks/baseline.json"
    )
    parser.add_argument("--no-peers", action="store_true", help="install nothing; compare with floors only")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.subsets if name not in SUBSETS]
    if unknown:
        parser.error(f"no subset {unknown[0]!r}: there are {', '.join(SUBSETS)}")
    if options.quick and (options.check or options.save_baseline):
        parser.error("--quick measures nothing that could be compared: leave it out with --check and --save-baseline")
    try:
        expected = baseline.load() if options.check else None
    except baseline.BaselineError as error:
        parser.error(str(error))
    worse = 0
    bench = Bench(quick=options.quick, peers=not options.no_peers, say=to_stderr)
    failed = []
    try:
        print(report.heading(bench), flush=True)
        for name in dict.fromkeys(options.subsets or [n for n in SUBSETS if n not in BY_NAME]):
            bench.subset = name
            began, before = perf_counter(), len(bench.figures)
            try:
                importlib.import_module(f"benchmarks.{SUBSETS[name][0]}").run(bench)
            except Exception as error:
                failed.append(name)
                traceback.print_exc()
                bench.missing(name, f"{type(error).__name__}: {error}")
            print(f"\n== {name} ({perf_counter() - began:.0f} s): {SUBSETS[name][1]}\n")
            print(report.table(bench.figures[before:]), flush=True)
        if bench.versions:
            print("\n" + "\n".join(
                f"{place}: " + ", ".join(f"{package} {version}" for package, version in packages.items())
                for place, packages in bench.versions.items()
            ))  # fmt: skip
        judged = [figure.verdict for figure in bench.figures if figure.verdict]
        print(f"\n{judged.count('pass')} of {len(judged)} targets reached, {judged.count('short')} short")
        machine = report.conditions(bench)["machine"]
        if expected is not None:
            text, worse = baseline.check(bench.figures, expected, machine)
            print(f"\n{text}")
        if options.save_baseline:
            baseline.save(bench.figures, machine)
            to_stderr(f"added to {baseline.BASELINE}")
        if options.json:
            report.write_json(bench, options.json)
            to_stderr(f"wrote {options.json}")
        if options.plot:
            for path in report.write_plots(bench, options.plot):
                to_stderr(f"wrote {path}")
    finally:
        bench.close()
    return 1 if failed or worse else 0


if __name__ == "__main__":
    sys.exit(main())
