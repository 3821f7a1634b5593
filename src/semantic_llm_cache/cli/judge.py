"""`semantic-llm-cache judge`: whether two answers say the same; and `calibrate judge`: how often the judge errs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from semantic_llm_cache.cli.common import CommandError, json_option
from semantic_llm_cache.cli.logs import embedder_option, make_embedder
from semantic_llm_cache.cli.output import clean, dim, print_json, say
from semantic_llm_cache.cli.parsing import Args, argument, command, option

if TYPE_CHECKING:
    from semantic_llm_cache.matching.answers import AnswerJudge

__all__ = ["calibrate_judge", "judge_command"]


@command(
    "judge",
    'judge "Paris" "The capital of France is Paris." --question "What is the capital of France?"',
    'judge "sorted in ascending order" "sorted in descending order" --json',
)
@argument("fresh", metavar="A", help="An answer.")
@argument("stored", metavar="B", help="The answer to compare it with.")
@option("--question", default="", metavar="TEXT", help="What both answer. The judge uses its words.")
@embedder_option
@json_option
def judge_command(args: Args) -> int:
    """Say whether two answers to one question say the same, and why.

    This is what error budgets, shadow mode and reports learn from. `--embedder none` judges without a model.
    """
    from semantic_llm_cache.matching.answers.explain import explain

    found = explain(_judge(args.embedder), args.question, args.fresh, args.stored)
    verdict = found.verdict
    if args.json:
        print_json(
            {
                "same": verdict.same,
                "probability": round(verdict.probability, 4),
                "layer": verdict.layer,
                "reason": verdict.reason,
                "read": [found.fresh, found.stored],
                "layers": [{"layer": name, "said": said} for name, said in found.layers],
                "features": {name: round(float(value), 4) for name, value in found.features.items()},
            }
        )
        return 0
    say(f"{'same' if verdict.same else 'different'}  {verdict.probability:.2f}  {clean(verdict.reason)}")
    for name, said in found.layers:
        if said != "says nothing":
            say(dim(f"  {name}: {clean(said)}"))
    return 0


def calibrate_judge(args: Args) -> int:
    """Measure the judge on the labelled pairs of a file, and print what to pass as `judge_error=`."""
    from semantic_llm_cache.matching.answers.measure import calibrate_judge as measure

    if args.pairs is None:
        raise CommandError(
            "calibrate judge needs a FILE of labelled pairs: JSON lines with question, fresh, stored and same", code=2
        )
    if not Path(args.pairs).is_file():
        raise CommandError(f"there is no file {clean(args.pairs)}", code=2)
    try:
        found = measure(args.pairs, _judge(args.embedder))
    except (ValueError, OSError) as error:
        raise CommandError(f"{clean(args.pairs)}: {clean(str(error))}") from error
    if args.json:
        print_json(found._asdict())
        return 0
    say(f"{found.pairs} pairs")
    say(f"called the same: {found.kept:.1%} of those that are, {found.called_same:.1%} of those that are not")
    for name, value, (low, high) in (
        ("false same", found.false_same, found.false_same_interval),
        ("false different", found.false_different, found.false_different_interval),
    ):
        say(f"{name}: {value:.3f} (95 % interval {low:.3f} to {high:.3f})")
    say(f"Brier score: {found.brier:.3f}")
    if found.judge_error is None:
        say("There is no judge_error to pass: there are too few pairs to be sure, or the judge errs too often on them.")
    else:
        say(f"judge_error={found.judge_error}")
    return 0


def _judge(embedder: str) -> AnswerJudge:
    from semantic_llm_cache.matching.answers import AnswerJudge

    return AnswerJudge() if embedder == "none" else AnswerJudge(make_embedder(embedder))
