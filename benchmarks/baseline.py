"""The regression watch: ratios of this run beside those of the committed baseline.

A baseline holds, for each ratio, the medians of one or more runs. Between runs a ratio moves by more than between the
rounds of one run, so the spread of those medians is the noise, and never less than `LEAST_NOISE`. A ratio is worse
when it lies outside the medians of the baseline by more than the noise.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness import Figure

BASELINE = Path(__file__).with_name("baseline.json")
LEAST_NOISE = 0.1
"""A tenth of the ratio: two runs of one commit on one quiet machine differ by about as much."""
KEPT_RUNS = 5


class BaselineError(Exception):
    """The file of the baseline is missing or cannot be read."""


@dataclass(frozen=True)
class Change:
    """A ratio that lies outside its baseline.

    Attributes:
        name: subset, what was measured, and beside what.
        ratio: the ratio of this run.
        medians: the medians of the runs in the baseline, ascending.
        worse: False when it got better.
    """

    name: str
    ratio: float
    medians: tuple[float, ...]
    worse: bool

    def __str__(self) -> str:
        low, high = self.medians[0], self.medians[-1]
        before = f"{low:.3g}x" if low == high else f"{low:.3g}x to {high:.3g}x"
        return f"{self.name}: {self.ratio:.3g}x, was {before}"


def name_of(figure: Figure) -> str:
    """Return the name by which a figure is found again in another run."""
    return f"{figure.subset}: {figure.what} / {figure.beside}"


def _ratios(figures: Sequence[Figure]) -> Iterator[tuple[str, float, bool]]:
    """Yield name, ratio, and whether more is better."""
    for figure in figures:
        if figure.ratio is not None:
            more = figure.target is not None and figure.target.unit == "x" and figure.target.relation == ">="
            yield name_of(figure), figure.ratio, more


def load(path: Path = BASELINE) -> dict[str, Any]:
    """Return the baseline in the file.

    Raises:
        BaselineError: there is no such file, or it holds no baseline.
    """
    try:
        found = json.loads(path.read_text())
        if not isinstance(found, dict):
            raise TypeError("no JSON object")
        for medians in found["ratios"].values():
            if not medians or not all(isinstance(m, float | int) for m in medians):
                raise TypeError("a ratio without medians")
    except FileNotFoundError:
        raise BaselineError(f"no baseline at {path}: write one with --save-baseline") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BaselineError(f"{path} holds no baseline ({error}): write it again with --save-baseline") from None
    return found


def save(figures: Sequence[Figure], machine: dict[str, Any], path: Path = BASELINE) -> None:
    """Add the ratios of a run to the file; it keeps the last `KEPT_RUNS` medians of each.

    A baseline of another processor is replaced, since ratios of two machines do not compare.
    """
    try:
        found = load(path)
    except BaselineError:
        found = {"ratios": {}}
    cpu = {"cpu": machine["cpu"], "cores": machine["cores"]}
    ratios = found["ratios"] if found.get("machine") == cpu else {}
    for name, ratio, _ in _ratios(figures):
        ratios[name] = [*ratios.get(name, []), float(f"{ratio:.4g}")][-KEPT_RUNS:]
    path.write_text(json.dumps({"machine": cpu, "ratios": dict(sorted(ratios.items()))}, indent=1) + "\n")


def changes(figures: Sequence[Figure], baseline: dict[str, Any]) -> list[Change]:
    """Return the ratios that got worse or better by more than their noise, worse ones first."""
    found = []
    for name, ratio, more in _ratios(figures):
        medians = tuple(sorted(baseline["ratios"].get(name, ())))
        if not medians:
            continue
        low, high = medians[0], medians[-1]
        noise = max(LEAST_NOISE, high / low - 1)
        if ratio > high * (1 + noise):
            found.append(Change(name, ratio, medians, worse=not more))
        elif ratio < low / (1 + noise):
            found.append(Change(name, ratio, medians, worse=more))
    return sorted(found, key=lambda change: not change.worse)


def check(figures: Sequence[Figure], baseline: dict[str, Any], machine: dict[str, Any]) -> tuple[str, int]:
    """Return what changed, as text, and how many ratios got worse."""
    found = changes(figures, baseline)
    compared = [name for name, _, _ in _ratios(figures) if name in baseline["ratios"]]
    new = [name for name, _, _ in _ratios(figures) if name not in baseline["ratios"]]
    worse = [change for change in found if change.worse]
    lines = []
    cpu = {"cpu": machine["cpu"], "cores": machine["cores"]}
    if baseline.get("machine") != cpu:
        was = baseline.get("machine") or {"cpu": "an unknown processor", "cores": "?"}
        lines.append(f"the baseline is of another machine ({was['cpu']}, {was['cores']} cores): read this with care")
    if machine["load"] is not None and machine["load"] > machine["cores"]:
        lines.append(
            f"the machine was busy (load {machine['load']:.1f} on {machine['cores']} cores), so ratios scatter: "
            "run it again on a quiet one"
        )
    lines += [f"worse: {change}" for change in worse]
    lines += [f"better: {change}" for change in found if not change.worse]
    if new:
        lines.append(f"not in the baseline: {len(new)} ratios")
    lines.append(f"{len(compared)} ratios compared with the baseline, {len(worse)} worse than their noise")
    return "\n".join(lines), len(worse)
