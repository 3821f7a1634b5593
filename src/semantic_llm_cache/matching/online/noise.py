"""The noise of a model: how often a judge calls two fresh answers to one prompt different.

Measured from pairs of fresh answers, or given. The mathematics is in ``docs/error-budget.md``, section 4.
"""

from __future__ import annotations

from typing import Any, Literal

from semantic_llm_cache.arguments import shown
from semantic_llm_cache.matching.online.budget import most, spendable

__all__ = ["MOST_ALLOWED", "Noise", "NoiseSetting", "parse_noise"]

NoiseSetting = float | Literal["measure"] | None

MOST_ALLOWED = 0.5
"""The highest `Noise.level`: half of what differs where no two answers are the same."""
_DELTA = 0.05  # probability with which the mean noise of the pairs may ever pass one end of the interval
_ALWAYS_UNTIL = 100  # pairs; until then every explored call is made twice ...
_SHARE = 0.25  # ... and then this share of them
_FULL = 400  # pairs at which the older ones begin to count half


def parse_noise(given: object) -> NoiseSetting:
    """Return the setting for `noise=`: None, ``"measure"``, or a share. Raises TypeError or ValueError."""
    if given is None:
        return None
    if isinstance(given, str) and given == "measure":
        return "measure"
    wrong = (
        f'noise={shown(given)} must be "measure", None, or the share of pairs of fresh answers to one prompt that the '
        "judge calls different, such as 0.1"
    )
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        raise TypeError(wrong)
    if not 0.0 <= given <= 1.0:
        raise ValueError(f"{wrong}; from 0 to 1")
    return float(given)


class Noise:
    """What is known of a model's noise.

    Args:
        setting: see `parse_noise`.

    Example:
        >>> noise = Noise("measure")
        >>> for number in range(100):
        ...     noise.add(float(number % 5 == 0))
        >>> low, high = noise.interval
        >>> 0.05 < low < 0.2 < high, noise.level == low / 2
        (True, True)
    """

    def __init__(self, setting: NoiseSetting) -> None:
        self.setting = setting
        self.restore([0.0, 0.0, 0.0])

    @property
    def active(self) -> bool:
        """Return whether noise is allowed for."""
        return self.setting is not None

    @property
    def asks(self) -> float:
        """Return the share of explored calls to make twice."""
        if self.setting != "measure":
            return 0.0
        return 1.0 if self._pairs < _ALWAYS_UNTIL else _SHARE

    @property
    def level(self) -> float:
        """Return how often, at least, a right answer differs from a fresh one: half the noise, at its lower end.

        Two fresh answers that both say what a stored one says also say the same as each other. So of two fresh answers
        that differ, at least one differs from the stored one.
        """
        return self._level

    @property
    def interval(self) -> tuple[float, float]:
        """Return the ends between which the mean noise of the pairs lies; (0, 1) before the first."""
        if self._weight <= 0.0:
            return 0.0, 1.0
        low = max(0.0, spendable(self._different, _DELTA)) / self._weight
        return low, min(1.0, most(self._different, _DELTA) / self._weight)

    def add(self, different: float, weight: float = 1.0) -> None:
        """Count a pair.

        Args:
            different: what the judge said, from 0 for the same to 1 for different.
            weight: in (0, 1]; less than 1 for a pair of a kind that is sampled more often than it is served.
        """
        self.restore([self._pairs + 1.0, self._weight + weight, self._different + weight * different])
        if self._pairs >= _FULL:
            self.forget(0.5)

    def forget(self, keep: float) -> None:
        """Keep the share `keep` of what was measured."""
        self.restore([keep * value for value in self.sums])

    @property
    def sums(self) -> list[float]:
        """Return what `restore` takes: the pairs, their weight, and the weight of those that differed."""
        return [self._pairs, self._weight, self._different]

    def restore(self, sums: list[float]) -> None:
        """Continue with saved sums."""
        self._pairs, self._weight, self._different = sums
        share = self.setting if isinstance(self.setting, float) else self.interval[0] if self.active else 0.0
        self._level = min(MOST_ALLOWED, share / 2)

    def summary(self) -> dict[str, Any]:
        """Return ``noise``, the share of pairs that differ, None if unknown; ``noise_interval``; ``noise_pairs``."""
        if isinstance(self.setting, float):
            return {"noise": self.setting, "noise_interval": None, "noise_pairs": 0}
        share = self._different / self._weight if self._weight > 0.0 else None
        return {"noise": share, "noise_interval": self.interval, "noise_pairs": round(self._pairs)}
