"""Commands that show entries: `ls`, `show`."""

from __future__ import annotations

import heapq
import itertools
import json
import time
from typing import TYPE_CHECKING

from semantic_llm_cache.cli.common import (
    CommandError,
    cache_options,
    entry_record,
    namespace_option,
    open_backend,
    run_async,
)
from semantic_llm_cache.cli.output import age, clean, dim, milliseconds, money, number, print_json, print_table, say
from semantic_llm_cache.cli.parsing import COUNT, Args, argument, command, option
from semantic_llm_cache.values.odd_text import unescape

if TYPE_CHECKING:
    from semantic_llm_cache.config import CacheEntry
    from semantic_llm_cache.storage.contract import StorageBackend

__all__ = ["find_entry", "key_argument", "ls_command", "show_command"]

_SHORTEST_KEY = 8  # fewest characters of a key that `ls` shows
_MOST_MATCHES = 5  # most keys listed when a prefix is not unique


# ------------------------------------------------------------------------------ ls


@command("ls", "ls --db cache.db", 'ls --db cache.db --search "python" --limit 5')
@cache_options()
@namespace_option
@option("--limit", type=COUNT, default=20, metavar="N", help="Most entries to list.")
@option("--search", metavar="TEXT", help="Only prompts that contain this text, in any case.")
def ls_command(args: Args) -> int:
    """List the live entries of a cache, newest first. The keys are long enough for `show`. The scope names what the
    entry shows of who asked: namespace, function or model, and the beginning of the scope's hash.
    """
    return run_async(_ls(args))


async def _ls(args: Args) -> int:
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
        say("No entries." if needle is None else f"No entry's prompt holds {clean(args.search)!r}.")
        return 0
    from semantic_llm_cache.management.labels import origin_of_entry

    length = _key_length(keys)
    rows = [
        (
            clean(key[:length]),
            age(now - entry.created_at),
            "-" if entry.ttl is None else age(entry.created_at + entry.ttl - now),
            number(entry.hit_count),
            clean(str(origin_of_entry(entry))),
            clean(entry.prompt),
        )
        for _, _, key, entry in newest
    ]
    print_table(("key", "age", "expires", "hits", "scope", "prompt"), rows, right=(1, 2, 3))
    if found > len(newest):
        say(dim(f"{len(newest)} of {number(found)} shown; --limit shows more"))
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


key_argument = argument("key", help="The key, or as much of its beginning as makes it unique.")


@command("show", "show 5f3a91c2 --db cache.db", "show 5f3a91c2 --db cache.db --json")
@key_argument
@cache_options()
def show_command(args: Args) -> int:
    """Show one entry in full. With --json, its embedding too."""
    return run_async(_show(args))


async def _show(args: Args) -> int:
    async with open_backend(args) as backend:
        key, entry = await find_entry(backend, args.key)
        now = backend.clock()
    if args.json:
        print_json(entry_record(key, entry))
        return 0
    for name, value in _fields(key, entry, now):
        say(f"{dim(f'{name:<10}')}  {value}")
    return 0


async def find_entry(backend: StorageBackend, wanted: str) -> tuple[str, CacheEntry]:
    """Return the one entry whose key is, or begins with, `wanted`, and its whole key.

    Raises:
        CommandError: there is none, or there are several.
    """
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
    from semantic_llm_cache.management.labels import origin_of_entry

    if isinstance(entry.response, str):
        response = entry.response
    else:
        from semantic_llm_cache.values.encoding import dumps

        response = json.dumps(json.loads(unescape(dumps(entry.response))), ensure_ascii=False, indent=2)
    expires = "never" if entry.ttl is None else f"in {age(entry.created_at + entry.ttl - now)}"
    hits = number(entry.hit_count)
    if entry.last_accessed is not None:
        hits += f", the last {age(now - entry.last_accessed)} ago"
    if entry.embedding is None:
        embedding = "none"
    else:
        embedding = f"{len(entry.embedding)} numbers by {entry.embedder or 'an unnamed embedder'}"
    origin = origin_of_entry(entry)
    fields = [
        ("key", key),
        ("prompt", entry.prompt),
        ("response", response),
        ("namespace", origin.namespace),
        ("function", origin.function),
        ("model", origin.model),
        ("stored", f"{_when(entry.created_at)}, {age(now - entry.created_at)} ago"),
        ("expires", expires),
        ("hits", hits),
        ("the call", f"took {milliseconds(entry.duration_ms)}, cost {money(entry.cost_usd)}"),
        ("tokens", f"{number(entry.input_tokens)} in, {number(entry.output_tokens)} out"),
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
