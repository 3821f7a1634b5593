"""Find the threshold that keeps wrong hits within a target; choose and judge it on different rows.

A *case* is one chance to serve a near answer: its similarity, and whether the answer would have been right. At
threshold t the cases at or above t are hits, and we want the share of wrong ones among them. The lowest
threshold that meets a target on some rows does so partly by luck, and tends to miss it on other rows.
So the rows are split into folds, and each fold is judged with the threshold chosen from the other folds.
The result is the wrong share of all folds together: no row helped to choose its own threshold
(cross-fitting: M. Stone, "Cross-validatory choice and assessment of statistical predictions", 1974).
If it exceeds the target, the folds choose by a lower target until it does not. If even the lowest
threshold without a wrong hit is too low for the other rows, a margin is added to it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from semantic_llm_cache.matching.neighbours import Neighbours
from semantic_llm_cache.matching.replay import Answers, Log
from semantic_llm_cache.metrics.statistics import wilson
from semantic_llm_cache.similarity.base import THRESHOLD_TOLERANCE

__all__ = ["LOWEST", "Calibration", "Cases", "Point", "calibrate", "log_cases", "make_folds"]

LOWEST = 0.5
"""The lowest threshold that is considered."""

_STEPS = 1000  # thresholds are multiples of 0.001
_FIRST = round(LOWEST * _STEPS)
# Share of the target to choose by, and steps added to the threshold: from the loosest rule to the strictest.
_RULES = [(1.0 - 0.05 * i, 0) for i in range(20)] + [(0.0, margin) for margin in (0, 2, 5, 10, 20, 50)]
_NEIGHBOURS = 8
_DRAWS = 500

Counts = npt.NDArray[np.int64]


class Cases(NamedTuple):
    """Chances to serve a near answer, one per row.

    Args:
        similarity: max(0, cosine), shape (rows,); -1 where there is nothing to serve.
        right: whether the answer would be right, shape (rows,).
    """

    similarity: npt.NDArray[np.float64]
    right: npt.NDArray[np.bool_]


class Point(NamedTuple):
    """Hits and wrong ones among them at one threshold."""

    threshold: float
    hits: int
    wrong: int

    @property
    def wrong_share(self) -> float:
        """Wrong hits as a share of hits; 0.0 without hits."""
        return self.wrong / self.hits if self.hits else 0.0


@dataclass(frozen=True)
class Calibration:
    """The result of `calibrate`.

    Args:
        target: share of wrong ones among hits that was asked for.
        level: the share by which thresholds were chosen so that the held-out rows meet the target.
        margin: what was added to the thresholds so chosen; 0.0 unless `level` is 0.
        threshold: the lowest one that meets the target, chosen by all rows; None when none does.
        interval: of the threshold, 95 %, by resampling the rows; None without a threshold.
        by_fold: the thresholds that each fold was judged with; None where none met the level.
        held_out: hits of all folds together, each with the threshold of the others (`Point.threshold`
            is the chosen one).
        held_out_interval: of their wrong share, 95 % (Wilson).
        curve: a point for each threshold from 0.5 to 1, on all rows.
        rows: number of rows.
        right: rows whose answer would be right, hit or not.
    """

    target: float
    level: float | None
    margin: float
    threshold: float | None
    interval: tuple[float, float] | None
    by_fold: tuple[float | None, ...]
    held_out: Point
    held_out_interval: tuple[float, float]
    curve: tuple[Point, ...]
    rows: int
    right: int

    def at(self, threshold: float) -> Point:
        """Return the curve's point at a threshold (to 0.001)."""
        return self.curve[min(max(round(threshold * _STEPS) - _FIRST, 0), len(self.curve) - 1)]

    @property
    def best(self) -> Point | None:
        """Return the point with the smallest wrong share, on a tie with the most hits; None without hits."""
        points = [point for point in self.curve if point.hits]
        return min(points, key=lambda point: (point.wrong_share, -point.hits)) if points else None


