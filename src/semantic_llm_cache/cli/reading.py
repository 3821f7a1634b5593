"""Commands that only read: `stats`, `ls`, `show`."""

from __future__ import annotations

import argparse
import asyncio
import heapq
import itertools
import json
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from semantic_llm_cache.cli.arguments import count
from semantic_llm_cache.cli.common import (
    CommandError,
    add_command,
    add_namespace,
    add_target,
    entry_record,
    open_backend,
)
from semantic_llm_cache.cli.output import Style, age, clean, fit, milliseconds, money, print_json, table
from semantic_llm_cache.values.odd_text import unescape

if TYPE_CHECKING:
    from semantic_llm_cache.cli.common import Subparsers
    from semantic_llm_cache.config import CacheEntry
    from semantic_llm_cache.metrics.table import Metric
    from semantic_llm_cache.storage.contract import StorageBackend

__all__ = ["add_ls_parser", "add_show_parser", "add_stats_parser"]

_SHORTEST_KEY = 8  # fewest characters of a key that `ls` shows
_MOST_MATCHES = 5  # most keys listed when a prefix is not unique


# ------------------------------------------------------------------------------ stats


def add_stats_parser(subparsers: Subparsers) -> None:
    """Add `stats`."""
    parser = add_command(
        subparsers,
        "stats",
        "show how much a cache holds and what it has saved",
        description="Show how many entries a cache holds, and the hits, misses and savings counted\nso far "
        "by every process that used it.",
        examples="stats --db cache.db\nstats --url sqlite:///cache.db --json",
    )
    add_target(parser)
    add_namespace(parser)
    parser.set_defaults(run=lambda args: asyncio.run(_stats(args)))


async def _stats(args: argparse.Namespace) -> int:
    async with open_backend(args) as backend:
        stats = await backend.get_stats()
        counters = await backend.get_counters()
        name = backend.url
    if args.namespace is not None:
        counters = {space: counts for space, counts in counters.items() if space == args.namespace}
    rows = {space: _rates(counts) for space, counts in sorted(counters.items())}
    if args.json:
        print_json({"cache": name, "backend": stats, "namespaces": rows})
        return 0
    size = f"{_number(stats['size'])} entries"
    if isinstance(stats.get("bytes"), int):
        size += f", {stats['bytes'] / 1e6:,.1f} MB"
    if stats.get("max_size") is not None:
        size += f", at most {_number(stats['max_size'])} entries"
    print(Style(sys.stdout).bold(f"{clean(name)}: {size}"))
    if not rows:
        print("No calls counted yet.")
        return 0
    if len(rows) > 1:
        rows["all"] = _rates(_total(counters))
    columns = _columns()
    heads = ("namespace", "calls", "hit rate", *(str(metric.column) for metric in columns))
    lines = [
        (
            fit(clean(space), 20),
            _number(counts["total_requests"]),
            f"{100 * counts['hit_rate']:.1f} %",
            *(_FORMS[metric.unit](counts.get(str(metric.kept), 0)) for metric in columns),
        )
        for space, counts in rows.items()
    ]
    print()
    print("\n".join(table(heads, lines, right=range(1, len(heads)))))
    return 0


def _columns() -> list[Metric]:
    """Return the metrics that have a column, hits by kind first."""
    from semantic_llm_cache.metrics.table import METRICS

    shown = [metric for metric in METRICS if metric.column is not None]
    return sorted(shown, key=lambda metric: not metric.hit)


