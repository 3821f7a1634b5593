"""`semantic-llm-cache report`: report that a stored answer is wrong, or right."""

from __future__ import annotations

import click

from semantic_llm_cache.cli.common import cache_options, open_backend, run_async
from semantic_llm_cache.cli.output import clean, print_json, say
from semantic_llm_cache.cli.parsing import Args, argument, command
from semantic_llm_cache.cli.reading import find_entry, key_argument

__all__ = ["report_command"]


@command("report", "report wrong 5f3a91c2 --db cache.db", "report right 5f3a91c2 --db cache.db")
@argument("verdict", type=click.Choice(("wrong", "right")), help="What the answer is: wrong or right.")
@key_argument
@cache_options()
def report_command(args: Args) -> int:
    """Report that the answer stored under KEY is wrong, which evicts it, or right. Both are counted in the cache, see
    `stats --json`. Inside a program, report_wrong(lookup) and report_right(lookup) also teach the error budget.
    """
    return run_async(_report(args))


async def _report(args: Args) -> int:
    wrong = args.verdict == "wrong"
    async with open_backend(args) as backend:
        key, entry = await find_entry(backend, args.key)
        evicted = await backend.delete(key) if wrong else False
        await backend.add_counters(entry.namespace, {f"reported_{args.verdict}": 1})
    if args.json:
        print_json({"key": key, "namespace": entry.namespace, "reported": args.verdict, "evicted": evicted})
    elif wrong:
        say(f"Evicted {clean(key)}: its next prompt calls the model again.")
    else:
        say(f"Counted: the answer of {clean(key)} is right.")
    return 0