def calibrate(cases: Cases, folds: Counts, *, target: float, seed: int = 0) -> Calibration:
    """Find the lowest threshold whose wrong share among hits meets a target on held-out folds.

    Args:
        cases: similarity and right or wrong, per row.
        folds: number of each row's fold, from 0, shape (rows,); see `make_folds`.
        target: share of wrong ones among hits, in (0, 1).
        seed: of the draws that give the threshold's interval.

    Raises:
        ValueError: shapes differ, a similarity is not finite, fewer than two folds, or a target out of range.

    Example:
        >>> similarity = np.linspace(0.5, 1.0, 10_001)
        >>> cases = Cases(similarity, similarity >= 0.8)
        >>> calibrate(cases, make_folds(10_001, 5, seed=1), target=0.01).level
        0.01
        >>> calibrate(cases, make_folds(10_001, 5, seed=1), target=0.0001).threshold
        0.8
    """
    _check(cases, folds, target)
    count = int(np.max(folds)) + 1
    bins = _bins(cases.similarity)
    hits = np.stack([_from_top(bins[folds == fold]) for fold in range(count)])
    wrong = np.stack([_from_top(bins[(folds == fold) & ~cases.right]) for fold in range(count)])
    all_hits, all_wrong = hits.sum(axis=0), wrong.sum(axis=0)

    level, margin, place = None, 0, None
    chosen: list[int | None] = [None] * count
    held = (0, 0)
    for stricter, more in _RULES:
        trial = [_lowest(all_hits - hits[f], all_wrong - wrong[f], target * stricter, more) for f in range(count)]
        final = _lowest(all_hits, all_wrong, target * stricter, more)
        served = sum(int(hits[f, t]) for f, t in enumerate(trial) if t is not None)
        missed = sum(int(wrong[f, t]) for f, t in enumerate(trial) if t is not None)
        if final is not None and served and missed <= target * served:
            level, margin, place, chosen, held = target * stricter, more, final, trial, (served, missed)
            break
    curve = tuple(
        Point((_FIRST + i) / _STEPS, int(h), int(w)) for i, (h, w) in enumerate(zip(all_hits, all_wrong, strict=True))
    )
    return Calibration(
        target=target,
        level=level,
        margin=margin / _STEPS,
        threshold=None if place is None else curve[place].threshold,
        interval=None if place is None or level is None else _interval(all_hits, all_wrong, level, margin, seed),
        by_fold=tuple(None if t is None else curve[t].threshold for t in chosen),
        held_out=Point(1.0 if place is None else curve[place].threshold, *held),
        held_out_interval=wilson(held[1], held[0]),
        curve=curve,
        rows=len(cases.right),
        right=int(cases.right.sum()),
    )


def _check(cases: Cases, folds: Counts, target: float) -> None:
    rows = len(cases.similarity)
    if len(cases.right) != rows or len(folds) != rows:
        raise ValueError(
            f"similarity, right and folds must have one value per row, not {rows}, {len(cases.right)}, {len(folds)}"
        )
    if not np.isfinite(cases.similarity).all():
        raise ValueError("similarity must be finite everywhere: -1 stands for nothing to serve")
    if rows == 0 or len(np.unique(folds)) < 2 or int(np.min(folds)) < 0:
        raise ValueError("folds must name at least two folds, numbered from 0")
    if not 0 < target < 1:
        raise ValueError(f"target={target!r} must lie between 0 and 1, such as 0.01 for 1 %")


def _bins(similarity: npt.NDArray[np.float64]) -> Counts:
    """Return the index of the highest threshold that each similarity reaches; negative below all."""
    found: Counts = np.floor((similarity + THRESHOLD_TOLERANCE) * _STEPS).astype(np.int64) - _FIRST
    return np.minimum(found, _STEPS - _FIRST)


def _from_top(bins: Counts) -> Counts:
    """Return for each threshold how many cases reach it."""
    counts = np.bincount(bins[bins >= 0], minlength=_STEPS - _FIRST + 1)
    return np.cumsum(counts[::-1])[::-1]


