"""`semantic-llm-cache replay`: replay a log and show what a cache would have answered."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from semantic_llm_cache.cli.common import CommandError, json_option
from semantic_llm_cache.cli.logs import (
    answer_options,
    embed,
    embedder_option,
    guards_option,
    log_columns,
    make_embedder,
    make_guards,
    read_table,
)
from semantic_llm_cache.cli.output import clean, columns, dim, fit, milliseconds, print_json, print_table, say
from semantic_llm_cache.cli.parsing import COUNT, SHARE, SIMILARITY, Args, argument, command, option
from semantic_llm_cache.cli.progress import Progress

if TYPE_CHECKING:
    from semantic_llm_cache.matching.guards import GuardSet
    from semantic_llm_cache.matching.replay import Log, Replay, Rule, Tally
    from semantic_llm_cache.similarity import EmbeddingProvider

__all__ = ["load_log", "replay_command"]

_SIMILARITY = 0.9
_FLOOR = 0.5
_MAX_ERROR = 0.02
_MOST_LINES = 4  # most lines of a text shown beside another


def load_log(args: Args, embedder: EmbeddingProvider) -> Log:
    """Read and embed the log that `args` names (`log`, its columns, `answers`, `limit`, `json`)."""
    from semantic_llm_cache.keys.request import clean_text
    from semantic_llm_cache.matching.replay import Answers, Log

    read = read_table(args.log, args.limit)
    prompt_column, answer_column = log_columns(read, args.prompt_column, args.answer_column)
    prompts = [clean_text(text) for text in read.texts(prompt_column)]
    texts = read.texts(answer_column)
    readable = [bool(text) and embedder.readable(text) for text in prompts]
    vectors = embed(embedder, prompts, quiet=args.json)
    meaning = None
    if args.answers == "meaning":

        def meaning(long: Any) -> Any:
            return embedder.encode_batch(long)

    return Log(prompts, Answers(texts, meaning, prompts), vectors, readable)


@command(
    "replay",
    "replay log.jsonl --similarity 0.92",
    "replay log.csv --prompt-column question --max-error 0.02",
    "replay log.jsonl --guards numbers,negation --worst 20",
)
@argument("log", type=click.Path(), help="CSV, TSV or JSONL file (.csv, .tsv, .jsonl), in the order of asking.")
@option(
    "--policy",
    type=click.Choice(("threshold", "online")),
    help="A threshold, or online: an error budget that learns (default: threshold, unless a bound is given).",
)
@option(
    "--similarity",
    type=SIMILARITY,
    metavar="S",
    help=f"Threshold (default: {_SIMILARITY}); with online, the floor below which nothing is compared "
    f"(default: {_FLOOR}).",
)
@option(
    "--max-error",
    type=SHARE,
    metavar="E",
    help=f"online: bound on wrong answers, as a share of all requests (default: {_MAX_ERROR}).",
)
@option("--max-error-per-hit", type=SHARE, metavar="E", help="online: bound as a share of near hits.")
@guards_option
@option("--worst", type=COUNT, default=5, metavar="N", help="Wrong hits to show.")
@answer_options
@embedder_option
@json_option
def replay_command(args: Args) -> int:
    """Replay a log of prompts and answers, and count hits and wrong hits.

    The prompts of LOG are asked one by one, as if in front of a cache. A miss stores the row's own answer; a hit is
    right when its answer equals the row's. Nothing is called and nothing is stored.
    """
    from semantic_llm_cache.matching.replay import replay

    bounded = args.max_error is not None or args.max_error_per_hit is not None
    policy = args.policy or ("online" if bounded else "threshold")
    if policy == "threshold" and bounded:
        raise CommandError("--max-error and --max-error-per-hit belong to --policy online", code=2)
    if policy == "online" and not bounded:
        args.max_error = _MAX_ERROR
    guards = make_guards(args.guards)
    embedder = make_embedder(args.embedder)
    log = load_log(args, embedder)
    rule = _rule(args, policy, guards, embedder)
    started = time.perf_counter()
    rows = len(log.prompts)
    with Progress(rows, enabled=not args.json) as progress:
        result = replay(log, rule, step=lambda: progress.step("replaying"))
    took = (time.perf_counter() - started) * 1000
    if args.json:
        print_json(_record(args, policy, rule, log, result))
    else:
        _print(args, policy, rule, log, result, took)
    return 0


def _rule(args: Args, policy: str, guards: GuardSet, embedder: EmbeddingProvider) -> Rule:
    from semantic_llm_cache.matching.answers.weights import JUDGE_ERROR
    from semantic_llm_cache.matching.objections import PairCheck
    from semantic_llm_cache.matching.online import OnlinePolicy
    from semantic_llm_cache.matching.replay import OnlineRule, ThresholdRule

    if policy == "threshold":
        threshold = _SIMILARITY if args.similarity is None else args.similarity
        return ThresholdRule(threshold, PairCheck(guards, embedder.encode_batch, embedder))
    online = OnlinePolicy(
        max_error=args.max_error,
        max_error_per_hit=args.max_error_per_hit,
        floor=_FLOOR if args.similarity is None else args.similarity,
        seed=args.seed,
        judge_error=JUDGE_ERROR,
        extra_features=guards.names,
    )
    return OnlineRule(online, guards, veto=args.guards is not None, embedder=embedder)


def _rates(tally: Tally) -> dict[str, Any]:
    from semantic_llm_cache.metrics.statistics import wilson

    return {
        **vars(tally),
        "hits": tally.hits,
        "wrong": tally.wrong,
        "hit_rate": _ratio(tally.hits, tally.requests),
        "wrong_of_hits": _ratio(tally.wrong, tally.hits),
        "wrong_of_hits_95": list(wilson(tally.wrong, tally.hits)),
        "wrong_of_near_hits": _ratio(tally.near_wrong, tally.near),
        "wrong_of_requests": _ratio(tally.wrong, tally.requests),
        "wrong_of_requests_95": list(wilson(tally.wrong, tally.requests)),
    }


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _record(args: Args, policy: str, rule: Rule, log: Log, result: Replay) -> dict[str, Any]:
    return {
        "log": args.log,
        "policy": policy,
        "similarity": rule.floor,
        "max_error": args.max_error,
        "max_error_per_hit": args.max_error_per_hit,
        "guards": args.guards or "default",
        "total": _rates(result.total),
        "quarters": [_rates(quarter) for quarter in result.quarters],
        "worst": [
            {
                "similarity": round(hit.similarity, 4),
                "prompt": log.prompts[hit.row],
                "answer": log.answers.texts[hit.row],
                "matched_prompt": log.prompts[hit.stored],
                "served": log.answers.texts[hit.answered],
            }
            for hit in result.worst(args.worst)
        ],
    }


def _print(args: Args, policy: str, rule: Rule, log: Log, result: Replay, took: float) -> None:
    from semantic_llm_cache.metrics.statistics import wilson

    total = result.total
    if policy == "threshold":
        what = f"threshold {rule.floor:g}"
    else:
        bounds = [
            f"{name} {value:g}"
            for name, value in (("max_error", args.max_error), ("max_error_per_hit", args.max_error_per_hit))
            if value is not None
        ]
        what = f"{', '.join(bounds)}, floor {rule.floor:g}, seed {args.seed}"
    title = f"{clean(Path(args.log).name)}: {total.requests:,} requests, {what}, guards {args.guards or 'default'}"
    say(click.style(title, bold=True))
    say()
    heads = ("part", "requests", "exact", "near", "hit rate", "wrong", "of hits", "of near", "of all")
    named = [*((f"quarter {i}", tally) for i, tally in enumerate(result.quarters, start=1)), ("all", total)]
    rows = [
        (
            name,
            f"{tally.requests:,}",
            f"{tally.exact:,}",
            f"{tally.near:,}",
            _percent(tally.hits, tally.requests),
            f"{tally.wrong:,}",
            _percent(tally.wrong, tally.hits),
            _percent(tally.near_wrong, tally.near),
            _percent(tally.wrong, tally.requests),
        )
        for name, tally in named
    ]
    print_table(heads, rows, right=range(1, len(heads)))
    say()
    for name, whole in (("hits", total.hits), ("all requests", total.requests)):
        low, high = wilson(total.wrong, whole)
        say(f"wrong, of {name}: {_percent(total.wrong, whole)} (95 %: {100 * low:.2f} to {100 * high:.2f} %)")
    if policy == "online":
        _print_bounds(args, total)
    if total.exact_wrong:
        say(f"{total.exact_wrong:,} of the wrong hits repeat a text whose answer differs in the log itself")
    long = sum(log.answers.long(hit.row, hit.answered) for hit in result.wrong)
    if long and args.answers == "equal":
        say(f"{long:,} of the wrong hits have two long answers, compared word by word:")
        say("--answers meaning compares their embeddings")
    say(dim(f"replayed in {milliseconds(took)}, embedding not counted"))
    _print_worst(args, log, result)


def _print_bounds(args: Args, total: Tally) -> None:
    bounds = (
        (args.max_error, total.near_wrong, total.requests, "all requests"),
        (args.max_error_per_hit, total.near_wrong, total.near, "near hits"),
    )
    for bound, wrong, whole, name in bounds:
        if bound is not None:
            kept = wrong <= bound * whole
            verdict = click.style("kept", fg="green") if kept else click.style("exceeded", fg="red")
            say(f"bound {100 * bound:g} % of {name}: {verdict}, {_percent(wrong, whole)} by near hits")
    say(f"{total.explored:,} would-be hits explored: called anyway, to compare")


def _print_worst(args: Args, log: Log, result: Replay) -> None:
    worst = result.worst(args.worst)
    if not worst:
        return
    say()
    title = f"The {len(worst)} nearest of {len(result.wrong):,} wrong near hits: asked | answered from"
    say(click.style(title, bold=True))
    for hit in worst:
        asked, matched = log.prompts[hit.row], log.prompts[hit.stored]
        own, served = log.answers.texts[hit.row], log.answers.texts[hit.answered]
        lines = _beside(asked, matched)
        say(f"{hit.similarity:.3f}  {lines[0]}")
        for line in lines[1:]:
            say(f"{'':5}  {line}")
        for line in _beside(f"= {own}", f"= {served}"):
            say(dim(f"{'':5}  {line}"))


def _beside(left: str, right: str) -> list[str]:
    """Return the lines of two texts side by side: wrapped and cut on a terminal, in one line elsewhere."""
    import textwrap
    from itertools import zip_longest

    if not sys.stdout.isatty():
        return [f"{clean(left)} | {clean(right)}"]
    width = (columns() - 10) // 2

    def wrapped(text: str) -> list[str]:
        cut = fit(clean(text), width * _MOST_LINES)
        return textwrap.wrap(cut, width)[:_MOST_LINES] or [""]

    pairs = zip_longest(wrapped(left), wrapped(right), fillvalue="")
    return [f"{one:<{width}} | {other}".rstrip() for one, other in pairs]


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.2f} %" if whole else "-"
