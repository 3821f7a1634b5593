"""How often a judge of answers errs, from labelled pairs: what `calibrate judge` computes.

The error budget needs two numbers of a judge (see ``docs/error-budget.md``): how often it calls different answers the
same, at most, and how often it calls the same answers different, at least. Both are mean soft errors: a judge that says
0.3 of answers that are the same errs by 0.7.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from semantic_llm_cache.matching.answers.judge import AnswerJudge
from semantic_llm_cache.matching.online.labels import MOST_JUDGE_ERROR
from semantic_llm_cache.metrics.statistics import wilson

__all__ = ["JudgeErrors", "LabelledPair", "calibrate_judge", "judge_errors", "read_pairs", "reliability"]

_Z = 1.96
_NEEDED = "each line needs an object with question, fresh, stored and same (true or false)"


class LabelledPair(NamedTuple):
    """Two answers to a question, and whether they say the same."""

    question: str
    fresh: str
    stored: str
    same: bool


class JudgeErrors(NamedTuple):
    """What was measured of a judge.

    Attributes:
        pairs: how many pairs there were.
        kept: share of the pairs that are the same and were called so.
        called_same: share of the others that were called the same.
        false_same, false_same_interval: mean probability of "the same" among the different pairs, and its 95 %
            interval.
        false_different, false_different_interval: mean probability of "different" among the same pairs.
        brier: mean squared error of the probability; 0.25 is what always saying 0.5 gets.
        judge_error: the pair to pass as `judge_error=`: the upper end of the first interval, the lower of the second;
            None if that is more than `judge_error=` takes: there are too few pairs, or the judge errs too often.
    """

    pairs: int
    kept: float
    called_same: float
    false_same: float
    false_same_interval: tuple[float, float]
    false_different: float
    false_different_interval: tuple[float, float]
    brier: float
    judge_error: tuple[float, float] | None


def read_pairs(path: str | Path) -> list[LabelledPair]:
    """Read labelled pairs from a JSONL file: one object a line with question, fresh, stored and same.

    Lines without a question are skipped (a header, a comment).

    Raises:
        ValueError: a line is no JSON object or lacks a key, or there are not both kinds of pairs; it names the line.
    """
    found = []
    # Not `splitlines`: an answer may hold other separators, such as U+2028, which JSON leaves as they are.
    for number, line in enumerate(Path(path).read_text(encoding="utf-8-sig").split("\n"), 1):
        if not line.strip():
            continue
        row = _object(line, number)
        if "question" not in row:
            continue
        for name in ("fresh", "stored", "same"):
            if name not in row:
                raise ValueError(f"line {number} has no {name!r}: {_NEEDED}")
        if row["same"] not in (True, False):
            raise ValueError(f"line {number}: same={row['same']!r} must be true or false")
        question, fresh, stored = (_text(row, name, number) for name in ("question", "fresh", "stored"))
        found.append(LabelledPair(question, fresh, stored, bool(row["same"])))
    if not found:
        raise ValueError(f"there are no pairs: {_NEEDED}")
    if all(pair.same == found[0].same for pair in found):
        raise ValueError(f"{len(found)} pairs: a judge is measured on pairs that are the same and pairs that are not")
    return found


def _object(line: str, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    if not isinstance(row, dict):
        raise ValueError(f"line {number} is no JSON object: {_NEEDED}")
    return row


def _text(row: dict[str, Any], name: str, number: int) -> str:
    if not isinstance(row[name], str):
        raise ValueError(f"line {number}: {name!r} is no text: {_NEEDED}")
    return str(row[name])


def judge_errors(said: Sequence[float], same: Sequence[bool]) -> JudgeErrors:
    """Return a judge's errors from its probabilities and the truth.

    Args:
        said: probabilities that the pairs are the same.
        same: whether they are; both kinds must occur.

    Example:
        >>> judge_errors([0.9, 0.8, 0.1, 0.2], [True, True, False, False]).kept
        1.0
    """
    ours = [p for p, truth in zip(said, same, strict=True) if truth]
    others = [p for p, truth in zip(said, same, strict=True) if not truth]
    false_same, upper = _mean(others)
    false_different, lower = _mean([1.0 - p for p in ours])
    recommended = round(upper[1], 3), round(lower[0], 3)
    return JudgeErrors(
        pairs=len(said),
        kept=sum(p >= 0.5 for p in ours) / len(ours),
        called_same=sum(p >= 0.5 for p in others) / len(others),
        false_same=false_same,
        false_same_interval=upper,
        false_different=false_different,
        false_different_interval=lower,
        brier=sum((p - truth) ** 2 for p, truth in zip(said, same, strict=True)) / len(said),
        judge_error=recommended if sum(recommended) <= MOST_JUDGE_ERROR else None,
    )


def _mean(errors: Sequence[float]) -> tuple[float, tuple[float, float]]:
    """Return the mean of numbers in [0, 1], and a 95 % interval.

    The wider of the normal interval and Wilson's for the share of errors of a half or more: few soft errors give a
    normal interval that is too narrow.
    """
    count = len(errors)
    mean = sum(errors) / count
    spread = math.sqrt(sum((e - mean) ** 2 for e in errors) / max(1, count - 1) / count)
    low, high = wilson(sum(e >= 0.5 for e in errors), count)
    return mean, (max(0.0, min(mean - _Z * spread, low)), min(1.0, max(mean + _Z * spread, high)))


def reliability(
    said: Sequence[float], same: Sequence[bool], bins: int = 5
) -> Iterable[tuple[float, float, int, float, float]]:
    """Yield for each filled bin its ends, its pairs, their mean probability, and the share of the same."""
    for number in range(bins):
        low, high = number / bins, (number + 1) / bins
        within = [(p, t) for p, t in zip(said, same, strict=True) if low <= p < high or (p == high == 1.0)]
        if within:
            count = len(within)
            yield low, high, count, sum(p for p, _ in within) / count, sum(t for _, t in within) / count


def calibrate_judge(path: str | Path, judge: AnswerJudge) -> JudgeErrors:
    """Measure a judge on the labelled pairs of a file. Blocks.

    Args:
        path: as for `read_pairs`.
        judge: with an `EmbeddingProvider` or none.

    Raises:
        ValueError: the file is not as `read_pairs` wants it.
    """
    pairs = read_pairs(path)
    said = [judge.compare_now(pair.question, pair.fresh, pair.stored).probability for pair in pairs]
    return judge_errors(said, [pair.same for pair in pairs])