def _total(counters: dict[str, dict[str, float]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for counts in counters.values():
        for key, value in counts.items():
            total[key] = total.get(key, 0) + value
    return total


def _rates(counts: dict[str, float]) -> dict[str, float]:
    hits = counts.get("hits", 0)
    requests = hits + counts.get("misses", 0)
    whole = {key: int(value) if value == int(value) else value for key, value in counts.items()}
    return {**whole, "total_requests": int(requests), "hit_rate": hits / requests if requests else 0.0}


def _number(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else clean(str(value))


_FORMS: dict[str, Callable[[float], str]] = {
    "": _number,
    "ms": milliseconds,
    "usd": lambda value: money(value).lstrip("$"),
}
"""Format of a figure, by the unit of its metric."""


# ------------------------------------------------------------------------------ ls


def add_ls_parser(subparsers: Subparsers) -> None:
    """Add `ls`."""
    parser = add_command(
        subparsers,
        "ls",
        "list entries, newest first",
        description="List the live entries of a cache, newest first. The keys are long enough\nfor `show`.",
        examples='ls --db cache.db\nls --db cache.db --search "python" --limit 5',
    )
    add_target(parser)
    add_namespace(parser)
    parser.add_argument("--limit", type=count, default=20, metavar="N", help="at most N (default: 20)")
    parser.add_argument("--search", metavar="TEXT", help="only prompts that hold this text, in any case")
    parser.set_defaults(run=lambda args: asyncio.run(_ls(args)))


async def _ls(args: argparse.Namespace) -> int:
    needle = None if args.search is None else args.search.casefold()
    keys: list[str] = []
    found = 0
    newest: list[tuple[float, int, str, CacheEntry]] = []  # a heap of the `limit` newest
    async with open_backend(args) as backend:
        now = backend.clock()
        async for key, entry in backend.scan(namespace=args.namespace):
            keys.append(key)
            if needle is not None and needle not in entry.prompt.casefold():
                continue
            found += 1
            item = (entry.created_at, found, key, entry)
            if len(newest) < args.limit:
                heapq.heappush(newest, item)
            else:
                heapq.heappushpop(newest, item)
    newest.sort(reverse=True)
    if args.json:
        print_json([entry_record(key, entry, vector=False) for _, _, key, entry in newest])
        return 0
    if not newest:
        print("No entries." if needle is None else f"No entry's prompt holds {clean(args.search)!r}.")
        return 0
    length = _key_length(keys)
    rows = [
        (
            clean(key[:length]),
            age(now - entry.created_at),
            "-" if entry.ttl is None else age(entry.created_at + entry.ttl - now),
            _number(entry.hit_count),
            fit(clean(entry.namespace), 16),
            clean(entry.prompt),
        )
        for _, _, key, entry in newest
    ]
    print("\n".join(table(("key", "age", "expires", "hits", "namespace", "prompt"), rows, right=(1, 2, 3))))
    if found > len(newest):
        print(Style(sys.stdout).dim(f"{len(newest)} of {_number(found)} shown; --limit shows more"))
    return 0


def _key_length(keys: list[str]) -> int:
    """Return how many leading characters make all keys distinct."""
    ordered = sorted(keys)
    longest = _SHORTEST_KEY
    for one, other in itertools.pairwise(ordered):
        common = 0
        for a, b in zip(one, other, strict=False):
            if a != b:
                break
            common += 1
        longest = max(longest, common + 1)
    return longest


# ------------------------------------------------------------------------------ show


def add_show_parser(subparsers: Subparsers) -> None:
    """Add `show`."""
    parser = add_command(
        subparsers,
        "show",
        "show one entry whole",
        description="Show one entry whole. With --json, the embedding too.",
        examples="show 5f3a91c2 --db cache.db\nshow 5f3a91c2 --db cache.db --json",
    )
    parser.add_argument("key", metavar="KEY", help="the key, or as much of its beginning as makes it unique")
    add_target(parser)
    parser.set_defaults(run=lambda args: asyncio.run(_show(args)))


async def _show(args: argparse.Namespace) -> int:
    async with open_backend(args) as backend:
        key, entry = await find_entry(backend, args.key)
        now = backend.clock()
    if args.json:
        print_json(entry_record(key, entry))
        return 0
    for name, value in _fields(key, entry, now):
        print(f"{Style(sys.stdout).dim(f'{name:<10}')}  {value}")
    return 0


async def find_entry(backend: StorageBackend, wanted: str) -> tuple[str, CacheEntry]:
    if not wanted:
        raise CommandError("KEY is empty: take one from `ls`", code=2)
    (entry,) = await backend.get_many([wanted], touch=False)  # returns the hit count without counting a hit
    if entry is not None:
        return wanted, entry
    matches: list[str] = []
    found: CacheEntry | None = None
    async for key, candidate in backend.scan():
        if key.startswith(wanted):
            matches.append(key)
            found = candidate
    if found is None:
        raise CommandError(f"no entry's key begins with {wanted!r}: `ls` shows the keys")
    if len(matches) > 1:
        more = f" and {len(matches) - _MOST_MATCHES} more" if len(matches) > _MOST_MATCHES else ""
        raise CommandError(f"{wanted!r} begins {len(matches)} keys: {', '.join(sorted(matches)[:_MOST_MATCHES])}{more}")
    return matches[0], found


def _fields(key: str, entry: CacheEntry, now: float) -> list[tuple[str, str]]:
    if isinstance(entry.response, str):
        response = entry.response
    else:
        from semantic_llm_cache.values.encoding import dumps

        response = json.dumps(json.loads(unescape(dumps(entry.response))), ensure_ascii=False, indent=2)
    expires = "never" if entry.ttl is None else f"in {age(entry.created_at + entry.ttl - now)}"
    hits = _number(entry.hit_count)
    if entry.last_accessed is not None:
        hits += f", the last {age(now - entry.last_accessed)} ago"
    if entry.embedding is None:
        embedding = "none"
    else:
        embedding = f"{len(entry.embedding)} numbers by {entry.embedder or 'an unnamed embedder'}"
    fields = [
        ("key", key),
        ("prompt", entry.prompt),
        ("response", response),
        ("namespace", entry.namespace),
        ("stored", f"{_when(entry.created_at)}, {age(now - entry.created_at)} ago"),
        ("expires", expires),
        ("hits", hits),
        ("the call", f"took {milliseconds(entry.duration_ms)}, cost {money(entry.cost_usd)}"),
        ("tokens", f"{_number(entry.input_tokens)} in, {_number(entry.output_tokens)} out"),
        ("kind", entry.kind),
        ("tags", ", ".join(entry.tags)),
        ("aliases", "\n".join(entry.aliases)),
        ("scope", entry.scope),
        ("embedding", embedding),
    ]
    return [(name, _block(value)) for name, value in fields if value]


def _block(text: str) -> str:
    """Return the cleaned text, with later lines indented under the first."""
    return clean(text, lines=True).replace("\n", "\n" + " " * 12)


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
