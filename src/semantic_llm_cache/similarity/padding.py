"""`plan_runs`: which texts of a batch share a run of the model, so that little time goes into padding."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["plan_runs"]


def plan_runs(lengths: Sequence[int], *, per_run: int, most_rows: int, most_tokens: int) -> list[tuple[int, int]]:
    """Divide rows, sorted by length, into runs of consecutive rows at the least cost.

    Each row of a run is padded to its longest, and a run costs as much as `per_run` tokens on top: texts of like
    length share a run, others do not. Takes time for each row in proportion to `most_rows`.

    Args:
        lengths: of the rows, in tokens, ascending.
        per_run: the fixed cost of a run, in tokens.
        most_rows: most rows in a run.
        most_tokens: most tokens in a run, with padding. A single row may have more.

    Returns:
        Start and end of each run, in order.

    Example:
        >>> plan_runs([8, 8, 9, 30], per_run=8, most_rows=32, most_tokens=2048)
        [(0, 3), (3, 4)]
    """
    costs, starts = [0], [0]  # of the best plan for the first n rows: its cost, and where its last run starts
    for end, longest in enumerate(lengths, 1):
        best, start = costs[end - 1] + longest, end - 1
        for other in range(end - 2, max(end - most_rows, 0) - 1, -1):
            padded = longest * (end - other)
            if padded > most_tokens:
                break
            if costs[other] + padded < best:
                best, start = costs[other] + padded, other
        costs.append(best + per_run)
        starts.append(start)
    runs = []
    end = len(lengths)
    while end:
        runs.append((starts[end], end))
        end = starts[end]
    return runs[::-1]
