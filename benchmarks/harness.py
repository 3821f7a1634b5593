"""Interleaved rounds, medians and ratios, used by every subset."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

from benchmarks.workers.protocol import time_awaits, time_calls

T = TypeVar("T")

Times = dict[str, list[float]]


@dataclass(frozen=True)
class Target:
    """The target of a figure."""

    relation: str  # "<=" or ">="
    bound: float
    unit: str = "x"  # "x": of the ratio; else of the figure itself

    def met(self, value: float) -> bool:
        """Return whether `value` reaches it."""
        return value <= self.bound if self.relation == "<=" else value >= self.bound

    def __str__(self) -> str:
        return f"{self.relation} {self.bound:g}{'x' if self.unit == 'x' else ' ' + self.unit}"


def at_most(bound: float, unit: str = "x") -> Target:
    """Return the target of a ratio (or, with a unit, of the figure) that must not be above `bound`."""
    return Target("<=", bound, unit)


def at_least(bound: float, unit: str = "x") -> Target:
    """Return the target of a ratio (or, with a unit, of the figure) that must not be below `bound`."""
    return Target(">=", bound, unit)


@dataclass
class Figure:
    """One line of the table. Times are in seconds, memory in bytes; `low` to `high` is the ratio's range."""

    subset: str
    what: str
    value: float | None
    unit: str = "s"
    beside: str = ""
    beside_value: float | None = None
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    target: Target | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        """``pass``, ``short``, or nothing where there is no target or no figure."""
        if self.target is None:
            return ""
        judged = self.ratio if self.target.unit == "x" else self.value
        if judged is None:
            return ""
        return "pass" if self.target.met(judged) else "short"

    def as_dict(self) -> dict[str, Any]:
        """Return the fields for JSON."""
        fields = asdict(self)
        fields["target"] = None if self.target is None else str(self.target)
        fields["verdict"] = self.verdict
        return fields


@dataclass
class Contender:
    """One side of a comparison: `batch(calls)` does that many operations and returns the seconds they took."""

    name: str
    batch: Callable[[int], float]
    calls: int


class Bench:
    """What a subset is given: its loop, its folder, the size of the run, and where figures go.

    Args:
        quick: tiny sizes and few rounds, to see that everything runs; the figures mean nothing.
        peers: False leaves out what has to be installed.
        say: called with lines of progress.
    """

    def __init__(self, *, quick: bool = False, peers: bool = True, say: Callable[[str], None] | None = None) -> None:
        self.quick = quick
        self.peers = peers
        self.figures: list[Figure] = []
        self.versions: dict[str, dict[str, str]] = {}
        self.subset = ""
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp(prefix="semantic-llm-cache-bench-"))
        self._say = say

    def close(self) -> None:
        """Remove the folder and end the loop."""
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    # ------------------------------------------------------------------------------- sizes

    def size(self, full: int, quick: int) -> int:
        """Return `full`, or `quick` in a quick run."""
        return quick if self.quick else full

    def say(self, line: str) -> None:
        """Tell the progress."""
        if self._say is not None:
            self._say(f"[{self.subset}] {line}")

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the benchmark's loop."""
        return self.loop.run_until_complete(coroutine)

    @contextlib.contextmanager
    def temporary(self) -> Iterator[Path]:
        """Give a folder that is gone afterwards."""
        path = Path(tempfile.mkdtemp(dir=self.folder))
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    # -------------------------------------------------------------------------- contenders

    def calls(self, name: str, function: Callable[[Any], object], items: Sequence[Any], calls: int) -> Contender:
        """A plain function, called with the items in turn."""
        supply = itertools.cycle(items)
        return Contender(
            name, lambda n: time_calls(function, list(itertools.islice(supply, n))), self.size(calls, min(calls, 20))
        )

    def awaits(
        self, name: str, function: Callable[[Any], Awaitable[object]], items: Sequence[Any], calls: int
    ) -> Contender:
        """An async function, awaited with the items in turn."""
        supply = itertools.cycle(items)
        return Contender(
            name,
            lambda n: self.run(time_awaits(function, list(itertools.islice(supply, n)))),
            self.size(calls, min(calls, 20)),
        )

    def interleave(self, contenders: Sequence[Contender], rounds: int) -> Times:
        """Return the seconds per operation of each contender in each round.

        In a round each has its turn, and who begins moves on with every round. One round before the
        first warms up and is dropped.
        """
        times: Times = {contender.name: [] for contender in contenders}
        for number in range(-1, self.size(rounds, 2)):
            turn = number % len(contenders)
            for contender in [*contenders[turn:], *contenders[:turn]]:
                seconds = contender.batch(contender.calls) / contender.calls
                if number >= 0:
                    times[contender.name].append(seconds)
        return times

    # ----------------------------------------------------------------------------- figures

    def ratio(
        self,
        what: str,
        times: Times,
        ours: str,
        beside: str,
        target: Target | None = None,
        *,
        note: str = "",
        unit: str = "s",
    ) -> Figure:
        """Add the line that sets one contender beside another: the median over rounds of their ratio."""
        ratios = [a / b for a, b in zip(times[ours], times[beside], strict=True)]
        return self.add(
            Figure(
                self.subset, what, median(times[ours]), unit, beside, median(times[beside]),
                median(ratios), min(ratios), max(ratios), target, note,
            )
        )  # fmt: skip

    def value(self, what: str, value: float, unit: str, target: Target | None = None, *, note: str = "") -> Figure:
        """Add a line with a figure of its own."""
        return self.add(Figure(self.subset, what, value, unit, target=target, note=note))

    def missing(self, what: str, why: str) -> Figure:
        """Add a line that says why something was not measured."""
        return self.add(Figure(self.subset, what, None, note=f"not measured: {why}"))

    def add(self, figure: Figure) -> Figure:
        """Add a line."""
        self.figures.append(figure)
        return figure


def to_stderr(line: str) -> None:
    """Print a line of progress."""
    print(line, file=sys.stderr, flush=True)
