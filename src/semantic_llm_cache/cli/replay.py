"""`semantic-llm-cache replay`: replay a log and show what a cache would have answered."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semantic_llm_cache.cli.arguments import count, share, similarity
from semantic_llm_cache.cli.common import CommandError, add_command
from semantic_llm_cache.cli.logs import (
    add_answers,
    add_embedder,
    add_guards,
    embed,
    log_columns,
    make_embedder,
    make_guards,
    read_table,
)
from semantic_llm_cache.cli.output import Style, clean, columns, fit, milliseconds, print_json, table
from semantic_llm_cache.cli.progress import Progress

if TYPE_CHECKING:
    from semantic_llm_cache.cli.common import Subparsers
    from semantic_llm_cache.matching.guards import GuardSet
    from semantic_llm_cache.matching.replay import Log, Replay, Rule, Tally
    from semantic_llm_cache.similarity import EmbeddingProvider

__all__ = ["add_replay_parser", "load_log"]

_SIMILARITY = 0.9
_FLOOR = 0.5
_MAX_ERROR = 0.02
_MOST_LINES = 4  # most lines of a text shown beside another


def add_replay_parser(subparsers: Subparsers) -> None:
    """Add `replay`."""
    parser = add_command(
        subparsers,
        "replay",
        "ask a log of prompts and answers again, and count hits and wrong hits",
        description="Ask the prompts of LOG (.csv, .tsv or .jsonl) one by one, as if in front of\na cache. "
        "A miss stores the row's own answer; a hit is right when its answer\nequals that. Nothing is called "
        "and nothing is stored.",
        examples="replay log.jsonl --similarity 0.92\nreplay log.csv --prompt-column question --max-error 0.02\n"
        "replay log.jsonl --guards numbers,negation --worst 20",
    )
    parser.add_argument("log", metavar="LOG", help="CSV, TSV or JSONL file, in the order of asking")
    parser.add_argument(
        "--policy",
        choices=("threshold", "online"),
        help="threshold, or online: an error budget that learns\n(default: threshold, unless a bound is given)",
    )
    parser.add_argument(
        "--similarity",
        type=similarity,
        metavar="S",
        help=f"threshold (default: {_SIMILARITY}); with online, the floor under\nwhich nothing is looked at "
        f"(default: {_FLOOR})",
    )
    parser.add_argument(
        "--max-error",
        type=share,
        metavar="E",
        help=f"online: bound on wrong answers, share of all requests\n(default: {_MAX_ERROR})",
    )
    parser.add_argument("--max-error-per-hit", type=share, metavar="E", help="online: bound as a share of near hits")
    add_guards(parser)
    parser.add_argument("--worst", type=count, default=5, metavar="N", help="wrong hits to show (default: 5)")
    add_answers(parser)
    add_embedder(parser)
    parser.add_argument("--json", action="store_true", help="print JSON for programs to read")
    parser.set_defaults(run=_replay)


def load_log(args: argparse.Namespace, embedder: EmbeddingProvider) -> Log:
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


def _replay(args: argparse.Namespace) -> int:
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


def _rule(args: argparse.Namespace, policy: str, guards: GuardSet, embedder: EmbeddingProvider) -> Rule:
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


def _record(args: argparse.Namespace, policy: str, rule: Rule, log: Log, result: Replay) -> dict[str, Any]:
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


def _print(args: argparse.Namespace, policy: str, rule: Rule, log: Log, result: Replay, took: float) -> None:
    from semantic_llm_cache.metrics.statistics import wilson

    style = Style(sys.stdout)
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
    print(
        style.bold(
            f"{clean(Path(args.log).name)}: {total.requests:,} requests, {what}, guards {args.guards or 'default'}"
        )
    )
    print()
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
    print("\n".join(table(heads, rows, right=range(1, len(heads)))))
    print()
    for name, whole in (("hits", total.hits), ("all requests", total.requests)):
        low, high = wilson(total.wrong, whole)
        print(f"wrong, of {name}: {_percent(total.wrong, whole)} (95 %: {100 * low:.2f} to {100 * high:.2f} %)")
    if policy == "online":
        _print_bounds(args, total, style)
    if total.exact_wrong:
        print(f"{total.exact_wrong:,} of the wrong hits repeat a text whose answer differs in the log itself")
    long = sum(log.answers.long(hit.row, hit.answered) for hit in result.wrong)
    if long and args.answers == "equal":
        print(f"{long:,} of the wrong hits have two long answers, compared word by word:")
        print("--answers meaning compares their embeddings")
    print(style.dim(f"replayed in {milliseconds(took)}, embedding not counted"))
    _print_worst(args, log, result, style)


def _print_bounds(args: argparse.Namespace, total: Tally, style: Style) -> None:
    bounds = (
        (args.max_error, total.near_wrong, total.requests, "all requests"),
        (args.max_error_per_hit, total.near_wrong, total.near, "near hits"),
    )
    for bound, wrong, whole, name in bounds:
        if bound is not None:
            kept = wrong <= bound * whole
            verdict = style.green("kept") if kept else style.red("exceeded")
            print(f"bound {100 * bound:g} % of {name}: {verdict}, {_percent(wrong, whole)} by near hits")
    print(f"{total.explored:,} would-be hits explored: called anyway, to compare")


def _print_worst(args: argparse.Namespace, log: Log, result: Replay, style: Style) -> None:
    worst = result.worst(args.worst)
    if not worst:
        return
    print()
    print(style.bold(f"The {len(worst)} nearest of {len(result.wrong):,} wrong near hits: asked | answered from"))
    half = (columns() - 10) // 2
    for hit in worst:
        asked, matched = log.prompts[hit.row], log.prompts[hit.stored]
        own, served = log.answers.texts[hit.row], log.answers.texts[hit.answered]
        lines = _beside(asked, matched, half)
        print(f"{hit.similarity:.3f}  {lines[0]}")
        for line in lines[1:]:
            print(f"{'':5}  {line}")
        for line in _beside(f"= {own}", f"= {served}", half):
            print(style.dim(f"{'':5}  {line}"))


def _beside(left: str, right: str, width: int) -> list[str]:
    """Return the lines of two texts side by side, wrapped; what differs is often at the end."""
    import textwrap
    from itertools import zip_longest

    def wrapped(text: str) -> list[str]:
        cut = fit(clean(text), width * _MOST_LINES)
        return textwrap.wrap(cut, width)[:_MOST_LINES] or [""]

    pairs = zip_longest(wrapped(left), wrapped(right), fillvalue="")
    return [f"{one:<{width}} | {other}".rstrip() for one, other in pairs]


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.2f} %" if whole else "-"
