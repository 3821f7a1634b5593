"""`semantic-llm-cache calibrate`: find the threshold that keeps wrong hits within a target, on held-out rows."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from semantic_llm_cache.cli.common import CommandError, json_option
from semantic_llm_cache.cli.curves import Choice, Curve, check_plot, draw
from semantic_llm_cache.cli.judge import calibrate_judge
from semantic_llm_cache.cli.logs import (
    Table,
    answer_options,
    embed,
    embedder_option,
    guards_option,
    make_embedder,
    make_guards,
    pair_columns,
    read_labels,
    read_table,
)
from semantic_llm_cache.cli.output import clean, counted, dim, fit, milliseconds, print_json, print_table, say
from semantic_llm_cache.cli.parsing import COUNT, SHARE, Args, argument, command, option
from semantic_llm_cache.cli.progress import Progress
from semantic_llm_cache.cli.replay import load_log

if TYPE_CHECKING:
    from semantic_llm_cache.matching.calibration import Calibration, Cases, Point
    from semantic_llm_cache.matching.objections import PairCheck
    from semantic_llm_cache.similarity import EmbeddingProvider

__all__ = ["calibrate_command"]

_SHOWN = (0.7, 0.75, 0.8, 0.85, 0.9, 0.92, 0.94, 0.95, 0.96, 0.98, 0.99)
_RULE_OF_THREE = 3  # no wrong hit among n: at most 3 / n are wrong, with 95 % confidence


class _Data(NamedTuple):
    """The cases of a file: its kind, cases by cosine alone, cases with guards, and the number of exact repeats."""

    kind: str
    bare: Cases
    guarded: Cases
    rows: int
    repeats: int


@command(
    "calibrate",
    "calibrate pairs.tsv --target-error 0.01",
    "calibrate log.jsonl --target-error 0.02 --plot curve.html",
    "calibrate pairs.csv --guards none --json",
    "calibrate judge answers.jsonl",
)
@argument("log", metavar="DATA", type=click.Path(), help="CSV, TSV or JSONL file; or the word `judge`.")
@argument("pairs", metavar="FILE", required=False, type=click.Path(), help="With `judge`: labelled pairs of answers.")
@option("--target-error", type=SHARE, default=0.01, metavar="E", help="Largest wrong share of the hits.")
@option("--folds", type=COUNT, default=5, metavar="N", help="Parts that the rows are divided into.")
@guards_option
@option("--plot", type=click.Path(), metavar="FILE", help="Write the curve, as .png (needs matplotlib) or .html.")
@answer_options
@embedder_option
@json_option
def calibrate_command(args: Args) -> int:
    """Find the similarity threshold at which at most a target share of the near hits is wrong.

    DATA holds pairs (text_a, text_b, label 1 = same answer) or a log (prompt, answer). Thresholds are chosen and
    judged on different rows; see docs/calibration.md. `calibrate judge FILE` measures how often the judge of answers
    errs on the pairs of a JSONL file (question, fresh, stored, same), and says what to pass as `judge_error=`; see
    docs/answers.md.
    """
    if args.log == "judge":
        return calibrate_judge(args)
    if args.pairs is not None:
        raise CommandError(f"calibrate takes one file, or `judge` and a file: {clean(args.pairs)} is too much", code=2)
    from semantic_llm_cache.matching.calibration import calibrate, make_folds
    from semantic_llm_cache.matching.objections import PairCheck

    if args.folds < 2:
        raise CommandError("--folds must be at least 2", code=2)
    check_plot(args.plot)
    guards = make_guards(args.guards)
    embedder = make_embedder(args.embedder)
    check = PairCheck(guards, embedder.encode_batch, embedder)
    read = read_table(args.log, args.limit)
    given = args.prompt_column is not None or args.answer_column is not None
    if not given and {"fresh", "stored", "same"} <= set(read.columns):
        name = clean(args.log)
        raise CommandError(f"{name} holds pairs of answers: semantic-llm-cache calibrate judge {name}", code=2)
    columns = None if given else pair_columns(read)
    data = _log(args, embedder, check) if columns is None else _pairs(args, read, columns, embedder, check)
    started = time.perf_counter()
    try:
        folds = make_folds(data.rows, args.folds, seed=None if data.kind == "log" else args.seed)
    except ValueError as error:
        raise CommandError(f"{clean(args.log)}: {error}") from error
    found = {"no guards": calibrate(data.bare, folds, target=args.target_error, seed=args.seed)}
    if len(guards):
        found["guards"] = calibrate(data.guarded, folds, target=args.target_error, seed=args.seed)
    took = (time.perf_counter() - started) * 1000
    if args.plot is not None:
        _plot(args, found)
    if args.json:
        print_json(_record(args, data, found))
    else:
        _print(args, data, found, took)
    return 0


# ------------------------------------------------------------------------------ cases


def _pairs(
    args: Args,
    read: Table,
    columns: tuple[str, str, str],
    embedder: EmbeddingProvider,
    check: PairCheck,
) -> _Data:
    import numpy as np

    from semantic_llm_cache.keys.request import clean_text
    from semantic_llm_cache.matching.calibration import LOWEST, Cases

    labels = np.array(read_labels(read, columns[2]))
    first, second = ([clean_text(text) for text in read.texts(name)] for name in columns[:2])
    vectors = embed(embedder, [*first, *second], what="texts", quiet=args.json)
    rows = len(first)
    similarity = np.einsum("ij,ij->i", vectors[:rows], vectors[rows:], dtype=np.float64)
    similarity = np.clip(similarity, 0.0, 1.0)
    same_text = np.array([a == b for a, b in zip(first, second, strict=True)])
    unread = np.array(
        [not (a and b and embedder.readable(a) and embedder.readable(b)) for a, b in zip(first, second, strict=True)]
    )
    unseen = np.array([check.unseen(a, b) is not None for a, b in zip(first, second, strict=True)])
    similarity[same_text | unread | unseen] = -1.0  # exact hits, and texts that are only matched exactly
    guarded = similarity.copy()
    with Progress(rows, enabled=not args.json) as progress:
        for row in range(rows):
            if guarded[row] >= LOWEST and check.first(first[row], second[row]) is not None:
                guarded[row] = -1.0
            progress.step("comparing pairs")
    return _Data("pairs", Cases(similarity, labels), Cases(guarded, labels), rows, int(same_text.sum()))


def _log(args: Args, embedder: EmbeddingProvider, check: PairCheck) -> _Data:
    from semantic_llm_cache.matching.calibration import log_cases

    log = load_log(args, embedder)
    rows = len(log.prompts)
    with Progress(rows, enabled=not args.json) as progress:
        bare, guarded, repeats = log_cases(
            log,
            check.first,
            unseen=check.unseen,
            step=lambda: progress.step("looking for the nearest"),
        )
    return _Data("log", bare, guarded, rows, int(repeats.sum()))


# ------------------------------------------------------------------------------ results


def _record(args: Args, data: _Data, found: dict[str, Calibration]) -> dict[str, Any]:
    return {
        "data": args.log,
        "kind": data.kind,
        "rows": data.rows,
        "exact_repeats": data.repeats,
        "target_error": args.target_error,
        "folds": args.folds,
        **{name.replace(" ", "_"): _result(result) for name, result in found.items()},
    }


def _result(result: Calibration) -> dict[str, Any]:
    at = None if result.threshold is None else result.at(result.threshold)
    return {
        "threshold": result.threshold,
        "threshold_95": None if result.interval is None else list(result.interval),
        "threshold_by_fold": list(result.by_fold),
        "chosen_by": result.level,
        "margin": result.margin,
        "hits": None if at is None else at.hits,
        "hit_ratio": None if at is None else at.hits / result.rows,
        "held_out_hits": result.held_out.hits,
        "held_out_hit_ratio": result.held_out.hits / result.rows,
        "held_out_wrong": result.held_out.wrong,
        "held_out_wrong_of_hits": result.held_out.wrong_share if result.held_out.hits else None,
        "held_out_wrong_of_hits_95": list(result.held_out_interval),
        "curve": [
            {"threshold": p.threshold, "hit_ratio": p.hits / result.rows, "precision": 1 - p.wrong_share}
            for p in result.curve
            if p.hits
        ],
    }


def _print(args: Args, data: _Data, found: dict[str, Calibration], took: float) -> None:
    what = "pairs" if data.kind == "pairs" else "requests"
    name = clean(Path(args.log).name)
    title = f"{name}: {data.rows:,} {what}, target {100 * args.target_error:g} % wrong of the hits"
    say(click.style(title, bold=True))
    if data.repeats:
        say(f"{data.repeats:,} of them repeat a text: exact hits, not counted as near ones below")
    say()
    for name, result in found.items():
        label = "no guards" if name == "no guards" else f"guards {args.guards or 'default'}"
        _print_choice(label, result)
    results = list(found.values())
    chosen = [r.threshold for r in results if r.threshold is not None]
    heads = ["threshold"] + [head for name in found for head in (f"hits, {name}", "precision")]
    rows = []
    for threshold in sorted({*_SHOWN, *chosen}):
        cells = [f"{threshold:.3f}{' *' if threshold in chosen else '  '}"]
        for result in results:
            point = result.at(threshold)
            cells.append(f"{100 * point.hits / result.rows:.2f} %")
            cells.append(f"{100 * (1 - point.wrong_share):.2f} %" if point.hits else "-")
        rows.append(cells)
    print_table(heads, rows, right=range(len(heads)))
    if chosen:
        say(dim("* meets the target"))
        if data.kind == "log":
            say(dim(f"A cache stores only what missed, so check: replay LOG {_replay_options(args, found)}"))
    if args.plot is not None:
        say(f"Plot: {clean(args.plot)}")
    say(dim(f"calibrated in {milliseconds(took)}, embedding and guards not counted"))


def _replay_options(args: Args, found: dict[str, Calibration]) -> str:
    """Return the options with which `replay` has the last threshold found, and the guards it was found with."""
    name, threshold = [(name, r.threshold) for name, r in found.items() if r.threshold is not None][-1]
    guards = "none" if name == "no guards" else args.guards
    return f"--similarity {threshold:.3f}" + (f" --guards {guards}" if guards else "")


def _print_choice(label: str, result: Calibration) -> None:
    if result.threshold is None or result.interval is None:
        say(f"{click.style(label, fg='red')}: no threshold from 0.5 meets the target on held-out folds")
        _print_closest(result)
        say()
        return
    low, high = result.interval
    held = result.held_out
    least, most = (100 * share for share in result.held_out_interval)
    threshold = click.style(f"{result.threshold:.3f}", bold=True)
    say(f"{click.style(label, fg='green')}: threshold {threshold} (95 %: {low:.3f} to {high:.3f})")
    say(
        f"  held out: {held.hits:,} hits ({100 * held.hits / result.rows:.2f} %), {held.wrong:,} wrong = "
        f"{100 * held.wrong_share:.2f} % (95 %: {least:.2f} to {most:.2f} %)"
    )
    say("  by fold: " + ", ".join("none" if t is None else f"{t:.3f}" for t in result.by_fold))
    needed = round(_RULE_OF_THREE / result.target)
    if held.hits < needed:
        say(f"  {held.hits:,} hits are too few to confirm {100 * result.target:g} %: that takes {needed:,} or more")
    say()


def _print_closest(result: Calibration) -> None:
    """Print what came closest to the target, and what to do."""
    best = result.best
    if best is None:
        say("  there are no hits: give more rows")
        return
    share = f"{100 * best.wrong_share:.2f} %"
    if best.wrong_share <= result.target:
        say(f"  {best.threshold:.3f} meets it over all rows ({counted(best.hits, 'hit', 'hits')}, {share} wrong),")
        say("  and the rows are too few to confirm it on held-out folds: give more rows")
    else:
        hits = counted(best.hits, "hit", "hits")
        say(f"  the least wrong share over all rows is {share}, at {best.threshold:.3f}, with {hits}:")
        say("  ask for a higher --target-error, or read the wrong hits that `replay` prints")


def _points(result: Calibration, points: Iterable[Point]) -> list[tuple[float, float, float]]:
    """Return threshold, hit ratio and precision of the points that have hits."""
    return [(p.threshold, p.hits / result.rows, 1 - p.wrong_share) for p in points if p.hits]


def _choice(result: Calibration) -> Choice | None:
    """Return what the plot marks; None when no threshold meets the target."""
    if result.threshold is None or result.interval is None:
        return None
    low, high = (result.at(end).threshold for end in result.interval)
    least, most = result.held_out_interval
    return Choice(
        _points(result, [result.at(result.threshold)])[0],
        _points(result, (p for p in result.curve if low <= p.threshold <= high)),
        (1 - most, 1 - least),
    )


def _plot(args: Args, found: dict[str, Calibration]) -> None:
    curves = [Curve(name, _points(result, result.curve), _choice(result)) for name, result in found.items()]
    curves = [curve for curve in curves if curve.points]
    if not curves:
        raise CommandError("there is nothing to plot: no hits at any threshold from 0.5")
    title = f"{Path(args.log).name}: precision against hit ratio"
    draw(args.plot, curves, title=fit(clean(title), 90), target=args.target_error)
