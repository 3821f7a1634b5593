"""Statistics for the figures: a confidence interval for a share, a percentile."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["percentile", "wilson"]


def wilson(count: int, total: int, z: float = 1.959964) -> tuple[float, float]:
    """Return the Wilson score interval of a share, 95 % by default; (0, 1) when nothing was counted.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
    """
    if total <= 0:
        return 0.0, 1.0
    share = count / total
    middle = share + z * z / (2 * total)
    spread = z * ((share * (1 - share) + z * z / (4 * total)) / total) ** 0.5
    scale = 1 + z * z / total
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def percentile(values: Iterable[float], share: float) -> float:
    """Return the value at the place `share` (0 to 1) of the sorted `values`, rounded down; 0.0 for none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
