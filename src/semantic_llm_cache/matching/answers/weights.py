"""How sure each layer of the judge is: the probabilities of the rules, and the model of the last layer.

All numbers come from `python -m benchmarks.trust.answers_fit`, on the tuning half of our own pairs of answers. A rule's
probability is its share of pairs that are the same, kept within 0.02 and 0.98 and moved towards the other rules of
its side. The model is a logistic regression with a penalty of 1 on the squared weights of
standardised features, weights that may only have the sign that their meaning gives them, and pairs that differ counted
twice, as calling them the same costs more than the reverse.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

__all__ = [
    "JUDGE_ERROR",
    "LONG",
    "RULES",
    "SIGNS",
    "SUREST",
    "WITHOUT_VECTORS",
    "WITH_VECTORS",
    "Model",
]

SUREST = 0.98
"""The highest probability that the judge gives, and 1 minus the lowest."""

RULES: Mapping[str, float] = {
    "equal": 0.98,
    "same value": 0.98,
    "same code": 0.98,
    "same items": 0.98,
    "same label": 0.98,
    "same side": 0.98,
    "both refuse": 0.9,
    "part code": 0.6,
    "same claim": 0.98,
    "other value": 0.02,
    "other code": 0.04,
    "other items": 0.04,
    "other label": 0.05,
    "one refuses": 0.02,
    "other claim": 0.02,
    "conflict": 0.03,
    "other words": 0.04,
}
"""Probability that two answers say the same when a rule applies."""

JUDGE_ERROR = (0.16, 0.02)
"""How often the judge calls different answers the same, at most, and same answers different, at least."""

SIGNS: Mapping[str, int] = {
    "covered": 1,
    "new covered": 1,
    "shared value": 1,
    "both odd": -1,
    "whole": 1,
    "best mean": 1,
    "best least": 1,
    "back mean": 1,
    "rest": 1,
    "beside topic": 1,
    "lone words": 1,
    "values": -1,
    "names": -1,
    "negation": -1,
    "antonyms": -1,
    "direction": -1,
    "swap": -1,
    "quantity": -1,
    "slot": -1,
    "open": -1,
    "same side": 1,
    "place": 1,
    "against": -1,
    "rival": -1,
}
"""The features of the last layer, and the sign of their weights."""


class Model(NamedTuple):
    """A logistic model of the last layer.

    Attributes:
        intercept: its constant.
        weights: feature -> weight; those not named weigh nothing.
    """

    intercept: float
    weights: Mapping[str, float]

    def probability(self, features: Mapping[str, float]) -> float:
        """Return the probability that two answers say the same."""
        z = self.intercept + sum(weight * features[name] for name, weight in self.weights.items())
        probability = 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, z))))
        return min(SUREST, max(1.0 - SUREST, probability))


LONG = Model(-18.0, {"whole": 16.0, "on topic": 6.0, "covered": 6.0, "conflicts": -6.0})
"""For two long answers. Set by hand, in round numbers: answers of several models to 70 instructions have a cosine of
0.78 or more in 90 % of all cases, and 0.62 or less with the answers to the nearest other instruction."""

WITH_VECTORS = Model(
    -4.27,
    {
        "covered": 2.42,
        "new covered": 1.26,
        "shared value": 2.58,
        "both odd": -2.93,
        "rest": 7.28,
        "beside topic": 0.62,
        "lone words": 0.99,
        "negation": -6.12,
        "same side": 6.01,
    },
)
WITHOUT_VECTORS = Model(
    0.87,
    {
        "covered": 3.46,
        "new covered": 1.59,
        "shared value": 3.5,
        "both odd": -4.06,
        "negation": -7.68,
        "slot": -0.08,
        "same side": 4.94,
    },
)