def _lowest(hits: Counts, wrong: Counts, level: float, margin: int) -> int | None:
    """Return the index of the lowest threshold with hits of which at most `level` are wrong, and `margin` more."""
    found = np.flatnonzero((hits > 0) & (wrong <= level * hits))
    if not len(found):
        return None
    place = int(found[0]) + margin
    return place if place < len(hits) and hits[place] else None


def _interval(hits: Counts, wrong: Counts, level: float, margin: int, seed: int) -> tuple[float, float]:
    """Return the middle 95 % of the thresholds of rows resampled with replacement.

    Rows with one threshold and one label are alike, so drawing their counts (a multinomial) draws the rows.
    """
    per_bin = np.stack([hits, wrong]) - np.pad(np.stack([hits, wrong])[:, 1:], ((0, 0), (0, 1)))
    cells = np.concatenate([per_bin[0] - per_bin[1], per_bin[1]])
    total = int(cells.sum())
    rng = np.random.default_rng(seed)
    size = len(hits)
    found = []
    for draw in rng.multinomial(total, cells / total, size=_DRAWS):
        bad = np.cumsum(draw[size:][::-1])[::-1]
        all_ = bad + np.cumsum(draw[:size][::-1])[::-1]
        place = _lowest(all_, bad, level, margin)
        found.append(1.0 if place is None else (_FIRST + place) / _STEPS)
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def make_folds(rows: int, count: int, *, seed: int | None = None) -> Counts:
    """Return the fold of each row: random with a `seed`, else `count` consecutive stretches.

    Stretches suit a log, whose traffic changes over time; random folds suit pairs, whose order has no meaning.

    Raises:
        ValueError: fewer than two folds, or fewer rows than folds.
    """
    if count < 2:
        raise ValueError(f"folds={count!r} must be at least 2")
    if rows < count:
        raise ValueError(f"{count} folds need at least {count} rows, got {rows}: give more rows, or fewer folds")
    folds: Counts = np.arange(rows, dtype=np.int64) * count // rows
    return folds if seed is None else np.random.default_rng(seed).permutation(folds)


def log_cases(
    log: Log,
    differs: Callable[[str, str], str | None],
    *,
    unseen: Callable[[str, str], str | None] | None = None,
    step: Callable[[], object] = lambda: None,
) -> tuple[Cases, Cases, npt.NDArray[np.bool_]]:
    """Return the cases of a log: each row with the nearest of all earlier rows.

    A cache at some threshold has not stored all earlier rows, only those that missed, which depends on the
    threshold; `replay` gives the exact rates of one threshold.

    Args:
        log: the rows.
        differs: guards and residual check: why a pair differs, or None. When it objects to the nearest,
            the next seven are tried.
        unseen: why a pair differs in what its vectors do not show, or None; such pairs are no case at all.
        step: called after each row.

    Returns:
        cases by cosine alone, cases with the guards, and which rows repeat an earlier text (exact hits, in
        neither).
    """
    rows = len(log.prompts)
    bare = Cases(np.full(rows, -1.0), np.zeros(rows, dtype=bool))
    guarded = Cases(np.full(rows, -1.0), np.zeros(rows, dtype=bool))
    repeats = np.zeros(rows, dtype=bool)
    near = Neighbours(log.vectors)
    seen: set[str] = set()
    for row, prompt in enumerate(log.prompts):
        if prompt in seen:
            repeats[row] = True
        else:
            seen.add(prompt)
            if log.readable is None or log.readable[row]:
                found = near.nearest(row, _NEIGHBOURS, LOWEST)
                if unseen is not None:
                    found = [item for item in found if unseen(prompt, log.prompts[item[0]]) is None]
                near.add(row)
                if found:
                    _set(bare, row, found[0], log.answers)
                for item in found:
                    if differs(prompt, log.prompts[item[0]]) is None:
                        _set(guarded, row, item, log.answers)
                        break
        step()
    return bare, guarded, repeats


def _set(cases: Cases, row: int, found: tuple[int, float], answers: Answers) -> None:
    cases.similarity[row] = found[1]
    cases.right[row] = answers.same(row, found[0])
