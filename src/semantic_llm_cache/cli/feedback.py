"""`semantic-llm-cache report`: report that a stored answer is wrong, or right."""

from __future__ import annotations

import click

from semantic_llm_cache.cli.common import CommandError, cache_options, open_backend, run_async
from semantic_llm_cache.cli.output import clean, print_json, say
from semantic_llm_cache.cli.parsing import Args, argument, command
from semantic_llm_cache.cli.reading import find_entry
from semantic_llm_cache.exceptions import CacheNotFoundError

__all__ = ["report_command"]


@command("report", "report wrong lk_E3b... --db cache.db", "report right 5f3a91c2 --db cache.db")
@argument("verdict", type=click.Choice(("wrong", "right")), help="What the answer is: wrong or right.")
@argument("key", metavar="ID", help="The id of a call; or an entry's key, or as much of it as makes it unique.")
@cache_options()
def report_command(args: Args) -> int:
    """Report that a stored answer is wrong, which evicts it, or right.

    Both are counted in the cache, see `stats --json`. ID is the id of the call that gave the answer: Lookup.id, or the
    header x-cache-id. If a newer answer was stored since, it is left alone. Inside a program, report_wrong(lookup) and
    report_right(lookup) also teach the error budget.
    """
    return run_async(_report(args))


async def _report(args: Args) -> int:
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
        say(_RESULTS[done.outcome].format(clean(done.key)))
    return 0


_RESULTS = {
    "evicted": "Evicted {}: its next prompt calls the model again.",
    "counted": "Counted: the answer of {} is right.",
    "gone": "Nothing to do: {} is no longer in the cache.",
    "replaced": "Nothing to do: {} holds a newer answer than the one that was reported.",
}
